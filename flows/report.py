"""The flow that writes a run's page."""

from __future__ import annotations

from cvgl.lake import Lake
from cvgl.stages.report import ReportOutcome
from flows.stage import DEFAULT_LAKE, stage_flow
from tasks.find import find_evaluation
from tasks.report import report as draw


@stage_flow("report", run_name="report {run}")
def report(run: str, lake: str = DEFAULT_LAKE) -> ReportOutcome:
    """Writes one self-contained HTML page about an evaluated run."""
    root = Lake.at(lake)
    return draw(find_evaluation(root, run), root)
