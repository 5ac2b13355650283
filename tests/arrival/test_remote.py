"""A bucket as the source: a real S3-compatible server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cvgl.arrival import batches
from cvgl.arrival.intake import take_in
from cvgl.arrival.source import RemoteSource, open_source
from cvgl.arrival.spool import ChangedError, Spool
from cvgl.arrival.watching import look
from cvgl.config import ArrivalConfig
from cvgl.datasets.tables import read_images
from cvgl.errors import DataError
from cvgl.hashing import digest_json, sha256_bytes
from cvgl.lake import Lake
from tests.arrival.sources import DATASET, town, watching

pytest.importorskip("moto", reason="needs moto[s3], of the extra dev")
pytest.importorskip("s3fs", reason="needs s3fs, of the extra s3")


@dataclass
class Bucket:
    """One bucket of the server."""

    address: str
    options: dict[str, Any]
    filesystem: Any

    def put(self, folder: Path) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.filesystem.pipe(f"{self.address[5:]}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def config(self, lake: Lake, **settings: Any) -> ArrivalConfig:
        watch = {"storage_options": self.options, **settings.pop("watch", {})}
        return watching(self.address, lake, watch=watch, **settings)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    import s3fs

    for name, value in (("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)  # as a person gives them
    options = {"endpoint_url": server}
    filesystem = s3fs.S3FileSystem(**options)
    name = "drop-" + digest_json(request.node.name)
    filesystem.call_s3("create_bucket", Bucket=name)
    return Bucket(f"s3://{name}/flights", options, filesystem)


def test_a_bucket_is_taken_in_as_a_folder_is(bucket: Bucket, tmp_path: Path, lake: Lake) -> None:
    folder = town(tmp_path / "drop", range(1, 4), views=2)
    bucket.put(folder)
    config = bucket.config(lake)
    seen = look(config, lake)
    assert seen.closed is not None
    assert (seen.closed.n_files, seen.closed.source) == (9, bucket.address)
    outcome = take_in(seen.closed, config, lake)
    assert (outcome.new, outcome.quarantined) == (9, 0)
    local = Lake.at(tmp_path / "local")
    beside = look(watching(folder, local), local)
    assert beside.closed is not None
    take_in(beside.closed, watching(folder, local), local)
    columns = ["image_id", "view", "subsets", "width", "height"]
    assert read_images(lake, DATASET).select(columns) == read_images(local, DATASET).select(columns)
    assert look(config, lake).closed is None


def test_only_new_objects_are_copied_and_deleted_tiles_leave(
    bucket: Bucket, tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = town(tmp_path / "drop", range(1, 4), views=1)
    bucket.put(folder)
    config = bucket.config(lake)
    first = look(config, lake).closed
    assert first is not None
    take_in(first, config, lake)
    copied: list[str] = []
    fetch = Spool.fetch

    def counted(self: Spool, source: RemoteSource, name: str, stamp: str) -> str:
        copied.append(name)
        return fetch(self, source, name, stamp)

    monkeypatch.setattr(Spool, "fetch", counted)
    town(folder, range(4, 5), views=1)
    (folder / "satellite" / "2.png").write_bytes((folder / "satellite" / "4.png").read_bytes() + b" ")
    bucket.put(folder)
    bucket.filesystem.rm(f"{bucket.address[5:]}/satellite/1.png")
    second = look(config, lake).closed
    assert second is not None
    assert sorted(copied) == ["drone/4-1.png", "satellite/2.png", "satellite/4.png"]
    outcome = take_in(second, config, lake)
    assert (outcome.new, outcome.tombstoned) == (3, 2)
    satellite = {Path(row["uri"]).stem for row in read_images(lake, DATASET).to_pylist() if row["view"] == "satellite"}
    assert satellite == {"2", "3", "4"}


def test_a_copy_goes_on_where_it_broke_off(bucket: Bucket, lake: Lake) -> None:
    content = bytes(range(256)) * 5000
    bucket.filesystem.pipe(f"{bucket.address[5:]}/big.bin", content)
    source = open_source(bucket.address, bucket.options)
    assert isinstance(source, RemoteSource)
    stamp = source.contents().files["big.bin"].stamp
    spool = Spool.of(lake, DATASET, bucket.address)
    partial = spool.root / "partial" / digest_json(["big.bin", stamp])
    partial.parent.mkdir(parents=True)
    partial.write_bytes(content[:700_000])
    asked: list[int] = []
    opened = source.filesystem.open

    class Counting:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Counting:
            return self

        def __exit__(self, *problem: object) -> None:
            self.file.close()

        def seek(self, offset: int) -> None:
            asked.append(offset)
            self.file.seek(offset)

        def read(self, size: int) -> bytes:
            data: bytes = self.file.read(size)
            return data

    source.filesystem.open = lambda path, mode: Counting(opened(path, mode))
    try:
        sha256 = spool.fetch(source, "big.bin", stamp)
    finally:
        source.filesystem.open = opened
    assert asked == [700_000]
    assert sha256 == sha256_bytes(content)
    assert spool.holds(sha256)
    assert not partial.exists()


def test_an_object_that_changes_while_it_is_copied_is_left_for_later(bucket: Bucket, lake: Lake) -> None:
    path = f"{bucket.address[5:]}/a.png"
    bucket.filesystem.pipe(path, b"one")
    source = open_source(bucket.address, bucket.options)
    assert isinstance(source, RemoteSource)
    stamp = source.contents().files["a.png"].stamp
    bucket.filesystem.pipe(path, b"other")
    spool = Spool.of(lake, DATASET, bucket.address)
    with pytest.raises(ChangedError):
        spool.fetch(source, "a.png", stamp)
    assert not list((spool.root / "partial").iterdir())


@pytest.mark.parametrize("name", ["../../escape.png", "/etc/passwd", "a/../../b.png"])
def test_a_key_that_leaves_the_spool_is_refused(lake: Lake, name: str) -> None:
    spool = Spool.of(lake, DATASET, "s3://any")
    with pytest.raises(DataError, match="leaves its source"):
        spool.fetch(RemoteSource("s3://any", None, "any"), name, "")


def test_a_server_that_is_down_and_a_bucket_that_is_not_there_say_so(bucket: Bucket, lake: Lake) -> None:
    nowhere = watching("s3://no-such-bucket/x", lake, watch={"storage_options": bucket.options})
    with pytest.raises(DataError, match=r"not there|cannot be reached"):
        look(nowhere, lake)
    options = {"endpoint_url": "http://127.0.0.1:9", "config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 1}}
    down = watching(bucket.address, lake, watch={"storage_options": options})
    with pytest.raises(DataError, match="cannot be reached"):
        look(down, lake)
    assert batches.batches(lake, DATASET) == []


def test_an_unknown_protocol_says_so(lake: Lake) -> None:
    with pytest.raises(DataError, match="Protocol not known"):
        look(watching("nonsense://x", lake), lake)
