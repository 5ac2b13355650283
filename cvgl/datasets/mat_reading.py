"""Reading CVACT's MATLAB file in a process of its own.

SciPy's reader ends the whole process (a segmentation fault) on some damaged files, and may ask for any amount of memory.
So a child reads the file and hands over plain arrays; if it dies, the file is damaged, and nothing else is.

    python -m cvgl.datasets.mat_reading FILE    writes an .npz to stdout, or a sentence to stderr and exit code 3
"""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.errors import DataError, require

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLITS: Mapping[str, str] = {"trainSet": "trainInd", "valSet": "valInd", "valSetAll": "valInd"}
NAMES = "names"
_UNREADABLE = 3
_SECONDS, _BYTES = 300, 8 * 2**30
_FIX = "fetch ACT_data.mat again"


def read_tables(path: Path) -> dict[str, NDArray[Any]]:
    """Reads the variables that CVACT's table consists of.

    Returns:
        ``names`` (str, of all variables); as far as they are there ``panoIds`` (str), ``utm`` (float64, any shape), and the
        splits (float64, one-dimensional, counted from 1).

    Raises:
        DataError: the file is damaged, or a variable is not what its name says.
        MissingDependencyError: SciPy is not installed.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"the table cannot be read: {error.strerror}", where=path, fix=_FIX) from error
    return dict(_read(path, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=4)
def _read(path: Path, size: int, mtime_ns: int) -> Mapping[str, NDArray[Any]]:
    """Once for each state of a file: its validation and its test pairs are looked at one after the other."""
    require("scipy.io", extra="pipeline", purpose="read CVACT's table")
    command = [sys.executable, "-m", __name__, str(path)]
    try:
        child = subprocess.run(
            command, capture_output=True, timeout=_SECONDS, check=False, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"the table was not read within {_SECONDS} s", where=path, fix=_FIX) from error
    if child.returncode == _UNREADABLE:
        raise DataError(child.stderr.decode(errors="replace").strip(), where=path, fix=_FIX)
    if child.returncode != 0:
        raise DataError("the table is no MATLAB file that can be read: it ends its reader", where=path, fix=_FIX)
    with np.load(io.BytesIO(child.stdout), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def main() -> int:
    """The child."""
    _limit(resource.RLIMIT_AS, _BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    scipy_io: Any = require("scipy.io", extra="pipeline", purpose="read CVACT's table")
    try:
        # Whatever a damaged file makes the reader raise, it is the file that is wrong.
        variables = scipy_io.loadmat(sys.argv[1], simplify_cells=True)
    except Exception as error:  # noqa: BLE001 # SciPy's reader raises a dozen kinds
        return _fail(f"the table is no MATLAB file that can be read: {error}")
    arrays: dict[str, NDArray[Any]] = {}
    arrays[NAMES] = np.array(sorted(name for name in variables if not name.startswith("__")), dtype=np.str_)
    try:
        if "panoIds" in variables:
            arrays["panoIds"] = np.array([str(name) for name in np.atleast_1d(variables["panoIds"]).ravel()], dtype=np.str_)
        if "utm" in variables:
            arrays["utm"] = np.asarray(variables["utm"], np.float64)
    except (TypeError, ValueError) as error:
        return _fail(f"panoIds or utm hold something else than names and numbers: {error}")
    for name, field in SPLITS.items():
        try:
            if name in variables:
                arrays[name] = np.atleast_1d(np.asarray(variables[name][field], np.float64)).ravel()
        except (KeyError, IndexError, TypeError, ValueError):
            return _fail(f"{name} has no {field} with indices")
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type] # the stubs mix the arrays with the function's own options
    sys.stdout.buffer.write(stream.getvalue())
    return 0


def _limit(kind: int, most: int) -> None:
    """Lowers a limit of this process; one that is lower already stays."""
    _, hard = resource.getrlimit(kind)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (least, least))


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return _UNREADABLE


if __name__ == "__main__":
    sys.exit(main())
