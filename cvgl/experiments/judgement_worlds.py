"""Built-in worlds for judgements: those that the calibration is learned from, and others with other corruptions to test it on.

They are described by the weight-free GIST, so that nothing has to be fetched; descriptors are kept in the lake.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cvgl.backbones import load
from cvgl.config import AlignmentConfig, BackboneConfig
from cvgl.experiments.judgement_cases import Case
from cvgl.features.batches import BatchSize
from cvgl.features.embedding import embed_prepared, prepare
from cvgl.hashing import digest_json
from cvgl.lake import Lake, replacing
from cvgl.synthetic import Season, WorldConfig, generate
from cvgl.types import Subset, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORLDS_VERSION = 1

_SURVEY: Final[dict[str, Any]] = {
    "heading_spread_degrees": 40.0,
    "depression_degrees": (74.0, 60.0),
    "distance_tiles": (1.4, 1.0),
}


def _world(seed: int, **changes: Any) -> WorldConfig:
    return WorldConfig.model_validate({"seed": seed, "places": 160, "views": 3, "distractors": 40, **changes})


CALIBRATION: Final = {
    "survey, no gap": _world(101, view_gap=0.0, **_SURVEY),
    "survey, gap 1": _world(102, view_gap=1.0, **_SURVEY),
    "survey, gap 2": _world(103, view_gap=2.0, **_SURVEY),
    "survey, gap 3": _world(104, view_gap=3.0, **_SURVEY),
    "steady heading": _world(105, heading_spread_degrees=10.0, depression_degrees=(80.0, 75.0), distance_tiles=(1.3, 1.2)),
    "headings of 90 degrees": _world(106, **{**_SURVEY, "heading_spread_degrees": 90.0}),
    "headings of 180 degrees": _world(107, view_gap=0.5, **{**_SURVEY, "heading_spread_degrees": 180.0}),
    "spiral": _world(108),
    "oblique": _world(109, heading_spread_degrees=30.0, depression_degrees=(60.0, 50.0), distance_tiles=(1.6, 0.9)),
    "nadir": _world(110, view_gap=0.5, heading_spread_degrees=5.0, depression_degrees=(88.0, 84.0), distance_tiles=(1.3, 1.1)),
}
"""What the calibration is learned from, each also under the corruptions of `judgement_cases.corruptions`."""

TESTED: Final = {
    "survey": _world(201, view_gap=2.0, **_SURVEY),
    "winter flight": _world(202, drone_seasons=(Season.WINTER,), **_SURVEY),
    "autumn flight": _world(203, view_gap=2.0, drone_seasons=(Season.AUTUMN,), **_SURVEY),
    "tiles in winter": _world(204, satellite_season=Season.WINTER, **_SURVEY),
    "larger tiles": _world(205, tile_metres=200.0, spacing_metres=150.0, **_SURVEY),
    "from afar": _world(206, **{**_SURVEY, "distance_tiles": (2.4, 1.8)}),
    "from close by": _world(207, heading_spread_degrees=20.0, depression_degrees=(80.0, 70.0), distance_tiles=(0.8, 0.7)),
    "spring, 120 degrees": _world(
        208, view_gap=1.5, drone_seasons=(Season.SPRING,), **{**_SURVEY, "heading_spread_degrees": 120.0}
    ),
}
"""Eight variants with other seeds and corruptions (seasons, scales) that had no part in the calibration."""


def describe(name: str, config: WorldConfig, lake: Lake) -> Case:
    """The descriptors of a world, drawn and described unless that was done before.

    Args:
        name: what it is called.
        config: the world.
        lake: where descriptors are kept.
    """
    digest = digest_json([WORLDS_VERSION, config.digest()])[:16]
    path = lake.root / "reproductions" / "worlds" / f"{digest}.npz"
    if not path.is_file():
        _write(path, _described(config))
    with np.load(path, allow_pickle=False) as stored:
        return _case(name, {key: stored[key] for key in stored.files})


def _described(config: WorldConfig) -> dict[str, NDArray[Any]]:
    embedder, alignment = load(BackboneConfig(name="gist")), AlignmentConfig()
    world = generate(config)
    rows, places, subsets, views = [], [], [], []
    for place in world.locations:
        drawn = list(world.render(list(world.images(place))))
        drawn_views = [picture.view for picture, _ in drawn]
        prepared = [prepare(image, embedder, picture.view, alignment) for picture, image in drawn]
        rows.append(embed_prepared(prepared, drawn_views, embedder, alignment, BatchSize(16)))
        places += [place.number] * len(drawn)
        subsets += [str(place.subset)] * len(drawn)
        views += [str(view) for view in drawn_views]
    return {"rows": np.concatenate(rows), "places": np.array(places), "subsets": np.array(subsets), "views": np.array(views)}


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type] # savez's stub takes no mapping of arrays by keyword


def _case(name: str, arrays: dict[str, NDArray[Any]]) -> Case:
    train, tile = arrays["subsets"] == str(Subset.TRAIN), arrays["views"] == str(View.SATELLITE)
    rows, places = arrays["rows"], arrays["places"]
    return Case(
        group=name,
        name="as it is",
        train_queries=rows[train & ~tile],
        train_references=rows[train & tile],
        queries=rows[~train & ~tile],
        references=rows[~train & tile],
        query_places=places[~train & ~tile],
        reference_places=places[~train & tile],
    )
