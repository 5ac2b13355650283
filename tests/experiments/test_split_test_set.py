from __future__ import annotations

import pytest

from cvgl.errors import DataError
from cvgl.experiments.material import load_material
from cvgl.experiments.reproduce import reproduce
from cvgl.experiments.split_test_set import adaptation_places
from cvgl.lake import Lake
from tests.experiments.towns import PROTOCOL, config, prepared, split_town
from tests.stages.lakes import Shot, town


def places_of(shots: list[Shot], ids: tuple[str, ...]) -> set[str]:
    place_of = {shot.name: shot.place or "" for shot in shots}
    return {place_of[image] for image in ids}


def test_a_place_is_adapted_on_or_tested_and_never_both(lake: Lake) -> None:
    shots = split_town(places=40)
    material = load_material(lake, prepared(lake, shots), PROTOCOL, split_seed=0)
    learned = places_of(shots, (*material.training.query_ids, *material.training.reference_ids))
    tested = {
        place
        for examination in material.examinations
        for side in (examination.question.queries, examination.question.gallery)
        for place in places_of(shots, side.image_ids)
    }
    trained = {shot.place for shot in shots if "train" in shot.subsets}
    assert not learned & tested
    assert not trained & (learned | tested)
    assert (len(learned), len(tested)) == (7, 13)  # 250 of 701, of 20


def test_the_seed_decides_and_the_release_is_divided_as_printed() -> None:
    places = [f"{number:04d}" for number in range(701)]
    drawn = adaptation_places(places, 0)
    assert len(drawn) == 250
    assert drawn == adaptation_places(places, 0)
    assert drawn != adaptation_places(places, 1)
    assert len(adaptation_places(places[:2], 0)) == 1


def test_distractors_stay_in_the_gallery(lake: Lake) -> None:
    shots = town(places=10, distractors=5)
    for shot in shots:
        shot.subsets = [subset for subset in shot.subsets if subset != "train"]
    material = load_material(lake, prepared(lake, shots), PROTOCOL, split_seed=0)
    to_satellite = material.examinations[0].question
    assert len(to_satellite.gallery.image_ids) == 6 + 5
    assert len(material.training.reference_ids) == 4


def test_too_few_places_are_refused(lake: Lake) -> None:
    shots = [shot for shot in split_town(places=20) if "train" in shot.subsets or shot.place == "0001"]
    with pytest.raises(DataError, match="too few"):
        load_material(lake, prepared(lake, shots), PROTOCOL, split_seed=0)


def test_within_one_view_each_place_gives_one_image_to_the_gallery(lake: Lake) -> None:
    shots = split_town(places=12, views=3)
    material = load_material(lake, prepared(lake, shots), PROTOCOL, single_view=True)
    (single,) = (
        examination for examination in material.examinations if str(examination.question.direction) == "drone_to_drone"
    )
    assert len(single.question.gallery.places) == len(set(single.question.gallery.places)) == 6
    assert len(single.question.queries.image_ids) == 6 * 2
    assert not set(single.question.queries.image_ids) & set(single.question.gallery.image_ids)


def test_one_view_is_easier_than_two(lake: Lake) -> None:
    result = reproduce(prepared(lake, split_town(places=60)), config("table8", seeds=(0,)), lake).result
    frozen = result.configurations[0]
    across, within = frozen.direction("drone_to_satellite"), frozen.direction("drone_to_drone")
    assert across is not None
    assert within is not None
    # The views lie off by one shift, which one view alone does not have.
    assert within.recall["1"].mean > across.recall["1"].mean


def test_places_with_one_image_cannot_be_asked_within_one_view(lake: Lake) -> None:
    material = load_material(lake, prepared(lake, split_town(places=12, views=1)), PROTOCOL, single_view=True)
    assert {str(examination.question.direction) for examination in material.examinations} == {
        "drone_to_satellite",
        "satellite_to_drone",
    }
