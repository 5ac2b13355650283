"""Stage `localize`: images in, places out (the inference of Li et al. 2024, Section III-C).

Each image on its own (`localize`), several of one place (`localize_together`), or a flight (`localize_sequence`).

The map - references, features, adapter - is only read. No label is used, and none can be: the ground truth is a table that
this module does not import.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cvgl.config import Device, ExtractConfig
from cvgl.errors import ConfigError, CvglError, DataError, ModelError
from cvgl.imaging import is_blank, opened_rgb
from cvgl.ingestion.membership import list_images
from cvgl.lake import Lake
from cvgl.localization import FramePlacement, Placement, ReferenceIndex, locate
from cvgl.localization.placing import localize_together as place_together
from cvgl.localization.sequence import localize_sequence as place_sequence
from cvgl.stages.extraction.vocabulary import loadable
from cvgl.stages.map_positions import warning_of
from cvgl.stages.maps import Map, open_map
from cvgl.stages.sequences import natural_order
from cvgl.types import Progress, View, silent

if TYPE_CHECKING:
    from cvgl.types import Embedder, Float32Array

logger = logging.getLogger(__name__)
AnyPlacement = TypeVar("AnyPlacement", bound=Placement)

_AT_ONCE = 32  # images that go through the model together
_LEAST_LENGTH = 1e-6  # of a descriptor, and of what tells similarities apart
_BLANK = "the image shows nothing: every pixel has the same colour"
_NO_DESCRIPTOR = "the image has no descriptor that could be compared: nothing of it is left in the adapter's space"
_NO_CHOICE = "every reference looks equally like the image, so that none of them tells where it was taken"


@dataclass(frozen=True, slots=True)
class _Files:
    """Images to place.

    Attributes:
        paths: in order; one that was given twice is there twice.
        refused: why some of them are not even opened.
    """

    paths: Sequence[Path]
    refused: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Images that have been described, and the map to find them on.

    Attributes:
        files: all that were given, in order.
        problems: why some of them cannot be used, by their number.
        descriptors: float32 (n, d), of the others, in order.
        index: the map, in the same space.
        adapter: the run, or ``"frozen"``.
        warning: what to know before believing the map's positions; none where nothing is known against them.
    """

    files: Sequence[Path]
    problems: Mapping[int, str]
    descriptors: Float32Array
    index: ReferenceIndex
    adapter: str
    warning: str | None

    def usable(self) -> list[str]:
        return [str(path) for number, path in enumerate(self.files) if number not in self.problems]

    def refused(self, number: int) -> Placement:
        """What is said of an image that cannot be used."""
        return Placement(picture=str(self.files[number]), adapter=self.adapter, problem=self.problems[number])

    def judged(self, placement: AnyPlacement, descriptor: Float32Array) -> AnyPlacement:
        """A placement with the map's warning, or with its problem where no reference is more similar than the others."""
        judged = _with_a_choice(placement, descriptor, self.index)
        return judged.model_copy(update={"warning": self.warning}) if judged.placed else judged


def localize(
    images: Sequence[Path],
    dataset: str,
    lake: Lake,
    run: str | None = None,
    top_k: int = 5,
    device: Device = Device.AUTO,
    progress: Progress = silent,
    *,
    corrected: bool = False,
) -> list[Placement]:
    """Tells where images were taken, by the references of a dataset: each by itself.

    Args:
        images: files; a folder stands for the files in it and below.
        dataset: whose satellite images are searched: those of the gallery, or all when none has that role.
        lake: where everything is; nothing in it is changed.
        run: whose adapter; default: the champion's, or the frozen descriptors when there is no champion.
        top_k: answers an image.
        device: where the frozen model runs.
        progress: told how many images are done.
        corrected: correct hubness, by what was stored with the adapter.

    Returns:
        One placement an image, in order; an image that cannot be read has its `problem` instead of a place.

    Raises:
        ConfigError: no images, nothing says which frozen model to use, or the adapter cannot correct hubness.
        LakeError: dataset, features, or adapter are missing or damaged.
        ModelError: the frozen model cannot be built again as it was.
        DataError: the dataset has no reference to search.
    """
    query = _ask(_files(images), dataset, lake, run, device, progress, corrected=corrected)
    placements = locate(query.usable(), query.descriptors, query.index, top_k, adapter=query.adapter)
    placed = iter(map(query.judged, placements, query.descriptors))
    return [query.refused(number) if number in query.problems else next(placed) for number in range(len(query.files))]


