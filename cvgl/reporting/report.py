"""Stage `report`: an evaluation in, one self-contained HTML page and the figures as PNG files out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from cvgl.errors import DamagedError
from cvgl.hashing import sha256_bytes
from cvgl.lake import Lake, read_bytes, read_versioned, sweep, write_bytes, write_versioned
from cvgl.reporting.content import Drawing, Galleries, compose, galleries
from cvgl.reporting.material import Material, gather, inputs_digest
from cvgl.types import ArtifactRef, Progress, silent

REPORT_VERSION = "5"
"""Raised whenever the same inputs would give another page."""

PAGE_FILE, RECORD_FILE, FIGURES_FOLDER = "index.html", "report.json", "figures"
_NO_LINKS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ReportOutcome:
    """What the stage has done.

    Attributes:
        ref: the page.
        skipped: a page made from the same inputs was there already.
    """

    ref: ArtifactRef
    skipped: bool


def report(
    evaluation: ArtifactRef, lake: Lake, links: Mapping[str, str] = _NO_LINKS, progress: Progress = silent
) -> ReportOutcome:
    """Writes the report of a run, or finds that it is there already.

    The page opens with the figures of all stages, and works without a network, from a mail or a phone. Images that have
    gone since are named; without ground truth the page says why there are no figures.

    Args:
        evaluation: of a finished run of this lake.
        lake: where everything is.
        links: name -> address of pages elsewhere (MLflow, Prefect).
        progress: told how many figures are drawn.

    Raises:
        LakeError: the evaluation, the adapter or the images are missing or damaged.
        MissingDependencyError: matplotlib, scikit-learn or jinja2 is not installed.
    """
    material = gather(evaluation.name, lake)
    inputs = inputs_digest(material, links, REPORT_VERSION)
    folder = lake.report(evaluation.name)
    finished = _finished(folder, inputs)
    if finished is not None:
        return ReportOutcome(_ref(folder, finished, evaluation.name), skipped=True)
    sweep(folder)
    page = _page(material, links, folder, progress)
    write_bytes(folder / PAGE_FILE, page)
    # The record is written last: where it names the inputs, page and figures are complete.
    digest = sha256_bytes(page)
    figures = sorted(path.name for path in (folder / FIGURES_FOLDER).glob("*.png"))
    write_versioned(folder / RECORD_FILE, "report", {"inputs": inputs, "page_sha256": digest, "figures": figures})
    return ReportOutcome(_ref(folder, digest, evaluation.name), skipped=False)


def _page(material: Material, links: Mapping[str, str], folder: Path, progress: Progress) -> bytes:
    from cvgl.reporting.document import Picture, render
    from cvgl.reporting.run_figures import all_drawings
    from cvgl.reporting.theme import DARK, LIGHT, recoloured, to_png, to_svg

    galleries_of_run: Galleries = galleries(material)
    drawings, notes = all_drawings(material, galleries_of_run)
    images = []
    for number, drawing in enumerate(drawings):
        progress(number, len(drawings) + 1, drawing.title)
        light = drawing.draw(LIGHT)
        write_bytes(folder / FIGURES_FOLDER / f"{drawing.name}.png", to_png(light, drawing.dpi))
        if drawing.on_page:
            svg = to_svg(light)
            images.append(Picture(drawing.title, drawing.caption, drawing.alt, svg, recoloured(svg, LIGHT, DARK)))
    _remove_stale(folder / FIGURES_FOLDER, drawings)
    progress(len(drawings), len(drawings) + 1, "writing the page")
    page = render(compose(material, images, galleries_of_run, links, notes)).encode()
    progress(len(drawings) + 1, len(drawings) + 1, "written")
    return page


def _remove_stale(figures: Path, drawings: Sequence[Drawing]) -> None:
    """Figures of an earlier report that this one does not have."""
    current = {f"{drawing.name}.png" for drawing in drawings}
    for path in figures.glob("*.png"):
        if path.name not in current:
            path.unlink(missing_ok=True)


def _finished(folder: Path, inputs: str) -> str | None:
    """Digest of the page when it was made from these inputs and is whole; None when it has to be made."""
    if not (folder / RECORD_FILE).is_file():
        return None
    try:
        record = read_versioned(folder / RECORD_FILE, "report")
    except DamagedError:
        return None  # everything in this folder can be made again
    if record.get("inputs") != inputs:
        return None
    if not all((folder / FIGURES_FOLDER / name).is_file() for name in record.get("figures", ())):
        return None
    if not (folder / PAGE_FILE).is_file():
        return None
    digest = sha256_bytes(read_bytes(folder / PAGE_FILE))
    return digest if digest == record.get("page_sha256") else None


def _ref(folder: Path, digest: str, run: str) -> ArtifactRef:
    return ArtifactRef(kind="report", path=folder / PAGE_FILE, digest=digest, name=run)
