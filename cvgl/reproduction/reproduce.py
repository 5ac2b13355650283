"""All configurations of one experiment with one frozen model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cvgl.config import AdaptConfig
from cvgl.errors import DataError
from cvgl.hashing import digest_json
from cvgl.lake import Lake, read_json, write_bytes, write_json, write_parquet
from cvgl.reproduction import experiments
from cvgl.reproduction.experiments import Configuration, Experiment, Situation
from cvgl.reproduction.material import Material, TrainingPlaces, load_material, training_places
from cvgl.reproduction.measuring import Bench, Measurement
from cvgl.reproduction.results import (
    DEPTHS,
    BackboneResult,
    ConfigurationResult,
    DirectionResult,
    PublishedResult,
    Spread,
    table,
)
from cvgl.reproduction.settings import ReproduceConfig
from cvgl.types import ArtifactRef, Progress, silent

RESULTS_JSON, RESULTS_PARQUET, FIGURE_PNG = "results.json", "results.parquet", "figure.png"


@dataclass(frozen=True, slots=True)
class ReproduceOutcome:
    """What was done.

    Attributes:
        ref: the folder with results.json, results.parquet and, for a curve, figure.png.
        skipped: every measurement was there already.
        result: the figures.
        figure: the drawing, when the experiment has one.
    """

    ref: ArtifactRef
    skipped: bool
    result: BackboneResult
    figure: Path | None


@dataclass(frozen=True, slots=True)
class _Job:
    """One training: a configuration under one seed."""

    configuration: Configuration
    settings: AdaptConfig


def reproduce(features: ArtifactRef, config: ReproduceConfig, lake: Lake, progress: Progress = silent) -> ReproduceOutcome:
    """Measures every configuration over the seeds and writes the results.

    What has been measured before is read instead, so a killed reproduction goes on where it stopped, to the same bytes.

    Args:
        features: of the dataset under one frozen model.
        config: experiment, seeds and overrides.
        lake: where everything is.
        progress: told how many trainings are done.

    Raises:
        ConfigError: no such experiment, or settings that contradict one another.
        DataError: nothing to learn from or to be asked, or a configuration needs ground truth that is not there.
        LakeError: something in the lake is missing or damaged.
    """
    experiment = experiments.get(config.experiment)
    material = load_material(lake, features, experiment.protocol)
    configurations = experiment.configurations(situation(material, config))
    jobs = [job for configuration in configurations for job in _jobs(configuration, config)]
    places = _places(configurations, lake, material)
    bench = Bench(lake, material, places, experiment.protocol)
    measured: dict[str, list[tuple[_Job, Measurement]]] = {}
    found = 0
    for done, job in enumerate(jobs):
        progress(done, len(jobs), f"{job.configuration.name}, seed {job.settings.seed}")
        measurement, known = bench.measure(job.configuration, job.settings)
        measured.setdefault(job.configuration.name, []).append((job, measurement))
        found += known
    progress(len(jobs), len(jobs), "measured")
    rows = tuple(_row(configuration, measured[configuration.name]) for configuration in configurations)
    result = _result(experiment, config, features, material, rows)
    return _write(experiment, config, result, lake, skipped=found == len(jobs))


def situation(material: Material, config: ReproduceConfig) -> Situation:
    """What the experiment's configurations may depend on."""
    training = material.training
    return Situation(material.d0, len(training.queries), len(training.references), config.released_sampling)


def _jobs(configuration: Configuration, config: ReproduceConfig) -> list[_Job]:
    seeds = config.seeds if configuration.learner.is_random else config.seeds[:1]
    return [_Job(configuration, config.training(configuration.changes, seed)) for seed in seeds]


def _places(configurations: Sequence[Configuration], lake: Lake, material: Material) -> TrainingPlaces | None:
    """The ground truth of the training pictures, only where a configuration is defined by it."""
    needy = [configuration.name for configuration in configurations if configuration.learner.needs_ground_truth]
    if not needy:
        return None
    places = training_places(lake, material.dataset, material.training)
    if all(place is None for place in places.queries):
        raise DataError(
            f"{', '.join(needy)}: no training picture's place is known",
            where=f"ground truth of '{material.dataset}'",
            fix="use a data root whose training pictures lie in folders by place",
        )
    return places


def _row(configuration: Configuration, measured: Sequence[tuple[_Job, Measurement]]) -> ConfigurationResult:
    settings = {name: value for name, value in measured[0][0].settings.identity().items() if name != "seed"}
    measurements = [measurement for _, measurement in measured]
    directions = [
        DirectionResult(
            **first.model_dump(exclude={"recall", "ap"}),
            recall={depth: Spread.of([m.figures[i].recall[depth] for m in measurements]) for depth in DEPTHS},
            ap=Spread.of([m.figures[i].ap for m in measurements]),
        )
        for i, first in enumerate(measurements[0].figures)
    ]
    return ConfigurationResult(
        name=configuration.name,
        learner=str(configuration.learner),
        uses_ground_truth=configuration.learner.needs_ground_truth,
        settings=settings if configuration.learner.is_random else {},
        series=configuration.series,
        x=configuration.x,
        seeds=tuple(m.seed for m in measurements if m.seed is not None),
        published=None if configuration.published is None else PublishedResult(**asdict(configuration.published)),
        directions=tuple(directions),
    )


def _result(
    experiment: Experiment,
    config: ReproduceConfig,
    features: ArtifactRef,
    material: Material,
    rows: tuple[ConfigurationResult, ...],
) -> BackboneResult:
    extract = read_json(features.path.parent / "model.json")["extract"]
    # Where the weights lie is of no consequence; their hash is in the fingerprint.
    backbone = {**extract["backbone"], "checkpoint": None}
    return BackboneResult(
        experiment=experiment.name,
        source=experiment.source,
        title=experiment.title,
        finding=experiment.finding,
        published_with=experiment.published_with,
        dataset=material.dataset,
        backbone=backbone,
        alignment=extract["alignment"],
        features=features.digest,
        dimension=material.d0,
        n_training_queries=len(material.training.queries),
        n_training_references=len(material.training.references),
        configurations=rows,
    )


def _write(
    experiment: Experiment, config: ReproduceConfig, result: BackboneResult, lake: Lake, *, skipped: bool
) -> ReproduceOutcome:
    from cvgl.reproduction.drawing import draw

    value = result.model_dump(mode="json")
    digest = digest_json(value)
    name = f"{result.dataset}-{result.backbone.name}-{digest[:12]}"
    folder = lake.root / "reproductions" / experiment.name / name
    figure = None
    if experiment.axis is not None:
        figure = folder / FIGURE_PNG
        if not figure.is_file():
            write_bytes(figure, draw(result, experiment.axis))
    write_parquet(folder / RESULTS_PARQUET, table(result))
    # Written last: a folder that has it is complete.
    write_json(folder / RESULTS_JSON, value)
    ref = ArtifactRef(kind="reproduction", path=folder, digest=digest, name=f"{experiment.name}/{name}")
    return ReproduceOutcome(ref, skipped, result, figure)
