"""What answers where pictures were taken: a run's adapter, the champion's, or the frozen descriptors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cvgl.errors import ConfigError, LakeError
from cvgl.lake import Lake, read_json
from cvgl.localization.placement import FROZEN
from cvgl.types import View

if TYPE_CHECKING:
    from cvgl.adaptation import DescriptorTransform


@dataclass(frozen=True, slots=True)
class Service:
    """What answers: a frozen model, and the adapter behind it.

    Attributes:
        name: the run, or ``"frozen"``.
        features: fingerprint of the frozen model.
        query_view: how pictures are looked at; None when nothing says.
    """

    name: str
    features: str
    query_view: View | None


def service_of(lake: Lake, dataset: str, run: str | None) -> Service:
    """The run asked for, else the champion, else the frozen descriptors.

    Raises:
        LakeError: the champion's file, the adapter or the features are missing or damaged.
        ConfigError: the run is of another dataset, or nothing says which of several frozen models to use.
    """
    from cvgl.adaptation import read_record

    pointer = lake.champion(dataset)
    if run is None and pointer.exists():
        champion = read_json(pointer)
        run = champion.get("run") if isinstance(champion, dict) else None
        if not isinstance(run, str):
            raise LakeError("the champion file names no run", where=pointer, fix="promote a run: cvgl promote RUN")
    if run is None:
        return Service(FROZEN, _only_model(lake, dataset), None)
    record = read_record(lake.adapter(run))
    if record.dataset != dataset or record.features is None:
        raise ConfigError(
            f"the run {run} belongs to the dataset '{record.dataset}'", where="--run", fix=f"give a run of '{dataset}'"
        )
    return Service(run, record.features, record.query_view)


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


def transform_of(lake: Lake, service: Service, dimension: int, corrected: bool) -> DescriptorTransform:
    """What descriptors go through.

    Args:
        lake: where the adapter is.
        service: what answers.
        dimension: of the frozen descriptors.
        corrected: correct hubness.

    Raises:
        ConfigError: hubness cannot be corrected.
        LakeError: the adapter is missing or damaged.
    """
    from cvgl.adaptation import Adaptation, HubnessCorrected, frozen

    if service.name == FROZEN:
        if corrected:
            raise ConfigError(
                "frozen descriptors have no statistics to correct hubness with", where="--run", fix="give a run, or promote one"
            )
        return frozen(dimension)
    adaptation = Adaptation.load(lake.adapter(service.name))
    return HubnessCorrected(adaptation) if corrected else adaptation
