"""Files of the lake appear whole or not at all, and damage is reported, not guessed around."""

import multiprocessing
import os
import signal
import stat
from pathlib import Path

import pyarrow as pa
import pytest

from cvgl.errors import ConfigError, LakeError
from cvgl.lake import (
    TEMPORARY_PREFIX,
    Lake,
    parquet_files,
    read_json,
    read_parquet,
    replacing,
    sweep,
    write_json,
    write_parquet,
)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": True})

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("died")

    with pytest.raises(RuntimeError, match="died"):
        write_half()
    assert read_json(path) == {"old": True}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def _die_while_writing(path: str) -> None:
    with replacing(Path(path)) as temporary:
        temporary.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_write_leaves_the_old_file_and_litter_that_no_reader_sees(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    table = pa.table({"a": [1, 2]})
    write_parquet(path, table)
    process = multiprocessing.get_context("spawn").Process(target=_die_while_writing, args=(str(path),))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert read_parquet(path).equals(table)
    assert parquet_files(tmp_path) == [path]
    assert [entry.name.startswith(TEMPORARY_PREFIX) for entry in tmp_path.iterdir()].count(True) == 1
    assert sweep(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_being_written_is_not_swept(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.json") as temporary:
        assert sweep(tmp_path) == 0
        temporary.write_text("{}")
    assert read_json(tmp_path / "a.json") == {}


def test_a_damaged_value_is_not_read_as_another(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    write_parquet(path, pa.table({"a": pa.array([0.5] * 500 + [0.25] * 500, pa.float32())}))
    content = bytearray(path.read_bytes())
    content[content.index(b"\x00\x00\x80\x3e")] ^= 1  # a float that stays one
    path.write_bytes(content)
    with pytest.raises(LakeError, match="damaged"):
        read_parquet(path)


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array([1.5, None]), "b": ["x", "y"]})
    for name in ("one.parquet", "two.parquet"):
        write_parquet(tmp_path / name, table, {"backbone": "gist"})
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert read_parquet(tmp_path / "one.parquet").schema.metadata[b"backbone"] == b"gist"


def test_files_can_be_read_by_the_team(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o644


@pytest.mark.parametrize("content", [None, b"", b"not parquet at all"])
def test_missing_and_damaged_files_are_lake_errors(tmp_path: Path, content: bytes | None) -> None:
    for name, read in (("a.parquet", read_parquet), ("a.json", read_json)):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(LakeError, match=name):
            read(path)


def test_a_lake_is_a_local_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="URL"):
        Lake.at("s3://bucket/lake")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match="file"):
        Lake.at(file)
    assert Lake.at(tmp_path).datasets() == []
