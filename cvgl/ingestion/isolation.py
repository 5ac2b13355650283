"""Looking at an image in a process of its own, which may die of it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from cvgl.ingestion.scan_cache import Scan

_LONGEST_S = 600
_ROOM = 512 << 20  # for the interpreter and its libraries
_COMMAND = "from cvgl.ingestion.isolation import main; main()"


def scan_in_isolation(path: Path, max_pixels: int) -> Scan | None:
    """Reads one file as `cvgl.ingestion.scanning.scan_file` does; None where the process that did it died or did not end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _COMMAND, str(path), str(max_pixels)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_LONGEST_S,
            check=True,
        )
        return Scan.model_validate_json(done.stdout)
    except (subprocess.SubprocessError, ValidationError):
        return None


def main() -> None:
    """The process: reads the file that its arguments name, within the memory that a single image may take."""
    from cvgl.imaging import memory
    from cvgl.ingestion.scanning import scan_file

    with suppress(OSError):  # the system's choice where memory runs out, before the process that started this one
        Path("/proc/self/oom_score_adj").write_text("1000")
    with suppress(OSError, ValueError):
        most = _address_space() + memory.ceiling() + _ROOM
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    scan = scan_file(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(scan.model_dump_json())


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
