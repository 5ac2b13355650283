"""The form in which a trained map is kept and used, whatever it was while it learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cvgl.types import Float32Array


class Affine(NamedTuple):
    """x -> x weight + bias: what is left of any adapter or reverter when its training is over.

    Attributes:
        weight: float32 (inputs, outputs).
        bias: float32 (outputs,).
    """

    weight: Float32Array
    bias: Float32Array
