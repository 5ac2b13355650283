"""What every task has in common: when it is tried again, and that the engine keeps nothing of what it returns."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from cvgl.errors import CvglError

P = ParamSpec("P")
R = TypeVar("R")

# Library records reach the run's page only when their logger lets INFO through.
logging.getLogger("cvgl").setLevel(logging.INFO)


def is_transient(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether trying again can help: a disk or network that failed, never a setting or a file that is wrong.

    A `CvglError` says what a person has to mend, and a programming error stays one; both fail at once.
    """
    error = state.data if isinstance(state.data, BaseException) else None
    lasting = (CvglError, FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)
    return isinstance(error, OSError) and not isinstance(error, lasting)


def stage_task(name: str, *, run_name: str, retries: int = 2) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A Prefect task around one library call.

    Neither the engine's cache nor its result store is used: stages look at the lake to see what is finished, and they
    return references (paths and digests), not data.
    """
    return task(
        name=name,
        task_run_name=run_name,
        tags=[name],
        retries=retries,
        retry_delay_seconds=[1.0, 5.0, 15.0][:retries],
        retry_condition_fn=is_transient,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
