"""Reading files of a lake. What cannot be read now is not what is damaged, and only the latter is ever written again."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvgl.errors import DamagedError, LakeError, UnreadableError
from cvgl.lake import formats
from cvgl.lake.seal import Footer, look_at_footer

if TYPE_CHECKING:
    import pyarrow as pa

_RIGHTS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_MEND_RIGHTS = "give this user the right to it (ls -l, chown, chmod, the mount's options); nothing was changed"
_MEND_DISK = "check the disk, the mount or the limits of the process, and try again; nothing was changed"


def unreadable(error: OSError, path: Path, doing: str = "read") -> LakeError:
    """What the operating system refused, as an error of the lake.

    Args:
        error: with its errno.
        path: that it is about.
        doing: what was tried, for the message.
    """
    if isinstance(error, FileNotFoundError) and doing == "read":
        return LakeError("a file of the lake is missing", where=path, fix="run the stage that writes it again")
    reason = error.strerror or str(error)
    fix = _MEND_RIGHTS if error.errno in _RIGHTS else _MEND_DISK
    return UnreadableError(f"a file of the lake cannot be {doing}: {reason}", where=path, fix=fix)


def read_bytes(path: Path) -> bytes:
    """The content of a file of the lake.

    Raises:
        LakeError: it is missing.
        UnreadableError: the system does not let it be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(error, path) from error


def read_json(path: Path) -> Any:
    """Reads a JSON file of the lake.

    Raises:
        LakeError: the file is missing.
        UnreadableError: the system does not let it be read.
        DamagedError: it is not JSON.
    """
    data = read_bytes(path)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"a file of the lake is not JSON: {error}", where=path, fix=formats.RESTORE) from error


def read_versioned(path: Path, kind: str) -> dict[str, Any]:
    """Reads a JSON record of the lake, in the form of today and without its version.

    Args:
        path: of the file.
        kind: one of `formats.RECORDS`.

    Raises:
        LakeError: missing, unreadable, damaged, or of a version that this cvgl does not read.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise DamagedError("a record of the lake is not valid: it is not a JSON object", where=path, fix=formats.RESTORE)
    return formats.upgraded(kind, value, path)


def read_parquet(path: Path, columns: Sequence[str] | None = None, *, kind: str | None = None) -> pa.Table:
    """Reads one Parquet file, with its schema metadata. Checksums of pages and footer are verified.

    Args:
        path: of the file.
        columns: those wanted; default: all.
        kind: one of `formats.TABLES`, whose columns of today the answer has; default: those that the file has.

    Raises:
        LakeError: the file is missing.
        UnreadableError: the system does not let it be read.
        DamagedError: its content is not what was written.
        NewerFormatError: it is of a newer version.
    """
    check_seal(path)
    table = _arrow(path, lambda file: _columns(file, path, columns, kind))
    return table if kind is None else formats.conformed(kind, table, path, columns)


def read_schema(path: Path) -> pa.Schema:
    """Columns, types and metadata of a Parquet file; see `read_parquet`."""
    check_seal(path)
    schema: pa.Schema = _arrow(path, lambda file: file.schema_arrow)
    return schema


def check_seal(path: Path) -> tuple[Footer, str]:
    """Whether a Parquet file's footer is what was written; see `seal.look_at_footer`.

    Raises:
        LakeError, UnreadableError: as `read_bytes`.
        DamagedError: it is not.
    """
    try:
        state, digest = look_at_footer(path)
    except OSError as error:
        raise unreadable(error, path) from error
    if state is Footer.DAMAGED:
        raise damaged("the checksum of its footer is wrong", path)
    return state, digest


def damaged(reason: object, path: Path) -> DamagedError:
    """The error for a Parquet file whose content is not what was written."""
    return DamagedError(f"a file of the lake is damaged: {reason}", where=path, fix=formats.RESTORE)


def _columns(file: Any, path: Path, columns: Sequence[str] | None, kind: str | None) -> pa.Table:
    if kind is None or columns is None or formats.schema_of(kind) is None:
        return file.read(columns=columns)
    present = [name for name in file.schema_arrow.names if name in columns]
    # A name that no version has is looked for in the whole of the file, not in what was asked for.
    formats.check_columns(kind, file.schema_arrow, path)
    return file.read(columns=present)


def _arrow(path: Path, use: Callable[[Any], Any]) -> Any:
    """Calls a function with an open ParquetFile, and sorts out what goes wrong.

    Arrow raises an OSError with an errno for what the system refuses, and one without for pages that fail their checksum or
    a broken header; everything else that it raises is about the content. Content is only called damaged when bytes that
    Python has read say the same.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Not its subclasses that are about the process: ArrowMemoryError, ArrowCancelled.
    about_content = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowKeyError, UnicodeDecodeError)

    def attempt(source: Any) -> Any:
        # ParquetFile, not read_table: the latter would add the folder's `dataset=` as a column.
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            return use(file)

    try:
        return attempt(path)
    except OSError as error:
        if error.errno is not None:
            raise unreadable(error, path) from error
    except about_content:
        pass
    data = read_bytes(path)
    try:
        return attempt(io.BytesIO(data))
    except (OSError, *about_content) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(error, path) from error
        raise damaged(error, path) from error
