from __future__ import annotations

import pytest

from cvgl.errors import LakeError
from cvgl.lake import Lake
from tasks.find import find_adapter, find_evaluation, find_features


def test_the_only_model_needs_no_name_and_several_do(lake: Lake) -> None:
    with pytest.raises(LakeError, match="cvgl extract --dataset campus"):
        find_features(lake, "campus")
    lake.features("aaa1", "campus").mkdir(parents=True)
    lake.features("bbb2", "other").mkdir(parents=True)
    only = find_features(lake, "campus")
    assert (only.name, only.digest, only.path) == ("campus", "aaa1", lake.features("aaa1", "campus"))
    lake.features("abc3", "campus").mkdir(parents=True)
    with pytest.raises(LakeError, match="aaa1, abc3"):
        find_features(lake, "campus")
    assert find_features(lake, "campus", "ab").digest == "abc3"
    with pytest.raises(LakeError, match="there are no"):
        find_features(lake, "campus", "zzz")


def test_an_unfinished_run_is_not_found_and_the_finished_ones_are_named(lake: Lake) -> None:
    lake.adapter("half").mkdir(parents=True)  # killed before its record was written
    with pytest.raises(LakeError, match="that are: none"):
        find_adapter(lake, "half")
    (lake.evaluation("done")).mkdir(parents=True)
    (lake.evaluation("done") / "metrics.parquet").write_bytes(b"")
    with pytest.raises(LakeError, match="done"):
        find_evaluation(lake, "half")
