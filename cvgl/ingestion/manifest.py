"""The manifest layout: a CSV or Parquet file that names each image and says what is known about it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from cvgl.config import Layout
from cvgl.errors import DataError
from cvgl.ingestion import fields
from cvgl.ingestion.contradictions import Row, contradiction, doubtful_rows, format_position, positions_differ
from cvgl.ingestion.entries import Entry, Listing, PositionSource, Reason, RefusedError, printable, with_default_subsets
from cvgl.ingestion.labels import normalise_labels
from cvgl.ingestion.name_matching import ImageNames, Match, is_foreign
from cvgl.ingestion.records import Cell, Record, read_table
from cvgl.ingestion.remarks import Remark, Remarks, ignore_remark
from cvgl.ingestion.walking import check_side_file, is_inside

NAMES = ("manifest.csv", "manifest.tsv", "manifest.parquet")


def manifest_in(folder: Path) -> Path | None:
    """The manifest that a folder holds under one of the usual names, or None; a link out of the folder is none."""
    return next((path for path in _manifests(folder) if _problem_of(path, folder) is None), None)


def refused_manifest_in(folder: Path) -> str | None:
    """Why a folder's manifest may not be opened; None where there is none, or it may."""
    return next((problem for path in _manifests(folder) if (problem := _problem_of(path, folder)) is not None), None)


def _manifests(folder: Path) -> list[Path]:
    return [folder / name for name in NAMES if (folder / name).is_file()]


def _problem_of(path: Path, folder: Path) -> str | None:
    try:
        check_side_file(path, folder.resolve())
    except RefusedError as refused:
        return refused.detail
    return None


def list_manifest(path: Path, root: Path | None = None) -> Listing:
    """Lists the images of a manifest.

    Args:
        path: the manifest, resolved.
        root: folder that relative paths start from and that no image may leave; default: the manifest's.

    Raises:
        DataError: the file is not a table, or lacks a column without which it means nothing.
    """
    root = root or path.parent
    table = read_table(path)
    columns = known_columns(table.columns, path, required=("path", "view"))
    if ("x" in columns.values() or "y" in columns.values()) and "crs" not in columns.values():
        raise DataError(
            "the manifest has x and y but no column 'crs'",
            where=path,
            fix="add it; 'local' stands for a metric frame without a CRS",
        )
    listing = Listing(Layout.MANIFEST, path)
    note_ignored(table.columns, columns, path, listing)
    listing.notes += table.notes
    images, remarks = ManifestImages(root), Remarks()
    rows: list[Row] = []
    for record in table.records:
        remark = remarks.about(record.number)
        try:
            cells = renamed(record, columns, remark)
            rows.append(Row(record.number, str(cells.get("path")), *images.find(cells.get("path")), cells, remark))
        except RefusedError as refused:
            _refuse(record, columns, path, refused, listing)
    _list_rows(rows, {record.number: record for record in table.records}, columns, listing)
    listing.notes += remarks.notes(path.name)
    if not any(entry.position for entry in listing.entries):
        # What a manifest says, it means; where it says nothing at all of positions, tiles that know theirs may say it.
        listing.entries = [replace(entry, from_raster=entry.view.is_reference) for entry in listing.entries]
    normalise_labels(listing)
    listing.entries = with_default_subsets(listing.entries)
    return listing


def _list_rows(rows: list[Row], records: Mapping[int, Record], columns: Mapping[str, str], listing: Listing) -> None:
    doubts = doubtful_rows(rows)
    listed: list[tuple[Row, Entry]] = []
    for row in rows:
        try:
            if row.number in doubts:
                raise doubts[row.number]
            listed.append((row, _entry(row, label=f"{listing.source}:{row.number}")))
            if row.match.remark is not None:
                row.remark(row.match.remark)
        except RefusedError as refused:
            _refuse(records[row.number], columns, listing.source, refused, listing)
    listing.entries += _without_contradictions(listed, listing)


def _without_contradictions(listed: list[tuple[Row, Entry]], listing: Listing) -> list[Entry]:
    """Takes positions and labels away from images of which two rows state different ones."""
    groups: dict[Path, list[tuple[Row, Entry]]] = {}
    for row, entry in listed:
        groups.setdefault(entry.path, []).append((row, entry))
    unplaced: set[Path] = set()
    unlabelled: set[Path] = set()

    def refuse(pair: tuple[tuple[Row, Entry], ...], reason: Reason, words: str) -> None:
        (first, _), (second, entry) = pair
        refusal = contradiction(listing.source, first, second, reason, f"{words}; it is taken in without either")
        # As the row is named where a second name of an image is refused: the contradiction is the better reason.
        listing.refusals.append(replace(refusal, uri=printable(f"{entry.label}: {entry.path}"), view=entry.view))

    for path, group in groups.items():
        for pair in itertools.combinations(group, 2):
            first, second = pair[0][1], pair[1][1]
            if path not in unlabelled and first.location_id and second.location_id and first.location_id != second.location_id:
                unlabelled.add(path)
                words = f"with different cells of location_id, {first.location_id} and {second.location_id}"
                refuse(pair, Reason.CONFLICTING_LOCATION, words)
            if (
                path not in unplaced
                and first.position
                and second.position
                and positions_differ(first.position, second.position)
            ):
                unplaced.add(path)
                words = f"with different positions, {format_position(first.position)} and {format_position(second.position)}"
                refuse(pair, Reason.CONFLICTING_POSITION, words)
    entries = []
    for _, entry in listed:
        if entry.path in unplaced:
            entry = replace(entry, position=None, position_source=None)
        entries.append(replace(entry, location_id=None) if entry.path in unlabelled else entry)
    return entries


