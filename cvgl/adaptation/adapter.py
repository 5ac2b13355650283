"""The two learned maps: the adapter f_theta and the reverter f_phi (Li et al. 2024, Sections III-D, III-E and IV-B).

Both are bare matrices, d0 x d and d x d0: no bias, no normalisation layer. One adapter serves both views, as the paper
writes f_theta for Z^Q and Z^R alike (Algorithm 1) and counts d0 * d parameters (Table I).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cvgl.adaptation.affine import Affine


class LinearMap(nn.Module):
    """x -> x W, with W of size (inputs, outputs).

    Args:
        weight: float32 (inputs, outputs), initial value.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())

    def forward(self, features: Tensor) -> Tensor:
        """float32 (n, inputs) -> float32 (n, outputs)."""
        return features @ self.weight

    def affine(self) -> Affine:
        """The map with its current weights."""
        weight = self.weight.detach().cpu().numpy().copy()
        return Affine(weight, np.zeros(weight.shape[1], np.float32))


class ResidualMap(LinearMap):
    """x -> x + x W: the residual-style adapter of Section III-E and Fig. 6a, which keeps the dimension.

    W is initially zero, so the branch learns an offset to the frozen features.

    Args:
        d0: dimension of the features.
    """

    def __init__(self, d0: int) -> None:
        super().__init__(torch.zeros(d0, d0))

    def forward(self, features: Tensor) -> Tensor:
        """float32 (n, d0) -> float32 (n, d0)."""
        return features + features @ self.weight

    def affine(self) -> Affine:
        """The map with the identity folded into its matrix."""
        weight, bias = super().affine()
        return Affine(weight + np.eye(len(weight), dtype=np.float32), bias)


def initial_maps(d0: int, d: int, generator: torch.Generator) -> tuple[LinearMap, LinearMap]:
    """The adapter and the reverter before the first iteration.

    The paper does not specify initial weights. Here the adapter is a random matrix with orthonormal rows (columns when
    d < d0) and the reverter its transpose. For d >= d0 such a map preserves all inner products of the frozen features, so the
    first E-step uses exactly the similarities of the foundation model, and the initial reconstruction error is zero.

    Args:
        d0: dimension of the frozen features.
        d: dimension of the adapted features.
        generator: source of all randomness.
    """
    tall = torch.randn(max(d0, d), min(d0, d), generator=generator, dtype=torch.float64)
    # float64, then rounded: the factor does not depend on how many threads share the factorisation.
    orthonormal = torch.linalg.qr(tall).Q.to(torch.float32)
    weight = (orthonormal if d0 >= d else orthonormal.T).contiguous()
    return LinearMap(weight), LinearMap(weight.T.contiguous())


def unit_rows(features: Tensor) -> Tensor:
    """L2-normalises rows, so that inner products are cosines (Section III-C); a row of zeros stays zero."""
    return F.normalize(features, dim=1)
