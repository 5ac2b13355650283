"""Visual words: from training images alone, once, in bounded memory, and the same again after a kill."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cvgl.backbones import vlad, vocabulary
from cvgl.config import AlignConfig, AlignmentConfig, BackboneConfig, Device, ExtractConfig, IngestConfig
from cvgl.errors import ConfigError, DataError, LakeError, ModelError
from cvgl.features import FeatureStore
from cvgl.ingestion import tables
from cvgl.lake import Lake, read_json
from cvgl.stages.alignment.stage import align
from cvgl.stages.extraction import vocabulary as stage
from cvgl.stages.extraction.reading import Row, read_and_prepare
from cvgl.stages.extraction.stage import ExtractOutcome, extract
from cvgl.stages.ingest import ingest
from cvgl.stages.localize import localize
from cvgl.types import ArtifactRef, Subset, View
from tests.backbones import models
from tests.data.images import place_image, save, university1652
from tests.data.views import unaligned

NAME, SIZE, PLACES, WORDS = models.vit_of_tests.__name__, 24, 16, 6


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    save_file(models.random_weights(NAME), path)
    return path


@pytest.fixture
def images(tmp_path: Path, lake: Lake) -> ArtifactRef:
    source = university1652(tmp_path / "source", train=5, test=3, distractors=1, views=2)
    return ingest(IngestConfig(source=str(source), dataset="town"), lake).ref


@pytest.fixture
def config(weights: Path) -> ExtractConfig:
    backbone = BackboneConfig(name=NAME, checkpoint=str(weights), pooling="vlad", clusters=WORDS, image_size=32)
    return ExtractConfig(backbone=backbone, batch_size=4, part_rows=8, device=Device.CPU)


def changed(config: ExtractConfig, **backbone: object) -> ExtractConfig:
    return config.model_copy(update={"backbone": BackboneConfig(**{**config.backbone.model_dump(), **backbone})})


def vocabularies(lake: Lake) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in (lake.root / "vocabularies").glob("*")}


def features(lake: Lake, outcome: ExtractOutcome) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in outcome.ref.path.parent.rglob("*") if path.is_file()}


def rows_of(lake: Lake) -> list[dict[str, Any]]:
    return tables.read_images(lake, "town").to_pylist()


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """The images that words were looked for in."""
    rows: list[Row] = []

    def read(row: Row, *arguments: Any) -> Any:
        rows.append(row)
        return read_and_prepare(row, *arguments)

    monkeypatch.setattr(stage, "read_and_prepare", read)
    return rows


@pytest.fixture
def learned_from(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The local descriptors that were sorted into words."""
    requested: list[np.ndarray] = []
    through = vocabulary.learn_words

    def learn(rows: np.ndarray, *arguments: int) -> torch.Tensor:
        requested.append(rows.copy())
        return through(rows, *arguments)

    monkeypatch.setattr(vocabulary, "learn_words", learn)
    return requested


def test_extract_learns_the_words_and_describes_by_them(images: ArtifactRef, config: ExtractConfig, lake: Lake) -> None:
    outcome = extract(images, config, lake)
    ((name, content),) = vocabularies(lake).items()
    assert outcome.dimension == WORDS * SIZE
    assert (outcome.embedded, outcome.failed) == (len(rows_of(lake)), 0)
    record = read_json(outcome.ref.path.parent / "model.json")
    assert record["extract"]["backbone"]["vocabulary"] == name
    words = vocabulary.read_vocabulary(stage.vocabulary_path(lake, name))
    assert record["identity"]["vocabulary"] == words.sha256
    assert FeatureStore(outcome.ref.path).metadata()["vocabulary"] == words.sha256
    embedder = vlad.load_vlad(
        stage.loadable(BackboneConfig(**record["extract"]["backbone"]), lake), Device.CPU, config.precision
    )
    row = rows_of(lake)[3]
    prepared = read_and_prepare(Row(**{key: row[key] for key in Row.COLUMNS}), embedder, AlignmentConfig())
    assert FeatureStore(outcome.ref.path).read([row["image_id"]]) == pytest.approx(
        embedder.embed(prepared.values),
        abs=1e-6,
    )
    assert content == words.to_bytes(_record_in(content))


def _record_in(content: bytes) -> Any:
    import json

    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header["__metadata__"]["record"])


def test_words_are_learned_from_training_images_of_both_views_alone(
    images: ArtifactRef, config: ExtractConfig, lake: Lake, rows_read: list[Row]
) -> None:
    extract(images, config, lake)
    training = {row["image_id"] for row in rows_of(lake) if Subset.TRAIN in row["subsets"]}
    assert 0 < len(training) < len(rows_of(lake))
    assert {row.image_id for row in rows_read} == training
    assert {row.view for row in rows_read} == {View.DRONE, View.SATELLITE}
    (before,) = vocabularies(lake)
    for row in rows_of(lake):  # whatever happens to the others, the words stay
        if row["image_id"] not in training:
            Path(row["uri"]).unlink()
    again = Lake.at(lake.root.parent / "again")
    shutil.copytree(lake.root / "images", again.root / "images")
    extract(images, config, again)
    assert vocabularies(again) == {before: vocabularies(lake)[before]}


