"""The common form of all trained maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cvgl.types import Float32Array


class Affine(NamedTuple):
    """x -> x weight + bias: an adapter or reverter after its training.

    Attributes:
        weight: float32 (inputs, outputs).
        bias: float32 (outputs,).
    """

    weight: Float32Array
    bias: Float32Array
