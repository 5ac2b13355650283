from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cvgl.errors import GateRefusal
from cvgl.experiments.reproduce import reproduce
from cvgl.lake import Lake
from tests.experiments.towns import config, prepared, split_town
from tests.stages.lakes import Shot

PLACES = 60  # half of them for the test: more than can be all right by luck


def asked(shots: Sequence[Shot]) -> list[Shot]:
    return [shot for shot in shots if "query" in shot.subsets]


def same_images(shots: list[Shot]) -> None:
    """The drone images are copies of the satellite ones."""
    tiles = {shot.place: shot.descriptor for shot in shots if shot.view == "satellite"}
    for shot in shots:
        shot.descriptor = tiles[shot.place]


def one_place(shots: list[Shot]) -> None:
    for shot in asked(shots):
        shot.place = "everywhere"


@pytest.mark.parametrize(
    ("damage", "cause"), [(same_images, "the same images lie under both views"), (one_place, "show one place")]
)
def test_a_table_of_hundreds_is_refused_with_its_cause(lake: Lake, damage: Callable[[list[Shot]], None], cause: str) -> None:
    shots = split_town(places=PLACES)
    damage(shots)
    with pytest.raises(GateRefusal, match="answers all queries right") as refusal:
        reproduce(prepared(lake, shots), config("table1"), lake)
    assert cause in refusal.value.what
    assert not list((lake.root / "reproductions").glob("table1/*"))


def test_everything_right_for_another_reason_asks_for_the_permutation_test(lake: Lake) -> None:
    shots = split_town(places=PLACES, noise=0.0)
    rng = np.random.default_rng(0)
    centres = {shot.place: shot.descriptor for shot in shots if shot.view == "satellite"}
    for shot in shots:  # no shift between the views, and a little noise: told apart by nothing that images would show
        shot.descriptor = centres[shot.place] + 0.05 * rng.standard_normal(len(shot.descriptor))
    with pytest.raises(GateRefusal, match="answers all queries right") as refusal:
        reproduce(
            prepared(lake, shots), config("table1", overrides=config().overrides.model_copy(update={"iterations": 0})), lake
        )
    assert "shuffle the places" in refusal.value.fix


def test_a_few_queries_may_all_be_right(lake: Lake) -> None:
    shots = split_town(places=8)
    same_images(shots)
    assert reproduce(prepared(lake, shots), config("table1"), lake).result.configurations[0].directions[0].recall["1"].mean == 1


def test_one_descriptor_for_all_images_is_refused_before_anything_is_learned(lake: Lake) -> None:
    shots = [dataclasses.replace(shot, descriptor=np.ones(16)) for shot in split_town(places=12)]
    with pytest.raises(GateRefusal, match="are the same, so every ranking"):
        reproduce(prepared(lake, shots), config("table1"), lake)
    assert not (lake.root / "reproductions" / "measurements").exists()


def test_descriptors_with_nan_are_refused(lake: Lake) -> None:
    shots = split_town(places=12)
    broken = np.array(shots[3].descriptor)
    broken[0] = np.nan
    shots[3].descriptor = broken
    with pytest.raises(GateRefusal, match="NaN"):
        reproduce(prepared(lake, shots), config("table1"), lake)
