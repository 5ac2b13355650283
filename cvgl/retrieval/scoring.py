"""Inner products, counts and best answers of a block of queries against a block of references, on CPU or GPU.

A score must not depend on which block its row and column fall into: equal references have to score equally, or last-bit
noise would decide ties. BLAS libraries take other code paths for single vectors and ragged edges, whose sums round
differently; so blocks are filled up to whole tiles with zero rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from cvgl.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from cvgl.types import Float32Array

TILE = 96  # a multiple of the tile heights and widths of the common float32 kernels (6, 8, 12, 16, 24, 32, 48)
_COPIED = 8192  # references that are copied to fill up the last tile
_FEW = 4  # thresholds up to which comparing with one after the other beats sorting the scores


def device_of(name: str) -> torch.device:
    """``auto``: the GPU where there is one.

    Raises:
        ConfigError: cuda was asked for and there is none, or an unknown name.
    """
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"there is no device '{name}'", where="device", fix="choose auto, cpu or cuda")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("no CUDA device was found", where="device", fix="choose cpu or auto")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


@contextmanager
def full_precision() -> Iterator[None]:
    """Products in float32 even where the process has allowed TF32 or bfloat16 for speed: ranks are decided by small gaps."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def to_device(rows: Float32Array, device: torch.device) -> torch.Tensor:
    """Shares memory with the array on a CPU; nothing here writes to it."""
    import torch

    return torch.from_numpy(rows if rows.flags.writeable else rows.copy()).to(device)


def products(queries: torch.Tensor, references: torch.Tensor, height: int = TILE) -> torch.Tensor:
    """Inner products of all pairs.

    Args:
        queries: float32 (B, d).
        references: float32 (N, d).
        height: the product is made of a multiple of so many queries, a multiple of TILE.

    Returns:
        float32 (B, N); the bits of an entry depend on its two rows, on N and on `height`, and not on where the rows stand.
    """
    import torch

    n_queries, n, left = len(queries), len(references), _filled(queries, height)
    if queries.device.type != "cpu" or n <= _COPIED:
        return (left @ _filled(references, TILE).T)[:n_queries, :n]
    # A copy of so many references would be felt, a product of its own for the ragged end is not.
    whole = n // TILE * TILE
    scores = torch.empty(len(left), n)
    torch.mm(left, references[:whole].T, out=scores[:, :whole])
    if whole < n:
        scores[:, whole:] = (left @ _filled(references[whole:], TILE).T)[:, : n - whole]
    return scores[:n_queries]


def _filled(rows: torch.Tensor, multiple: int) -> torch.Tensor:
    import torch

    missing = -len(rows) % multiple
    return torch.cat([rows, rows.new_zeros(missing, rows.shape[1])]) if missing else rows


def count_at_least(scores: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """How many scores of a row are at least each of its thresholds.

    Args:
        scores: float (B, N).
        thresholds: float (B, P).

    Returns:
        int64 (B, P).
    """
    import torch

    if thresholds.shape[1] > _FEW:
        rising = _sorted(scores)
        return scores.shape[1] - torch.searchsorted(rising, thresholds.contiguous())
    if scores.device.type != "cpu":
        return torch.stack([(scores >= column[:, None]).sum(1) for column in thresholds.unbind(1)], dim=1)
    # NumPy counts booleans an order of magnitude faster than torch sums them.
    rows, limits = scores.numpy(), thresholds.numpy()
    counts = [np.count_nonzero(rows >= limits[:, column, None], axis=1) for column in range(limits.shape[1])]
    return torch.from_numpy(np.stack(counts, axis=1).astype(np.int64))


def _sorted(scores: torch.Tensor) -> torch.Tensor:
    """Each row rising. On a CPU by NumPy, whose vectorised sort is twenty times as fast as torch's."""
    import torch

    return torch.from_numpy(np.sort(scores.numpy(), axis=1)) if scores.device.type == "cpu" else scores.sort(dim=1).values


def best(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and columns of the k largest of each row, equal scores by column.

    Args:
        scores: float (B, N).
        k: 1..N.

    Returns:
        values (B, k) falling, columns (B, k).
    """
    import torch

    # topk takes any of equal scores. Where the k-th score is tied beyond the k-th place, sort that row in full.
    values, columns = torch.topk(scores, min(k + 1, scores.shape[1]), dim=1)
    tied = values[:, k] == values[:, k - 1] if values.shape[1] > k else values.new_zeros(len(scores), dtype=torch.bool)
    values, columns = values[:, :k], columns[:, :k]
    # Sort by column first, then stably by score: equal scores end up by column.
    by_column = columns.argsort(dim=1)
    values, columns = values.gather(1, by_column), columns.gather(1, by_column)
    values, order = values.sort(dim=1, descending=True, stable=True)
    columns = columns.gather(1, order)
    if tied.any():
        sorted_values, sorted_columns = scores[tied].sort(dim=1, descending=True, stable=True)
        values[tied], columns[tied] = sorted_values[:, :k], sorted_columns[:, :k]
    return values, columns


def merged(
    values: torch.Tensor, columns: torch.Tensor, more_values: torch.Tensor, more_columns: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The k best of two lists of best answers, each as `best` gives them; the second is of later columns."""
    import torch

    values, columns = torch.cat([values, more_values], dim=1), torch.cat([columns, more_columns], dim=1)
    values, order = values.sort(dim=1, descending=True, stable=True)
    return values[:, :k], columns.gather(1, order)[:, :k]
