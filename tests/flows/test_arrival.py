"""What arrives, through the flows: every state, killed at each of them, by one watcher or two."""

from __future__ import annotations

import contextvars
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cvgl.arrival import batches
from cvgl.arrival.batches import Batch, State
from cvgl.arrival.run_summary import refused, whereabouts
from cvgl.catalog import run_query
from cvgl.config import ArrivalConfig
from cvgl.errors import DataError, LakeError
from cvgl.features import FeatureStore
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake, read_json
from cvgl.localization.bundle import read_current
from cvgl.stages.maps import open_map
from cvgl.stages.training_rows import Champion, champion_of
from tests.arrival.sources import DATASET, drone, town, watching
from tests.data.images import place_image, save
from tests.flows.cli.commands import artifacts, contents

pytestmark = [pytest.mark.usefixtures("prefect_api"), pytest.mark.timeout(600)]
SAME_BYTES = (
    "images",
    "ground_truth",
    "quarantine",
    "tombstones",
    "features",
    "adapters",
    "evaluations",
    "arrivals",
    "maps",
)


class KilledError(BaseException):
    """The process dies here; no code of ours catches it."""


@pytest.fixture(scope="module")
def undisturbed(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lake]:
    """A town arrives, and is promoted."""
    from flows.arrival import arrival

    root = tmp_path_factory.mktemp("arrival")
    source, lake = labelled_town(root / "drop"), Lake.at(root / "lake")
    outcome = arrival(watching(source, lake))
    assert [batch.outcome for batch in outcome.worked] == ["promoted"]
    return source, lake


def labelled_town(root: Path) -> Path:
    """With labels, so that the gate has something to go by."""
    from tests.data.images import university1652

    return university1652(root, train=8, test=4, distractors=2, views=3)


def state_of(lake: Lake, number: int = 1) -> Batch:
    return batches.batches(lake, DATASET)[number - 1]


def test_a_batch_becomes_a_champion_and_every_step_is_on_record(undisturbed: tuple[Path, Lake]) -> None:
    _, lake = undisturbed
    batch = state_of(lake)
    assert (batch.state, batch.verdict, batch.outcome) == (State.DONE, "adapt", "promoted")
    assert batch.ingest["new"] == read_images(lake, DATASET).num_rows
    assert champion_of(lake, DATASET) == Champion(batch.run, batch.features)
    assert (lake.report(batch.run) / "index.html").is_file()
    rows = run_query(lake, "SELECT arrival, verdict, reason, champion FROM decisions").rows
    assert rows == [(batch.batch, "adapt", rows[0][2], None)]
    assert rows[0][2].startswith("no adapter serves this map yet")


def test_the_page_of_a_run_answers_what_people_ask(undisturbed: tuple[Path, Lake]) -> None:
    _, lake = undisturbed
    batch, current = state_of(lake), read_current(lake.champion(DATASET))
    assert current is not None
    text = next(artifact["data"] for artifact in artifacts("account-town") if batch.batch in artifact["data"])
    parts = dict(part.split("\n\n", 1) for part in text.split("\n## ")[1:])
    assert list(parts) == ["What came in", "What was refused", "What was decided, and why", "Is it better?", "Where is it?"]
    assert f"new {read_images(lake, DATASET).num_rows}" in parts["What came in"]
    assert parts["What was refused"].strip() == "Nothing."
    assert parts["What was decided, and why"].startswith("**adapt**: no adapter serves this map yet")
    assert parts["Is it better?"].startswith("**promoted**: ")
    assert "against the frozen descriptors" in parts["Is it better?"]
    for expected_reason in (
        current.serving.map,
        batch.run,
        f"cvgl localize PICTURE --dataset {DATASET}",
        str(lake.report(batch.run)),
    ):
        assert expected_reason in parts["Where is it?"]
    assert batches.unreported(lake, DATASET) == []
    # The table of the iterations; other tests' runs of the same name are on this server as well.
    trained = read_json(lake.adapter(batch.run) / "adapter.json")["history"]
    tables = [json.loads(artifact["data"]) for artifact in artifacts(f"iterations-{DATASET}-paper-standardised-seed0")]
    totals = [float(f"{artifact['losses']['total']:.4g}") for artifact in trained]
    assert totals in [[row["loss total"] for row in rows] for rows in tables]


