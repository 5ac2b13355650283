"""Every published layout, drawn small, and copies to be damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock

from cvgl.config import Layout
from cvgl.synthetic import WorldConfig, for_layout, write_layout
from cvgl.synthetic.layouts import WRITERS

# Close and steep views see little ground, so there is little to draw.
SMALL = WorldConfig(
    places=6, distractors=4, views=4, image_size=32, tile_metres=60, train_share=0.5, depression_degrees=(75, 65)
)
LAYOUTS = tuple(WRITERS)


class Layouts:
    """Draws each layout once, when it is first asked for, whichever of several processes asks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def original(self, layout: Layout) -> Path:
        """Not to be changed."""
        folder = self._folder / str(layout)
        with FileLock(self._folder / f"{layout}.lock"):
            if not folder.is_dir():
                unfinished = write_layout(layout, for_layout(layout, SMALL), self._folder / f"unfinished-{layout}", workers=1)
                (unfinished / "world.json").unlink()
                unfinished.rename(folder)
        return folder

    def copy(self, layout: Layout, folder: Path) -> Path:
        """To be damaged."""
        return Path(shutil.copytree(self.original(layout), folder / f"copy-of-{layout}"))
