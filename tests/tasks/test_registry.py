"""Registration, end to end against a real MLflow store on sqlite."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from cvgl.adaptation import Adaptation
from cvgl.catalog import run_query
from cvgl.config import AdaptConfig, ExtractConfig, GatePolicy, Recipe, RegisterConfig
from cvgl.errors import DataError, LakeError, ModelError, RegistryError
from cvgl.lake import Lake, read_json, read_parquet, sweep, write_json
from cvgl.localization.bundle import Serving, open_bundle, problems, read_current
from cvgl.quality.gate import GateDecision
from cvgl.stages.adapt import adapt as adapt_stage
from cvgl.stages.quality import judge
from cvgl.summary import MetricSummary, read_summaries
from cvgl.types import ArtifactRef
from tasks.registry import model, promotion, references, tracking
from tasks.registry.registration import RegisterOutcome, publish_report, register
from tasks.registry.store import Registry, local_uri, open_registry
from tasks.registry.verdict import gate_folder, read_decision
from tests.stages.lakes import write_features, write_images
from tests.stages.shifted import images
from tests.tasks.registry_lake import D0, DATASET, D, add_reference, descriptors, make_run, summaries, write_evaluation

NAME = f"cvgl-{DATASET}"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's migrations take seconds: one database is made and copied, which also is what a copied lake looks like."""
    lake = Lake.at(tmp_path_factory.mktemp("template"))
    registry = open_registry(lake)
    registry.client.create_experiment("cvgl-elsewhere", artifact_location=lake.mlflow_artifacts.as_uri())
    return lake.mlflow_database


@pytest.fixture
def lake(tmp_path: Path, template: Path) -> Lake:
    lake = Lake.at(tmp_path / "lake")
    lake.mlflow_database.parent.mkdir(parents=True)
    shutil.copy(template, lake.mlflow_database)
    return lake


def do(lake: Lake, evaluation: ArtifactRef, config: RegisterConfig | None = None) -> RegisterOutcome:
    """Registers with the champion's own evaluation as its figures."""

    def evaluate_run(run: str) -> Sequence[MetricSummary]:
        return read_summaries(lake.evaluation(run))

    return register(evaluation, config or RegisterConfig(), lake, evaluate_run)


def serving(lake: Lake) -> Serving:
    current = read_current(lake.champion(DATASET))
    assert current is not None
    return current.serving


def never(run: str) -> Sequence[MetricSummary]:
    raise AssertionError(f"{run} must not be evaluated again")


def aliases(registry: Registry) -> dict[str, str]:
    return {str(k): str(v) for k, v in registry.client.get_registered_model(NAME).aliases.items()}


def counts(registry: Registry) -> tuple[int, int, int]:
    """MLflow runs, logged models and versions of the dataset."""
    experiment = registry.client.get_experiment_by_name(f"cvgl-{DATASET}").experiment_id
    return (
        len(registry.client.search_runs([experiment])),
        len(registry.client.search_logged_models([experiment])),
        len(registry.client.search_model_versions(f"name = '{NAME}'")),
    )


