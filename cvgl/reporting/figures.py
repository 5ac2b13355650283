"""The paper's figures from arrays: similarity histograms (Fig. 11), t-SNE of both views (Fig. 12), training curves.

Each function returns a matplotlib `Figure`: show it in a notebook, or make bytes of it with `cvgl.reporting.theme`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.errors import DataError, require
from cvgl.reporting.theme import LIGHT, Theme, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from cvgl.types import Float32Array

_WIDE_SPREAD = 20.0  # largest over smallest loss, from where on a linear axis hides the small ones
_LONGEST_CURVE = 400  # points of a line: more are not seen and make the file large


@dataclass(frozen=True, slots=True)
class Similarities:
    """Top-1 similarities of one stage, split by whether the answer is right.

    Attributes:
        title: e.g. "frozen".
        matched: cosines of the true positives among the top-1 answers.
        unmatched: cosines of the false positives.
    """

    title: str
    matched: ArrayLike
    unmatched: ArrayLike


@dataclass(frozen=True, slots=True)
class Cloud:
    """Descriptors of both views at one stage.

    Attributes:
        title: e.g. "adapted".
        query: float32 (M, d).
        reference: float32 (N, d).
    """

    title: str
    query: Float32Array
    reference: Float32Array


def separation(matched: ArrayLike, unmatched: ArrayLike) -> float | None:
    """Probability that a matched pair is more similar than an unmatched one (area under the ROC curve); ties count half.

    None when one of the two is empty. 0.5: similarity says nothing about whether an answer is right.
    """
    right, wrong = np.sort(_finite(matched)), _finite(unmatched)
    if not len(right) or not len(wrong):
        return None
    above = len(right) - np.searchsorted(right, wrong, side="right")
    ties = np.searchsorted(right, wrong, side="right") - np.searchsorted(right, wrong, side="left")
    return float((above + ties / 2).sum() / (len(right) * len(wrong)))


def similarity_histogram(panels: Sequence[Similarities], theme: Theme = LIGHT, bins: int = 30) -> Figure:
    """Histograms of matched against unmatched top-1 pairs, one panel a stage (Li et al. 2024, Fig. 11).

    Every panel has its own range: frozen descriptors of a foundation model may all lie between 0.98 and 1.

    Raises:
        DataError: no panels.
        MissingDependencyError: matplotlib is not installed.
    """
    with drawing(theme) as figures:
        figure, axes = _row_of_axes(figures, len(panels), height=3.3)
        for axis, panel in zip(axes, panels, strict=True):
            matched, unmatched = _finite(panel.matched), _finite(panel.unmatched)
            edges = _edges(np.concatenate([matched, unmatched]), bins)
            for values, colour, name in ((unmatched, theme.reference, "unmatched"), (matched, theme.query, "matched")):
                axis.hist(values, edges, color=colour, alpha=0.45, histtype="stepfilled", label=f"{name} ({len(values)})")
                axis.hist(values, edges, color=colour, histtype="step", linewidth=1.4)
            area = separation(matched, unmatched)
            axis.set_title(panel.title if area is None else f"{panel.title} — separation {area:.2f}")
            axis.set_xlabel("cosine similarity of the top answer")
            axis.legend(loc="upper left")
            axis.margins(y=0.32)  # room for the legend above the bars
        axes[0].set_ylabel("queries")
    return figure


def training_curves(history: Sequence[Mapping[str, float]], theme: Theme = LIGHT) -> Figure:
    """Losses, pseudo-label shares and other metrics over the iterations of EM.

    Args:
        history: one mapping an iteration, name -> value; ``iteration`` numbers it. Names that start with ``loss`` share a
            panel, as do names that end with ``_share``; the rest share the last one.

    Raises:
        DataError: no iterations, or none has a figure.
        MissingDependencyError: matplotlib is not installed.
    """
    groups = _curve_groups(history)
    if not groups:
        raise DataError("there is no iteration to draw", where="history", fix="give the history of an adapter")
    with drawing(theme) as figures:
        figure, axes = _row_of_axes(figures, len(groups), height=3.1)
        for axis, (label, names) in zip(axes, groups.items(), strict=True):
            for number, name in enumerate(names):
                iterations, values = _curve(history, name)
                colour = theme.series[number % len(theme.series)]
                style = ("-", "--", ":")[number // len(theme.series) % 3]
                marker = "o" if len(values) == 1 else None
                axis.plot(iterations, values, style, color=colour, marker=marker, linewidth=1.7, label=_words(name))
            axis.set_title(label)
            axis.set_xlabel("iteration")
            axis.legend(loc="best")
            if label == "shares":
                axis.set_ylim(-0.03, 1.03)
            elif label == "losses" and _spread(history, names) > _WIDE_SPREAD:
                axis.set_yscale("log")  # a reconstruction loss is a sum over dimensions and dwarfs the contrastive terms
    return figure


def tsne(panels: Sequence[Cloud], pairs: Sequence[tuple[int, int]] = (), theme: Theme = LIGHT, seed: int = 0) -> Figure:
    """Both views in two dimensions, one panel a stage (Li et al. 2024, Fig. 12).

    Args:
        panels: the same images at several stages.
        pairs: (query row, reference row) of the same place, joined by a line.

    Raises:
        DataError: no panels, a panel with fewer than three points, or values that are not finite.
        MissingDependencyError: matplotlib or scikit-learn is not installed.
    """
    return draw_tsne([(panel, project(panel, seed)) for panel in panels], pairs, theme)


def project(panel: Cloud, seed: int = 0) -> NDArray[np.float32]:
    """t-SNE of the query rows followed by the reference rows: float32 (M + N, 2). Equal input gives equal output.

    Raises:
        DataError, MissingDependencyError: see `tsne`.
    """
    manifold: Any = require("sklearn.manifold", extra="pipeline", purpose="draw t-SNE figures")
    threads: Any = require("threadpoolctl", extra="pipeline", purpose="draw t-SNE figures")  # comes with scikit-learn
    values = np.concatenate([panel.query, panel.reference]).astype(np.float32)
    if len(values) < 3:
        raise DataError(f"t-SNE needs three points and got {len(values)}", where=panel.title, fix="give more images")
    if not np.isfinite(values).all():
        raise DataError("the descriptors hold NaN or infinite values", where=panel.title, fix="extract the features again")
    perplexity = min(30.0, (len(values) - 1) / 3)
    # Starting from random positions, because PCA fails on descriptors that are all the same.
    model = manifold.TSNE(2, perplexity=perplexity, init="random", learning_rate="auto", random_state=seed, max_iter=750)
    # At a few hundred points threads only wait for one another (6 s with two, 1 s with one); one also fixes the order of sums.
    with threads.threadpool_limits(1):
        return np.asarray(model.fit_transform(values), np.float32)


def draw_tsne(
    panels: Sequence[tuple[Cloud, NDArray[np.float32]]], pairs: Sequence[tuple[int, int]] = (), theme: Theme = LIGHT
) -> Figure:
    """Draws what `project` computed; see `tsne`."""
    with drawing(theme) as figures:
        figure, axes = _row_of_axes(figures, len(panels), height=5.4, width=6.4)
        for axis, (panel, points) in zip(axes, panels, strict=True):
            query, reference = points[: len(panel.query)], points[len(panel.query) :]
            for query_row, reference_row in pairs:
                line = np.stack([query[query_row], reference[reference_row]])
                axis.plot(line[:, 0], line[:, 1], color=theme.muted, linewidth=0.4, alpha=0.25, zorder=1)
            axis.scatter(*query.T, s=11, color=theme.query, linewidths=0, label=f"query view ({len(query)})", zorder=2)
            axis.scatter(
                *reference.T,
                s=30,
                facecolors="none",
                edgecolors=theme.reference,
                label=f"satellite ({len(reference)})",
                zorder=3,
            )
            axis.set_title(panel.title)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(True)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _row_of_axes(figures: Any, count: int, height: float, width: float = 4.3) -> tuple[Figure, list[Any]]:
    if count == 0:
        raise DataError("there is nothing to draw", where="panels", fix="give at least one panel")
    # Constrained layout sizes everything from the text, so long names do not overlap.
    figure: Figure = figures.Figure(figsize=(max(width * count, 5.5), height), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64).ravel()
    return array[np.isfinite(array)]


def _edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    if not len(values):
        return np.linspace(-1, 1, bins + 1)
    low, high = values.min(), values.max()
    # All values equal: a bar of visible width around them.
    margin = 0.0 if high - low > 1e-6 else 0.01
    return np.linspace(low - margin, high + margin, bins + 1)


def _curve_groups(history: Sequence[Mapping[str, float]]) -> dict[str, list[str]]:
    names = sorted({name for entry in history for name in entry} - {"iteration"})
    losses = [name for name in names if name.startswith("loss")]
    shares = [name for name in names if name.endswith("_share")]
    rest = [name for name in names if name not in losses and name not in shares]
    groups = {"losses": losses, "shares": shares, "similarity" if len(rest) == 1 else "other": rest}
    return {label: group for label, group in groups.items() if group}


def _curve(history: Sequence[Mapping[str, float]], name: str) -> tuple[list[float], list[float]]:
    points = [(entry.get("iteration", row), entry[name]) for row, entry in enumerate(history, 1) if name in entry]
    step = -(-len(points) // _LONGEST_CURVE)
    thinned = points[::step] if (len(points) - 1) % step == 0 else [*points[::step], points[-1]]
    return [float(iteration) for iteration, _ in thinned], [float(value) for _, value in thinned]


def _spread(history: Sequence[Mapping[str, float]], names: Sequence[str]) -> float:
    """Largest over smallest value; 1 where one is not positive, which a logarithmic axis cannot show."""
    values = [entry[name] for entry in history for name in names if name in entry]
    return max(values) / min(values) if min(values) > 0 else 1.0


def _words(name: str) -> str:
    return name.removeprefix("loss_").removesuffix("_share").replace("_", " ")
