"""Stage `report` on small real lakes: images, features, adapter, evaluation, page."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvgl.config import AdaptConfig, EvaluateConfig, IngestConfig, RunConfig
from cvgl.errors import LakeError
from cvgl.evaluation.evaluate import evaluate
from cvgl.features import FeatureStore
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake, write_json
from cvgl.reporting.content import run_settings
from cvgl.reporting.material import gather
from cvgl.reporting.report import ReportOutcome, report
from cvgl.stages.adapt import adapt
from cvgl.stages.ingest import ingest
from cvgl.types import ArtifactRef
from tests.data.images import place_image, save, university1652
from tests.reporting.pages import Page
from tests.stages.lakes import town, write_town

FINGERPRINT = "cafe" * 4
LINKS = {"MLflow": "http://127.0.0.1:5000/"}
REGISTRATION = {"verdict": "promoted", "reason": "no champion yet"}


def measure(lake: Lake, source: Path, dataset: str = "mini") -> ArtifactRef:
    """From images to an evaluation, with thumbnails for descriptors."""
    ingest(IngestConfig(source=str(source), dataset=dataset), lake)
    images = read_images(lake, dataset)
    values = []
    for uri in images["uri"].to_pylist():
        with Image.open(uri) as image:
            values.append(np.asarray(image.convert("RGB").resize((4, 4)), np.float32).ravel() + 1)
    rows = np.stack(values)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    folder = lake.features(FINGERPRINT, dataset)
    FeatureStore(folder).add(images["image_id"].to_pylist(), rows, {})
    write_json(
        folder.parent / "model.json", {"extract": {"backbone": {"name": "gist"}}, "identity": {"name": "gist"}, "dimension": 48}
    )
    outcome = adapt(
        ArtifactRef("features", folder, FINGERPRINT, dataset),
        AdaptConfig(recipe="paper-standardised", iterations=3, dimension=16),
        lake,
    )
    return evaluate(outcome.ref, EvaluateConfig(), lake).ref


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = university1652(tmp_path_factory.mktemp("pictures"), train=8, test=6, views=2)
    (folder / "test" / "query_drone" / "0008" / "<img src=x onerror=alert(1)>.jpg").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def measured(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, ArtifactRef]:
    lake = Lake.at(tmp_path_factory.mktemp("measured") / "lake")
    return lake, measure(lake, source)


@pytest.fixture(scope="module")
def reported(measured: tuple[Lake, ArtifactRef]) -> ReportOutcome:
    lake, evaluation = measured
    write_json(lake.registration(evaluation.name), REGISTRATION)
    return report(evaluation, lake, LINKS)


def page_of(outcome: ReportOutcome) -> Page:
    return Page(outcome.ref.path.read_text())


class TestReport:
    def test_is_one_page_with_every_section(self, reported: ReportOutcome) -> None:
        page = page_of(reported)
        assert page.open == []
        for phrase in ("drone → satellite", "satellite → drone", "university1652-951", "Gate: promoted.", "t-SNE", "Training"):
            assert phrase in page.text
        assert reported.ref.path.stat().st_size < 8e6
        assert reported.skipped is False

    def test_shows_the_figures_of_the_evaluation(self, reported: ReportOutcome, measured: tuple[Lake, ArtifactRef]) -> None:
        lake, evaluation = measured
        text = page_of(reported).text
        for summary in gather(evaluation.name, lake).summaries:
            assert f"{100 * summary.ap:.1f}" in text

    def test_figures_lie_beside_it(self, reported: ReportOutcome) -> None:
        names = sorted(path.name for path in (reported.ref.path.parent / "figures").iterdir())
        directions = ("drone_to_satellite", "satellite_to_drone")
        assert names == sorted(
            [
                *(f"{kind}_{direction}.png" for kind in ("gallery", "similarity") for direction in directions),
                "training.png",
                "tsne.png",
            ]
        )

    def test_names_the_refused_file_as_text(self, reported: ReportOutcome) -> None:
        page = page_of(reported)
        assert "<img src=x onerror=alert(1)>.jpg" in page.text
        assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)

    def test_counts_images(self, reported: ReportOutcome) -> None:
        text = " ".join(page_of(reported).text.split())
        # 14 places with two views and two distractors with two; the train, query and gallery roles overlap.
        assert "drone 32 16 12 16 0" in text

    def test_settings_lead_back_here(self, measured: tuple[Lake, ArtifactRef], source: Path) -> None:
        lake, evaluation = measured
        settings = RunConfig.model_validate(run_settings(gather(evaluation.name, lake)))
        assert (settings.dataset, settings.adapt.iterations, settings.extract.backbone.name) == ("mini", 3, "gist")
        assert Path(settings.ingest.source) == source
        assert settings.evaluate.protocols == ("university1652-951",)


class TestAgain:
    def test_is_skipped_until_something_changes(self, measured: tuple[Lake, ArtifactRef], tmp_path: Path) -> None:
        _, evaluation = measured
        lake = Lake.at(shutil.copytree(measured[0].root, tmp_path / "lake"))
        first = report(evaluation, lake, LINKS)
        again = report(evaluation, lake, LINKS)
        assert again.skipped
        assert again.ref == first.ref
        stale = lake.report(evaluation.name) / "figures" / "similarity_ground_to_satellite.png"
        stale.write_bytes(b"of an earlier report")
        (lake.report(evaluation.name) / ".tmp-dead.png").write_bytes(b"half")
        write_json(lake.registration(evaluation.name), {**REGISTRATION, "verdict": "refused"})
        other = report(evaluation, lake, LINKS)
        assert not other.skipped
        assert other.ref.digest != first.ref.digest
        assert not stale.exists()
        assert not list(lake.report(evaluation.name).glob(".tmp-*"))

    def test_gives_the_same_bytes(self, measured: tuple[Lake, ArtifactRef]) -> None:
        lake, evaluation = measured

        def files() -> dict[str, bytes]:
            report(evaluation, lake, LINKS)
            folder = lake.report(evaluation.name)
            return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

        before = files()
        shutil.rmtree(lake.report(evaluation.name))
        assert files() == before

    @pytest.mark.parametrize(
        "damage",
        [
            "index.html",
            pytest.param("report.json", marks=pytest.mark.slow),
            pytest.param("figures/tsne.png", marks=pytest.mark.slow),
        ],
    )
    def test_what_a_dead_process_left_is_made_again(
        self, reported: ReportOutcome, measured: tuple[Lake, ArtifactRef], damage: str
    ) -> None:
        lake, evaluation = measured
        whole = reported.ref.path.read_bytes()
        path = reported.ref.path.parent / damage
        if damage.endswith(".png"):
            path.unlink()
        else:
            path.write_bytes(b"cut")
        outcome = report(evaluation, lake, LINKS)
        assert not outcome.skipped
        assert outcome.ref.path.read_bytes() == whole
        assert path.stat().st_size > 10


class TestWhatMayBeMissing:
    def test_images(self, tmp_path: Path) -> None:
        lake = Lake.at(tmp_path / "lake")
        evaluation = evaluate(write_town(lake, town()), EvaluateConfig(), lake).ref  # its images were never there
        page = page_of(report(evaluation, lake))
        assert "image not found" in page.text
        assert "median error" in page.text  # positions are known, so metres are told

    def test_ground_truth(self, lake: Lake, tmp_path: Path) -> None:
        for view in ("drone", "satellite"):
            for place in range(6):
                save(place_image(place, view == "drone"), tmp_path / "pictures" / view / f"{place}.png")
        page = page_of(report(measure(lake, tmp_path / "pictures"), lake))
        assert "No figures can be given" in page.text
        assert "R@1" not in page.text
        assert "t-SNE" in page.text  # what needs no labels is there
        assert "Which are right is not known" in page.text

    def test_features(self, measured: tuple[Lake, ArtifactRef], tmp_path: Path) -> None:
        _, evaluation = measured
        lake = Lake.at(shutil.copytree(measured[0].root, tmp_path / "lake"))
        shutil.rmtree(lake.root / "features")
        page = page_of(report(evaluation, lake))
        assert "t-SNE figure is left out" in page.text
        assert "R@1" in page.text

    def test_evaluation(self, measured: tuple[Lake, ArtifactRef], tmp_path: Path) -> None:
        _, evaluation = measured
        lake = Lake.at(shutil.copytree(measured[0].root, tmp_path / "lake"))
        shutil.rmtree(lake.evaluation(evaluation.name))
        with pytest.raises(LakeError, match=r"queries\.parquet"):
            report(evaluation, lake)

    def test_run(self, lake: Lake) -> None:
        with pytest.raises(LakeError, match=r"adapter\.json"):
            report(ArtifactRef("evaluation", lake.evaluation("none"), "", "none"), lake)