def test_first_run_becomes_champion_and_everything_about_it_is_recorded(lake: Lake) -> None:
    evaluation = make_run(lake, adapted=0.5)
    outcome = register(evaluation, RegisterConfig(), lake, never)
    assert publish_report(evaluation.name, lake, RegisterConfig())
    assert not publish_report(evaluation.name, lake, RegisterConfig())  # the same report is there

    assert (outcome.verdict, outcome.version, outcome.champion) == ("promoted", "1", evaluation.name)
    registry = open_registry(lake)
    assert aliases(registry) == {"champion": "1"}
    served = serving(lake)
    assert (served.run, served.model, served.version, served.features) == (evaluation.name, NAME, "1", "f" * 16)
    assert problems(lake.map(DATASET) / served.map) == []
    assert registry.client.get_model_version(NAME, "1").tags["cvgl.map"] == served.map
    run = registry.client.get_run(outcome.mlflow_run)
    assert run.info.status == "FINISHED"
    assert run.data.params["adapt.iterations"] == "3"
    assert run.data.params["features"] == "f" * 16
    assert run.data.params["training.query_ids_digest"] == "q" * 16
    assert run.data.metrics["adapted/drone_to_satellite/standard/recall_at_1"] == 0.5
    assert run.data.metrics["frozen/satellite_to_drone/standard/recall_at_1_percent"] == 0.2
    assert "R@1" in run.data.tags["mlflow.note.content"]
    history = registry.client.get_metric_history(outcome.mlflow_run, "training/labelled_share")
    assert [metric.step for metric in history] == [1, 2, 3]
    assert {entry.dataset.digest for entry in run.inputs.dataset_inputs} == {"q" * 16, "r" * 16}
    assert _artifacts(registry, outcome.mlflow_run) >= {
        "evaluation/metrics.json",
        "evaluation/metrics.parquet",
        "evaluation/queries.parquet",
        "report/index.html",
        "report/figures/similarity.png",
    }
    version = registry.client.get_model_version(NAME, "1")
    assert version.tags["cvgl.verdict"] == "promoted"
    assert version.tags["cvgl.reason"] == outcome.reason
    expected_reason = read_json(lake.registration(evaluation.name))
    assert (expected_reason["verdict"], expected_reason["reason"]) == ("promoted", outcome.reason)
    assert "50.0 %" in version.description


def _artifacts(registry: Registry, run: str, path: str = "") -> set[str]:
    members: set[str] = set()
    for entry in registry.client.list_artifacts(run, path):
        members |= _artifacts(registry, run, entry.path) if entry.is_dir else {entry.path}
    return members


