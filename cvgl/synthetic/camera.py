"""Takes images of a lit raster: from straight above, from a drone, and all around from the street.

Perspective views are rendered by azimuth: in the vertical plane of one azimuth, the height field is a profile over the
horizontal distance r, and a ray of elevation e hits it at the first r where (height - camera) / r reaches tan e. The
running maximum of that quotient along r turns the search for the first hit into a table look-up, so one image costs
one pass over (azimuths x distances) and one look-up a ray, whatever the scene.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cvgl.synthetic.facades import WallHits, wall_colours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.synthetic.light import LitGround
    from cvgl.synthetic.noise import Float32Array, FloatArray


_SAMPLES = 2  # rays a pixel and axis
_BINS = 768  # elevations told apart in the look-up table
_COARSEST_STEP = 1.5  # metres between samples far away: thin walls must not be missed
_WALL = 0.9  # metres below its top from which a texel is hit at the side


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera; metres in the town's frame, angles in degrees, heading clockwise from north."""

    x: float
    y: float
    z: float
    heading: float
    depression: float
    roll: float
    field_of_view: float


@dataclass(frozen=True, eq=False)
class Rays:
    """Colours along a bundle of rays.

    Attributes:
        colour: (N, 3); of rays that hit nothing: 0.
        distance: (N,) metres; infinite for rays that hit nothing.
    """

    colour: Float32Array
    distance: Float32Array


@dataclass(frozen=True, eq=False)
class _Profiles:
    """Cuts through the raster, away from a camera, one for each of L azimuths.

    Attributes:
        distances: (S,) horizontal distances of the samples in metres.
        texels: (L, S) flat index of the texel at each sample.
    """

    distances: FloatArray
    texels: NDArray[np.int64]

    def texel(self, line: NDArray[np.int64], sample: NDArray[np.int64]) -> NDArray[np.int64]:
        """Texels (N,) at samples (N,) of lines (N,)."""
        texels: NDArray[np.int64] = self.texels.ravel()[line * len(self.distances) + sample]
        return texels


@dataclass(frozen=True, eq=False)
class _Bundle:
    """N rays of a camera.

    Attributes:
        camera: where they start.
        azimuth: (N,) radians from the camera's heading, clockwise.
        slope: (N,) rise over run.
        line: (N,) the profile that each runs along.
        angle: between neighbouring rays, in radians.
    """

    camera: Camera
    azimuth: Float32Array
    slope: Float32Array
    line: NDArray[np.int64]
    angle: float


def look_from_above(lit: LitGround, x: float, y: float, side: float, size: int, samples: int = 3) -> Float32Array:
    """A north-up orthographic image, (size, size, 3), of the square with middle (x, y)."""
    ground = lit.ground
    count = size * samples
    offset = ((np.arange(count) + 0.5) / count - 0.5) * side
    column = np.clip(((x + offset - ground.x0) / ground.texel).astype(np.int64), 0, ground.height.shape[1] - 1)
    row = np.clip(((y - offset - ground.y0) / ground.texel).astype(np.int64), 0, ground.height.shape[0] - 1)
    fine = lit.colour[row][:, column]
    return average(fine, samples)


