"""The registry and the gate in front of it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from cvgl.config.settings import Settings, StoredMasked


class GatePolicy(StrEnum):
    """When a challenger takes the champion's place, where the places of some queries are known."""

    BETTER = "better"
    NON_INFERIORITY = "not-worse-when-grown"


class RegisterConfig(Settings):
    """The registry and the gate in front of it."""

    tracking_uri: StoredMasked | None = Field(
        None, description="MLflow's, or env:NAME for one that the environment names; default: sqlite under the lake"
    )
    model_name: str | None = Field(None, description="registered model; default: cvgl-<dataset>")
    policy: GatePolicy = Field(
        GatePolicy.BETTER,
        description="'better': only what finds more than the champion with confidence replaces it; 'not-worse-when-grown': so "
        "does what has learned from more images and finds, with confidence, at most grown_tolerance less",
    )
    tolerance: float = Field(
        0.0,
        ge=0,
        le=1,
        description="R@1 that a challenger may lie below the frozen descriptors, and with confidence below the champion, and "
        "still be promoted; 0: it has to be better than the champion",
    )
    grown_tolerance: float = Field(
        0.02, ge=0, le=1, description="the same towards the champion, under 'not-worse-when-grown', where the imagery has grown"
    )
    metres: bool = Field(
        True,
        description="where true positions are known, refuse what is farther off: with confidence, or at no better R@1",
    )
    above_chance: bool = Field(
        True, description="R@1 has to lie above that of random answers, with confidence; no: whatever it is"
    )
    confidence: float = Field(0.95, ge=0.5, lt=1, description="level of the interval that the gate goes by")
    resamples: int = Field(10_000, ge=100, le=1_000_000, description="of the queries, for that interval")
    seed: int = Field(0, ge=0, lt=2**31, description="of the resamples")
    patience_s: float = Field(
        60.0, ge=0, le=86400, description="seconds for which a registry that does not answer is asked again; 0: once"
    )
