"""Extraction, with decoding beside the model and a store that can be resumed, against reading and embedding in turn."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measure import Ratio, compare
from cvgl import backbones
from cvgl.config import BackboneConfig, Device, ExtractConfig, IngestConfig, Precision
from cvgl.features import embed_images
from cvgl.imaging import open_rgb
from cvgl.lake import Lake
from cvgl.stages.extraction.stage import extract
from cvgl.stages.ingest import ingest
from cvgl.types import View

IMAGES, SIDE, BATCH = 256, 512, 32


def overlapped_decoding() -> Ratio:
    """256 JPEGs of 512 x 512, the size of University-1652's, through the weight-free model."""
    with tempfile.TemporaryDirectory() as folder:
        return _measure(Path(folder))


def _measure(folder: Path) -> Ratio:
    paths = _write_images(folder / "source")
    lake = Lake.at(folder / "lake")
    images = ingest(IngestConfig(source=str(folder / "source"), dataset="pictures"), lake).ref
    embedder = backbones.load(BackboneConfig(), Device.CPU, Precision.FLOAT32)

    def ours() -> None:
        shutil.rmtree(lake.root / "features", ignore_errors=True)
        extract(images, ExtractConfig(batch_size=BATCH), lake)

    def in_turn() -> None:
        for start in range(0, IMAGES, BATCH):
            embed_images([open_rgb(path) for path in paths[start : start + BATCH]], embedder, View.SATELLITE)

    name = f"extract {IMAGES} JPEGs of {SIDE} x {SIDE}, hashed, verified and stored"
    return compare(name, "decoding and embedding in turn, nothing stored", ours, in_turn, rounds=3)


def _write_images(source: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    (source / "satellite").mkdir(parents=True)
    paths = []
    for number in range(IMAGES):
        cells = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        paths.append(source / "satellite" / f"{number:04d}.jpg")
        cells.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(paths[-1], quality=90)
    return paths
