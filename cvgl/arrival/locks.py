"""Who may work on what: locks of the operating system, which die with their process.

A map (a dataset) is looked after by one process at a time, so a batch has one effect however many watchers run. Images of
several maps may be described at once, up to a limit.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cvgl.errors import require
from cvgl.lake import Lake, writing

logger = logging.getLogger(__name__)
SECONDS_BETWEEN_TRIES = 0.2


@contextmanager
def noticing(lake: Lake, dataset: str) -> Iterator[None]:
    """Held while the source of a map is looked at and batches are closed."""
    with _held(lake.lock(f"notice-{dataset}"), f"another process looks at what has arrived for {dataset}"):
        yield


@contextmanager
def working(lake: Lake, dataset: str) -> Iterator[bool]:
    """Held while the queue of a map is worked through: one adaptation at a time.

    Yields:
        Whether the process that held it last was killed.
    """
    with _held(lake.lock(f"arrival-{dataset}"), f"another process works on the map {dataset}; waiting for it"):
        mark = lake.lock(f"arrival-{dataset}").with_suffix(".working")
        killed = mark.exists()
        mark.touch()
        try:
            yield killed
        finally:
            mark.unlink(missing_ok=True)


@contextmanager
def extraction_slot(lake: Lake, limit: int) -> Iterator[None]:
    """Held while images are described; at most `limit` processes of a lake have one."""
    notified = False
    with ExitStack() as stack:
        while not any(_tried(stack, lake.lock(f"extraction-{slot}")) for slot in range(limit)):
            if not notified:
                logger.info("%d extractions are running, which is the limit; waiting", limit)
                notified = True
            time.sleep(SECONDS_BETWEEN_TRIES)
        yield


def _tried(stack: ExitStack, path: Path) -> bool:
    lock = _lock(path)
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    stack.callback(lock.release)
    return True


@contextmanager
def _held(path: Path, waiting: str) -> Iterator[None]:
    lock = _lock(path)
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info(waiting)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _lock(path: Path) -> Any:
    filelock = require("filelock", extra="pipeline", purpose="take in what arrives")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(path, thread_local=False)
