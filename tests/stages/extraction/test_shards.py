"""Shards of an extraction: whoever describes them, in whatever order and however often, the files are those of one process."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cvgl.config import BackboneConfig, Device, ExtractConfig, IngestConfig
from cvgl.errors import DataError, LakeError, ModelError
from cvgl.ingestion import tables
from cvgl.lake import Lake, read_parquet
from cvgl.stages.extraction import shards
from cvgl.stages.extraction import stage as extract_module
from cvgl.stages.extraction.parts import missing_parts, shares
from cvgl.stages.extraction.reading import Row
from cvgl.stages.extraction.shards import Shard, ShardOutcome, describe_shard, planned
from cvgl.stages.extraction.stage import ExtractOutcome, extract
from cvgl.stages.ingest import ingest
from cvgl.types import ArtifactRef
from tests.data.images import place_image, save, university1652

CONFIG = ExtractConfig(backbone=BackboneConfig(image_size=32), batch_size=3, part_rows=4)


def row(image_id: str) -> Row:
    return Row(image_id, f"/{image_id}.jpg", "drone", 8, 8)


def ids(parts: Sequence[Sequence[Row]]) -> list[str]:
    return ["".join(entry.image_id for entry in part) for part in parts]


BATCHES = [("0001", row(letter)) for letter in "bdfhj"] + [("0002", row(letter)) for letter in "ace"]


def test_parts_are_of_one_batch_in_order_of_ids() -> None:
    assert ids(missing_parts(reversed(BATCHES), set(), 2)) == ["bd", "fh", "j", "ac", "e"]


@pytest.mark.parametrize("finished", [[], ["bd"], ["fh", "ac"], ["j", "e", "bd"]])
def test_what_is_finished_or_failed_moves_no_boundary(finished: list[str]) -> None:
    left = ids(missing_parts(BATCHES, set("".join(finished)) - {"b"}, 2))
    whole = ["b" if part == "bd" and "bd" in finished else part for part in ("bd", "fh", "j", "ac", "e")]
    assert left == [part for part in whole if part not in finished]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_shares_are_all_parts_in_order_and_alike(count: int) -> None:
    parts = missing_parts(BATCHES, set(), 2)
    cut = shares(parts, count)
    assert [part for share in cut for part in share] == parts
    assert len(cut) == min(count, 5)
    assert max(map(len, cut)) - min(map(len, cut)) <= 1


def test_nothing_has_no_shares() -> None:
    assert shares([], 4) == []


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return university1652(tmp_path / "source", train=3, test=3, distractors=1, views=2)


@pytest.fixture
def twins(source: Path, tmp_path: Path) -> tuple[Lake, Lake]:
    """Two lakes with the same dataset of two batches, of which an image cannot be read."""
    both = Lake.at(tmp_path / "one"), Lake.at(tmp_path / "two")
    for view in (8, 9):
        image = save(place_image(view), source / "train" / "drone" / "0000" / f"image-{view:02d}.jpeg")
        for lake in both:
            ingest(IngestConfig(source=str(source), dataset="town"), lake)
    image.unlink()
    assert len(tables.image_batches(both[0], "town")) == 2
    return both


def images(lake: Lake) -> ArtifactRef:
    return tables.images_ref(lake, "town")


def files(lake: Lake) -> dict[str, bytes]:
    remaining = [*lake.root.glob("features/**/*"), *lake.root.glob("quarantine/**/*")]
    return {str(path.relative_to(lake.root)): path.read_bytes() for path in remaining if path.is_file()}


def spread(lake: Lake, count: int, config: ExtractConfig = CONFIG) -> ExtractOutcome:
    with planned(images(lake), config, lake, count) as plan:
        return plan.finish([describe_shard(shard, lake) for shard in reversed(plan.shards)])


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_any_number_of_shards_gives_the_files_of_one_process(twins: tuple[Lake, Lake], count: int) -> None:
    alone, apart = twins
    expected, outcome = extract(images(alone), CONFIG, alone), spread(apart, count)
    assert files(apart) == files(alone)
    assert (outcome.embedded, outcome.known, outcome.failed) == (expected.embedded, expected.known, expected.failed)
    assert outcome.failed == 1
    assert outcome.processes == 1
    assert not any(path.is_file() for path in apart.root.glob("cache/shards/**/*"))
    again = spread(apart, count)
    assert (again.skipped, again.known, again.failed) == (True, expected.embedded, 1)
    assert extract(images(apart), CONFIG, apart).skipped


class Killed(BaseException):
    """Stands for a process that dies: nothing catches it."""


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_killed_shard_goes_on_and_so_does_a_killed_plan(
    twins: tuple[Lake, Lake], monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    alone, apart = twins
    expected = extract(images(alone), CONFIG, alone)
    through: Any = extract_module.embed_prepared
    calls = list[int]()

    def dies(*arguments: object) -> object:
        if len(calls) == batches:
            raise Killed
        calls.append(1)
        return through(*arguments)

    def killed(shard: Shard) -> None:
        calls.clear()
        with monkeypatch.context() as patched:
            patched.setattr(extract_module, "embed_prepared", dies)
            with pytest.raises(Killed):
                describe_shard(shard, apart)

    with suppress(Killed), planned(images(apart), CONFIG, apart, 2) as plan:  # the planner dies after one shard did
        killed(plan.shards[0])
        raise Killed
    with planned(images(apart), CONFIG, apart, 2) as plan:  # what is left, one shard of it in two tries
        killed(plan.shards[0])
        begun = {path: path.stat().st_mtime_ns for path in apart.root.glob("features/**/part-*")}
        outcome = plan.finish([describe_shard(shard, apart) for shard in plan.shards])
    assert files(apart) == files(alone)
    assert all(path.stat().st_mtime_ns == time for path, time in begun.items()), "what was finished is not done again"
    assert outcome.known + outcome.embedded == expected.embedded


def test_shard_that_is_described_twice_changes_nothing(twins: tuple[Lake, Lake]) -> None:
    alone, apart = twins
    extract(images(alone), CONFIG, alone)
    with planned(images(apart), CONFIG, apart, 2) as plan:
        once = [describe_shard(shard, apart) for shard in plan.shards]
        twice = [describe_shard(shard, apart) for shard in plan.shards]
        assert twice == once
        plan.finish(twice)
    assert files(apart) == files(alone)


def test_process_with_another_model_is_refused(twins: tuple[Lake, Lake], monkeypatch: pytest.MonkeyPatch) -> None:
    lake, _ = twins
    with planned(images(lake), CONFIG, lake, 1) as plan:
        monkeypatch.setattr(shards, "fingerprint", lambda *_: "another")
        with pytest.raises(ModelError, match="another"):
            describe_shard(plan.shards[0], lake)
    assert not list(lake.root.glob("features/**/part-*"))


def test_shard_of_a_plan_that_is_over_is_refused(twins: tuple[Lake, Lake]) -> None:
    lake, _ = twins
    with pytest.raises(Killed), planned(images(lake), CONFIG, lake, 1) as plan:
        raise Killed
    with pytest.raises(LakeError):
        describe_shard(plan.shards[0], lake)


def test_nothing_but_failures_is_an_error(twins: tuple[Lake, Lake]) -> None:
    lake, _ = twins
    for letter in tables.read_images(lake, "town").to_pylist():
        Path(letter["uri"]).unlink(missing_ok=True)
    with pytest.raises(DataError, match="has gone"):
        spread(lake, 3)


def test_plan_keeps_others_out_and_a_shard_reads_its_own_images_alone(twins: tuple[Lake, Lake]) -> None:
    lake, _ = twins
    with planned(images(lake), CONFIG, lake, 3) as plan:
        [lock] = (lake.root / "locks").glob("features-*")
        with lock.open() as handle, pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        listed = [set(read_parquet(shard.path).column("image_id").to_pylist()) for shard in plan.shards]
        assert set.union(*listed) == set(tables.read_images(lake, "town").column("image_id").to_pylist())
        assert sum(map(len, listed)) == len(set.union(*listed)) == sum(shard.pictures for shard in plan.shards)
        (lake.images("town") / "gone").mkdir()
        for batch in lake.images("town").glob("*.parquet"):
            batch.rename(batch.parent / "gone" / batch.name)
        assert isinstance(describe_shard(plan.shards[0], lake), ShardOutcome)


def test_planner_needs_no_gpu_and_hands_on_absolute_paths(
    twins: tuple[Lake, Lake], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lake, _ = twins
    monkeypatch.chdir(tmp_path)
    backbone = BackboneConfig(name="resnet10t", checkpoint="weights.pt")
    requests = list[ExtractConfig]()

    def opened(images: ArtifactRef, config: ExtractConfig, *_: object) -> object:
        requests.append(config)
        raise Killed

    monkeypatch.setattr(shards, "opened", opened)
    with (
        pytest.raises(Killed),
        planned(images(lake), ExtractConfig(backbone=backbone, device=Device.CUDA), lake, 1),
    ):
        pass
    assert requests[0].device is Device.AUTO
    assert shards._anywhere(requests[0]).checkpoint == str(tmp_path / "weights.pt")
