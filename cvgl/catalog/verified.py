"""Parquet files as one lazy Arrow source, each verified before a query reads it.

DuckDB's own reader checks no checksum at all, and Arrow's data sets check none unless told to, so a damaged page is read as
other values. Here pages are checked by Arrow while they are scanned, and before that what no page checksum covers: the footer
of each file, by its seal (`cvgl.lake.seal`). A file of an earlier version has none; it is read whole, once, and its footer's
statistics are compared with what is in it. The hash of a footer that was found right is remembered in the lake's cache.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as fs
import pyarrow.parquet as pq

from cvgl.errors import LakeError
from cvgl.lake import Lake, formats, read_parquet, read_schema, write_json
from cvgl.lake.reading import check_seal, damaged
from cvgl.lake.seal import Footer


class Verified:
    """What one connection knows of the files that its queries have touched.

    Attributes:
        problem: what was wrong with a file; None where nothing was.
        touched: the files that queries were to read, with their kinds.
    """

    def __init__(self, lake: Lake) -> None:
        self._root, self._path = lake.root, lake.root / "cache" / "verified.json"
        self.problem: LakeError | None = None
        self.touched: dict[Path, str] = {}
        self._footers: dict[str, str] | None = None  # of unsealed files, by their path in the lake

    def check(self, files: Sequence[Path], kind: str) -> None:
        """Makes sure of the footers of files.

        Raises:
            LakeError: one is damaged, unreadable or of a newer version; it is also in `problem`.
        """
        new = False
        try:
            for path in files:
                if path not in self.touched:
                    new |= self._check(path, kind)
                    self.touched[path] = kind
        except LakeError as error:
            self.problem = error
            raise
        finally:
            if new:
                self._remember()

    def look_again(self) -> None:
        """Reads what was touched whole, to name the file that is damaged, if one is.

        Raises:
            LakeError: one is.
        """
        for path, kind in self.touched.items():
            read_parquet(path, kind=kind)

    def _check(self, path: Path, kind: str) -> bool:
        """Whether something was found out that is worth remembering."""
        state, digest = check_seal(path)
        if state is Footer.WHOLE:
            formats.check_columns(kind, read_schema(path), path)
            return False
        name = str(path.relative_to(self._root))
        if self._known().get(name) == digest:
            return False
        table = read_parquet(path)
        formats.conformed(kind, table, path)
        _check_statistics(table, path)
        self._known()[name] = digest
        return True

    def _known(self) -> dict[str, str]:
        if self._footers is None:
            try:
                value = json.loads(self._path.read_bytes())
            except (OSError, ValueError, RecursionError):
                value = {}  # a cache
            self._footers = {str(name): str(digest) for name, digest in value.items()} if isinstance(value, dict) else {}
        return self._footers

    def _remember(self) -> None:
        try:
            write_json(self._path, self._known())
        except (LakeError, OSError):
            return  # a lake that cannot be written is read all the same


class VerifiedDataset(ds.FileSystemDataset):  # type: ignore[misc] # pyarrow has no types
    """Arrow's data set, whose files are verified when a query begins to read them."""

    verified: Verified
    files_of_table: Sequence[Path]
    kind: str

    def scanner(self, *args: Any, **kwargs: Any) -> Any:
        """Called by DuckDB for each scan of the table."""
        self.verified.check(self.files_of_table, self.kind)
        return super().scanner(*args, **kwargs)


def verified_dataset(
    root: Path, files: Mapping[Path, Any], schema: pa.Schema, kind: str, verified: Verified
) -> VerifiedDataset:
    """A data set of files below a folder.

    Args:
        root: the folder.
        files: relative paths, each with what its name says, as an Arrow expression.
        schema: of the table; columns that a file lacks are null.
        kind: one of `formats.TABLES`.
        verified: what is known of them.
    """
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    file_format = ds.ParquetFileFormat(default_fragment_scan_options=options)
    disk = fs.SubTreeFileSystem(str(root), fs.LocalFileSystem())
    fragments = [file_format.make_fragment(str(path), disk, partition) for path, partition in files.items()]
    dataset = VerifiedDataset(fragments, schema, file_format, disk)
    dataset.verified, dataset.files_of_table, dataset.kind = verified, [root / path for path in files], kind
    return dataset


def _check_statistics(table: pa.Table, path: Path) -> None:
    """Holds the statistics of an unsealed file against those that its content gives.

    Raises:
        DamagedError: they differ.
    """
    with pq.ParquetFile(path) as file:
        stored = file.metadata
    if stored.num_rows != table.num_rows:
        raise damaged(f"the footer tells of {stored.num_rows} rows, and there are {table.num_rows}", path)
    sink = pa.BufferOutputStream()
    rows = max((stored.row_group(group).num_rows for group in range(stored.num_row_groups)), default=1)
    pq.write_table(table, sink, row_group_size=max(rows, 1))
    actual = pq.read_metadata(pa.BufferReader(sink.getvalue()))
    for group in range(min(stored.num_row_groups, actual.num_row_groups)):
        ours, theirs = _statistics(actual.row_group(group)), _statistics(stored.row_group(group))
        wrong = sorted(column for column in theirs if ours.get(column) != theirs[column])
        if wrong:
            raise damaged(f"the statistics of {', '.join(wrong)} in its footer are wrong", path)


def _statistics(group: Any) -> dict[str, str]:
    statistics = {}
    for number in range(group.num_columns):
        column = group.column(number)
        column_statistics = column.statistics
        if column_statistics is not None:
            limits = (column_statistics.min, column_statistics.max) if column_statistics.has_min_max else None
            statistics[column.path_in_schema] = repr(
                (limits, column_statistics.null_count if column_statistics.has_null_count else None)
            )
    return statistics
