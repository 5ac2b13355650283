from __future__ import annotations

from typing import Any, cast

import pytest
from prefect import Task
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed

from cvgl.errors import DataError, MissingDependencyError
from tasks.stage import is_transient, stage_task


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (OSError(5, "Input/output error"), True),
        (ConnectionResetError("reset"), True),
        (TimeoutError("slow"), True),
        (DataError("bad folder", where="here", fix="mend it"), False),
        (MissingDependencyError("no duckdb"), False),
        (FileNotFoundError("gone"), False),
        (PermissionError("no"), False),
        (ValueError("a defect of ours"), False),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(error: Exception, again: bool) -> None:
    task, run = cast(Task[..., Any], None), cast(TaskRun, None)
    assert is_transient(task, run, Failed(data=error)) is again


def test_the_engine_keeps_nothing() -> None:
    @stage_task("count", run_name="count")
    def count() -> int:
        return 1

    assert count.persist_result is False
    assert count.cache_policy is not None
    assert count.cache_policy.compute_key(None, {}, {}) is None  # type: ignore[arg-type] # no policy looks at the run
    assert count.retries == 2
    assert count.fn() == 1
