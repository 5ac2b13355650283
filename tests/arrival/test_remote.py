"""A bucket as the source: a real S3-compatible server on loopback."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cvgl.arrival import batches
from cvgl.arrival.intake import take_in
from cvgl.arrival.run_summary import refused
from cvgl.arrival.source import RemoteSource, open_source
from cvgl.arrival.staging import ChangedError, Spool
from cvgl.arrival.watching import look
from cvgl.config import ArrivalConfig
from cvgl.errors import DataError
from cvgl.hashing import digest_json, sha256_bytes
from cvgl.ingestion.tables import read_images, read_quarantine
from cvgl.lake import Lake
from tests.arrival.sources import DATASET, drone, town, watching

pytest.importorskip("moto", reason="needs moto[s3], of the extra dev")
pytest.importorskip("s3fs", reason="needs s3fs, of the extra s3")


@dataclass
class Bucket:
    """One bucket of the server."""

    address: str
    options: dict[str, Any]
    filesystem: Any
    name: str = ""
    client: Any = None  # boto's own, which takes any key

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
    import boto3
    import s3fs

    for name, value in (("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)  # as a person gives them
    options = {"endpoint_url": server}
    filesystem = s3fs.S3FileSystem(**options)
    name = "drop-" + digest_json(request.node.name)
    filesystem.call_s3("create_bucket", Bucket=name)
    client = boto3.client("s3", endpoint_url=server)
    return Bucket(f"s3://{name}/flights", options, filesystem, name, client)


def test_a_bucket_is_taken_in_as_a_folder_is(bucket: Bucket, tmp_path: Path, lake: Lake) -> None:
    folder = town(tmp_path / "drop", range(1, 4), views=2)
    bucket.put(folder)
    config = bucket.config(lake)
    look_outcome = look(config, lake)
    assert look_outcome.closed is not None
    assert (look_outcome.closed.n_files, look_outcome.closed.source) == (9, bucket.address)
    outcome = take_in(look_outcome.closed, config, lake)
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
    requests: list[int] = []
    opened = source.filesystem.open

    class Counting:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Counting:
            return self

        def __exit__(self, *problem: object) -> None:
            self.file.close()

        def seek(self, offset: int) -> None:
            requests.append(offset)
            self.file.seek(offset)

        def read(self, size: int) -> bytes:
            data: bytes = self.file.read(size)
            return data

    source.filesystem.open = lambda path, mode: Counting(opened(path, mode))
    try:
        sha256 = spool.fetch(source, "big.bin", stamp)
    finally:
        source.filesystem.open = opened
    assert requests == [700_000]
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


ODD_KEYS = (
    "drone//1-2.png",
    "drone/./2-2.png",
    "drone/" + "long " * 60 + ".png",
    "drone/1-1.png/below.png",
    "drone/über straße.png",
)


def odd_bucket(bucket: Bucket, tmp_path: Path, count: int) -> Path:
    """Good images under good keys, and one more under each odd key."""
    folder = town(tmp_path / "drop", range(1, count + 1), views=1)
    bucket.put(folder)
    for number, key in enumerate(ODD_KEYS, start=1):
        image = drone(tmp_path / "odd", number, view=2)
        bucket.client.put_object(Bucket=bucket.name, Key=f"flights/{key}", Body=image.read_bytes())
    bucket.client.put_object(Bucket=bucket.name, Key="flights/drone", Body=b"")  # what some tools write for a folder
    bucket.client.put_object(Bucket=bucket.name, Key="flights/drone/sub/", Body=b"")
    return folder


def test_odd_keys_stop_nothing_and_their_images_come_too(bucket: Bucket, tmp_path: Path, lake: Lake) -> None:
    odd_bucket(bucket, tmp_path, 3)
    config = bucket.config(lake)
    look_outcome = look(config, lake)
    assert look_outcome.closed is not None
    brought = batches.contents(lake, look_outcome.closed)
    pictures = {path.relative_to(tmp_path / "drop").as_posix() for path in (tmp_path / "drop").rglob("*.png")}
    assert set(brought.files) == pictures | {*ODD_KEYS, "drone"}
    outcome = take_in(look_outcome.closed, config, lake)
    assert outcome.new == 6 + len(ODD_KEYS)
    assert outcome.left == ()
    assert look(config, lake).closed is None
    images = sorted((row["image_id"], row["uri"].partition("/tree/")[2]) for row in read_images(lake, DATASET).to_pylist())
    assert {path for _, path in images} >= {"drone/1-2.png", "drone/2-2.png", "drone/über straße.png", "satellite/1.png"}
    assert take_in(look_outcome.closed, config, lake).new == outcome.new  # the same again
    assert images == sorted(
        (row["image_id"], row["uri"].partition("/tree/")[2]) for row in read_images(lake, DATASET).to_pylist()
    )


def test_one_key_that_cannot_be_had_is_listed_and_ninety_nine_others_come(
    bucket: Bucket, tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = town(tmp_path / "drop", range(1, 4), views=32)
    assert len(list(folder.rglob("*.png"))) == 99
    bucket.put(folder)
    bucket.client.put_object(Bucket=bucket.name, Key="flights/drone/locked.png", Body=b"locked")
    opened = type(bucket.filesystem)._open

    def refuse(self: Any, path: str, *arguments: Any, **settings: Any) -> Any:
        if path.endswith("locked.png"):
            raise PermissionError("Access Denied")
        return opened(self, path, *arguments, **settings)

    config = bucket.config(lake)
    with monkeypatch.context() as patch:
        patch.setattr(type(bucket.filesystem), "_open", refuse)
        look_outcome = look(config, lake)
        assert look_outcome.closed is not None
        assert any("locked.png" in note for note in look_outcome.notes)
        outcome = take_in(look_outcome.closed, config, lake)
        assert (outcome.new, outcome.quarantined, outcome.left) == (99, 1, ())
        assert look(config, lake).closed is None
    (row,) = refused(lake, look_outcome.closed)
    assert (row["uri"], row["reason"]) == ("drone/locked.png", "unreadable")
    # The right to read it is given: it comes with the next batch, and is refused for what it is.
    again = look(config, lake)
    assert again.closed is not None
    assert set(batches.contents(lake, again.closed).files) == {"drone/locked.png"}
    take_in(again.closed, config, lake)
    rows = {row["uri"]: row["reason"] for row in read_quarantine(lake, DATASET).to_pylist()}
    assert rows.get(f"{bucket.address}/drone/locked.png") in (None, "resolved")
    assert [row["reason"] for row in refused(lake, again.closed)] == ["not_a_picture"]


def test_names_that_no_file_can_have_are_listed(
    bucket: Bucket, tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put(town(tmp_path / "drop", range(1, 3), views=1))
    config = bucket.config(lake)
    find = type(bucket.filesystem).find

    def with_odd(self: Any, path: str, *arguments: Any, **settings: Any) -> Any:
        listed = find(self, path, *arguments, **settings)
        more = {f"{path}/drone/caf\udce9.png": {"size": 3, "ETag": "x"}, f"{path}/drone/late/": {"size": 3, "ETag": "y"}}
        return {**listed, **more}

    monkeypatch.setattr(type(bucket.filesystem), "find", with_odd)
    outcome = look(config, lake)
    assert outcome.closed is not None
    assert take_in(outcome.closed, config, lake).new == 4
    assert {(row["uri"], row["reason"]) for row in refused(lake, outcome.closed)} == {
        ("drone/caf\\xe9.png", "bad_name"),
        ("drone/late/", "bad_name"),
    }
    assert look(config, lake).closed is None


@pytest.mark.parametrize("key", ["a\0b.png", "x//y.png", "../../escape.png", "n" * 300 + ".png"])
def test_any_key_of_any_store_is_kept_within_the_spool(lake: Lake, tmp_path: Path, key: str) -> None:
    spool = Spool.of(lake, DATASET, "memory://any")
    sha256 = sha256_bytes(b"content")
    held = spool.root / "objects" / sha256[:2] / sha256
    held.parent.mkdir(parents=True)
    held.write_bytes(b"content")
    assert spool.show({key: sha256, "good.png": sha256}) == {}
    files = [path for path in lake.root.rglob("*") if path.is_file() and path != held]
    assert len(files) == 2
    assert all(path.resolve().is_relative_to(spool.tree) and path.read_bytes() == b"content" for path in files)
    spool.show({"good.png": sha256})
    assert [path.name for path in spool.tree.rglob("*") if path.is_file()] == ["good.png"]


def test_a_file_system_without_links_gets_copies(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: object) -> None:
        raise OSError(95, "Operation not supported")

    spool = Spool.of(lake, DATASET, "s3://any")
    for content in (b"one", b"two"):
        held = spool.root / "objects" / sha256_bytes(content)[:2] / sha256_bytes(content)
        held.parent.mkdir(parents=True)
        held.write_bytes(content)
    monkeypatch.setattr(os, "link", refuse)
    assert spool.show({"a.png": sha256_bytes(b"one")}) == {}
    first = (spool.tree / "a.png").stat().st_ino
    spool.show({"a.png": sha256_bytes(b"one")})
    assert (spool.tree / "a.png").stat().st_ino == first  # nothing is copied twice
    spool.show({"a.png": sha256_bytes(b"two")})
    assert (spool.tree / "a.png").read_bytes() == b"two"


def test_what_the_spools_file_system_does_not_take_is_refused_alone(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool.of(lake, DATASET, "s3://any")
    sha256 = sha256_bytes(b"one")
    held = spool.root / "objects" / sha256[:2] / sha256
    held.parent.mkdir(parents=True)
    held.write_bytes(b"one")
    mkdir = Path.mkdir

    def refuse(self: Path, *arguments: Any, **settings: Any) -> None:
        if self.name == "no":
            raise OSError(22, "Invalid argument")
        mkdir(self, *arguments, **settings)

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert list(spool.show({"no/a.png": sha256, "yes/a.png": sha256})) == ["no/a.png"]
    assert (spool.tree / "yes" / "a.png").read_bytes() == b"one"


def test_a_spool_of_an_earlier_version_stays_as_it_is(bucket: Bucket, tmp_path: Path, lake: Lake) -> None:
    bucket.put(town(tmp_path / "drop", range(1, 3), views=1))
    outcome = look(bucket.config(lake), lake)
    assert outcome.closed is not None
    files = json.loads((batches.folder(lake, DATASET) / "files" / f"{outcome.closed.batch}.json").read_text())
    assert "refused" not in files  # the id of a batch follows from it
    digest = digest_json(["", DATASET, {"files": files["files"], "removed": files["removed"]}])[: batches.DIGEST_LENGTH]
    assert outcome.closed.batch == f"0001-{digest}"


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
