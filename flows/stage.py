"""What every flow has in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prefect import Flow, flow
from prefect.utilities.callables import parameter_schema

from cvgl.config import (
    AdaptConfig,
    AlignConfig,
    EvaluateConfig,
    ExtractConfig,
    RegisterConfig,
    RunConfig,
    SelectConfig,
    Settings,
)

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_LAKE: str = RunConfig.model_fields["lake"].default
# What a flow's form shows before anything is filled in; the values themselves are those of cvgl.config.
ALIGN, EXTRACT, ADAPT, EVALUATE, REGISTER = AlignConfig(), ExtractConfig(), AdaptConfig(), EvaluateConfig(), RegisterConfig()
SELECT = SelectConfig()


def stage_flow(name: str, *, run_name: str) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """A Prefect flow whose parameters are settings and names, and whose result the engine does not keep.

    Args:
        name: of the flow.
        run_name: template over the parameters, so that a person recognises the run in a list.
    """
    make = flow(name=name, flow_run_name=run_name, persist_result=False, validate_parameters=True)

    def made(function: Callable[P, R]) -> Flow[P, R]:
        result: Flow[P, R] = make(function)
        # What a deployment's form is drawn from. The function, and what it is called with, stays as it is.
        vars(result)["__signature__"] = _as_asked(inspect.signature(function, eval_str=True))
        result.parameters = parameter_schema(result)
        return result

    return made


def _as_asked(signature: inspect.Signature) -> inspect.Signature:
    """A form's signature: settings have as their default what was set in them, since what is left open is decided later.

    With all their values filled in (the default recipe's rate, say) a form would refuse every other recipe; see
    `cvgl.config.Settings.__get_pydantic_json_schema__`.
    """
    parameters = [
        parameter.replace(default=parameter.default.model_dump(mode="json", exclude_unset=True))
        if isinstance(parameter.default, Settings)
        else parameter
        for parameter in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters)
