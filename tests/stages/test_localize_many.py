"""Several images of one place, and flights, through the stage and the command."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cvgl import adapt
from cvgl.adaptation import Adaptation, HubnessCorrected, Origin
from cvgl.config import BackboneConfig, ExtractConfig, IngestConfig
from cvgl.errors import ConfigError
from cvgl.features import FeatureStore
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake
from cvgl.localization import FramePlacement, JointPlacement
from cvgl.stages.extraction.stage import extract
from cvgl.stages.ingest import ingest
from cvgl.stages.localize import localize, localize_sequence, localize_together
from cvgl.types import ArtifactRef, View
from tests.data.images import place_image, save
from tests.flows.cli.commands import invoke

PLACES, RUN = 8, "town-robust-1"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map of places in a row, 60 m apart, drone images of them, and an adapter that keeps banks."""
    root = tmp_path_factory.mktemp("built")
    rows = []
    for place in range(PLACES):
        save(place_image(place), root / f"source/map/{place}.png")
        rows.append([f"map/{place}.png", "satellite", 60 * place, 0, "local", "gallery;train"])
        for view in (1, 2, 3):
            save(place_image(place, view), root / f"source/drone/{place}-{view}.png")
            rows.append([f"drone/{place}-{view}.png", "drone", "", "", "", "train"])
    with (root / "source/manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["path", "view", "x", "y", "crs", "subset"], *rows])
    lake = Lake.at(root / "lake")
    images = ingest(IngestConfig(source=str(root / "source/manifest.csv"), dataset="town"), lake).ref
    features = extract(images, ExtractConfig(backbone=BackboneConfig(name="gist", image_size=64)), lake).ref
    write_adapter(lake, features)
    return root


def write_adapter(lake: Lake, features: ArtifactRef, run: str = RUN, recipe: str = "robust") -> None:
    store = FeatureStore(features.path)
    sides: dict[bool, list[str]] = {False: [], True: []}
    for row in read_images(lake, "town").to_pylist():
        sides[row["view"] == "satellite"].append(row["image_id"])
    adaptation = adapt(store.read(sides[False]), store.read(sides[True]), recipe=recipe)
    adaptation.save(lake.adapter(run), Origin(run=run, dataset="town", feature_set_id=features.digest, query_view=View.DRONE))


@pytest.fixture
def lake(built: Path, tmp_path: Path) -> Lake:
    shutil.copytree(built / "lake", tmp_path / "lake")
    return Lake.at(tmp_path / "lake")


def photos(folder: Path, place: int, n: int = 3) -> list[Path]:
    return [save(place_image(place, 4 + view), folder / f"photo-{view}.png") for view in range(n)]


def flight(folder: Path) -> list[Path]:
    """Two frames a place, named so that sorting by letters would take the tenth before the second."""
    places = [place for place in range(PLACES) for _ in range(2)]
    return [save(place_image(place, 9 + i), folder / f"frame{i}.png") for i, place in enumerate(places)]


def test_photos_of_one_place_get_one_answer(lake: Lake, tmp_path: Path) -> None:
    query_paths = photos(tmp_path / "asked", 5)
    bad = tmp_path / "asked/zz-note.jpg"
    bad.write_text("not an image")
    joint, refused = localize_together([tmp_path / "asked"], "town", lake, run=RUN, top_k=2)
    assert isinstance(joint, JointPlacement)
    assert joint.pictures == tuple(map(str, query_paths))
    assert (joint.x, joint.adapter, len(joint.top_k)) == (300, RUN, 2)
    assert refused.picture == str(bad)
    assert refused.problem
    alone = localize(query_paths, "town", lake, run=RUN, top_k=100)
    scores = [{answer.image_id: answer.score for answer in placement.top_k} for placement in alone]
    best = joint.top_k[0]
    assert best.score == pytest.approx(np.mean([score[best.image_id] for score in scores]), abs=1e-5)


def test_no_usable_photo_is_no_place(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"x")
    (placement,) = localize_together([tmp_path / "x.jpg"], "town", lake)
    assert not placement.placed


def test_a_flight_gets_a_course(lake: Lake, tmp_path: Path) -> None:
    frames = flight(tmp_path / "asked")
    placed = localize_sequence([tmp_path / "asked"], "town", lake, run=RUN, top_k=2)
    assert [frame.picture for frame in placed] == list(map(str, frames))
    assert [frame.frame for frame in placed] == list(range(16))
    assert [frame.x for frame in placed] == [60 * (i // 2) for i in range(16)]
    assert all(frame.probability is not None and frame.mean is not None for frame in placed)
    assert localize_sequence(frames, "town", lake, run=RUN, top_k=2) == placed
    window = localize_sequence(frames, "town", lake, run=RUN, window=4)
    ahead = localize_sequence(frames[:9], "town", lake, run=RUN, window=4)
    assert [f.top_k[0].image_id for f in ahead] == [f.top_k[0].image_id for f in window[:9]]
    assert [f.probability for f in window] != [f.probability for f in placed]


def test_the_order_given_is_the_order_taken(lake: Lake, tmp_path: Path) -> None:
    frames = flight(tmp_path / "asked")
    back = localize_sequence(frames[::-1], "town", lake, run=RUN)
    assert [frame.picture for frame in back] == [str(path) for path in frames[::-1]]
    assert [frame.frame for frame in back] == list(range(16))


def test_an_unreadable_frame_is_a_gap(lake: Lake, tmp_path: Path) -> None:
    frames = flight(tmp_path / "asked")
    whole = localize_sequence(frames, "town", lake, run=RUN)
    frames[7].write_bytes(b"broken")
    placed = localize_sequence(frames, "town", lake, run=RUN)
    assert placed[7].problem
    assert isinstance(placed[7], FramePlacement)
    assert (placed[7].frame, placed[7].x, placed[7].top_k) == (7, None, ())
    assert [frame.x for frame in placed if frame.placed] == [frame.x for i, frame in enumerate(whole) if i != 7]
    assert placed[6].probability != whole[6].probability
    for path in frames:
        path.write_bytes(b"broken")
    assert not any(frame.placed for frame in localize_sequence(frames, "town", lake, run=RUN))


def test_hubness_is_corrected_when_asked(lake: Lake, tmp_path: Path) -> None:
    (query_paths, *_) = photos(tmp_path / "asked", 5)
    (plain,) = localize([query_paths], "town", lake, run=RUN, top_k=100)
    (corrected,) = localize([query_paths], "town", lake, run=RUN, top_k=100, corrected=True)
    adaptation = Adaptation.load(lake.adapter(RUN))
    references = FeatureStore(lake.features(str(adaptation.record.feature_set_id), "town")).read(
        [a.image_id for a in plain.top_k]
    )
    half = HubnessCorrected(adaptation).transform_reference(references)[:, -1]
    expected = {answer.image_id: answer.score + less for answer, less in zip(plain.top_k, half.tolist(), strict=True)}
    assert {answer.image_id: answer.score for answer in corrected.top_k} == pytest.approx(expected, abs=1e-5)


def test_without_banks_flights_are_placed_and_correction_is_refused(lake: Lake, tmp_path: Path) -> None:
    (folder,) = (lake.root / "features").glob("model=*/dataset=town")
    features = ArtifactRef("features", folder, folder.parent.name.removeprefix("model="), "town")
    write_adapter(lake, features, "town-paper-1", "paper-standardised")
    query_paths = photos(tmp_path / "asked", 5)
    for run in ("town-paper-1", None):  # None: frozen
        assert all(frame.placed for frame in localize_sequence(query_paths, "town", lake, run=run))
        with pytest.raises(ConfigError, match="no statistics"):
            localize(query_paths, "town", lake, run=run, corrected=True)


@pytest.mark.parametrize("geojson", [False, True])
def test_the_command_prints_a_line_a_frame(lake: Lake, tmp_path: Path, geojson: bool) -> None:
    flight(tmp_path / "asked")
    options = ("--sequence", "--window", "5", "--jsonl", *(("--geojson",) if geojson else ()))
    run = invoke("localize", tmp_path / "asked", "--dataset", "town", "--lake", lake.root, "--run", RUN, *options)
    assert run.code == 0, run.stderr
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    frames = [row["properties"] for row in rows] if geojson else rows
    assert [frame["frame"] for frame in frames] == list(range(16))
    assert all(0 < frame["probability"] <= 1 for frame in frames)
    assert {row.get("type") for row in rows} == ({"Feature"} if geojson else {None})


def test_the_command_answers_photos_together_and_keeps_its_contract(lake: Lake, tmp_path: Path) -> None:
    query_paths = photos(tmp_path / "asked", 5)
    arguments: tuple[str | Path, ...] = ("localize", *query_paths, "--dataset", "town", "--lake", lake.root, "--run", RUN)
    run = invoke(*arguments, "--same-place", "--json")
    assert run.code == 0, run.stderr
    (placement,) = run.json["placements"]
    assert placement["pictures"] == list(map(str, query_paths))
    completed = invoke(*arguments, "--same-place")
    assert "and 2 more" in " ".join(completed.stdout.split())
    course = invoke(*arguments, "--sequence")
    assert "probability" in course.stdout
    assert "probability" not in invoke(*arguments).stdout


@pytest.mark.parametrize(
    "options",
    [("--same-place", "--sequence"), ("--window", "3"), ("--sequence", "--corrected"), ("--sequence", "--window", "0")],
)
def test_options_that_do_not_go_together_are_wrong_usage(lake: Lake, tmp_path: Path, options: tuple[str, ...]) -> None:
    query_paths = photos(tmp_path / "asked", 5, n=1)
    assert invoke("localize", *query_paths, "--dataset", "town", "--lake", lake.root, *options).code == 2
