"""Which frozen models a folder of weights holds, told from the files' names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cvgl.config import BackboneConfig
from cvgl.errors import ConfigError, DataError

AUTO = "auto"
"""The name of a frozen model that stands for every one whose weights are found."""

TASK_MODELS = ("fsra", "geodtr", "sample4geo")
"""How files of models trained for the task begin: the architecture, then the data set they were trained on."""

SUFFIXES = frozenset({".safetensors", ".pt", ".pth"})


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder of weights offers.

    Attributes:
        folder: where; none when there is no such folder.
        backbones: name of the timm model and file, in the order of the files' names.
        unknown: files of weights whose model cannot be told from their name.
        released: files of models trained for the task, by their name without its ending.
    """

    folder: Path | None
    backbones: tuple[BackboneConfig, ...] = ()
    unknown: tuple[str, ...] = ()
    released: Mapping[str, str] = field(default_factory=dict)

    def of(self, name: str) -> BackboneConfig | None:
        """The file for a timm model."""
        wanted = name.partition(".")[0]  # without the tag of the weights
        return next((backbone for backbone in self.backbones if backbone.name == wanted), None)


def weights_folder(data_root: Path) -> Path | None:
    """The folder `weights` nearest to the data: beside it, or beside the folder that it is in."""
    root = data_root.expanduser().resolve()
    candidates = (root.parent / "weights", root.parent.parent / "weights")
    return next((folder for folder in candidates if folder.is_dir()), None)


def find_weights(data_root: Path, named_folder: Path | None = None) -> Found:
    """Looks through a folder of weights.

    Args:
        data_root: near which to look when no folder is given.
        named_folder: the folder.

    Raises:
        DataError: the given folder does not exist.
    """
    if named_folder is not None and not named_folder.is_dir():
        raise DataError("there is no such folder of weights", where=named_folder, fix="give another --weights, or none")
    folder = named_folder if named_folder is not None else weights_folder(data_root)
    if folder is None:
        return Found(None)
    backbones, unknown, released = [], [], {}
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES):
        if path.stem.startswith(TASK_MODELS):
            released[path.stem] = str(path)
            continue
        name = model_name(path)
        if name is None:
            unknown.append(path.name)
        else:
            backbones.append(BackboneConfig(name=name, checkpoint=str(path)))
    return Found(folder, tuple(backbones), tuple(unknown), released)


def model_name(path: Path) -> str | None:
    """The timm model that a file's name tells: the model's name, or the beginning of exactly one, with or without `_stageN`.

    None when it tells none, or more than one.
    """
    stem = path.stem.split(".")[0]
    names = _timm_names()
    for candidate in dict.fromkeys((stem, re.sub(r"_stage\d+$", "", stem))):
        if candidate in names:
            return candidate
        beginning = [name for name in names if name.startswith(f"{candidate}_")]
        if len(beginning) == 1:
            return beginning[0]
    return None


@cache
def _timm_names() -> Sequence[str]:
    import timm

    names: list[str] = timm.list_models()
    return tuple(names)


@dataclass(frozen=True, slots=True)
class Choice:
    """Frozen models to work with, and what a person should know about how they were found."""

    backbones: tuple[BackboneConfig, ...]
    notes: tuple[str, ...]


def choose_backbones(requested: BackboneConfig, data_root: Path, weights: Path | None = None) -> Choice:
    """The frozen models that are meant.

    Args:
        requested: a model by name, or `AUTO`; its other settings (layer, facet, ...) hold for whatever is chosen.
        data_root: near which weights are looked for.
        weights: the folder to look in instead.

    Raises:
        DataError: the given folder does not exist.
        ConfigError: a checkpoint without a name that does not tell its model.
    """
    if requested.checkpoint is not None:
        name = model_name(Path(requested.checkpoint)) if requested.name == AUTO else requested.name
        if name is None:
            raise ConfigError(
                "the file's name does not tell which model its weights are for",
                where=requested.checkpoint,
                fix="add --backbone NAME",
            )
        return Choice((requested.model_copy(update={"name": name}),), ())
    if requested.name == "gist":
        return Choice((requested,), ())
    available = find_weights(data_root, weights)
    if requested.name != AUTO:
        backbone = available.of(requested.name)
        if backbone is None:
            return Choice(
                (requested,),
                (f"no weights of {requested.name} in {available.folder or 'any folder near the data'}: timm's hub",),
            )
        return Choice((requested.model_copy(update={"checkpoint": backbone.checkpoint}),), (_said(backbone),))
    notes = [_said(backbone) for backbone in available.backbones]
    notes += [f"{name} is left out: its name tells no timm model, or several" for name in available.unknown]
    if not available.backbones:
        searched = available.folder or f"{data_root.parent / 'weights'} and {data_root.parent.parent / 'weights'}"
        notes.append(f"no weights of a real model in {searched}: using 'gist', which needs none and is far weaker")
        return Choice((requested.model_copy(update={"name": "gist"}),), tuple(notes))
    chosen = [
        requested.model_copy(update={"name": backbone.name, "checkpoint": backbone.checkpoint})
        for backbone in available.backbones
    ]
    return Choice(tuple(chosen), tuple(notes))


def _said(backbone: BackboneConfig) -> str:
    return f"{backbone.name}: weights from {backbone.checkpoint}"
