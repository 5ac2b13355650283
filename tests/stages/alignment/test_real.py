"""The choice on real imagery, against the labels that it did not see."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from cvgl import backbones
from cvgl.adaptation.standardise import fit
from cvgl.config import AlignConfig, AlignmentConfig, BackboneConfig, Device, ExtractConfig, IngestConfig
from cvgl.features import embed_images
from cvgl.imaging import open_rgb
from cvgl.lake import Lake
from cvgl.stages.alignment.stage import align
from cvgl.stages.ingest import ingest
from cvgl.types import View

TURNS, CROPS, RINGS = (1, 4), (1.0, 0.7), (1, 4)


def standardised_recall(root: Path, config: ExtractConfig) -> float:
    """Drone to satellite R@1 of the training pairs, which have the same names in both folders."""
    embedder = backbones.load(config.backbone, Device.CPU)
    rows, places = {}, {}
    for view in (View.DRONE, View.SATELLITE):
        paths = sorted((root / "train" / view).glob("*/*"))
        rows[view] = embed_images([open_rgb(path) for path in paths], embedder, view, config.alignment)
        places[view] = np.array([path.parent.name for path in paths])
    transform = fit(rows[View.DRONE], rows[View.SATELLITE])
    scores = transform.transform_query(rows[View.DRONE]) @ transform.transform_reference(rows[View.SATELLITE]).T
    return float((places[View.SATELLITE][scores.argmax(1)] == places[View.DRONE]).mean())


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_choice_lies_within_two_points_of_the_best_of_a_grid(shared: Path, lake: Lake) -> None:
    root = shared / "data" / "university_mini"
    weights = str(shared / "weights" / "vit_tiny_patch16_224.safetensors")
    backbone = BackboneConfig(name="vit_tiny_patch16_224", checkpoint=weights)
    images = ingest(IngestConfig(source=str(root), dataset="mini"), lake).ref
    search = AlignConfig(query_crops=CROPS, rotations=TURNS, rings=RINGS, tilts=(), more_layers=False)
    chosen = align(images, ExtractConfig(backbone=backbone), search, lake).config
    grid = [
        ExtractConfig(
            backbone=backbone.model_copy(update={"rings": rings}),
            alignment=AlignmentConfig(query_crop=crop, reference_rotations=turns),
        )
        for crop, turns, rings in product(CROPS, TURNS, RINGS)
    ]
    best = max(standardised_recall(root, config) for config in grid)
    assert standardised_recall(root, chosen) >= best - 0.02
