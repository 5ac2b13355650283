"""How the images of a batch are described: as the champion's were, so that they can be compared with what it knows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cvgl.arrival import batches
from cvgl.arrival.batches import Batch
from cvgl.arrival.source import check_present
from cvgl.config import ArrivalConfig, ExtractConfig
from cvgl.errors import LakeError
from cvgl.features import FeatureStore
from cvgl.lake import Lake, read_versioned
from cvgl.stages.extraction.reading import Failure
from cvgl.stages.training_rows import champion_of

# Chosen without labels where they were left at their defaults (`cvgl.stages.alignment.stage`).
_CHOSEN = ("layers", "rings")


def settled_extraction(lake: Lake, dataset: str, wanted: ExtractConfig) -> ExtractConfig | None:
    """The settings that the champion's images were described with, run as wanted (device, batches, threads).

    Args:
        lake: where everything is.
        dataset: whose champion.
        wanted: the settings of the watcher; what they leave open, the champion's alignment fills in.

    Returns:
        None where no adapter serves, or where the wanted settings are for another frozen model or alignment.

    Raises:
        LakeError: the record of the champion's frozen model is damaged.
    """
    champion = champion_of(lake, dataset)
    recorded = None if champion is None else recorded_extraction(lake, dataset, champion.features)
    if recorded is None:
        return None
    if not _agree(recorded, wanted):
        return None
    return recorded.model_copy(update=running_settings(wanted))


def running_settings(wanted: ExtractConfig) -> dict[str, Any]:
    """How an extraction is run, which does not change what comes of it."""
    return {name: getattr(wanted, name) for name in ("device", "batch_size", "workers", "part_rows")}


def damaged_extraction(lake: Lake, batch: Batch) -> ExtractConfig | None:
    """The settings to describe a batch's images with again, where a part of their descriptors is damaged; else None."""
    if not batch.features:
        return None
    store = FeatureStore(lake.features(batch.features, batch.dataset))
    if not store.damaged():
        return None
    return ExtractConfig.model_validate(read_versioned(store.folder.parent / "model.json", "model")["extract"])


def gone_while_described(batch: Batch, failures: Iterable[Failure], config: ArrivalConfig, lake: Lake) -> bool:
    """Whether images could not be described because their files were away, and are there again.

    Raises:
        UnreachableError: the source is still away.
    """
    missing = [Path(failure.uri) for failure in failures if failure.reason in ("missing", "unreadable")]
    if missing:
        check_source(batch, config, lake)
    return any(path.is_file() for path in missing)


def check_source(batch: Batch, config: ArrivalConfig, lake: Lake) -> None:
    """Makes sure that the folder that a batch came from is there; of a bucket, the images are in the lake.

    Raises:
        UnreachableError: it is not, or most of its files are gone.
    """
    if "://" not in batch.source:
        check_present(Path(batch.source), batches.expected(lake, batch), config.watch)


def recorded_extraction(lake: Lake, dataset: str, features: str) -> ExtractConfig | None:
    """The settings that descriptors of a dataset were made with; None where the lake does not have them.

    Raises:
        LakeError: their record is damaged.
    """
    path = lake.features(features, dataset).parent / "model.json"
    if not features or not path.is_file():
        return None
    try:
        return ExtractConfig.model_validate(read_versioned(path, "model")["extract"])
    except (ValidationError, KeyError, TypeError) as error:
        raise LakeError(f"the record of a frozen model is damaged: {error}", where=path, fix="extract again") from error


def _agree(recorded: ExtractConfig, wanted: ExtractConfig) -> bool:
    ours, theirs = _backbone(wanted), _backbone(recorded)
    left_open = [name for name in _CHOSEN if name not in wanted.backbone.model_fields_set]
    for name in left_open:
        ours.pop(name, None)
        theirs.pop(name, None)
    set_fields = wanted.alignment.model_fields_set
    same = all(getattr(wanted.alignment, name) == getattr(recorded.alignment, name) for name in set_fields)
    return ours == theirs and same and (wanted.precision, wanted.half_storage) == (recorded.precision, recorded.half_storage)


def _backbone(config: ExtractConfig) -> dict[str, Any]:
    values = config.backbone.model_dump(mode="json")
    checkpoint = values.get("checkpoint")
    return {**values, "checkpoint": None if checkpoint is None else str(Path(checkpoint).expanduser().resolve())}
