"""What the paper's figures show of mapped descriptors: drawn with the figures of `cvgl.reporting`, and said in numbers.

An exhibit looks at one data set under one frozen model and at the maps that its experiment's configurations learn under the
first seed. What is drawn is also told as facts, so that a page without images still says it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cvgl.experiments.drawing import difference_histogram, recall_curves
from cvgl.experiments.material import Examination, Material
from cvgl.experiments.paper_rows import FROZEN, OURS, ROBUST
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake
from cvgl.reporting.content import Drawing
from cvgl.reporting.figures import Cloud, Similarities, draw_tsne, project, separation, similarity_histogram
from cvgl.reporting.gallery import Example, Strip, Tile, retrieval_gallery
from cvgl.retrieval import evaluate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.adaptation.standardise import DescriptorTransform
    from cvgl.retrieval import Evaluation

DEPTHS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20)
"""Of Fig. 2's curves; the paper does not print its own."""

SCENES, VIEWS_OF_A_SCENE = 100, 54  # of Fig. 12
_SHOWN_QUERIES, _SHOWN_ANSWERS = 6, 5
_BLOCK = 1024  # queries whose similarities are held at once


@dataclass(frozen=True, slots=True)
class Facts:
    """What a drawing shows, in numbers: a table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]


@dataclass(frozen=True, slots=True)
class Exhibit:
    """Drawings and what they show; no drawings where there was nothing to draw."""

    drawings: tuple[Drawing, ...]
    facts: Facts


@dataclass(frozen=True, slots=True)
class Shown:
    """What an exhibit is made of.

    Attributes:
        lake: with the images.
        material: descriptors and questions.
        transforms: what each configuration learned, by its name, the frozen model among them.
        protocol: decides which answers are right.
        model: name of the frozen model, for people.
    """

    lake: Lake
    material: Material
    transforms: Mapping[str, DescriptorTransform]
    protocol: str
    model: str

    def asked(self, direction: str) -> Examination | None:
        """The question of a direction; none where the data set does not ask it."""
        return next(
            (examination for examination in self.material.examinations if str(examination.question.direction) == direction),
            None,
        )

    def across(self) -> Examination | None:
        """From the view that is adapted to the satellite view."""
        return next(
            (examination for examination in self.material.examinations if examination.question.gallery.view.is_reference), None
        )

    def evaluation(self, name: str, examination: Examination, top_k: int = 1) -> Evaluation:
        """Evaluate one of the transforms on the split."""
        queries, gallery = examination.mapped(self.transforms[name])
        question = examination.question
        return evaluate(queries, question.queries.places, gallery, question.gallery.places, self.protocol, top_k=top_k)


def recall(measured: Shown) -> Exhibit:
    """Recall at k of the frozen model within one view and across views (Fig. 2)."""
    curves = {}
    for examination in measured.material.examinations:
        if examination.question.queries.view.is_reference:
            continue
        outcomes = measured.evaluation(FROZEN, examination).per_query
        ranks = outcomes.rank[outcomes.labelled]
        curves[str(examination.question.direction)] = [float(((ranks >= 1) & (ranks <= depth)).mean()) for depth in DEPTHS]
    rows: tuple[tuple[str | float, ...], ...] = tuple((_words(curve), *values) for curve, values in curves.items())
    drawing = Drawing(
        name="recall",
        title=f"Recall of the frozen model within one view and across views: {measured.model}",
        caption="Within one view, each place's gallery image is one of its drone images and the others ask for it.",
        alt=f"Curves of recall over the number of answers, {' and '.join(map(_words, curves))}",
        draw=partial(recall_curves, {_words(direction): values for direction, values in curves.items()}, DEPTHS),
    )
    return Exhibit((drawing,), Facts(("task", *(f"R@{depth}" for depth in DEPTHS)), rows))


def gallery(measured: Shown, direction: str) -> Exhibit:
    """Queries with the best answers of the frozen and the adapted model (Fig. 9 and 10)."""
    columns = ("configuration", "right at first", "corrected", "lost")
    examination = measured.asked(direction)
    if examination is None:
        return Exhibit((), Facts(columns, ()))
    evaluations = {name: measured.evaluation(name, examination, _SHOWN_ANSWERS) for name in (FROZEN, OURS, ROBUST)}
    right = {name: evaluation.per_query.rank == 1 for name, evaluation in evaluations.items()}
    counted = evaluations[FROZEN].per_query.labelled
    rows = tuple(
        (
            name,
            f"{int((right[name] & counted).sum())} of {int(counted.sum())}",
            int((right[name] & ~right[FROZEN] & counted).sum()),
            int((~right[name] & right[FROZEN] & counted).sum()),
        )
        for name in evaluations
    )
    examples = _examples(measured, examination, evaluations, _chosen(right, counted))
    if not examples:
        return Exhibit((), Facts(columns, rows))
    drawing = Drawing(
        name="gallery",
        title=f"Retrieval, {_words(direction)}: {measured.model}",
        caption="Best answers first, with their similarity; right ones framed solid, wrong ones dashed. Queries are drawn by "
        "the hash of the image: half of them corrected by an adaptation, where there are such, the others as they come.",
        alt=f"Queries and their best answers, {_words(direction)}",
        draw=partial(retrieval_gallery, examples),
        dpi=100,
    )
    return Exhibit((drawing,), Facts(columns, rows))


def _chosen(right: Mapping[str, NDArray[np.bool_]], counted: NDArray[np.bool_]) -> list[int]:
    """Rows of queries in the order of their ids, which are hashes and so a fair draw; corrected ones first."""
    changed = counted & ~right[FROZEN] & (right[OURS] | right[ROBUST])
    corrected = np.flatnonzero(changed)[: _SHOWN_QUERIES // 2].tolist()
    others = [row for row in np.flatnonzero(counted).tolist() if row not in corrected]
    return [*corrected, *others[: _SHOWN_QUERIES - len(corrected)]]


def _examples(
    measured: Shown, examination: Examination, evaluations: Mapping[str, Evaluation], rows: list[int]
) -> tuple[Example, ...]:
    images = read_images(measured.lake, measured.material.dataset)
    files = dict(zip(images["image_id"].to_pylist(), map(Path, images["uri"].to_pylist()), strict=True))
    question = examination.question

    def answers(evaluation: Evaluation, row: int) -> tuple[Tile, ...]:
        per_query = evaluation.per_query
        indices, scores = per_query.top_index[row].tolist(), per_query.top_score[row].tolist()
        return tuple(
            Tile(files.get(question.gallery.image_ids[index]), f"{score:.3f}", bool(correct))
            for index, score, correct in zip(indices, scores, per_query.top_correct[row].tolist(), strict=True)
        )

    return tuple(
        Example(
            Tile(files.get(question.queries.image_ids[row]), question.queries.places[row] or ""),
            tuple(Strip(name, answers(answers_of, row)) for name, answers_of in evaluations.items()),
        )
        for row in rows
    )


def similarities(measured: Shown) -> Exhibit:
    """Top-1 similarities of right and wrong answers, frozen and adapted (Fig. 11)."""
    columns = ("configuration", "matched", "unmatched", "mean matched", "mean unmatched", "lowest", "highest", "separation")
    examination = measured.across()
    if examination is None:
        return Exhibit((), Facts(columns, ()))
    panels, rows = [], []
    for name in measured.transforms:
        outcomes = measured.evaluation(name, examination).per_query
        score, right = outcomes.top_score[outcomes.labelled, 0], outcomes.top_correct[outcomes.labelled, 0]
        matched, unmatched = score[right], score[~right]
        panels.append(Similarities(name, matched, unmatched))
        area = separation(matched, unmatched)
        means = [float(scores.mean()) if len(scores) else "none" for scores in (matched, unmatched)]
        bounds = [float(value) for value in np.percentile(score, [1, 99])]
        rows.append((name, len(matched), len(unmatched), *means, *bounds, "none" if area is None else area))
    drawing = Drawing(
        name="similarities",
        title=f"Similarity of matched and unmatched pairs: {measured.model}",
        caption="Top-1 answers of every query: matched pairs are right, unmatched ones wrong. Separation: the probability that "
        "a matched pair is more similar than an unmatched one (0.5 is chance). Lowest and highest: percentiles 1 and 99.",
        alt="Histograms of top-1 similarity of matched and unmatched pairs, one panel a configuration",
        draw=partial(similarity_histogram, panels),
    )
    return Exhibit((drawing,), Facts(columns, tuple(rows)))


def tsne(measured: Shown) -> Exhibit:
    """Both views of some places in two dimensions, frozen and adapted (Fig. 12)."""
    columns = ("configuration", "places", "own tile nearest in the plane", "distance of the views' means")
    examination = measured.across()
    queries, references, pairs = ([], [], []) if examination is None else _scenes(examination)
    if examination is None or len(queries) + len(references) < 4:
        return Exhibit((), Facts(columns, ()))
    panels, rows = [], []
    for name in (FROZEN, OURS, ROBUST):
        mapped_queries, mapped_gallery = examination.mapped(measured.transforms[name])
        cloud = Cloud(name, mapped_queries[queries], mapped_gallery[references])
        points = project(cloud)
        panels.append((cloud, points))
        gap = float(np.linalg.norm(cloud.query.mean(axis=0) - cloud.reference.mean(axis=0)))
        rows.append((name, len(references), _nearest_share(points, len(queries), pairs), gap))
    drawing = Drawing(
        name="tsne",
        title=f"Both views in descriptor space (t-SNE): {measured.model}",
        caption=f"{len(references)} places drawn by hash, lines join the images of one. Own tile nearest: share of the drone "
        "images in the plane whose nearest satellite image is their own place's.",
        alt="Scatter plots of drone and satellite descriptors, one panel a configuration",
        draw=lambda theme: draw_tsne(panels, pairs, theme),
    )
    return Exhibit((drawing,), Facts(columns, tuple(rows)))


def _scenes(examination: Examination) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Rows of queries and of the gallery, and which of them show one place; in the order of the ids, which are hashes."""
    question = examination.question
    tiles = {place: row for row, place in reversed(list(enumerate(question.gallery.places))) if place is not None}
    members: dict[str, list[int]] = {}
    for row, place in enumerate(question.queries.places):
        if place in tiles:
            members.setdefault(place, []).append(row)
    queries: list[int] = []
    references: list[int] = []
    pairs: list[tuple[int, int]] = []
    for place, rows in list(members.items())[:SCENES]:
        first_rows = rows[:VIEWS_OF_A_SCENE]
        pairs += [(len(queries) + number, len(references)) for number in range(len(first_rows))]
        queries += first_rows
        references.append(tiles[place])
    return queries, references, pairs


