"""What a camera and the air make of a view: exposure, colour cast, haze, blur, noise.

Drone images and satellite tiles differ in two ways. One is systematic and the same for all places (another sensor,
another time of day, haze, bluer or yellower colours): it is what adaptation can learn to undo. The other is drawn anew
for each flight and each image and cannot be undone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cvgl.synthetic.config import Season
from cvgl.synthetic.light import SUN_ELEVATION, Light
from cvgl.synthetic.objects import Colour

if TYPE_CHECKING:
    from cvgl.synthetic.noise import Float32Array

_GREY = (0.30, 0.59, 0.11)


@dataclass(frozen=True, slots=True)
class Look:
    """How a camera renders colours.

    Attributes:
        gain: colour cast and exposure.
        lift: light added to shadows (veil).
        contrast: around middle grey.
        saturation: 0 is grey.
        haze: per metre of distance.
        haze_colour: what far things fade to.
        vignette: darkening of the corners.
        blur: standard deviation in pixels.
        noise: standard deviation in [0, 1].
    """

    gain: Colour = (1.0, 1.0, 1.0)
    lift: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    haze: float = 0.0
    haze_colour: Colour = (0.72, 0.77, 0.83)
    vignette: float = 0.0
    blur: float = 0.0
    noise: float = 0.0


def satellite_light(season: Season, rng: np.random.Generator) -> Light:
    """Late morning: the hour at which most imaging satellites pass."""
    return Light(azimuth=float(rng.normal(152, 6)), elevation=SUN_ELEVATION[season] + float(rng.normal(0, 2)))


def satellite_look(gap: float, rng: np.random.Generator) -> Look:
    """A dark, green, slightly soft image with strong contrast."""
    light = 1 + float(rng.normal(0, 0.04))
    return Look(
        gain=((1 - 0.13 * gap) * light, (1 - 0.05 * gap) * light, (1 - 0.12 * gap) * light),
        contrast=1 + 0.16 * gap,
        saturation=0.70,
        blur=0.25 + 0.2 * gap,
        noise=0.008,
    )


def drone_light(season: Season, gap: float, rng: np.random.Generator) -> Light:
    """Any hour of the afternoon, so shadows fall to another side than on the tile."""
    low = float(rng.uniform(0, 1))
    azimuth = 152 + gap * float(rng.uniform(50, 95))
    warm = 0.06 * low * gap
    return Light(
        azimuth=azimuth,
        elevation=max(SUN_ELEVATION[season] * (1 - (0.12 + 0.22 * low) * min(gap, 1.5)), 12.0),
        sun=(0.88 + warm, 0.82, 0.74 - warm),
        sky=(0.36, 0.40, 0.46 + 0.02 * gap),
    )


def drone_look(gap: float, flight: np.random.Generator, image: np.random.Generator) -> Look:
    """A bright, bluish, hazy, less saturated image; the flight sets most of it, each image varies."""
    exposure = 1 + 0.12 * gap + float(flight.normal(0, 0.025)) * gap + float(image.normal(0, 0.015)) * gap
    cast = float(flight.normal(0.08, 0.012)) * gap
    return Look(
        gain=(exposure * (1 - 0.6 * cast), exposure, exposure * (1 + 1.2 * cast)),
        lift=0.07 * gap + abs(float(flight.normal(0, 0.01))) * gap,
        contrast=1 - 0.16 * gap,
        saturation=max(0.80 - 0.08 * gap + float(flight.normal(0, 0.04)), 0.2),
        haze=max(float(flight.normal(0.0008, 0.0002)), 0.0) * gap,
        vignette=0.10 * gap,
        blur=0.2 + abs(float(image.normal(0, 0.15))) * gap,
        noise=0.010 + 0.012 * gap * float(image.uniform(0, 1)),
    )


def develop(colour: Float32Array, look: Look, rng: np.random.Generator, distance: Float32Array | None = None) -> Image.Image:
    """Turns rendered colours into an 8-bit image.

    Args:
        colour: (H, W, 3), about [0, 1].
        look: how the camera sees.
        rng: for the sensor's noise.
        distance: (H, W) metres, for haze; infinite for the sky.
    """
    haze_colour = np.asarray(look.haze_colour, np.float32)
    if distance is not None:
        clear = np.exp(-np.float32(look.haze) * distance)[..., None]
        colour = colour * clear + haze_colour * (1 - clear)
    grey = colour[..., :1] * _GREY[0] + colour[..., 1:2] * _GREY[1] + colour[..., 2:] * _GREY[2]
    colour = grey + np.float32(look.saturation) * (colour - grey)
    grey_point = np.float32(0.42)
    colour = (colour * np.asarray(look.gain, np.float32) - grey_point) * np.float32(look.contrast) + grey_point
    colour += np.float32(look.lift)
    height, width = colour.shape[:2]
    if look.vignette:
        row, column = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
        corners = row[:, None] * row[:, None] + column[None] * column[None]
        colour = colour * (np.float32(1) - np.float32(look.vignette / 2) * corners)[..., None]
    if look.blur > 0:
        colour = _blur(colour, look.blur)
    # Half of the noise is common to the three channels, as after a camera's own processing.
    grain = rng.standard_normal((height, width, 4), np.float32)
    grain *= np.array([0.6, 0.6, 0.6, 0.8], np.float32) * np.float32(look.noise)
    colour = colour + grain[..., 3:] + grain[..., :3]
    return Image.fromarray((np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8))


def _blur(colour: Float32Array, sigma: float) -> Float32Array:
    """Separable Gaussian blur with mirrored borders."""
    radius = max(1, round(2.5 * sigma))
    weights = [float(np.exp(-0.5 * (step / sigma) ** 2)) for step in range(-radius, radius + 1)]
    total = sum(weights)
    current: Float32Array = colour
    for axis in (0, 1):
        padding = [(radius, radius) if axis == other else (0, 0) for other in range(3)]
        padded = np.pad(current, padding, mode="reflect")
        length = current.shape[axis]
        result: Float32Array = np.zeros_like(current)
        for step, weight in enumerate(weights):
            inside = [slice(None)] * 3
            inside[axis] = slice(step, step + length)
            result += padded[tuple(inside)] * np.float32(weight / total)
        current = result
    return current
