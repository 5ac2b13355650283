"""Buildings: footprints made of rectangles, with roofs, walls and windows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cvgl.synthetic.objects import Colour, Part, Roof

if TYPE_CHECKING:
    import numpy as np

PITCHED_ROOFS: tuple[Colour, ...] = (
    (0.62, 0.33, 0.22),  # tiles
    (0.52, 0.27, 0.20),
    (0.70, 0.43, 0.30),
    (0.42, 0.30, 0.25),
    (0.36, 0.35, 0.36),  # slate
    (0.28, 0.28, 0.30),
    (0.47, 0.44, 0.42),
    (0.36, 0.48, 0.42),  # old copper
)
FLAT_ROOFS: tuple[Colour, ...] = (
    (0.58, 0.57, 0.55),  # gravel
    (0.46, 0.45, 0.45),
    (0.80, 0.80, 0.78),  # white membrane
    (0.68, 0.63, 0.54),
    (0.34, 0.34, 0.35),  # bitumen
    (0.50, 0.52, 0.38),  # planted
    (0.62, 0.50, 0.42),
)
HALL_ROOFS: tuple[Colour, ...] = (
    (0.72, 0.73, 0.74),
    (0.50, 0.56, 0.62),
    (0.38, 0.50, 0.60),
    (0.60, 0.42, 0.34),
    (0.82, 0.82, 0.80),
    (0.44, 0.46, 0.44),
)
WALLS: tuple[Colour, ...] = (
    (0.80, 0.76, 0.68),
    (0.86, 0.84, 0.80),
    (0.72, 0.62, 0.46),
    (0.58, 0.34, 0.27),  # brick
    (0.66, 0.48, 0.40),
    (0.62, 0.62, 0.62),
    (0.78, 0.70, 0.52),
    (0.56, 0.60, 0.64),
)

# Footprints as wings (x, y, half_length, half_width, turned) in units of half the building's length and width. A turned
# wing has its ridge across.
FOOTPRINTS: dict[str, tuple[tuple[float, float, float, float, bool], ...]] = {
    "bar": ((0, 0, 1, 1, False),),
    "l": ((0, -0.62, 1, 0.38, False), (-0.72, 0.1, 1, 0.28, True)),
    "u": ((0, -0.66, 1, 0.34, False), (-0.76, 0.1, 1, 0.24, True), (0.76, 0.1, 1, 0.24, True)),
    "t": ((0, -0.6, 1, 0.4, False), (0.1, 0.15, 1, 0.3, True)),
    "h": ((0, 0, 1, 0.24, False), (-0.74, 0, 1, 0.26, True), (0.74, 0, 1, 0.26, True)),
    "court": ((0, -0.7, 1, 0.3, False), (0, 0.7, 1, 0.3, False), (-0.8, 0, 1, 0.2, True), (0.8, 0, 1, 0.2, True)),
    "comb": ((0, -0.76, 1, 0.24, False), (-0.84, 0.1, 1, 0.16, True), (0, 0.1, 1, 0.16, True), (0.84, 0.1, 1, 0.16, True)),
    "cross": ((0, 0, 1, 0.34, False), (0.15, 0, 1, 0.26, True)),
    "step": ((-0.4, -0.4, 0.6, 0.6, False), (0.4, 0.35, 0.6, 0.6, False)),
}


@dataclass(frozen=True, slots=True)
class Style:
    """What the parts of one building have in common."""

    eave: float
    roof: Roof
    pitch: float
    roof_colour: Colour
    wall_colour: Colour
    storey: float = 3.0
    window: float = 2.6
    glass: float = 0.5
    clutter: int = 0


def pick(rng: np.random.Generator, palette: tuple[Colour, ...], spread: float = 0.04) -> Colour:
    """A colour of the palette, a little off."""
    red, green, blue = palette[int(rng.integers(len(palette)))]
    light, tint = float(rng.normal(1, spread)), float(rng.normal(0, spread / 3))
    return (red * (light + tint), green * light, blue * (light - tint))


def pitched(rng: np.random.Generator, eave: float, roof_colour: Colour | None = None) -> Style:
    """A house with a gable or hip roof."""
    return Style(
        eave=eave,
        roof=Roof.GABLE if rng.random() < 0.65 else Roof.HIP,
        pitch=float(rng.uniform(0.5, 1.0)),
        roof_colour=roof_colour or pick(rng, PITCHED_ROOFS),
        wall_colour=pick(rng, WALLS),
    )


def flat(rng: np.random.Generator, eave: float) -> Style:
    """An office, slab or tower with a flat roof and things on it."""
    return Style(
        eave=eave,
        roof=Roof.FLAT,
        pitch=0.0,
        roof_colour=pick(rng, FLAT_ROOFS),
        wall_colour=pick(rng, WALLS),
        storey=3.4,
        window=float(rng.uniform(2.0, 4.5)),
        glass=float(rng.uniform(0.4, 0.85)),
        clutter=int(rng.integers(1, 2**31)),
    )


def hall(rng: np.random.Generator, eave: float) -> Style:
    """A shop or factory hall: wide, low, hardly any windows."""
    shallow = rng.random() < 0.5
    return Style(
        eave=eave,
        roof=Roof.GABLE if shallow else Roof.FLAT,
        pitch=0.16 if shallow else 0.0,
        roof_colour=pick(rng, HALL_ROOFS),
        wall_colour=pick(rng, HALL_ROOFS),
        storey=eave,
        window=7.0 if rng.random() < 0.5 else 0.0,
        glass=0.3,
        clutter=0 if shallow else int(rng.integers(1, 2**31)),
    )


def build(
    style: Style, x: float, y: float, angle: float, half_length: float, half_width: float, base: float, footprint: str = "bar"
) -> list[Part]:
    """The parts of one building whose footprint fills a rectangle of the given half sides."""
    cosine, sine = math.cos(angle), math.sin(angle)
    parts = []
    for shift_u, shift_v, wing_length, wing_width, turned in FOOTPRINTS[footprint]:
        u, v = shift_u * half_length, shift_v * half_width
        if turned:  # across: its length is measured in half widths
            length, width = wing_length * half_width * (1 - abs(shift_v)), wing_width * half_length
        else:
            length, width = wing_length * half_length, wing_width * half_width
        wing_angle = angle + math.pi / 2 if turned else angle
        if width > length:
            length, width, wing_angle = width, length, wing_angle + math.pi / 2
        parts.append(
            Part(
                x=x + u * cosine - v * sine,
                y=y + u * sine + v * cosine,
                angle=wing_angle,
                half_length=length,
                half_width=width,
                base=base,
                eave=style.eave,
                roof=style.roof,
                pitch=style.pitch,
                roof_colour=style.roof_colour,
                wall_colour=style.wall_colour,
                storey=style.storey,
                window=style.window,
                glass=style.glass,
                clutter=style.clutter,
            )
        )
    return parts
