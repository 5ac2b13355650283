"""`cvgl reproduce judgement`: what is said without labels, held against what labels say.

Three questions, on the real sets at hand and on built-in worlds that had no part in the calibration: is the recipe `auto` ever
worse than doing nothing; how far off is the predicted R@1; are unrelated views refused, and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cvgl import adapt
from cvgl.config import AdaptConfig, Recipe, SelectConfig, Settings
from cvgl.experiments.judgement_calibration import Error, Row, error_of, rows_of
from cvgl.experiments.judgement_cases import Case, corruptions
from cvgl.experiments.judgement_worlds import TESTED, describe
from cvgl.experiments.material import Examination, Material, load_material
from cvgl.hashing import digest_json
from cvgl.lake import Lake, write_bytes, write_json
from cvgl.quality.dependence import dependence_test
from cvgl.quality.prediction import Calibration, calibration, features_of
from cvgl.quality.scores import score
from cvgl.quality.selection import chosen_settings, select
from cvgl.quality.similarity import descriptor_pair
from cvgl.types import ArtifactRef, Progress, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.adaptation.sequences import FrameSequences
    from cvgl.adaptation.standardise import DescriptorTransform
    from cvgl.types import Float32Array

CORRUPTIONS = 4
RECIPES = (Recipe.FROZEN, Recipe.STANDARDISED, Recipe.ROBUST)

Ask = Callable[["DescriptorTransform"], float]


class Choice(Settings):
    """What `auto` chose in one place, under one seed, and what labels say of it."""

    where: str
    seed: int
    chosen: str
    reason: str
    directions: tuple[str, ...]
    auto: tuple[float, ...]
    frozen: tuple[float, ...]
    standardised: tuple[float, ...]

    @property
    def worst(self) -> float:
        """R@1 of the choice minus that of the better of frozen and standardised, in the direction where it is least."""
        best = np.maximum(self.frozen, self.standardised)
        return float((np.array(self.auto) - best).min())


class Predicted(Settings):
    """One predicted share beside the measured one."""

    where: str
    recipe: str
    direction: str
    predicted: float
    low: float
    high: float
    truth: float


class Tested(Settings):
    """One pair of views under the test of relatedness."""

    where: str
    expected: bool
    related: bool
    strength: float
    test: str


class JudgementResult(Settings):
    """The content of results.json."""

    choices: tuple[Choice, ...]
    predictions: tuple[Predicted, ...]
    world_error: Error
    real_error: Error | None
    tested: tuple[Tested, ...]

    @property
    def refused(self) -> tuple[int, int]:
        """Unrelated pairs that were refused, of all."""
        wanted = [test for test in self.tested if not test.expected]
        return sum(not test.related for test in wanted), len(wanted)

    @property
    def wrongly_refused(self) -> tuple[int, int]:
        """Related pairs that were refused, of all."""
        wanted = [test for test in self.tested if test.expected]
        return sum(not test.related for test in wanted), len(wanted)


@dataclass(frozen=True, slots=True)
class JudgementOutcome:
    """What was done.

    Attributes:
        ref: the folder with results.json and calibration.png.
        result: the figures.
        figure: the calibration plot.
    """

    ref: ArtifactRef
    result: JudgementResult
    figure: Path


@dataclass(frozen=True, slots=True)
class _Set:
    """Something to learn from, and to ask with known answers."""

    name: str
    queries: Float32Array
    references: Float32Array
    sequences: FrameSequences | None
    asks: tuple[tuple[str, Ask], ...]


def reproduce_judgement(
    features: Sequence[tuple[ArtifactRef, str, str]],
    lake: Lake,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    progress: Progress = silent,
    rules: SelectConfig | None = None,
    worlds: int | None = None,
) -> JudgementOutcome:
    """Measures everything and writes results.json and calibration.png.

    Args:
        features: of real sets: the descriptors, a name for the set with its frozen model, and the protocol that judges it.
        lake: where everything is.
        seeds: of the choices.
        progress: told what is being measured.
        rules: of the choices.
        worlds: how many of the built-in worlds are used; none: all.

    Raises:
        DataError, LakeError: see `material.load_material`.
    """
    names = list(TESTED)[:worlds]
    total = len(names) + len(features) + 1
    cases, choices, rows = [], [], []
    for done, name in enumerate(names):
        progress(done, total, f"built-in world, {name}")
        case = describe(name, TESTED[name], lake)
        cases.append(case)
        choices += list(_choices(_of_world(case), seeds, rules))
        rows += [row for corrupted in corruptions(case, CORRUPTIONS, done) for row in rows_of(corrupted, "world")]
    real: list[Row] = []
    materials: list[tuple[str, Material]] = []
    for done, (ref, name, protocol) in enumerate(features, start=len(names)):
        progress(done, total, name)
        material = load_material(lake, ref, protocol)
        materials.append((name, material))
        choices += list(_choices(_of_material(name, material), seeds, rules))
        real += list(_real_rows(name, material))
    progress(total - 1, total, "which views have to do with one another")
    tested = tuple(_tested(cases, materials))
    progress(total, total, "measured")
    learned = calibration()
    result = JudgementResult(
        choices=tuple(choices),
        predictions=tuple(_predicted(learned, row) for row in [*rows, *real]),
        world_error=error_of(learned, rows),
        real_error=error_of(learned, real) if real else None,
        tested=tested,
    )
    return _write(result, lake)


def _of_world(case: Case) -> _Set:
    has_query = np.isin(case.reference_places, case.query_places)

    def forward(learned: DescriptorTransform) -> float:
        first = _first(learned.transform_query(case.queries), learned.transform_reference(case.references))
        return float((case.reference_places[first] == case.query_places).mean())

    def backward(learned: DescriptorTransform) -> float:
        first = _first(learned.transform_reference(case.references[has_query]), learned.transform_query(case.queries))
        return float((case.query_places[first] == case.reference_places[has_query]).mean())

    asks = (("drone_to_satellite", forward), ("satellite_to_drone", backward))
    return _Set(f"world, {case.group}", case.train_queries, case.train_references, None, asks)


def _of_material(name: str, material: Material) -> _Set:
    training = material.training
    asks = tuple((str(examination.question.direction), _ask(examination)) for examination in _judged(material))
    return _Set(name, training.queries, training.references, training.sequences, asks)


def _judged(material: Material) -> list[Examination]:
    """Flights are asked one way only: most tiles are never seen."""
    if material.training.has_sequences:
        return [examination for examination in material.examinations if not examination.question.queries.view.is_reference]
    return list(material.examinations)


def _ask(examination: Examination) -> Ask:
    def recall(learned: DescriptorTransform) -> float:
        queries, gallery = examination.mapped(learned)
        return _recall(examination, queries, gallery)

    return recall


def _recall(examination: Examination, queries: Float32Array, gallery: Float32Array) -> float:
    own, theirs = examination.question.queries.places, examination.question.gallery.places
    first = _first(queries, gallery)
    labelled = [row for row, place in enumerate(own) if place is not None]
    return float(np.mean([theirs[first[row]] == own[row] for row in labelled]))


def _first(queries: Float32Array, references: Float32Array) -> NDArray[np.int64]:
    return np.asarray((queries @ references.T).argmax(axis=1))


def _choices(data: _Set, seeds: Sequence[int], rules: SelectConfig | None) -> Iterator[Choice]:
    """What is chosen under every seed; recipes that draw nothing are learned once."""
    shares: dict[AdaptConfig, tuple[float, ...]] = {}

    def asked(config: AdaptConfig) -> tuple[float, ...]:
        if config not in shares:
            learned = adapt(data.queries, data.references, config=config, sequences=data.sequences)
            shares[config] = tuple(ask(learned) for _, ask in data.asks)
        return shares[config]

    baselines = [asked(AdaptConfig(recipe=recipe)) for recipe in (Recipe.FROZEN, Recipe.STANDARDISED)]
    for seed in seeds if data.sequences is None else seeds[:1]:  # along a course nothing is drawn
        config = AdaptConfig(recipe=Recipe.AUTO, seed=seed)
        selection = select(data.queries, data.references, config, rules, data.sequences)
        yield Choice(
            where=data.name,
            seed=seed,
            chosen=str(selection.chosen),
            reason=selection.reason,
            directions=tuple(direction for direction, _ in data.asks),
            auto=asked(chosen_settings(config, selection)),
            frozen=baselines[0],
            standardised=baselines[1],
        )


def _real_rows(name: str, material: Material) -> Iterator[Row]:
    training = material.training
    for recipe in RECIPES:
        learned = adapt(training.queries, training.references, recipe=recipe, sequences=training.sequences)
        for examination in _judged(material):
            queries, gallery = examination.mapped(learned)
            yield Row(
                group=name,
                source="real",
                case=str(examination.question.direction),
                recipe=recipe,
                reverse=examination.question.queries.view.is_reference,
                truth=_recall(examination, queries, gallery),
                scores=score(descriptor_pair(queries, gallery)),
            )


def _predicted(learned: Calibration, row: Row) -> Predicted:
    share = learned.share(features_of(row.scores)[None])
    independent = np.array([float(min(row.scores.n_queries, row.scores.n_references))])
    half = float(learned.half_width(share, independent)[0])
    return Predicted(
        where=row.group if row.source == "real" else f"world, {row.group}, {row.case}",
        recipe=str(row.recipe),
        direction=row.case if row.source == "real" else "satellite_to_drone" if row.reverse else "drone_to_satellite",
        predicted=float(share[0]),
        low=max(0.0, float(share[0]) - half),
        high=min(1.0, float(share[0]) + half),
        truth=row.truth,
    )


def _tested(cases: Sequence[Case], materials: Sequence[tuple[str, Material]]) -> Iterator[Tested]:
    """Every set with itself, queries of each with references of others under the same frozen model, and with noise."""
    for case in cases:
        yield _test(f"world, {case.group}", case.train_queries, case.train_references, None, expected=True)
    for number, (name, material) in enumerate(materials):
        training = material.training
        yield _test(name, training.queries, training.references, training.sequences, expected=True)
        noise = np.random.default_rng(number).normal(size=training.queries.shape).astype(np.float32)
        yield _test(f"noise, and the tiles of {name}", noise, training.references, None, expected=False)
        yield _test(f"images of {name}, and noise", training.queries, noise, None, expected=False)
        for other_name, other in materials:
            if other.features == material.features and _unlike(other.dataset, material.dataset):
                pair_name = f"images of {name}, and tiles of {other_name}"
                yield _test(pair_name, training.queries, other.training.references, None, expected=False)


def _unlike(name: str, other: str) -> bool:
    """Maps of two dates show the same ground."""
    return name.partition("-")[0] != other.partition("-")[0]


def _test(
    where: str, queries: Float32Array, references: Float32Array, sequences: FrameSequences | None, *, expected: bool
) -> Tested:
    dependence = dependence_test(queries, references, sequences)
    return Tested(
        where=where, expected=expected, related=dependence.related, strength=dependence.strength, test=dependence.test
    )


def _write(result: JudgementResult, lake: Lake) -> JudgementOutcome:
    from cvgl.experiments.judgement_drawing import draw

    value = result.model_dump(mode="json")
    digest = digest_json(value)
    folder = lake.root / "reproductions" / "judgement" / digest[:12]
    figure = folder / "calibration.png"
    write_bytes(figure, draw(result.predictions))
    write_json(folder / "results.json", value)
    return JudgementOutcome(ArtifactRef("reproduction", folder, digest, f"judgement/{digest[:12]}"), result, figure)
