"""deployments/prefect.yaml on a real server, with a real process worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.images import university1652
from tests.flows.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
STAGES = {"ingest", "align", "extract", "adapt", "evaluate", "register", "report"}
FLOWS = STAGES | {"pipeline", "reproduce"}


def test_every_flow_is_deployed_and_a_worker_runs_the_pipeline(server: Server, tmp_path: Path) -> None:
    source = university1652(tmp_path / "pictures", train=6, test=4, distractors=1, views=2)
    server.prefect("work-pool", "create", "cvgl", "--type", "process")
    server.prefect("--no-prompt", "deploy", "--prefect-file", "deployments/prefect.yaml", "--all")
    deployed = json.loads(server.prefect("deployment", "ls", "--output", "json"))
    assert {deployment["name"] for deployment in deployed} == FLOWS

    config = {
        "lake": str(tmp_path / "lake"),
        "ingest": {"source": str(source), "dataset": "tiny"},
        "adapt": {"recipe": "paper-standardised", "dimension": 32, "iterations": 3, "query_samples": 8},
        "registry": {"tolerance": 1.0},
    }
    server.prefect("deployment", "run", "pipeline/pipeline", "--param", f"config={json.dumps(config)}")
    server.prefect("worker", "start", "--pool", "cvgl", "--type", "process", "--run-once", timeout=600)
    assert list((tmp_path / "lake" / "reports").glob("*/index.html"))
    runs = json.loads(server.prefect("flow-run", "ls", "--output", "json", "--limit", "20"))
    assert {run["state_type"] for run in runs} == {"COMPLETED"}
    assert sorted(run["name"].split()[0] for run in runs) == sorted([*STAGES, "tiny/gist/seed"])
