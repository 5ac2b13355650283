"""University-160k's challenge from the images to the file that is handed in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cvgl.config import AdaptConfig, BackboneConfig, EvaluateConfig, ExtractConfig, IngestConfig, Layout
from cvgl.datasets.university160k import read_query_names
from cvgl.errors import DataError, LakeError
from cvgl.evaluation.challenge_file import write_answer_file
from cvgl.evaluation.evaluate import evaluate
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake, read_parquet
from cvgl.stages.adapt import adapt
from cvgl.stages.extraction.stage import extract
from cvgl.stages.ingest import ingest
from tests.data.layouts import Layouts


@pytest.fixture(scope="module")
def challenge(layouts: Layouts, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lake, str]:
    """The challenge, evaluated; two of its queries are one picture."""
    folder = tmp_path_factory.mktemp("challenge")
    source = layouts.copy(Layout.UNIVERSITY160K_OFFICIAL, folder)
    names = read_query_names(source)
    shutil.copy(source / "query_drone_160k" / names[0], source / "query_drone_160k" / "twin.jpeg")
    (source / "query_drone_name.txt").write_text("\n".join([*reversed(names), "twin.jpeg"]))
    lake = Lake.at(folder / "lake")
    images = ingest(IngestConfig(source=str(source), dataset="d"), lake).ref
    features = extract(images, ExtractConfig(backbone=BackboneConfig(name="gist", image_size=64)), lake).ref
    adapter = adapt(features, AdaptConfig(recipe="paper-standardised", dimension=8, iterations=2, query_samples=4), lake).ref
    assert evaluate(adapter, EvaluateConfig(), lake).metrics == []
    return source, lake, adapter.name


def test_every_query_of_the_list_is_answered_in_its_order(challenge: tuple[Path, Lake, str], tmp_path: Path) -> None:
    source, lake, run = challenge
    path = write_answer_file(run, source, lake, tmp_path / "answer.txt", depth=5)
    lines = [line.split(" ") for line in path.read_text().splitlines()]
    names = read_query_names(source)
    assert len(lines) == len(names) == 13
    uris = {row["image_id"]: Path(row["uri"]) for row in read_images(lake, "d").to_pylist()}
    best = {
        uris[row["image_id"]].name: [uris[image_id].stem for image_id in row["top_ids"][:5]]
        for row in read_parquet(lake.evaluation(run) / "queries.parquet").to_pylist()
        if row["stage"] == "adapted" and row["direction"] == "drone_to_satellite"
    }
    assert lines[:-1] == [best[name] for name in names[:-1]]
    assert lines[-1] == lines[names.index(names[-2])]  # the twin's, which was the first name before the list was turned round
    with_endings = write_answer_file(run, source, lake, tmp_path / "b.txt", depth=5, separator="\t", with_endings=True)
    assert all(name.endswith(".jpg") for name in with_endings.read_text().split())


def test_what_cannot_be_handed_in_is_told(challenge: tuple[Path, Lake, str], tmp_path: Path) -> None:
    source, lake, run = challenge
    with pytest.raises(DataError, match="fewer than 10 answers"):  # the gallery has 7 images
        write_answer_file(run, source, lake, tmp_path / "answer.txt")
    with pytest.raises(LakeError, match="no answers of the stage adapted-window"):
        write_answer_file(run, source, lake, tmp_path / "answer.txt", stage="adapted-window")  # type: ignore[arg-type] # a StrEnum
    with pytest.raises(DataError, match="in what order"):
        write_answer_file(run, tmp_path, lake, tmp_path / "answer.txt")
    assert not (tmp_path / "answer.txt").exists()
    changed = tmp_path / "changed"
    shutil.copytree(source, changed)
    with (changed / "query_drone_name.txt").open("a") as stream:
        stream.write("\nunknown.jpeg\n")
    with pytest.raises(DataError, match=r"1 queries .* unknown\.jpeg"):
        write_answer_file(run, changed, lake, tmp_path / "answer.txt", depth=5)
