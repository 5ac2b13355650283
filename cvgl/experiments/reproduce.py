"""All configurations of one experiment on one data set with one frozen model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cvgl.config import AdaptConfig, AlignmentConfig
from cvgl.errors import DataError
from cvgl.evaluation.sequence_inference import Sequences
from cvgl.experiments import experiments
from cvgl.experiments.configuration import Configuration, Learner, Situation
from cvgl.experiments.experiments import Experiment
from cvgl.experiments.judging import Circumstances, judge, units_of
from cvgl.experiments.learners import depends_on_seed, looks_at_sequences
from cvgl.experiments.material import Material, TrainingPlaces, load_material, training_places
from cvgl.experiments.measuring import RADII_M, Bench, Figure, Measurement
from cvgl.experiments.plausibility import check_descriptors, check_scores
from cvgl.experiments.results import (
    DEPTHS,
    Aligned,
    BackboneResult,
    ConfigurationResult,
    DirectionResult,
    Judged,
    PublishedResult,
    Spread,
)
from cvgl.experiments.settings import ReproduceConfig
from cvgl.experiments.writing import ReproduceOutcome, ShownLater, write
from cvgl.lake import Lake, read_json
from cvgl.stages.alignment.record import AlignmentRecord
from cvgl.types import ArtifactRef, Progress, silent

__all__ = ["ReproduceOutcome", "reproduce", "situation"]


@dataclass(frozen=True, slots=True)
class _Job:
    """One training: a configuration under one seed."""

    configuration: Configuration
    settings: AdaptConfig


def reproduce(
    features: ArtifactRef,
    config: ReproduceConfig,
    lake: Lake,
    progress: Progress = silent,
    choice: AlignmentRecord | None = None,
) -> ReproduceOutcome:
    """Measures every configuration over the seeds and writes the results.

    What has been measured before is read instead, so a killed reproduction goes on where it stopped, to the same bytes.

    Args:
        features: of one of the data sets under one frozen model.
        config: experiment, data sets, seeds and overrides.
        lake: where everything is.
        progress: told how many trainings are done.
        choice: why the features were made under the alignment that they were made under, where it was chosen.

    Raises:
        ConfigError: no such experiment or data set, or settings that contradict one another.
        DataError: nothing to learn from or to be asked, or a configuration needs ground truth that is not there.
        GateRefusal: descriptors or scores that cannot be, with their likely cause.
        LakeError: something in the lake is missing or damaged.
    """
    experiment = experiments.get(config.experiment)
    protocol = experiment.protocol or config.source(features.name).protocol
    material = load_material(
        lake,
        features,
        protocol,
        single_view=experiment.single_view,
        split_seed=config.split_seed if experiment.splits else None,
    )
    check_descriptors(material)
    configurations = _configurations(experiment, config, situation(material, config, lake))
    jobs = [job for configuration in configurations for job in _jobs(configuration, config, material)]
    places = _places(configurations, lake, material)
    bench = Bench(lake, material, places, protocol)
    measured: dict[str, list[Measurement]] = {}
    n_stored = 0
    for done, job in enumerate(jobs):
        progress(done, len(jobs), f"{job.configuration.name}, seed {job.settings.seed}")
        measurement, was_stored = bench.measure(job.configuration, job.settings)
        measured.setdefault(job.configuration.name, []).append(measurement)
        n_stored += was_stored
    progress(len(jobs), len(jobs), "measured")
    check_scores(measured, material)
    result = _result(experiment, config, features, material, configurations, measured, choice)
    first = {job.configuration.name: job for job in reversed(jobs)}
    later = ShownLater(lake, material, protocol, lambda name: bench.transform(first[name].configuration, first[name].settings))
    return write(experiment, result, later, skipped=n_stored == len(jobs))


def _configurations(experiment: Experiment, config: ReproduceConfig, depends_on: Situation) -> tuple[Configuration, ...]:
    """Those of the experiment; of a model that nothing is learned for, the frozen one alone."""
    every = experiment.configurations(depends_on)
    return (
        tuple(configuration for configuration in every if configuration.learner is Learner.FROZEN)
        if config.frozen_only
        else every
    )


def situation(material: Material, config: ReproduceConfig, lake: Lake) -> Situation:
    """What the experiment's configurations may depend on."""
    training, sequences = material.training, Sequences(lake, material.dataset, experiments.WINDOW)
    return Situation(
        material.d0,
        len(training.queries),
        len(training.references),
        config.released_sampling,
        learns_along=training.has_sequences,
        asks_along=any(sequences.apply_to(examination.question) for examination in material.examinations),
    )


def _jobs(configuration: Configuration, config: ReproduceConfig, material: Material) -> list[_Job]:
    jobs = [_Job(configuration, config.training(configuration.changes, seed)) for seed in config.seeds]
    return jobs if depends_on_seed(configuration, jobs[0].settings, material.training) else jobs[:1]


