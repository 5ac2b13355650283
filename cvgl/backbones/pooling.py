"""Local features -> one vector. All functions take (B, N, C) and give (B, C)."""

from __future__ import annotations

import torch

from cvgl.config import Pooling

GEM_FLOOR = 1e-6


def gem(features: torch.Tensor, p: float) -> torch.Tensor:
    """Generalised mean (Radenovic et al. 2018; Li et al. 2024, Eq. 1, which sums: the same after L2).

    Values below the floor, hence all negative ones, count as the floor, as in the released code.
    """
    return features.clamp(min=GEM_FLOOR).pow(p).mean(1).pow(1 / p)


def pool(features: torch.Tensor, pooling: Pooling, p: float) -> torch.Tensor:
    """One vector a picture, not normalised.

    Raises:
        ValueError: `pooling` is not a pooling over places (cls, auto).
    """
    match pooling:
        case Pooling.GEM:
            return gem(features, p)
        case Pooling.MEAN:
            return features.mean(1)
        case Pooling.MAX:
            return features.amax(1)
    raise ValueError(f"'{pooling}' does not pool over places")
