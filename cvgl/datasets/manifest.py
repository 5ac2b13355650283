"""The manifest layout: a CSV or Parquet file that names each picture and says what is known about it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cvgl.config import Layout
from cvgl.datasets import fields
from cvgl.datasets.entries import Entry, Listing, PositionSource, Reason, RefusedError, printable, with_default_subsets
from cvgl.datasets.records import Cell, Record, read_records
from cvgl.datasets.walking import check_side_file, is_inside
from cvgl.errors import DataError

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
    """Lists the pictures of a manifest.

    Args:
        path: the manifest, resolved.
        root: folder that relative paths start from and that no picture may leave; default: the manifest's.

    Raises:
        DataError: the file is not a table, or lacks a column without which it means nothing.
    """
    root = root or path.parent
    found, records = read_records(path)
    columns = known_columns(found, path, required=("path", "view"))
    if ("x" in columns.values() or "y" in columns.values()) and "crs" not in columns.values():
        raise DataError(
            "the manifest has x and y but no column 'crs'",
            where=path,
            fix="add it; 'local' stands for a metric frame without a CRS",
        )
    listing = Listing(Layout.MANIFEST, path)
    note_ignored(found, columns, path, listing)
    for record in records:
        name = f"{path}:{record.number}"
        try:
            listing.entries.append(_entry(renamed(record, columns), root, label=name))
        except RefusedError as refused:
            cell = record.cells.get(next(key for key, meaning in columns.items() if meaning == "path"))
            where = f"{name}: {cell}" if cell is not None else name
            listing.refuse(where, refused.reason, refused.detail)
    if not any(entry.position for entry in listing.entries):
        # What a manifest says, it means; where it says nothing at all of positions, tiles that know theirs may say it.
        listing.entries = [replace(entry, from_raster=entry.view.is_reference) for entry in listing.entries]
    listing.entries = with_default_subsets(listing.entries)
    return listing


def known_columns(found: list[str], path: Path, required: tuple[str, ...]) -> Mapping[str, str]:
    """Which of the columns that were found mean something, and what.

    Raises:
        DataError: one is missing, or two mean the same.
    """
    columns = {name: fields.COLUMNS[name] for name in found if name in fields.COLUMNS}
    meanings = list(columns.values())
    for name in required:
        if name not in meanings:
            raise DataError(
                f"the table has no column '{name}'; it has {', '.join(found)}",
                where=path,
                fix=f"name it so; known columns are {', '.join(sorted(set(fields.COLUMNS)))}",
            )
    twice = {meaning for meaning in meanings if meanings.count(meaning) > 1}
    if twice:
        raise DataError(f"the table has two columns for '{min(twice)}'", where=path, fix="keep one of them")
    return columns


def note_ignored(found: list[str], columns: Mapping[str, str], path: Path, listing: Listing) -> None:
    """Says which columns mean nothing here, so that a misspelt one is seen."""
    ignored = [name for name in found if name not in columns]
    if ignored:
        listing.notes.append(f"columns of {path.name} that mean nothing here were ignored: {', '.join(ignored)}")


def renamed(record: Record, columns: Mapping[str, str]) -> Mapping[str, Cell]:
    """The cells of a row by what they mean.

    Raises:
        RefusedError: the row as a whole cannot be used.
    """
    if record.defect:
        raise RefusedError(Reason.BAD_ROW, record.defect)
    return {meaning: record.cells[name] for name, meaning in columns.items()}


def _entry(cells: Mapping[str, Cell], root: Path, label: str) -> Entry:
    position = fields.position(cells)
    return Entry(
        path=contained(cells.get("path"), root),
        view=fields.view(cells.get("view")),
        subsets=fields.subsets(cells.get("subset")),
        location_id=fields.text(cells.get("location_id")),
        position=position,
        captured_at=fields.captured_at(cells.get("captured_at")),
        sequence=fields.text(cells.get("sequence")),
        label=label,
        position_source=PositionSource.MANIFEST if position else None,
    )


def contained(cell: Cell, root: Path) -> Path:
    """The absolute path that a cell names.

    Raises:
        RefusedError: no path, an address, or a path that leaves `root`, by itself or through a link.
    """
    if not isinstance(cell, str) or not cell:
        raise RefusedError(Reason.BAD_ROW, "the row names no picture")
    if "\0" in cell or printable(cell) != cell:
        raise RefusedError(Reason.BAD_NAME, "the path holds characters that no file name has")
    if "://" in cell:
        raise RefusedError(Reason.OUTSIDE_ROOT, "the path is an address; fetch the picture first")
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
