"""Locks that the operating system releases when their process dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cvgl.lake import writing


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Holds a file's lock; waits for another process that holds it.

    Args:
        path: the lock file, which is made and stays; its content has no meaning.
        on_wait: called once, before waiting.

    Raises:
        UnreadableError: this user may not make or open it.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Readable and writable for all: users of one machine share its GPU and often a lake.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
