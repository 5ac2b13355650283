"""One calibrated figure: the R@1 that labels would show, told from scores alone, with an interval.

A generalised linear model of the scores, on logits, learned from made-up worlds whose answers are known
(`benchmarks/calibration.py`, docs/lab-notebook/judgement.md); no real image had a part in it. The interval is conformal:
residuals of groups that were left out,
in units of the deviation that the figure and the number of images give reason to expect. What is
learned is in calibration.json, beside this module.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from cvgl.config import Settings
from cvgl.lake import read_json
from cvgl.quality.scores import Halves, Scores
from cvgl.quality.similarity import DescriptorPair

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FARTHEST = 4.0  # deviations
CALIBRATION_FILE = Path(__file__).with_name("calibration.json")


class Prediction(Settings):
    """A share of the queries as it would be measured with labels."""

    value: float = Field(description="fraction")
    low: float = Field(description="of the interval")
    high: float
    level: float = Field(description="how often the interval is meant to hold the measured share")


class Calibration(Settings):
    """What was learned from made-up worlds.

    Attributes:
        features: names of what `features_of` gives, in the order of the weights.
        centre, scale: of each feature.
        weights: of each standardised feature, then of each product.
        products: of which standardised features products enter, too.
        intercept: logit of the share where all features are at their centre.
        model_deviation: of the prediction, beside what the number of images explains.
        quantile: of the absolute residuals over their deviation.
        level: of the interval.
        made_from: how many cases, of how many groups.
    """

    features: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    products: tuple[tuple[int, int], ...]
    intercept: float
    model_deviation: float
    quantile: float
    level: float
    made_from: str

    def share(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predicted shares, float64 (n,), of features (n, F)."""
        logit = self.intercept + self.terms(features) @ np.array(self.weights)
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -30, 30))))

    def terms(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is weighed, float64 (n, F + P): standardised features and their products; far-out values are drawn in."""
        standard = np.clip((features - np.array(self.centre)) / np.array(self.scale), -_FARTHEST, _FARTHEST)
        first, second = np.array(self.products, np.int64).reshape(-1, 2).T
        return np.concatenate([standard, standard[:, first] * standard[:, second]], axis=1)

    def half_width(self, share: NDArray[np.float64], independent: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the interval around each share, from so many images that err on their own."""
        return np.asarray(self.quantile * deviation(share, independent, self.model_deviation))


def deviation(share: NDArray[np.float64], independent: NDArray[np.float64], model_deviation: float) -> NDArray[np.float64]:
    """What a measured share may differ by: the draw of images, and the model's own error, largest in the middle."""
    inner = np.clip(share, 0.02, 0.98)
    spread = inner * (1 - inner)
    return np.asarray(np.sqrt(spread / independent + np.square(model_deviation) * 4 * spread))


FEATURES = (
    "stability_halves",
    "stability_halves_corrected",
    "stability_quarters",
    "stability_decorrelated",
    "stability_dropped",
    "reciprocity",
    "reciprocity_corrected",
    "reciprocity_reverse",
    "reciprocity_near",
    "reciprocity_far",
    "cycle_consistency",
    "correction_agreement",
    "coverage",
    "neighbour_agreement",
)
"""Shares that enter as logits. Besides them: the margin, the gallery's size, and how many queries there are a reference."""


MULTIPLIED = (
    "stability_halves",
    "stability_halves_corrected",
    "stability_decorrelated",
    "reciprocity",
    "reciprocity_corrected",
    "reciprocity_far",
    "log_references",
    "log_queries_a_reference",
)
"""Features whose products, squares among them, are weighed, too: what a share of reciprocity says depends on the sizes."""


def features_of(scores: Scores) -> NDArray[np.float64]:
    """float64 (F,): logits of shares, and logarithms of what is no share."""
    shares = np.array([getattr(scores, name) for name in FEATURES])
    rest = [
        np.log(scores.margin + 0.05),
        np.log(scores.n_references),
        np.log(scores.n_queries / scores.n_references),
    ]
    return np.concatenate([_logit(shares), rest])


def feature_names() -> tuple[str, ...]:
    """Of `features_of`."""
    return (*FEATURES, "log_margin", "log_references", "log_queries_a_reference")


def _logit(share: NDArray[np.float64]) -> NDArray[np.float64]:
    inner = np.clip(share, 0.02, 0.98)
    return np.asarray(np.log(inner / (1 - inner)))


@cache
def calibration() -> Calibration:
    """The calibration that comes with this version.

    Raises:
        LakeError: the file is damaged.
    """
    return Calibration.model_validate(read_json(CALIBRATION_FILE))


def predict(scores: Scores) -> Prediction:
    """The R@1 to be expected, with its interval."""
    return _prediction(scores, 0.0)


def predict_within(scores: Scores, views: DescriptorPair, radius_m: float) -> Prediction | None:
    """The share of queries placed within a radius, to be expected; none where positions of references are not known.

    An answer can be near without being right. How often shows in the halves of the descriptor: they agree to within the
    radius more often, beyond chance, than on the very same reference, and what they add there is added to the prediction.

    Args:
        scores: of the views.
        views: with positions.
        radius_m: metres.
    """
    if views.positions is None or not np.isfinite(views.positions).all():
        return None
    same, near = [], []
    positions = views.positions
    distances = np.hypot(*(positions[:, None] - positions[None]).transpose(2, 0, 1))
    for first, second in Halves(views, parts=2).pairs():
        shares = [np.bincount(answers, minlength=len(positions)) / len(answers) for answers in (first, second)]
        close = distances <= radius_m
        near.append(_beyond(float(close[first, second].mean()), float(shares[0] @ close @ shares[1])))
        same.append(_beyond(float((first == second).mean()), float(shares[0] @ shares[1])))
    if not near:
        return None
    more = float(np.clip((np.mean(near) - np.mean(same)) / max(1 - float(np.mean(same)), 1e-6), 0, 1))
    return _prediction(scores, more)


def _beyond(observed: float, expected: float) -> float:
    return (observed - expected) / (1 - expected) if expected < 1 else 0.0


def _prediction(scores: Scores, more: float) -> Prediction:
    learned = calibration()
    share = learned.share(features_of(scores)[None])
    share = share + (1 - share) * more
    # Several queries of one place err together: there are no more independent ones than references.
    independent = np.array([float(min(scores.n_queries, scores.n_references))])
    half = learned.half_width(share, independent)
    value = float(share[0])
    return Prediction(
        value=value, low=max(0.0, value - float(half[0])), high=min(1.0, value + float(half[0])), level=learned.level
    )
