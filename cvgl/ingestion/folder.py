"""The folder layout: one folder for each view, with whatever lies beside the images to say where they were taken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cvgl.config import Layout
from cvgl.ingestion import fields
from cvgl.ingestion.entries import Entry, Listing, PositionSource, Reason, RefusedError, with_default_subsets
from cvgl.ingestion.georeference.sidecars import SIDECAR_SUFFIXES, Sidecars, with_side_files
from cvgl.ingestion.labels import normalise_labels
from cvgl.ingestion.side_tables import SideTable, Statement, read_side_table, resolve_tables
from cvgl.ingestion.walking import IMAGE_SUFFIXES, entries_of, files_below
from cvgl.types import View

POSITIONS = "positions.csv"


def is_folder_of_views(root: Path) -> bool:
    """Whether at least one folder in `root` is named like a view."""
    return any(path.is_dir() and fields.view_named(path.name) is not None for path in root.iterdir())


def list_folder(root: Path) -> Listing:
    """Lists one folder for each view. Positions come from a CSV, else a raster's own, else the image's EXIF.

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
            view_names = ", ".join(sorted(fields.VIEW_NAMES))
            listing.refuse(path, Reason.UNKNOWN_FOLDER, f"the name is not a view's; known are {view_names}")
        else:
            views[path] = view
    _judge_beside(beside, views, listing)
    files_by_folder = {folder: list(files_below(folder, root, listing)) for folder in views}
    common = read_side_table(root / POSITIONS, root, [path for paths in files_by_folder.values() for path in paths], listing)
    for folder, view in views.items():
        _list_view(folder, view, files_by_folder[folder], common, listing)
    common.note_remarks(listing)
    normalise_labels(listing)
    listing.entries = with_default_subsets(listing.entries)
    return listing


def _judge_beside(beside: list[Path], views: Mapping[Path, View], listing: Listing) -> None:
    """Says what was not looked at among the files beside the views' folders."""
    tables = {POSITIONS, *(f"{folder.name}.csv" for folder in views)}
    for path in beside:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            listing.refuse(path, Reason.MISPLACED, "it lies in no view's folder, such as drone/ or satellite/")
        elif path.name not in tables:
            listing.skip("beside the views' folders", path)
            listing.notes.append(f"{path.name} lies beside the views' folders and was passed over")


def _list_view(folder: Path, view: View, paths: list[Path], common: SideTable, listing: Listing) -> None:
    own = folder / POSITIONS
    tables = [common, *(read_side_table(path, folder, paths, listing) for path in (_beside(folder), own))]
    statements = resolve_tables(tables, listing)  # what another view's images are told in `common` does no harm
    sidecars: dict[Path, Sidecars] = {}
    for path in paths:
        suffix = path.suffix.lower()
        if suffix in SIDECAR_SUFFIXES or path == own:
            continue
        if suffix not in IMAGE_SUFFIXES:
            listing.refuse(path, Reason.NOT_AN_IMAGE, f"'{suffix}' is not the ending of an image")
            continue
        if path.parent not in sidecars:
            sidecars[path.parent] = Sidecars(path.parent, listing.source)
        try:
            listing.entries.append(_entry(path, view, statements.get(path, Statement()), sidecars[path.parent]))
        except RefusedError as refused:
            listing.refuse(path, refused.reason, refused.detail, view)
    for path in (side for beside in sidecars.values() for side in beside.unused()):
        listing.skip("beside images, of no use for their positions", path)
    for table in tables[1:]:
        table.note_remarks(listing)


def _beside(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.csv"


def _entry(path: Path, view: View, stated: Statement, sidecars: Sidecars) -> Entry:
    cells = stated.cells
    position = fields.position(cells, stated.remark)
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
