"""What is done to a run besides killing: a full disk, a source that is away, a damaged part of the descriptors."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cvgl.lake import Lake, parquet_files

logger = logging.getLogger("chaos")
DISK_MIB = 64


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is broken, and mended again.

    Attributes:
        kind: disk, source or part.
        said: what was done.
        seen: what the flow's log says of it (a regular expression).
        mend: ends it.
    """

    kind: str
    said: str
    seen: str
    mend: Callable[[], None]


def can_mount() -> bool:
    """Whether this user may mount a small disk of its own, which can be filled without harm."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            mount(Path(folder), 1)
        except (OSError, subprocess.CalledProcessError):
            return False
        unmount(Path(folder))
    return True


def mount(folder: Path, mebibytes: int = DISK_MIB) -> None:
    """Puts a disk of that size at a folder; it lives in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)], check=True, capture_output=True)


def unmount(folder: Path) -> None:
    """Takes it away again, with what is on it."""
    subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def full_disk(lake: Lake) -> Fault:
    """Fills the lake's disk to the last byte."""
    ballast = lake.root / "ballast"
    size = 0
    with ballast.open("wb", buffering=0) as stream:
        for block in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    size += stream.write(b"\0" * block)
            except OSError:
                continue
    return Fault("disk", f"the disk is full ({size} bytes of ballast)", r"No space left|Errno 28|errno 28", ballast.unlink)


def source_away(drop: Path, rng: random.Random, *, expected: bool) -> Fault:
    """Takes the source away: nothing under its name any more, or an empty folder, as where a disk is not mounted.

    Args:
        drop: the source.
        rng: chooses.
        expected: something has come from it already; else an empty folder is nothing that could be noticed.
    """
    away, empty = drop.with_name(f"{drop.name}-away"), rng.random() < 0.5 and expected
    drop.rename(away)
    if empty:
        drop.mkdir()

    def mend() -> None:
        if empty:
            drop.rmdir()
        away.rename(drop)

    description = "an empty folder is where the source was" if empty else "the source is gone"
    return Fault("source", description, r"is the disk mounted|watched source|files went while", mend)


def damaged_part(lake: Lake, rng: random.Random) -> Fault | None:
    """Overwrites the middle of one part of the descriptors; nothing mends it but the flow."""
    parts = [part for folder in sorted((lake.root / "features").glob("model=*/dataset=*")) for part in parquet_files(folder)]
    if not parts:
        return None
    part = rng.choice(parts)
    with part.open("r+b") as stream:
        length = os.fstat(stream.fileno()).st_size
        stream.seek(length // 2)
        stream.write(rng.randbytes(64))
    return Fault("part", f"{part.name} is damaged", rf"{part.name} was damaged", lambda: None)