def average(fine: Float32Array, samples: int) -> Float32Array:
    """Means of samples x samples squares, summed in a fixed order."""
    total = np.zeros((fine.shape[0] // samples, fine.shape[1] // samples, fine.shape[2]), np.float32)
    for row in range(samples):
        for column in range(samples):
            total += fine[row::samples, column::samples]
    total /= np.float32(samples * samples)
    return total


def look(lit: LitGround, camera: Camera, size: int) -> tuple[Float32Array, Float32Array]:
    """A perspective image: colour (size, size, 3) and distance (size, size) in metres."""
    count = size * _SAMPLES
    focal = count / 2 / math.tan(math.radians(camera.field_of_view) / 2)
    offset = (np.arange(count) + 0.5 - count / 2) / focal
    right, up = np.meshgrid(offset, -offset)
    cosine, sine = math.cos(math.radians(camera.roll)), math.sin(math.radians(camera.roll))
    right, up = right * cosine - up * sine, right * sine + up * cosine
    tilt = math.radians(camera.depression)
    forward = math.cos(tilt) + up * math.sin(tilt)
    rise = up * math.cos(tilt) - math.sin(tilt)
    right, forward, rise = (part.astype(np.float32) for part in (right, forward, rise))
    azimuth = np.arctan2(right, forward)  # from the heading, clockwise
    horizontal = np.sqrt(right * right + forward * forward)
    rays = cast(lit, camera, azimuth.ravel(), (rise / np.maximum(horizontal, np.float32(1e-6))).ravel(), 1 / focal)
    return (
        average(rays.colour.reshape(count, count, 3), _SAMPLES),
        average(rays.distance.reshape(count, count, 1), _SAMPLES)[..., 0],
    )


def look_around(
    lit: LitGround, camera: Camera, width: int, height: int, lowest: float, highest: float
) -> tuple[Float32Array, Float32Array]:
    """An equirectangular panorama: columns are azimuths (middle: the heading), rows elevations in degrees from top down."""
    columns, rows = width * _SAMPLES, height * _SAMPLES
    azimuth = ((np.arange(columns) + 0.5) / columns - 0.5) * 2 * np.pi
    elevation = np.radians(highest - (np.arange(rows) + 0.5) / rows * (highest - lowest))
    grid_azimuth, grid_slope = np.meshgrid(azimuth.astype(np.float32), np.tan(elevation).astype(np.float32))
    rays = cast(lit, camera, grid_azimuth.ravel(), grid_slope.ravel(), 2 * np.pi / columns)
    return (
        average(rays.colour.reshape(rows, columns, 3), _SAMPLES),
        average(rays.distance.reshape(rows, columns, 1), _SAMPLES)[..., 0],
    )


def cast(lit: LitGround, camera: Camera, azimuth: Float32Array, slope: Float32Array, angle: float) -> Rays:
    """Follows rays to the first thing they hit.

    Args:
        lit: the raster and its light.
        camera: where the rays start.
        azimuth: (N,) radians from the camera's heading, clockwise.
        slope: (N,) rise over run of each ray.
        angle: the angle between neighbouring rays in radians, which sets how fine the search is.
    """
    ground = lit.ground
    low_azimuth, high_azimuth = float(azimuth.min()), float(azimuth.max())
    lines = max(2, math.ceil((high_azimuth - low_azimuth) / (1.25 * angle)))
    distances = _distances(lit, camera, float(slope.min()), float(slope.max()), angle)
    heading = math.radians(camera.heading) + low_azimuth + (np.arange(lines) + 0.5) * ((high_azimuth - low_azimuth) / lines)
    texels = _texels(
        lit,
        (camera.x - ground.x0 + np.sin(heading)[:, None] * distances).astype(np.float32),
        (camera.y - ground.y0 + np.cos(heading)[:, None] * distances).astype(np.float32),
    )
    rising = ground.height.ravel()[texels]
    rising -= np.float32(camera.z)
    rising /= distances.astype(np.float32)
    np.maximum.accumulate(rising, axis=1, out=rising)
    line = ((azimuth - np.float32(low_azimuth)) * np.float32(lines / (high_azimuth - low_azimuth))).astype(np.int64)
    np.clip(line, 0, lines - 1, out=line)
    hit = _first_hits(rising, line, slope)
    return _shade(lit, _Bundle(camera, azimuth, slope, line, angle), _Profiles(distances, texels), hit)


def _distances(lit: LitGround, camera: Camera, lowest: float, highest: float, angle: float) -> FloatArray:
    """Horizontal distances at which profiles are sampled: about one texel apart near by, one pixel apart far away."""
    ground = lit.ground
    top, bottom = float(ground.height.max()), float(ground.height.min())
    beyond = max(
        math.hypot(x - camera.x, y - camera.y)
        for x in (ground.x0, ground.x0 + ground.texel * ground.height.shape[1])
        for y in (ground.y0, ground.y0 + ground.texel * ground.height.shape[0])
    )
    first = max((top - camera.z) / lowest, 0.5) if lowest < 0 and camera.z > top else 0.5
    last = min((bottom - camera.z) / highest, beyond) if highest < 0 else beyond
    first = min(first, last - 2)
    drop, fine = max(camera.z - bottom, 1.0), 0.9 * ground.texel
    # A pixel covers (r^2 + drop^2) / drop * angle metres of flat ground along the ray: steps of equal angles.
    finest, coarsest = (
        math.sqrt(max(drop * step / (0.9 * angle) - drop * drop, 0.0)) for step in (fine, max(_COARSEST_STEP, fine))
    )
    finest, coarsest = min(max(finest, first), last), min(max(coarsest, first), last)
    pieces = (
        np.arange(first, finest, fine),
        drop * np.tan(np.arange(math.atan(finest / drop), math.atan(coarsest / drop), 0.9 * angle)),
        np.arange(coarsest, last + _COARSEST_STEP, _COARSEST_STEP),
    )
    return np.concatenate(pieces)


def _texels(lit: LitGround, x: Float32Array, y: Float32Array) -> NDArray[np.int64]:
    """Flat indices of the texels at positions from the raster's corner; outside, the nearest of its border."""
    rows, columns = lit.ground.height.shape
    scale = np.float32(1 / lit.ground.texel)
    column, row = (x * scale).astype(np.int64), (y * scale).astype(np.int64)
    np.clip(column, 0, columns - 1, out=column)
    np.clip(row, 0, rows - 1, out=row)
    row *= columns
    row += column
    return row


def _first_hits(rising: Float32Array, line: NDArray[np.int64], slope: Float32Array) -> NDArray[np.int64]:
    """For each ray, the first sample of its line whose running maximum reaches the ray's slope; (N,).

    Instead of one binary search a ray, all running maxima are counted into bins of slope; the counts summed up say how
    many samples lie below a bin.
    """
    lines = len(rising)
    low, high = float(_compress(slope.min())), float(_compress(slope.max()))
    scale = (_BINS - 1) / max(high - low, 1e-9)
    bins = np.clip((_compress(rising) - np.float32(low)) * np.float32(scale) + np.float32(1), 0, _BINS).astype(np.int64)
    bins += np.arange(lines)[:, None] * (_BINS + 1)
    below = np.bincount(bins.ravel(), minlength=lines * (_BINS + 1)).reshape(lines, _BINS + 1).cumsum(axis=1)
    bin_of_ray = np.clip((_compress(slope) - np.float32(low)) * np.float32(scale) + np.float32(1), 1, _BINS).astype(np.int64)
    result: NDArray[np.int64] = below.ravel()[line * (_BINS + 1) + bin_of_ray - 1]
    return result


def _compress(slope: FloatArray) -> FloatArray:
    """A monotone map of slopes to (-1, 1) whose steps are nearly equal angles."""
    result: FloatArray = slope / (1 + np.abs(slope))
    return result


def _shade(lit: LitGround, rays: _Bundle, profiles: _Profiles, hit: NDArray[np.int64]) -> Rays:
    """Colours of what was hit: the top of a texel, or the wall below it.

    Args:
        lit: the raster and its light.
        rays: N rays.
        profiles: what they run along.
        hit: (N,) the first sample of its profile that each ray hits; beyond the last one where it hits nothing.
    """
    ground, camera, slope = lit.ground, rays.camera, rays.slope
    samples = len(profiles.distances)
    missed = hit >= samples
    hit = np.minimum(hit, samples - 1)
    heights = ground.height.ravel()
    at_sample = profiles.texel(rays.line, hit)
    top = heights[at_sample]
    steps = profiles.distances.astype(np.float32)
    far, near = steps[hit], steps[np.maximum(hit - 1, 0)]
    height = np.float32(camera.z)
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = (top - height) / slope
    run = np.clip(np.where(np.isfinite(exact), exact, far), near, far)
    heading = rays.azimuth + np.float32(math.radians(camera.heading))
    sine, cosine = np.sin(heading), np.cos(heading)
    # A side is hit when the ray was below the top before it came above this texel.
    wall = (height + slope * near < top - np.float32(_WALL)) & ~missed
    texel = _texels(lit, np.float32(camera.x - ground.x0) + sine * run, np.float32(camera.y - ground.y0) + cosine * run)
    texel = np.where(wall | (np.abs(heights[texel] - top) > 1.0), at_sample, texel)
    colour = lit.colour.reshape(-1, 3)[texel]
    if wall.any():
        rows = np.flatnonzero(wall)
        hits = WallHits(
            texel=at_sample[rows],
            before=profiles.texel(rays.line[rows], np.maximum(hit[rows] - 1, 0)),
            x=camera.x + sine[rows] * far[rows],
            y=camera.y + cosine[rows] * far[rows],
            z=camera.z + slope[rows] * far[rows],
            direction=np.stack([sine[rows], cosine[rows]], axis=1),
            footprint=far[rows] * rays.angle,
            top_colour=colour[rows],
        )
        colour[rows] = wall_colours(lit, hits)
    colour[missed] = 0
    distance = np.where(missed, np.float32(np.inf), run * np.sqrt(1 + slope * slope))
    return Rays(colour.astype(np.float32, copy=False), distance)
