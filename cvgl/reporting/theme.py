"""Colours and settings of every figure, and how a figure becomes the same bytes each time it is drawn."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cvgl.errors import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 150


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a figure. The data colours are Okabe and Ito's, which colour-blind readers tell apart."""

    name: str
    background: str
    text: str
    muted: str
    grid: str
    query: str  # drone and street images; also matched pairs
    reference: str  # satellite images; also unmatched pairs
    series: tuple[str, ...]
    right: str
    wrong: str


LIGHT = Theme(
    name="light",
    background="#ffffff",
    text="#1f2328",
    muted="#59636e",
    grid="#e3e7ec",
    query="#0072b2",
    reference="#d55e00",
    series=("#0072b2", "#d55e00", "#009e73", "#aa4499", "#b8860b", "#59636e"),
    right="#1a7f37",
    wrong="#cf222e",
)
DARK = Theme(
    name="dark",
    background="#161b22",
    text="#e6edf3",
    muted="#9aa4af",
    grid="#2b323b",
    query="#56b4e9",
    reference="#ff8c42",
    series=("#56b4e9", "#ff8c42", "#2fcf9f", "#e08bd0", "#e6c34a", "#9aa4af"),
    right="#3fb950",
    wrong="#ff7b72",
)


@contextmanager
def drawing(theme: Theme) -> Iterator[Any]:
    """Matplotlib with the theme's settings, for the time of drawing one figure. Yields matplotlib's `figure` module.

    Figures are made without pyplot: no global state, no window, safe in threads of a server.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib = require("matplotlib", extra="pipeline", purpose="draw figures")
    figure = require("matplotlib.figure", extra="pipeline", purpose="draw figures")
    with matplotlib.rc_context(_settings(theme)):
        yield figure


def _settings(theme: Theme) -> dict[str, Any]:
    return {
        "figure.facecolor": theme.background,
        "savefig.facecolor": theme.background,
        "axes.facecolor": theme.background,
        "axes.edgecolor": theme.grid,
        "axes.labelcolor": theme.muted,
        "axes.titlecolor": theme.text,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 9.5,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "text.color": theme.text,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "font.family": "DejaVu Sans",  # comes with matplotlib, so a figure does not depend on the machine's fonts
        "text.usetex": False,
        "text.parse_math": False,  # names of datasets and images are text, whatever dollar signs they hold
        "svg.fonttype": "path",
    }


def to_png(figure: Figure, dpi: int = _DPI) -> bytes:
    """The figure as PNG without a date or a program's name: the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG with stable ids and without a date."""
    matplotlib = require("matplotlib", extra="pipeline", purpose="draw figures")
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "cvgl", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def recoloured(svg: bytes, before: Theme, after: Theme) -> bytes:
    """An SVG of `to_svg` in the colours of another theme: the same drawing, in a hundredth of the time of drawing it again."""
    colours = dict(zip(_colours(before), _colours(after), strict=True))
    return re.sub(rb"#[0-9a-f]{6}\b", lambda match: colours.get(match[0], match[0]), svg)


def _colours(theme: Theme) -> list[bytes]:
    single = (theme.background, theme.text, theme.muted, theme.grid, theme.query, theme.reference, theme.right, theme.wrong)
    return [colour.encode() for colour in (*single, *theme.series)]


def data_uri(data: bytes, media_type: str) -> str:
    """Bytes as an address that needs no file, e.g. ``data:image/png;base64,...``."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"
