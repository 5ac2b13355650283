"""A lake that was written by an earlier version (13db401) opens, answers as it did then, and goes on.

`data/lake-13db401.tar.xz` holds the lake of a small town that was watched, its images, and `recorded.json`: what that version
answered. It was written under /tmp/town, which the tables name as the place of the pictures.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvgl.arrival import batches
from cvgl.catalog import run_query, to_json
from cvgl.config import AdaptConfig, EvaluateConfig, ExtractConfig, IngestConfig
from cvgl.evaluation.evaluate import evaluate
from cvgl.features import FeatureStore
from cvgl.ingestion import tables
from cvgl.lake import Lake, formats, read_schema
from cvgl.localization.bundle import open_bundle, problems, read_current
from cvgl.stages.adapt import adapt
from cvgl.stages.extraction.stage import extract
from cvgl.stages.ingest import ingest
from cvgl.stages.localize import localize
from cvgl.stages.maps import build_map
from cvgl.stages.quality import judge
from cvgl.types import ArtifactRef
from tests.lake.archive import DATASET, WRITTEN_AT, runs, same_writer, unpacked


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's content; nothing in these tests writes to it but what is asked for."""
    return unpacked(tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def recorded(old: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((old / "recorded.json").read_text())
    return content


@pytest.fixture
def moved(old: Path, tmp_path: Path) -> Path:
    """A copy whose tables name the images where they are now, written by nothing of ours."""
    folder = tmp_path / "moved"
    shutil.copytree(old, folder)
    for path in (folder / "lake" / "images").rglob("*.parquet"):
        table = pq.ParquetFile(path).read()
        uris = [uri.replace(WRITTEN_AT, str(folder / "source")) for uri in table["uri"].to_pylist()]
        table = table.set_column(table.schema.get_field_index("uri"), table.schema.field("uri"), pa.array(uris))
        metadata = {**table.schema.metadata, b"source": str(folder / "source").encode()}
        pq.write_table(table.replace_schema_metadata(metadata), path, compression="none", write_page_checksum=True)
    return folder


def features_of(lake: Lake) -> ArtifactRef:
    ((fingerprint, folder),) = lake.described(DATASET).items()
    return ArtifactRef("features", folder, fingerprint, DATASET)


VIEWS = [
    *("images", "ground_truth", "quarantine", "tombstones", "decisions", "metrics"),
    *("queries", "verdicts", "gate_rows", "runs", "training", "models"),
]


@pytest.mark.parametrize("view", VIEWS)
def test_its_views_hold_what_they_held(old: Path, recorded: dict[str, Any], view: str) -> None:
    then = recorded["views"][view]["rows"]
    now = json.loads(to_json(run_query(Lake.at(old / "lake"), f"FROM {view}")))
    columns = sorted(then[0]) if then else []
    assert sorted(json.dumps([row[name] for name in columns]) for row in now) == sorted(
        json.dumps([row[name] for name in columns]) for row in then
    )
    assert all(value is None for row in now for name, value in row.items() if name not in columns), "columns of later versions"


def test_it_places_images_as_it_did(old: Path, recorded: dict[str, Any]) -> None:
    answers = recorded["answers"]["placements"]
    images = [old / "source" / answer["picture"].removeprefix(f"{WRITTEN_AT}/") for answer in answers]
    placed = localize(images, DATASET, Lake.at(old / "lake"))
    assert [placement.adapter for placement in placed] == [answer["adapter"] for answer in answers]
    assert [[match.image_id for match in placement.top_k] for placement in placed] == [
        [match["image_id"] for match in answer["top_k"]] for answer in answers
    ]
    scores = [[match["score"] for match in answer["top_k"]] for answer in answers]
    for placement, expected in zip(placed, scores, strict=True):
        assert [match.score for match in placement.top_k] == pytest.approx(expected, abs=1e-5)


def test_its_map_is_whole_and_is_built_again_under_the_same_name(moved: Path) -> None:
    lake = Lake.at(moved / "lake")
    current = read_current(lake.champion(DATASET))
    assert current is not None
    folder = lake.map_version(DATASET, current.serving.map)
    assert problems(folder) == []
    bundle = open_bundle(folder)
    assert bundle.manifest.version == current.serving.map
    # The manifest holds hashes of its files: the rows are those of then, but for where the images lie.
    assert build_map(lake, DATASET, current.serving.run).n_references == len(bundle.index.references)
    again = build_map(Lake.at(moved.parent / "moved" / "lake"), DATASET, current.serving.run)
    assert again.files["adapter.safetensors"] == bundle.manifest.files["adapter.safetensors"]


@same_writer
def test_its_map_has_the_same_bytes_when_it_is_built_today(old: Path, tmp_path: Path) -> None:
    shutil.copytree(old / "lake", tmp_path / "lake")
    lake = Lake.at(tmp_path / "lake")
    current = read_current(lake.champion(DATASET))
    assert current is not None
    assert build_map(lake, DATASET, current.serving.run).version == current.serving.map


def test_ingestion_goes_on(moved: Path) -> None:
    lake = Lake.at(moved / "lake")
    config = IngestConfig(source=str(moved / "source"), dataset=DATASET)
    batches_before = tables.image_batches(lake, DATASET)
    removed = lake.tombstones(DATASET)
    assert removed.is_dir()
    outcome = ingest(config, lake)
    assert (outcome.new, outcome.updated) == (0, 0)
    assert tables.image_batches(lake, DATASET) == batches_before
    extra = next((moved / "source/train/drone").rglob("*.jpeg"))
    new = extra.with_name("image-99.jpeg")
    shutil.copy(extra, new)
    new.write_bytes(new.read_bytes() + b"\0")  # another image by content
    assert ingest(config, lake).new == 1
    versions = [
        (read_schema(path).metadata or {}).get(formats.PARQUET_FORMAT)
        for path in sorted(lake.images(DATASET).glob("*.parquet"))
    ]
    assert versions == [None, None, b"1"], "old and new batches lie side by side"
    assert run_query(lake, "SELECT count(*) FROM images").rows == [(outcome.total + 1,)]


def test_nothing_is_described_again(moved: Path) -> None:
    lake = Lake.at(moved / "lake")
    images = tables.images_ref(lake, DATASET)
    extracted = extract(images, ExtractConfig(), lake)
    assert extracted.skipped
    assert extracted.ref.digest == features_of(lake).digest


def test_training_and_evaluation_are_found_finished(moved: Path) -> None:
    lake = Lake.at(moved / "lake")
    before = runs(lake)
    learned = adapt(features_of(lake), AdaptConfig(recipe="paper", iterations=3, dimension=8), lake)
    assert learned.skipped
    assert learned.run in before
    assert runs(lake) == before
    measured = evaluate(learned.ref, EvaluateConfig(), lake)
    assert measured.skipped
    assert measured.metrics
    assert judge(learned.ref, lake).skipped


def test_its_batches_are_told_of_once_and_their_marks_moved_out_of_the_cache(old: Path, tmp_path: Path) -> None:
    shutil.copytree(old / "lake", tmp_path / "lake")
    lake = Lake.at(tmp_path / "lake")
    assert [batch.state for batch in batches.batches(lake, DATASET)] == ["done", "done"]
    assert batches.unreported(lake, DATASET) == []
    shutil.rmtree(lake.root / "cache")
    assert batches.unreported(lake, DATASET) == []


def test_its_features_are_whole(old: Path) -> None:
    store = FeatureStore(features_of(Lake.at(old / "lake")).path)
    assert store.damaged() == []
    assert store.metadata()["backbone"] == "gist"
