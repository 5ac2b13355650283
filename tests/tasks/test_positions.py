"""Mended positions reach the map that serves: by running again, by hand, and with the next batch of arrivals."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from cvgl import schemas
from cvgl.catalog import run_query
from cvgl.config import Layout, RegisterConfig
from cvgl.ingestion import tables
from cvgl.lake import Lake, read_json
from cvgl.localization.bundle import open_bundle, read_current
from cvgl.stages.map_positions import old_positions_that_serve, warning_of
from cvgl.stages.maps import open_map
from cvgl.summary import MetricSummary, read_summaries
from cvgl.types import ArtifactRef
from tasks.diagnosis import Verdict, diagnose
from tasks.registry import promotion, references
from tasks.registry.recovery import look, mend, mend_at_start
from tasks.registry.registration import RegisterOutcome, register
from tasks.registry.store import open_registry
from tasks.registry.tags import MAP
from tasks.registry.verdict import read_decision
from tests.flows.cli.commands import invoke
from tests.tasks.registry_lake import DATASET, add_reference, make_run

NAME = f"cvgl-{DATASET}"
RUN = f"{DATASET}-paper-000000000000"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake.at(tmp_path_factory.mktemp("published") / "lake")
    _register(lake, RUN)
    return lake


@pytest.fixture
def lake(published: Lake, tmp_path: Path) -> Lake:
    copied = Lake.at(tmp_path / "lake")
    shutil.copytree(published.root, copied.root)
    open_registry(copied)
    return copied


def _register(lake: Lake, run: str) -> RegisterOutcome:
    is_there = lake.evaluation(run).is_dir()
    evaluation = _again(lake, run) if is_there else make_run(lake, adapted=0.5, seed=int(run[-12:]))

    def evaluate_run(champion: str) -> Sequence[MetricSummary]:
        return read_summaries(lake.evaluation(champion))

    return register(evaluation, RegisterConfig(), lake, evaluate_run)


def _again(lake: Lake, run: str) -> ArtifactRef:
    return ArtifactRef(kind="evaluation", path=lake.evaluation(run), digest="x", name=run)


def _ingest_changed(lake: Lake, count: int = 12, **change: Any) -> None:
    """A batch of the images table in which the first tiles have other positions, as ingestion of a mended table writes it."""
    rows = [row for row in tables.read_images(lake, DATASET).to_pylist() if row["view"] == "satellite"][:count]
    for row in rows:
        row.pop("batch")
        row.update(change or {"latitude": row["latitude"] + 0.5})
    tables.add_batch(lake.images(DATASET), rows, schemas.IMAGES, Layout.FOLDER, "/pictures/mended")


def _serving(lake: Lake) -> str:
    current = read_current(lake.champion(DATASET))
    assert current is not None
    return current.serving.map


def _latitudes(lake: Lake) -> dict[str, float | None]:
    return {reference.image_id: reference.position.latitude for reference in open_map(lake, DATASET).index.references}


def test_running_again_publishes_the_mended_positions_with_the_same_adapter(lake: Lake) -> None:
    before, adapter = _serving(lake), (lake.map(DATASET) / _serving(lake) / "adapter.safetensors").read_bytes()
    _ingest_changed(lake)
    old = old_positions_that_serve(lake, DATASET)
    assert old is not None
    assert (old.moved, old.gone, old.total, round(old.furthest_m or 0, -3)) == (12, 0, 20, 56_000)

    outcome = _register(lake, RUN)

    assert (outcome.verdict, outcome.champion, outcome.version) == ("promoted", RUN, "1")
    assert outcome.reason.startswith("positions mended: 12 of 20")
    served = _serving(lake)
    assert served != before
    assert (lake.map(DATASET) / served / "adapter.safetensors").read_bytes() == adapter
    assert sum(value is not None and value > 50.4 for value in _latitudes(lake).values()) == 12
    decision = read_decision(lake, RUN)
    assert decision is not None
    assert decision.positions is not None
    assert (decision.positions.map_before, decision.positions.map, decision.positions.moved) == (before, served, 12)
    assert decision.comparisons  # measured anew
    assert read_json(lake.registration(RUN))["reason"] == decision.reason
    assert run_query(lake, "SELECT verdict, reason FROM gate_decisions").rows == [("promoted", decision.reason)]
    assert old_positions_that_serve(lake, DATASET) is None
    again = _register(lake, RUN)
    assert (again.verdict, again.positions, _serving(lake)) == ("unchanged", "", served)


@pytest.mark.parametrize(
    ("change", "cleared"),
    [({"crs": "EPSG:4258"}, 0), ({"x": 1.0, "y": 2.0, "crs": "local"}, 0), ({"latitude": None, "longitude": None}, 12)],
)
def test_another_crs_or_no_position_is_another_position(lake: Lake, change: dict[str, Any], cleared: int) -> None:
    _ingest_changed(lake, **change)
    old = old_positions_that_serve(lake, DATASET)
    assert old is not None
    assert (old.moved, old.cleared) == (12, cleared)
    mend(DATASET, lake)
    assert old_positions_that_serve(lake, DATASET) is None


def test_a_tile_that_the_dataset_lost_is_told_and_leaves_the_map(lake: Lake) -> None:
    row = next(row for row in tables.read_images(lake, DATASET).to_pylist() if row["view"] == "satellite")
    lost = row["image_id"]
    row.pop("batch")
    tables.add_batch(lake.images(DATASET), [{**row, "image_id": "e" * 32}], schemas.IMAGES, Layout.FOLDER, "/pictures/replaced")
    old = old_positions_that_serve(lake, DATASET)
    assert old is not None
    assert (old.moved, old.gone) == (0, 1)
    assert _register(lake, RUN).verdict == "promoted"
    assert lost not in _latitudes(lake)


def test_new_references_alone_make_no_map_old(lake: Lake) -> None:
    add_reference(lake)
    assert old_positions_that_serve(lake, DATASET) is None
    assert warning_of(lake, DATASET) is None


def test_doctor_tells_maps_mends_and_a_rollback_goes_back(lake: Lake) -> None:
    before = _serving(lake)
    _ingest_changed(lake)
    disagreements = look(DATASET, lake)
    assert len(disagreements) == 1
    check = next(check for check in diagnose(lake) if check.subject == f"map of {DATASET}")
    assert (check.verdict, check.fix) == (Verdict.BAD, f"cvgl maps --dataset {DATASET} --repair")
    assert mend_at_start(DATASET, lake, RegisterConfig()) == []  # the register stage does it, with a record
    assert _serving(lake) == before

    listed = invoke("maps", "--dataset", DATASET, "--lake", lake.root, "--json")
    assert listed.json["warning"].startswith(disagreements[0])
    listed = invoke("maps", "--dataset", DATASET, "--lake", lake.root, "--repair", "--json")
    assert (listed.json["mended"], listed.json["warning"]) == (disagreements, None)
    mended = _serving(lake)
    assert (mended != before, look(DATASET, lake)) == (True, [])

    change = promotion.rollback(DATASET, lake, to=before)
    assert (change.map, _serving(lake)) == (before, before)
    assert f"cvgl maps --dataset {DATASET} --repair" in change.warning
    # What a rollback went back from does not come again by itself, until somebody wants it or it changes again.
    assert _register(lake, RUN).positions == ""
    assert references.follow_positions(DATASET, lake) is None
    assert _serving(lake) == before
    _ingest_changed(lake, count=3, latitude=10.0)
    assert _register(lake, RUN).positions != ""
    assert _serving(lake) not in (before, mended)


def test_promoting_the_champion_by_hand_brings_them_in(lake: Lake) -> None:
    _ingest_changed(lake)
    change = promotion.promote(RUN, lake)
    assert change.map == _serving(lake)
    assert old_positions_that_serve(lake, DATASET) is None


def test_a_refused_challenger_leaves_no_old_positions_behind(lake: Lake) -> None:
    challenger = make_run(lake, adapted=0.4, seed=1)
    _ingest_changed(lake)
    outcome = _register(lake, challenger.name)
    assert (outcome.verdict, outcome.champion) == ("refused", RUN)
    assert outcome.positions.startswith("positions mended")
    assert old_positions_that_serve(lake, DATASET) is None
    assert open_bundle(lake.map(DATASET) / _serving(lake)).manifest.run == RUN
    decision = read_decision(lake, RUN)
    assert decision is not None
    assert decision.positions is not None


def test_references_that_came_between_batches_are_followed(lake: Lake) -> None:
    assert references.follow_positions(DATASET, lake) is None
    _ingest_changed(lake)
    change = references.follow_positions(DATASET, lake)
    assert change is not None
    assert (change.map, change.run) == (_serving(lake), RUN)
    assert old_positions_that_serve(lake, DATASET) is None


class _Killed(BaseException):
    """As a signal would: nothing of ours catches it."""


@pytest.mark.parametrize("step", ["keep_decision", "tracking.log_gate", "build", "tag", "reconcile"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_while_positions_are_brought_in(lake: Lake, step: str, moment: str) -> None:
    _ingest_changed(lake)
    expected = Lake.at(lake.root.with_name("straight"))
    shutil.copytree(lake.root, expected.root)
    _register(expected, RUN)
    place = {
        "keep_decision": "tasks.registry.verdict.keep_decision",
        "tracking.log_gate": "tasks.registry.tracking.log_gate",
        "build": "tasks.registry.promotion.build",
        "tag": "tasks.registry.promotion.tag",
        "reconcile": "tasks.registry.references._publish",
    }[step]
    module, name = place.rsplit(".", 1)
    right = getattr(__import__(module, fromlist=[name]), name)

    def killed(*args: Any, **kwargs: Any) -> Any:
        if moment == "after":
            right(*args, **kwargs)
        raise _Killed

    with mock.patch(place, killed), pytest.raises(_Killed):
        _register(lake, RUN)
    _register(lake, RUN)
    assert _serving(lake) == _serving(expected)
    assert old_positions_that_serve(lake, DATASET) is None
    ours, theirs = read_decision(lake, RUN), read_decision(expected, RUN)
    assert ours == theirs
    registrations = [read_json(lake_of_run.registration(RUN)) for lake_of_run in (lake, expected)]
    assert registrations[0] == registrations[1]
    assert open_registry(lake).client.get_model_version(NAME, "1").tags[MAP] == _serving(lake)
