"""The arrival flow with everything around it killed and broken at random moments, against one that is left alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.chaos import compare, faults
from benchmarks.chaos.drive import Driver, Outcome, Plan
from benchmarks.chaos.services import settings
from benchmarks.chaos.town import DATASET, Town
from cvgl.arrival import batches
from cvgl.config import ArrivalConfig
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake, write_json

KILLS = 8


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    mounted = faults.can_mount()
    kinds = ["source", "part", "disk"] if mounted else ["source", "part"]
    plan = Plan(kills=KILLS, faults=kinds, batches=2, flights=4, longest=240.0, seed=1, delays=(20.0, 12.0))
    return Driver(tmp_path_factory.mktemp("chaos"), plan, mounted=mounted).run()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_whatever_dies_or_breaks_everything_ends_as_if_nothing_had(outcome: Outcome) -> None:
    assert outcome.good, str(outcome)
    assert outcome.kills.total() >= KILLS
    assert (outcome.faults["source"], outcome.faults["part"]) == (1, 1)
    assert (outcome.lost, outcome.duplicated, outcome.differences, outcome.temporary) == (0, 0, [], [])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_full_disk_is_one_of_the_faults(outcome: Outcome) -> None:
    if not faults.can_mount():
        pytest.skip("needs a small disk of its own to fill, and this user may not mount one (run it as root)")
    assert outcome.faults["disk"] == 1


@pytest.fixture
def taken(tmp_path: Path) -> tuple[Town, Lake]:
    """A flight that was taken in, without the engine."""
    from cvgl.arrival.intake import take_in
    from cvgl.arrival.watching import look

    town, lake = Town(tmp_path / "town", tmp_path / "drop", 1), Lake.at(tmp_path / "lake")
    town.draw()
    town.clear()
    town.next()
    config = ArrivalConfig.model_validate(settings(lake, town.drop, "http://127.0.0.1:1", DATASET))
    closed = look(config, lake).closed
    assert closed is not None
    done = take_in(closed, config, lake)
    batches.advance(lake, closed, ingest=done.counts(), images_through=done.images_through)
    return town, lake


def test_the_comparison_finds_what_is_lost_counted_twice_different_or_left(taken: tuple[Town, Lake], tmp_path: Path) -> None:
    """A check that never fails would be none."""
    town, lake = taken
    count = read_images(lake, DATASET).num_rows
    came = town.contents()
    assert len(came) == count
    assert compare.lost_and_duplicated(lake, DATASET, came) == (count, 0)  # nothing is described yet
    assert compare.lost_and_duplicated(lake, DATASET, came | {"f" * 64})[0] == count + 2
    assert compare.lost_and_duplicated(lake, DATASET, set(sorted(came)[1:]))[1] == 1
    batch = batches.batches(lake, DATASET)[0]
    batches.advance(lake, batch, ingest={**batch.ingest, "new": count + 3})
    assert compare.lost_and_duplicated(lake, DATASET, came)[1] == 3
    assert compare.untold(lake, DATASET) == []  # it is not at its end
    ended = batches.advance(lake, batch, state=batches.State.DONE)
    assert compare.untold(lake, DATASET) == [f"nobody was told what became of {batch.batch}"]
    batches.mark_reported(lake, ended)
    assert compare.untold(lake, DATASET) == []
    assert compare.lakes(lake, lake) == []
    other = Lake.at(tmp_path / "other")
    write_json(other.champion(DATASET), {"serving": "another"})
    assert any(line.endswith("current.json") for line in compare.lakes(lake, other))
    (lake.root / "maps" / ".tmp-half.json").parent.mkdir(parents=True)
    (lake.root / "maps" / ".tmp-half.json").touch()
    assert compare.temporary(lake) == ["maps/.tmp-half.json"]


def test_faults_end_as_they_began(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    (drop / "flight").mkdir(parents=True)
    kinds = set()
    for seed in range(4):
        fault = faults.source_away(drop, random.Random(seed), expected=True)
        assert not (drop / "flight").exists()
        kinds.add(drop.is_dir())
        fault.mend()
        assert (drop / "flight").is_dir()
    assert kinds == {False, True}  # gone, and an empty folder in its place
    assert faults.damaged_part(Lake.at(tmp_path / "lake"), random.Random(0)) is None
