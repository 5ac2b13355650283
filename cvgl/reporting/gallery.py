"""Queries beside the answers that each stage gives, right and wrong ones framed (Li et al. 2024, Fig. 9 and 10)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvgl import imaging
from cvgl.errors import DataError
from cvgl.reporting.theme import LIGHT, Theme, data_uri, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

_JPEG_QUALITY = 82
_COLUMN, _ROW, _GAP, _TITLE = 1.08, 1.28, 0.3, 0.35  # sides of a tile with its margins, space before a strip, line of titles
THUMBNAIL_SIZE = 112
_WORDS = {
    imaging.NotAnImageError: "no picture's content",
    imaging.TooLargeImageError: "too large",
    imaging.TruncatedImageError: "truncated",
    imaging.DamagedImageError: "damaged",
}


@dataclass(frozen=True, slots=True)
class Tile:
    """One image with what is said about it.

    Attributes:
        image: file of the image; None when it is not known.
        label: name or score, shown below.
        correct: whether the answer is right; None where that is not known or not asked.
    """

    picture: Path | None
    label: str
    correct: bool | None = None

    @property
    def verdict(self) -> str:
        """For those who cannot see the frame."""
        return {True: "right", False: "wrong", None: ""}[self.correct]


@dataclass(frozen=True, slots=True)
class Strip:
    """The best answers of one stage, best first."""

    title: str
    answers: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One query and what the stages answer.

    Attributes:
        query: the image that is asked for.
        strips: one a stage.
        remark: what this example shows, e.g. "corrected by the adaptation".
        truth: the right answer, when none of the strips need to show it.
    """

    query: Tile
    strips: tuple[Strip, ...]
    remark: str = ""
    truth: Tile | None = None


def thumbnail(path: Path | None, size: int) -> Image | None:
    """The centre square of an image at size x size pixels, RGB; None when the image cannot be read (any more).

    A report is about numbers first: an image that has been moved or damaged since must not keep it from being written.
    """
    image = thumbnail_or_reason(path, size)
    return None if isinstance(image, str) else image


def thumbnail_or_reason(path: Path | None, size: int) -> Image | str:
    """As `thumbnail`, or in a few words why there is none."""
    if path is None:
        return "not known"
    try:
        return imaging.thumbnail(path, size)
    except imaging.ImageError as error:
        return _WORDS.get(type(error), "damaged")
    except DataError:
        return "gone or unreadable"


def thumbnail_uri(path: Path | None, size: int = THUMBNAIL_SIZE) -> str | None:
    """A thumbnail as a JPEG data URI; None when the image cannot be read."""
    image = thumbnail(path, size)
    return None if image is None else uri_of(image)


def uri_of(image: Image) -> str:
    """An image as a JPEG data URI."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return data_uri(buffer.getvalue(), "image/jpeg")


def retrieval_gallery(examples: Sequence[Example], theme: Theme = LIGHT, size: int = 128) -> Figure:
    """One row an example: the query, then the best answers of each stage; right ones framed solid, wrong ones dashed.

    Args:
        examples: as many strips in each, as many answers in each strip as shall be shown (shorter ones leave gaps).
        size: side of a tile in pixels.

    Raises:
        DataError: no examples.
        MissingDependencyError: matplotlib is not installed.
    """
    if not examples:
        raise DataError("there is no example to show", where="examples", fix="evaluate with ground truth, or give examples")
    strips = max((len(example.strips) for example in examples), default=0)
    depth = max((len(strip.answers) for example in examples for strip in example.strips), default=0)
    first = [_COLUMN + _GAP + number * (depth * _COLUMN + _GAP) for number in range(strips)]
    width = _COLUMN + strips * (depth * _COLUMN + _GAP)
    with drawing(theme) as figures:
        # One pair of axes for all tiles, in units of a tile: sixty pairs of axes take seconds to lay out.
        figure: Figure = figures.Figure(figsize=(width, len(examples) * _ROW + _TITLE))
        axis = figure.add_axes((0, 0, 1, 1), xlim=(-0.05, width - 0.05), ylim=(len(examples) * _ROW, -_TITLE))
        axis.axis("off")
        for row, example in enumerate(examples):
            _draw_tile(axis, 0, row, example.query, theme, size)
            for left, strip in zip(first, example.strips, strict=False):
                for number, tile in enumerate(strip.answers):
                    _draw_tile(axis, left + number * _COLUMN, row, tile, theme, size)
        titles = [(0.0, "query"), *zip(first, (strip.title for strip in examples[0].strips), strict=False)]
        for left, title in titles:
            axis.text(left, -0.1, title, fontsize=9, fontweight="bold", va="bottom")
    return figure


def _draw_tile(axis: Any, left: float, row: int, tile: Tile, theme: Theme, size: int) -> None:
    from matplotlib.patches import Rectangle

    top, image = row * _ROW, thumbnail_or_reason(tile.picture, size)
    if isinstance(image, str):
        axis.text(left + 0.5, top + 0.5, "no\npicture", ha="center", va="center", fontsize=7, color=theme.muted)
        axis.text(left + 0.5, top + 0.8, image, ha="center", va="center", fontsize=5, color=theme.muted)
    else:
        axis.imshow(image, extent=(left, left + 1, top + 1, top), aspect="auto", interpolation="bilinear")
    colour = {True: theme.right, False: theme.wrong, None: theme.grid}[tile.correct]
    style = (0, (3, 1.5)) if tile.correct is False else "-"
    width = 1 if tile.correct is None else 2.5
    axis.add_patch(Rectangle((left, top), 1, 1, fill=False, edgecolor=colour, linewidth=width, linestyle=style))
    mark = {True: "✓ ", False: "✗ ", None: ""}[tile.correct]
    axis.text(left, top + 1.06, mark + _shortened(tile.label), fontsize=6.5, color=theme.muted, va="top")


def _shortened(label: str, length: int = 16) -> str:
    return label if len(label) <= length else label[: length - 1] + "…"
