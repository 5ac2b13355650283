"""Device of a training, and precision of its matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cvgl.config import AdaptConfig, Device, Precision
from cvgl.errors import ConfigError


def training_device(config: AdaptConfig) -> torch.device:
    """The device of a training with these settings.

    Raises:
        ConfigError: CUDA is required and there is none, or a reduced precision is set on the CPU.
    """
    available = torch.cuda.is_available()
    if config.device is Device.CUDA and not available:
        raise ConfigError(
            "device 'cuda' was asked for and there is none",
            where="AdaptConfig.device",
            fix="use device auto or cpu, or check `nvidia-smi` and CUDA_VISIBLE_DEVICES",
        )
    device = torch.device("cuda" if available and config.device is not Device.CPU else "cpu")
    if device.type == "cpu" and config.precision is not Precision.FLOAT32:
        raise ConfigError(
            f"precision '{config.precision}' is for training on a GPU, and this one runs on the CPU",
            where="AdaptConfig.precision",
            fix="leave the precision at float32",
        )
    return device


@contextmanager
def computing(device: torch.device, precision: Precision) -> Iterator[None]:
    """Context in which matrix products have this precision; parameters, sums and losses stay float32.

    TF32 is a process-wide switch: it is set as configured, also for float32, and restored afterwards.
    """
    if device.type == "cpu":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision is Precision.TF32
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision is Precision.BFLOAT16):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