def _nearest_share(points: NDArray[np.float32], n_queries: int, pairs: list[tuple[int, int]]) -> float:
    query, reference = points[:n_queries], points[n_queries:]
    nearest = ((query[:, None] - reference) ** 2).sum(axis=2).argmin(axis=1)
    return float(np.mean([nearest[row] == own for row, own in pairs]))


def differences(measured: Shown) -> Exhibit:
    """Similarity to the right answer minus that to the hardest wrong one, for every configuration (Fig. 13)."""
    columns = ("configuration", "mean", "median", "above 0", "deviation")
    examination = measured.across()
    if examination is None:
        return Exhibit((), Facts(columns, ()))
    differences_by_name = {
        name: similarity_differences(examination, transform) for name, transform in measured.transforms.items()
    }
    rows = tuple(
        (name, float(values.mean()), float(np.median(values)), float((values > 0).mean()), float(values.std()))
        for name, values in differences_by_name.items()
        if len(values)
    )
    if not rows:
        return Exhibit((), Facts(columns, ()))
    drawing = Drawing(
        name="differences",
        title=f"Similarity to the right answer minus that to the hardest wrong one: {measured.model}",
        caption="Above 0 the first answer is right. Every configuration has its own spread of similarities, so the share above "
        "0 compares them, and the width alone does not.",
        alt="Histograms of similarity differences, one line a configuration",
        draw=partial(difference_histogram, differences_by_name),
    )
    return Exhibit((drawing,), Facts(columns, rows))


