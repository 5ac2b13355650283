"""The step of Algorithm 1 against its bare matrix products, and the memory that it takes over many references.

`python -m benchmarks.adaptation` measures these alone; with --quick, on a tenth of the references.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch

from benchmarks.measure import Memory, Ratio, compare, memory
from cvgl.adaptation import standardise, training
from cvgl.adaptation.recipes.paper import PaperLearner
from cvgl.adaptation.recipes.released import ReleasedLearner
from cvgl.config import AdaptConfig, Recipe

QUERIES, REFERENCES, D0, D = 700, 701, 1536, 2048
MANY_REFERENCES = 160_000
LIMIT_GIB = 8.0
FLOOR = "its eight matrix products"


def em_iteration() -> Ratio:
    """700 queries, 701 references, 1536 -> 2048, with the reverter."""
    return _iteration(REFERENCES)


def em_iteration_in_blocks() -> Ratio:
    """The same with 12,000 references, which are worked on in four blocks and projected twice."""
    return _iteration(12_000, rounds=3, remark=", in blocks")


def released_iteration() -> Ratio:
    """One step of the recipe `released`, as all but its last ones are."""
    rows, generator = _unit_rows(REFERENCES)
    queries, references = rows[:QUERIES], rows[QUERIES:]
    learner = ReleasedLearner(D0, AdaptConfig(recipe=Recipe.RELEASED, dimension=D), generator)
    optimizer = learner.optimizer()

    def ours() -> None:
        optimizer.zero_grad()
        learner.accumulate(queries, references, 0)
        learner.limit_gradient()
        optimizer.step()

    name = f"one iteration of 'released', {QUERIES} x {REFERENCES}, {D0} -> {D}"
    return compare(name, FLOOR, ours, _matrix_products(rows, generator))


def _iteration(n_references: int, rounds: int = 5, remark: str = "") -> Ratio:
    rows, generator = _unit_rows(n_references)
    queries, references = rows[:QUERIES].numpy(), rows[QUERIES:].numpy()
    config = AdaptConfig(recipe="paper-standardised", dimension=D, iterations=1, query_samples=QUERIES)
    state = training.start(PaperLearner(D0, config, generator), QUERIES, generator, torch.device("cpu"))

    def ours() -> None:
        state.history.clear()
        training.run(state, queries, references, standardise.identity(D0), lambda _: None)

    name = f"one EM iteration, {QUERIES} x {n_references:,}, {D0} -> {D}, with reverter{remark}"
    return compare(name, FLOOR, ours, _matrix_products(rows, generator), rounds)


def _unit_rows(n_references: int) -> tuple[torch.Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(QUERIES + n_references, D0, generator=generator)
    return torch.nn.functional.normalize(rows, dim=1), generator


def _matrix_products(rows: torch.Tensor, generator: torch.Generator) -> Callable[[], object]:
    """What an iteration on these rows cannot do without."""
    n_references = len(rows) - QUERIES
    weight, reverse = torch.randn(D0, D, generator=generator), torch.randn(D, D0, generator=generator)
    adapted = torch.randn(QUERIES + n_references, D, generator=generator)
    similarity = torch.randn(QUERIES, n_references, generator=generator)

    def products() -> None:
        z = rows @ weight  # adapter
        z[:QUERIES] @ z[QUERIES:].T  # similarities
        reverted = z @ reverse  # reverter
        reverted @ reverse.T  # gradient of the reconstruction with respect to z
        z.T @ reverted  # ... to the reverter
        similarity @ adapted[QUERIES:]  # gradient of InfoNCE with respect to z, both sides
        similarity.T @ adapted[:QUERIES]
        rows.T @ adapted  # gradient with respect to the adapter

    return products


_ADAPT = """
import numpy as np
from cvgl import adapt
from cvgl.config import AdaptConfig

rng = np.random.default_rng(0)
references = np.empty(({references}, {d0}), np.float32)
for rows in np.array_split(references, max(1, len(references) // 1000)):
    rng.standard_normal(out=rows, dtype=np.float32)
queries = references[rng.permutation(len(references))[:{queries}]]
queries += 0.5 * rng.standard_normal(queries.shape, dtype=np.float32)
config = AdaptConfig(recipe="paper-standardised", dimension={d}, iterations={iterations}, query_samples={queries})
adaptation = adapt(queries, references, config=config)
assert adaptation.history[-1].labelled_share > 0.9, adaptation.history
"""


def large_references(n_references: int = MANY_REFERENCES, iterations: int = 1) -> Memory:
    """`adapt` from raw features to adapter over as many references as University-160k has, in a process of its own.

    Args:
        n_references: fewer are measured sooner.
        iterations: each needs the same memory.
    """
    work = _ADAPT.format(references=n_references, queries=QUERIES, d0=D0, d=D, iterations=iterations)
    name = f"adapt, {QUERIES} x {n_references:,}, {D0} -> {D}, with reverter"
    return memory(name, "the raw features alone", work, (QUERIES + n_references) * D0 * 4 / 2**30, LIMIT_GIB)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the references")
    many = MANY_REFERENCES // 10 if parser.parse_args().quick else MANY_REFERENCES
    print(em_iteration())
    print(em_iteration_in_blocks())
    print(released_iteration())
    print(large_references(many))


if __name__ == "__main__":
    main()