def _places(configurations: Sequence[Configuration], lake: Lake, material: Material) -> TrainingPlaces | None:
    """The ground truth of the training images, only where a configuration is defined by it."""
    needy = [configuration.name for configuration in configurations if configuration.learner.needs_ground_truth]
    if not needy:
        return None
    places = training_places(lake, material.dataset, material.training)
    if all(place is None for place in places.queries):
        raise DataError(
            f"{', '.join(needy)}: no training picture's place is known",
            where=f"ground truth of '{material.dataset}'",
            fix="use a data root whose training images lie in folders by place",
        )
    return places


def _result(
    experiment: Experiment,
    config: ReproduceConfig,
    features: ArtifactRef,
    material: Material,
    configurations: Sequence[Configuration],
    measured: Mapping[str, Sequence[Measurement]],
    choice: AlignmentRecord | None,
) -> BackboneResult:
    model = read_json(features.path.parent / "model.json")
    extract = model["extract"]
    aligned = _aligned(AlignmentConfig.model_validate(extract["alignment"]), choice)
    circumstances = Circumstances(config.source(features.name).name, extract["backbone"]["name"], aligned is not Aligned.NONE)
    judged = judge(measured, configurations, material.examinations, experiment.baselines, circumstances)
    row = _Row(config, material, judged)
    return BackboneResult(
        experiment=experiment.name,
        splits=config.split_seed if experiment.splits else None,
        source=experiment.source,
        title=experiment.title,
        finding=experiment.finding,
        published_with=experiment.published_with,
        dataset=material.dataset,
        # Where the weights lie is of no consequence; their hash is in the fingerprint.
        backbone={**extract["backbone"], "checkpoint": None},
        alignment=extract["alignment"],
        aligned=aligned,
        alignment_reason="" if choice is None else choice.reason,
        alignment_passes=0 if choice is None else choice.passes,
        baselines=experiment.baselines,
        features=features.digest,
        weights=weights_of(model),
        dimension=material.d0,
        n_training_queries=len(material.training.queries),
        n_training_references=len(material.training.references),
        configurations=tuple(row.of(configuration, measured[configuration.name]) for configuration in configurations),
    )


def weights_of(model: Mapping[str, Any]) -> str:
    """Hash of the frozen model's weights, as its record tells it; empty where the model has none."""
    return str(model.get("identity", {}).get("weights_sha256", ""))


def _aligned(alignment: AlignmentConfig, choice: AlignmentRecord | None) -> Aligned:
    if choice is not None:
        return Aligned.CHOSEN
    return Aligned.NONE if alignment == AlignmentConfig() else Aligned.GIVEN


@dataclass(frozen=True, slots=True)
class _Row:
    """Makes rows of the result from measurements."""

    config: ReproduceConfig
    material: Material
    judged: Mapping[tuple[str, str], dict[str, Judged]]

    def of(self, configuration: Configuration, measurements: Sequence[Measurement]) -> ConfigurationResult:
        settings = self.config.training(configuration.changes, self.config.seeds[0])
        identity = {name: value for name, value in settings.identity().items() if name != "seed"}
        return ConfigurationResult(
            name=configuration.name,
            learner=str(configuration.learner),
            uses_ground_truth=configuration.learner.needs_ground_truth,
            settings=identity if configuration.learner.is_random else {},
            series=configuration.series,
            x=configuration.x,
            seeds=tuple(m.seed for m in measurements if m.seed is not None),
            published=None if configuration.published is None else PublishedResult(**asdict(configuration.published)),
            sequences=looks_at_sequences(configuration, settings, self.material.training),
            **asdict(configuration.answering),
            directions=tuple(
                self._direction(configuration.name, [m.figures[i] for m in measurements])
                for i in range(len(measurements[0].figures))
            ),
        )

    def _direction(self, name: str, figures: Sequence[Figure]) -> DirectionResult:
        first = figures[0]
        examination = next(
            candidate for candidate in self.material.examinations if str(candidate.question.direction) == first.direction
        )
        distances = [figure.distances for figure in figures if figure.distances is not None]
        radii = [f"{radius:g}" for radius in RADII_M] if distances else []  # a kept measurement has an order of its own
        return DirectionResult(
            **first.model_dump(exclude={"recall", "ap", "distances", "right", "near"}),
            recall={depth: Spread.of([figure.recall[depth] for figure in figures]) for depth in DEPTHS},
            ap=Spread.of([figure.ap for figure in figures]),
            median_m=Spread.of([candidate.median_m for candidate in distances]) if distances else None,
            within_m={radius: Spread.of([candidate.within_m[radius] for candidate in distances]) for radius in radii},
            judged=self.judged[name, first.direction],
            resampled=units_of(examination).name,
        )
