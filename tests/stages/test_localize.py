from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvgl import adapt
from cvgl.adaptation import Origin
from cvgl.config import AdaptConfig, AlignmentConfig, BackboneConfig, Device, ExtractConfig, IngestConfig
from cvgl.errors import ConfigError, LakeError, ModelError
from cvgl.features import FeatureStore
from cvgl.geo import Position
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake, read_versioned, write_json, write_versioned
from cvgl.localization.bundle import CurrentMap, Serving
from cvgl.localization.placing import Reference, ReferenceIndex, locate
from cvgl.stages import localize as stage
from cvgl.stages.extraction.stage import extract
from cvgl.stages.ingest import ingest
from cvgl.stages.localize import localize
from cvgl.stages.maps import build_map, open_map
from cvgl.types import ArtifactRef, View, silent
from tests.data.images import place_image, save

PLACES = 5


def source(root: Path) -> Path:
    """A manifest of satellite images with positions, and drone images without any label."""
    rows = []
    for place in range(PLACES):
        save(place_image(place), root / f"map/{place}.png")
        save(place_image(place, 1), root / f"drone/{place}.png")
        rows.append([f"map/{place}.png", "satellite", 50 + place, 4.5, "gallery;train" if place else "train"])
        rows.append([f"drone/{place}.png", "drone", "", "", "train"])
    with (root / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["path", "view", "latitude", "longitude", "subset"], *rows])
    return root / "manifest.csv"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source, and a lake that has taken it in and described it."""
    root = tmp_path_factory.mktemp("built")
    lake = Lake.at(root / "lake")
    extract(ingest(IngestConfig(source=str(source(root / "source")), dataset="town"), lake).ref, config(), lake)
    return root


@pytest.fixture
def features(built: Path, lake: Lake) -> ArtifactRef:
    """Features in a lake of the test's own."""
    shutil.copytree(built / "lake", lake.root)
    (folder,) = (lake.root / "features").glob("model=*/dataset=town")
    return ArtifactRef("features", folder, folder.parent.name.removeprefix("model="), "town")


def config(crop: float = 0.9) -> ExtractConfig:
    backbone = BackboneConfig(name="gist", image_size=64)
    return ExtractConfig(backbone=backbone, alignment=AlignmentConfig(query_crop=crop, reference_rotations=2))


def write_adapter(lake: Lake, features: ArtifactRef, run: str = "town-paper-1", dataset: str = "town") -> str:
    descriptors = FeatureStore(features.path).read(FeatureStore(features.path).ids())
    adaptation = adapt(
        descriptors[::2], descriptors[1::2], config=AdaptConfig(recipe="paper-standardised", dimension=24, iterations=1)
    )
    adaptation.save(lake.adapter(run), Origin(run=run, dataset=dataset, feature_set_id=features.digest, query_view=View.DRONE))
    return run


def views(tmp_path: Path) -> list[Path]:
    return [save(place_image(place, 2), tmp_path / f"asked/{place}.png") for place in range(1, PLACES)]


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_images_are_placed_and_the_map_stays_as_it_was(lake: Lake, features: ArtifactRef, tmp_path: Path) -> None:
    query_paths, before = views(tmp_path), hashes(lake.root)

    placements = localize(query_paths, "town", lake, top_k=3)

    assert [placement.picture for placement in placements] == [str(path) for path in query_paths]
    assert [placement.latitude for placement in placements] == [51, 52, 53, 54]
    for place, placement in enumerate(placements, start=1):
        assert placement.placed
        assert placement.adapter == "frozen"
        assert placement.longitude == 4.5
        assert len(placement.top_k) == 3
        assert placement.top_k[0].uri.endswith(f"map/{place}.png")
        assert placement.score == placement.top_k[0].score > placement.top_k[1].score
        assert placement.margin == pytest.approx(placement.top_k[0].score - placement.top_k[1].score)
    assert hashes(lake.root) == before


def test_only_the_gallery_is_searched_and_everything_when_there_is_none(
    lake: Lake, features: ArtifactRef, built: Path, tmp_path: Path
) -> None:
    query_paths = [save(place_image(0, 2), tmp_path / "0.png")]
    assert 50 not in [answer.latitude for answer in localize(query_paths, "town", lake, top_k=100)[0].top_k]

    manifest = (built / "source/manifest.csv").read_text().replace("gallery;train", "train")
    changed = built / "source/changed.csv"
    changed.write_text(manifest)
    ingest(IngestConfig(source=str(changed), dataset="town"), lake)
    (placement,) = localize(query_paths, "town", lake, top_k=100)
    assert placement.latitude == 50
    assert len(placement.top_k) == PLACES


