"""Searching a gallery and measuring how well it answers.

Names are loaded on use, so that reading the list of protocols does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvgl.retrieval.answers import write_answers
    from cvgl.retrieval.blocks import BlockedDescriptors
    from cvgl.retrieval.comparison import Comparability, comparable, convert
    from cvgl.retrieval.evaluation import Evaluation, evaluate, evaluate_scores
    from cvgl.retrieval.protocols import Protocol
    from cvgl.retrieval.search import Neighbours, top_k

_HOMES = {
    "BlockedDescriptors": "cvgl.retrieval.blocks",
    "Comparability": "cvgl.retrieval.comparison",
    "Evaluation": "cvgl.retrieval.evaluation",
    "Neighbours": "cvgl.retrieval.search",
    "Protocol": "cvgl.retrieval.protocols",
    "comparable": "cvgl.retrieval.comparison",
    "convert": "cvgl.retrieval.comparison",
    "evaluate": "cvgl.retrieval.evaluation",
    "evaluate_scores": "cvgl.retrieval.evaluation",
    "top_k": "cvgl.retrieval.search",
    "write_answers": "cvgl.retrieval.answers",
}

__all__ = [
    "BlockedDescriptors",
    "Comparability",
    "Evaluation",
    "Neighbours",
    "Protocol",
    "comparable",
    "convert",
    "evaluate",
    "evaluate_scores",
    "top_k",
    "write_answers",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cvgl.retrieval' has no attribute '{name}'")
