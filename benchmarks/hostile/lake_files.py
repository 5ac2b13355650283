"""Damaged files of a small lake, read by everything that reads: never other values, at worst an error that names the file."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.hostile.mutation import one_damage
from benchmarks.hostile.tally import Tally
from cvgl import adapt
from cvgl.adaptation import Adaptation, Origin
from cvgl.catalog import run_query
from cvgl.config import BackboneConfig, EvaluateConfig, ExtractConfig, IngestConfig
from cvgl.errors import CvglError
from cvgl.evaluation.evaluate import evaluate
from cvgl.features import FeatureStore
from cvgl.ingestion.ground_truth import read_ground_truth
from cvgl.ingestion.tables import read_images, read_quarantine
from cvgl.lake import Lake
from cvgl.stages.extraction.stage import extract
from cvgl.stages.ingest import ingest
from cvgl.stages.localize import localize
from cvgl.types import ArtifactRef, View

_PLACES, _RUN, _DATASET = 8, "town-robust-1", "town"
_SQL = ("images", "ground_truth", "quarantine", "features", "models", "runs", "training", "metrics", "queries")


def try_lake_files(folder: Path, seed: int, inputs: int) -> Tally:
    """Damages one file of a lake at a time, and compares what every reader says with what it said before.

    Args:
        folder: to work in.
        seed: of every change.
        inputs: damaged files.
    """
    tally = Tally("damaged files of a lake")
    root = folder / "whole"
    photo = _build(root)
    lake = Lake.at(folder / "damaged")  # answers hold paths, so the sound ones are read at the same place
    shutil.copytree(root, lake.root)
    sound = {name: reader(lake, photo) for name, reader in _READERS.items()}
    shutil.rmtree(lake.root)
    files = sorted(
        p.relative_to(root) for p in root.rglob("*") if p.is_file() and p.relative_to(root).parts[0] not in ("cache", "locks")
    )
    for i in range(inputs):
        rng = np.random.default_rng([seed, i])
        shutil.copytree(root, lake.root)
        path = files[int(rng.integers(len(files)))]
        (lake.root / path).write_bytes(one_damage((root / path).read_bytes(), rng))
        tally.tried += 1
        is_refused = False
        for name, reader in _READERS.items():
            try:
                answer = reader(lake, photo)
            except CvglError:
                is_refused = True
                continue
            except Exception as error:  # noqa: BLE001  # what it is held to is that there is none
                tally.crashed(f"{name}: {path} #{i}", error)
                continue
            if answer != sound[name]:
                tally.differs(f"{name}: {path} #{i}", "other values")
        tally.refused += is_refused
        tally.accepted += not is_refused
        shutil.rmtree(lake.root)
    return tally


def _build(root: Path) -> Path:
    """A map of places in a row, 60 m apart, with an adapter and its evaluation; returns a photo of one of them."""
    source = root.parent / "source"
    rows = [["path", "view", "x", "y", "crs", "subset", "location_id"]]
    for place in range(_PLACES):
        rows.append([f"map/{place}.png", "satellite", str(60 * place), "0", "local", "gallery;train", f"p{place}"])
        _image(place, 0, source / f"map/{place}.png")
        for view in (1, 2, 3):
            rows.append([f"drone/{place}-{view}.png", "drone", str(60 * place), "5", "local", "query;train", f"p{place}"])
            _image(place, view, source / f"drone/{place}-{view}.png")
    (source / "bad.png").write_bytes(b"no image")
    rows.append(["bad.png", "drone", "", "", "", "", ""])
    with (source / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    lake = Lake.at(root)
    images = ingest(IngestConfig(source=str(source / "manifest.csv"), dataset=_DATASET), lake).ref
    features = extract(images, ExtractConfig(backbone=BackboneConfig(name="gist", image_size=32)), lake).ref
    store = FeatureStore(features.path)
    sides: dict[bool, list[str]] = {False: [], True: []}
    for row in read_images(lake, _DATASET).to_pylist():
        sides[row["view"] == "satellite"].append(row["image_id"])
    adaptation = adapt(store.read(sides[False]), store.read(sides[True]), recipe="robust")
    origin = Origin(run=_RUN, dataset=_DATASET, feature_set_id=features.digest, query_view=View.DRONE)
    adaptation.save(lake.adapter(_RUN), origin)
    evaluate(ArtifactRef("adapter", lake.adapter(_RUN), _RUN, _DATASET), EvaluateConfig(), lake)
    return _image(3, 9, root.parent / "photo.png")


def _image(place: int, view: int, path: Path) -> Path:
    pattern = np.random.default_rng(place).uniform(0, 255, (6, 6, 3)).astype(np.uint8)
    values = np.asarray(Image.fromarray(pattern).resize((40, 40), Image.Resampling.BICUBIC), np.float32)
    values = (values + np.random.default_rng([place, view]).normal(0, 6 * (view > 0), values.shape)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(path)
    return path


def _descriptors(lake: Lake, photo: Path) -> Any:
    (folder,) = {path.parent for path in lake.root.glob("features/model=*/dataset=*/part-*.parquet")}
    store = FeatureStore(folder)
    ids = store.ids()
    return ids, store.read(ids).tobytes()


def _adapted(lake: Lake, photo: Path) -> Any:
    adaptation = Adaptation.load(lake.adapter(_RUN))
    queries = np.random.default_rng(0).normal(size=(4, len(adaptation.adapter))).astype(np.float32)
    return adaptation.transform_query(queries).tobytes(), adaptation.transform_reference(queries).tobytes()


_READERS: Mapping[str, Callable[[Lake, Path], Any]] = {
    "images": lambda lake, photo: read_images(lake, _DATASET).to_pylist(),
    "ground truth": lambda lake, photo: read_ground_truth(lake, _DATASET).to_pylist(),
    "quarantine": lambda lake, photo: read_quarantine(lake, _DATASET).to_pylist(),
    "descriptors": _descriptors,
    "SQL": lambda lake, photo: [run_query(lake, f"SELECT * FROM {view} ORDER BY ALL").rows for view in _SQL],  # noqa: S608  # names of our own views
    "localize": lambda lake, photo: localize([photo], _DATASET, lake, run=_RUN),
}
