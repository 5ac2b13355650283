"""How much memory the decoding of images may take, over all threads of this process.

What an image takes follows from its header, before anything is decoded. Threads wait until their image fits into what is
left; one that is larger than all of it is decoded alone, and one that the machine has no memory for is refused.
"""

from __future__ import annotations

import ctypes
import functools
import os
import resource
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cvgl.errors import ConfigError

ENVIRONMENT = "CVGL_DECODING_MEMORY"  # MiB
_MIB = 1 << 20
_MAX_BYTES = 1024 * _MIB
_MIN_BYTES = 64 * _MIB
_LARGE = 64 * _MIB
_MMAP_THRESHOLD = (-3, 12 * _MIB)  # M_MMAP_THRESHOLD of mallopt(3); Pillow's blocks have 16 MiB


class MemoryBudget:
    """Bytes that threads share. First come, first served, so that a large image is not put off for ever by small ones."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._used = 0
        self._condition = threading.Condition()
        self._waiting: deque[object] = deque()
        self._own = threading.local()

    @contextmanager
    def reserve(self, need: int) -> Iterator[None]:
        """Waits until `need` bytes are free (or nothing is in use), and holds them inside the `with` block.

        A thread that already holds some is not made to wait: it could wait for itself.
        """
        self._acquire(need)
        if need >= _LARGE:
            _c_library()
        self._own.depth = self._depth() + 1
        try:
            yield
        finally:
            self._own.depth -= 1
            if need >= _LARGE:
                _give_back()
            with self._condition:
                self._used -= need
                self._condition.notify_all()

    def _depth(self) -> int:
        return int(getattr(self._own, "depth", 0))

    def _acquire(self, need: int) -> None:
        ticket = object()
        with self._condition:
            if self._depth() == 0:
                self._waiting.append(ticket)
                try:
                    self._condition.wait_for(lambda: self._waiting[0] is ticket and self._fits(need))
                finally:
                    self._waiting.remove(ticket)
                    self._condition.notify_all()
            self._used += need

    def _fits(self, need: int) -> bool:
        return self._used == 0 or self._used + need <= self.total


_shared: MemoryBudget | None = None
_lock = threading.Lock()


def budget() -> MemoryBudget:
    """This process's budget: $CVGL_DECODING_MEMORY in MiB, else the smaller of 1 GiB and a quarter of the memory that is free.

    Raises:
        ConfigError: the variable is no positive whole number.
    """
    global _shared
    with _lock:
        if _shared is None:
            stated = _stated_bytes()
            _shared = MemoryBudget(stated or max(_MIN_BYTES, min(_MAX_BYTES, available_bytes() // 4)))
        return _shared


@contextmanager
def reserve(need: int) -> Iterator[bool]:
    """Waits for memory and holds it, as `MemoryBudget.reserve`; gives whether there is enough.

    What is larger than the budget is looked at when nothing else is held: others' images are no reason to refuse one.
    """
    shared = budget()
    with shared.reserve(need):
        yield need <= shared.total or need <= ceiling()


def ceiling() -> int:
    """The most bytes that a single image may take: half of what is free now, and never less than the budget."""
    return max(budget().total, available_bytes() // 2)


@functools.cache
def _c_library() -> ctypes.CDLL | None:
    """The C library, told to give large blocks back to the system when they are freed.

    By itself glibc keeps them for the thread that freed them, so that each of 16 threads would hold the memory, and the
    addresses, of the largest image that it ever decoded. Not done before a large image comes: it costs some time.
    """
    with suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL(None)
        library.mallopt(*_MMAP_THRESHOLD)
        return library
    return None


def _give_back() -> None:
    library = _c_library()
    with suppress(AttributeError):
        if library is not None:
            library.malloc_trim(0)


def _stated_bytes() -> int:
    text = os.environ.get(ENVIRONMENT, "")
    if not text:
        return 0
    if not text.isdecimal() or int(text) == 0:
        raise ConfigError(f"'{text}' is no number of MiB", where=f"${ENVIRONMENT}", fix="give a positive whole number")
    return int(text) * _MIB


def available_bytes() -> int:
    """Memory that this process can still get: of the machine, its control group, and its own limits."""
    rooms = [*_of_machine(), *_of_control_group(), *_of_limits()]
    return max(0, min(rooms, default=_MAX_BYTES * 4))


def _of_machine() -> Iterator[int]:
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024
                return
    with suppress(OSError, ValueError):  # no Linux
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _of_control_group() -> Iterator[int]:
    """What is left of the limits of the control groups (version 2, then 1) that a container or service manager sets."""
    root = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):
        name = next((line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")), "/")
        folder = root / name.strip("/")
        for group in (folder, *folder.parents):
            yield from _left(group, "memory.max", "memory.current", "inactive_file ")
            if group == root:
                break
    yield from _left(root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")


def _left(group: Path, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    with suppress(OSError, ValueError):
        most = int((group / limit).read_text())  # "max" where there is none
        lines = (group / "memory.stat").read_text().splitlines()
        cached = sum(int(line.split()[1]) for line in lines if line.startswith(reclaimable))
        yield most - int((group / usage).read_text()) + cached


def _of_limits() -> Iterator[int]:
    with suppress(OSError, ValueError):
        pages = [int(word) for word in Path("/proc/self/statm").read_text("ascii").split()]
        for kind, used in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
            most = resource.getrlimit(kind)[0]
            if most != resource.RLIM_INFINITY:
                yield most - used * resource.getpagesize()