def test_the_draw_is_bounded_and_balanced(
    images: ArtifactRef, config: ExtractConfig, lake: Lake, rows_read: list[Row], learned_from: list[np.ndarray]
) -> None:
    extract(images, changed(config, vocabulary_pictures=6, vocabulary_rows=40), lake)
    assert [row.view for row in rows_read] == ["drone"] * 3 + ["satellite"] * 3
    (rows,) = learned_from
    assert len(rows) == 6 * (1 + (40 - 6) // 2 // 3)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(len(rows)), abs=1e-5)
    assert len(np.unique(rows, axis=0)) == len(rows), "no place twice"


@pytest.mark.parametrize(("pictures", "views"), [(1, (1, 0)), (7, (4, 3)), (12, (7, 5)), (99, (10, 5))])
def test_where_one_side_is_short_the_other_gives_more(
    images: ArtifactRef, config: ExtractConfig, lake: Lake, rows_read: list[Row], pictures: int, views: tuple[int, int]
) -> None:
    """Ten drone and five satellite images to train with."""
    extract(images, changed(config, vocabulary_pictures=pictures), lake)
    assert tuple(sum(row.view == view for row in rows_read) for view in ("drone", "satellite")) == views


def test_fewer_rows_than_images_are_still_the_most(
    images: ArtifactRef, config: ExtractConfig, lake: Lake, learned_from: list[np.ndarray]
) -> None:
    extract(images, changed(config, vocabulary_rows=7, clusters=2), lake)
    assert len(learned_from[0]) == 7


def test_words_that_the_lake_has_are_not_learned_again(
    images: ArtifactRef, config: ExtractConfig, lake: Lake, learned_from: list[np.ndarray]
) -> None:
    first = extract(images, config, lake)
    before = {**vocabularies(lake), **features(lake, first)}
    second = extract(images, config, lake)
    assert second.skipped
    assert len(learned_from) == 1
    assert {**vocabularies(lake), **features(lake, second)} == before
    # which part of the images is described later does not matter to the words
    third = extract(images, config.model_copy(update={"alignment": AlignmentConfig(query_crop=0.5)}), lake)
    assert third.ref.digest != first.ref.digest
    assert len(learned_from) == 1


@pytest.mark.parametrize("change", [{"clusters": 5}, {"vocabulary_seed": 1}, {"vocabulary_pictures": 9}, {"layers": (1,)}])
def test_what_the_words_are_learned_from_is_part_of_the_fingerprint(
    images: ArtifactRef, config: ExtractConfig, lake: Lake, change: dict[str, object]
) -> None:
    first, second = extract(images, config, lake), extract(images, changed(config, **change), lake)
    assert first.ref.digest != second.ref.digest
    assert len(vocabularies(lake)) == 2


class Killed(BaseException):
    """Stands for a process that dies: nothing catches it."""


@pytest.mark.parametrize("moment", ["reading", "sorting", "writing"])
def test_a_killed_process_learns_the_same_words_again(
    images: ArtifactRef, config: ExtractConfig, lake: Lake, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    other = Lake.at(lake.root.parent / "undisturbed")
    shutil.copytree(lake.root / "images", other.root / "images")
    expected = extract(images, config, other)

    def dies(*_: object) -> Any:
        raise Killed

    place = {"reading": (stage, "embed_all"), "sorting": (vocabulary, "learn_words"), "writing": (stage, "write_bytes")}[moment]
    with monkeypatch.context() as patched:
        patched.setattr(*place, dies)
        with pytest.raises(Killed):
            extract(images, config, lake)
    assert vocabularies(lake) == {}
    assert not (lake.root / "features").exists()
    outcome = extract(images, config, lake)
    assert vocabularies(lake) == vocabularies(other)
    assert features(lake, outcome) == features(other, expected)


def test_what_a_killed_writer_left_is_swept_and_what_is_being_written_is_not(
    images: ArtifactRef, config: ExtractConfig, lake: Lake
) -> None:
    old, new = (lake.root / "vocabularies" / f".tmp-{name}.safetensors" for name in ("old", "new"))
    old.parent.mkdir()
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    extract(images, config, lake)
    assert (old.exists(), new.exists()) == (False, True)


def test_images_are_placed_by_the_stored_words(
    images: ArtifactRef, config: ExtractConfig, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(images, config, lake)
    moved = Lake.at(tmp_path / "elsewhere")
    shutil.move(lake.root, moved.root)
    monkeypatch.setattr(vocabulary, "learn_words", None)  # any attempt to learn would fail
    query_path = save(place_image(5, 9), tmp_path / "asked.png")
    (placement,) = localize([query_path], "town", moved)
    assert placement.problem is None
    assert len(placement.top_k) == 4, "the gallery's tiles"
    for path in (moved.root / "vocabularies").iterdir():
        path.unlink()
    with pytest.raises(ModelError, match=r"no vocabulary(.|\n)*extract again"):
        localize([query_path], "town", moved)


def test_a_vocabulary_from_a_file_moves_into_the_lake(
    images: ArtifactRef, config: ExtractConfig, lake: Lake, tmp_path: Path, learned_from: list[np.ndarray]
) -> None:
    vocabulary_file = tmp_path / "c_centers.pt"
    torch.save(torch.randn(WORDS, SIZE, generator=torch.Generator().manual_seed(0)), vocabulary_file)
    first = extract(images, changed(config, vocabulary=str(vocabulary_file)), lake)
    assert learned_from == []
    (name,) = vocabularies(lake)
    vocabulary_file.unlink()
    (placement,) = localize([save(place_image(5, 9), tmp_path / "asked.png")], "town", lake)
    assert placement.problem is None
    assert extract(images, changed(config, vocabulary=name), lake).ref == first.ref, "its name in the lake is enough"
    with pytest.raises(ModelError, match="no vocabulary"):
        extract(images, changed(config, vocabulary=str(vocabulary_file)), lake)


def test_images_that_have_gone_teach_nothing(images: ArtifactRef, config: ExtractConfig, lake: Lake) -> None:
    training = [row for row in rows_of(lake) if Subset.TRAIN in row["subsets"]]
    Path(training[0]["uri"]).unlink()
    outcome = extract(images, config, lake)
    assert outcome.failed == 1
    assert len(vocabularies(lake)) == 1
    shutil.rmtree(lake.root / "vocabularies")
    for row in training[1:]:
        Path(row["uri"]).unlink()
    with pytest.raises(DataError, match=r"none of the 15 training images.*has gone"):
        extract(images, config, lake)
    assert vocabularies(lake) == {}


def test_without_training_images_there_are_no_words(tmp_path: Path, config: ExtractConfig, lake: Lake) -> None:
    source = university1652(tmp_path / "tests-only", train=0, test=3, distractors=1, views=1)
    images = ingest(IngestConfig(source=str(source), dataset="town"), lake).ref
    with pytest.raises(DataError, match="no training images"):
        extract(images, config, lake)
    with pytest.raises(LakeError, match="nowhere"):
        extract(ArtifactRef("images", lake.images("nowhere"), "", "nowhere"), config, lake)


def test_more_words_than_places_are_refused(images: ArtifactRef, config: ExtractConfig, lake: Lake) -> None:
    with pytest.raises(ModelError, match="240 local descriptors cannot be sorted into 241"):
        extract(images, changed(config, clusters=15 * PLACES + 1), lake)
    with pytest.raises(ConfigError, match="has no pooling"):
        extract(images, ExtractConfig(backbone=BackboneConfig(pooling="vlad")), lake)


def test_a_town_without_structure_still_has_words(tmp_path: Path, config: ExtractConfig, lake: Lake) -> None:
    from PIL import Image

    for place in range(3):
        for view, folder in (("drone", "train/drone"), ("satellite", "train/satellite")):
            grey = Image.new("RGB", (48, 48), (place, place, 100 if view == "drone" else 101))
            save(grey, tmp_path / "grey" / folder / f"{place:04d}" / f"{place:04d}.png")
    images = ingest(IngestConfig(source=str(tmp_path / "grey"), dataset="town"), lake).ref
    outcome = extract(images, config, lake)
    store = FeatureStore(outcome.ref.path)
    assert np.isfinite(store.read(store.ids())).all()


def test_an_alignment_is_chosen_with_the_words_that_extract_then_uses(
    tmp_path: Path, config: ExtractConfig, lake: Lake, learned_from: list[np.ndarray]
) -> None:
    images = ingest(IngestConfig(source=str(unaligned(tmp_path / "unaligned")), dataset="town"), lake).ref
    quick = AlignConfig(query_crops=(1.0, 0.6), rotations=(1,), tilts=(), samples=40)
    outcome = align(images, config, quick, lake)
    assert {candidate.rings for candidate in outcome.record.candidates} == {1}
    assert {candidate.layers for candidate in outcome.record.candidates} == {None}
    assert extract(images, outcome.config, lake).ref.digest == outcome.record.features
    assert len(learned_from) == 1


def test_parts_say_how_images_and_positions_were_fitted(images: ArtifactRef, config: ExtractConfig, lake: Lake) -> None:
    fitted = changed(
        config,
        facet="token",
        pooling="mean",
        final_norm=True,
        position_resampling="released",
        preprocessing="released",
        image_size=48,
        resize=56,
    )
    named = FeatureStore(extract(images, fitted, lake).ref.path).metadata()
    assert named["image_size"] == "48x48"
    assert (named["preprocessing"], named["resize"]) == ("released", "56")
    assert (named["position_resampling"], named["final_norm"]) == ("released", "yes")
