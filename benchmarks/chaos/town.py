"""What arrives: flights over the built-in world, one after another, and now and then a reference that is deleted."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from cvgl.hashing import sha256_file
from cvgl.synthetic.config import WorldConfig
from cvgl.synthetic.writer import write_university1652

TRAIN, TEST, VIEWS, SIZE = 5, 3, 3, 48  # places of each kind in a flight, drone views a place, pixels
DATASET = "town"
_FOLDERS = (
    *("train/drone", "train/satellite"),
    *("test/query_drone", "test/gallery_drone", "test/query_satellite", "test/gallery_satellite"),
)


@dataclass(slots=True)
class Town:
    """A watched folder and what comes into it next.

    Attributes:
        root: the world lies below, and the flights before they arrive.
        drop: the watched folder.
        flights: how many there are at most.
        arrived: how many batches have come.
    """

    root: Path
    drop: Path
    flights: int
    arrived: int = 0

    def draw(self) -> None:
        """Draws the world, unless it is there."""
        places = self.flights * (TRAIN + TEST)
        config = WorldConfig(
            places=places, train_share=TRAIN / (TRAIN + TEST), distractors=0, views=VIEWS, image_size=SIZE, view_gap=0.5
        )
        write_university1652(config, self.root / "world")

    def clear(self) -> None:
        """The watched folder as it was before anything came."""
        shutil.rmtree(self.drop, ignore_errors=True)
        self.drop.mkdir(parents=True)
        self.arrived = 0

    def next(self) -> str:
        """Lets one batch arrive, in one step: a flight, or, every third time, one reference that goes."""
        number, self.arrived = self.arrived, self.arrived + 1
        flight = number - number // 3
        if number % 3 == 2:
            gone = sorted((self.drop / f"flight-{flight - 1:02d}" / "train" / "satellite").glob("*/*"))[0]
            gone.unlink()
            return f"{gone.relative_to(self.drop)} is deleted"
        self._put(flight)
        return f"flight-{flight:02d} has come"

    def contents(self) -> set[str]:
        """Hashes of the images that have ever come, deleted ones among them."""
        flights = range(self.arrived - self.arrived // 3)
        files = [path for flight in flights for path in self._files(flight)]
        return {sha256_file(path) for path in files}

    def _files(self, flight: int) -> list[Path]:
        files: list[Path] = []
        for folder in _FOLDERS:
            places = sorted((self.root / "world" / folder).iterdir())
            count = TRAIN if folder.startswith("train") else TEST
            for place in places[flight * count : (flight + 1) * count]:
                files += sorted(place.iterdir())
        return files

    def _put(self, flight: int) -> None:
        """A whole flight under its name at once: copied beside the watched folder, and moved."""
        made = self.root / "coming"
        shutil.rmtree(made, ignore_errors=True)
        for path in self._files(flight):
            target = made / path.relative_to(self.root / "world")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        made.rename(self.drop / f"flight-{flight:02d}")