@pytest.mark.slow
def test_model_loads_by_alias_in_a_fresh_process_without_the_lake(lake: Lake, tmp_path: Path) -> None:
    evaluation = make_run(lake, adapted=0.5)
    do(lake, evaluation)
    features = descriptors(5, seed=9)
    own = Adaptation.load(lake.adapter(evaluation.name))
    np.savez(tmp_path / "given.npz", features=features, query=own.transform_query(features))
    shutil.rmtree(lake.root / "adapters")  # the registry alone has to be enough
    code = f"""
        import sys, numpy as np, mlflow
        mlflow.set_tracking_uri("{local_uri(lake)}")
        given = np.load("{tmp_path / "given.npz"}")
        model = mlflow.pyfunc.load_model("models:/{NAME}@champion")
        query = model.predict(given["features"])
        reference = model.predict(given["features"], params={{"side": "reference"}})
        assert query.dtype == np.float32 and np.abs(query - given["query"]).max() < 1e-5
        assert reference.shape == query.shape == (5, {D})
        assert "tasks" not in sys.modules
        inputs = model.metadata.get_input_schema().inputs[0]
        assert inputs.shape == (-1, {D0}), inputs
        assert model.input_example is not None
        try:
            model.predict(given["features"], params={{"side": "left"}})
        except Exception as error:
            assert "no side" in str(error), error
        else:
            raise SystemExit("an unknown side was accepted")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_registering_again_changes_nothing(lake: Lake) -> None:
    evaluation = make_run(lake, adapted=0.5)
    first = do(lake, evaluation)
    registry = open_registry(lake)

    def state() -> str:
        run = registry.client.get_run(first.mlflow_run).to_dictionary()
        return str((counts(registry), registry.client.get_model_version(NAME, "1"), run))

    before = state()
    again = register(evaluation, RegisterConfig(), lake, never)

    assert (again.verdict, again.skipped, first.skipped) == ("unchanged", True, False)
    assert (again.mlflow_run, again.version) == (first.mlflow_run, first.version)
    assert counts(registry) == (1, 1, 1)
    assert state() == before


def test_better_challenger_replaces_the_champion_and_worse_is_refused(lake: Lake) -> None:
    first, better, worse = (make_run(lake, adapted=r, seed=s) for s, r in enumerate((0.5, 0.6, 0.3)))
    do(lake, first)
    promoted = do(lake, better)
    refused = do(lake, worse)

    registry = open_registry(lake)
    assert (promoted.verdict, promoted.champion) == ("promoted", better.name)
    assert (refused.verdict, refused.champion) == ("refused", better.name)
    assert {pair.against for pair in refused.decision.comparisons} == {"champion", "frozen"}
    assert aliases(registry) == {"champion": "2", "previous": "1", "challenger": "3"}
    assert serving(lake).run == better.name
    tags = registry.client.get_model_version(NAME, "3").tags
    assert tags["cvgl.verdict"] == "refused"
    assert tags["cvgl.reason"] == refused.reason
    assert tags["gate.champion.drone_to_satellite.standard"] == "0.3000 against 0.6000"
    assert "worse than the champion" in refused.reason
    _assert_evidence_is_kept(lake, registry, promoted, "promoted")
    _assert_evidence_is_kept(lake, registry, refused, "refused")
    # The same evidence against the same champion gives the same answer, from memory.
    again = register(worse, RegisterConfig(), lake, never)
    assert (again.verdict, again.reason, again.skipped) == ("refused", refused.reason, True)
    # A champion that was replaced does not come back because its pipeline ran again.
    assert register(first, RegisterConfig(), lake, never).verdict == "unchanged"
    assert aliases(registry)["champion"] == "2"
    # More tolerance is another question.
    assert do(lake, worse, RegisterConfig(tolerance=0.5)).verdict == "promoted"


def _assert_evidence_is_kept(lake: Lake, registry: Registry, outcome: RegisterOutcome, verdict: str) -> None:
    """Figures, interval and rows: in the lake, as artifacts of the MLflow run, and in short as tags of the version."""
    folder = gate_folder(lake, outcome.run)
    stored, rows = read_json(folder / "decision.json"), read_parquet(folder / "rows.parquet")
    difference = outcome.decision.difference
    assert difference is not None
    assert GateDecision.model_validate(stored["decision"]) == read_decision(lake, outcome.run) == outcome.decision
    assert (stored["decision"]["verdict"], stored["rules"]["resamples"], stored["champion_version"]) == (
        verdict,
        10_000,
        mock.ANY,
    )
    assert (stored["rows"]["digest"], rows.num_rows, stored["rows"]["count"]) == (difference.rows, 80, 80)
    rates = [float(np.mean(rows[side].to_numpy(zero_copy_only=False))) for side in ("challenger", "incumbent")]
    assert rates == pytest.approx([difference.challenger, difference.incumbent])
    assert _artifacts(registry, outcome.mlflow_run) >= {"gate/decision.json", "gate/rows.parquet"}
    tags = registry.client.get_model_version(NAME, outcome.version).tags
    assert tags["gate.rows"] == difference.rows
    assert tags["gate.policy"] == "better"
    assert tags["gate.champion.difference"].startswith(f"{difference.interval.value:+.4f} [{difference.interval.low:+.4f}, ")
    row = _of_run(lake, "FROM gate_decisions")[outcome.run]
    assert (row["verdict"], row["reason"], row["champion"]) == (outcome.verdict, outcome.reason, stored["champion"])
    assert [row[name] for name in ("measure", "challenger", "incumbent")] == [
        "R@1",
        difference.challenger,
        difference.incumbent,
    ]
    interval = {"difference": difference.interval.value, "low": difference.interval.low, "high": difference.interval.high}
    assert {name: row[name] for name in interval} == interval
    assert (row["standard_error"], row["n_rows"], row["rows_digest"]) == (None, 80, difference.rows)
    averages = _of_run(lake, "SELECT run, avg(challenger) AS ours, avg(incumbent) AS theirs FROM gate_evidence GROUP BY ALL")
    row = averages[outcome.run]
    assert [row["ours"], row["theirs"]] == pytest.approx([difference.challenger, difference.incumbent])


def test_a_damaged_verdict_is_named(lake: Lake) -> None:
    assert read_decision(lake, "") is None
    assert read_decision(lake, "nobody") is None
    contents: tuple[Any, ...] = ({}, [], {"decision": {"verdict": "perhaps"}})
    for damaged in contents:
        write_json(gate_folder(lake, "run") / "decision.json", damaged)
        with pytest.raises(LakeError, match="what the gate said is damaged"):
            read_decision(lake, "run")


def _of_run(lake: Lake, sql: str) -> dict[str, dict[str, Any]]:
    """Rows of a query by run."""
    answer = run_query(lake, sql)
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    assert len({row["run"] for row in rows}) == len(rows)
    return {row["run"]: row for row in rows}


def test_a_lead_that_chance_explains_does_not_replace_the_champion(lake: Lake) -> None:
    do(lake, make_run(lake, adapted=0.5))
    challenger = make_run(lake, adapted=0.525, seed=1)  # one more place of 40
    outcome = do(lake, challenger)
    assert outcome.verdict == "refused"
    assert "not better with confidence than the champion" in outcome.reason
    assert outcome.decision.difference is not None
    assert outcome.decision.difference.interval.low == 0.0
    # The policy is another question; the imagery has not grown, so the answer is the same.
    grown = RegisterConfig(policy=GatePolicy.NON_INFERIORITY)
    assert (do(lake, challenger, grown).verdict, do(lake, challenger, grown).skipped) == ("refused", True)
    again = make_run(lake, adapted=0.5, seed=2, n_queries=60)
    assert do(lake, again).verdict == "refused"
    promoted = do(lake, again, grown)
    assert promoted.verdict == "promoted"
    assert "has learned from more images and is not worse" in promoted.reason


def test_a_champion_that_cannot_be_asked_stays_until_it_can(lake: Lake) -> None:
    do(lake, make_run(lake, adapted=0.5))
    challenger = make_run(lake, adapted=0.7, seed=1)

    def lost(run: str) -> Sequence[MetricSummary]:
        raise ModelError(f"the checkpoint of {run} is gone", where="weights", fix="bring it back")

    outcome = register(challenger, RegisterConfig(), lake, lost)
    assert outcome.verdict == "refused"
    assert f"not comparable because the checkpoint of {outcome.champion} is gone; the champion" in outcome.reason
    stored = read_json(gate_folder(lake, challenger.name) / "decision.json")
    assert stored["decision"]["obstacle"].startswith("the checkpoint")
    assert stored["rows"] is None
    assert do(lake, challenger).verdict == "promoted"  # it is asked again, and does not stay refused


def test_champion_is_measured_again_on_the_challengers_rows(lake: Lake) -> None:
    champion, challenger = make_run(lake, adapted=0.9), make_run(lake, adapted=0.5, seed=1, rows="rows-2")
    do(lake, champion)
    stays = do(lake, challenger)
    assert stays.verdict == "refused"
    assert "not comparable because the images or their places differ" in stays.reason
    registry = open_registry(lake)
    assert aliases(registry)["champion"] == "1"
    requests: list[str] = []

    def evaluate_run(run: str) -> Sequence[MetricSummary]:
        requests.append(run)
        write_evaluation(lake, run, summaries(0.4, rows="rows-2"))
        return read_summaries(lake.evaluation(run))

    outcome = register(challenger, RegisterConfig(), lake, evaluate_run)
    assert requests == [champion.name]
    assert outcome.verdict == "promoted"
    assert registry.client.get_run(outcome.mlflow_run).info.status == "FINISHED"
    assert counts(registry) == (2, 2, 2)


def test_missing_figure_is_an_error_and_the_champion_stays(lake: Lake) -> None:
    do(lake, make_run(lake, adapted=0.5))
    challenger = make_run(lake, adapted=0.6, seed=1)
    figures = [figure.model_copy(update={"recall": {"5": 0.9}}) for figure in summaries(0.6)]
    write_evaluation(lake, challenger.name, figures)
    with pytest.raises(DataError, match="R@1 is missing"):
        do(lake, challenger)
    assert aliases(open_registry(lake))["champion"] == "1"


@pytest.mark.slow
def test_run_without_labels_is_refused_until_a_person_promotes_it(lake: Lake) -> None:
    evaluation = make_run(lake, adapted=0.5)
    write_evaluation(lake, evaluation.name, [])
    outcome = do(lake, evaluation)
    assert outcome.verdict == "refused"
    assert outcome.champion == ""
    assert not lake.champion(DATASET).exists()
    assert promotion.promote(evaluation.name, lake).before == ""
    assert serving(lake).run == evaluation.name
    assert do(lake, evaluation).verdict == "unchanged"


@pytest.mark.slow
def test_rollback_goes_back_sticks_and_can_be_undone(lake: Lake) -> None:
    first, second = make_run(lake, adapted=0.5), make_run(lake, adapted=0.6, seed=1)
    do(lake, first)
    with pytest.raises(RegistryError, match="no earlier champion"):
        promotion.rollback(DATASET, lake)
    do(lake, second)
    shutil.rmtree(lake.adapter(first.name))  # the registry's copy brings it back

    change = promotion.rollback(DATASET, lake)

    assert (change.run, change.before, change.version) == (first.name, second.name, "1")
    assert serving(lake).run == first.name
    assert Adaptation.load(lake.adapter(first.name)).record.run == first.name
    registry = open_registry(lake)
    assert aliases(registry) == {"champion": "1"}
    stuck = register(second, RegisterConfig(), lake, never)
    assert (stuck.verdict, stuck.champion) == ("refused", first.name)
    assert f"cvgl promote {second.name}" in stuck.reason
    with pytest.raises(RegistryError, match="no earlier champion"):
        promotion.rollback(DATASET, lake)

    promotion.promote(second.name, lake)
    assert aliases(registry) == {"champion": "2", "previous": "1"}
    assert serving(lake).run == second.name
    assert promotion.rollback(DATASET, lake).run == first.name


@pytest.mark.slow
def test_any_earlier_map_serves_again_in_one_step(lake: Lake) -> None:
    runs = [make_run(lake, adapted=0.5 + seed / 10, seed=seed) for seed in range(3)]
    maps = []
    for run in runs:
        do(lake, run)
        maps.append(serving(lake).map)
    assert len(set(maps)) == 3
    change = promotion.rollback(DATASET, lake, to=maps[0])
    assert (change.run, change.map, serving(lake).map) == (runs[0].name, maps[0], maps[0])
    assert promotion.rollback(DATASET, lake, to=runs[1].name).map == maps[1]
    assert promotion.rollback(DATASET, lake, to="3").map == maps[2]
    with pytest.raises(RegistryError, match="as 'nothing'"):
        promotion.rollback(DATASET, lake, to="nothing")
    assert aliases(open_registry(lake))["champion"] == "3"


@pytest.mark.slow
def test_new_references_are_served_when_asked_for_and_a_rollback_brings_the_old_ones_back(lake: Lake) -> None:
    first, second = make_run(lake, adapted=0.5), make_run(lake, adapted=0.6, seed=1)
    do(lake, first)
    do(lake, second)
    assert references.refresh(DATASET, lake) is None
    before = serving(lake)
    add_reference(lake)
    assert do(lake, second).verdict == "unchanged"
    assert serving(lake) == before  # what serves changes when it is told to, and not by the way
    change = references.refresh(DATASET, lake)
    assert change is not None
    assert (change.run, serving(lake).map) == (second.name, change.map)
    assert len(open_bundle(lake.map(DATASET) / change.map).index.references) == 21
    assert promotion.rollback(DATASET, lake, to=before.map).run == second.name
    assert serving(lake) == before
    assert len(open_bundle(lake.map(DATASET) / before.map).index.references) == 20


def test_a_map_that_is_damaged_is_built_again(lake: Lake) -> None:
    evaluation = make_run(lake, adapted=0.5)
    do(lake, evaluation)
    before = serving(lake)
    (lake.map(DATASET) / before.map / "references.parquet").write_bytes(b"half")
    with pytest.raises(LakeError, match=r"references\.parquet is damaged"):
        open_bundle(lake.map(DATASET) / before.map)
    assert register(evaluation, RegisterConfig(), lake, never).verdict == "unchanged"
    assert serving(lake) == before
    assert problems(lake.map(DATASET) / before.map) == []


def test_promoting_what_is_not_registered_says_what_to_do(lake: Lake) -> None:
    evaluation = make_run(lake, adapted=0.5)
    with pytest.raises(RegistryError, match="is not registered"):
        promotion.promote(evaluation.name, lake)
    with pytest.raises(LakeError, match="missing"):
        promotion.promote("town-paper-nothing", lake)
    with pytest.raises(RegistryError, match="no champion"):
        promotion.rollback("nowhere", lake)


def test_model_that_differs_from_the_lake_is_never_promoted(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make_run(lake, adapted=0.5), make_run(lake, adapted=0.6, seed=1)
    do(lake, first)
    right = Adaptation.transform_reference
    monkeypatch.setattr(
        Adaptation,
        "transform_reference",
        lambda self, x: right(self, x) if self.record.run == first.name else -right(self, x),
    )
    # The model is loaded in this process too, so the difference is made in what is loaded second: the lake's own.
    loaded = model.load

    def load_untouched(registry: Registry, address: str) -> object:
        model = loaded(registry, address)

        class Other:
            def predict(self, rows: Any, params: dict[str, str]) -> Any:
                answer = model.predict(rows, params=params)
                return -answer if params["side"] == "reference" else answer

        return Other()

    monkeypatch.setattr(model, "load", load_untouched)
    with pytest.raises(RegistryError, match="reference side"):
        do(lake, second)
    assert aliases(open_registry(lake))["champion"] == "1"
    assert serving(lake).run == first.name


STEPS = (
    "tasks.registry.tracking._log_metrics",
    "tasks.registry.tracking._log_files",
    "mlflow.tracking.MlflowClient.finalize_logged_model",
    "tasks.registry.registration._ensure_version",
    "tasks.registry.verdict.decide",
    "tasks.registry.tracking.log_gate",
    "tasks.registry.model.rescore",
    "tasks.registry.promotion.set_alias:champion",
    "tasks.registry.promotion._serve",
    "tasks.registry.promotion.tag:cvgl.verdict",
)


@pytest.mark.slow
@pytest.mark.parametrize(("step", "moment"), [*((step, "before") for step in STEPS), (STEPS[1], "after"), (STEPS[3], "after")])
def test_killed_at_any_step_then_started_again(lake: Lake, step: str, moment: str) -> None:
    first, second = make_run(lake, adapted=0.5), make_run(lake, adapted=0.6, seed=1)
    do(lake, first)
    _register_and_die(lake, second, step, moment)
    outcome = do(lake, second)

    registry = open_registry(lake)
    assert (outcome.verdict, outcome.champion) in {("promoted", second.name), ("unchanged", second.name)}
    assert counts(registry) == (2, 2, 2)
    assert aliases(registry) == {"champion": "2", "previous": "1"}
    assert serving(lake).run == second.name
    assert registry.client.get_model_version(NAME, "2").tags["cvgl.verdict"] == "promoted"
    assert read_json(gate_folder(lake, second.name) / "decision.json")["decision"]["verdict"] == "promoted"
    assert _artifacts(registry, outcome.mlflow_run) >= {"gate/decision.json", "gate/rows.parquet"}
    assert registry.client.get_run(outcome.mlflow_run).info.status == "FINISHED"
    assert len(registry.client.get_metric_history(outcome.mlflow_run, "training/labelled_share")) == 3
    assert do(lake, second).skipped
    assert sweep(lake.map(DATASET)) == 0


def _register_and_die(lake: Lake, evaluation: ArtifactRef, step: str, moment: str) -> None:
    """Registers in another process that is killed right before or after a step."""
    target, _, argument = step.partition(":")
    code = f"""
        import os, signal
        from pathlib import Path
        from unittest import mock
        from pkgutil import resolve_name
        from cvgl.config import RegisterConfig
        from cvgl.lake import Lake
        from cvgl.summary import read_summaries
        from cvgl.types import ArtifactRef
        from tasks.registry.registration import register
        import mlflow.tracking

        original = resolve_name("{target}")
        def deadly(*given, **named):
            mine = "{argument}" in str(given)
            if mine and "{moment}" == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            answer = original(*given, **named)
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        lake = Lake.at("{lake.root}")
        evaluation = ArtifactRef("evaluation", Path("{evaluation.path}"), "x", "{evaluation.name}")
        with mock.patch("{target}", deadly):
            register(evaluation, RegisterConfig(), lake, lambda run: read_summaries(lake.evaluation(run)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_pointer_that_a_killed_process_did_not_write_is_mended(lake: Lake) -> None:
    evaluation = make_run(lake, adapted=0.5)
    do(lake, evaluation)
    lake.champion(DATASET).write_text("{ half")
    assert register(evaluation, RegisterConfig(), lake, never).verdict == "unchanged"
    assert serving(lake).run == evaluation.name


@pytest.mark.slow
def test_unfinished_model_of_a_killed_process_is_cleared_away(lake: Lake) -> None:
    evaluation = make_run(lake, adapted=0.5)
    registry = open_registry(lake)
    tracked = tracking.find_or_create_run(registry, DATASET, evaluation.name)
    half = registry.client.create_logged_model(tracked.experiment, model.MODEL, tracked.id)
    outcome = do(lake, evaluation)
    assert outcome.mlflow_run == tracked.id
    assert counts(registry) == (1, 1, 1)
    assert registry.client.get_model_version(NAME, "1").tags["cvgl.model_id"] != half.model_id


@pytest.mark.slow
def test_new_evaluation_of_a_registered_run_is_recorded_in_the_same_mlflow_run(lake: Lake) -> None:
    evaluation = make_run(lake, adapted=0.5)
    first = do(lake, evaluation)
    for adapted in (0.3, 0.7, 0.4):
        write_evaluation(lake, evaluation.name, summaries(adapted))
        again = do(lake, evaluation)
    registry = open_registry(lake)
    assert (again.mlflow_run, again.skipped) == (first.mlflow_run, False)
    assert counts(registry) == (1, 1, 1)
    figures = registry.client.get_run(first.mlflow_run).data.metrics
    assert figures["adapted/drone_to_satellite/standard/recall_at_1"] == 0.4


@pytest.mark.slow
def test_copied_lake_keeps_its_artifacts_and_leaves_the_original_alone(lake: Lake, tmp_path: Path) -> None:
    do(lake, make_run(lake, adapted=0.5))
    copy = Lake.at(tmp_path / "co_p y")
    shutil.copytree(lake.root, copy.root)
    files = sorted(lake.mlflow_artifacts.rglob("*"))
    second = make_run(copy, adapted=0.6, seed=1)
    outcome = do(copy, second)
    assert outcome.verdict == "promoted"
    assert sorted(lake.mlflow_artifacts.rglob("*")) == files
    shutil.rmtree(lake.root)
    assert model.load(open_registry(copy), f"models:/{NAME}/1").predict(descriptors(2)).shape == (2, D)


def test_path_that_mlflow_cannot_handle_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="path holds # %"):
        open_registry(Lake.at(tmp_path / "100% #1"))


def test_damaged_database_is_a_registry_error(lake: Lake) -> None:
    lake.mlflow_database.write_bytes(b"no database" * 100)
    with pytest.raises(RegistryError, match="not a database"):
        do(lake, make_run(lake, adapted=0.5))


def test_address_that_nobody_answers_is_a_registry_error(lake: Lake) -> None:
    evaluation = make_run(lake, adapted=0.5)
    for uri in ("http://127.0.0.1:9", f"file://{lake.root}/mlruns", "nonsense://x"):
        with pytest.raises(RegistryError, match=r"cannot be (opened|reached)"):
            do(lake, evaluation, RegisterConfig(tracking_uri=uri, patience_s=0))


@pytest.mark.slow
def test_several_processes_may_open_a_new_registry_at_once(tmp_path: Path) -> None:
    code = f"from cvgl.lake import Lake; from tasks.registry.store import open_registry; open_registry(Lake.at('{tmp_path}'))"
    running = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        for _ in range(2)
    ]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


