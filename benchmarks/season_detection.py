"""Which label-free measure tells a season apart: the champion on new flights of a town, in the same season and in others.

    python -m benchmarks.season_detection --seeds 4,5,6

A town of 60 places is flown over in summer, autumn and winter. The champion learns from the summer flights around half of the
places. What came are the flights around the other half: in summer nothing has changed, so what is reported is a false alarm.
Each measure is held against the rule of `cvgl.arrival.deciding`: a loss beyond two standard errors, and of at least a share.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvgl import adapt
from cvgl.arrival.champion_quality import QualityChange, QualityMeasure, predicted_recall, quality_change, split_half_agreement
from cvgl.backbones import load
from cvgl.config import AdaptConfig, BackboneConfig
from cvgl.synthetic import Season, WorldConfig, generate
from cvgl.types import View

SEASONS = (Season.SUMMER, Season.AUTUMN, Season.WINTER)
SHARES = (0.1, 0.2, 0.35)
IMAGES = 60  # of each side
MEASURES: dict[str, QualityMeasure] = {"halves": split_half_agreement, "predicted R@1": predicted_recall}


@dataclass(frozen=True, slots=True)
class Town:
    """Frozen descriptors of a town: tiles by place, and drone images by season, with the place that each shows."""

    tiles: NDArray[np.float32]
    drone: dict[Season, NDArray[np.float32]]
    places: dict[Season, NDArray[np.int64]]


def described(seed: int) -> Town:
    """Draws a town, and describes it with GIST."""
    world = generate(
        WorldConfig(
            seed=seed,
            places=60,
            distractors=0,
            views=4,
            image_size=96,
            heading_spread_degrees=40.0,
            depression_degrees=(74.0, 60.0),
            distance_tiles=(1.4, 1.0),
            view_gap=2.0,
            drone_seasons=SEASONS,
        )
    )
    model = load(BackboneConfig(name="gist", image_size=96))
    tiles: list[NDArray[np.float32]] = []
    drone: dict[Season, list[NDArray[np.float32]]] = {season: [] for season in SEASONS}
    places: dict[Season, list[int]] = {season: [] for season in SEASONS}
    for number, place in enumerate(world.locations):
        for picture, image in world.render(list(world.images(place))):
            row = model.embed(model.prepare(image)[None])[0]
            if picture.view is View.SATELLITE:
                tiles.append(row)
            else:
                drone[picture.season].append(row)
                places[picture.season].append(number)
    return Town(np.stack(tiles), {s: np.stack(r) for s, r in drone.items()}, {s: np.array(p) for s, p in places.items()})


def changes(town: Town, seed: int, splits: int) -> Iterator[tuple[str, Season, QualityChange]]:
    """The champion on what it knows and on what came, by measure and season, for so many divisions of the places."""
    for split in range(splits):
        rng = np.random.default_rng([seed, split])
        learned = rng.permutation(len(town.tiles))[: len(town.tiles) // 2]
        summer = town.drone[Season.SUMMER][np.isin(town.places[Season.SUMMER], learned)]
        champion = adapt(summer, town.tiles, config=AdaptConfig(recipe="robust"))
        references = champion.transform_reference(town.tiles)
        before = champion.transform_query(summer[rng.permutation(len(summer))[:IMAGES]])
        for season in SEASONS:
            new = town.drone[season][~np.isin(town.places[season], learned)]
            after = champion.transform_query(new[rng.permutation(len(new))[:IMAGES]])
            for name, measure in MEASURES.items():
                change = quality_change(before, after, references, measure)
                if change is not None:
                    yield name, season, change


def main() -> None:
    """Measures, and prints the share of divisions that each rule reports."""
    parser = argparse.ArgumentParser(description="which label-free measure tells a season apart")
    parser.add_argument("--seeds", default="4,5,6", help="of the towns")
    parser.add_argument("--splits", type=int, default=16, help="divisions of the places of a town")
    arguments = parser.parse_args()
    changes_found = [
        (seed, *change)
        for seed in map(int, arguments.seeds.split(","))
        for change in changes(described(seed), seed, arguments.splits)
    ]
    for name in MEASURES:
        for share in SHARES:
            rates_by_season = {
                season: float(
                    np.mean([c.is_significant and c.drop >= share for _, n, s, c in changes_found if (n, s) == (name, season)])
                )
                for season in SEASONS
            }
            text = ", ".join(f"{season} {rate:.0%}" for season, rate in rates_by_season.items())
            print(f"{name}, loss of {share:.0%} or more: {text}")
        # At the same rate of false alarms, whatever threshold that takes.
        bar = np.quantile([c.drop for _, n, s, c in changes_found if (n, s) == (name, Season.SUMMER)], 0.9)
        rates = [
            np.mean([c.drop > bar for _, n, s, c in changes_found if (n, s) == (name, season_name)])
            for season_name in SEASONS[1:]
        ]
        print(f"{name}, at 10 % false alarms (a loss of {bar:.0%}): autumn {rates[0]:.0%}, winter {rates[1]:.0%}")


if __name__ == "__main__":
    main()
