"""Make a folder as yours may be: drone photos, map tiles with positions, and a few new photos."""

import csv
import shutil
from pathlib import Path

from cvgl.synthetic import WorldConfig, write_manifest

world, area, new = Path("world"), Path("area"), Path("new")
write_manifest(
    WorldConfig(
        seed=3, places=80, distractors=40, views=3, heading_spread_degrees=40, depression_degrees=(80, 70), view_gap=1.5
    ),
    world,
)
for folder in (area / "drone", area / "satellite", new):
    folder.mkdir(parents=True)

tables: dict[str, list[dict[str, str]]] = {"drone": [], "satellite": []}
for number, row in enumerate(csv.DictReader((world / "manifest.csv").open())):
    view = row["view"]
    name = f"{'IMG' if view == 'drone' else 'tile'}_{number:04}.jpg"
    if view == "drone" and number % 80 == 3:
        shutil.copy(world / row["path"], new / name)
        continue
    shutil.copy(world / row["path"], area / view / name)
    tables[view].append({"path": name, "latitude": row["latitude"], "longitude": row["longitude"]})
for view, rows in tables.items():
    with (area / f"{view}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "latitude", "longitude"])
        writer.writeheader()
        writer.writerows(rows)
