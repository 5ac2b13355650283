from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvgl.errors import DataError
from cvgl.retrieval import evaluate, top_k, write_answers

NAMES = [f"n{number:02d}" for number in range(12)]


def test_one_line_a_query_best_first(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    q, r = rng.standard_normal((3, 5)), rng.standard_normal((12, 5))
    write_answers(tmp_path / "answer.txt", NAMES, top_k(q, r, 10).index)
    lines = (tmp_path / "answer.txt").read_text().splitlines()
    expected = np.argsort(-(q @ r.T), axis=1)[:, :10]
    assert lines == [" ".join(NAMES[column] for column in row) for row in expected]

    masked = evaluate(q, [None] * 3, r, [None] * 12, "university160k-official")
    assert masked.n_queries == 0
    write_answers(tmp_path / "again.txt", NAMES, masked.per_query.top_index)
    assert (tmp_path / "again.txt").read_bytes() == (tmp_path / "answer.txt").read_bytes()
    write_answers(tmp_path / "tabs.txt", NAMES, masked.per_query.top_index, depth=2, separator="\t")
    assert (tmp_path / "tabs.txt").read_text().splitlines()[0] == "\t".join(NAMES[column] for column in expected[0, :2])


@pytest.mark.parametrize(
    ("names", "index", "message"),
    [
        (NAMES, [[1, 2]], "answers where 10 a query"),
        (NAMES[:5], [list(range(10))], "row 9 of 5 names"),
        (NAMES, [[-1] * 10], "names"),
        (["a"] * 12, [list(range(10))], "occurs twice"),
        ([*NAMES[:11], "a b"], [list(range(10))], "'a b' would break"),
        ([*NAMES[:11], "a\nb"], [list(range(10))], "would break"),
        ([*NAMES[:11], ""], [list(range(10))], "would break"),
    ],
)
def test_what_would_not_be_an_answer_file_is_refused(tmp_path: Path, names: Any, index: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        write_answers(tmp_path / "answer.txt", names, np.array(index))
    assert not list(tmp_path.iterdir())