def test_bad_images_say_why_and_good_ones_are_answered(lake: Lake, features: ArtifactRef, tmp_path: Path) -> None:
    folder = tmp_path / "asked"
    good = views(tmp_path)
    (folder / "a-note.jpg").write_text("not an image")
    (folder / "b-empty.png").write_bytes(b"")
    (folder / "c-cut.png").write_bytes(good[0].read_bytes()[:200])
    (folder / ".hidden").write_text("x")
    missing, names = tmp_path / "missing.png", [path.name for path in good]

    placements = {Path(p.picture).name: p for p in localize([folder, missing], "town", lake)}

    assert list(placements) == [*names, "a-note.jpg", "b-empty.png", "c-cut.png", "missing.png"]
    assert [name for name, placement in placements.items() if placement.placed] == names
    for name in ("a-note.jpg", "b-empty.png", "c-cut.png", "missing.png"):
        assert placements[name].problem
        assert placements[name].latitude is placements[name].score is None
        assert placements[name].top_k == ()
    json.dumps([placement.model_dump(mode="json") for placement in placements.values()], allow_nan=False)


def test_a_folder_of_a_drone_gives_its_frames_and_nothing_else(lake: Lake, features: ArtifactRef, tmp_path: Path) -> None:
    folder = tmp_path / "asked"
    frames = views(tmp_path)
    for frame in frames:
        save(Image.open(frame), folder / "@eaDir" / frame.name / "SYNOPHOTO_THUMB_M.jpg")
        for ending in (".srt", ".pgw", ".csv"):
            frame.with_suffix(ending).write_text("x")
    save(place_image(0, size=8), folder / "z.tif").rename(folder / "z.dng")
    placements = {Path(p.picture).name: p for p in localize([folder], "town", lake)}
    assert list(placements) == [*(frame.name for frame in frames), "z.dng"]
    assert [name for name, placement in placements.items() if not placement.placed] == ["z.dng"]


def test_an_image_that_shows_nothing_has_no_answer(lake: Lake, features: ArtifactRef, tmp_path: Path) -> None:
    blank = save(Image.new("RGB", (40, 40), (9, 9, 9)), tmp_path / "blank.png")
    good = views(tmp_path)[0]
    first, second, third = localize([blank, good, good], "town", lake)
    assert (first.placed, first.score, first.top_k) == (False, None, ())
    assert second == third, "a file that is given twice is answered twice"


def test_a_map_on_which_all_is_alike_gives_no_answer() -> None:
    alike = ReferenceIndex(
        tuple(Reference(image_id=str(n), uri=str(n), position=Position(latitude=n, longitude=0)) for n in range(3)),
        np.tile(np.asarray([[1, 0]], np.float32), (3, 1)),
    )
    [placement] = locate(["a"], np.asarray([[1, 0]], np.float32), alike)
    judged = stage._with_a_choice(placement, np.asarray([1, 0], np.float32), alike)
    assert (judged.placed, judged.latitude, judged.score, judged.top_k) == (False, None, None, ())


def test_all_images_bad_is_still_an_answer(lake: Lake, features: ArtifactRef, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"x")
    (placement,) = localize([tmp_path / "x.jpg"], "town", lake)
    assert not placement.placed


def serve(lake: Lake, run: str) -> None:
    manifest = build_map(lake, "town", run)
    serving = Serving(map=manifest.version, run=run, features=manifest.features)
    write_json(lake.champion("town"), CurrentMap(serving=serving).model_dump(mode="json"))


def test_the_champion_answers_and_another_run_can_be_asked(lake: Lake, features: ArtifactRef, tmp_path: Path) -> None:
    first, second = write_adapter(lake, features), write_adapter(lake, features, "town-paper-2")
    query_paths = views(tmp_path)[:1]
    assert localize(query_paths, "town", lake)[0].adapter == "frozen"
    frozen_score = localize(query_paths, "town", lake)[0].score
    serve(lake, first)
    assert localize(query_paths, "town", lake)[0].adapter == first
    assert localize(query_paths, "town", lake)[0].score != frozen_score
    assert localize(query_paths, "town", lake, run=second)[0].adapter == second


def test_a_run_that_cannot_answer_says_why(lake: Lake, features: ArtifactRef, tmp_path: Path) -> None:
    query_paths = views(tmp_path)[:1]
    with pytest.raises(LakeError, match="no-such-run"):
        localize(query_paths, "town", lake, run="no-such-run")
    with pytest.raises(ConfigError, match="belongs to the dataset 'other'"):
        localize(query_paths, "town", lake, run=write_adapter(lake, features, "other-paper-1", dataset="other"))
    write_json(lake.champion("town"), ["?"])
    with pytest.raises(LakeError, match="what serves cannot be told"):
        localize(query_paths, "town", lake)


