"""Small built-in towns, and sources made of their pictures."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from cvgl.lake import Lake
from cvgl.synthetic import WorldConfig, write_manifest

PLACES, VIEWS = 60, 2
# Weight-free, on images of this size: all the time goes into starting the stages.
FEATURES = ("--backbone", "gist", "--image-size", "64")


def draw(folder: Path, seed: int) -> Path:
    """A town whose views show the same ground from above, as in `cvgl demo`, but smaller; gives its manifest."""
    config = WorldConfig(
        seed=seed,
        places=PLACES,
        train_share=0.6,
        views=VIEWS,
        distractors=0,
        image_size=64,
        heading_spread_degrees=40.0,
        depression_degrees=(74.0, 60.0),
        distance_tiles=(1.4, 1.0),
    )
    return write_manifest(config, folder)


def rows(manifest: Path) -> list[dict[str, str]]:
    """A manifest's rows."""
    with manifest.open(newline="") as stream:
        return list(csv.DictReader(stream))


def write_rows(manifest: Path, table: Sequence[Mapping[str, str]]) -> Path:
    """Writes a manifest."""
    manifest.parent.mkdir(parents=True, exist_ok=True)
    with manifest.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return manifest


def drones(manifest: Path) -> list[Path]:
    """A town's drone pictures."""
    return sorted((manifest.parent / "drone").glob("*.jpg"))


def tiles(manifest: Path) -> list[Path]:
    """A town's tiles."""
    return sorted((manifest.parent / "satellite").glob("*.jpg"))


def folders(root: Path, queries: Iterable[Path | Image.Image], references: Iterable[Path | Image.Image]) -> Path:
    """A folder for each view, without a label or position: file names are numbers."""
    for view, images in (("drone", queries), ("satellite", references)):
        (root / view).mkdir(parents=True)
        for number, image in enumerate(images):
            if isinstance(image, Path):
                shutil.copy(image, root / view / f"{number:04d}.jpg")
            else:
                image.save(root / view / f"{number:04d}.png")
    return root


def empty_lake(root: Path) -> Callable[[str], Lake]:
    """Lakes with an empty registry in them: MLflow's migrations take seconds, so they are made once and copied."""
    from tasks.registry.store import open_registry

    template = Lake.at(root / "template")
    registry = open_registry(template)
    registry.client.create_experiment("elsewhere", artifact_location=template.mlflow_artifacts.as_uri())

    def made(name: str) -> Lake:
        lake = Lake.at(root / name)
        lake.mlflow_database.parent.mkdir(parents=True)
        shutil.copy(template.mlflow_database, lake.mlflow_database)
        return lake

    return made
