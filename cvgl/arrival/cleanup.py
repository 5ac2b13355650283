"""Temporary files of processes that were killed in the middle of a write, anywhere in a lake."""

from __future__ import annotations

import logging

from cvgl.lake import Lake, sweep_lake

logger = logging.getLogger(__name__)


def sweep_leftovers(lake: Lake) -> int:
    """Removes them; what a living process writes is locked and stays. The spool sees to its own.

    Returns:
        How many there were.
    """
    removed = sweep_lake(lake)
    if removed:
        logger.info("%d temporary files of killed processes were removed", removed)
    return removed
