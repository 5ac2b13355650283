from __future__ import annotations

import base64
from pathlib import Path

import pytest

from cvgl.summary import MetricSummary
from cvgl.types import Stage
from tasks.artifacts import INLINE_LIMIT, artifact_key, inline_picture, metrics_markdown, metrics_rows
from tests.data.pictures import place_picture, save

SUMMARY = MetricSummary(
    stage=Stage.ADAPTED,
    direction="drone_to_satellite",
    protocol="university1652-951",
    protocol_hash="0" * 16,
    recall={"1": 0.4, "5": 0.611, "10": 0.7, "1%": 0.4},
    ap=0.46,
    median_m=31.4,
    n_queries=100,
    n_gallery=50,
)


@pytest.mark.parametrize(
    ("parts", "key"),
    [(("Adapt", "My_Set.v2"), "adapt-my-set-v2"), (("a", "--b--"), "a-b"), (("timm/ViT-Ti", "x"), "timm-vit-ti-x")],
)
def test_keys_are_what_prefect_takes(parts: tuple[str, ...], key: str) -> None:
    assert artifact_key(*parts) == key


def test_figures_are_percent_in_the_tables() -> None:
    [row] = metrics_rows([SUMMARY])
    assert row["R@1"] == "40.0%"
    assert row["R@5"] == "61.1%"
    assert row["AP"] == "46.0%"
    assert row["median m"] == "31"
    assert metrics_markdown([SUMMARY]).splitlines()[0].startswith("| descriptors | direction |")
    assert len(metrics_markdown([SUMMARY]).splitlines()) == 3


def test_no_labels_is_said_in_words() -> None:
    assert metrics_rows([]) == []
    assert "no labels" in metrics_markdown([])


def test_pictures_go_into_the_artifact_unless_they_are_large(tmp_path: Path) -> None:
    small = save(place_picture(1), tmp_path / "small.png")
    address = inline_picture(small)
    assert address is not None
    assert base64.b64decode(address.removeprefix("data:image/png;base64,")) == small.read_bytes()
    large = tmp_path / "large.png"
    large.write_bytes(bytes(INLINE_LIMIT + 1))
    assert inline_picture(large) is None
