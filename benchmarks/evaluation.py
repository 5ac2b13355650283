"""Evaluating at the sizes of University-1652 and University-160k against the bare matrix product of their scores."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import Memory, Ratio, compare, memory
from cvgl.features import FeatureReader, FeatureStore
from cvgl.retrieval import evaluate

DIMENSION = 2048
LARGE_GALLERY, LARGE_QUERIES, TIMED_QUERIES = 161_000, 4_000, 2_000
PLACES = 701  # with a drone image
PART_ROWS = 1_000
LIMIT_GIB = 3.0


def drone_to_satellite() -> Ratio:
    """37,855 queries, 951 references, 2048-d: one right answer each."""
    return _evaluation(37_855, 951)


def satellite_to_drone() -> Ratio:
    """701 queries, 51,355 references, 2048-d: about 54 right answers each."""
    return _evaluation(701, 51_355)


def _evaluation(n_queries: int, n_gallery: int, dimension: int = DIMENSION) -> Ratio:
    rng = np.random.default_rng(0)
    queries = _unit(rng.standard_normal((n_queries, dimension), dtype=np.float32))
    gallery = _unit(rng.standard_normal((n_gallery, dimension), dtype=np.float32))
    query_ids, gallery_ids = np.arange(n_queries) % 701, np.arange(n_gallery) % 951
    left, right = torch.from_numpy(queries), torch.from_numpy(gallery)

    def floor() -> None:
        for block in left.split(4096):  # type: ignore[no-untyped-call] # torch's
            block @ right.T

    return compare(
        f"evaluate {n_queries:,} x {n_gallery:,} x {dimension}",
        "the matrix product of the scores",
        lambda: evaluate(queries, query_ids, gallery, gallery_ids, protocol="university1652-951"),
        floor,
        rounds=3,
    )


def large_gallery_time() -> Ratio:
    """2,000 queries against 161,000 references that are read from Parquet."""
    with tempfile.TemporaryDirectory() as folder:
        store = _write_large(Path(folder), TIMED_QUERIES)
        reader = FeatureReader(store)
        queries = reader.stream(_ids("query", TIMED_QUERIES))
        gallery = reader.stream(_ids("gallery", LARGE_GALLERY))
        left = torch.from_numpy(store.read(queries.image_ids))
        right = torch.from_numpy(store.read(gallery.image_ids))
        places = np.arange(TIMED_QUERIES) % PLACES
        return compare(
            f"evaluate {TIMED_QUERIES:,} x {LARGE_GALLERY:,} x {DIMENSION}, streamed from Parquet",
            "the matrix product of the scores, all in memory",
            lambda: evaluate(queries, places, gallery, np.arange(LARGE_GALLERY), "university160k-local"),
            lambda: [left @ block.T for block in right.split(16_384)],  # type: ignore[no-untyped-call] # torch's
            rounds=2,
        )


_EVALUATE_LARGE = """
    import numpy as np
    from pathlib import Path
    from benchmarks.evaluation import LARGE_GALLERY, PLACES, _ids
    from cvgl.features import FeatureReader, FeatureStore
    from cvgl.retrieval import evaluate
    reader = FeatureReader(FeatureStore(Path({folder!r})))
    queries, gallery = reader.stream(_ids("query", {queries})), reader.stream(_ids("gallery", LARGE_GALLERY))
    evaluate(queries, np.arange({queries}) % PLACES, gallery, np.arange(LARGE_GALLERY), "university160k-local")
"""


def large_gallery_memory() -> Memory:
    """4,000 queries against 161,000 references, both read from Parquet; more queries are more blocks of the same size."""
    with tempfile.TemporaryDirectory() as folder:
        _write_large(Path(folder), LARGE_QUERIES)
        return memory(
            f"evaluate {LARGE_QUERIES:,} x {LARGE_GALLERY:,} x {DIMENSION}, streamed from Parquet",
            "the scores alone, as a matrix",
            _EVALUATE_LARGE.format(folder=folder, queries=LARGE_QUERIES),
            LARGE_QUERIES * LARGE_GALLERY * 4 / 2**30,
            LIMIT_GIB,
        )


def _write_large(folder: Path, n_queries: int) -> FeatureStore:
    store, rng = FeatureStore(folder), np.random.default_rng(0)
    for side, n in (("query", n_queries), ("gallery", LARGE_GALLERY)):
        ids = _ids(side, n)
        for start in range(0, n, PART_ROWS):
            part = ids[start : start + PART_ROWS]
            store.add(part, _unit(rng.standard_normal((len(part), DIMENSION), dtype=np.float32)), {})
    return store


def _ids(side: str, n: int) -> list[str]:
    return [f"{side}-{number:06d}" for number in range(n)]


def _unit(rows: np.ndarray) -> np.ndarray:
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
