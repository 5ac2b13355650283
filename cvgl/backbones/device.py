"""Device and precision of a frozen model."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from cvgl.config import Device, Precision
from cvgl.errors import ConfigError

_AUTOCAST = {Precision.BFLOAT16: torch.bfloat16, Precision.FLOAT16: torch.float16}


def resolve(device: Device) -> torch.device:
    """The torch device for a setting.

    Raises:
        ConfigError: CUDA is required and there is none.
    """
    available = torch.cuda.is_available()
    if device is Device.CUDA and not available:
        built = torch.version.cuda
        reason = f"torch {torch.__version__} is built for CUDA {built} but finds no device" if built else "torch has no CUDA"
        raise ConfigError(
            f"device 'cuda' was asked for and is not there: {reason}",
            where="device",
            fix="use device auto or cpu, or check `nvidia-smi` and CUDA_VISIBLE_DEVICES",
        )
    return torch.device("cuda" if available and device is not Device.CPU else "cpu")


def apply_precision(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """A context in which a forward pass has this precision; weights stay float32.

    Raises:
        ConfigError: TF32 on a CPU, which has none: the descriptors would bear a name that is not theirs.
    """
    if precision in _AUTOCAST:
        return torch.autocast(device.type, dtype=_AUTOCAST[precision])
    if precision is Precision.TF32 and device.type != "cuda":
        raise ConfigError("precision 'tf32' exists on CUDA devices only", where="precision", fix="use float32 on the CPU")
    if device.type == "cuda":
        # Convolutions use TF32 by default in torch; float32 has to mean float32.
        torch.backends.cuda.matmul.allow_tf32 = precision is Precision.TF32
        torch.backends.cudnn.allow_tf32 = precision is Precision.TF32
    return nullcontext()


def device_lock_name(device: Device) -> str | None:
    """A name for the GPU that work with this setting occupies, the same in every process; None on the CPU.

    Raises:
        ConfigError: CUDA is required and there is none.
    """
    if resolve(device).type != "cuda":
        return None
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return f"cuda-{getattr(properties, 'uuid', torch.cuda.current_device())}"
