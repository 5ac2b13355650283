"""Tables that lie beside the images of a view and say where they were taken: positions.csv and <view>.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cvgl.ingestion import fields
from cvgl.ingestion.contradictions import Row, doubtful_rows, merge_rows, positions_differ, rows_by_path
from cvgl.ingestion.entries import Listing, Reason, RefusedError
from cvgl.ingestion.manifest import known_columns, note_ignored, renamed
from cvgl.ingestion.name_matching import ImageNames
from cvgl.ingestion.records import Cell, read_table
from cvgl.ingestion.remarks import Remark, Remarks, ignore_remark
from cvgl.ingestion.walking import has_side_file

_REPEATED = "an image is named once more, and nothing else is said of it"


@dataclass(frozen=True, slots=True)
class Statement:
    """What a table says of an image: cells by meaning, and where to put remarks about them."""

    cells: Mapping[str, Cell] = field(default_factory=dict)
    remark: Remark = ignore_remark


@dataclass(frozen=True, slots=True)
class SideTable:
    """What a table says of each image.

    Attributes:
        path: of the table.
        statements: by image.
        remarks: about its rows; complete when every image has been looked at.
    """

    path: Path
    statements: dict[Path, Statement] = field(default_factory=dict)
    remarks: Remarks = field(default_factory=Remarks)

    def note_remarks(self, listing: Listing) -> None:
        """Turns the remarks into notes."""
        listing.notes += self.remarks.notes(str(self.path.relative_to(listing.source)))


def read_side_table(path: Path, folder: Path, images: Sequence[Path], listing: Listing) -> SideTable:
    """Reads a table, if it is there; rows without sense and names without an image are refused in `listing`.

    Args:
        path: of the table.
        folder: what its names start from, apart from the table's own folder.
        images: that it may be about.
        listing: takes the refusals and notes.

    Raises:
        DataError: it is no table, or has no column of names.
    """
    side = SideTable(path)
    if not has_side_file(path, listing.source, listing):
        return side
    table = read_table(path)
    columns = known_columns(table.columns, path, required=("path",))
    note_ignored(table.columns, columns, path, listing)
    listing.notes += table.notes
    names = ImageNames(images, [folder, path.parent])
    rows: list[Row] = []
    for record in table.records:
        remark = side.remarks.about(record.number)
        label = f"{path}:{record.number}"
        try:
            cells = renamed(record, columns, remark)
            name = cells.get("path")
            if not isinstance(name, str) or not name.strip():
                raise RefusedError(Reason.BAD_ROW, "the row names no image")
            label = f"{label}: {name}"
            rows.append(Row(record.number, name, *names.find(name), cells, remark))
        except RefusedError as refused:
            listing.refuse(label, refused.reason, refused.detail)
    _merge_statements(rows, side, listing)
    return side


def _merge_statements(rows: list[Row], side: SideTable, listing: Listing) -> None:
    """One statement for each image, whatever the number of rows."""
    doubts = doubtful_rows(rows)
    for row in rows:
        if row.number in doubts:
            listing.refuse(f"{side.path}:{row.number}: {row.name}", doubts[row.number].reason, doubts[row.number].detail)
        elif row.match.remark is not None:
            row.remark(row.match.remark)
    for path, group in rows_by_path(row for row in rows if row.number not in doubts).items():
        cells: Mapping[str, Cell] = group[0].cells
        if len(group) > 1:
            cells, refusals = merge_rows(group, side.path)
            listing.refusals += refusals
            if not refusals:
                group[-1].remark(_REPEATED)
        side.statements[path] = Statement(cells, group[0].remark)


def resolve_tables(tables: Sequence[SideTable], listing: Listing) -> dict[Path, Statement]:
    """What counts for each image where several tables name it: the last of them, as a whole; the rest is noted.

    Args:
        tables: the nearest to the images last.
        listing: takes a note on what is overridden.
    """
    statements: dict[Path, Statement] = {}
    for number, near in enumerate(tables):
        for far in tables[:number]:
            _note_overridden(near, far, listing)
        statements |= near.statements
    return statements


def _note_overridden(near: SideTable, far: SideTable, listing: Listing) -> None:
    both = [path for path in near.statements if path in far.statements]
    moved, lost = 0, 0
    for path in both:
        own, other = near.statements[path].cells, far.statements[path].cells
        try:
            moved += positions_differ(fields.position(own), fields.position(other))
        except RefusedError:
            moved += 1
        lost += any(fields.is_missing(own.get(name)) and not fields.is_missing(cell) for name, cell in other.items())
    names = [str(side.path.relative_to(listing.source)) for side in (near, far)]
    if moved:
        listing.notes.append(f"{names[0]} goes before {names[1]}, which has another position for {moved} of its images")
    if lost:
        listing.notes.append(f"{names[0]} goes before {names[1]}, which says more about {lost} of its images; it is not used")
