"""Weights from a local file, read without running code from it."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from cvgl.errors import ModelError
from cvgl.hashing import sha256_bytes

# Wrappers of weights in checkpoints, in the order of preference: averaged weights are the evaluated ones.
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "model_state_dict")
_PREFIXES = ("module.", "_orig_mod.", "backbone.")
_SHOWN = 8
DAMAGED = (RuntimeError, EOFError, OSError, LookupError, AttributeError, TypeError, ValueError)
"""Errors of torch.load on damaged files, beside `pickle.UnpicklingError`."""


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Reads .safetensors, or a torch file that holds nothing but weights.

    Returns:
        name -> tensor, without wrappers and without prefixes that all names share.

    Raises:
        ModelError: missing, damaged, of another format, or holding something other than weights.
    """
    if not path.is_file():
        raise ModelError("there is no checkpoint", where=path, fix="check --checkpoint")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    tensors = _unwrap(content, path)
    for prefix in _PREFIXES * 2:  # wrappers nest in either order
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        content: Mapping[str, Any] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"the checkpoint is not a readable safetensors file: {error}", where=path, fix=_AGAIN) from error
    return content


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            "the checkpoint holds more than weights, or is not a torch file; such a file can run code and is not loaded",
            where=path,
            fix="save only the state_dict, best as .safetensors",
        ) from error
    except DAMAGED as error:
        raise ModelError(f"the checkpoint is not a readable torch file: {error}", where=path, fix=_AGAIN) from error


_AGAIN = "copy or download the file again"


def _unwrap(content: Any, path: Path) -> dict[str, torch.Tensor]:
    wrapper = next(
        (name for name in _WRAPPERS if isinstance(content, Mapping) and isinstance(content.get(name), Mapping)), None
    )
    tensors = content[wrapper] if wrapper else content
    if not isinstance(tensors, Mapping) or not tensors or not all(isinstance(t, torch.Tensor) for t in tensors.values()):
        raise ModelError(
            "the checkpoint is not a mapping of names to tensors, nor one under 'state_dict' or 'model'",
            where=path,
            fix="save model.state_dict()",
        )
    return {str(name): tensor for name, tensor in tensors.items()}


def restore_names(tensors: Mapping[str, torch.Tensor], model_names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Restores names changed by timm's features_only: 'layers.0.x' is saved as 'layers_0.x', or all under 'model.'."""
    aliases: dict[str, str] = {}
    for name in model_names:
        first, _, rest = name.partition(".")
        aliases[f"model.{name}"] = name
        if rest:
            aliases[f"{first}_{rest}"] = name
    present = set(model_names)
    return {name if name in present else aliases.get(name, name): tensor for name, tensor in tensors.items()}


_OF_TIMM = "name the timm model that the weights were trained with in --backbone"


def misfit(path: Path, model: str, missing: Iterable[str], unexpected: Iterable[str], fix: str = _OF_TIMM) -> ModelError:
    """The error for weights of another model."""
    missing, unexpected = sorted(missing), sorted(unexpected)
    return ModelError(
        f"the checkpoint does not fit {model}: {len(missing)} missing ({_some(missing)}), "
        f"{len(unexpected)} unexpected ({_some(unexpected)})",
        where=path,
        fix=fix,
    )


def _some(names: list[str]) -> str:
    return (", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")) or "none"


def sha256_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """Hash over names, types, shapes and values, independent of order and of any file."""
    lines = []
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        lines.append(f"{name} {tensor.dtype} {tuple(tensor.shape)} {sha256_bytes(values)}")
    return sha256_bytes("\n".join(lines).encode())
