"""Stage align: what it chooses, what it costs, what it leaves behind, and that labels play no part."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from cvgl import backbones
from cvgl.config import AdaptConfig, AlignConfig, AlignmentConfig, BackboneConfig, Device, ExtractConfig, IngestConfig
from cvgl.datasets.flights import write_manifest
from cvgl.errors import ConfigError, LakeError
from cvgl.features import embed_images
from cvgl.imaging import open_rgb
from cvgl.ingestion import tables
from cvgl.ingestion.ground_truth import read_ground_truth
from cvgl.lake import Lake, read_json
from cvgl.stages.adapt import adapt
from cvgl.stages.alignment import sample
from cvgl.stages.alignment.record import TriedCandidate, alignment_of, candidate_rows, read_alignment
from cvgl.stages.alignment.search import cheapest_within_error
from cvgl.stages.alignment.stage import align
from cvgl.stages.extraction.stage import extract
from cvgl.stages.ingest import ingest
from cvgl.stages.localize import localize
from cvgl.types import ArtifactRef, View
from tests.data.images import save, university1652
from tests.data.views import drone, unaligned
from tests.experiments.flights import flights_folder

GIST = BackboneConfig(image_size=32)
EXTRACT = ExtractConfig(backbone=GIST)
QUICK = AlignConfig(query_crops=(1.0, 0.8, 0.6), tilts=(), samples=40)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that has taken in images in need of alignment, and has aligned them."""
    root = tmp_path_factory.mktemp("aligned")
    lake = Lake.at(root / "lake")
    align(ingest(IngestConfig(source=str(unaligned(root / "source")), dataset="town"), lake).ref, EXTRACT, QUICK, lake)
    return root / "lake"


@pytest.fixture
def images(built: Path, lake: Lake) -> ArtifactRef:
    shutil.copytree(built, lake.root)
    return tables.images_ref(lake, "town")


def recall(lake: Lake, config: ExtractConfig) -> float:
    """True recall of the training images under some settings; labels are read by this test only."""
    embedder = backbones.load(config.backbone)
    truth = {row["image_id"]: row["location_id"] for row in read_ground_truth(lake, "town").to_pylist()}
    rows, places = {}, {}
    for view in (View.DRONE, View.SATELLITE):
        pictures = [row for row in tables.read_images(lake, "town").to_pylist() if row["view"] == view]
        rows[view] = embed_images([open_rgb(row["uri"]) for row in pictures], embedder, view, config.alignment)
        places[view] = np.array([truth[row["image_id"]] for row in pictures])
    best = (rows[View.DRONE] @ rows[View.SATELLITE].T).argmax(1)
    return float((places[View.SATELLITE][best] == places[View.DRONE]).mean())


def test_the_scale_and_the_turns_that_were_hidden_in_the_images_are_found(images: ArtifactRef, lake: Lake) -> None:
    outcome = align(images, EXTRACT, QUICK, lake)
    chosen = outcome.config.alignment
    assert 0.5 <= chosen.query_crop <= 0.7, "tiles show 0.6 of what drones see"
    assert max(chosen.reference_rotations, chosen.query_rotations) >= 4, "drones come from any heading"
    assert recall(lake, outcome.config) > recall(lake, EXTRACT) + 0.5
    assert outcome.config.backbone == GIST
    assert (outcome.config.batch_size, outcome.config.device) == (EXTRACT.batch_size, EXTRACT.device)


def test_the_evidence_names_every_candidate_and_why_one_won(images: ArtifactRef, lake: Lake) -> None:
    outcome = align(images, EXTRACT, QUICK, lake)
    record = read_alignment(outcome.ref.path)
    assert outcome.skipped, "the choice was made when the lake was built"
    assert outcome.ref.path.parent == lake.root / "alignments" / "dataset=town"
    assert record.pictures == {"drone": 40, "satellite": 40}
    assert record.winner is not None
    assert record.winner.alignment == outcome.config.alignment
    assert record.candidates[0].alignment == AlignmentConfig()
    assert {candidate.alignment.query_crop for candidate in record.candidates} >= {1.0, 0.8, 0.6}
    assert "agreement" in record.reason
    assert f"against {record.candidates[0].agreement:.2f}" in record.reason
    assert candidate_rows(record)[0]["settings"].endswith("(chosen)")
    # what was paid: every pass once, however many candidates share it
    crops = {candidate.alignment.query_crop for candidate in record.candidates}
    assert record.passes <= 40 * (4 * len(crops) + 8)
    assert alignment_of(lake, "town", record.features) == record
    assert not (lake.root / "cache" / "alignments").exists() or not list((lake.root / "cache" / "alignments").iterdir())


