"""The registry of experiments. To add one, add an entry to `EXPERIMENTS`: nothing else has to know.

An experiment is a list of configurations, in the order in which they are shown. A configuration says how descriptors are
mapped, by the name of a learner and changes to the default settings of adaptation, and what the paper printed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cvgl.config import Recipe
from cvgl.errors import ConfigError

D_TO_S = "drone_to_satellite"
PAPER_MODEL = "DINOv2 ViT-g (d0 = 1536) on all of University-1652"
STANDARDISED = Recipe.PAPER_STANDARDISED


@dataclass(frozen=True, slots=True)
class Answering:
    """How a place is told once descriptors are mapped.

    Attributes:
        corrected: similarities are hubness-corrected against statistics of the training (`cvgl.adaptation.correction`).
        window: an answer rests on so many consecutive pictures, this one and those before it; none: on one.
    """

    corrected: bool = False
    window: int | None = None


SINGLE = Answering()


class Learner(StrEnum):
    """How a configuration comes to its map."""

    FROZEN = "frozen"  # nothing is learned
    STANDARDISED = "standardised"  # each view's own mean and deviation
    ADAPTED = "adapted"  # cvgl.adaptation.adapt, without labels
    BALANCED = "adapted with building-balanced draws"  # the same, with draws that know the buildings: ground truth
    SUPERVISED = "supervised"  # true pairs: an upper bound, for evaluation only

    @property
    def needs_ground_truth(self) -> bool:
        return self in (Learner.BALANCED, Learner.SUPERVISED)

    @property
    def is_random(self) -> bool:
        """Whether a seed changes anything."""
        return self not in (Learner.FROZEN, Learner.STANDARDISED)


class Sampling(StrEnum):
    """How the released trainer draws its queries."""

    UNIFORM = "uniform"
    BUILDING_BALANCED = "building-balanced"


@dataclass(frozen=True, slots=True)
class Published:
    """What the paper printed, as fractions; with another frozen model and more data, so no target."""

    recall_at_1: float
    ap: float
    direction: str = D_TO_S


@dataclass(frozen=True, slots=True)
class Configuration:
    """One row of a table, or one point of a curve.

    Attributes:
        name: what the row is called.
        learner: how it comes to its map.
        changes: fields of `AdaptConfig` that differ from its defaults; ``dimension: None`` is d0.
        published: the paper's figures for it.
        series: the curve that it is a point of.
        x: where on the curve.
        sequences: a recipe that looks at which pictures were taken in a row is told, where some were.
        answering: how a place is told.
    """

    name: str
    learner: Learner
    changes: Mapping[str, Any] = field(default_factory=dict)
    published: Published | None = None
    series: str = ""
    x: float | None = None
    sequences: bool = True
    answering: Answering = SINGLE

    @property
    def is_robust(self) -> bool:
        """Whether the project's targets are set for it: its own recipe, with all that it may know."""
        return self.changes.get("recipe") == Recipe.ROBUST and self.sequences


@dataclass(frozen=True, slots=True)
class Situation:
    """What configurations may depend on.

    Attributes:
        d0: dimension of the frozen descriptors.
        n_queries: pictures of the drone or ground view to learn from.
        n_references: satellite pictures to learn from.
        sampling: of the released trainer.
        learns_along: pictures to learn from were taken in a row, over references whose positions are known.
        asks_along: test pictures were taken in a row.
    """

    d0: int
    n_queries: int
    n_references: int
    sampling: Sampling = Sampling.UNIFORM
    learns_along: bool = False
    asks_along: bool = False


@dataclass(frozen=True, slots=True)
class Experiment:
    """A table or figure of the paper, or an experiment of this project's own.

    Attributes:
        name: for the command line.
        source: where in the paper.
        title: what it is about.
        finding: what the paper concludes from it.
        configurations: for a situation, in the order shown.
        protocol: `cvgl.retrieval.protocols` name; none: what each data set is usually judged by.
        published_with: the frozen model and data of the published figures.
        axis: what x is; an experiment with an axis is drawn as well.
        seeds: of the trainings, unless others are asked for.
        baselines: names of configurations to which the others are compared, query by query.
        across_sources: the data root may hold several data sets, each measured on its own.
        aligns: each data set is measured twice, with whole pictures and with an alignment chosen without labels.
    """

    name: str
    source: str
    title: str
    finding: str
    configurations: Callable[[Situation], tuple[Configuration, ...]]
    protocol: str | None = "university1652-951"
    published_with: str = PAPER_MODEL
    axis: str | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    baselines: tuple[str, ...] = ()
    across_sources: bool = False
    aligns: bool = False


def get(name: str) -> Experiment:
    """The experiment of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in EXPERIMENTS:
        raise ConfigError(
            f"there is no experiment '{name}'", where="EXPERIMENT", fix=f"choose one of: {', '.join(EXPERIMENTS)}"
        )
    return EXPERIMENTS[name]


def _table6(situation: Situation) -> tuple[Configuration, ...]:
    """Every adapter has d = d0, as the paper's text asks for "a fair comparison"; the released trainer keeps its own d."""
    paper = {"recipe": Recipe.PAPER, "dimension": None}
    standardised = {"recipe": STANDARDISED, "dimension": None}
    without_aic = {"reconstruction_weight": 0.0}
    return (
        Configuration("frozen", Learner.FROZEN, published=Published(0.3160, 0.3660)),
        Configuration("view-standardised", Learner.STANDARDISED),
        Configuration("supervised upper bound", Learner.SUPERVISED, {**paper, **without_aic}, Published(0.5961, 0.7089)),
        Configuration("EMPL", Learner.ADAPTED, {**paper, **without_aic}, Published(0.6393, 0.7379)),
        Configuration(
            "EMPL, residual style",
            Learner.ADAPTED,
            {**paper, **without_aic, "residual": True},
            Published(0.5544, 0.6085),
        ),
        Configuration("EMPL + AIC", Learner.ADAPTED, paper, Published(0.6945, 0.7407)),
        Configuration("view-standardised, EMPL + AIC", Learner.ADAPTED, standardised),
        Configuration("view-standardised, supervised", Learner.SUPERVISED, {**standardised, **without_aic}),
        _released(situation.sampling),
    )


