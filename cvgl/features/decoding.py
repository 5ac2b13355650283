"""Reading and decoding images ahead of the model, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, window: int) -> Iterator[Result]:
    """Maps in threads, gives results in the order of `items`, and holds at most `window` of them in memory.

    Decoding and resizing release Python's global lock, so threads run beside each other and beside the model.

    Raises:
        Whatever `function` raises, at the item's place.
    """
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= window:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        with suppress(RuntimeError):  # the interpreter may already be shutting down
            pool.shutdown(wait=True)
