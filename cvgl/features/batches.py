"""Running the model in batches that fit into memory."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cvgl.errors import ModelError
from cvgl.types import Embedder

if TYPE_CHECKING:
    from cvgl.types import Float32Array

logger = logging.getLogger(__name__)

# Out-of-memory messages of CUDA, cuBLAS, cuDNN and torch's CPU allocator; the last three are plain RuntimeErrors.
_MEMORY_MESSAGES = ("out of memory", "not enough memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


@dataclass(slots=True)
class BatchSize:
    """Number of inputs per forward pass; halved for good when memory runs out."""

    value: int

    def halve(self, error: Exception) -> None:
        """Halves the batch size.

        Raises:
            ModelError: memory runs out with a single input.
        """
        if self.value == 1:
            raise ModelError(
                "memory runs out even with one image at a time",
                where=str(error).splitlines()[0] if str(error) else type(error).__name__,
                fix="choose a smaller model or --image-size, or a machine with more memory",
            ) from error
        self.value //= 2
        logger.warning("memory ran out: going on with a batch size of %d", self.value)


def embed_all(inputs: Sequence[Float32Array], embedder: Embedder, batch: BatchSize) -> Float32Array:
    """Embeds groups of inputs.

    Args:
        inputs: each (k, 3, H, W).
        embedder: the frozen model.
        batch: how many (3, H, W) go in at once.

    Returns:
        float32 (sum of k, d0).

    Raises:
        ModelError: memory does not suffice for a single input.
    """
    if not inputs:
        return np.zeros((0, embedder.dimension), dtype=np.float32)
    together = np.concatenate(inputs)
    rows: list[Float32Array] = []
    start = 0
    while start < len(together):
        part = together[start : start + batch.value]
        try:
            rows.append(embedder.embed(part))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            batch.halve(error)
            _free()
        else:
            start += len(part)
    return np.concatenate(rows)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of the model means that memory ran out, on any device."""
    return isinstance(error, MemoryError) or any(message in str(error) for message in _MEMORY_MESSAGES)


def _free() -> None:
    gc.collect()
    torch = sys.modules.get("torch")  # not imported for its own sake: an embedder need not use it
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
