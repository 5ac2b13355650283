"""The folder layout: one folder for each view, with whatever lies beside the pictures to say where they were taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from cvgl.config import Layout
from cvgl.datasets import fields
from cvgl.datasets.entries import Entry, Listing, PositionSource, Reason, RefusedError, with_default_subsets
from cvgl.datasets.manifest import known_columns, note_ignored, renamed
from cvgl.datasets.records import Cell, read_records
from cvgl.datasets.sidecars import SIDECAR_SUFFIXES, Sidecars, with_side_files
from cvgl.datasets.walking import PICTURE_SUFFIXES, entries_of, files_below, has_side_file
from cvgl.types import View

POSITIONS = "positions.csv"


def is_folder_of_views(root: Path) -> bool:
    """Whether at least one folder in `root` is named like a view."""
    return any(path.is_dir() and fields.view_named(path.name) is not None for path in root.iterdir())


def list_folder(root: Path) -> Listing:
    """Lists one folder for each view. Positions come from a CSV, else a raster's own, else the picture's EXIF.

    Args:
        root: the folder that holds the views' folders, resolved.

    Raises:
        DataError: a CSV with positions is not a table or lacks a column without which it means nothing.
    """
    listing = Listing(Layout.FOLDER, root)
    views: dict[Path, View] = {}
    beside: list[Path] = []
    for entry in entries_of(root, root, listing):
        path = Path(entry.path)
        view = fields.view_named(entry.name)
        if not entry.is_dir():
            beside.append(path)
        elif view is None:
            known = ", ".join(sorted(fields.VIEW_NAMES))
            listing.refuse(path, Reason.UNKNOWN_FOLDER, f"the name is not a view's; known are {known}")
        else:
            views[path] = view
    _judge_beside(beside, views, listing)
    found = {folder: list(files_below(folder, root, listing)) for folder in views}
    common = _rows(root / POSITIONS, root, [path for paths in found.values() for path in paths], listing)
    for folder, view in views.items():
        _list_view(folder, view, found[folder], common, listing)
    listing.entries = with_default_subsets(listing.entries)
    return listing


def _judge_beside(beside: list[Path], views: Mapping[Path, View], listing: Listing) -> None:
    """Says what was not looked at among the files beside the views' folders."""
    tables = {POSITIONS, *(f"{folder.name}.csv" for folder in views)}
    for path in beside:
        if path.suffix.lower() in PICTURE_SUFFIXES:
            listing.refuse(path, Reason.MISPLACED, "it lies in no view's folder, such as drone/ or satellite/")
        elif path.name not in tables:
            listing.pass_over("beside the views' folders", path)
            listing.notes.append(f"{path.name} lies beside the views' folders and was passed over")


def _list_view(
    folder: Path, view: View, paths: list[Path], common: Mapping[Path, Mapping[str, Cell]], listing: Listing
) -> None:
    own = folder / POSITIONS
    # The nearest table wins.
    rows = {
        **common,
        **_rows(folder.parent / f"{folder.name}.csv", folder, paths, listing),
        **_rows(own, folder, paths, listing),
    }
    sidecars: dict[Path, Sidecars] = {}
    for path in paths:
        suffix = path.suffix.lower()
        if suffix in SIDECAR_SUFFIXES or path == own:
            continue
        if suffix not in PICTURE_SUFFIXES:
            listing.refuse(path, Reason.NOT_A_PICTURE, f"'{suffix}' is not the ending of a picture")
            continue
        if path.parent not in sidecars:
            sidecars[path.parent] = Sidecars(path.parent, listing.source)
        try:
            listing.entries.append(_entry(path, view, folder, rows.get(path, {}), sidecars[path.parent]))
        except RefusedError as refused:
            listing.refuse(path, refused.reason, refused.detail)
    for path in (side for beside in sidecars.values() for side in beside.unused()):
        listing.pass_over("beside pictures, of no use for their positions", path)


def _entry(path: Path, view: View, folder: Path, cells: Mapping[str, Cell], sidecars: Sidecars) -> Entry:
    position = fields.position(cells)
    entry = Entry(
        path=path,
        view=view,
        subsets=fields.subsets(cells.get("subset")),
        location_id=fields.text(cells.get("location_id")),
        position=position,
        captured_at=fields.captured_at(cells.get("captured_at")),
        # Never the name of a folder: folders below a view are often places, and a place is a label. Sequences are learned from.
        sequence=fields.text(cells.get("sequence")),
        from_camera=True,
        from_raster=True,
        position_source=PositionSource.TABLE if position else None,
    )
    return entry if position else with_side_files(entry, sidecars)


def _rows(table: Path, folder: Path, paths: list[Path], listing: Listing) -> dict[Path, Mapping[str, Cell]]:
    """The rows of a CSV, if there is one, by the picture that they are about; `folder` is what its names start from."""
    if not has_side_file(table, listing.source, listing):
        return {}
    found, records = read_records(table)
    columns = known_columns(found, table, required=("path",))
    note_ignored(found, columns, table, listing)
    named = _by_every_name(table, folder, paths)
    rows: dict[Path, Mapping[str, Cell]] = {}
    for record in records:
        where = f"{table}:{record.number}"
        try:
            cells = renamed(record, columns)
        except RefusedError as refused:
            listing.refuse(where, refused.reason, refused.detail)
            continue
        name = str(cells.get("path") or "")
        path = named.get(name.replace("\\", "/").removeprefix("./"))
        if path is not None:
            rows[path] = cells
        else:
            listing.refuse(f"{where}: {name}", Reason.MISSING, f"no such picture in {folder.name}/")
    return rows


def _by_every_name(table: Path, folder: Path, paths: list[Path]) -> dict[str, Path]:
    """Pictures by their path from the table or from the view's folder, and by bare name where only one has it."""
    count = Counter(path.name for path in paths)
    named = {path.name: path for path in paths if count[path.name] == 1}
    for path in paths:
        named[path.relative_to(folder).as_posix()] = path
        named[path.relative_to(table.parent).as_posix()] = path
    return named
