"""Registration against a real MLflow server that is down, slow, loses replies, or is killed and started again."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import mlflow
import pytest
import requests

from cvgl.config import RegisterConfig
from cvgl.errors import RegistryError
from cvgl.lake import Lake
from cvgl.summary import MetricSummary, read_summaries
from cvgl.types import ArtifactRef
from tasks.registry import promotion, tracking
from tasks.registry.patience import Patience, PatientClient, RegistryUnreachableError, can_pass
from tasks.registry.recovery import look
from tasks.registry.registration import RegisterOutcome, publish_report, register
from tasks.registry.store import open_registry
from tests.flows.cli.commands import invoke
from tests.tasks.mlflow_server import MlflowServer, Proxy, free_port
from tests.tasks.registry_lake import DATASET, make_run

PATIENCE = 150.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("server"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


def do(lake: Lake, evaluation: ArtifactRef, config: RegisterConfig) -> RegisterOutcome:
    def evaluate_run(run: str) -> Sequence[MetricSummary]:
        return read_summaries(lake.evaluation(run))

    return register(evaluation, config, lake, evaluate_run)


def counts(server: MlflowServer, run: str, name: str) -> tuple[int, int, int]:
    """MLflow runs and logged models of a run of ours, and versions of the registered model."""
    client = mlflow.MlflowClient(server.url)
    experiment = client.get_experiment_by_name(f"cvgl-{DATASET}").experiment_id
    runs = client.search_runs([experiment], f"tags.`cvgl.run` = '{run}'")
    models = client.search_logged_models([experiment])
    ours = [entry for entry in models if entry.source_run_id in {each.info.run_id for each in runs}]
    return len(runs), len(ours), len(client.search_model_versions(f"name = '{name}'"))


def assert_registered_once(server: MlflowServer, lake: Lake, outcome: RegisterOutcome, config: RegisterConfig) -> None:
    client = mlflow.MlflowClient(server.url)
    name = outcome.model
    assert (outcome.verdict, outcome.champion) == ("promoted", outcome.run)
    assert counts(server, outcome.run, name) == (1, 1, 1)
    assert client.get_registered_model(name).aliases == {"champion": outcome.version}
    assert client.get_model_version(name, outcome.version).tags["cvgl.verdict"] == "promoted"
    run = client.get_run(outcome.mlflow_run)
    assert (run.info.status, run.data.tags["cvgl.contents"] != "") == ("FINISHED", True)
    assert len(client.get_metric_history(outcome.mlflow_run, "training/labelled_share")) == 3
    assert {entry.path for entry in client.list_artifacts(outcome.mlflow_run, "evaluation")} == {
        "evaluation/metrics.json",
        "evaluation/metrics.parquet",
        "evaluation/queries.parquet",
    }
    assert look(DATASET, lake, config) == []


@pytest.mark.slow
def test_a_server_that_comes_up_later_is_waited_for(server: MlflowServer, lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    evaluation = make_run(lake, adapted=0.5, seed=1)
    config = RegisterConfig(tracking_uri=server.url, model_name="late", patience_s=PATIENCE)
    server.kill()
    starter = threading.Timer(1.5, server.launch)
    starter.start()
    with caplog.at_level(logging.WARNING, logger="cvgl.registry"):
        outcome = do(lake, evaluation, config)
    starter.join()
    assert_registered_once(server, lake, outcome, config)
    assert [record.getMessage().split(" ", 5)[4] for record in caplog.records][:2] == ["fails", "answers"]
    assert do(lake, evaluation, config).skipped


@pytest.mark.slow
def test_a_server_that_is_killed_in_the_middle_is_waited_for_and_gets_everything_once(
    server: MlflowServer, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = make_run(lake, adapted=0.5, seed=2)
    config = RegisterConfig(tracking_uri=server.url, model_name="killed", patience_s=PATIENCE)
    killed: list[str] = []

    def deadly(owner: Any, name: str, before: bool) -> None:
        """The server dies right before or after the first call, and is started again."""
        original = getattr(owner, name)

        def call(*requested: Any, **named: Any) -> Any:
            def die() -> None:
                if name not in killed:
                    killed.append(name)
                    server.kill()
                    server.launch()

            if before:
                die()
            answer = original(*requested, **named)
            die()
            return answer

        monkeypatch.setattr(owner, name, call)

    deadly(mlflow.MlflowClient, "log_model_artifacts", before=True)  # a model is half there
    deadly(promotion, "set_alias", before=False)
    outcome = do(lake, evaluation, config)
    assert killed == ["log_model_artifacts", "set_alias"]
    assert_registered_once(server, lake, outcome, config)
    assert publish_report(evaluation.name, lake, config)


@pytest.mark.slow
def test_replies_that_are_lost_and_errors_of_the_server_leave_nothing_twice(server: MlflowServer, lake: Lake) -> None:
    evaluation = make_run(lake, adapted=0.5, seed=3)

    def misbehave(name: str, times: int) -> str:
        creates = name.startswith("POST") and name.endswith(("/create", "/logged-models"))
        # A model is stored as a whole: it is enough that one of its files fails.
        file_of_model = name.startswith("PUT") and "MODEL" in name and not name.endswith("/MLmodel")
        return "pass" if times > 1 or file_of_model else "lose" if creates else "500"

    with closing(Proxy(server.port, misbehave)) as proxy:
        config = RegisterConfig(tracking_uri=proxy.url, model_name="lost", patience_s=PATIENCE)
        outcome = do(lake, evaluation, config)
        lost = {name.rsplit("/", 2)[-2] for name in proxy.done if name.startswith("lose") and name.endswith("/create")}
        assert {"runs", "registered-models", "model-versions"} <= lost
        assert any(name.startswith("lose") and name.endswith("/logged-models") for name in proxy.done)
        assert_registered_once(server, lake, outcome, config)


@pytest.mark.slow
def test_requests_that_a_slow_server_carries_out_after_we_gave_them_up_are_cleared_away(
    server: MlflowServer, lake: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    evaluation = make_run(lake, adapted=0.5, seed=4)

    def misbehave(name: str, times: int) -> str:
        late = name.endswith(("/runs/create", "/model-versions/create"))
        return "late" if late and times == 1 else "pass"

    with closing(Proxy(server.port, misbehave)) as proxy:
        config = RegisterConfig(tracking_uri=proxy.url, model_name="slow", patience_s=PATIENCE)
        outcome = do(lake, evaluation, config)
        proxy.settle()
        assert counts(server, evaluation.name, "slow") == (2, 1, 2)
        with caplog.at_level(logging.WARNING, logger="cvgl.registry"):
            assert do(lake, evaluation, config).skipped
        assert sum("it was deleted" in record.getMessage() for record in caplog.records) == 2
        assert_registered_once(server, lake, outcome, config)


def test_a_server_that_never_comes_up_is_an_error_in_time_and_the_command_says_what_to_do(lake: Lake) -> None:
    evaluation = make_run(lake, adapted=0.5)
    address = f"http://127.0.0.1:{free_port()}"
    started = time.monotonic()
    with pytest.raises(RegistryUnreachableError, match=r"cannot be reached: .*Connection refused.*attempts in 2 s") as caught:
        do(lake, evaluation, RegisterConfig(tracking_uri=address, patience_s=2))
    assert 2 <= time.monotonic() - started < 10
    assert (caught.value.where, "do the same again" in caught.value.fix) == (address, True)
    assert lake.evaluation(evaluation.name).is_dir()
    run = invoke("promote", evaluation.name, "--lake", lake.root, "--tracking-uri", address, "--registry-timeout", "0.5")
    assert run.code == 1
    assert "cannot be reached" in run.stderr
    assert "Traceback" not in run.stderr


def test_only_what_can_pass_is_tried_again() -> None:
    answer = requests.Response()
    answer.status_code = 503
    passing = [requests.ConnectionError("refused"), requests.ReadTimeout(), requests.HTTPError(response=answer)]
    answer = requests.Response()
    answer.status_code = 404
    lasting = [
        requests.exceptions.SSLError("certificate"),
        requests.HTTPError(response=answer),
        OSError(28, "the disk is full"),
        ValueError(),
    ]
    assert [can_pass(error) for error in [*passing, *lasting]] == [True] * 3 + [False] * 4
    for error in lasting:
        call = mock.Mock(side_effect=error)
        with pytest.raises(type(error)):
            Patience(60.0)(call, "x")
        assert call.call_count == 1


def test_patience_grows_its_pauses_ends_in_time_and_does_not_repeat_what_creates(monkeypatch: pytest.MonkeyPatch) -> None:
    now, pauses = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    client = mock.Mock()
    client.get_run.side_effect = requests.ConnectionError("refused")
    client.create_run.side_effect = requests.ConnectionError("refused")
    patient = PatientClient(client, Patience(60.0, "there"))
    with pytest.raises(RegistryUnreachableError, match="refused"):
        patient.get_run("1")
    assert pauses[:7] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    assert sum(pauses) == pytest.approx(60.0)
    with pytest.raises(requests.ConnectionError):
        patient.create_run("1")
    assert client.create_run.call_count == 1


@pytest.mark.slow
def test_a_refusal_of_the_server_is_an_error_for_people_at_once(server: MlflowServer, lake: Lake) -> None:
    config = RegisterConfig(tracking_uri=server.url, model_name="no/such:name", patience_s=PATIENCE)
    started = time.monotonic()
    with pytest.raises(RegistryError, match="refuses"):
        do(lake, make_run(lake, adapted=0.5, seed=5), config)
    assert time.monotonic() - started < 60


@pytest.mark.slow
def test_two_runs_at_once_create_one_registry_and_are_both_in_it(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_run(lake, adapted=0.5), make_run(lake, adapted=0.6, seed=1)
    shared = tmp_path / "shared" / "mlflow.db"  # of nobody's lake: its creation has to be guarded all the same
    code = f"""
        import sys
        from pathlib import Path
        from cvgl.config import RegisterConfig
        from cvgl.lake import Lake
        from cvgl.summary import read_summaries
        from cvgl.types import ArtifactRef
        from tasks.registry.registration import register
        lake, run = Lake.at("{lake.root}"), sys.argv[1]
        config = RegisterConfig(tracking_uri="sqlite:///{shared}", model_name=sys.argv[2])
        register(ArtifactRef("evaluation", lake.evaluation(run), "x", run), config, lake,
                 lambda run: read_summaries(lake.evaluation(run)))
    """
    running = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), run.name, name],
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,  # where MLflow puts the artifacts of such an address
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for run, name in ((first, "one"), (second, "two"))
    ]
    for process in running:
        _, errors = process.communicate(timeout=150)
        assert process.returncode == 0, errors
    monkeypatch.chdir(tmp_path)
    registry = open_registry(lake, f"sqlite:///{shared}")
    for run, name in ((first, "one"), (second, "two")):
        version = promotion.version_by_alias(registry, name, promotion.CHAMPION)
        assert version is not None
        assert version.run == run.name
        assert tracking.find_or_create_run(registry, DATASET, run.name).contents
