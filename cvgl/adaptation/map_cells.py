"""Map cells: the distinct positions of a reference map, each shown by one or more map crops.

A map may hold several references at one position: crops at several scales, or rotated. They show the same ground, so a hidden
Markov chain over the map (`cvgl.adaptation.hmm`) has one state for all of them, and the most similar crop speaks for the cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_MAP_CELLS = 4096
"""Largest map of a chain: its transition matrix is square in the cells. On larger maps images are labelled one by one."""


class MapCells(NamedTuple):
    """The P distinct positions of N references.

    Attributes:
        centres: float64 (P, 2), in the order of first occurrence.
        first: int64 (P,), the first reference of each cell.
        of_reference: int64 (N,), the cell of each reference.
    """

    centres: NDArray[np.float64]
    first: NDArray[np.int64]
    of_reference: NDArray[np.int64]

    def max_similarity(self, similarities: NDArray[Any]) -> NDArray[Any]:
        """Similarities (n, N) to references -> (n, P) to cells: the maximum over the crops of a cell."""
        if len(self.centres) == len(self.of_reference):
            return similarities
        maxima = np.full((len(similarities), len(self.centres)), -np.inf, similarities.dtype)
        for crops in self._crops():  # as many rounds as a cell has crops
            has_crop = crops >= 0
            maxima[:, has_crop] = np.maximum(maxima[:, has_crop], similarities[:, crops[has_crop]])
        return maxima

    def best_reference(self, similarities: NDArray[Any], cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """The most similar crop (n,) of a given cell (n,) per image, from similarities (n, N); the first of equal ones."""
        rows, (first, *others) = np.arange(len(cells)), self._crops()
        best: NDArray[np.int64] = first[cells]
        for other in others:
            crop = other[cells]
            better = (crop >= 0) & (similarities[rows, crop] > similarities[rows, best])
            best = np.where(better, crop, best)
        return best

    def to_references(self, posterior: NDArray[Any], similarities: NDArray[Any]) -> NDArray[Any]:
        """Probabilities (n, P) of cells -> (n, N) of references: all of a cell's goes to its most similar crop."""
        if len(self.centres) == len(self.of_reference):
            return posterior
        probabilities, crops = np.zeros(similarities.shape, posterior.dtype), self._crops()
        for row, of_cells in enumerate(posterior):
            values = np.where(crops >= 0, similarities[row][crops], -np.inf)
            probabilities[row, crops[values.argmax(axis=0), np.arange(len(of_cells))]] = of_cells
        return probabilities

    def _crops(self) -> NDArray[np.int64]:
        """References (L, P) of each cell in order, -1 where a cell has fewer than L."""
        order = np.argsort(self.of_reference, kind="stable")
        counts = np.bincount(self.of_reference)
        number = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        crops = np.full((int(counts.max()), len(counts)), -1)
        crops[number, self.of_reference[order]] = order
        return crops


def map_cells_of(positions: NDArray[np.float64]) -> MapCells:
    """Groups references by position, float64 (N, 2), or more columns where those separate cells."""
    _, first, group = np.unique(positions, axis=0, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    in_order = np.sort(first)
    return MapCells(positions[in_order], in_order, rank[group.ravel()])
