"""One EM iteration at the paper's size against its bare matrix products."""

from __future__ import annotations

import torch

from benchmarks.measure import Ratio, compare
from cvgl.adaptation import em, standardise
from cvgl.config import AdaptConfig

QUERIES, REFERENCES, D0, D = 700, 701, 1536, 2048


def em_iteration() -> Ratio:
    """700 queries, 701 references, 1536 -> 2048, with the reverter."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(QUERIES + REFERENCES, D0, generator=generator), dim=1)
    queries, references = rows[:QUERIES].numpy(), rows[QUERIES:].numpy()
    config = AdaptConfig(dimension=D, iterations=1, query_samples=QUERIES)
    state = em.start(QUERIES, D0, config)

    def ours() -> None:
        state.history.clear()
        em.run(state, queries, references, standardise.identity(D0), config, lambda _: None)

    weight, reverse = torch.randn(D0, D, generator=generator), torch.randn(D, D0, generator=generator)
    adapted = torch.randn(QUERIES + REFERENCES, D, generator=generator)
    similarity = torch.randn(QUERIES, REFERENCES, generator=generator)

    def floor() -> None:
        z = rows @ weight  # adapter
        z[:QUERIES] @ z[QUERIES:].T  # similarities
        reverted = z @ reverse  # reverter
        reverted @ reverse.T  # gradient of the reconstruction with respect to z
        z.T @ reverted  # ... to the reverter
        similarity @ adapted[QUERIES:]  # gradient of InfoNCE with respect to z, both sides
        similarity.T @ adapted[:QUERIES]
        rows.T @ adapted  # gradient with respect to the adapter

    return compare("one EM iteration, 700 x 701, 1536 -> 2048, with reverter", "its eight matrix products", ours, floor)
