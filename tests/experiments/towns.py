"""Lakes made by hand for experiments: rows with descriptors, locations and no pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from cvgl.config import BackboneConfig, ExtractConfig
from cvgl.experiments.settings import Overrides, ReproduceConfig
from cvgl.experiments.sources import SourceConfig
from cvgl.lake import Lake, write_json
from cvgl.types import ArtifactRef
from tests.stages.lakes import DATASET, FINGERPRINT, Shot, town, write_features, write_images, write_truth

PROTOCOL = "university1652-951"


def split_town(places: int = 40, **options: Any) -> list[Shot]:
    """A town whose even places are for training and whose odd ones are for the test."""
    shots = town(places=places, dimension=16, distractors=0, **options)
    return [
        dataclasses.replace(shot, subsets=["train"] if int(shot.place or "0") % 2 == 0 else ["gallery", "query"])
        for shot in shots
    ]


def prepared(lake: Lake, shots: Sequence[Shot]) -> ArtifactRef:
    """Everything that an experiment reads."""
    write_images(lake, shots)
    write_truth(lake, shots)
    features = write_features(lake, shots)
    extract = ExtractConfig(backbone=BackboneConfig(name="gist")).model_dump(mode="json")
    write_json(lake.root / "features" / f"model={FINGERPRINT}" / "model.json", {"extract": extract})
    return features


def config(experiment: str = "table6", **changes: Any) -> ReproduceConfig:
    values = {"seeds": (0, 1), "overrides": Overrides(iterations=8), **changes}
    source = SourceConfig(name=DATASET, dataset=DATASET, folder="/pictures")
    return ReproduceConfig(experiment=experiment, sources=(source,), backbones=(BackboneConfig(name="gist"),), **values)