def test_where_the_images_of_a_batch_lie_on_the_map(undisturbed: tuple[Path, Lake]) -> None:
    _, lake = undisturbed
    assignment = whereabouts(lake, state_of(lake))
    assert assignment is not None
    assert assignment.new.all()
    assert assignment.left_out == 0
    served = open_map(lake, DATASET)
    rows = {row["image_id"]: row for row in read_images(lake, DATASET).to_pylist()}
    queries = sorted(name for name, row in rows.items() if row["view"] == "drone")
    descriptors = FeatureStore(lake.features(served.features, DATASET)).read(queries)
    similarity = served.transform.transform_query(descriptors) @ served.index.descriptors.T
    assert assignment.answers.tolist() == similarity.argmax(axis=1).tolist()


@pytest.mark.slow
def test_an_end_that_a_killed_process_could_not_tell_is_told_by_the_next(undisturbed: tuple[Path, Lake]) -> None:
    from flows.arrival import arrival

    source, lake = undisturbed
    batch, before = state_of(lake), len(artifacts("account-town"))
    arrival(watching(source, lake))
    assert len(artifacts("account-town")) == before  # it was told
    (batches.folder(lake, DATASET) / "told" / f"{batch.batch}-end.json").unlink()
    assert batches.unreported(lake, DATASET) == [batch]
    arrival(watching(source, lake))
    assert len(artifacts("account-town")) == before + 1


