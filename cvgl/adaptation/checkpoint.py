"""Checkpoints: an interrupted training resumes, to the same bytes. Safetensors only, since reading them runs no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cvgl.adaptation.record import IterationMetrics
from cvgl.errors import LakeError
from cvgl.lake import read_bytes, write_bytes

if TYPE_CHECKING:
    from cvgl.adaptation.training import TrainingState

_FIX = "delete the file; the training then starts from its first iteration"
_LEARNER, _OPTIMIZER = "learner.", "optimizer."


def save(state: TrainingState, path: Path, identity: str) -> None:
    """Writes the whole state as one file, atomically.

    Args:
        state: after any finished iteration.
        path: of the checkpoint.
        identity: hash of the rows and settings of the training.
    """
    from safetensors.torch import save as to_bytes

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(state).items()}
    header = {"identity": identity, "history": [entry.model_dump() for entry in state.history]}
    write_bytes(path, to_bytes(tensors, metadata={"state": json.dumps(header)}))


def restore(state: TrainingState, path: Path, identity: str) -> bool:
    """Overwrites a fresh state with the checkpoint's.

    Args:
        state: as made by `cvgl.adaptation.training.start` with the same settings; changed in place.
        path: of the checkpoint.
        identity: as given to `save`.

    Returns:
        Whether there was a checkpoint.

    Raises:
        LakeError: it cannot be read, is damaged, or belongs to other rows or settings.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    if not path.exists():
        return False
    data = read_bytes(path)  # safetensors reports a file without read permission as missing
    try:
        tensors = load(data)
        header = json.loads(_metadata(data)["state"])
        history = [IterationMetrics.model_validate(entry) for entry in header["history"]]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise LakeError(f"a checkpoint is damaged: {error}", where=path, fix=_FIX) from error
    if header["identity"] != identity:
        raise LakeError("a checkpoint belongs to other rows or settings", where=path, fix=_FIX)
    _fill(state, tensors, history)
    return True


def _metadata(data: bytes) -> dict[str, str]:
    """Metadata in the header of a safetensors file; the first eight bytes hold the header's length."""
    length = int.from_bytes(data[:8], "little")
    metadata: dict[str, str] = json.loads(data[8 : 8 + length])["__metadata__"]
    return metadata


def _tensors(state: TrainingState) -> dict[str, torch.Tensor]:
    tensors = {"generator": state.generator.get_state(), "last_labels": state.last_labels}
    tensors |= {_LEARNER + name: tensor for name, tensor in state.learner.state_dict().items()}
    for index, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}.{name}": tensor for name, tensor in moments.items()}
    return tensors


def _fill(state: TrainingState, tensors: dict[str, torch.Tensor], history: list[IterationMetrics]) -> None:
    learner = {name.removeprefix(_LEARNER): tensor for name, tensor in tensors.items() if name.startswith(_LEARNER)}
    state.learner.load_state_dict(learner)
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMIZER):
            index, moment = name.removeprefix(_OPTIMIZER).split(".")
            moments.setdefault(int(index), {})[moment] = tensor
    # The groups' settings are the fresh optimiser's; the learning rate follows from the iteration.
    optimizer: dict[str, Any] = state.optimizer.state_dict()
    state.optimizer.load_state_dict({**optimizer, "state": moments})
    state.generator.set_state(tensors["generator"])
    state.last_labels.copy_(tensors["last_labels"])
    state.history[:] = history
