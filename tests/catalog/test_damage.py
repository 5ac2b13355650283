"""No query reads a damaged file as other values, whichever bit is wrong."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvgl import schemas
from cvgl.catalog import run_query
from cvgl.config import Layout
from cvgl.errors import CvglError, DamagedError, DataError
from cvgl.features import FeatureStore
from cvgl.ingestion import tables
from cvgl.lake import Lake, read_parquet, read_schema
from cvgl.lake.seal import SEAL, Footer, look_at_footer

_BITS = 220  # in all four tests together
_QUERIES = (
    "SELECT image_id, uri, width, latitude, crs, subsets FROM images ORDER BY ALL",
    "SELECT count(*), sum(width) FROM images WHERE latitude > 10.5 AND width < 30",  # leaves row groups out by statistics
)


@pytest.fixture
def batch(lake: Lake) -> Path:
    """A batch of pictures."""
    blank = dict.fromkeys(("x", "y", "captured_at", "sequence"))
    rows = [
        {
            **blank,
            "image_id": f"{number:032x}",
            "uri": f"/pictures/{number}.jpg",
            "view": "satellite",
            "subsets": ["gallery", "train"],
            "width": number,
            "height": 8,
            "latitude": number / 2,
            "longitude": 9.0,
            "crs": "EPSG:4326",
        }
        for number in range(40)
    ]
    path = tables.add_batch(lake.images("a"), rows, schemas.IMAGES, Layout.FOLDER, "/")
    assert path is not None
    return path


def unsealed(path: Path) -> None:
    """The file as 13db401 wrote it: pages bear checksums, the footer none, and no version."""
    table = read_parquet(path)
    metadata = {key: value for key, value in table.schema.metadata.items() if key != b"cvgl.format"}
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="none", write_page_checksum=True)
    assert look_at_footer(path)[0] is Footer.UNSEALED


def answers(lake: Lake) -> list[object]:
    return [run_query(lake, query).rows for query in _QUERIES]


def attempt(lake: Lake) -> object:
    """What the queries answer, or the error that they end in."""
    try:
        return answers(lake)
    except CvglError as error:
        return error


@pytest.mark.parametrize("sealed", [True, False], ids=["today", "13db401"])
@pytest.mark.parametrize("part", ["pages", "footer"])
def test_one_wrong_bit_is_an_error_or_changes_nothing(lake: Lake, batch: Path, sealed: bool, part: str) -> None:
    if not sealed:
        unsealed(batch)
    right, content = answers(lake), batch.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    places = range(footer) if part == "pages" else range(footer, len(content))
    draw = random.Random(7)
    refused = 0
    for _ in range(_BITS // 4):
        damage = bytearray(content)
        damage[draw.choice(places)] ^= 1 << draw.randrange(8)
        batch.write_bytes(damage)
        answer = attempt(lake)
        assert answer == right or isinstance(answer, DataError)
        refused += batch.name in str(answer)
    assert refused > _BITS // 8, "most damages are told, with the file's name"
    batch.write_bytes(content)
    assert answers(lake) == right


def test_a_query_that_reads_other_tables_is_answered(lake: Lake, batch: Path) -> None:
    batch.write_bytes(batch.read_bytes()[:-20])
    assert run_query(lake, "SELECT count(*) FROM ground_truth").rows == [(0,)]
    with pytest.raises(DataError) as raised:
        run_query(lake, "SELECT count(*) FROM images")
    assert raised.value.where == str(batch)


def test_a_wrong_bit_of_a_descriptor_is_an_error(lake: Lake) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 16)).astype(np.float32)
    part = FeatureStore(lake.features("m", "a")).add([f"i{row:02d}" for row in range(50)], rows, {})
    content = bytearray(part.read_bytes())
    content[content.index(rows[20, 3].tobytes())] ^= 1  # the last bit of a mantissa
    part.write_bytes(content)
    with pytest.raises(DataError) as raised:
        run_query(lake, "SELECT descriptor[4] FROM features")
    assert raised.value.where == str(part)


def test_a_footer_without_its_checksum_is_read_and_a_wrong_one_refused(tmp_path: Path, batch: Path) -> None:
    content = batch.read_bytes()
    assert look_at_footer(batch)[0] is Footer.WHOLE
    begin = content.index(SEAL)
    batch.write_bytes(content[: begin + len(SEAL)] + bytes(32) + content[begin + len(SEAL) + 32 :])
    for read in (read_parquet, read_schema):
        with pytest.raises(DamagedError):
            read(batch)
    batch.write_bytes(content)
    unsealed(batch)
    assert read_parquet(batch).num_rows == 40


def test_other_readers_take_a_sealed_file(batch: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    assert pq.read_table(str(batch), partitioning=None).num_rows == 40
    with duckdb.connect() as connection:
        assert connection.execute("SELECT sum(width) FROM read_parquet(?)", [str(batch)]).fetchall() == [(780,)]


def test_what_was_found_right_is_remembered_by_its_footer(lake: Lake, batch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cvgl.catalog import verified

    unsealed(batch)
    right = answers(lake)

    def unexpected(table: pa.Table, path: Path) -> None:
        raise AssertionError(f"{path} is looked at again")

    with monkeypatch.context() as patch:
        patch.setattr(verified, "_check_statistics", unexpected)
        assert answers(lake) == right
    (lake.root / "cache" / "verified.json").write_text("[")
    assert answers(lake) == right, "a damaged cache is none"
