"""Where a training runs, and how precisely its matrix products are computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cvgl.config import AdaptConfig, Device, Precision
from cvgl.errors import ConfigError


def training_device(config: AdaptConfig) -> torch.device:
    """The device that a training with these settings runs on.

    Raises:
        ConfigError: CUDA is asked for and there is none, or a precision that only a GPU gains from is asked for on the CPU.
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
    """Matrix products inside have this precision; parameters, sums and losses stay float32.

    TF32 is a switch of the process: it is set as asked, for float32 too, and put back afterwards.
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
