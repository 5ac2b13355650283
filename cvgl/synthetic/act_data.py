"""CVACT's table for a world, as MATLAB would have saved it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.errors import require
from cvgl.types import Subset

if TYPE_CHECKING:
    from cvgl.synthetic.scene import World

_HEADER = b"MATLAB 5.0 MAT-file, a generated world"
_HEADER_BYTES = 116  # of text, before version and byte order
_CANBERRA = (693_000.0, 6_092_000.0)  # easting and northing, UTM zone 55 south: where the world's centre is put


def act_data(world: World, pano_ids: Sequence[str], tested: Sequence[int]) -> bytes:
    """The table's bytes, the same ones for the same world.

    Args:
        world: whose locations are the rows.
        pano_ids: of all places.
        tested: places of the test; the first half of them are also the validation's.

    Raises:
        MissingDependencyError: SciPy is not installed.
    """
    scipy_io: Any = require("scipy.io", extra="pipeline", purpose="write CVACT's table")
    trained = [place.number for place in world.locations if place.subset is Subset.TRAIN]
    validated = tested[: (len(tested) + 1) // 2]
    positions = np.array([(place.x, place.y) for place in world.locations]).reshape(-1, 2) + _CANBERRA
    stream = io.BytesIO()
    scipy_io.savemat(
        stream,
        {
            "panoIds": np.array(pano_ids),
            "utm": positions,
            "trainSet": {"trainInd": _column(trained)},
            "valSet": {"valInd": _column(validated)},
            "valSetAll": {"valInd": _column(tested)},
        },
    )
    data = stream.getvalue()
    # SciPy writes the hour into the text, and equal worlds are to be equal bytes.
    return _HEADER.ljust(_HEADER_BYTES) + data[_HEADER_BYTES:]


def _column(numbers: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Indices from 1, as MATLAB counts: doubles in a column."""
    return np.array(numbers, np.float64).reshape(-1, 1) + 1
