"""Measures the choice that the recipe `auto` makes, on made-up worlds that have answers.

    python -m benchmarks.choice --lake FOLDER [--synthetic 80]

Built-in worlds of the calibration and of the tests (`cvgl.experiments.judgement_worlds`) and worlds of the two-covariance
family, each as it is and with less to learn from (`judgement_cases.trainings`). No real image has a part in it. What is
presumed at which strength of relatedness was read off the calibration's worlds. Rows are kept in the lake, so that a run
that was killed goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from cvgl import adapt
from cvgl.config import AdaptConfig, Recipe, SelectConfig, Settings
from cvgl.experiments.judgement_cases import Case, recall_at_1, synthetic, trainings
from cvgl.experiments.judgement_worlds import CALIBRATION, TESTED, describe
from cvgl.hashing import digest_json
from cvgl.lake import Lake, read_json, write_json
from cvgl.quality.dependence import CERTAIN, THRESHOLD
from cvgl.quality.selection import IMPLEMENTATION, select

VARIANTS = {"calibration": 7, "tested": 4, "synthetic": 2}
STRENGTHS = (-np.inf, THRESHOLD, CERTAIN, 30.0, 100.0, np.inf)
RULES = SelectConfig(candidates=(Recipe.STANDARDISED_JOINTLY, Recipe.ROBUST))
BASELINES = (Recipe.FROZEN, Recipe.STANDARDISED)


class Chosen(Settings):
    """One choice, and the R@1 of what could have been chosen: queries to references, and back."""

    source: str
    name: str
    strength: float
    chosen: Recipe
    reason: str
    recalls: dict[Recipe, tuple[float, float]]

    def gain(self, recipe: Recipe | None = None) -> tuple[float, float]:
        """R@1 over the better of frozen and standardised, in both directions, in points: of what was chosen, or of a recipe."""
        best = np.max([self.recalls[baseline] for baseline in BASELINES], axis=0)
        first, second = 100 * (np.array(self.recalls[recipe or self.chosen]) - best)
        return float(first), float(second)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, required=True, help="where descriptors and rows are kept")
    parser.add_argument("--synthetic", type=int, default=80, help="worlds of the two-covariance family")
    arguments = parser.parse_args()
    lake = Lake.at(arguments.lake)
    makers: dict[str, dict[str, Callable[[], Case]]] = {
        "calibration": {name: partial(describe, name, config, lake) for name, config in CALIBRATION.items()},
        "tested": {name: partial(describe, name, config, lake) for name, config in TESTED.items()},
        "synthetic": {f"synthetic-{seed}": partial(synthetic, seed) for seed in range(arguments.synthetic)},
    }
    print("source       strength       cases  auto: mean, worst, below -1   robust: mean, worst, below -1   robust chosen")
    for source, worlds in makers.items():
        rows = [row for number, (name, make) in enumerate(worlds.items()) for row in _rows(lake, source, name, make, number)]
        for low, high in pairwise(STRENGTHS):
            _tell(source, [row for row in rows if low <= row.strength < high], low, high)


def _rows(lake: Lake, source: str, name: str, make: Callable[[], Case], seed: int) -> list[Chosen]:
    key = digest_json([IMPLEMENTATION, source, name, VARIANTS[source], seed, RULES.model_dump(mode="json")])
    path = lake.root / "reproductions" / "choices" / f"{key[:16]}.json"
    if not path.is_file():
        write_json(path, [row.model_dump(mode="json") for row in _measured(source, name, make(), seed)])
    return [Chosen.model_validate(row) for row in read_json(path)]


def _measured(source: str, name: str, made: Case, seed: int) -> Iterator[Chosen]:
    for case in trainings(made, VARIANTS[source], seed):
        selection = select(case.train_queries, case.train_references, AdaptConfig(recipe=Recipe.AUTO, seed=seed), RULES)
        yield Chosen(
            source=source,
            name=f"{name}, {case.name}",
            strength=selection.relatedness.strength if selection.relatedness is not None else 0.0,
            chosen=selection.chosen,
            reason=selection.reason,
            recalls={recipe: _recalls(case, recipe) for recipe in (*BASELINES, *RULES.candidates)},
        )


def _recalls(case: Case, recipe: Recipe) -> tuple[float, float]:
    learned = adapt(case.train_queries, case.train_references, recipe=recipe)
    queries, references = learned.transform_query(case.queries), learned.transform_reference(case.references)
    has_query = np.isin(case.reference_places, case.query_places)
    there = recall_at_1(queries, references, (case.query_places, case.reference_places))
    return there, recall_at_1(references[has_query], queries, (case.reference_places[has_query], case.query_places))


def _tell(source: str, rows: Sequence[Chosen], low: float, high: float) -> None:
    if rows:
        cells = []
        for recipe in (None, Recipe.ROBUST):
            gains = np.array([row.gain(recipe) for row in rows]).mean(axis=1)  # of both directions: one alone is mostly chance
            cells.append(f"{gains.mean():+5.1f} {gains.min():+6.1f} {(gains < -1).mean():6.1%}")
        robust = sum(row.chosen is Recipe.ROBUST for row in rows)
        print(f"{source:12s} {low:5.1f}..{high:5.1f} {len(rows):6d}  {cells[0]:>30s} {cells[1]:>30s} {robust:6d}", flush=True)


if __name__ == "__main__":
    main()
