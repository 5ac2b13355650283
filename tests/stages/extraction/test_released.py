"""Models that look at each view in a way of their own, all the way from images to places."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from cvgl import backbones
from cvgl.config import AlignConfig, AlignmentConfig, BackboneConfig, Device, ExtractConfig, IngestConfig
from cvgl.errors import ConfigError, ModelError
from cvgl.features import FeatureStore, embed_images
from cvgl.imaging import open_rgb
from cvgl.ingestion import tables
from cvgl.lake import Lake, read_json
from cvgl.stages.alignment.stage import align
from cvgl.stages.extraction.stage import extract
from cvgl.stages.ingest import ingest
from cvgl.stages.localize import localize
from cvgl.types import ArtifactRef, View
from tests.backbones import released as made
from tests.data.images import place_image, save


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ingested(root: Path, lake: Lake, *views: str, places: int = 4) -> ArtifactRef:
    """Some places, each with a tile and one image of each view; panoramas are wide."""
    rows = []
    for place in range(places):
        for view in ("satellite", *views):
            image = place_image(place, 0 if view == "satellite" else 1, size=64)
            path = root / view / f"{place}.png"
            save(image.resize((220, 40)) if view == "ground" else image, path)
            position = [50 + place, 4.5] if view == "satellite" else ["", ""]
            rows.append([f"{view}/{place}.png", view, *position, "gallery;train" if view == "satellite" else "query;train"])
    with (root / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["path", "view", "latitude", "longitude", "subset"], *rows])
    return ingest(IngestConfig(source=str(root / "manifest.csv"), dataset="town"), lake).ref


def config(root: Path, name: str, state: dict[str, torch.Tensor], **settings: object) -> ExtractConfig:
    torch.save(state, root / f"{name}.pth")
    size = {"image_size": 96} if name == "sample4geo" else {}
    backbone = BackboneConfig(name=name, checkpoint=str(root / f"{name}.pth"), **size)
    return ExtractConfig(**{"backbone": backbone, "batch_size": 5, "part_rows": 9, "device": Device.CPU, **settings})


@pytest.mark.parametrize(
    ("name", "views"), [("sample4geo", ("ground", "drone")), ("geodtr", ("ground",)), ("fsra", ("drone",))]
)
def test_every_view_goes_its_own_way_in_one_extraction(tmp_path: Path, lake: Lake, name: str, views: tuple[str, ...]) -> None:
    images = ingested(tmp_path, lake, *views)
    settings = config(tmp_path, name, getattr(made, name)())
    outcome = extract(images, settings, lake)
    assert (outcome.embedded, outcome.failed) == (4 * (1 + len(views)), 0)
    store, embedder = FeatureStore(outcome.ref.path), backbones.load(settings.backbone, Device.CPU)
    for row in tables.read_images(lake, "town").to_pylist():
        expected = embed_images([open_rgb(row["uri"])], embedder, View(row["view"]))
        assert store.read([row["image_id"]]) == pytest.approx(expected, abs=1e-5)
    assert extract(images, settings, lake).skipped
    assert store.metadata()["backbone"] == name
    assert read_json(outcome.ref.path.parent / "model.json")["dimension"] == embedder.dimension


def test_panoramas_are_placed_as_panoramas(tmp_path: Path, lake: Lake) -> None:
    """Where a dataset's queries are of one view, so are the images that are asked about."""
    images = ingested(tmp_path, lake, "ground")
    outcome = extract(images, config(tmp_path, "geodtr", made.geodtr()), lake)
    ground = [row for row in tables.read_images(lake, "town").to_pylist() if row["view"] == "ground"]
    tiles = [row for row in tables.read_images(lake, "town").to_pylist() if row["view"] == "satellite"]
    store = FeatureStore(outcome.ref.path)
    scores = store.read([row["image_id"] for row in ground]) @ store.read([row["image_id"] for row in tiles]).T
    placements = localize([Path(row["uri"]) for row in ground], "town", lake, device=Device.CPU)
    for placement, own in zip(placements, scores, strict=True):
        assert placement.problem is None
        assert [answer.uri for answer in placement.top_k] == [tiles[index]["uri"] for index in np.argsort(-own)]


def test_a_view_that_the_model_does_not_know_stops_the_extraction(tmp_path: Path, lake: Lake) -> None:
    images = ingested(tmp_path, lake, "drone")
    with pytest.raises(ModelError, match="'geodtr' knows no drone images, only ground and satellite"):
        extract(images, config(tmp_path, "geodtr", made.geodtr()), lake)


@pytest.mark.parametrize("alignment", [{"reference_rotations": 4}, {"polar": True}])
def test_unrolled_tiles_are_not_turned_before(tmp_path: Path, lake: Lake, alignment: dict[str, object]) -> None:
    images = ingested(tmp_path, lake, "ground")
    with pytest.raises(ConfigError, match="unrolls tiles to 122 x 671"):
        extract(images, config(tmp_path, "geodtr", made.geodtr(), alignment=AlignmentConfig(**alignment)), lake)
    square = config(tmp_path, "geodtr", made.geodtr({"grd": 336, "sat": 256}), alignment=AlignmentConfig(reference_rotations=4))
    assert extract(images, square, lake).embedded == 8


def test_the_alignment_is_taken_as_given(tmp_path: Path, lake: Lake) -> None:
    images = ingested(tmp_path, lake, "ground", places=35)
    settings = config(tmp_path, "geodtr", made.geodtr())
    outcome = align(images, settings, AlignConfig(samples=40), lake)
    assert outcome.config == settings
    assert outcome.record.candidates == ()
    assert "released with its own way" in outcome.record.reason
