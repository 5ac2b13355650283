"""Watched folders of small images, and the settings to watch them with."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from cvgl.config import ArrivalConfig
from cvgl.lake import Lake
from tests.data.images import place_image, save

DATASET = "town"


def watching(source: Path | str, lake: Lake, **settings: Any) -> ArrivalConfig:
    """Settings under which a batch closes at once, unless `watch` says otherwise."""
    values: dict[str, Any] = {
        "lake": str(lake.root),
        "ingest": {"source": str(source), "dataset": DATASET},
        "align": {"enabled": False},
        "extract": {"backbone": {"name": "gist", "image_size": 64}},
        "adapt": {"recipe": "paper-standardised", "dimension": 32, "iterations": 3, "query_samples": 12},
        "registry": {"tolerance": 1.0},
    }
    values |= settings
    values["watch"] = {"quiet_seconds": 0.0, **settings.get("watch", {})}
    return ArrivalConfig.model_validate(values)


def reference(root: Path, place: int, name: str = "") -> Path:
    return save(place_image(place), root / "satellite" / f"{name or place}.png")


def drone(root: Path, place: int, view: int = 1, name: str = "") -> Path:
    return save(place_image(place, view), root / "drone" / f"{name or f'{place}-{view}'}.png")


def town(root: Path, places: range, views: int = 3) -> Path:
    """A folder by view: a tile and some drone images of each place."""
    for place in places:
        reference(root, place)
        for view in range(1, views + 1):
            drone(root, place, view)
    return root


def older(root: Path, seconds: float = 3600.0) -> None:
    """Sets back the times of all files below a folder."""
    then = time.time() - seconds
    for path in root.rglob("*"):
        os.utime(path, (then, then))
