"""Stage `localize`: pictures in, places out (the inference of Li et al. 2024, Section III-C).

Each picture on its own (`localize`), several of one place (`localize_together`), or a flight (`localize_sequence`).

The map - references, features, adapter - is only read. No label is used, and none can be: the ground truth is a table that
this module does not import.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.config import Device, ExtractConfig
from cvgl.errors import ConfigError, DataError, ModelError
from cvgl.lake import Lake
from cvgl.localization import FramePlacement, Placement, ReferenceIndex, locate
from cvgl.localization.placing import localize_together as place_together
from cvgl.localization.sequence import localize_sequence as place_sequence
from cvgl.pictures import open_rgb
from cvgl.stages.map_positions import warning_of
from cvgl.stages.maps import Map, open_map
from cvgl.stages.sequences import natural_order
from cvgl.stages.vocabulary import loadable
from cvgl.types import Progress, View, silent

if TYPE_CHECKING:
    from PIL.Image import Image

    from cvgl.types import Embedder, Float32Array

logger = logging.getLogger(__name__)

_AT_ONCE = 32  # pictures decoded at once: what a folder of large photographs needs of memory


@dataclass(frozen=True, slots=True)
class _Asked:
    """Pictures that have been described, and the map to find them on.

    Attributes:
        files: all that were given, in order.
        problems: why some of them cannot be used.
        descriptors: float32 (n, d), of the others, in order.
        index: the map, in the same space.
        adapter: the run, or ``"frozen"``.
        warning: what to know before believing the map's positions; none where nothing is known against them.
    """

    files: Sequence[Path]
    problems: Mapping[Path, str]
    descriptors: Float32Array
    index: ReferenceIndex
    adapter: str
    warning: str | None

    def usable(self) -> list[str]:
        return [str(path) for path in self.files if path not in self.problems]


def localize(
    pictures: Sequence[Path],
    dataset: str,
    lake: Lake,
    run: str | None = None,
    top_k: int = 5,
    device: Device = Device.AUTO,
    progress: Progress = silent,
    *,
    corrected: bool = False,
) -> list[Placement]:
    """Tells where pictures were taken, by the references of a dataset: each by itself.

    Args:
        pictures: files; a folder stands for the files in it and below.
        dataset: whose satellite pictures are searched: those of the gallery, or all when none has that role.
        lake: where everything is; nothing in it is changed.
        run: whose adapter; default: the champion's, or the frozen descriptors when there is no champion.
        top_k: answers a picture.
        device: where the frozen model runs.
        progress: told how many pictures are done.
        corrected: correct hubness, by what was stored with the adapter.

    Returns:
        One placement a picture, in order; a picture that cannot be read has its `problem` instead of a place.

    Raises:
        ConfigError: no pictures, nothing says which frozen model to use, or the adapter cannot correct hubness.
        LakeError: dataset, features, or adapter are missing or damaged.
        ModelError: the frozen model cannot be built again as it was.
        DataError: the dataset has no reference to search.
    """
    asked = _ask(_files(pictures), dataset, lake, run, device, progress, corrected=corrected)
    placed = iter(locate(asked.usable(), asked.descriptors, asked.index, top_k, adapter=asked.adapter))
    return [
        Placement(picture=str(path), adapter=asked.adapter, problem=asked.problems[path])
        if path in asked.problems
        else next(placed).model_copy(update={"warning": asked.warning})
        for path in asked.files
    ]


def localize_together(
    pictures: Sequence[Path],
    dataset: str,
    lake: Lake,
    run: str | None = None,
    top_k: int = 5,
    device: Device = Device.AUTO,
    progress: Progress = silent,
    *,
    corrected: bool = False,
) -> list[Placement]:
    """Tells where one place is that all of the pictures show; arguments and errors as for `localize`.

    Returns:
        A `JointPlacement` for the pictures that can be read (none when no picture can), then the others with their problems.
    """
    asked = _ask(_files(pictures), dataset, lake, run, device, progress, corrected=corrected)
    refused = [
        Placement(picture=str(path), adapter=asked.adapter, problem=asked.problems[path])
        for path in asked.files
        if path in asked.problems
    ]
    if not asked.usable():
        return refused
    placed = place_together(asked.usable(), asked.descriptors, asked.index, top_k, adapter=asked.adapter)
    return [placed.model_copy(update={"warning": asked.warning}), *refused]


def localize_sequence(
    pictures: Sequence[Path],
    dataset: str,
    lake: Lake,
    run: str | None = None,
    top_k: int = 5,
    device: Device = Device.AUTO,
    progress: Progress = silent,
    *,
    window: int | None = None,
) -> list[FramePlacement]:
    """Tells the course of a flight; arguments and errors as for `localize`, unless said here.

    Hubness is corrected by the flight's own pictures, so any adapter will do, and none.

    Args:
        pictures: in the order taken; the files of a folder by name, with numbers as numbers.
        dataset, lake, run, top_k, device, progress: as for `localize`.
        window: each picture is placed by so many, those before it and its own; None: by the whole flight.

    Returns:
        One placement a picture, in order. A picture that cannot be read has its `problem`, and is a gap for the others.
    """
    files = _files(pictures, lambda path: natural_order(str(path)))
    asked = _ask(files, dataset, lake, run, device, progress)
    readable = [path not in asked.problems for path in files]
    descriptors = np.zeros((len(files), asked.index.descriptors.shape[1]), np.float32)
    descriptors[readable] = asked.descriptors
    placed = place_sequence(list(map(str, files)), descriptors, asked.index, top_k, window=window, adapter=asked.adapter)
    return [
        frame.model_copy(update={"warning": asked.warning})
        if usable
        else FramePlacement(picture=str(path), frame=frame.frame, adapter=asked.adapter, problem=asked.problems[path])
        for path, usable, frame in zip(files, readable, placed, strict=True)
    ]


def _ask(
    files: Sequence[Path],
    dataset: str,
    lake: Lake,
    run: str | None,
    device: Device,
    progress: Progress,
    *,
    corrected: bool = False,
) -> _Asked:
    """Describes the pictures and reads the map."""
    found = open_map(lake, dataset, run, corrected=corrected)
    config = found.model.extract
    config = config.model_copy(update={"backbone": loadable(config.backbone, lake)})
    embedder = _embedder(config, device, found)
    described, problems = _describe(files, embedder, config, found.query_view, progress)
    # A map that is made on the spot takes its positions from the table; one that was published is a copy.
    warning = warning_of(lake, dataset) if run is None else None
    if warning is not None:
        logger.warning("%s", warning)
    return _Asked(files, problems, found.transform.transform_query(described), found.index, found.adapter, warning)


def _files(pictures: Sequence[Path], order: Callable[[Path], Any] | None = None) -> list[Path]:
    """The files given; those of a folder in an order, by path where none is given."""
    files: list[Path] = []
    for path in pictures:
        below = [p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")] if path.is_dir() else [path]
        files += sorted(below, key=order)
    if not files:
        raise ConfigError(
            "there are no pictures to place", where=", ".join(map(str, pictures)), fix="give pictures or a folder"
        )
    return files


def _embedder(config: ExtractConfig, device: Device, found: Map) -> Embedder:
    """The frozen model as it was when the references were described; never another one in silence."""
    from cvgl.backbones import load

    embedder, identity = load(config.backbone, device, config.precision), found.model.identity
    changed = sorted(
        name for name in {*identity, *embedder.identity} if identity.get(name) != dict(embedder.identity).get(name)
    )
    if changed:
        raise ModelError(
            f"the frozen model is not the one that described the references: {', '.join(changed)} changed",
            where=config.backbone.checkpoint or config.backbone.name,
            fix=f"bring the weights of model={found.features} back, or extract and adapt again",
        )
    return embedder


def _describe(
    files: Sequence[Path], embedder: Embedder, config: ExtractConfig, view: View, progress: Progress
) -> tuple[Float32Array, dict[Path, str]]:
    """Frozen descriptors of what can be used, in order, and why the rest cannot."""
    rows, problems = [np.zeros((0, embedder.dimension), np.float32)], {}
    for start in range(0, len(files), _AT_ONCE):
        progress(start, len(files), "describing")
        opened: dict[Path, Image] = {}
        for path in files[start : start + _AT_ONCE]:
            try:
                opened[path] = open_rgb(path)
            except DataError as error:
                problems[path] = error.what
        found, refused = _describe_opened(opened, embedder, config, view)
        rows += found
        problems |= refused
    progress(len(files), len(files), "described")
    return np.concatenate(rows), problems


def _describe_opened(
    opened: Mapping[Path, Image], embedder: Embedder, config: ExtractConfig, view: View
) -> tuple[list[Float32Array], dict[Path, str]]:
    from cvgl.features import describe

    try:
        return [describe(list(opened.values()), embedder, view, config.alignment, config.batch_size)], {}
    except ModelError:
        # One picture without a usable descriptor must not cost the others theirs: find out which it is.
        found, refused = [], {}
        for path, picture in opened.items():
            try:
                found.append(describe([picture], embedder, view, config.alignment))
            except ModelError as error:
                refused[path] = error.what
        return found, refused