@pytest.mark.slow
def test_what_stands_in_the_way_of_an_account_stands_in_the_way_of_nothing_else(
    second: tuple[Path, Lake], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from flows.arrival import arrival

    source, lake = second
    first = state_of(lake)
    (batches.folder(lake, DATASET) / "told" / f"{first.batch}-end.json").unlink()
    save(place_image(3, 7), source / "train" / "drone" / "0003" / "image-07.jpeg")

    def damaged(*_: object) -> None:
        raise LakeError("a version of a map cannot be used", where="maps", fix="build it anew")

    with monkeypatch.context() as patch:
        patch.setattr("tasks.run_summary.whereabouts", damaged)
        outcome = arrival(watching(source, lake))
    assert outcome.worked[0].state is State.DONE
    assert f"what became of batch {first.batch} is told at the next look" in caplog.text
    assert [batch.number for batch in batches.unreported(lake, DATASET)] == [1, 2]
    arrival(watching(source, lake))
    assert batches.unreported(lake, DATASET) == []


def test_nothing_new_is_said_and_changes_nothing(undisturbed: tuple[Path, Lake]) -> None:
    from flows.arrival import arrival

    source, lake = undisturbed
    before = contents(lake.root, *SAME_BYTES)
    outcome = arrival(watching(source, lake))
    assert (outcome.closed, outcome.worked) == (None, ())
    assert outcome.says.startswith("nothing new; ")
    assert contents(lake.root, *SAME_BYTES) == before


@pytest.fixture
def second(undisturbed: tuple[Path, Lake], tmp_path: Path) -> Iterator[tuple[Path, Lake]]:
    """A copy of the finished lake, where something else may arrive. Paths of the source stay what they were."""
    source, lake = undisturbed
    remaining = tmp_path / "kept"
    shutil.copytree(source, remaining)
    copied = Lake.at(tmp_path / "lake")
    shutil.copytree(lake.root, copied.root, ignore=shutil.ignore_patterns("prefect", "*.lock"))
    yield source, copied
    shutil.rmtree(source)
    shutil.copytree(remaining, source)


@pytest.mark.slow
def test_few_new_images_are_taken_in_and_left(second: tuple[Path, Lake]) -> None:
    from flows.arrival import arrival

    source, lake = second
    for view in range(7, 9):
        save(place_image(3, view), source / "train" / "drone" / "0003" / f"image-{view:02d}.jpeg")
    (source / "train" / "drone" / "0003" / "image-09.jpeg").write_bytes(b"no image")
    outcome = arrival(watching(source, lake))
    batch = outcome.worked[0]
    assert (batch.state, batch.verdict, batch.outcome) == (State.DONE, "skip", "skipped")
    assert "minimum_new is 20" in batch.reason
    assert batch.features == state_of(lake, 1).features
    assert batch.ingest["new"] == 2
    [left_out] = refused(lake, batch)
    assert (left_out["uri"], left_out["reason"]) == ("train/drone/0003/image-09.jpeg", "not_a_picture")
    text = artifacts("account-town")[-1]["data"]
    assert f"| {left_out['uri']} | {left_out['reason']} | {left_out['detail']} |" in text
    assert "Nothing new was learned." in text
    assignment = whereabouts(lake, batch)
    assert assignment is not None
    assert (len(assignment.answers), int(assignment.new.sum())) == (2, 0)


@pytest.mark.slow
def test_another_world_is_put_before_a_person_who_answers(second: tuple[Path, Lake]) -> None:
    from flows.arrival import arrival

    source, lake = second
    for number in range(30):  # the lens cap is on
        image = place_image(number, 1).point(lambda value: value // 30)
        save(image, source / "train" / "drone" / f"{number % 8:04d}" / f"dark-{number:02d}.jpeg")
    config = watching(source, lake)
    outcome = arrival(config)
    assert (outcome.worked[0].state, outcome.worked[0].verdict) == (State.WAITING, "ask"), outcome.worked[0].reason
    assert "beyond ask_effect" in outcome.worked[0].reason
    assert outcome.waiting == (outcome.worked[0].batch,)
    assert arrival(config).worked == ()  # it waits, and nothing else does
    batches.answer(lake, state_of(lake, 2), "adapt")
    answered = arrival(config).worked[0]
    assert (answered.state, answered.answer) == (State.DONE, "adapt")
    assert answered.run != state_of(lake, 1).run
    with pytest.raises(DataError, match="nobody is asked"):
        batches.answer(lake, answered, "skip")


@pytest.mark.slow
def test_a_deleted_reference_is_no_longer_searched(second: tuple[Path, Lake]) -> None:
    from flows.arrival import arrival

    source, lake = second
    for folder in ("gallery_satellite", "query_satellite"):
        shutil.rmtree(source / "test" / folder / "0011")
    outcome = arrival(watching(source, lake))
    assert outcome.worked[0].ingest["tombstoned"] == 1
    assert not [row for row in read_images(lake, DATASET).to_pylist() if row["uri"].endswith("0011/0011.jpg")]
    assert run_query(lake, "SELECT n_forgotten, verdict FROM decisions ORDER BY arrival DESC LIMIT 1").rows == [(1, "skip")]


@pytest.mark.slow
def test_what_cannot_be_used_fails_alone(second: tuple[Path, Lake], tmp_path: Path) -> None:
    """A batch that nothing can be done with is named, and those behind it go on."""
    from flows.arrival import arrival

    lake = Lake.at(tmp_path / "other")
    drop = tmp_path / "drop"
    drone(drop, 1)
    config = watching(drop, lake)
    failed = arrival(config).worked[0]
    assert (failed.state, failed.outcome) == (State.FAILED, "not usable")
    assert "no satellite images" in failed.reason
    town(drop, range(1, 9))
    done = arrival(config).worked[0]
    assert done.state is State.DONE
    assert done.ingest["new"] == 8 + 24  # the first batch's image among them


@pytest.mark.slow
def test_a_source_that_is_gone_does_not_keep_the_queue_waiting(tmp_path: Path, lake: Lake) -> None:
    from flows.arrival import arrival, notice

    drop = town(tmp_path / "drop", range(1, 4))
    config = watching(drop, lake)
    notice(config)
    assert state_of(lake).state is State.QUEUED
    drop.rename(tmp_path / "away")
    other = town(tmp_path / "other", range(4, 7))
    elsewhere = watching(other, lake)
    with pytest.raises(DataError, match="no folder"):
        arrival(elsewhere)  # its own batch is worked on, and what it had to leave is told
    assert [batch.state for batch in batches.batches(lake, DATASET)] == [State.QUEUED, State.DONE]
    (tmp_path / "away").rename(drop)
    assert arrival(config).worked[0].state is State.DONE
    assert read_images(lake, DATASET).num_rows == 2 * 3 * 4


@pytest.mark.slow
@pytest.mark.parametrize("after", ["extracted", "adapted"])
def test_a_part_that_is_damaged_in_the_middle_is_described_again(
    undisturbed: tuple[Path, Lake],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    after: str,
) -> None:
    from flows.arrival import arrival

    source, finished = undisturbed
    lake = Lake.at(tmp_path / "lake")
    advance = batches.advance

    def damages(lake: Lake, batch: Batch, **changes: Any) -> Batch:
        if changes.get("state") == after:
            part = sorted((lake.root / "features").rglob("part-*.parquet"))[0]
            content = bytearray(part.read_bytes())
            content[len(content) // 2] ^= 1
            part.write_bytes(content)
        return advance(lake, batch, **changes)

    monkeypatch.setattr(batches, "advance", damages)
    arrival(watching(source, lake))
    assert state_of(lake).state is State.DONE
    assert "was damaged and has been set aside" in caplog.text
    assert contents(lake.root, *SAME_BYTES) == contents(finished.root, *SAME_BYTES)


@pytest.mark.slow
def test_a_source_that_goes_away_while_it_is_described_is_waited_for(
    undisturbed: tuple[Path, Lake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adapting to the images that happen to be readable would be wrong, and would say nothing."""
    from flows.arrival import arrival

    source, finished = undisturbed
    lake = Lake.at(tmp_path / "lake")
    advance, away = batches.advance, tmp_path / "away"

    def goes(lake: Lake, batch: Batch, **changes: Any) -> Batch:
        if changes.get("state") == State.INGESTED:
            source.rename(away)
        return advance(lake, batch, **changes)

    with monkeypatch.context() as patch:
        patch.setattr(batches, "advance", goes)
        with pytest.raises(DataError, match="watched source"):
            arrival(watching(source, lake))
    away.rename(source)
    assert state_of(lake).state is State.INGESTED
    arrival(watching(source, lake))
    assert contents(lake.root, *SAME_BYTES) == contents(finished.root, *SAME_BYTES)


@pytest.mark.slow
def test_killed_at_every_boundary_it_goes_on_to_the_same_end(
    undisturbed: tuple[Path, Lake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies just before each state is written (the step is done, and nobody knows), and just after it."""
    from flows.arrival import arrival

    source, finished = undisturbed
    lake = Lake.at(tmp_path / "lake")
    config = watching(source, lake)
    advance = batches.advance
    died: list[str] = []

    def dies(lake: Lake, batch: Batch, **changes: Any) -> Batch:
        state = str(changes.get("state", "closed"))
        for moment in ("before", "after"):
            if moment == "after":
                batch = advance(lake, batch, **changes)
            if f"{moment} {state}" not in died:
                died.append(f"{moment} {state}")
                raise KilledError
        return batch

    monkeypatch.setattr(batches, "advance", dies)
    while True:
        try:
            arrival(config)
        except KilledError:
            continue
        break
    states = ("closed", "ingested", "extracted", "decided", "adapted", "evaluated", "registered", "done")
    assert sorted(died) == sorted(f"{moment} {state}" for state in states for moment in ("before", "after"))
    assert contents(lake.root, *SAME_BYTES) == contents(finished.root, *SAME_BYTES)


@pytest.mark.slow
def test_two_watchers_have_one_effect(undisturbed: tuple[Path, Lake], tmp_path: Path) -> None:
    from flows.arrival import ArrivalOutcome, arrival

    source, finished = undisturbed
    config = watching(source, Lake.at(tmp_path / "lake"))
    outcomes: list[ArrivalOutcome] = []
    # The address of the server belongs to the context, which a new thread does not inherit.
    contexts = [contextvars.copy_context() for _ in range(2)]
    threads = [threading.Thread(target=context.run, args=(lambda: outcomes.append(arrival(config)),)) for context in contexts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lake = Lake.at(config.lake)
    assert len(outcomes) == 2
    assert len([batch for outcome in outcomes for batch in outcome.worked]) == 1
    assert contents(lake.root, *SAME_BYTES) == contents(finished.root, *SAME_BYTES)


def test_the_settings_are_checked() -> None:
    values = {"ingest": {"source": "x", "dataset": "d"}}
    for bad in (
        {"watch": {"quiet_seconds": None, "marker": None}},
        {"watch": {"marker": "a/b"}},
        {"decide": {"adapt_effect": 0.5, "ask_effect": 0.1}},
        {"decide": {"permutations": 99, "significance": 0.001}},
    ):
        with pytest.raises(ValueError, match=r"watch|decide"):
            ArrivalConfig.model_validate({**values, **bad})
