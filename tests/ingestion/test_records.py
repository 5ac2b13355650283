"""Tables as people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvgl.errors import DataError
from cvgl.ingestion.entries import Reason, RefusedError
from cvgl.ingestion.fields import captured_at
from cvgl.ingestion.records import read_records, read_table


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
        ("t.csv", b"path,view\n\x81\x8d.jpg,drone\n", "UTF-8"),
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


TEXT = "Path,view,location_id\r\nKöln.jpg,drone,ß7\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_the_encodings_of_spreadsheets_are_read(tmp_path: Path, encoding: str) -> None:
    table = read_table(written(tmp_path / "t.csv", TEXT.encode(encoding)))
    assert table.columns == ["path", "view", "location_id"]
    assert table.records[0].cells == {"path": "Köln.jpg", "view": "drone", "location_id": "ß7"}
    certain = encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32")  # the others have no mark
    assert [encoding in note for note in table.notes] == [] if certain else [True]


@pytest.mark.parametrize(
    "data",
    [
        "path,view,\na.jpg,drone,\n",
        "path,view,\na.jpg,drone\n",
        "path,view\na.jpg,drone,\n",
        "path,view\na.jpg,drone,,  ,\n",
        "path;view;\na.jpg;drone;\n",
        "path\tview\t\na.jpg\tdrone\t\n",
        "sep=;\npath;view\na.jpg;drone\n",
        '"sep=\t"\npath\tview\na.jpg\tdrone\n',
        '\ufeff"path",view\na.jpg,drone\n',
        "\ufeff\ufeffpath,view\na.jpg,drone\n",
    ],
)
def test_a_separator_too_many_and_what_spreadsheets_put_first_do_no_harm(tmp_path: Path, data: str) -> None:
    columns, (record,) = read_records(written(tmp_path / "t.csv", data))
    assert (columns, record.cells, record.defect) == (["path", "view"], {"path": "a.jpg", "view": "drone"}, "")


def test_decimal_commas_between_commas_are_named(tmp_path: Path) -> None:
    _, records = read_records(written(tmp_path / "t.csv", "path,latitude,longitude\na.jpg,52,5200,13,4050\nb.jpg,x,y,more\n"))
    assert ["decimal commas" in record.defect for record in records] == [True, False]
    assert all(record.defect for record in records)


def test_cells_of_parquet_that_python_has_no_value_for_lose_no_others(tmp_path: Path) -> None:
    offsets = pa.array([0, 1, 6], pa.int32()).buffers()[1]
    table = pa.table(
        {
            "path": pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"\xb5a.jpg")]),
            "captured_at": pa.array([0, 2**62], pa.timestamp("us")),
            "sequence": pa.array([0, 0], pa.timestamp("ns", "Nowhere/Land")),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    _, (first, second) = read_records(tmp_path / "t.parquet")
    assert (first.cells["path"], second.cells["path"]) == ("\\xb5", "a.jpg")
    assert first.cells["captured_at"] == datetime(1970, 1, 1)
    assert first.cells["sequence"] == datetime(1970, 1, 1, tzinfo=UTC)
    with pytest.raises(RefusedError) as caught:
        captured_at(second.cells["captured_at"])
    assert caught.value.reason is Reason.BAD_TIME


def test_a_damaged_page_of_parquet_is_an_error_and_no_other_number(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table({"path": ["a.jpg"], "latitude": [47.25]}),
        path,
        compression="none",
        use_dictionary=False,
        write_page_checksum=True,
        write_statistics=False,
    )
    data = bytearray(path.read_bytes())
    data[data.index(np.float64(47.25).tobytes()) + 6] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"Parquet|read"):
        read_records(path)
