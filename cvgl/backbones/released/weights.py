"""Filling a module with a released checkpoint, and reading a model's sizes off it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from cvgl.backbones import checkpoint


def size_of(tensors: Mapping[str, torch.Tensor], name: str, dimension: int, usual: int) -> int:
    """Size of a tensor in one dimension; the usual one where the tensor is missing, which `filled` then reports."""
    tensor = tensors.get(name)
    return usual if tensor is None or tensor.ndim <= dimension else max(1, tensor.shape[dimension])


def count_of(tensors: Mapping[str, torch.Tensor], prefix: str, usual: int, first: int = 0) -> int:
    """Number of parts, numbered from `first` on behind the prefix of their names; the usual number where there are none."""
    pattern = re.compile(rf"{re.escape(prefix)}(\d{{1,3}})\.")
    numbers = [int(match[1]) for match in map(pattern.match, tensors) if match]
    return max(numbers) + 1 - first if numbers else usual


def filled(
    module: nn.Module, tensors: Mapping[str, torch.Tensor], path: Path, label: str, as_saved: Callable[[str], str] = str
) -> None:
    """Fills a module, built without values (on the device `meta`), with a checkpoint's tensors.

    Args:
        module: changed in place.
        tensors: under the names of the checkpoint.
        path: of the checkpoint.
        label: the expected model, for the message.
        as_saved: a name of the module -> the name in the checkpoint.

    Raises:
        ModelError: names or shapes differ; both sides are listed.
    """
    parameters = {as_saved(name): (name, value) for name, value in module.state_dict().items()}
    counters = {saved for saved in parameters if saved.endswith("num_batches_tracked")}  # of no use when nothing is trained
    missing = set(parameters) - set(tensors) - counters
    for saved in sorted(set(parameters) & set(tensors)):
        expected, shape = tuple(parameters[saved][1].shape), tuple(tensors[saved].shape)
        if expected != shape:
            missing.add(f"{saved} (shape {shape} instead of {expected})")
    unexpected = set(tensors) - set(parameters)
    if missing or unexpected:
        raise checkpoint.misfit(path, label, missing, unexpected, fix="give the file that the authors released for this model")
    zero = torch.zeros((), dtype=torch.long)
    values = {name: _as_float(tensors.get(saved, zero)) for saved, (name, _) in parameters.items()}
    module.load_state_dict(values, strict=True, assign=True)


def _as_float(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
