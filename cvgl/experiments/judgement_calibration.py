"""Learning the calibration of predictions from cases with known answers, and testing it on groups that were left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np

from cvgl import adapt
from cvgl.config import Recipe, Settings
from cvgl.experiments.judgement_cases import Case, recall_at_1
from cvgl.quality.prediction import MULTIPLIED, Calibration, deviation, feature_names, features_of
from cvgl.quality.scores import Scores, score
from cvgl.quality.similarity import descriptor_pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

RIDGE, ROUNDS, LEVEL = 3.0, 40, 0.9
RECIPES = (Recipe.FROZEN, Recipe.STANDARDISED, Recipe.ROBUST)
_FEWEST_ASKED = 10
_FULL_WEIGHT = 40.0  # independent images


class Row(Settings):
    """One case through one recipe in one direction: the scores, and the share that the answers show.

    Attributes:
        group: rows of one group err together.
        source: synthetic or world; both weigh alike.
        case: which corruption.
        recipe: how it was mapped.
        reverse: references ask for queries.
        truth: R@1.
        scores: told without labels.
    """

    group: str
    source: str
    case: str
    recipe: Recipe
    reverse: bool
    truth: float
    scores: Scores


def rows_of(case: Case, source: str) -> Iterator[Row]:
    """Every recipe, learned from the case's training rows, in both directions."""
    for recipe in RECIPES:
        learned = adapt(case.train_queries, case.train_references, recipe=recipe)
        queries = learned.transform_query(case.queries)
        references = learned.transform_reference(case.references)
        has_query = np.isin(case.reference_places, case.query_places)
        sides = [(queries, references, case.query_places, case.reference_places)]
        if has_query.sum() >= _FEWEST_ASKED:
            sides.append((references[has_query], queries, case.reference_places[has_query], case.query_places))
        for number, (asking, ranked, own, theirs) in enumerate(sides):
            yield Row(
                group=case.group,
                source=source,
                case=case.name,
                recipe=recipe,
                reverse=bool(number),
                truth=recall_at_1(asking, ranked, (own, theirs)),
                scores=score(descriptor_pair(asking, ranked)),
            )


@dataclass(frozen=True, slots=True)
class _Material:
    features: NDArray[np.float64]
    truth: NDArray[np.float64]
    weight: NDArray[np.float64]
    independent: NDArray[np.float64]
    groups: NDArray[np.str_]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> _Material:
        sources = [row.source for row in rows]
        return cls(
            features=np.stack([features_of(row.scores) for row in rows]),
            truth=np.array([row.truth for row in rows]),
            weight=np.array([len(rows) / sources.count(source) / len(set(sources)) for source in sources]),
            independent=np.array([min(row.scores.n_queries, row.scores.n_references) for row in rows], np.float64),
            groups=np.array([row.group for row in rows]),
        )

    def take(self, rows: NDArray[np.bool_]) -> _Material:
        return _Material(self.features[rows], self.truth[rows], self.weight[rows], self.independent[rows], self.groups[rows])


def learn(rows: Sequence[Row], folds: int = 10) -> Calibration:
    """Weighted ridge regression of logits on the scores; the interval from the residuals of groups that were left out.

    Args:
        rows: of worlds that nothing is judged on afterwards.
        folds: into which the groups are dealt, whole groups each.
    """
    material = _Material.of(rows)
    whole = _fit(material)
    share, truth = _left_out(material, folds), material.truth
    residual = np.abs(share - truth)
    model_deviation = _model_deviation(share, truth, material)
    relative = residual / deviation(share, material.independent, model_deviation)
    order = np.argsort(relative)
    reached = np.cumsum(material.weight[order]) / material.weight.sum()
    quantile = float(relative[order][np.searchsorted(reached, LEVEL)])
    return whole.model_copy(
        update={
            "model_deviation": model_deviation,
            "quantile": quantile,
            "made_from": f"{len(rows)} cases of {len(set(material.groups.tolist()))} made-up worlds",
        }
    )


def _left_out(material: _Material, folds: int) -> NDArray[np.float64]:
    """Each row predicted by what was learned from the groups of other folds."""
    groups = sorted(set(material.groups.tolist()))
    share = np.empty(len(material.truth))
    for fold in range(folds):
        held_out = np.isin(material.groups, groups[fold::folds])
        if held_out.any():
            share[held_out] = _fit(material.take(~held_out)).share(material.features[held_out])
    return share


def _model_deviation(share: NDArray[np.float64], truth: NDArray[np.float64], material: _Material) -> float:
    """What remains of the squared residuals when the draw of images is taken off, at a share of one half."""
    inner = np.clip(share, 0.02, 0.98)
    spread = inner * (1 - inner)
    rest = np.square(share - truth) - spread / material.independent
    return float(
        np.sqrt(max(1e-4, np.average(rest, weights=material.weight) / np.average(4 * spread, weights=material.weight)))
    )


def _fit(material: _Material) -> Calibration:
    """Iteratively reweighted least squares on fractions, as in logistic regression.

    Small cases, whose shares are coarse, count for less.
    """
    centre, scale = material.features.mean(axis=0), np.maximum(material.features.std(axis=0), 1e-3)
    names = feature_names()
    empty = Calibration(
        features=names,
        centre=tuple(np.round(centre, 6).tolist()),
        scale=tuple(np.round(scale, 6).tolist()),
        weights=(),
        products=tuple(combinations_with_replacement([names.index(name) for name in MULTIPLIED], 2)),
        intercept=0.0,
        model_deviation=0.0,
        quantile=1.645,
        level=LEVEL,
        made_from="",
    )
    terms = empty.terms(material.features)
    design = np.concatenate([np.ones((len(terms), 1)), terms], axis=1)
    penalty = RIDGE * np.diag([0.0] + [1.0] * terms.shape[1])
    weights = np.zeros(design.shape[1])
    counted = material.weight * np.minimum(1.0, material.independent / _FULL_WEIGHT)
    for _ in range(ROUNDS):
        share = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        curvature = counted * np.maximum(share * (1 - share), 1e-4)
        gradient = design.T @ (counted * (material.truth - share)) - penalty @ weights
        weights = weights + np.linalg.solve(design.T @ (design * curvature[:, None]) + penalty, gradient)
    rounded = np.round(weights, 6)
    return empty.model_copy(update={"weights": tuple(rounded[1:].tolist()), "intercept": float(rounded[0])})


class Error(Settings):
    """How well predictions hold on rows that had no part in the calibration.

    Attributes:
        mean_error: of the absolute differences, fraction.
        bias: mean of prediction minus truth.
        coverage: share of rows whose truth lies in its interval.
        draw: mean absolute difference that the draw of so many images alone gives reason to expect.
        count: rows.
    """

    mean_error: float
    bias: float
    coverage: float
    draw: float
    count: int


def error_of(learned: Calibration, rows: Sequence[Row]) -> Error:
    """Tests a calibration."""
    material = _Material.of(rows)
    share = learned.share(material.features)
    half = learned.half_width(share, material.independent)
    inner = np.clip(material.truth, 0.02, 0.98)
    draw = np.sqrt(2 / np.pi * inner * (1 - inner) / material.independent)  # mean absolute deviation of a Gaussian
    return Error(
        mean_error=float(np.abs(share - material.truth).mean()),
        bias=float((share - material.truth).mean()),
        coverage=float((np.abs(share - material.truth) <= half).mean()),
        draw=float(draw.mean()),
        count=len(rows),
    )