def test_importing_the_registry_does_not_import_mlflow() -> None:
    code = "import sys, tasks.registry.registration; sys.exit('mlflow' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0


def test_without_labels_the_champion_is_replaced_on_images_that_neither_has_learned_from(lake: Lake) -> None:
    shots = [*images(range(60), "train"), *images(range(60, 100), "query")]
    for shot in shots:
        shot.position = {"latitude": 50.0, "longitude": 4.0} if shot.view == "satellite" else None
    write_images(lake, shots)
    features = write_features(lake, shots)
    made = {"extract": ExtractConfig().model_dump(mode="json"), "identity": {"backbone": "gist"}, "dimension": 32}
    write_json(features.path.parent / "model.json", made)
    evaluations = []
    for recipe in (Recipe.FROZEN, Recipe.STANDARDISED):
        adapter = adapt_stage(features, AdaptConfig(recipe=recipe), lake).ref
        judge(adapter, lake)
        evaluations.append(write_evaluation(lake, adapter.name, []))
    frozen, standardised = evaluations
    assert do(lake, frozen).verdict == "refused"
    promotion.promote(frozen.name, lake)

    outcome = do(lake, standardised)

    assert outcome.verdict == "promoted", outcome.reason
    assert f"no labels; better than the champion {frozen.name} without them" in outcome.reason
    comparison = outcome.decision.contest
    assert comparison is not None
    assert (comparison.n_queries, comparison.n_references) == (40, 100)
    folder = gate_folder(lake, standardised.name)
    stored, rows = read_json(folder / "decision.json"), read_parquet(folder / "rows.parquet")
    assert GateDecision.model_validate(stored["decision"]).contest == comparison
    assert stored["rows"]["count"] == rows.num_rows == 140
    registry = open_registry(lake)
    tags = registry.client.get_model_version(NAME, outcome.version).tags
    assert tags["gate.rows"] == stored["rows"]["digest"]
    assert tags["gate.champion.credit"].startswith(f"{comparison.difference:+.4f} +- {comparison.standard_error:.4f}")
    # A reference earns nothing, so its side of the average is empty.
    statement = (
        "SELECT role, count(*), avg(challenger), avg(incumbent) FROM gate_evidence WHERE run = (%s) GROUP BY 1 ORDER BY 1"
    )
    assert run_query(lake, statement % "SELECT run FROM gate_decisions WHERE measure = 'halves'").rows == [
        ("query", 40, pytest.approx(comparison.challenger), pytest.approx(comparison.champion)),
        ("reference", 100, None, None),
    ]
    row = _of_run(lake, "FROM gate_decisions")[standardised.name]
    assert [row[name] for name in ("measure", "incumbent", "difference")] == [
        comparison.measure,
        comparison.champion,
        comparison.difference,
    ]
    assert (row["low"], row["standard_error"], row["n_rows"]) == (None, comparison.standard_error, 140)
    assert _artifacts(registry, outcome.mlflow_run) >= {"gate/decision.json", "gate/rows.parquet"}
    assert serving(lake).run == standardised.name