def _released(sampling: Sampling) -> Configuration:
    changes = {"recipe": "released"}
    if sampling is Sampling.BUILDING_BALANCED:
        return Configuration("released trainer, draws know the buildings", Learner.BALANCED, changes)
    return Configuration("released trainer", Learner.ADAPTED, changes)


_TABLE7 = {
    512: Published(0.6562, 0.7056),
    1024: Published(0.6738, 0.7225),
    1536: Published(0.6945, 0.7407),
    2048: Published(0.7029, 0.7493),
    2560: Published(0.7024, 0.7483),
    3072: Published(0.7073, 0.7524),
}


def _table7(situation: Situation) -> tuple[Configuration, ...]:
    """The paper's "1536 (base)" is the frozen model: its figures are those of DINOv2 in Table I."""
    rows = [Configuration(f"base (frozen, {situation.d0})", Learner.FROZEN, published=Published(0.3125, 0.4067))]
    rows.append(Configuration(f"view-standardised ({situation.d0})", Learner.STANDARDISED))
    for recipe in (Recipe.PAPER, STANDARDISED):
        for dimension, published in _TABLE7.items():
            rows.append(
                Configuration(
                    f"{recipe}, d = {dimension}",
                    Learner.ADAPTED,
                    {"recipe": recipe, "dimension": dimension},
                    published if recipe is Recipe.PAPER else None,
                    series=str(recipe),
                    x=dimension,
                )
            )
    return tuple(rows)


_FIG8_SHARES = (0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)


def fig8_batch_sizes(n_queries: int, n_references: int) -> list[int]:
    """The grid of M: shares of the number of references, which is where the paper sees the peak, as far as queries exist.

    A batch cannot hold more queries than there are, so the largest size is the number of queries when that is reached first.
    """
    wanted = {max(1, round(share * n_references)) for share in _FIG8_SHARES}
    return sorted({min(size, n_queries) for size in wanted})


def _fig8(situation: Situation) -> tuple[Configuration, ...]:
    sizes = fig8_batch_sizes(situation.n_queries, situation.n_references)
    untrained = (Configuration("frozen", Learner.FROZEN), Configuration("view-standardised", Learner.STANDARDISED))
    return untrained + tuple(
        Configuration(
            f"{recipe}, M = {size}",
            Learner.ADAPTED,
            {"recipe": recipe, "query_samples": size},
            series=str(recipe),
            x=size,
        )
        for recipe in (Recipe.PAPER, STANDARDISED)
        for size in sizes
    )


FROZEN, STANDARDISED_ONLY, ROBUST = "frozen", "view-standardised", "robust"
WINDOW = 20  # consecutive pictures: what the target of flights is set for


def _robust(situation: Situation) -> tuple[Configuration, ...]:
    """Every recipe with its own settings; this project's own last, with one picture an answer before several."""
    robust = {"recipe": Recipe.ROBUST}
    rows = [
        Configuration(FROZEN, Learner.FROZEN),
        Configuration(STANDARDISED_ONLY, Learner.STANDARDISED),
        Configuration("paper", Learner.ADAPTED, {"recipe": Recipe.PAPER}),
        Configuration("paper-standardised", Learner.ADAPTED, {"recipe": STANDARDISED}),
        _released(situation.sampling),
    ]
    if situation.learns_along:
        rows.append(Configuration(f"{ROBUST}, without trajectories", Learner.ADAPTED, robust, sequences=False))
    rows.append(Configuration(ROBUST, Learner.ADAPTED, robust))
    rows.append(Configuration(f"{ROBUST}, hubness-corrected", Learner.ADAPTED, robust, answering=Answering(corrected=True)))
    if situation.asks_along:
        name = f"{ROBUST}, a window of {WINDOW} pictures"
        rows.append(Configuration(name, Learner.ADAPTED, robust, answering=Answering(window=WINDOW)))
    return tuple(rows)


EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            name="table6",
            source="Li et al. 2024, Table VI",
            title="the modules, one by one",
            finding="EMPL beats supervision, AIC adds to it, a residual connection takes away from it",
            configurations=_table6,
        ),
        Experiment(
            name="table7",
            source="Li et al. 2024, Table VII",
            title="the dimension d of the adapted space",
            finding="accuracy grows with d up to about 2048",
            configurations=_table7,
            axis="d, dimension of the adapted space",
        ),
        Experiment(
            name="fig8",
            source="Li et al. 2024, Fig. 8",
            title="the query batch size M",
            finding="stable among sizes, with the peak where there are as many queries as references",
            configurations=_fig8,
            axis="M, queries drawn each iteration",
        ),
        Experiment(
            name="robust",
            source="this project, Figures to reach",
            title="every recipe, with and without an alignment of the views",
            finding="nothing: these sets and targets are this project's own",
            configurations=_robust,
            protocol=None,
            published_with="",
            seeds=(0, 1, 2, 3, 4),
            baselines=(STANDARDISED_ONLY, ROBUST),
            across_sources=True,
            aligns=True,
        ),
    )
}
