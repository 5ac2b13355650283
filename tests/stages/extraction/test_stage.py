"""Stage extract on real files: completeness, resumption, failures."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cvgl import backbones
from cvgl.config import AlignmentConfig, BackboneConfig, Device, ExtractConfig, IngestConfig, Precision
from cvgl.errors import ConfigError, DataError, LakeError, ModelError, UnreadableError
from cvgl.features import FeatureStore, embed_images
from cvgl.imaging import open_rgb
from cvgl.ingestion import tables
from cvgl.lake import Lake, read_json, read_parquet
from cvgl.stages.extraction import stage as stage
from cvgl.stages.extraction.stage import ExtractOutcome, extract
from cvgl.stages.ingest import ingest
from cvgl.types import ArtifactRef, View
from tests.data.images import place_image, save, university1652
from tests.features.fake import FakeEmbedder

GIST = BackboneConfig(image_size=32)
ALIGNED = AlignmentConfig(query_crop=0.7, reference_rotations=4)


def config(**settings: object) -> ExtractConfig:
    return ExtractConfig(**{"backbone": GIST, "batch_size": 4, "part_rows": 8, **settings})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return university1652(tmp_path / "source", train=3, test=3, distractors=1, views=2)


@pytest.fixture
def images(source: Path, lake: Lake) -> ArtifactRef:
    return ingest(IngestConfig(source=str(source), dataset="town"), lake).ref


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEmbedder:
    embedder = FakeEmbedder()
    monkeypatch.setattr(backbones, "load", lambda *_: embedder)
    return embedder


def files(outcome: ExtractOutcome) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in outcome.ref.path.parent.rglob("*") if path.is_file()}


def count(lake: Lake) -> int:
    return tables.read_images(lake, "town").num_rows


def test_every_image_gets_the_descriptor_that_describe_gives(images: ArtifactRef, lake: Lake) -> None:
    outcome = extract(images, config(alignment=ALIGNED), lake)
    store, embedder = FeatureStore(outcome.ref.path), backbones.load(GIST)
    rows = tables.read_images(lake, "town").to_pylist()
    assert store.ids() == [row["image_id"] for row in rows]
    for row in rows:
        expected = embed_images([open_rgb(row["uri"])], embedder, View(row["view"]), ALIGNED)
        assert store.read([row["image_id"]]) == pytest.approx(expected, abs=1e-6)
    assert (outcome.embedded, outcome.known, outcome.failed, outcome.skipped) == (len(rows), 0, 0, False)
    assert outcome.dimension == embedder.dimension
    assert outcome.images_per_second > 0


def test_parts_are_sorted_of_the_size_asked_for_and_say_what_made_them(images: ArtifactRef, lake: Lake) -> None:
    outcome = extract(images, config(part_rows=10), lake)
    store = FeatureStore(outcome.ref.path)
    sizes = []
    for part in store.parts():
        ids = read_parquet(part, ["image_id"]).column("image_id").to_pylist()
        assert ids == sorted(ids)
        sizes.append(len(ids))
    assert sorted(sizes, reverse=True) == [10] * (count(lake) // 10) + [count(lake) % 10]
    named = store.metadata()
    assert named["backbone"] == "gist"
    assert named["image_size"] == "32x32"
    assert named["fingerprint"] == outcome.ref.digest
    assert {"weights_sha256", "facet", "layer", "pooling", "code_version"} <= set(named)


def test_doing_it_again_does_nothing(images: ArtifactRef, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first = extract(images, config(), lake)
    before = files(first)
    monkeypatch.setattr(stage, "read_and_prepare", None)  # any attempt to read an image would fail
    second = extract(images, config(), lake)
    assert second.skipped
    assert (second.embedded, second.known) == (0, first.embedded)
    assert second.ref == first.ref
    assert files(second) == before


def test_only_what_is_missing_is_added(images: ArtifactRef, source: Path, lake: Lake) -> None:
    first = extract(images, config(), lake)
    before = files(first)
    for view in (8, 9):
        save(place_image(0, view), source / "train" / "drone" / "0000" / f"image-{view:02d}.jpeg")
    ingest(IngestConfig(source=str(source), dataset="town"), lake)
    second = extract(tables.images_ref(lake, "town"), config(), lake)
    assert (second.embedded, second.known) == (2, first.embedded)
    assert second.ref.path == first.ref.path
    assert before.items() <= files(second).items()


@pytest.mark.parametrize(
    "change",
    [
        {"alignment": AlignmentConfig(query_crop=0.5)},
        {"alignment": AlignmentConfig(reference_rotations=2)},
        {"half_storage": True},
        {"backbone": BackboneConfig(image_size=64)},
    ],
)
def test_a_changed_setting_is_another_fingerprint(images: ArtifactRef, lake: Lake, change: dict[str, object]) -> None:
    first, second = extract(images, config(), lake), extract(images, config(**change), lake)
    assert second.ref.digest != first.ref.digest
    assert second.embedded == first.embedded


def test_how_it_is_run_is_no_part_of_the_fingerprint(images: ArtifactRef, lake: Lake, tmp_path: Path) -> None:
    first = extract(images, config(), lake)
    assert extract(images, config(batch_size=3, workers=5, part_rows=100, device=Device.CPU), lake).skipped
    record = read_json(first.ref.path.parent / "model.json")
    assert set(record) == {"extract", "identity", "dimension", "format", "seal"}
    assert ExtractConfig.model_validate(record["extract"]).backbone == GIST
    assert record["extract"]["batch_size"] == ExtractConfig().batch_size


class Killed(BaseException):
    """Stands for a process that dies: nothing catches it."""


@pytest.mark.parametrize("batches", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("broken", [False, True])
def test_a_killed_run_goes_on_to_the_bytes_of_an_undisturbed_one(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int, broken: bool
) -> None:
    undisturbed, disturbed = Lake.at(tmp_path / "one"), Lake.at(tmp_path / "two")
    for lake_of_run in (undisturbed, disturbed):
        images = ingest(IngestConfig(source=str(source), dataset="town"), lake_of_run).ref
    if broken:
        first = min(tables.read_images(disturbed, "town").to_pylist(), key=lambda row: row["image_id"])
        Path(first["uri"]).unlink()
    expected = extract(images, config(), undisturbed)

    through = stage.embed_prepared
    calls: list[list[float]] = []

    def dies(*arguments: object) -> object:
        if len(calls) == batches:
            raise Killed
        calls.append([])
        return through(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(stage, "embed_prepared", dies)
        with pytest.raises(Killed):
            extract(images, config(), disturbed)
    outcome = extract(images, config(), disturbed)
    assert outcome.known == batches // 2 * 8 - (broken and batches > 1), "finished parts are kept"
    assert files(outcome) == files(expected)


def test_files_that_have_gone_or_changed_are_listed_and_the_rest_goes_through(images: ArtifactRef, lake: Lake) -> None:
    rows = tables.read_images(lake, "town").to_pylist()
    gone, changed, folder = (Path(rows[index]["uri"]) for index in (0, 5, 9))
    gone.unlink()
    save(place_image(77), changed)
    folder.unlink()
    folder.mkdir()
    outcome = extract(images, config(), lake)
    assert {(failure.uri, failure.reason) for failure in outcome.failures} == {
        (str(gone), "missing"),
        (str(changed), "changed"),
        (str(folder), "unreadable"),
    }
    assert (outcome.failed, outcome.embedded) == (3, len(rows) - 3)
    record = lake.quarantine("town") / "extract" / f"{outcome.ref.digest}.parquet"
    listed = read_parquet(record).to_pylist()
    assert [row["uri"] for row in listed] == sorted(str(path) for path in (gone, changed, folder))
    with pytest.raises(LakeError, match=rows[0]["image_id"]):
        FeatureStore(outcome.ref.path).read([rows[0]["image_id"]])

    before = record.read_bytes()
    again = extract(images, config(), lake)
    assert (again.embedded, again.failed) == (0, 3)
    assert record.read_bytes() == before


def test_an_image_that_comes_back_is_described_and_off_the_list(images: ArtifactRef, lake: Lake) -> None:
    row = tables.read_images(lake, "town").to_pylist()[3]
    data = Path(row["uri"]).read_bytes()
    Path(row["uri"]).unlink()
    outcome = extract(images, config(), lake)
    Path(row["uri"]).write_bytes(data)
    again = extract(images, config(), lake)
    assert (again.embedded, again.failed) == (1, 0)
    assert not (lake.quarantine("town") / "extract" / f"{outcome.ref.digest}.parquet").exists()


def test_ingestion_is_not_disturbed_by_the_list_of_failures(images: ArtifactRef, source: Path, lake: Lake) -> None:
    Path(tables.read_images(lake, "town").to_pylist()[0]["uri"]).unlink()
    extract(images, config(), lake)
    save(place_image(99), source / "train" / "drone" / "0000" / "image-09.jpeg")
    (source / "train" / "drone" / "0000" / "image-10.jpeg").write_bytes(b"broken")
    outcome = ingest(IngestConfig(source=str(source), dataset="town"), lake)
    assert outcome.new == 1


def test_nothing_but_failures_is_an_error(images: ArtifactRef, lake: Lake) -> None:
    for row in tables.read_images(lake, "town").to_pylist():
        Path(row["uri"]).unlink()
    with pytest.raises(DataError, match="has gone"):
        extract(images, config(), lake)


def test_a_damaged_part_is_made_again(images: ArtifactRef, lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    first = extract(images, config(), lake)
    before = files(first)
    part = FeatureStore(first.ref.path).parts()[0]
    rows = read_parquet(part).num_rows
    part.write_bytes(part.read_bytes()[:100])
    again = extract(images, config(), lake)
    assert again.embedded == rows
    assert part.name in caplog.text
    aside = f"{part.name}.damaged-1"
    assert len((part.parent / aside).read_bytes()) == 100, "nothing is deleted"
    assert {name: content for name, content in files(again).items() if name != aside} == before


def test_a_damaged_part_stays_where_its_images_cannot_be_read_again(images: ArtifactRef, lake: Lake) -> None:
    first = extract(images, config(), lake)
    part = FeatureStore(first.ref.path).parts()[0]
    held = read_parquet(part)["image_id"].to_pylist()
    gone = next(Path(row["uri"]) for row in tables.read_images(lake, "town").to_pylist() if row["image_id"] in held)
    content = gone.read_bytes()
    gone.unlink()
    damage = part.read_bytes()[:100]
    part.write_bytes(damage)
    with pytest.raises(LakeError) as raised:
        extract(images, config(), lake)
    assert str(gone) in raised.value.what
    assert raised.value.where == str(part)
    assert part.read_bytes() == damage
    gone.write_bytes(content)
    assert extract(images, config(), lake).failed == 0


def test_a_part_that_cannot_be_read_at_present_is_left_alone(
    images: ArtifactRef, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = extract(images, config(), lake)
    before = files(first)

    class Failing:
        def __init__(self, *arguments: object, **options: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "ParquetFile", Failing)
        with pytest.raises(UnreadableError, match="Input/output error") as raised:
            extract(images, config(), lake)
    assert "delete" not in str(raised.value)
    assert files(first) == before
    assert extract(images, config(), lake).skipped


def test_what_a_killed_writer_left_is_swept(images: ArtifactRef, lake: Lake) -> None:
    first = extract(images, config(), lake)
    left = first.ref.path / ".tmp-killed.parquet"
    left.write_bytes(b"half a part")
    extract(images, config(), lake)
    assert not left.exists()


def test_a_dataset_that_was_never_ingested_is_an_error(lake: Lake) -> None:
    with pytest.raises(LakeError, match="nowhere"):
        extract(ArtifactRef("images", lake.images("nowhere"), "", "nowhere"), config(), lake)


def test_progress_counts_to_the_end_and_tells_speed_and_time_left(images: ArtifactRef, lake: Lake) -> None:
    messages: list[tuple[int, int, str]] = []
    extract(images, config(), lake, lambda done, total, message="": messages.append((done, total, message)))
    assert messages[0][:2] == (0, count(lake))
    assert messages[-1][:2] == (count(lake), count(lake))
    assert [done for done, _, _ in messages] == sorted(done for done, _, _ in messages)
    assert "images/s" in messages[-1][2]
    assert "left" in messages[-1][2]


def test_memory_that_runs_out_halves_the_batches_once(images: ArtifactRef, lake: Lake, fake: FakeEmbedder) -> None:
    fake.fits = 5
    outcome = extract(images, config(batch_size=16, part_rows=64), lake)
    assert outcome.embedded == count(lake)
    assert set(fake.batch_sizes) <= {4, count(lake) % 4, 16 % 4}


def test_an_image_without_a_finite_descriptor_is_left_out(source: Path, lake: Lake, fake: FakeEmbedder, tmp_path: Path) -> None:
    bright = save(Image.new("RGB", (48, 48), "white"), source / "train" / "drone" / "0000" / "image-09.jpeg")
    images = ingest(IngestConfig(source=str(source), dataset="town"), lake).ref
    fake.unusable_above = 0.99
    outcome = extract(images, config(), lake)
    assert [(failure.uri, failure.reason) for failure in outcome.failures] == [(str(bright), "no_descriptor")]
    rows = FeatureStore(outcome.ref.path)
    assert np.isfinite(rows.read(rows.ids())).all()


def test_a_model_that_answers_nothing_finite_stops_the_run(images: ArtifactRef, lake: Lake, fake: FakeEmbedder) -> None:
    fake.unusable_above = -1.0
    with pytest.raises(ModelError, match="no finite descriptor"):
        extract(images, config(), lake)
    assert FeatureStore(next(lake.root.glob("features/model=*"))).parts() == []


def test_half_storage_is_half(images: ArtifactRef, lake: Lake) -> None:
    outcome = extract(images, config(half_storage=True), lake)
    schema = pq.read_schema(FeatureStore(outcome.ref.path).parts()[0])
    assert str(schema.field("descriptor").type.value_type) == "halffloat"


@pytest.mark.parametrize(
    "make",
    [
        lambda: BackboneConfig(name="no_such_model"),
        lambda: BackboneConfig(name="resnet10t", checkpoint="no/such/file.pt"),
    ],
)
def test_a_model_that_cannot_be_had_leaves_no_trace(
    images: ArtifactRef, lake: Lake, make: Callable[[], BackboneConfig]
) -> None:
    with pytest.raises(ModelError):
        extract(images, config(backbone=make()), lake)
    assert not (lake.root / "features").exists()


def test_the_precision_reaches_the_model(images: ArtifactRef, lake: Lake) -> None:
    with pytest.raises(ConfigError, match="tf32"):
        extract(
            images,
            config(backbone=BackboneConfig(name="resnet10t", checkpoint="x.pt"), precision=Precision.TF32, device="cpu"),
            lake,
        )
