"""The configurations of the paper's tables and figures, in the order in which they are shown."""

from __future__ import annotations

from typing import Any, Final

from cvgl.config import Recipe
from cvgl.experiments.configuration import Answering, Configuration, Learner, Published, Sampling, Situation
from cvgl.experiments.published import TABLE6, TABLE7

STANDARDISED = Recipe.PAPER_STANDARDISED
FROZEN, STANDARDISED_ONLY, ROBUST = "frozen", "view-standardised", "robust"
OURS, OURS_STANDARDISED = "paper's method", "paper's method, views standardised"
RESIDUAL, EMPL, EMPL_AIC = "EMPL, residual style", "EMPL", "EMPL + AIC"

CROSS_CITY: Final = {"iterations": 10, "query_samples": 1500}
"""For CVUSA and CVACT (Section IV-B): T = 10, and 1,500 images drawn of each view."""
CROSS_CITY_REFERENCES: Final = 1500
WINDOW = 20  # consecutive images: what the target of flights is set for


def frozen_only(situation: Situation) -> tuple[Configuration, ...]:
    """The frozen model, as it is."""
    return (Configuration(FROZEN, Learner.FROZEN),)


def main_rows(situation: Situation) -> tuple[Configuration, ...]:
    """Frozen and adapted, as Tables I, II, IV and VIII and Figures 9 to 12 compare them, with what this project adds.

    The paper's method has its own settings throughout, d = 2048 included.
    """
    return _compared({}, None)


def cross_city_rows(situation: Situation) -> tuple[Configuration, ...]:
    """The same with the paper's settings for CVUSA and CVACT (Table V)."""
    return _compared(CROSS_CITY, CROSS_CITY_REFERENCES)


def _compared(changes: dict[str, Any], references: int | None) -> tuple[Configuration, ...]:
    def ours(name: str, recipe: Recipe) -> Configuration:
        return Configuration(name, Learner.ADAPTED, {"recipe": recipe, **changes}, reference_samples=references)

    return (
        Configuration(FROZEN, Learner.FROZEN),
        Configuration(STANDARDISED_ONLY, Learner.STANDARDISED),
        ours(OURS, Recipe.PAPER),
        ours(OURS_STANDARDISED, STANDARDISED),
        Configuration(ROBUST, Learner.ADAPTED, {"recipe": Recipe.ROBUST}),
    )


def fig13(situation: Situation) -> tuple[Configuration, ...]:
    """The four architectures of the figure, and what this project adds."""
    rows = {row.name: row for row in table6(situation)}
    standardised = rows["view-standardised, EMPL + AIC"]
    robust = Configuration(ROBUST, Learner.ADAPTED, {"recipe": Recipe.ROBUST})
    return (rows[FROZEN], rows[RESIDUAL], rows[EMPL], rows[EMPL_AIC], standardised, robust)


def table6(situation: Situation) -> tuple[Configuration, ...]:
    """Every adapter has d = d0, as the paper's text asks for "a fair comparison"; the released trainer keeps its own d."""
    paper = {"recipe": Recipe.PAPER, "dimension": None}
    standardised = {"recipe": STANDARDISED, "dimension": None}
    without_aic = {"reconstruction_weight": 0.0}
    return (
        Configuration(FROZEN, Learner.FROZEN, published=Published.of(TABLE6.rows["baseline"])),
        Configuration(STANDARDISED_ONLY, Learner.STANDARDISED),
        Configuration(
            "supervised upper bound", Learner.SUPERVISED, {**paper, **without_aic}, Published.of(TABLE6.rows["supervised"])
        ),
        Configuration(EMPL, Learner.ADAPTED, {**paper, **without_aic}, Published.of(TABLE6.rows["empl"])),
        Configuration(
            RESIDUAL,
            Learner.ADAPTED,
            {**paper, **without_aic, "residual": True},
            Published.of(TABLE6.rows["empl-residual"]),
        ),
        Configuration(EMPL_AIC, Learner.ADAPTED, paper, Published.of(TABLE6.rows["empl-aic"])),
        Configuration("view-standardised, EMPL + AIC", Learner.ADAPTED, standardised),
        Configuration("view-standardised, supervised", Learner.SUPERVISED, {**standardised, **without_aic}),
        _released(situation.sampling),
    )


def _released(sampling: Sampling) -> Configuration:
    changes = {"recipe": "released"}
    if sampling is Sampling.BUILDING_BALANCED:
        return Configuration("released trainer, draws know the buildings", Learner.BALANCED, changes)
    return Configuration("released trainer", Learner.ADAPTED, changes)


DIMENSIONS: Final = (512, 1024, 1536, 2048, 2560, 3072)


def table7(situation: Situation) -> tuple[Configuration, ...]:
    """The paper's "1536 (base)" is the frozen model: its figures are those of DINOv2 in Table I."""
    rows = [Configuration(f"base (frozen, {situation.d0})", Learner.FROZEN, published=Published.of(TABLE7.rows["base"]))]
    rows.append(Configuration(f"view-standardised ({situation.d0})", Learner.STANDARDISED))
    rows += [
        Configuration(
            f"{recipe}, d = {dimension}",
            Learner.ADAPTED,
            {"recipe": recipe, "dimension": dimension},
            Published.of(TABLE7.rows[str(dimension)]) if recipe is Recipe.PAPER else None,
            series=str(recipe),
            x=dimension,
        )
        for recipe in (Recipe.PAPER, STANDARDISED)
        for dimension in DIMENSIONS
    ]
    return tuple(rows)


_FIG8_SHARES = (0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)


def fig8_batch_sizes(n_queries: int, n_references: int) -> list[int]:
    """The grid of M: shares of the number of references, which is where the paper sees the peak, as far as queries exist.

    A batch cannot hold more queries than there are, so the largest size is the number of queries when that is reached first.
    """
    wanted = {max(1, round(share * n_references)) for share in _FIG8_SHARES}
    return sorted({min(size, n_queries) for size in wanted})


def fig8(situation: Situation) -> tuple[Configuration, ...]:
    """Configurations of Fig. 8: the query batch size M."""
    sizes = fig8_batch_sizes(situation.n_queries, situation.n_references)
    untrained = (Configuration(FROZEN, Learner.FROZEN), Configuration(STANDARDISED_ONLY, Learner.STANDARDISED))
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


def robust_rows(situation: Situation) -> tuple[Configuration, ...]:
    """Every recipe with its own settings; this project's own last, with one image an answer before several."""
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
        name = f"{ROBUST}, a window of {WINDOW} images"
        rows.append(Configuration(name, Learner.ADAPTED, robust, answering=Answering(window=WINDOW)))
    return tuple(rows)
