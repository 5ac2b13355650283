"""cvgl tells where an image was taken, and learns to do so from unlabelled imagery alone.

    from cvgl import adapt, evaluate

Importing the package costs nothing: each name below is loaded when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvgl.adaptation import Adaptation
    from cvgl.errors import CvglError
    from cvgl.retrieval import evaluate
    from cvgl.stages.learning import adapt

__version__ = "0.1.0"

_HOMES = {
    "adapt": "cvgl.stages.learning",
    "Adaptation": "cvgl.adaptation",
    "evaluate": "cvgl.retrieval",
    "CvglError": "cvgl.errors",
}

__all__ = ["Adaptation", "CvglError", "__version__", "adapt", "evaluate"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cvgl' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