def test_what_is_missing_is_named(lake: Lake, features: ArtifactRef, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no images"):
        localize([], "town", lake)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no images"):
        localize([tmp_path / "empty"], "town", lake)
    with pytest.raises(LakeError, match="nowhere"):
        localize(views(tmp_path), "nowhere", lake)


def test_two_frozen_models_and_no_champion_need_a_choice(lake: Lake, features: ArtifactRef, tmp_path: Path) -> None:
    images = ArtifactRef("images", lake.images("town"), "", "town")
    other = extract(images, config(crop=0.5), lake).ref
    query_paths = views(tmp_path)[:1]
    with pytest.raises(ConfigError, match=features.digest):
        localize(query_paths, "town", lake)
    assert localize(query_paths, "town", lake, run=write_adapter(lake, other))[0].placed


def test_another_model_than_the_one_that_described_the_map_is_refused(
    lake: Lake, features: ArtifactRef, tmp_path: Path
) -> None:
    path = features.path.parent / "model.json"
    record = read_versioned(path, "model")
    write_versioned(path, "model", {**record, "identity": {**record["identity"], "weights_sha256": "of other weights"}})
    with pytest.raises(ModelError, match="weights_sha256 changed"):
        localize(views(tmp_path), "town", lake)
    write_json(path, {"extract": {}})
    with pytest.raises(LakeError, match="record of a frozen model"):
        localize(views(tmp_path), "town", lake)


def test_images_of_the_map_itself_get_the_descriptors_of_extraction(lake: Lake, features: ArtifactRef, tmp_path: Path) -> None:
    """A drone image that was extracted is its own nearest neighbour: one code path describes both."""
    drone = [row for row in read_images(lake, "town").to_pylist() if row["view"] == "drone"]
    extracted = FeatureStore(features.path).read([row["image_id"] for row in drone])
    current_map = open_map(lake, "town")
    embedder = stage._embedder(current_map.model.extract, Device.AUTO, current_map)
    described, problems = stage._describe(
        stage._Files([Path(row["uri"]) for row in drone]), embedder, current_map.model.extract, View.DRONE, silent
    )
    assert problems == {}
    np.testing.assert_allclose(described, extracted, atol=1e-5)


def test_answers_do_not_depend_on_how_many_are_asked_at_once(
    lake: Lake, features: ArtifactRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query_paths = views(tmp_path)
    together = localize(query_paths, "town", lake)
    monkeypatch.setattr(stage, "_AT_ONCE", 1)
    for first, other in zip(together, localize(query_paths, "town", lake), strict=True):
        assert first.score == pytest.approx(other.score, abs=1e-5)
        assert first.top_k[0].image_id == other.top_k[0].image_id


def test_the_inference_path_never_sees_the_ground_truth() -> None:
    code = "import sys, cvgl.stages.localize; sys.exit('cvgl.ingestion.ground_truth' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_positions_of_the_table_are_not_those_of_the_map_that_serves(
    lake: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    moved = source(tmp_path / "source")
    features = extract(ingest(IngestConfig(source=str(moved), dataset="town"), lake).ref, config(), lake).ref
    serve(lake, run := write_adapter(lake, features))
    image = tmp_path / "source/drone/2.png"
    (before,) = localize([image], "town", lake)
    assert before.warning is None
    rows = moved.read_text().splitlines()
    mended = [row.replace(",4.5,", ",14.5,") for row in rows]
    moved.write_text("\n".join(mended))
    command = "cvgl maps --dataset town --repair"

    outcome = ingest(IngestConfig(source=str(moved), dataset="town"), lake)

    assert outcome.updated == PLACES
    assert [command in entry for entry in outcome.warnings] == [True]
    caplog.clear()
    with caplog.at_level("WARNING", logger="cvgl"):
        (answered,) = localize([image], "town", lake)
    assert (answered.latitude, answered.longitude) == (before.latitude, 4.5)  # as the map that serves says
    assert command in str(answered.warning)
    assert sum(command in record.getMessage() for record in caplog.records) == 1
    assert stage.localize_together([image], "town", lake)[0].warning == answered.warning
    assert stage.localize_sequence([image], "town", lake)[0].warning == answered.warning
    assert localize([image], "town", lake, run=run)[0].warning is None  # made on the spot, from the table
    serve(lake, run)
    (answered,) = localize([image], "town", lake)
    assert (answered.longitude, answered.warning) == (14.5, None)
    assert not [entry for entry in ingest(IngestConfig(source=str(moved), dataset="town"), lake).warnings if command in entry]