def test_the_winner_s_features_are_those_that_the_evidence_names(images: ArtifactRef, lake: Lake) -> None:
    outcome = align(images, EXTRACT, QUICK, lake)
    assert extract(images, outcome.config, lake).ref.digest == outcome.record.features


def test_images_are_placed_with_the_champion_s_alignment(images: ArtifactRef, lake: Lake, tmp_path: Path) -> None:
    """Localisation takes the settings from the record of the features, and so needs no word of the alignment."""
    features = extract(images, align(images, EXTRACT, QUICK, lake).config, lake).ref
    adapter = adapt(features, AdaptConfig(iterations=2, dimension=None), lake)
    query_paths = [save(drone(place, view=1), tmp_path / f"{place}.png") for place in range(8)]
    placements = localize(query_paths, "town", lake, run=adapter.run)
    right = [placement.top_k[0].uri.endswith(f"/{place:04d}.png") for place, placement in enumerate(placements)]
    assert sum(right) >= 7


def test_what_was_given_stays(images: ArtifactRef, lake: Lake) -> None:
    config = ExtractConfig(backbone=GIST, alignment=AlignmentConfig(query_crop=0.8, reference_rotations=1, query_rotations=1))
    outcome = align(images, config, QUICK, lake)
    assert {candidate.alignment.query_crop for candidate in outcome.record.candidates} == {0.8}
    assert {candidate.alignment.reference_rotations for candidate in outcome.record.candidates} == {1}
    default = ExtractConfig(backbone=GIST, alignment=AlignmentConfig(reference_rotations=1))
    turned = align(images, default, QUICK, lake).record.candidates
    assert {candidate.alignment.reference_rotations for candidate in turned} == {1}, (
        "a default that was given is given all the same"
    )


def test_the_budget_holds_and_what_it_left_out_is_said(images: ArtifactRef, lake: Lake) -> None:
    outcome = align(images, EXTRACT, QUICK.model_copy(update={"max_passes": 320}), lake)
    assert 0 < outcome.record.passes <= 320
    assert outcome.record.left_out
    assert outcome.record.winner is not None


def test_a_budget_too_small_for_a_choice_says_so(images: ArtifactRef, lake: Lake) -> None:
    outcome = align(images, EXTRACT, QUICK.model_copy(update={"max_passes": 50}), lake)
    assert outcome.config == EXTRACT
    assert "too few" in outcome.record.reason


def test_too_few_images_are_taken_as_they_are(tmp_path: Path, lake: Lake) -> None:
    source = university1652(tmp_path / "source", train=5, test=2)
    images = ingest(IngestConfig(source=str(source), dataset="town"), lake).ref
    outcome = align(images, EXTRACT, AlignConfig(), lake)
    assert outcome.config == EXTRACT
    assert outcome.record.winner is None
    assert "15 drone and 5 satellite training images are too few" in outcome.record.reason
    assert align(images, EXTRACT, AlignConfig(), lake).skipped
    assert extract(images, outcome.config, lake).ref.digest == outcome.record.features


class Killed(BaseException):
    """Stands for a process that dies: nothing catches it."""


