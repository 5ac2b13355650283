"""The flow that writes a run's page and puts it into its MLflow run."""

from __future__ import annotations

from cvgl.config import RegisterConfig
from cvgl.lake import Lake
from cvgl.reporting.report import ReportOutcome
from flows.stage import DEFAULT_LAKE, REGISTER, stage_flow
from tasks.find import find_evaluation
from tasks.register import publish_report
from tasks.report import report as draw


@stage_flow("report", run_name="report {run}")
def report(run: str, config: RegisterConfig = REGISTER, lake: str = DEFAULT_LAKE) -> ReportOutcome:
    """Writes one self-contained HTML page about a registered run, the gate's verdict included.

    Args:
        run: name of the run.
        config: the registry that the page is put into.
        lake: folder that holds everything.
    """
    root = Lake.at(lake)
    page = draw(find_evaluation(root, run), root)
    publish_report(run, config, root)
    return page
