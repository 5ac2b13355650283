"""Flow runs whose process was killed.

The engine hears nothing of a `kill -9`, and its page would show such a run as running for ever. Every run of ours carries
a tag that names its process; whoever starts next looks whether those processes still live.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

logger = logging.getLogger("cvgl.engine")

OURS = "cvgl"
_PREFIX = "process:"


def process_tag(process: psutil.Process | None = None) -> str:
    """Names a process of this machine for good: ids are used again, so its start belongs to it."""
    process = process or psutil.Process()
    return f"{_PREFIX}{socket.gethostname()}/{process.pid}/{process.create_time():.2f}"


def is_gone(tags: Iterable[str]) -> bool:
    """Whether the process that these tags name was one of this machine and has ended; False where they name none."""
    for tag in tags:
        host, _, rest = tag.removeprefix(_PREFIX).partition("/")
        if tag.startswith(_PREFIX) and host == socket.gethostname():
            number = rest.partition("/")[0]
            try:
                return not number.isdigit() or process_tag(psutil.Process(int(number))) != tag
            except psutil.NoSuchProcess:
                return True
    return False


def close_abandoned() -> int:
    """Marks the flow runs of killed processes as crashed, on the server that this process reports to.

    Returns:
        How many there were.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        FlowRunFilterTags,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    running = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[OURS]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])),
    )
    with get_client(sync_client=True) as client:
        gone = [run for run in client.read_flow_runs(flow_run_filter=running) if is_gone(run.tags)]
        for run in gone:
            state: State[Any] = Crashed(message="its process was killed; the same command continues the work")
            client.set_flow_run_state(run.id, state, force=True)
            logger.info("closed the page of a killed run: %s", run.name)
    return len(gone)
