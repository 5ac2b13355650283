"""What every flow has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prefect import Flow, flow

from cvgl.config import AdaptConfig, AlignConfig, EvaluateConfig, ExtractConfig, RegisterConfig, RunConfig

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_LAKE: str = RunConfig.model_fields["lake"].default
# What a flow's form shows before anything is filled in; the values themselves are those of cvgl.config.
ALIGN, EXTRACT, ADAPT, EVALUATE, REGISTER = AlignConfig(), ExtractConfig(), AdaptConfig(), EvaluateConfig(), RegisterConfig()


def stage_flow(name: str, *, run_name: str) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """A Prefect flow whose parameters are settings and names, and whose result the engine does not keep.

    Args:
        name: of the flow.
        run_name: template over the parameters, so that a person recognises the run in a list.
    """
    return flow(name=name, flow_run_name=run_name, persist_result=False, validate_parameters=True)
