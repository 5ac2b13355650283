"""Evaluating University-1652's size against the bare matrix product of its scores."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.measure import Ratio, compare
from cvgl.retrieval import evaluate


def drone_to_satellite() -> Ratio:
    """37,855 queries, 951 references, 2048-d: one right answer each."""
    return _evaluation(37_855, 951)


def satellite_to_drone() -> Ratio:
    """701 queries, 51,355 references, 2048-d: about 54 right answers each."""
    return _evaluation(701, 51_355)


def _evaluation(n_queries: int, n_gallery: int, dimension: int = 2048) -> Ratio:
    rng = np.random.default_rng(0)
    queries = _unit(rng.standard_normal((n_queries, dimension), dtype=np.float32))
    gallery = _unit(rng.standard_normal((n_gallery, dimension), dtype=np.float32))
    query_ids, gallery_ids = np.arange(n_queries) % 701, np.arange(n_gallery) % 951
    left, right = torch.from_numpy(queries), torch.from_numpy(gallery)

    def floor() -> None:
        for block in left.split(4096):
            block @ right.T

    return compare(
        f"evaluate {n_queries:,} x {n_gallery:,} x {dimension}",
        "the matrix product of the scores",
        lambda: evaluate(queries, query_ids, gallery, gallery_ids, protocol="university1652-951"),
        floor,
        rounds=3,
    )


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