def localize_together(
    images: Sequence[Path],
    dataset: str,
    lake: Lake,
    run: str | None = None,
    top_k: int = 5,
    device: Device = Device.AUTO,
    progress: Progress = silent,
    *,
    corrected: bool = False,
) -> list[Placement]:
    """Tells where one place is that all of the images show; arguments and errors as for `localize`.

    Returns:
        A `JointPlacement` for the images that can be read (none when no image can), then the others with their problems.
    """
    query = _ask(_files(dict.fromkeys(images)), dataset, lake, run, device, progress, corrected=corrected)
    refused = [query.refused(number) for number in sorted(query.problems)]
    if not query.usable():
        return refused
    joint = place_together(query.usable(), query.descriptors, query.index, top_k, adapter=query.adapter)
    mean = query.descriptors.mean(axis=0, dtype=np.float64).astype(np.float32)
    return [query.judged(joint, mean), *refused]


def localize_sequence(
    images: Sequence[Path],
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

    Hubness is corrected by the flight's own images, so any adapter will do, and none.

    Args:
        images: in the order taken; the files of a folder by name, with numbers as numbers.
        dataset, lake, run, top_k, device, progress: as for `localize`.
        window: each image is placed by so many, those before it and its own; None: by the whole flight.

    Returns:
        One placement an image, in order. An image that cannot be read has its `problem`, and is a gap for the others.
    """
    query = _ask(_files(images), dataset, lake, run, device, progress)
    readable = [number not in query.problems for number in range(len(query.files))]
    descriptors = np.zeros((len(query.files), query.index.descriptors.shape[1]), np.float32)
    descriptors[readable] = query.descriptors
    names = list(map(str, query.files))
    placed = place_sequence(names, descriptors, query.index, top_k, window=window, adapter=query.adapter)
    return [
        FramePlacement(picture=names[number], frame=frame.frame, adapter=query.adapter, problem=query.problems[number])
        if number in query.problems
        else frame.model_copy(update={"warning": query.warning})
        for number, frame in enumerate(placed)
    ]


def _ask(
    files: _Files,
    dataset: str,
    lake: Lake,
    run: str | None,
    device: Device,
    progress: Progress,
    *,
    corrected: bool = False,
) -> _Asked:
    """Describes the images and reads the map."""
    current_map = open_map(lake, dataset, run, corrected=corrected)
    config = current_map.model.extract
    config = config.model_copy(update={"backbone": loadable(config.backbone, lake)})
    embedder = _embedder(config, device, current_map)
    described, problems = _describe(files, embedder, config, current_map.query_view, progress)
    transformed = current_map.transform.transform_query(described)
    usable = np.asarray(np.isfinite(transformed).all(axis=1) & (np.linalg.norm(transformed, axis=1) > _LEAST_LENGTH))
    numbers = [number for number in range(len(files.paths)) if number not in problems]
    problems |= {number: _NO_DESCRIPTOR for number, is_usable in zip(numbers, usable.tolist(), strict=True) if not is_usable}
    # A map that is made on the spot takes its positions from the table; one that was published is a copy.
    warning = warning_of(lake, dataset) if run is None else None
    if warning is not None:
        logger.warning("%s", warning)
    return _Asked(files.paths, problems, transformed[usable], current_map.index, current_map.adapter, warning)


def _files(images: Iterable[Path]) -> _Files:
    """The files given, and those of folders by name, with numbers as numbers. A file that is given is always tried.

    Raises:
        ConfigError: there is none.
    """
    named_paths = list(images)
    named = {path for path in named_paths if not path.is_dir()}
    paths: list[Path] = []
    refused: dict[Path, str] = {}
    for path in named_paths:
        if path in named:
            paths.append(path)
            continue
        inside = list_images(path)
        if inside.beside:
            logger.warning("%s: %s", path, inside.note())
        fresh = ({*inside.images, *inside.refused} - named).difference(paths)
        paths += sorted(fresh, key=lambda candidate: natural_order(str(candidate)))
        refused |= {candidate: inside.refused[candidate] for candidate in fresh if candidate in inside.refused}
    if not paths:
        raise ConfigError(
            "there are no images to place", where=", ".join(map(str, named_paths)), fix="give images or a folder of images"
        )
    return _Files(paths, refused)


def _with_a_choice(placement: AnyPlacement, descriptor: Float32Array, index: ReferenceIndex) -> AnyPlacement:
    """A placement, or its problem where all references are equally similar and the first of them means nothing."""
    if placement.margin is None or placement.margin > 0:
        return placement
    scores = index.descriptors @ descriptor
    if float(np.ptp(scores)) > _LEAST_LENGTH:
        return placement
    nowhere = dict.fromkeys(("latitude", "longitude", "x", "y", "crs", "score", "margin"))
    return placement.model_copy(update={**nowhere, "top_k": (), "problem": _NO_CHOICE})


def _embedder(config: ExtractConfig, device: Device, current_map: Map) -> Embedder:
    """The frozen model as it was when the references were described; never another one in silence."""
    from cvgl.backbones import load

    embedder, identity = load(config.backbone, device, config.precision), current_map.model.identity
    changed = sorted(
        name for name in {*identity, *embedder.identity} if identity.get(name) != dict(embedder.identity).get(name)
    )
    if changed:
        raise ModelError(
            f"the frozen model is not the one that described the references: {', '.join(changed)} changed",
            where=config.backbone.checkpoint or config.backbone.name,
            fix=f"bring the weights of model={current_map.features} back, or extract and adapt again",
        )
    return embedder


def _describe(
    files: _Files, embedder: Embedder, config: ExtractConfig, view: View, progress: Progress
) -> tuple[Float32Array, dict[int, str]]:
    """Frozen descriptors of what can be used, in order, and why the rest cannot, by its number."""
    from cvgl.features.batches import BatchSize
    from cvgl.features.embedding import embed_prepared

    rows, problems = [np.zeros((0, embedder.dimension), np.float32)], {}
    batch, at_once = BatchSize(config.batch_size), min(_AT_ONCE, config.batch_size)
    for start in range(0, len(files.paths), at_once):
        progress(start, len(files.paths), "describing")
        numbers, prepared = [], []
        for number in range(start, min(start + at_once, len(files.paths))):
            try:
                values = _prepared(files.paths[number], files.refused, embedder, config, view)
            except CvglError as error:
                problems[number] = error.what
            else:
                numbers.append(number)
                prepared.append(values)
        described = embed_prepared(prepared, [view] * len(prepared), embedder, config.alignment, batch)
        usable = np.asarray(np.isfinite(described).all(axis=1))
        rows.append(described[usable])
        problems |= {
            number: "the model gives no finite descriptor for this image"
            for number, is_usable in zip(numbers, usable.tolist(), strict=True)
            if not is_usable
        }
    progress(len(files.paths), len(files.paths), "described")
    return np.concatenate(rows), problems


def _prepared(path: Path, refused: Mapping[Path, str], embedder: Embedder, config: ExtractConfig, view: View) -> Float32Array:
    """The model's inputs of an image.

    Raises:
        DataError: it cannot be used.
        ModelError: no model input can be made of it.
    """
    from cvgl.features.embedding import prepare

    if path in refused:
        raise DataError(refused[path], where=path)
    try:
        with opened_rgb(path) as image:
            if is_blank(image):
                raise DataError(_BLANK, where=path, fix="look at it")
            return prepare(image, embedder, view, config.alignment)
    except MemoryError as error:
        raise DataError("memory ran out while the image was prepared", where=path, fix="make it smaller") from error
