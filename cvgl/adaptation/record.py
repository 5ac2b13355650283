"""The record beside an adapter's tensors: settings, training rows, history and origin. No heavy imports."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from cvgl.config import AdaptConfig, Settings
from cvgl.types import View

ALGORITHM_VERSION = "3"
"""Incremented whenever the same settings and rows give another adapter."""


class IterationMetrics(Settings):
    """Label-free metrics of one EM iteration. Shares are fractions in [0, 1]."""

    iteration: int = Field(ge=1, description="1 for the first")
    losses: dict[str, float] = Field(description="loss terms by name, unweighted, and their weighted total")
    labelled_share: float = Field(description="of the drawn queries, those with a pseudo-label")
    mutual_share: float = Field(description="of the drawn queries, those whose reference prefers them among the drawn")
    chosen_share: float = Field(description="of the references, those that at least one drawn query chose")
    mean_top_similarity: float = Field(description="cosine between a drawn query and its most similar reference")
    changed_share: float | None = Field(
        description="of the drawn queries that were drawn before, those whose pseudo-label differs; none: none was"
    )
    temperature: float | None = Field(None, description="tau in this iteration; none: it is not learned")

    def scalars(self) -> dict[str, float]:
        """All figures by a flat name, for a tracking server; undefined ones are left out."""
        shares = self.model_dump(exclude={"iteration", "losses"}, exclude_none=True)
        return {**{f"loss_{name}": value for name, value in self.losses.items()}, **shares}


class TrainingRows(Settings):
    """The training rows of an adapter."""

    n_queries: int = Field(ge=1)
    n_references: int = Field(ge=1)
    query_ids_digest: str | None = Field(None, description="hash over the sorted image ids; none: ids were not given")
    reference_ids_digest: str | None = None
    trajectories_digest: str | None = Field(
        None, description="hash over the order of images taken in a row and where references lie; none: not used"
    )


class Origin(Settings):
    """The adapter's place in a lake; all none when it was learned from arrays."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    run: str | None = None
    dataset: str | None = None
    feature_set_id: str | None = Field(
        None, alias="features", description="fingerprint of the frozen model and its settings; `features` in adapter.json"
    )
    query_view: View | None = None


class SelfCheck(Settings):
    """Label-free self-check of the recipe `robust` on held-out queries."""

    measure: str = Field(
        description="'mutual_share': of queries with a mutual nearest neighbour; 'course_gain': nats an image by which the "
        "most probable course of its run explains it better than chance does"
    )
    before: float = Field(description="of held-out queries, standardised only")
    after: float = Field(description="the same through the map that was learned on the other queries")
    standard_error: float = Field(description="of the difference, over queries")
    passed: bool = Field(description="no loss beyond one standard error; otherwise the adapter stays at the identity")


class BankRows(Settings):
    """How many adapted training rows of each view are kept beside the adapter, for `correction.HubnessCorrected`."""

    n_queries: int = Field(ge=1)
    n_references: int = Field(ge=1)


class AdapterRecord(Origin):
    """The content of adapter.json."""

    format: Literal[2] = 2
    algorithm: str = ALGORITHM_VERSION
    d0: int = Field(ge=1, description="dimension of the frozen features")
    d: int = Field(ge=1, description="dimension of the adapted features")
    config: AdaptConfig
    training: TrainingRows
    history: tuple[IterationMetrics, ...]
    check: SelfCheck | None = Field(None, description="of the recipe `robust`; none: others, or too few rows")
    banks: BankRows | None = Field(None, description="of the recipe `robust`; none: others keep no training rows")
    versions: dict[str, str]
    tensors_sha256: str = Field(description="hash of adapter.safetensors, which this file belongs to")
