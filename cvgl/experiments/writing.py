"""The files of a finished experiment: figures as numbers, and what is drawn of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cvgl.config import Settings
from cvgl.errors import LakeError
from cvgl.experiments.experiments import Experiment
from cvgl.experiments.results import BackboneResult, table
from cvgl.hashing import digest_json
from cvgl.lake import Lake, read_json, write_bytes, write_json, write_parquet
from cvgl.types import ArtifactRef

if TYPE_CHECKING:
    from cvgl.adaptation.standardise import DescriptorTransform
    from cvgl.experiments.exhibits import Exhibit
    from cvgl.experiments.material import Material

RESULTS_JSON, RESULTS_PARQUET, FIGURES_JSON = "results.json", "results.parquet", "figures.json"


class Drawn(Settings):
    """One drawing that lies beside the results.

    Attributes:
        file: its name in the folder.
        title, caption, alt: see `cvgl.reporting.document.Picture`.
    """

    file: str
    title: str
    caption: str
    alt: str


class Figures(Settings):
    """What is drawn of an experiment, and what it shows as a table."""

    drawings: tuple[Drawn, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]


NOTHING_DRAWN = Figures(drawings=(), columns=(), rows=())


@dataclass(frozen=True, slots=True)
class ReproduceOutcome:
    """What was done.

    Attributes:
        ref: the folder with results.json, results.parquet and, where something is drawn, figures.json and the drawings.
        skipped: every measurement was there already.
        result: the figures.
        figures: what was drawn.
    """

    ref: ArtifactRef
    skipped: bool
    result: BackboneResult
    figures: Figures

    @property
    def figure(self) -> Path | None:
        """The first drawing, when the experiment has one."""
        return self.ref.path / self.figures.drawings[0].file if self.figures.drawings else None


@dataclass(frozen=True, slots=True)
class ShownLater:
    """What drawings are made of, when they have to be made: learning it again takes its time.

    Attributes:
        lake: with the images.
        material: descriptors and questions.
        protocol: decides which answers are right.
        transform: what a configuration, by its name, learns under the first seed.
    """

    lake: Lake
    material: Material
    protocol: str
    transform: Callable[[str], DescriptorTransform]


def write(experiment: Experiment, result: BackboneResult, later: ShownLater, *, skipped: bool) -> ReproduceOutcome:
    """Writes the results, and draws what is not drawn yet.

    Raises:
        MissingDependencyError: matplotlib or scikit-learn is not installed.
    """
    value = result.model_dump(mode="json")
    digest = digest_json(value)
    name = f"{result.dataset}-{result.backbone.name}-{digest[:12]}"
    folder = later.lake.root / "reproductions" / experiment.name / name
    figures = _figures(folder, experiment, result, later)
    write_parquet(folder / RESULTS_PARQUET, table(result))
    # Written last: a folder that has it is complete.
    write_json(folder / RESULTS_JSON, value)
    ref = ArtifactRef(kind="reproduction", path=folder, digest=digest, name=f"{experiment.name}/{name}")
    return ReproduceOutcome(ref, skipped, result, figures)


def _figures(folder: Path, experiment: Experiment, result: BackboneResult, later: ShownLater) -> Figures:
    if experiment.axis is None and not experiment.exhibit:
        return NOTHING_DRAWN
    stored = _read(folder)
    if stored is not None:
        return stored
    exhibit = _exhibit(experiment, result, later)
    from cvgl.reporting.theme import LIGHT, to_png

    drawings: list[Drawn] = []
    for drawing in exhibit.drawings:
        file = "figure.png" if not drawings else f"{drawing.name}.png"
        write_bytes(folder / file, to_png(drawing.draw(LIGHT), drawing.dpi))
        drawings.append(Drawn(file=file, title=drawing.title, caption=drawing.caption, alt=drawing.alt))
    figures = Figures(drawings=tuple(drawings), columns=exhibit.facts.columns, rows=exhibit.facts.rows)
    write_json(folder / FIGURES_JSON, figures.model_dump(mode="json"))
    return figures


def _exhibit(experiment: Experiment, result: BackboneResult, later: ShownLater) -> Exhibit:
    from cvgl.experiments.drawing import draw
    from cvgl.experiments.exhibits import EXHIBITS, Exhibit, Facts, Shown
    from cvgl.reporting.content import Drawing

    model = f"{result.backbone.name} on {result.dataset}"
    axis = experiment.axis
    if axis is not None:
        caption = "Means over the seeds, with the sample deviation as bars."
        alt = f"Curves of R@1 and AP over {axis}"
        drawing = Drawing("curve", f"{axis}: {model}", caption, alt, lambda theme: draw(result, axis, theme))
        return Exhibit((drawing,), Facts((), ()))
    transforms = {configuration.name: later.transform(configuration.name) for configuration in result.configurations}
    return EXHIBITS[experiment.exhibit](Shown(later.lake, later.material, transforms, later.protocol, model))


def _read(folder: Path) -> Figures | None:
    """What was drawn before; None where something of it is missing or damaged, so that it is drawn again."""
    if not (folder / FIGURES_JSON).is_file():
        return None
    try:
        figures = Figures.model_validate(read_json(folder / FIGURES_JSON))
    except (LakeError, ValidationError):
        return None
    return figures if all((folder / drawing.file).is_file() for drawing in figures.drawings) else None
