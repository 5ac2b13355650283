"""Contact sheets: what a world looks like, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from cvgl.errors import ConfigError

if TYPE_CHECKING:
    from cvgl.synthetic.scene import Location, World

_GAP = 2  # pixels between images


def contact_sheet(world: World, places: Sequence[Location]) -> Image.Image:
    """One row a place: its tile, its drone views by falling altitude, its panoramas.

    Raises:
        ConfigError: no places are given.
    """
    if not places:
        raise ConfigError("a contact sheet of no places has nothing to show", where="places", fix="give at least one place")
    rows = [[image for _, image in world.render(list(world.images(place)))] for place in places]
    width = max(sum(image.width + _GAP for image in row) for row in rows) - _GAP
    height = sum(max(image.height for image in row) + _GAP for row in rows) - _GAP
    sheet = Image.new("RGB", (width, height), "white")
    top = 0
    for row in rows:
        left = 0
        for image in row:
            sheet.paste(image, (left, top))
            left += image.width + _GAP
        top += max(image.height for image in row) + _GAP
    return sheet
