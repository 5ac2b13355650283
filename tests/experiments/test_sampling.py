from __future__ import annotations

from collections import Counter

import pytest
import torch

from cvgl.errors import DataError
from cvgl.experiments.sampling import building_balanced

PLACES = ["a"] * 50 + ["b"] + [None] + ["c"] * 8


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_every_building_and_each_of_its_images_is_as_likely() -> None:
    rows = building_balanced(PLACES)(generator(), 30_000)
    assert rows.dtype == torch.int64
    buildings = Counter(PLACES[row] for row in rows.tolist())
    assert set(buildings) == {"a", "b", "c"}
    assert all(abs(count / 30_000 - 1 / 3) < 0.02 for count in buildings.values())
    images = Counter(rows.tolist())
    assert len(images) == 59
    assert all(abs(images[row] / 30_000 - 1 / 150) < 0.002 for row in range(50))


def test_one_draw_a_satellite_row_from_the_given_generator_alone() -> None:
    draw, source = building_balanced(PLACES), generator()
    first, second = draw(source, 64), draw(source, 64)
    assert first.shape == (64,)
    assert not torch.equal(first, second)
    torch.manual_seed(99)
    assert torch.equal(draw(generator(), 64), first)


def test_which_label_a_building_has_does_not_matter_only_which_images_share_it() -> None:
    renamed = [None if place is None else f"1{place}" for place in PLACES]
    assert torch.equal(building_balanced(renamed)(generator(), 64), building_balanced(PLACES)(generator(), 64))


@pytest.mark.parametrize("buildings", [None, [], [None, None]])
def test_without_ground_truth_it_is_refused(buildings: list[str | None] | None) -> None:
    with pytest.raises(DataError, match="needs the building of every training query") as refusal:
        building_balanced(buildings)
    assert "sample uniformly" in refusal.value.fix
