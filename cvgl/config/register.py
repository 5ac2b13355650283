"""The registry and the gate in front of it."""

from __future__ import annotations

from pydantic import Field

from cvgl.config.settings import Settings


class RegisterConfig(Settings):
    """The registry and the gate in front of it."""

    tracking_uri: str | None = Field(None, description="MLflow's; default: sqlite under the lake")
    model_name: str | None = Field(None, description="registered model; default: cvgl-<dataset>")
    tolerance: float = Field(
        0.0, ge=0, le=1, description="R@1 that a challenger may lie below the champion and still be promoted"
    )
    patience_s: float = Field(
        60.0, ge=0, le=86400, description="seconds for which a registry that does not answer is asked again; 0: once"
    )
