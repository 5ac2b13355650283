"""What a watcher remembers between two looks: a cache, safe to delete, that saves reading files again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cvgl.arrival.source import Found, source_digest
from cvgl.lake import Lake, read_bytes, write_json


class Known(BaseModel):
    """A file whose content has been read: `sha256` holds as long as the listing shows this stamp."""

    model_config = ConfigDict(extra="forbid")

    stamp: str
    sha256: str


class Pending(BaseModel):
    """A file that waits to be complete, or whose absence waits to be believed (then the stamp is empty).

    Attributes:
        first: when it was first seen in this way, seconds since 1970.
        changed: when it last changed, as far as anybody can tell.
    """

    model_config = ConfigDict(extra="forbid")

    stamp: str
    first: float
    changed: float


class Memory(BaseModel):
    """See the module. `markers`: stamps of the markers that have closed a batch, which they do once."""

    model_config = ConfigDict(extra="forbid")

    known: dict[str, Known] = Field(default_factory=dict)
    pending: dict[str, Pending] = Field(default_factory=dict)
    markers: dict[str, str] = Field(default_factory=dict)

    def content(self, name: str, file: Found) -> str | None:
        """The hash of a file's content, if it has been read and has not changed since."""
        entry = self.known.get(name)
        return entry.sha256 if entry is not None and entry.stamp == file.stamp else None

    def observe(self, present: Mapping[str, str], changed_at: Mapping[str, float | None], now: float) -> None:
        """Notes what is pending at present, and forgets what no longer is.

        Args:
            present: stamps of the pending files; empty for one that is gone.
            changed_at: when each last changed, where that is known.
            now: seconds since 1970.
        """
        self.pending = {name: self._seen(name, stamp, changed_at.get(name), now) for name, stamp in present.items()}

    def _seen(self, name: str, stamp: str, changed_at: float | None, now: float) -> Pending:
        before = self.pending.get(name)
        if before is not None and before.stamp == stamp:
            if max(before.first, before.changed) <= now:
                return before
            # It was noted by a clock that was ahead; waiting for ours to get there would hide it for as long.
            return Pending(stamp=stamp, first=min(before.first, now), changed=now)
        # Where the store's clock is ahead of ours, or tells nothing, a change is as old as our first sight of it. The same
        # goes for a file that changes under our eyes, whatever time it bears.
        changed = now if changed_at is None or changed_at > now or before is not None else changed_at
        return Pending(stamp=stamp, first=now if before is None else min(before.first, now), changed=changed)


def read(lake: Lake, dataset: str, location: str) -> Memory:
    """What is remembered about a source; nothing when that was deleted or is damaged.

    Raises:
        UnreadableError: the system does not let it be read: it is not written over.
    """
    path = _path(lake, dataset, location)
    if not path.is_file():
        return Memory()
    try:
        return Memory.model_validate_json(read_bytes(path))
    except ValidationError:
        return Memory()


def write(lake: Lake, dataset: str, location: str, memory: Memory) -> None:
    """Remembers."""
    write_json(_path(lake, dataset, location), memory.model_dump())


def _path(lake: Lake, dataset: str, location: str) -> Path:
    return lake.root / "cache" / "arrivals" / lake.arrivals(dataset).name / f"{source_digest(location)}.json"
