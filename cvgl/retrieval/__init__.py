"""Searching a gallery and measuring how well it answers.

Names are loaded on use, so that reading the list of protocols does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvgl.retrieval.evaluation import Evaluation, evaluate
    from cvgl.retrieval.protocols import Protocol
    from cvgl.retrieval.search import Neighbours, top_k

_HOMES = {
    "Evaluation": "cvgl.retrieval.evaluation",
    "Neighbours": "cvgl.retrieval.search",
    "Protocol": "cvgl.retrieval.protocols",
    "evaluate": "cvgl.retrieval.evaluation",
    "top_k": "cvgl.retrieval.search",
}

__all__ = ["Evaluation", "Neighbours", "Protocol", "evaluate", "top_k"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cvgl.retrieval' has no attribute '{name}'")
