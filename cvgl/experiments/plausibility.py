"""Scores that cannot be, refused with their likely cause.

A table in which everything is 100 % is nearly always a wrong ground truth or one image under two names; descriptors that
are all the same, or hold NaN, come from weights that do not fit. Better no figure than such a one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cvgl.errors import GateRefusal
from cvgl.experiments.material import Examination, Material

if TYPE_CHECKING:
    from cvgl.experiments.measuring import Measurement
    from cvgl.types import Float32Array

FEWEST = 20  # queries, and images in the gallery: with fewer, all right is nothing that cannot be
_SAME = 1e-6  # of the largest difference between descriptors of unit length: rounding
_CHECKED = 4096  # rows looked at, of either side


def check_descriptors(material: Material) -> None:
    """Refuses frozen descriptors that can tell nothing apart.

    Raises:
        GateRefusal: NaN or infinite values, or one descriptor for all images of a side.
    """
    sides = {"training images of the query view": material.training.queries}
    sides["training images of the satellite view"] = material.training.references
    for examination in material.examinations:
        sides[f"queries, {examination.question.direction}"] = examination.queries
        sides[f"gallery, {examination.question.direction}"] = examination.gallery
    for name, rows in sides.items():
        _check_side(name, rows, material.dataset)


def _check_side(name: str, rows: Float32Array, dataset: str) -> None:
    if not np.isfinite(rows).all():
        raise GateRefusal(
            f"the descriptors of the {name} hold NaN or infinite values, so no score of them means anything",
            where=dataset,
            fix="check the weights (a damaged file?) and --precision, delete the features of this model, and extract again",
        )
    sample = rows[:_CHECKED]
    if len(sample) > 1 and float(np.ptp(sample, axis=0).max()) < _SAME:
        raise GateRefusal(
            f"all {len(rows):,} descriptors of the {name} are the same, so every ranking of them is one of ties",
            where=dataset,
            fix="check that the weights belong to the model, and that the images are not all one image",
        )


def check_scores(measured: Mapping[str, Sequence[Measurement]], material: Material) -> None:
    """Refuses a table in which every configuration answers everything right across views, and figures that are none.

    Args:
        measured: what each configuration reached, the frozen model among them.
        material: what they were asked.

    Raises:
        GateRefusal: with the likely cause.
    """
    figures = [figure for measurements in measured.values() for measurement in measurements for figure in measurement.figures]
    for figure in figures:
        rates = [*figure.recall.values(), figure.ap]
        if not all(math.isfinite(rate) and 0 <= rate <= 1 for rate in rates):
            raise GateRefusal(
                f"{figure.direction}: a rate is {rates}, which is no share",
                where=material.dataset,
                fix="delete reproductions/measurements in the lake and measure again",
            )
    across = [figure for figure in figures if figure.direction != "drone_to_drone"]
    large = all(min(figure.n_queries, figure.n_gallery) >= FEWEST for figure in across)
    if across and large and all(figure.recall["1"] == 1 for figure in across):
        cause, fix = _cause(material.examinations)
        raise GateRefusal(
            f"every configuration, the frozen model included, answers all queries right: {cause}",
            where=material.dataset,
            fix=fix,
        )


def _cause(examinations: Sequence[Examination]) -> tuple[str, str]:
    for examination in examinations:
        places = {place for place in examination.question.gallery.places if place is not None}
        if len(places) < 2:
            return (
                f"all {len(examination.gallery):,} gallery images show one place ('{next(iter(places), '')}')",
                "give each place a folder or location_id of its own",
            )
        if examination.question.queries.view is not examination.question.gallery.view and _same_images(examination):
            return (
                "queries and gallery have the same descriptors, so the same images lie under both views",
                "check that the folders of drone and satellite images do not hold copies of one another",
            )
    return (
        "the ground truth follows from the pictures' names or content and not from what they show, or a label has leaked",
        "shuffle the places of the test images: scores that stay at 100 % prove a leak; else check the folders",
    )


def _same_images(examination: Examination) -> bool:
    queries, gallery = examination.queries[:_CHECKED], examination.gallery
    return bool(((queries @ gallery.T).max(axis=1) > 1 - _SAME).all())
