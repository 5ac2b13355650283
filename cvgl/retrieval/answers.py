"""The file that a challenge with masked names asks for: the best answers of every query, one line a query."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cvgl.errors import DataError
from cvgl.lake import write_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEPTH = 10  # University-160k asks for ten


def write_answers(
    path: str | Path, reference_names: Sequence[str], top_index: NDArray[np.int64], *, depth: int = DEPTH, separator: str = " "
) -> None:
    """Writes one line a query: the names of its best answers, best first. The file appears whole or not at all.

    Lines are in the order of the queries as they were searched, so put them into the order of the challenge's list first:

        found = top_k(query_descriptors, gallery_descriptors, 10)
        write_answers("answer.txt", gallery_names, found.index)

    Args:
        path: of the file.
        reference_names: one a reference, as the challenge calls it, in the order searched.
        top_index: int64 (Q, K), rows of the references, best first, from `top_k` or `Evaluation.per_query`; K >= depth.
        depth: names on a line.
        separator: between names.

    Raises:
        DataError: fewer answers than `depth`, rows that no name belongs to, a name that occurs twice or would break the line.
        OSError: the file cannot be written.
    """
    index = np.asarray(top_index)
    if index.ndim != 2 or index.shape[1] < depth:
        raise DataError(f"{index.shape} answers where {depth} a query are asked for", where=path, fix=f"search with k={depth}")
    if index.size and not 0 <= index.min() <= index.max() < len(reference_names):
        raise DataError(f"answers name row {index.max()} of {len(reference_names)} names", where=path, fix="give all names")
    if len(set(reference_names)) < len(reference_names):
        raise DataError("a name occurs twice among the references", where=path, fix="give the names of the challenge")
    broken = next((name for name in reference_names if not name or separator in name or name.splitlines() != [name]), None)
    if broken is not None:
        raise DataError(f"the name {broken!r} would break its line", where=path, fix="give the names of the challenge")
    lines = (separator.join(reference_names[column] for column in row) + "\n" for row in index[:, :depth].tolist())
    write_bytes(Path(path), "".join(lines).encode())
