"""Stage `localize`: pictures in, places out (the inference of Li et al. 2024, Section III-C).

The map - references, features, adapter - is only read. No label is used, and none can be: the ground truth is a table that
this module does not import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from cvgl.config import Device, ExtractConfig
from cvgl.datasets.tables import read_images
from cvgl.errors import ConfigError, DataError, LakeError, ModelError
from cvgl.lake import Lake, read_json
from cvgl.localization import Placement, Position, Reference, ReferenceIndex, locate
from cvgl.localization.placement import FROZEN
from cvgl.pictures import open_rgb
from cvgl.types import Progress, Subset, View, silent

if TYPE_CHECKING:
    from PIL.Image import Image

    from cvgl.adaptation import DescriptorTransform
    from cvgl.types import Embedder, Float32Array

_AT_ONCE = 32  # pictures decoded at once: what a folder of large photographs needs of memory


@dataclass(frozen=True, slots=True)
class _Service:
    """What answers: a frozen model, and the adapter behind it.

    Attributes:
        name: the run, or ``"frozen"``.
        features: fingerprint of the frozen model.
        query_view: how pictures are looked at; None when nothing says.
    """

    name: str
    features: str
    query_view: View | None


def localize(
    pictures: Sequence[Path],
    dataset: str,
    lake: Lake,
    run: str | None = None,
    top_k: int = 5,
    device: Device = Device.AUTO,
    progress: Progress = silent,
) -> list[Placement]:
    """Tells where pictures were taken, by the references of a dataset.

    Args:
        pictures: files; a folder stands for the files in it and below.
        dataset: whose satellite pictures are searched: those of the gallery, or all when none has that role.
        lake: where everything is; nothing in it is changed.
        run: whose adapter; default: the champion's, or the frozen descriptors when there is no champion.
        top_k: answers a picture.
        device: where the frozen model runs.
        progress: told how many pictures are done.

    Returns:
        One placement a picture, in order; a picture that cannot be read has its `problem` instead of a place.

    Raises:
        ConfigError: no pictures, or nothing says which frozen model to use.
        LakeError: dataset, features, or adapter are missing or damaged.
        ModelError: the frozen model cannot be built again as it was.
        DataError: the dataset has no reference to search.
    """
    files = _files(pictures)
    service = _service(lake, dataset, run)
    folder = lake.features(service.features, dataset)
    config, identity, dimension = _model_record(folder)
    transform = _transform(lake, service, dimension)
    index = _reference_index(lake, dataset, folder, transform)
    embedder = _embedder(config, device, identity, folder)

    described, problems = _describe(files, embedder, config, service.query_view or View.DRONE, progress)
    placed = iter(
        locate(
            [str(path) for path in files if path not in problems],
            transform.transform_query(described),
            index,
            top_k,
            adapter=service.name,
        )
    )
    return [
        Placement(picture=str(path), adapter=service.name, problem=problems[path]) if path in problems else next(placed)
        for path in files
    ]


def _files(pictures: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in pictures:
        found = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")) if path.is_dir() else [path]
        files += found
    if not files:
        raise ConfigError(
            "there are no pictures to place", where=", ".join(map(str, pictures)), fix="give pictures or a folder"
        )
    return files


def _service(lake: Lake, dataset: str, run: str | None) -> _Service:
    """The run asked for, else the champion, else the frozen descriptors."""
    from cvgl.adaptation import read_record

    pointer = lake.champion(dataset)
    if run is None and pointer.exists():
        champion = read_json(pointer)
        run = champion.get("run") if isinstance(champion, dict) else None
        if not isinstance(run, str):
            raise LakeError("the champion file names no run", where=pointer, fix="promote a run: cvgl promote RUN")
    if run is None:
        return _Service(FROZEN, _only_model(lake, dataset), None)
    record = read_record(lake.adapter(run))
    if record.dataset != dataset or record.features is None:
        raise ConfigError(
            f"the run {run} belongs to the dataset '{record.dataset}'", where="--run", fix=f"give a run of '{dataset}'"
        )
    return _Service(run, record.features, record.query_view)


def _only_model(lake: Lake, dataset: str) -> str:
    """Fingerprint of the one frozen model that the dataset has features of."""
    folders = sorted(lake.features("*", dataset).parent.parent.glob(f"model=*/dataset={dataset}"))
    found = [folder.parent.name.removeprefix("model=") for folder in folders if any(folder.glob("*.parquet"))]
    if not found:
        raise LakeError(
            f"the dataset '{dataset}' has no features",
            where=lake.root,
            fix=f"cvgl extract --dataset {dataset}, after cvgl ingest",
        )
    if len(found) > 1:
        raise ConfigError(
            f"the dataset '{dataset}' has features of several frozen models ({', '.join(found)}) and no champion",
            where="--run",
            fix="give the run whose model is to be used, or promote one: cvgl promote RUN",
        )
    return found[0]


def _model_record(folder: Path) -> tuple[ExtractConfig, Mapping[str, Any], int]:
    """How the features of a folder were made: settings, the model's identity, and dimension."""
    path = folder.parent / "model.json"
    content = read_json(path)
    try:
        return ExtractConfig.model_validate(content["extract"]), dict(content["identity"]), int(content["dimension"])
    except (KeyError, TypeError, ValidationError) as error:
        raise LakeError(f"the record of a frozen model is not valid: {error}", where=path, fix="extract again") from error


def _embedder(config: ExtractConfig, device: Device, identity: Mapping[str, Any], folder: Path) -> Embedder:
    """The frozen model as it was when the references were described; never another one in silence."""
    from cvgl.backbones import load

    embedder = load(config.backbone, device, config.precision)
    changed = sorted(
        name for name in {*identity, *embedder.identity} if identity.get(name) != dict(embedder.identity).get(name)
    )
    if changed:
        raise ModelError(
            f"the frozen model is not the one that described the references: {', '.join(changed)} changed",
            where=config.backbone.checkpoint or config.backbone.name,
            fix=f"bring the weights of {folder.parent.name} back, or extract and adapt again",
        )
    return embedder


def _transform(lake: Lake, service: _Service, dimension: int) -> DescriptorTransform:
    from cvgl.adaptation import Adaptation, frozen

    return frozen(dimension) if service.name == FROZEN else Adaptation.load(lake.adapter(service.name))


def _reference_index(lake: Lake, dataset: str, folder: Path, transform: DescriptorTransform) -> ReferenceIndex:
    from cvgl.features import FeatureStore

    store = FeatureStore(folder)
    embedded = set(store.ids())
    satellite = [row for row in read_images(lake, dataset).to_pylist() if row["view"] == View.SATELLITE]
    # A training tile is not part of a map that names its gallery.
    rows = [row for row in satellite if Subset.GALLERY in row["subsets"]] or satellite
    rows = [row for row in rows if row["image_id"] in embedded]
    if not rows:
        raise DataError(
            f"the dataset '{dataset}' has no satellite picture with features to search",
            where=folder,
            fix="ingest satellite pictures and extract their features",
        )
    references = tuple(
        Reference(row["image_id"], row["uri"], Position(**{name: row[name] for name in Position.model_fields})) for row in rows
    )
    descriptors = store.read([reference.image_id for reference in references])
    return ReferenceIndex(references, transform.transform_reference(descriptors))


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
