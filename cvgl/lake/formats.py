"""The version of each kind of file in a lake: the one place that declares them.

A file that bears no version is of version 1. Older versions are read: missing columns become null, and what has to be
changed besides is declared in `_UPGRADES`. Newer ones are refused, and nothing is ever said to be deleted for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvgl.errors import DamagedError, LakeError, NewerFormatError
from cvgl.hashing import digest_json

if TYPE_CHECKING:
    import pyarrow as pa

RESTORE = "restore it from a backup, or move it away and run the stage that writes it again"
FORMAT = "format"  # the field of a JSON record
SEAL = "seal"  # the field of a JSON record that holds a hash of its others: a turned bit would be read as another number
PARQUET_FORMAT = b"cvgl.format"  # the key in a Parquet file's schema

# Raise one when its files change in a way that an earlier cvgl would read wrongly, and say in `_UPGRADES` how older files are
# read. A new nullable column needs the raise alone.
TABLES: Mapping[str, int] = {
    "images": 1,
    "ground_truth": 1,
    "quarantine": 1,
    "tombstones": 1,
    "decisions": 1,
    "features": 1,
    "metrics": 1,
    "queries": 1,
    "gate_rows": 2,  # 2: metres
    "map_references": 1,
    "shards": 1,
}
RECORDS: Mapping[str, int] = {
    "adapter": 2,
    "alignment": 1,
    "batch": 1,
    "batch_files": 1,
    "cost": 1,
    "current_map": 1,
    "gate_decision": 1,
    "map_manifest": 1,
    "measurement": 1,
    "model": 1,
    "quality": 1,
    "registration": 1,
    "report": 1,
    "selection": 1,
    "source": 1,
    "vocabulary": 1,
}

_UNNAMED: Mapping[str, int] = {"adapter": 2}  # versions of records that bear none, where it is not the first

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
# (kind, version) -> what makes a record of that version one of the next.
_UPGRADES: Mapping[tuple[str, int], Upgrade] = {}
# Columns of tables that must not be null and that older files lack.
_DEFAULTS: Mapping[tuple[str, str], Any] = {}


def check_version(kind: str, version: Any, path: Path) -> None:
    """Refuses a version that this cvgl does not know.

    Raises:
        NewerFormatError: it is newer.
        DamagedError: it is no version.
    """
    newest = {**TABLES, **RECORDS}[kind]
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise DamagedError(f"the version of a file of the lake is {version!r}", where=path, fix="restore it from a backup")
    if version > newest:
        raise NewerFormatError(
            f"this file was written by a newer cvgl (format {version} of '{kind}'; this one reads up to {newest})",
            where=path,
            fix="update cvgl; the file is sound and stays as it is",
        )


def upgraded(kind: str, value: dict[str, Any], path: Path) -> dict[str, Any]:
    """A JSON record in the form of today, without its version.

    Raises:
        NewerFormatError, DamagedError: as `check_version`.
        LakeError: the version is so old that nothing reads it any more.
    """
    content = {name: field for name, field in value.items() if name != SEAL}
    version = content.pop(FORMAT, _UNNAMED.get(kind, 1))
    check_version(kind, version, path)
    # Records of before seals have none, and are read as they are.
    if SEAL in value and value[SEAL] != digest_json({**content, FORMAT: version}):
        raise DamagedError("a record of the lake is not what was written: its seal does not fit", where=path, fix=RESTORE)
    for older in range(version, RECORDS[kind]):
        upgrade = _UPGRADES.get((kind, older))
        if upgrade is None:
            raise LakeError(
                f"this file is of format {version} of '{kind}', which this cvgl does not read any more",
                where=path,
                fix="run the stage that writes it again, in another lake if this one is to stay as it is",
            )
        content = upgrade(content)
    return content


def versioned(kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON record with its version and its seal."""
    content = json.loads(json.dumps({**value, FORMAT: RECORDS[kind]}))  # as it will be read
    return {**content, SEAL: digest_json(content)}


def parquet_version(metadata: Mapping[bytes, bytes] | None, path: Path) -> int:
    """The version that a Parquet file's schema bears.

    Raises:
        DamagedError: it is no number.
    """
    text = (metadata or {}).get(PARQUET_FORMAT, b"1")
    if not text.isdigit() or len(text) > 6:
        raise DamagedError(f"the version of a table is {text!r}", where=path, fix="restore the file from a backup")
    return int(text)


def schema_of(kind: str) -> pa.Schema | None:
    """The columns of a table; None where they depend on the model (features, references of a map)."""
    from cvgl import schemas

    declared: pa.Schema | None = getattr(schemas, kind.upper(), None)
    return declared


def conformed(kind: str, table: pa.Table, path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A table with the columns of today, in their order and types; its metadata stays.

    Args:
        kind: of the table.
        table: as it was read.
        path: for messages.
        columns: those wanted; default: all.

    Raises:
        NewerFormatError: it is of a newer version.
        DamagedError: it has columns that no version has, lacks one that every version has, or has one of another type.
    """
    check_version(kind, parquet_version(table.schema.metadata, path), path)
    schema = schema_of(kind)
    if schema is None:
        return table
    unknown = sorted(set(table.column_names) - set(schema.names))
    if unknown:
        raise DamagedError(
            f"a table of '{kind}' has columns that this cvgl does not know: {', '.join(unknown)}",
            where=path,
            fix="update cvgl if a newer one wrote the file, else restore it from a backup",
        )
    wanted = [field for field in schema if columns is None or field.name in columns]
    arrays = [_column(kind, field, table, path) for field in wanted]
    names = [field.name for field in wanted]
    import pyarrow as pa

    if not wanted:
        return table
    return pa.table(arrays, schema=pa.schema(wanted, metadata=table.schema.metadata)).select(names)


def check_columns(kind: str, schema: pa.Schema, path: Path) -> None:
    """As `conformed`, of the schema that a file's footer tells; nothing is read.

    Raises:
        NewerFormatError, DamagedError: as `conformed`.
    """
    if schema_of(kind) is None:
        check_version(kind, parquet_version(schema.metadata, path), path)
    else:
        conformed(kind, schema.empty_table(), path)


def _column(kind: str, field: pa.Field, table: pa.Table, path: Path) -> Any:
    import pyarrow as pa

    if field.name in table.column_names:
        column = table.column(field.name)
        try:
            return column if column.type == field.type else column.cast(field.type)
        except pa.ArrowException as error:
            raise DamagedError(
                f"the column '{field.name}' of a table of '{kind}' is {column.type}, not {field.type}",
                where=path,
                fix="restore the file from a backup",
            ) from error
    if field.nullable:
        return pa.nulls(table.num_rows, field.type)
    if (kind, field.name) in _DEFAULTS:
        return pa.repeat(pa.scalar(_DEFAULTS[kind, field.name], field.type), table.num_rows)
    raise DamagedError(f"a table of '{kind}' lacks the column '{field.name}'", where=path, fix="restore the file from a backup")