def similarity_differences(examination: Examination, transform: DescriptorTransform) -> NDArray[np.float64]:
    """sim_T - sim_N of every query with a right answer and a wrong one (Section IV-F): float64 (n,).

    Of several right answers the most similar counts.
    """
    queries, gallery = examination.mapped(transform)
    places = {
        place: code for code, place in enumerate(sorted({p for p in examination.question.gallery.places if p is not None}))
    }
    query_labels = np.array(
        [places.get(place, -1) if place is not None else -1 for place in examination.question.queries.places]
    )
    reference_labels = np.array(
        [places.get(place, -2) if place is not None else -2 for place in examination.question.gallery.places]
    )
    parts = []
    for start in range(0, len(queries), _BLOCK):
        scores = (queries[start : start + _BLOCK] @ gallery.T).astype(np.float64)
        right = query_labels[start : start + _BLOCK, None] == reference_labels
        parts.append(np.where(right, scores, -np.inf).max(axis=1) - np.where(right, -np.inf, scores).max(axis=1))
    joined = np.concatenate(parts)
    return np.asarray(joined[np.isfinite(joined)], np.float64)


def _words(direction: str) -> str:
    return direction.replace("_", " ")


EXHIBITS: Mapping[str, Callable[[Shown], Exhibit]] = {
    "recall": recall,
    "drone_to_satellite gallery": partial(gallery, direction="drone_to_satellite"),
    "satellite_to_drone gallery": partial(gallery, direction="satellite_to_drone"),
    "similarities": similarities,
    "tsne": tsne,
    "differences": differences,
}
