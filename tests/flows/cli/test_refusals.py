"""`cvgl run` without labels on images from which nothing good can come: exit code 3, a reason, figures, and no crash."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvgl.lake import Lake, read_json
from cvgl.quality.report import QualityReport
from cvgl.stages.quality import read_quality
from tasks.artifacts import artifact_key
from tasks.registry.store import open_registry
from tests.data.images import place_image
from tests.flows.cli.commands import Run, contents, cvgl, invoke
from tests.flows.towns import FEATURES, drones, empty_lake, folders, tiles

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Pictures = Iterable[Path | Image.Image]


@dataclass(frozen=True)
class Site:
    """Where the runs of this module happen: each is a dataset of its own in one lake."""

    root: Path
    lake: Lake
    town: Path
    other_town: Path

    def arguments(self, source: Path, dataset: str, *options: str) -> list[str]:
        common_options = ["--source", str(source), "--dataset", dataset, "--lake", str(self.lake.root)]
        return ["run", *common_options, *FEATURES, "--no-align", *options]

    def run(self, dataset: str, queries: Pictures, references: Pictures, *options: str) -> Run:
        source = folders(self.root / dataset, queries, references)
        return invoke(*self.arguments(source, dataset, *options, "--json"))

    def report(self, run: Run) -> QualityReport:
        return read_quality(self.lake, run.json["run"]).report

    def serves(self, dataset: str) -> dict[str, bytes]:
        return contents(self.lake.root, f"maps/dataset={dataset}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, prefect_api: str, town: Path, other_town: Path) -> Site:
    root = tmp_path_factory.mktemp("refusals")
    return Site(root, empty_lake(root)("lake"), town, other_town)


@pytest.fixture(scope="module")
def good(site: Site) -> Run:
    return site.run("good", drones(site.town), tiles(site.town))


@pytest.fixture(scope="module")
def unrelated(site: Site) -> Run:
    return site.run("unrelated", drones(site.town), patterns(60))


def grey(number: int) -> Image.Image:
    """An image with nothing in it, and another grey for each number."""
    return Image.new("RGB", (64, 64), (number + 40,) * 3)


def wide(number: int) -> Image.Image:
    """The same grey in another file each time."""
    return Image.new("RGB", (64 + number, 64), (100,) * 3)


def retaken(path: Path, number: int) -> Image.Image:
    """The same image with the noise of another exposure."""
    values = np.asarray(Image.open(path)).astype(np.int16)
    noise = np.random.default_rng(number).integers(-2, 3, values.shape)
    return Image.fromarray((values + noise).clip(0, 255).astype(np.uint8))


def patterns(count: int) -> list[Image.Image]:
    """Images of nothing that a town has."""
    return [place_image(number, size=64) for number in range(count)]


CASES: dict[str, tuple[Callable[[Site], tuple[Pictures, Pictures]], str]] = {
    "wrong-map": (lambda site: (drones(site.town), tiles(site.other_town)), "have to do with one another"),
    "five-pictures": (
        lambda site: (drones(site.town)[:5], tiles(site.town)[:5]),
        "5 query and 5 reference images are too few to judge by; 20 of each are needed",
    ),
    "one-place": (
        lambda site: ([retaken(drones(site.town)[0], number) for number in range(60)], tiles(site.town)),
        "the query images hardly differ from one another, as if all showed one place",
    ),
    "constant-queries": (
        lambda site: ([grey(number) for number in range(60)], tiles(site.town)),
        "query images look different to the frozen model, too few to judge by; 20 are needed",
    ),
    "constant-references": (
        lambda site: (drones(site.town), [wide(number) for number in range(60)]),
        "all reference images look exactly the same to the frozen model; check that the files hold images",
    ),
    "one-file-60-times": (
        lambda site: ([grey(0)] * 60, tiles(site.town)),
        "1 query and 60 reference images are too few to judge by",
    ),
}


RECIPES = [*((name, "robust") for name in CASES), ("one-place", "auto")]


@pytest.mark.parametrize(("name", "recipe"), RECIPES)
def test_nothing_is_served_and_the_reason_is_said(site: Site, name: str, recipe: str) -> None:
    images, reason = CASES[name]
    source = site.root / name
    if not source.exists():
        folders(source, *images(site))
    run = invoke(*site.arguments(source, name, "--recipe", recipe, "--json"))
    check_refusal(site, name, run, reason)


def check_refusal(site: Site, name: str, run: Run, reason: str) -> None:
    assert run.code == 3, run.stderr
    assert run.json["verdict"] == "refused"
    assert reason in run.json["reason"]
    assert "Traceback" not in run.stderr
    assert site.serves(name) == {}
    assert reason in site.report(run).reason
    # The page says it, too, in the section on quality.
    page = Path(run.json["report"]).read_text()
    assert reason in page[page.index('id="quality"') :]


def test_a_person_is_told_in_a_sentence_what_is_wrong_and_what_to_do(site: Site, unrelated: Run) -> None:
    """And told again, by a process of its own, as a person runs it."""
    check_refusal(site, "unrelated", unrelated, "queries and references have nothing to do with one another")
    run = cvgl(*site.arguments(site.root / "unrelated", "unrelated"))
    assert run.code == 3, run.stderr
    assert "refused: no labels, and judged without them: queries and references have nothing to do" in run.stdout
    assert "check that the map shows where the images were taken" in run.stdout
    assert "Traceback" not in run.stderr


def test_the_same_images_with_their_own_map_are_accepted(site: Site, good: Run) -> None:
    """Without this the others would pass with a gate that always refuses."""
    assert good.code == 0, good.stderr
    assert good.json["verdict"] == "promoted"
    assert site.report(good).verdict == "accepted"
    assert read_json(site.lake.champion("good"))["serving"]["run"] == good.json["run"]


def test_what_is_not_better_than_the_frozen_model_leaves_what_serves(site: Site, good: Run) -> None:
    before = site.serves("good")
    run = invoke(*site.arguments(site.root / "good", "good", "--recipe", "frozen", "--json"))
    assert run.code == 3, run.stderr
    assert site.report(run).verdict == "uncertain"
    assert "not better than the frozen model with confidence" in site.report(run).reason
    assert site.report(run).gain is not None
    assert site.serves("good") == before != {}


def test_references_twice_are_flagged_and_judged_all_the_same(site: Site) -> None:
    """The very same file twice is one image; the same image in another file cannot be told from it by its descriptor."""
    again: list[Path | Image.Image] = [Image.open(path) for path in tiles(site.town)]
    run = site.run("twice", drones(site.town), [*tiles(site.town), *again, *tiles(site.town)[:3]])
    assert run.code in (0, 3), run.stderr
    assert run.json["images"]["quarantined"] == 3
    [finding] = site.report(run).findings
    assert (finding.kind, finding.severity) == ("duplicates", "flagged")
    assert "50% of the reference images are copies of another one" in finding.reason
    assert finding.reason in Path(run.json["report"]).read_text()


def test_a_choice_follows_its_options(site: Site, good: Run) -> None:
    common_options = (
        "--dataset",
        "good",
        "--lake",
        str(site.lake.root),
        "--recipe",
        "auto",
        "--select-min-images",
        "1000",
        "--json",
    )
    run = invoke("adapt", *common_options)
    assert run.code == 0, run.stderr
    selection = read_json(site.lake.adapter(run.json["run"]) / "selection.json")
    assert (selection["chosen"], selection["candidates"]) == ("frozen", [])
    assert "1000 of each are needed" in selection["reason"]


def test_tiles_to_be_placed_on_photographs_are_refused_before_anything_is_taken_in(site: Site) -> None:
    source = folders(site.root / "exchanged", tiles(site.town), drones(site.town))
    for number, tile in enumerate(sorted((source / "drone").iterdir())):
        tile.with_suffix(".jgw").write_text(f"1\n0\n0\n-1\n{64 * (number % 8)}\n{-64 * (number // 8)}\n")
    run = invoke(*site.arguments(source, "exchanged", "--json"))
    assert run.code == 3, run.stderr
    assert "the views look exchanged: the 60 images to be placed are tiles of a map" in run.json["error"]["what"]
    assert "satellite/" in run.json["error"]["fix"]
    assert "exchanged" not in site.lake.datasets()
    # The right way round the same files are fine.
    right = site.root / "right"
    right.mkdir()
    shutil.copytree(source / "drone", right / "satellite")
    shutil.copytree(source / "satellite", right / "drone")
    assert invoke("ingest", right, "--dataset", "right", "--lake", site.lake.root, "--json").code == 0


@pytest.mark.parametrize("accepted", [True, False])
def test_page_artifacts_and_registry_carry_the_verdict_and_the_figures(
    site: Site, good: Run, unrelated: Run, accepted: bool
) -> None:
    run = good if accepted else unrelated
    report = site.report(run)
    assert report.relatedness is not None
    assert report.gain is not None
    strength = f"{report.relatedness.strength:.1f}, needed {report.relatedness.threshold:.1f}"
    predicted = report.directions[0].predicted
    tags = open_registry(site.lake).client.get_model_version(f"cvgl-{'good' if accepted else 'unrelated'}", "1").tags
    assert tags["cvgl.verdict"] == run.json["verdict"] == ("promoted" if accepted else "refused")
    assert tags["cvgl.reason"] == run.json["reason"]
    assert tags["quality.verdict"] == report.verdict == ("accepted" if accepted else "refused")
    assert tags["quality.relatedness"] == strength
    assert tags["quality.gain_halves"] == f"{report.gain.difference:+.4f} +- {report.gain.standard_error:.4f}"
    assert tags["quality.predicted_recall_at_1.query_to_reference"].startswith(f"{predicted.value:.4f} [{predicted.low:.4f}, ")

    judged = artifact("judgement", run)
    assert judged.startswith(f"# {report.verdict}\n\n{report.reason}")
    assert f"| relatedness | {strength} |" in judged
    assert f"| predicted_recall_at_1.query_to_reference | {predicted.value:.4f} [" in judged
    assert artifact("gate", run).startswith(f"# {run.json['verdict']}\n\n{run.json['reason']}")
    assert strength in artifact("quality", run)

    page = Path(run.json["report"]).read_text()
    section = page[page.index('id="quality"') :].split("</section>")[0]
    assert report.reason in section
    assert f"strength {report.relatedness.strength:.1f}, where {report.relatedness.threshold:.1f} is needed" in section
    assert f"{report.gain.difference:+.3f} ± {report.gain.standard_error:.3f}" in section
    assert f"{100 * predicted.value:.0f} ({100 * predicted.low:.0f} to {100 * predicted.high:.0f})" in section
    assert f"{report.directions[0].adapted.reciprocity:.3f}" in section


def artifact(kind: str, run: Run) -> str:
    """The newest artifact of a run, from the server."""
    from prefect.artifacts import Artifact

    response = asyncio.run(Artifact.aget(artifact_key(kind, run.json["run"])))
    assert response is not None
    return str(response.data)
