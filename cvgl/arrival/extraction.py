"""How the pictures of a batch are described: as the champion's were, so that they can be compared with what it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cvgl.arrival.learned import champion_of
from cvgl.config import ExtractConfig
from cvgl.errors import LakeError
from cvgl.lake import Lake, read_json

# Chosen without labels where they were left at their defaults (`cvgl.stages.align`).
_CHOSEN = ("layers", "rings")


def settled_extraction(lake: Lake, dataset: str, wanted: ExtractConfig) -> ExtractConfig | None:
    """The settings that the champion's pictures were described with, run as wanted (device, batches, threads).

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
    if champion is None or not champion.features:
        return None
    path = lake.features(champion.features, dataset).parent / "model.json"
    if not path.is_file():
        return None
    try:
        recorded = ExtractConfig.model_validate(read_json(path)["extract"])
    except (ValidationError, KeyError, TypeError) as error:
        raise LakeError(f"the record of a frozen model is damaged: {error}", where=path, fix="extract again") from error
    if not _agree(recorded, wanted):
        return None
    running = {name: getattr(wanted, name) for name in ("device", "batch_size", "workers", "part_rows")}
    return recorded.model_copy(update=running)


def _agree(recorded: ExtractConfig, wanted: ExtractConfig) -> bool:
    ours, theirs = _backbone(wanted), _backbone(recorded)
    left_open = [name for name in _CHOSEN if name not in wanted.backbone.model_fields_set]
    for name in left_open:
        ours.pop(name, None)
        theirs.pop(name, None)
    given = wanted.alignment.model_fields_set
    same = all(getattr(wanted.alignment, name) == getattr(recorded.alignment, name) for name in given)
    return ours == theirs and same and (wanted.precision, wanted.half_storage) == (recorded.precision, recorded.half_storage)


def _backbone(config: ExtractConfig) -> dict[str, Any]:
    values = config.backbone.model_dump(mode="json")
    checkpoint = values.get("checkpoint")
    return {**values, "checkpoint": None if checkpoint is None else str(Path(checkpoint).expanduser().resolve())}
