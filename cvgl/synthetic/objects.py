"""The things that stand in a block, as plain records; what draws them is in `cvgl.synthetic.raster`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

Colour = tuple[float, float, float]


class Material(IntEnum):
    """What the ground or a thing is made of; seasons and shading depend on it."""

    GRASS = 0
    CROP = 1
    SOIL = 2
    ASPHALT = 3
    PAVING = 4
    WATER = 5
    TREE = 6
    ROOF = 7
    PAINT = 8


class Roof(IntEnum):
    """The shape of a roof."""

    FLAT = 0
    GABLE = 1
    HIP = 2
    ROUND = 3  # tanks and silos: the part is an ellipse


class Pattern(IntEnum):
    """How a patch of ground is drawn."""

    PLAIN = 0
    STALLS = 1  # car park with painted bays
    PITCH = 2  # playing field with lines
    ROWS = 3  # furrows, vineyard
    TRACK = 4  # running track: rings
    ELLIPSE = 5  # pond, flower bed, roundabout


@dataclass(frozen=True, slots=True)
class Part:
    """One rectangle of a building's footprint, with its roof. L- and U-shapes are several parts.

    Attributes:
        x, y: middle in metres.
        angle: direction of the longer side in radians.
        half_length, half_width: half the sides in metres.
        base: height of the ground it stands on.
        eave: height of the walls above base.
        pitch: rise of the roof per metre.
        ridge: the ridge runs along the length.
        storey, window: storey height and window spacing in metres; window 0 means blind walls.
    """

    x: float
    y: float
    angle: float
    half_length: float
    half_width: float
    base: float
    eave: float
    roof: Roof
    pitch: float
    roof_colour: Colour
    wall_colour: Colour
    storey: float = 3.0
    window: float = 2.6
    glass: float = 0.5  # share of a window field that is glass
    clutter: int = 0  # seed of what stands on a flat roof; 0 for nothing


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree; metres in the town's frame."""

    x: float
    y: float
    base: float  # height of the ground
    radius: float
    height: float
    colour: Colour


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle (or ellipse) of other ground."""

    x: float
    y: float
    angle: float
    half_length: float
    half_width: float
    material: Material
    colour: Colour
    pattern: Pattern = Pattern.PLAIN
    rise: float = 0.0  # metres above the ground: hedges


@dataclass(frozen=True, slots=True)
class Car:
    """A parked car; metres, the angle of its length in radians."""

    x: float
    y: float
    angle: float
    length: float
    colour: Colour


@dataclass(slots=True)
class BlockContent:
    """Everything in one block, in drawing order."""

    patches: list[Patch] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    cars: list[Car] = field(default_factory=list)
    centre: tuple[float, float] = (0.0, 0.0)  # the point that a flight around this block looks at
    ground_material: Material = Material.GRASS
    ground_colour: Colour = (0.4, 0.45, 0.25)
    furrow_metres: float = 0.0  # wavelength of furrows over the whole block, 0 for none
    furrow_angle: float = 0.0
