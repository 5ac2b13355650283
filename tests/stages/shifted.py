"""Images of two views whose descriptors lie apart by one shift."""

from __future__ import annotations

import numpy as np

from tests.stages.lakes import Shot

SHIFT = 2 * np.random.default_rng(0).standard_normal((40, 32))


def images(places: range, subset: str, dimension: int = 32) -> list[Shot]:
    """A tile and a drone image of each place; the drone's descriptors lie off by a common shift."""
    shots = []
    for place in places:
        rng = np.random.default_rng(place)
        tile = rng.standard_normal(dimension)
        drone = tile + SHIFT[0, :dimension] + 0.5 * rng.standard_normal(dimension)
        subsets = ["gallery", "query"] if subset == "query" else ["gallery", "train"]
        shots.append(Shot(f"s{place:03d}", "satellite", subsets, tile))
        shots.append(Shot(f"d{place:03d}", "drone", [subset], drone))
    return shots
