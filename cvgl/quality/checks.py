"""Inputs from which nothing can be judged or learned, told from the descriptors alone, each with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from cvgl.adaptation.descriptors import unit_rows
from cvgl.config import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cvgl.types import Float32Array

SAME = 1e-6
"""Squared distance of unit descriptors below which two images count as one and the same."""

LOOKED_AT = 2048
ONE_PLACE = 0.1
"""Variance of the queries' descriptors, of that of the references', below which they hardly differ."""


class Finding(Settings):
    """Something about the images that a person should know."""

    kind: Literal["too few", "constant", "one place", "duplicates"]
    severity: Literal["refused", "flagged"] = Field(description="refused: nothing is adapted on such images")
    reason: str


def check_views(queries: Float32Array, references: Float32Array, fewest: int) -> tuple[Finding, ...]:
    """Everything that speaks against judging these two views.

    Args:
        queries: float32 (M, d), checked.
        references: float32 (N, d), checked.
        fewest: images a view that are needed.
    """
    return tuple(_findings(queries, references, fewest))


def refused(findings: Iterable[Finding]) -> str:
    """The reasons of the findings that rule an adaptation out; empty where there are none."""
    return "; ".join(finding.reason for finding in findings if finding.severity == "refused")


def _findings(queries: Float32Array, references: Float32Array, fewest: int) -> Iterable[Finding]:
    if min(len(queries), len(references)) < fewest:
        yield Finding(
            kind="too few",
            severity="refused",
            reason=f"{len(queries)} query and {len(references)} reference images are too few to judge by; "
            f"{fewest} of each are needed",
        )
    for name, rows in (("query", queries), ("reference", references)):
        if distinct := _distinct(rows):
            share, only_one = distinct
            if only_one and len(rows) > 1:
                reason = f"all {name} images look exactly the same to the frozen model"
                yield Finding(kind="constant", severity="refused", reason=f"{reason}; check that the files hold images")
            elif (different := round((1 - share) * min(len(rows), LOOKED_AT))) < fewest <= len(rows):
                reason = f"only {different} of the {len(rows)} {name} images look different to the frozen model"
                yield Finding(kind="too few", severity="refused", reason=f"{reason}, too few to judge by; {fewest} are needed")
            elif share > 0.02:
                reason = f"{share:.0%} of the {name} images are copies of another one"
                consequence = ", so that no answer among copies can be told from another" if name == "reference" else ""
                yield Finding(kind="duplicates", severity="flagged", reason=reason + consequence)
    spread = _variance(references)
    if spread > SAME and SAME < _variance(queries) < ONE_PLACE * spread:
        yield Finding(
            kind="one place",
            severity="refused",
            reason="the query images hardly differ from one another, as if all showed one place: what they have in common "
            "would be taken for the view's own and removed",
        )


def _distinct(rows: Float32Array) -> tuple[float, bool]:
    """Share of rows that repeat another one, and whether all are the same."""
    units = unit_rows(rows[:LOOKED_AT])
    if np.square(units - units[0]).sum(axis=1).max(initial=0.0) < SAME:
        return 1.0, True
    # Equal descriptors project equally; rows with equal projections are compared in full.
    direction = np.random.default_rng(0).normal(size=(units.shape[1], 1)).astype(np.float32)
    order = np.argsort((units @ direction)[:, 0])
    gaps = np.square(np.diff(units[order], axis=0)).sum(axis=1)
    return float((gaps < SAME).sum() / len(units)), False


def _variance(rows: Float32Array) -> float:
    return float(unit_rows(rows).var(axis=0, dtype=np.float64).sum())
