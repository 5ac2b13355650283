"""Device and precision of the arithmetic."""

from __future__ import annotations

from enum import StrEnum


class Device(StrEnum):
    """Where arithmetic runs; AUTO takes the first CUDA device, and the CPU where there is none."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """Number format of matrix products."""

    FLOAT32 = "float32"
    TF32 = "tf32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
