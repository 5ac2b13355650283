"""On which machine something was measured, for pages; never a part of results."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from cvgl.errors import MissingDependencyError, require

_GIB = 2**30


def describe_machine() -> dict[str, str]:
    """Processor, memory, accelerator and the versions that figures depend on, by name."""
    import torch

    parts = {"processor": f"{_processor()}, {os.cpu_count() or 1} cores", "memory": _memory()}
    if torch.cuda.is_available():
        parts["accelerator"] = torch.cuda.get_device_name(0)
    return {
        **{name: value for name, value in parts.items() if value},
        "system": f"{platform.system()} {platform.machine()}",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}",
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    try:
        psutil = require("psutil", extra="pipeline", purpose="tell how much memory there is")
    except MissingDependencyError:
        return ""
    return f"{psutil.virtual_memory().total / _GIB:.0f} GiB"
