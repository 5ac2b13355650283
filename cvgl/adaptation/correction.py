"""Hubness correction at query time, against statistics that were stored when the adapter was learned.

A hub, a gallery row near to everything, is retrieved for queries that it does not show. Its hubness is measured on training
images of the other view, its bank, so the result of a query does not depend on other queries:

    score(q, r) = cos(q, r) - h(r) / 2        h(r): mean of r's k largest cosines to the bank

This is CSLS (Conneau et al. 2018, Section 2.3), halved, without the query's term, which does not change its ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from cvgl.adaptation.descriptors import blocks
from cvgl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cvgl.adaptation.transforms import Adaptation
    from cvgl.types import Float32Array

BANK_ROWS = 512
"""Maximum number of stored training rows per view: small beside an adapter."""

GallerySide = Literal["query", "reference"]


class Banks(NamedTuple):
    """Adapted training rows of both views, float32 (n, d) unit rows; at most `BANK_ROWS` of each."""

    query: Float32Array
    reference: Float32Array


def sample(features: Float32Array, transform: Callable[[Float32Array], Float32Array], seed: int) -> Float32Array:
    """A bank: a seeded sample of training rows, adapted.

    Args:
        features: float32 (n, d0), frozen descriptors of one view's training images.
        transform: of that view, `Adaptation.transform_query` or `transform_reference`.
        seed: of the sample.

    Returns:
        float32 (min(n, BANK_ROWS), d).
    """
    chosen = np.random.default_rng(seed).permutation(len(features))[:BANK_ROWS]
    return transform(features[np.sort(chosen)])


def hubness_to(rows: Float32Array, bank: Float32Array, neighbours: int) -> Float32Array:
    """Mean of each row's largest cosines to a bank.

    Args:
        rows: float32 (n, d), unit rows.
        bank: float32 (m, d), unit rows, m >= 1.
        neighbours: number of cosines averaged; all of the bank where it has fewer.

    Returns:
        float32 (n,).
    """
    count, wide = min(neighbours, len(bank)), bank.T.astype(np.float64)
    hubness = np.empty(len(rows), np.float32)
    for start, block in blocks(rows):
        # In double precision, so that equal rows get equal values in any block.
        largest = np.partition(block.astype(np.float64) @ wide, len(bank) - count, axis=1)[:, len(bank) - count :]
        hubness[start : start + len(block)] = np.sort(largest, axis=1).mean(axis=1)
    return hubness


@dataclass(frozen=True, slots=True)
class HubnessCorrected:
    """An adaptation whose inner products are hubness-corrected: a `DescriptorTransform` with one more coordinate.

    Queries become [z, 1] and gallery rows [z, -h / 2], so exact search, any index for inner products and the evaluation work
    unchanged. The rows are no unit rows, and the scores no cosines.

    Attributes:
        adaptation: with banks.
        gallery: the side that is searched: "reference" to localise images on a map, "query" to find images of a tile.

    Raises:
        ConfigError: the adaptation has no banks.
    """

    adaptation: Adaptation
    gallery: GallerySide = "reference"

    def __post_init__(self) -> None:
        if self.adaptation.banks is None:
            raise ConfigError(
                "this adapter keeps no statistics to correct hubness with",
                where=self.adaptation.record.run or "adapter",
                fix="adapt with the recipe 'robust'",
            )

    def transform_query(self, features: Any) -> Float32Array:
        """(n, d0) descriptors of the drone or ground view -> float32 (n, d + 1)."""
        return self.extended(self.adaptation.transform_query(features), "query")

    def transform_reference(self, features: Any) -> Float32Array:
        """(n, d0) descriptors of the satellite view -> float32 (n, d + 1)."""
        return self.extended(self.adaptation.transform_reference(features), "reference")

    def extended(self, rows: Float32Array, side: GallerySide) -> Float32Array:
        """Adapted rows of a side, float32 (n, d) -> float32 (n, d + 1)."""
        last = np.ones(len(rows), np.float32)
        banks = self.adaptation.banks
        if side == self.gallery and banks is not None:
            other = banks.query if side == "reference" else banks.reference
            last = hubness_to(rows, other, self.adaptation.record.config.hubness_neighbours) / np.float32(-2)
        return np.concatenate([rows, last[:, None]], axis=1)
