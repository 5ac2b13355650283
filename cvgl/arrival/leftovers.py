"""Temporary files of processes that were killed in the middle of a write, and where the work on a map leaves them."""

from __future__ import annotations

import logging

from cvgl.lake import Lake, sweep

logger = logging.getLogger(__name__)
_OF_A_DATASET = (
    *("arrivals", "cache/arrivals", "cache/scans", "costs", "decisions", "maps"),
    *("images", "ground_truth", "quarantine", "tombstones"),
)
_OF_ALL = ("adapters", "evaluations", "features", "registrations", "reports")


def sweep_leftovers(lake: Lake, dataset: str) -> int:
    """Removes them; what a living process writes is locked and stays. The spool sees to its own.

    Returns:
        How many there were.
    """
    named = [f"{kind}/dataset={dataset}" for kind in _OF_A_DATASET]
    removed = sum(sweep(lake.root / name) for name in (*named, *_OF_ALL))
    if removed:
        logger.info("%d temporary files of killed processes were removed", removed)
    return removed
