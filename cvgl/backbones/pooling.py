"""Local features -> one vector per image: over all tokens, square rings around the middle, or the cells of a grid.

A token is one spatial position of a feature map: a patch of a transformer, a position of a convolutional map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from cvgl.config import Pooling
from cvgl.errors import ConfigError

GEM_FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class LocalFeatures:
    """One layer's features of all tokens.

    Attributes:
        rows: (B, N, C) float32, tokens row by row from the top left.
        grid: rows and columns of tokens, N together.
        whole: (B, C), the class token, in place of a pooling over tokens.
    """

    rows: torch.Tensor
    grid: tuple[int, int]
    whole: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """Which layers of a network become the descriptor, and how.

    Attributes:
        positions: indices into the network's layers.
        rings: 1 pools each layer over all tokens; more add that many rings.
        cells: from 2 on, each layer is pooled over the cells of a grid of so many rows and columns instead, tokens being of
            unit length first.
    """

    positions: tuple[int, ...]
    rings: int
    pooling: Pooling
    gem_p: float
    cells: int = 1

    def __call__(self, layers: list[LocalFeatures]) -> torch.Tensor:
        """The layers' parts, each of unit length, side by side: (B, d). A single part is given as it is."""
        parts = [part for position in self.positions for part in self._parts(layers[position])]
        return parts[0] if len(parts) == 1 else torch.cat([F.normalize(part, dim=1) for part in parts], dim=1)

    def _parts(self, layer: LocalFeatures) -> list[torch.Tensor]:
        if layer.whole is not None:
            return [layer.whole]
        if self.cells > 1:
            rows, cell = F.normalize(layer.rows, dim=2), cell_of_tokens(*layer.grid, self.cells).to(layer.rows.device)
            return [pool(rows[:, cell == index], self.pooling, self.gem_p) for index in range(self.cells**2)]
        parts = [pool(layer.rows, self.pooling, self.gem_p)]
        if self.rings > 1:
            ring = ring_of_tokens(*layer.grid, self.rings).to(layer.rows.device)
            parts += [pool(layer.rows[:, ring == index], self.pooling, self.gem_p) for index in range(self.rings)]
        return parts


def gem(features: torch.Tensor, p: float) -> torch.Tensor:
    """Generalised mean (Radenovic et al. 2018; Li et al. 2024, Eq. 1, which sums: the same after L2).

    Values below the floor, hence all negative ones, count as the floor, as in the released code.
    """
    return features.clamp(min=GEM_FLOOR).pow(p).mean(1).pow(1 / p)


def pool(features: torch.Tensor, pooling: Pooling, p: float) -> torch.Tensor:
    """(B, N, C) -> one vector an image, (B, C), not normalised.

    Raises:
        ValueError: `pooling` is not one over tokens that needs nothing else (cls, vlad, auto).
    """
    match pooling:
        case Pooling.GEM:
            return gem(features, p)
        case Pooling.MEAN:
            return features.mean(1)
        case Pooling.MAX:
            return features.amax(1)
    raise ValueError(f"'{pooling}' does not pool over tokens")


def ring_of_tokens(rows: int, columns: int, rings: int) -> torch.Tensor:
    """The ring of each token of a grid, row by row: (rows * columns,) from 0 (middle) to rings - 1 (border).

    Rings have equal widths by max(|x|, |y|), x and y from -1 to 1 (the square-ring partition of Wang et al. 2021, "Each part
    matters"). A quarter turn of a square grid, or mirroring it, leaves every token in its ring.

    Raises:
        ConfigError: a ring without a token, because the grid is too coarse.
    """
    # In whole numbers, so that both sides of the middle are rounded alike.
    down, across = (torch.arange(count).mul(2).add(1 - count).abs() * rings // count for count in (rows, columns))
    ring = torch.maximum(down[:, None], across[None, :]).flatten()
    if len(set(ring.tolist())) < rings:
        raise ConfigError(
            f"a grid of {rows} x {columns} tokens cannot be divided into {rings} square rings",
            where="backbone.rings",
            fix="use fewer rings, an earlier layer, or a larger image_size",
        )
    return ring


def cell_of_tokens(rows: int, columns: int, cells: int) -> torch.Tensor:
    """The cell of each token of a grid, row by row: (rows * columns,) from 0 (top left) to cells^2 - 1 (bottom right).

    A quarter turn or mirroring of a square grid permutes whole cells (not for an odd number of tokens and an even
    one of cells).

    Raises:
        ConfigError: a cell without a token, because the grid is too coarse.
    """
    if min(rows, columns) < cells:
        raise ConfigError(
            f"a grid of {rows} x {columns} tokens cannot be divided into {cells} x {cells} cells",
            where="backbone.cells",
            fix="use fewer cells, an earlier layer, or a larger image_size",
        )
    down, across = (_halves_alike(count, cells) for count in (rows, columns))
    return (down[:, None] * cells + across[None, :]).flatten()


def _halves_alike(count: int, cells: int) -> torch.Tensor:
    """The cell of each of `count` tokens in a line; the second half is the first mirrored."""
    index = torch.arange(count)
    return torch.where(2 * index < count, index * cells // count, cells - 1 - (count - 1 - index) * cells // count)
