"""From an picture's descriptor to a position on a map of references. No label is read here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvgl.localization.placement import (
        Answer,
        FramePlacement,
        JointPlacement,
        LikelyAnswer,
        Placement,
        Position,
        to_geojson,
    )
    from cvgl.localization.placing import Reference, ReferenceIndex, localize_together, locate
    from cvgl.localization.sequence import localize_sequence

_HOMES = {
    "Answer": "cvgl.localization.placement",
    "FramePlacement": "cvgl.localization.placement",
    "JointPlacement": "cvgl.localization.placement",
    "LikelyAnswer": "cvgl.localization.placement",
    "Placement": "cvgl.localization.placement",
    "Position": "cvgl.localization.placement",
    "Reference": "cvgl.localization.placing",
    "ReferenceIndex": "cvgl.localization.placing",
    "localize_sequence": "cvgl.localization.sequence",
    "localize_together": "cvgl.localization.placing",
    "locate": "cvgl.localization.placing",
    "to_geojson": "cvgl.localization.placement",
}

__all__ = [
    "Answer",
    "FramePlacement",
    "JointPlacement",
    "LikelyAnswer",
    "Placement",
    "Position",
    "Reference",
    "ReferenceIndex",
    "localize_sequence",
    "localize_together",
    "locate",
    "to_geojson",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cvgl.localization' has no attribute '{name}'")
