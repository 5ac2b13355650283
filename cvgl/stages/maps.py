"""Maps: what images are placed on. Built from the lake when a run is promoted, and read whole when images are placed.

No label is used, and none can be: the ground truth is a table that this module does not import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cvgl.config import ExtractConfig
from cvgl.errors import ConfigError, DataError, LakeError
from cvgl.geo import Position
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake, read_versioned
from cvgl.localization.bundle import MapManifest, open_bundle, read_current, write_bundle
from cvgl.localization.placement import FROZEN
from cvgl.localization.placing import Reference, ReferenceIndex
from cvgl.types import Subset, View

if TYPE_CHECKING:
    from cvgl.adaptation import Adaptation, DescriptorTransform


@dataclass(frozen=True, slots=True)
class FrozenModel:
    """How images become descriptors.

    Attributes:
        extract: settings.
        identity: of the model; no other one may describe an image that is placed here.
        dimension: d0.
    """

    extract: ExtractConfig
    identity: Mapping[str, Any]
    dimension: int


@dataclass(frozen=True, slots=True)
class Map:
    """What images are placed on, ready to be searched.

    Attributes:
        adapter: the run, or ``"frozen"``.
        model: what describes images.
        query_view: how images are looked at.
        transform: what their descriptors go through.
        index: the references, in the same space.
        features: fingerprint of the frozen model.
    """

    adapter: str
    model: FrozenModel
    query_view: View
    transform: DescriptorTransform
    index: ReferenceIndex
    features: str


def open_map(lake: Lake, dataset: str, run: str | None = None, *, corrected: bool = False) -> Map:
    """The map that serves; or one made on the spot, of a run that is named or, where none has been promoted, without one.

    Args:
        lake: where everything is; nothing in it is changed.
        dataset: whose map.
        run: whose adapter; default: the one that serves.
        corrected: correct hubness.

    Raises:
        ConfigError: the run is of another dataset, nothing says which of several frozen models to use, or hubness cannot be
            corrected.
        LakeError: the map, the adapter or the features are missing or damaged.
        DataError: the dataset has no reference to search.
    """
    current = read_current(lake.champion(dataset)) if run is None else None
    if current is not None:
        return _published(lake, dataset, current.serving.map, corrected=corrected)
    return _made(lake, dataset, run, corrected=corrected)


def build_map(lake: Lake, dataset: str, run: str) -> MapManifest:
    """Writes the version of a map that a run's adapter and the references of today make; nothing serves it yet.

    Raises:
        LakeError, DataError: as `open_map`.
    """
    made = _made(lake, dataset, run, corrected=False)
    facts = {
        "dataset": dataset,
        "run": run,
        "features": made.features,
        "query_view": made.query_view,
        "extract": made.model.extract.model_dump(mode="json"),
        "identity": dict(made.model.identity),
    }
    return write_bundle(lake.map(dataset), lake.adapter(run), made.index.references, made.index.descriptors, facts)


def _published(lake: Lake, dataset: str, version: str, *, corrected: bool) -> Map:
    bundle = open_bundle(lake.map_version(dataset, version))
    manifest = bundle.manifest
    transform, index = bundle.adaptation, bundle.index
    model = FrozenModel(ExtractConfig.model_validate(manifest.extract), manifest.identity, bundle.adaptation.record.d0)
    if not corrected:
        return Map(manifest.run, model, manifest.query_view, transform, index, manifest.features)
    hubs = _corrected(transform)
    searched = ReferenceIndex(index.references, hubs.extended(index.descriptors, "reference"))
    return Map(manifest.run, model, manifest.query_view, hubs, searched, manifest.features)


def _corrected(adaptation: Adaptation) -> Any:
    from cvgl.adaptation import HubnessCorrected

    return HubnessCorrected(adaptation)


def _made(lake: Lake, dataset: str, run: str | None, *, corrected: bool) -> Map:
    from cvgl.adaptation import Adaptation, frozen

    features, view = _features_of(lake, dataset, run)
    model = _frozen_model(lake.features(features, dataset))
    transform: DescriptorTransform
    if run is None:
        if corrected:
            raise ConfigError(
                "frozen descriptors have no statistics to correct hubness with", where="--run", fix="give a run, or promote one"
            )
        transform = frozen(model.dimension)
    else:
        adaptation = Adaptation.load(lake.adapter(run))
        transform = _corrected(adaptation) if corrected else adaptation
    index = _reference_index(lake, dataset, features, transform)
    return Map(run or FROZEN, model, view or _usual_view(lake, dataset), transform, index, features)


def _usual_view(lake: Lake, dataset: str) -> View:
    """The view of the dataset's own queries, where it has one alone; else images are taken to come from drones."""
    views = {View(view) for view in read_images(lake, dataset).column("view").unique().to_pylist()} - {View.SATELLITE}
    return views.pop() if len(views) == 1 else View.DRONE


def _features_of(lake: Lake, dataset: str, run: str | None) -> tuple[str, View | None]:
    """Fingerprint of the frozen model, and how images are looked at where a run says so."""
    from cvgl.adaptation import read_record

    if run is None:
        return _only_model(lake, dataset), None
    record = read_record(lake.adapter(run))
    if record.dataset != dataset or record.feature_set_id is None:
        raise ConfigError(
            f"the run {run} belongs to the dataset '{record.dataset}'", where="--run", fix=f"give a run of '{dataset}'"
        )
    return record.feature_set_id, record.query_view


def _only_model(lake: Lake, dataset: str) -> str:
    """Fingerprint of the one frozen model that the dataset has features of."""
    fingerprints = [name for name, folder in lake.described(dataset).items() if any(folder.glob("*.parquet"))]
    if not fingerprints:
        raise LakeError(
            f"the dataset '{dataset}' has no features",
            where=lake.root,
            fix=f"cvgl extract --dataset {dataset}, after cvgl ingest",
        )
    if len(fingerprints) > 1:
        raise ConfigError(
            f"the dataset '{dataset}' has features of several frozen models ({', '.join(fingerprints)}) and no champion",
            where="--run",
            fix="give the run whose model is to be used, or promote one: cvgl promote RUN",
        )
    return fingerprints[0]


def _frozen_model(features: Path) -> FrozenModel:
    """How the features of a folder were made."""
    path = features.parent / "model.json"
    content = read_versioned(path, "model")
    try:
        extract = ExtractConfig.model_validate(content["extract"])
        return FrozenModel(extract, dict(content["identity"]), int(content["dimension"]))
    except (KeyError, TypeError, ValidationError) as error:
        raise LakeError(f"the record of a frozen model is not valid: {error}", where=path, fix="extract again") from error


def _reference_index(lake: Lake, dataset: str, features: str, transform: DescriptorTransform) -> ReferenceIndex:
    from cvgl.features import FeatureStore

    store = FeatureStore(lake.features(features, dataset))
    embedded = set(store.ids())
    satellite = [row for row in read_images(lake, dataset).to_pylist() if row["view"] == View.SATELLITE]
    # A training tile is not part of a map that names its gallery.
    rows = [row for row in satellite if Subset.GALLERY in row["subsets"]] or satellite
    rows = [row for row in rows if row["image_id"] in embedded]
    if not rows:
        raise DataError(
            f"the dataset '{dataset}' has no satellite image with features to search",
            where=store.folder,
            fix="ingest satellite images and extract their features",
        )
    references = tuple(
        Reference(row["image_id"], row["uri"], Position(**{name: row[name] for name in Position.model_fields})) for row in rows
    )
    return ReferenceIndex(
        references, transform.transform_reference(store.read([reference.image_id for reference in references]))
    )
