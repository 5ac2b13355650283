"""Judging and choosing in the lake: resumable, repeatable, and blind to labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvgl.adaptation import read_record
from cvgl.config import AdaptConfig, Recipe
from cvgl.errors import LakeError
from cvgl.lake import Lake
from cvgl.stages.adapt import SELECTION_FILE, adapt, read_selection
from cvgl.stages.quality import judge, quality_path, read_quality
from cvgl.types import ArtifactRef
from tests.stages.lakes import DATASET, Shot, write_features, write_images, write_truth
from tests.stages.lakes import town as small_town

AUTO = AdaptConfig(recipe=Recipe.AUTO)  # its costly candidates are left out of such sets by default


def town(places: int = 40, dimension: int = 32, unrelated: Any = False, test: Any = True) -> Any:
    """Images of both views; of the same places, or of different ones. Half of the places are there to be asked."""
    rng = np.random.default_rng(0)
    shift, shots = 2 * rng.standard_normal(dimension), []
    for place in range(places):
        tile = rng.standard_normal(dimension)
        labels = rng.standard_normal(dimension) if unrelated else tile
        subsets = ["gallery", "query"] if test and place % 2 else ["train"]
        shots.append(Shot(f"s{place:02d}", "satellite", subsets, tile, f"{place:04d}"))
        drone = labels + shift + 0.5 * rng.standard_normal(dimension)
        shots.append(Shot(f"d{place:02d}", "drone", subsets, drone, f"{place:04d}"))
    return shots


def filled(lake: Lake, shots: Any) -> ArtifactRef:
    write_images(lake, shots)
    write_truth(lake, shots)
    return write_features(lake, shots)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(tmp_path / "lake")


def test_auto_learns_the_recipe_that_it_chose_and_keeps_the_evidence(lake: Lake) -> None:
    outcome = adapt(filled(lake, town(80)), AUTO, lake)
    selection = read_selection(outcome.ref.path)
    assert outcome.run.startswith(f"{DATASET}-auto-")
    assert selection.refusal == ""
    assert read_record(outcome.ref.path).config.recipe is selection.chosen
    assert adapt(filled(lake, town(80)), AUTO, lake).skipped


def test_a_choice_made_before_a_crash_stands(lake: Lake, tmp_path: Path) -> None:
    first = adapt(filled(lake, town(80)), AUTO, lake)
    files = {path.name: path.read_bytes() for path in first.ref.path.iterdir()}
    (first.ref.path / "adapter.json").unlink()  # as if killed between the choice and the end
    again = adapt(filled(lake, town(80)), AUTO, lake)
    assert not again.skipped
    assert {path.name: path.read_bytes() for path in again.ref.path.iterdir()} == files


def test_a_damaged_choice_is_an_error(lake: Lake) -> None:
    outcome = adapt(filled(lake, town(80)), AUTO, lake)
    (outcome.ref.path / SELECTION_FILE).write_text('{"chosen": "magic"}')
    with pytest.raises(LakeError, match="record of a choice"):
        read_selection(outcome.ref.path)


def test_from_unrelated_views_no_map_is_learned_and_they_are_refused(lake: Lake) -> None:
    outcome = adapt(filled(lake, town(80, unrelated=True)), AUTO, lake)
    assert read_selection(outcome.ref.path).chosen is Recipe.STANDARDISED
    report = judge(outcome.ref, lake).record.report
    assert report.verdict == "refused"
    assert "nothing to do with one another" in report.reason


def test_a_good_set_is_judged_and_found_judged(lake: Lake) -> None:
    outcome = adapt(filled(lake, town(120)), AUTO, lake)
    first = judge(outcome.ref, lake)
    assert first.record.report.verdict != "refused"
    assert not first.record.report.seen
    assert [direction.direction for direction in first.record.report.directions] == ["query_to_reference", "reference_to_query"]
    second = judge(outcome.ref, lake)
    assert second.skipped
    assert second.record == first.record == read_quality(lake, outcome.run)


def test_without_images_to_ask_the_training_is_repeated_on_half(lake: Lake) -> None:
    outcome = adapt(filled(lake, town(100, test=False)), AdaptConfig(recipe=Recipe.ROBUST), lake)
    report = judge(outcome.ref, lake).record.report
    assert report.seen
    assert report.directions[0].adapted.n_queries == 50


def test_five_images_are_refused_without_a_crash(lake: Lake) -> None:
    outcome = adapt(filled(lake, town(10)), AUTO, lake)
    report = judge(outcome.ref, lake).record.report
    assert report.verdict == "refused"
    assert "too few" in report.reason


def test_a_damaged_record_is_an_error(lake: Lake) -> None:
    outcome = adapt(filled(lake, town(80)), AUTO, lake)
    judge(outcome.ref, lake)
    quality_path(lake, outcome.run).write_text("{}")
    with pytest.raises(LakeError, match="quality record"):
        read_quality(lake, outcome.run)


def test_shuffled_labels_change_no_byte(tmp_path: Path) -> None:
    """Places dealt out anew among the images: choice, adapter and judgement stay what they are, to the byte."""
    collected = []
    for seed in (None, 1):
        lake = Lake.at(tmp_path / f"lake{seed}")
        shots = town(80)
        if seed is not None:
            places = [shot.place for shot in shots]
            order = np.random.default_rng(seed).permutation(len(shots))
            for shot, number in zip(shots, order, strict=True):
                shot.place = places[number]
        outcome = adapt(filled(lake, shots), AUTO, lake)
        judge(outcome.ref, lake)
        files = sorted(path for part in ("adapters", "quality") for path in (lake.root / part).rglob("*") if path.is_file())
        collected.append({str(path.relative_to(lake.root)): path.read_bytes() for path in files})
    assert collected[0] == collected[1]
    assert len(collected[0]) == 4


def test_several_images_of_a_small_town_do_not_crash(lake: Lake) -> None:
    outcome = adapt(filled(lake, small_town()), AUTO, lake)
    assert judge(outcome.ref, lake).record.report.verdict == "refused"
