"""Flights over a map, small: as images in a folder, and as rows of a lake made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.data.images import place_image, save
from tests.stages.lakes import Shot


def flights_folder(root: Path, dates: tuple[str, ...] = ("2014-01", "2014-03"), side: int = 4, per_tile: int = 3) -> Path:
    """uav.csv, tiles.csv and truth.csv with their images; both flights pass over every tile of the map, line by line."""
    tiles = [(row, column) for row in range(side) for column in range(side)]
    course = [(row, side - 1 - column if row % 2 else column) for row, column in tiles]
    frames, truth = ["path,flight,frame"], ["path,x_m,y_m,heading_deg,footprint_m,nearest_tile,nearest_tile_offset_m"]
    for flight in (1, 2):
        number = 0
        for row, column in course:
            for view in range(1, per_tile + 1):
                number += 1
                path = f"uav/Flight{flight}/{number:03d}.jpg"
                save(place_image(row * side + column, 10 * flight + view), root / path)
                frames.append(f"{path},Flight{flight},{number}")
                truth.append(f"{path},{60 * column + 4 * view},{60 * row},0,80,{row:02d}_{column:02d},{4 * view}")
    lines = ["path,date,tile_id,x_m,y_m,size_m"]
    for date in dates:
        for row, column in tiles:
            path = f"satellite/{date}/{row:02d}_{column:02d}.jpg"
            save(place_image(row * side + column), root / path)
            lines.append(f"{path},{date},{row:02d}_{column:02d},{60 * column},{60 * row},100")
    for name, table in (("uav.csv", frames), ("truth.csv", truth), ("tiles.csv", lines)):
        (root / name).write_text("\n".join(table) + "\n")
    return root


def flown_town(side: int = 5, per_tile: int = 5, noise: float = 2.2, dimension: int = 24) -> list[Shot]:
    """A map of tiles, a flight to learn from and a flight to be asked about, that pass over it line by line.

    A flight's images all lie off by one shift, and each of them says little on its own.
    """
    rng = np.random.default_rng(1)
    centres, shift = rng.standard_normal((side * side, dimension)), 2 * rng.standard_normal(dimension)
    shots = []
    for tile, centre in enumerate(centres):
        x, y = 60.0 * (tile % side), 60.0 * (tile // side)
        at = {"x": x, "y": y, "crs": "local"}
        shots.append(Shot(f"s{tile:02d}", "satellite", ["gallery", "query", "train"], centre, f"{tile:02d}", at))
    course = [row * side + (side - 1 - column if row % 2 else column) for row in range(side) for column in range(side)]
    for flight, subsets in (("a", ["train"]), ("b", ["gallery", "query"])):
        for number, tile in enumerate(np.repeat(course, per_tile)):
            descriptor = centres[tile] + shift + noise * rng.standard_normal(dimension)
            truth = {"x": 60.0 * (tile % side) + 5, "y": 60.0 * (tile // side), "crs": "local"} if flight == "b" else None
            shot = Shot(f"{flight}{number:03d}", "drone", subsets, descriptor, truth=truth)
            shot.position = {"sequence": flight}
            shots.append(shot)
    return shots