@pytest.mark.parametrize("calls", [3, pytest.param(0, marks=pytest.mark.slow), pytest.param(9, marks=pytest.mark.slow)])
def test_a_killed_choice_goes_on_to_the_same_bytes(
    built: Path, lake: Lake, images: ArtifactRef, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    expected = {path.name: path.read_bytes() for path in (built / "alignments").rglob("*.json")}
    shutil.rmtree(lake.root / "alignments")
    through, embedded = sample.embed_all, list[int]()

    def dies(*arguments: object) -> object:
        if len(embedded) == calls:
            raise Killed
        embedded.append(1)
        return through(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(sample, "embed_all", dies)
        with pytest.raises(Killed):
            align(images, EXTRACT, QUICK, lake)
    for part in list((lake.root / "cache" / "alignments").rglob("*.parquet"))[:1]:
        part.write_bytes(part.read_bytes()[:-9])  # and the disk broke one of what it had
    align(images, EXTRACT, QUICK, lake)
    assert {path.name: path.read_bytes() for path in (lake.root / "alignments").rglob("*.json")} == expected


def test_how_it_is_run_does_not_change_the_choice_s_name(images: ArtifactRef, lake: Lake) -> None:
    other = EXTRACT.model_copy(update={"batch_size": 5, "workers": 1, "device": Device.CPU, "part_rows": 9})
    assert align(images, other, QUICK, lake).skipped
    assert not align(images, EXTRACT, QUICK.model_copy(update={"seed": 1, "query_crops": (0.6,)}), lake).skipped


def test_only_training_images_are_looked_at(tmp_path: Path, lake: Lake) -> None:
    source = unaligned(tmp_path / "source", train=24, test=30)
    images = ingest(IngestConfig(source=str(source), dataset="town"), lake).ref
    shutil.rmtree(source / "test")
    record = align(images, EXTRACT, QUICK.model_copy(update={"query_crops": (0.6,)}), lake).record
    assert record.pictures == {"drone": 24, "satellite": 24}
    assert record.winner is not None


def test_the_ground_truth_is_not_needed(images: ArtifactRef, lake: Lake) -> None:
    expected = align(images, EXTRACT, QUICK, lake).record
    shutil.rmtree(lake.root / "alignments")
    shutil.rmtree(lake.root / "ground_truth")
    assert align(images, EXTRACT, QUICK, lake).record == expected


def test_images_that_have_gone_are_left_out_of_the_sample(tmp_path: Path, lake: Lake) -> None:
    source = unaligned(tmp_path / "source", train=30)
    images = ingest(IngestConfig(source=str(source), dataset="town"), lake).ref
    for place in range(4):
        shutil.rmtree(source / "train" / "drone" / f"{place:04d}")
    quick = QUICK.model_copy(update={"query_crops": (1.0, 0.6)})
    assert align(images, EXTRACT, quick, lake).config.alignment.query_crop < 0.8
    shutil.rmtree(source / "train" / "satellite")
    outcome = align(images, EXTRACT, quick.model_copy(update={"seed": 3}), lake)
    assert outcome.config == EXTRACT
    assert "can be described" in outcome.record.reason


def test_two_query_views_need_a_word(lake: Lake, tmp_path: Path) -> None:
    source = unaligned(tmp_path / "source", train=2)
    shutil.copytree(source / "train" / "drone", source / "train" / "street")
    for number, path in enumerate(sorted((source / "train" / "street").rglob("*.png"))):
        save(drone(number, view=5), path)
    images = ingest(IngestConfig(source=str(source), dataset="town"), lake).ref
    with pytest.raises(ConfigError, match="drone, ground"):
        align(images, EXTRACT, AlignConfig(), lake)
    chosen = align(images, EXTRACT, AlignConfig(query_view=View.GROUND), lake)
    assert chosen.record.query_view is View.GROUND


def test_a_damaged_record_is_an_error_with_a_way_out(images: ArtifactRef, lake: Lake) -> None:
    path = align(images, EXTRACT, QUICK, lake).ref.path
    path.write_text('{"dataset": 1}')
    with pytest.raises(LakeError, match="align again"):
        align(images, EXTRACT, QUICK, lake)


def tried(agreement: float, passes: int, error: float = 0.03) -> TriedCandidate:
    return TriedCandidate(
        step="",
        alignment=AlignmentConfig(query_crop=agreement),
        layers=None,
        rings=1,
        agreement=agreement,
        standard_error=error,
        query_passes=1,
        reference_passes=passes,
    )


def test_a_flight_is_judged_by_its_course_over_the_whole_map(tmp_path: Path, lake: Lake) -> None:
    folder = flights_folder(tmp_path / "set", dates=("2014-01",), side=7, per_tile=1)
    manifest = write_manifest(folder, "2014-01", tmp_path / "m.csv")
    images = ingest(IngestConfig(source=str(manifest), dataset="flights", root=str(folder)), lake).ref
    config = AlignConfig(query_crops=(1.0,), rotations=(1,), tilts=(), samples=20)
    record = align(images, EXTRACT, config, lake).record
    assert record.pictures == {"drone": 20, "satellite": 49}
    assert "course gain" in record.reason
    assert "agreement" not in record.reason
    assert "tiles were looked at" not in record.reason
    cheap = align(images, EXTRACT, config.model_copy(update={"max_passes": 60}), lake).record
    assert "only 40 of 49 tiles were looked at" in cheap.reason


def test_of_those_within_chance_of_the_best_the_cheapest_wins() -> None:
    best, close, cheap_and_bad = tried(0.8, 8), tried(0.78, 4), tried(0.7, 1)
    assert cheapest_within_error([best, close, cheap_and_bad]) == close
    assert cheapest_within_error([cheap_and_bad, tried(0.79, 8), best]) == best


def test_the_record_is_plain_json(images: ArtifactRef, lake: Lake) -> None:
    content = read_json(align(images, EXTRACT, QUICK, lake).ref.path)
    assert set(content) >= {"candidates", "chosen", "reason", "passes", "pictures", "features", "inputs", "left_out"}
