"""The released trainer's draws: as many images as there are satellite rows, each a random image of a random building.

They know which images show one building, so class structure leaks into a training that is called unsupervised. They exist
for comparison with the released code, behind their own option, and need the buildings handed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cvgl.errors import DataError

if TYPE_CHECKING:
    from cvgl.adaptation.training import Draws


def building_balanced(buildings: Sequence[str | None] | None) -> Draws:
    """Draws with replacement: a building, each as likely, then one of its images, each as likely.

    A building with fifty images is drawn as often as one with a single image.

    Args:
        buildings: ground truth, the building of each training query; None where unknown, and such queries are never drawn.

    Returns:
        (source of randomness, how many) -> int64 rows of the training queries, which may repeat.

    Raises:
        DataError: the buildings were not handed over, or none is known.
    """
    labelled = [] if buildings is None else [(place, row) for row, place in enumerate(buildings) if place is not None]
    if not labelled:
        raise DataError(
            "building-balanced sampling needs the building of every training query, and "
            + ("no ground truth was handed over" if buildings is None else "none is known"),
            where="building_balanced",
            fix="sample uniformly, which needs no labels, or give a dataset whose training images lie in folders by place",
        )
    rows_of: dict[str, list[int]] = {}
    for place, row in labelled:
        rows_of.setdefault(place, []).append(row)
    order = sorted(rows_of)  # so that draws do not depend on the order in which buildings are met
    counts = torch.tensor([len(rows_of[place]) for place in order])
    starts = counts.cumsum(0) - counts
    rows = torch.tensor([row for place in order for row in rows_of[place]])

    def draw(generator: torch.Generator, count: int) -> Tensor:
        building = torch.randint(len(order), (count,), generator=generator)
        # A share of the building's images in [0, 1): one number an image, so counts may differ.
        share = torch.rand(count, generator=generator, dtype=torch.float64)
        image = (share * counts[building]).long()
        return rows[starts[building] + image]

    return draw
