"""From a picture's descriptor to a position on a map of references. No label is read here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvgl.localization.placement import Answer, Placement, Position, to_geojson
    from cvgl.localization.placing import Reference, ReferenceIndex, locate

_HOMES = {
    "Answer": "cvgl.localization.placement",
    "Placement": "cvgl.localization.placement",
    "Position": "cvgl.localization.placement",
    "Reference": "cvgl.localization.placing",
    "ReferenceIndex": "cvgl.localization.placing",
    "locate": "cvgl.localization.placing",
    "to_geojson": "cvgl.localization.placement",
}

__all__ = ["Answer", "Placement", "Position", "Reference", "ReferenceIndex", "locate", "to_geojson"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cvgl.localization' has no attribute '{name}'")