def _refuse(record: Record, columns: Mapping[str, str], path: Path, refused: RefusedError, listing: Listing) -> None:
    cells = {meaning: record.cells.get(name) for name, meaning in columns.items()}
    label = f"{path}:{record.number}"
    name = f"{label}: {cells['path']}" if cells["path"] is not None else label
    listing.refuse(name, refused.reason, refused.detail, fields.view_named(str(cells["view"] or "")))


def known_columns(names: list[str], path: Path, required: tuple[str, ...]) -> Mapping[str, str]:
    """Which of the columns that were found mean something, and what.

    Raises:
        DataError: one is missing, or two mean the same.
    """
    columns = {name: fields.COLUMNS[name] for name in names if name in fields.COLUMNS}
    for name in names:
        meaning = fields.column_meaning(name)
        if meaning is not None and meaning not in columns.values():  # our own names go first
            columns[name] = meaning
    meanings = list(columns.values())
    for name in required:
        if name not in meanings:
            raise DataError(
                f"the table has no column '{name}'; it has {', '.join(names)}",
                where=path,
                fix=f"name it so; known columns are {', '.join(sorted(set(fields.COLUMNS)))}",
            )
    twice = {meaning for meaning in meanings if meanings.count(meaning) > 1}
    if twice:
        raise DataError(f"the table has two columns for '{min(twice)}'", where=path, fix="keep one of them")
    return columns


def note_ignored(names: list[str], columns: Mapping[str, str], path: Path, listing: Listing) -> None:
    """Says which columns mean nothing here, so that a misspelt one is seen."""
    ignored = [name for name in names if name not in columns]
    if ignored:
        listing.notes.append(f"columns of {path.name} that mean nothing here were ignored: {', '.join(ignored)}")


def renamed(record: Record, columns: Mapping[str, str], remark: Remark = ignore_remark) -> Mapping[str, Cell]:
    """The cells of a row by what they mean; those that say nothing, such as NaN, NA or null, are None.

    Raises:
        RefusedError: the row as a whole cannot be used.
    """
    if record.defect:
        raise RefusedError(Reason.BAD_ROW, record.defect)
    cells: dict[str, Cell] = {}
    for name, meaning in columns.items():
        cell = record.cells[name]
        # An image may be called anything.
        if cell is not None and fields.is_missing(cell) and (meaning != "path" or not isinstance(cell, str)):
            if not isinstance(cell, str) or cell.strip():
                remark(f"NaN, NA, null and the like in the column {meaning} were taken as empty")
            cell = None
        cells[meaning] = cell
    return cells


def _entry(row: Row, label: str) -> Entry:
    cells = row.cells
    position = fields.position(cells, row.remark)
    return Entry(
        path=row.path,
        view=fields.view(cells.get("view")),
        subsets=fields.subsets(cells.get("subset")),
        location_id=fields.text(cells.get("location_id")),
        position=position,
        captured_at=fields.captured_at(cells.get("captured_at")),
        sequence=fields.text(cells.get("sequence")),
        label=label,
        position_source=PositionSource.MANIFEST if position else None,
    )


class ManifestImages:
    """The images that a manifest may name.

    Args:
        root: that paths start from, resolved.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def _names(self) -> ImageNames:
        return ImageNames.below(self._root)  # looked through only where a name leads nowhere

    def find(self, cell: Cell) -> tuple[Path, Match]:
        """The path of the image that a cell names; one that is not there is returned as it is.

        Raises:
            RefusedError: see `contained`; or the name may mean several images, or is one of another place.
        """
        try:
            path = contained(cell, self._root)
        except RefusedError as refused:
            if refused.reason is not Reason.OUTSIDE_ROOT or not is_foreign(str(cell)):
                raise
            return self._elsewhere(str(cell), refused)
        if os.path.lexists(path):
            return path, Match.EXACT
        if is_foreign(str(cell)) and not str(cell).startswith("/"):
            return self._elsewhere(str(cell), RefusedError(Reason.OUTSIDE_ROOT, "the path is one of another computer"))
        try:
            return self._names.find(str(path.relative_to(self._root)))
        except RefusedError as refused:
            if refused.reason is Reason.MISSING and refused.detail == self._names.no_match_detail:
                return path, Match.EXACT  # whoever opens it says that it is not there
            raise

    def _elsewhere(self, name: str, refused: RefusedError) -> tuple[Path, Match]:
        try:
            return self._names.find(name)
        except RefusedError as other:
            if other.reason is not Reason.MISSING:
                raise
            detail = f"{refused.detail}, and no image below {self._root} ends like it; give --root the folder that holds them"
            raise RefusedError(refused.reason, detail) from other


def contained(cell: Cell, root: Path) -> Path:
    """The absolute path that a cell names.

    Raises:
        RefusedError: no path, an address, or a path that leaves `root`, by itself or through a link.
    """
    if not isinstance(cell, str) or not cell:
        raise RefusedError(Reason.BAD_ROW, "the row names no image")
    if "\0" in cell or printable(cell) != cell:
        raise RefusedError(Reason.BAD_NAME, "the path holds characters that no file name has")
    if "://" in cell:
        raise RefusedError(Reason.OUTSIDE_ROOT, "the path is an address; fetch the image first")
    # normpath before anything touches the disk: a path that leaves the root is not even looked at.
    path = Path(os.path.normpath(root / cell))
    if not path.is_relative_to(root):
        raise RefusedError(Reason.OUTSIDE_ROOT, f"the path leaves {root}")
    try:
        inside = is_inside(path, root)
    except (OSError, RuntimeError) as error:
        raise RefusedError(Reason.UNREADABLE, f"the path cannot be followed: {error}") from error
    if not inside:
        raise RefusedError(Reason.OUTSIDE_ROOT, f"a link on the way leaves {root}")
    return path
