"""Tables as people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvgl.datasets.records import read_records
from cvgl.errors import DataError


def written(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_any_usual_separator_mark_and_line_end(tmp_path: Path, separator: str) -> None:
    lines = [" Path ", "view"], ["a b.jpg", "drone"], ["", ""], ["ü.jpg", "drone"]
    data = b"\xef\xbb\xbf" + "\r\n".join(separator.join(line) for line in lines).encode()
    columns, records = read_records(written(tmp_path / "t.csv", data))
    assert columns == ["path", "view"]
    assert [(record.number, record.cells["path"]) for record in records] == [(2, "a b.jpg"), (4, "ü.jpg")]


def test_quotes_newlines_and_blanks_in_names_stay(tmp_path: Path) -> None:
    _, records = read_records(written(tmp_path / "t.csv", 'path,view\n" a,""b""\nc.jpg ",drone\n'))
    assert records[0].cells["path"] == ' a,"b"\nc.jpg '


def test_a_row_of_another_length_is_marked(tmp_path: Path) -> None:
    _, records = read_records(written(tmp_path / "t.csv", "path,view\na.jpg\nb.jpg,drone,more\nc.jpg,drone\n"))
    assert [bool(record.defect) for record in records] == [True, True, False]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"", "empty"),
        ("t.csv", b"path,view\n\xff\xfe.jpg,drone\n", "UTF-8"),
        ("t.csv", b'path,view\n"a.jpg,drone\n', "valid CSV"),
        ("t.csv", b"path,view,Path\n", "twice"),
        ("t.parquet", b"PAR1 no", "Parquet"),
        ("t.parquet", b"", "Parquet"),
    ],
)
def test_what_is_no_table_is_an_error_that_says_where(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    path = written(tmp_path / name, data)
    with pytest.raises(DataError, match=message) as caught:
        read_records(path)
    assert caught.value.where == str(path)


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_records(tmp_path / "none.csv")


def test_parquet_keeps_types_and_survives_nanoseconds_and_dictionaries(tmp_path: Path) -> None:
    moment = datetime(2024, 5, 31, 12, tzinfo=UTC)
    table = pa.table(
        {
            "path": pa.array(["a.jpg"]).dictionary_encode(),
            "captured_at": pa.array([1717156800000000001], pa.timestamp("ns", tz="UTC")),
            "latitude": [47.5],
            "subset": [["train"]],
        }
    )
    pq.write_table(table, tmp_path / "dataset=x.parquet")
    _, records = read_records(tmp_path / "dataset=x.parquet")
    assert records[0].cells == {"path": "a.jpg", "captured_at": moment, "latitude": 47.5, "subset": ["train"]}
