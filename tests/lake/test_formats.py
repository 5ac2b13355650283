"""Older files are read beside newer ones; those of a newer cvgl are refused, and nobody is told to delete them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvgl import schemas
from cvgl.arrival import batches
from cvgl.catalog import run_query
from cvgl.config import Layout
from cvgl.errors import CvglError, DamagedError, LakeError, NewerFormatError
from cvgl.features import FeatureStore
from cvgl.ingestion import tables
from cvgl.lake import Lake, formats, read_parquet, read_schema, read_versioned, write_parquet, write_versioned
from cvgl.localization.bundle import read_current
from tests.lake.archive import DATASET, runs, unpacked


def image(number: int) -> dict[str, Any]:
    blank = dict.fromkeys(("latitude", "longitude", "x", "y", "crs", "captured_at", "sequence"))
    names = {"image_id": f"i{number}", "uri": f"/p/{number}.jpg", "view": "drone", "subsets": ["query"]}
    return {**blank, **names, "width": 8, "height": 8}


def add(lake: Lake, *numbers: int) -> Path:
    path = tables.add_batch(lake.images("a"), [image(n) for n in numbers], schemas.IMAGES, Layout.FOLDER, "/")
    assert path is not None
    return path


def rewritten(path: Path, table: pa.Table, version: int | None) -> None:
    """A file by another hand: no seal, and a version or none."""
    metadata = {key: value for key, value in (table.schema.metadata or {}).items() if key != formats.PARQUET_FORMAT}
    if version is not None:
        metadata[formats.PARQUET_FORMAT] = str(version).encode()
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="none", write_page_checksum=True)


def test_every_table_and_record_declares_its_version() -> None:
    for kind in formats.TABLES:
        schema = formats.schema_of(kind)
        assert (schema is None) == (kind in ("features", "map_references", "shards"))
    assert not set(formats.TABLES) & set(formats.RECORDS)
    assert all(version >= 1 for version in (*formats.TABLES.values(), *formats.RECORDS.values()))


def test_an_older_batch_lies_beside_a_newer_one(lake: Lake) -> None:
    older = add(lake, 1, 2)
    rewritten(older, read_parquet(older).drop_columns(["sequence", "captured_at"]), None)
    add(lake, 2, 3)
    table = tables.read_images(lake, "a")
    assert table.column("image_id").to_pylist() == ["i1", "i2", "i3"]
    assert table.schema.names == schemas.IMAGES.names
    assert table.column("sequence").null_count == 3
    assert run_query(lake, "SELECT image_id, sequence FROM images ORDER BY 1").rows == [
        ("i1", None),
        ("i2", None),
        ("i3", None),
    ]
    assert tables.image_batches(lake, "a")[0] == older.stem


def test_a_newer_batch_is_refused_everywhere_and_stays(lake: Lake) -> None:
    add(lake, 1)
    newer = add(lake, 2)
    table = read_parquet(newer)
    rewritten(newer, table.append_column("weather", pa.array(["fine"])), 99)
    content = newer.read_bytes()
    for read in (lambda: tables.read_images(lake, "a"), lambda: run_query(lake, "FROM images")):
        with pytest.raises(CvglError) as raised:
            read()
        assert "newer cvgl" in raised.value.what
        assert "99" in raised.value.what
        assert raised.value.where == str(newer)
        assert "update cvgl" in raised.value.fix
        assert "delete" not in str(raised.value)
    assert newer.read_bytes() == content


@pytest.mark.parametrize("change", ["a column that nobody knows", "a column that must be there", "another type"])
def test_what_no_version_has_written_is_damaged(lake: Lake, change: str) -> None:
    path = add(lake, 1)
    table = read_parquet(path)
    changed = {
        "a column that nobody knows": table.rename_columns([name.replace("crs", "crt") for name in table.column_names]),
        "a column that must be there": table.drop_columns(["image_id"]),
        "another type": table.set_column(4, "width", pa.array([["x"]])),
    }[change]
    rewritten(path, changed, None)
    with pytest.raises(DamagedError):
        tables.read_images(lake, "a")
    with pytest.raises(CvglError):
        run_query(lake, "FROM images")


def test_features_of_a_newer_cvgl_are_neither_read_nor_set_aside(lake: Lake) -> None:
    store = FeatureStore(lake.features("m", "a"))
    part = store.add(["a"], np.full((1, 4), 0.5, np.float32), {})
    assert read_schema(part).metadata[formats.PARQUET_FORMAT] == b"1"
    rewritten(part, read_parquet(part), 2)
    for read in (store.ids, store.remove_damaged, store.damaged, lambda: store.read(["a"])):
        with pytest.raises(NewerFormatError):
            read()
    assert store.parts() == [part]


def test_a_version_does_not_change_the_name_of_a_batch_or_a_part(lake: Lake) -> None:
    """As 13db401 named them."""
    assert add(lake, 1).stem == "0001-cb8d38f08aa3a3f1"
    part = FeatureStore(lake.features("m", "a")).add(["a"], np.full((1, 4), 0.5, np.float32), {})
    assert part.name == "part-257ab84e2df6401d.parquet"


@pytest.mark.parametrize("kind", sorted(formats.RECORDS))
def test_records_bear_a_version_and_a_newer_one_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "record.json"
    write_versioned(path, kind, {"a": 1})
    content = json.loads(path.read_text())
    assert {name: content[name] for name in ("a", "format")} == {"a": 1, "format": formats.RECORDS[kind]}
    assert read_versioned(path, kind) == {"a": 1}
    path.write_text(path.read_text().replace('"a": 1', '"a": 3'))
    with pytest.raises(DamagedError, match="seal"):
        read_versioned(path, kind)
    path.write_text('{"a": 1}')
    assert read_versioned(path, kind) == {"a": 1}, "what bears none is of an earlier version"
    path.write_text(json.dumps({"a": 1, "format": formats.RECORDS[kind] + 1}))
    with pytest.raises(NewerFormatError) as raised:
        read_versioned(path, kind)
    assert "delete" not in str(raised.value)
    for nonsense in (0, "2", None, True, 1.5):
        path.write_text(json.dumps({"a": 1, "format": nonsense}))
        with pytest.raises(DamagedError):
            read_versioned(path, kind)


def test_newer_records_of_a_lake_are_refused_by_their_readers(tmp_path: Path) -> None:
    lake = Lake.at(unpacked(tmp_path) / "lake")
    from cvgl.adaptation import Adaptation, read_record
    from cvgl.stages.maps import open_map
    from cvgl.stages.quality import quality_path, read_quality
    from tasks.registry.verdict import gate_folder, read_decision

    run = runs(lake)[0]
    (model,) = (folder.parent / "model.json" for folder in lake.described(DATASET).values())
    readers = {
        lake.adapter(run) / "adapter.json": [
            lambda: read_record(lake.adapter(run)),
            lambda: Adaptation.load(lake.adapter(run)),
            lambda: run_query(lake, "FROM runs"),
        ],
        lake.champion(DATASET): [lambda: read_current(lake.champion(DATASET)), lambda: open_map(lake, DATASET)],
        gate_folder(lake, run) / "decision.json": [
            lambda: read_decision(lake, run),
            lambda: run_query(lake, "FROM gate_decisions"),
        ],
        quality_path(lake, run): [lambda: read_quality(lake, run)],
        model: [lambda: run_query(lake, "FROM models"), lambda: open_map(lake, DATASET, run)],
        next(batches.folder(lake, DATASET).glob("0001-*.json")): [lambda: batches.batches(lake, DATASET)],
    }
    for path, attempts in readers.items():
        content = path.read_bytes()
        path.write_text(json.dumps({**json.loads(content), "format": 77}))
        for attempt in attempts:
            with pytest.raises(LakeError) as raised:
                attempt()
            assert "newer cvgl" in raised.value.what, path
            assert raised.value.where == str(path)
        path.write_bytes(content)


def test_the_same_table_gives_the_same_bytes_with_its_version(tmp_path: Path) -> None:
    table = schemas.QUARANTINE.empty_table()
    for name in ("a.parquet", "b.parquet"):
        write_parquet(tmp_path / name, table, kind="quarantine")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert read_parquet(tmp_path / "a.parquet", kind="quarantine").num_rows == 0
