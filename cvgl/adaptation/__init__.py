"""Learning from unlabelled descriptors: adapter, losses, E-step, the EM loop, and the baselines to compare with.

    from cvgl.adaptation import adapt
    adaptation = adapt(query_features, reference_features, seed=0)

Nothing here takes a label. Names are loaded on first use, so importing the package does not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvgl.adaptation.api import adapt
    from cvgl.adaptation.correction import HubnessCorrected
    from cvgl.adaptation.record import AdapterRecord, IterationMetrics, Origin, TrainingRows
    from cvgl.adaptation.sequences import FrameSequences
    from cvgl.adaptation.standardise import DescriptorTransform, frozen
    from cvgl.adaptation.transforms import Adaptation, read_record

_HOMES = {
    "Adaptation": "transforms",
    "AdapterRecord": "record",
    "DescriptorTransform": "standardise",
    "HubnessCorrected": "correction",
    "IterationMetrics": "record",
    "Origin": "record",
    "TrainingRows": "record",
    "FrameSequences": "sequences",
    "adapt": "api",
    "frozen": "standardise",
    "read_record": "transforms",
}

__all__ = [
    "Adaptation",
    "AdapterRecord",
    "DescriptorTransform",
    "FrameSequences",
    "HubnessCorrected",
    "IterationMetrics",
    "Origin",
    "TrainingRows",
    "adapt",
    "frozen",
    "read_record",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"cvgl.adaptation.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'cvgl.adaptation' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
