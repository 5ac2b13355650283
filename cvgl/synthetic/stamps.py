"""Draws single things (patches of ground, cars, buildings, trees) into a raster, each in its own small window."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cvgl.synthetic.noise import stream, value_noise
from cvgl.synthetic.objects import Car, Material, Part, Patch, Pattern, Roof, Tree

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cvgl.synthetic.noise import Float32Array, FloatArray

    Window = tuple[slice, slice]


class Canvas:
    """The layers of a raster while it is drawn.

    Args:
        x: (W,) middle of each column in metres.
        y: (H,) middle of each row, ascending (north is last).
        texel: metres.
    """

    def __init__(self, x: FloatArray, y: FloatArray, texel: float) -> None:
        shape = (len(y), len(x))
        self.x, self.y, self.texel = x, y, texel
        self.height = np.zeros(shape, np.float32)
        self.albedo = np.zeros((*shape, 3), np.float32)
        self.slope_x = np.zeros(shape, np.float32)
        self.slope_y = np.zeros(shape, np.float32)
        self.material = np.zeros(shape, np.uint8)
        self.part = np.zeros(shape, np.int32)
        self.parts: list[Part] = []
        self.mask: NDArray[np.bool_] = np.ones(shape, bool)
        self.noise = value_noise(5, x, y, 1.1) * 0.6 + value_noise(6, x, y, 2.9) * 0.4
        self.leaves = value_noise(7, x, y, 1.5)

    def blend(
        self, cover: ArrayLike, colour: ArrayLike, material: Material, light: ArrayLike, window: Window | None = None
    ) -> None:
        """Paints a colour over the ground where `cover` in [0, 1] says so."""
        window = window or (slice(None), slice(None))
        share = np.asarray(cover, np.float32)[..., None]
        target = np.asarray(colour, np.float32) * np.asarray(light, np.float32)[..., None]
        area = self.albedo[window]
        area += share * (target - area)
        self.material[window][share[..., 0] > 0.5] = material

    def local(
        self, x: float, y: float, angle: float, half_length: float, half_width: float
    ) -> tuple[Window, FloatArray, FloatArray] | None:
        """The window that a turned rectangle needs, and its own coordinates (u along, v across); None when it is outside."""
        cosine, sine = math.cos(angle), math.sin(angle)
        reach_x = abs(half_length * cosine) + abs(half_width * sine) + self.texel
        reach_y = abs(half_length * sine) + abs(half_width * cosine) + self.texel
        first_column, last_column = self._span(self.x, x, reach_x)
        first_row, last_row = self._span(self.y, y, reach_y)
        if first_column >= last_column or first_row >= last_row:
            return None
        window = (slice(first_row, last_row), slice(first_column, last_column))
        dx, dy = self.x[None, window[1]] - x, self.y[window[0], None] - y
        return window, dx * cosine + dy * sine, dy * cosine - dx * sine

    def _span(self, axis: FloatArray, middle: float, reach: float) -> tuple[int, int]:
        first = math.floor((middle - reach - axis[0]) / self.texel)
        last = math.ceil((middle + reach - axis[0]) / self.texel) + 1
        return max(first, 0), min(last, len(axis))


def patch(canvas: Canvas, thing: Patch) -> None:
    """Another kind of ground, drawn inside `canvas.mask` only."""
    local = canvas.local(thing.x, thing.y, thing.angle, thing.half_length, thing.half_width)
    if local is None:
        return
    window, u, v = local
    if thing.pattern is Pattern.ELLIPSE:
        radius = np.hypot(u / thing.half_length, v / thing.half_width)
        inside = (1 - radius) * min(thing.half_length, thing.half_width)
    else:
        inside = np.minimum(thing.half_length - np.abs(u), thing.half_width - np.abs(v))
        if thing.pattern is Pattern.TRACK:  # rounded ends
            beyond = np.maximum(np.abs(u) - (thing.half_length - thing.half_width), 0)
            inside = thing.half_width - np.hypot(beyond, v)
    cover = np.clip(inside / canvas.texel + 0.5, 0, 1) * canvas.mask[window]
    noise = canvas.noise[window]
    spread = 0.06 if thing.material is Material.WATER else 0.2
    light = 1 - spread / 2 + spread * noise
    if thing.pattern is Pattern.ROWS:
        light = light * (1 + 0.1 * np.sin(v * 1.4))
    canvas.blend(cover, thing.colour, thing.material, light, window)
    if thing.rise:
        canvas.height[window] += np.float32(thing.rise) * (cover > 0.5)
    marks = _marks(thing, u, v, inside, canvas.texel)
    if marks is not None:
        canvas.blend(marks * cover, (0.84, 0.84, 0.82), Material.PAINT, np.float32(1.0), window)


def _marks(thing: Patch, u: FloatArray, v: FloatArray, inside: FloatArray, texel: float) -> FloatArray | None:
    """White lines of car parks, pitches and tracks: coverage in [0, 1]."""

    def line(distance: FloatArray) -> FloatArray:
        return np.clip((0.1 + texel / 3 - np.abs(distance)) / texel + 0.5, 0, 1)

    if thing.pattern is Pattern.STALLS:
        row = (v + thing.half_width - 3) % 5.2
        bays = line((u + thing.half_length - 0.7) % 2.6 - 1.3) * (row < 5.2)
        return np.asarray(0.55 * bays)
    if thing.pattern is Pattern.PITCH:
        circle = line(np.hypot(u, v) - 0.28 * thing.half_width)
        ends = line(np.abs(u) - 0.72 * thing.half_length) * (np.abs(v) < 0.5 * thing.half_width)
        sides = line(np.abs(v) - 0.5 * thing.half_width) * (np.abs(u) > 0.72 * thing.half_length)
        return np.asarray(0.8 * np.maximum.reduce([line(inside - 0.8), line(u + 0 * v), circle, ends, sides]))
    if thing.pattern is Pattern.TRACK:
        return np.asarray(0.4 * line((inside % 1.6) - 0.8) * (inside < 7))
    return None


def car(canvas: Canvas, thing: Car) -> None:
    """A car: a low box with a darker middle (the windows)."""
    local = canvas.local(thing.x, thing.y, thing.angle, thing.length / 2, 0.95)
    if local is None:
        return
    window, u, v = local
    body = (np.abs(u) < thing.length / 2) & (np.abs(v) < 0.95)
    glass = (np.abs(u + 0.2) < 1.1) & (np.abs(u + 0.2) > 0.7)
    colour = np.where(glass[..., None] & body[..., None], 0.15, np.asarray(thing.colour, np.float32))
    canvas.albedo[window][body] = colour[body]
    canvas.material[window][body] = Material.PAINT
    canvas.height[window][body] += 1.4


def part(canvas: Canvas, thing: Part) -> None:
    """A part of a building: raises the height field to its roof where the roof is higher than what is there."""
    local = canvas.local(thing.x, thing.y, thing.angle, thing.half_length, thing.half_width)
    if local is None:
        return
    window, u, v = local
    to_end, to_side = thing.half_length - np.abs(u), thing.half_width - np.abs(v)
    top, rise_u, rise_v, light = _roof(thing, u, v, to_end, to_side, canvas.noise[window])
    covered = np.minimum(to_end, to_side) > 0
    if thing.roof is Roof.ROUND:
        covered = np.hypot(u, v) < thing.half_length
    top = (top + thing.base).astype(np.float32)
    covered &= top > canvas.height[window]
    if not covered.any():
        return
    cosine, sine = math.cos(thing.angle), math.sin(thing.angle)
    canvas.parts.append(thing)
    canvas.height[window][covered] = top[covered]
    canvas.albedo[window][covered] = (np.asarray(thing.roof_colour) * light[..., None])[covered]
    canvas.slope_x[window][covered] = (rise_u * cosine - rise_v * sine)[covered]
    canvas.slope_y[window][covered] = (rise_u * sine + rise_v * cosine)[covered]
    canvas.material[window][covered] = Material.ROOF
    canvas.part[window][covered] = len(canvas.parts)


def _roof(
    thing: Part, u: FloatArray, v: FloatArray, to_end: FloatArray, to_side: FloatArray, noise: Float32Array
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Height above base, rise along u and v, and brightness of a roof."""
    flat: FloatArray = np.zeros(np.broadcast_shapes(u.shape, v.shape))
    light: FloatArray = 0.9 + 0.2 * noise
    top: FloatArray
    if thing.roof is Roof.GABLE:
        courses = 1 + 0.05 * np.sin(v * 7)
        return thing.eave + thing.pitch * to_side, flat, -thing.pitch * np.sign(v), light * courses
    if thing.roof is Roof.HIP:
        ends = to_end < to_side
        rise_u: FloatArray = np.where(ends, -thing.pitch * np.sign(u), 0.0)
        rise_v: FloatArray = np.where(ends, 0.0, -thing.pitch * np.sign(v))
        return thing.eave + thing.pitch * np.minimum(to_end, to_side), rise_u, rise_v, light
    if thing.roof is Roof.ROUND:
        radius = np.hypot(u, v)
        rise = thing.pitch * 2
        return thing.eave + rise * (thing.half_length - radius), -rise * u / (radius + 0.1), -rise * v / (radius + 0.1), light
    edge = np.minimum(to_end, to_side) < 0.7  # a parapet
    top = flat + thing.eave + np.where(edge, 0.7, 0)
    light = np.where(edge, light * 1.15, light)
    if thing.clutter:
        top, light = _roof_clutter(thing, u, v, top, light)
    return top, flat, flat, light


def _roof_clutter(
    thing: Part, u: FloatArray, v: FloatArray, top: FloatArray, light: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Stair heads, air conditioners, skylights on a flat roof."""
    rng = stream(thing.clutter, round(thing.half_length * 100))
    for _ in range(int(rng.integers(2, 3 + int(thing.half_length * thing.half_width / 35)))):
        middle_u = rng.uniform(-0.75, 0.75) * thing.half_length
        middle_v = rng.uniform(-0.6, 0.6) * thing.half_width
        half_u, half_v, rise, tone = rng.uniform(0.6, 2.4), rng.uniform(0.6, 1.8), rng.uniform(0.2, 2.8), rng.uniform(0.55, 1.4)
        box = (np.abs(u - middle_u) < half_u) & (np.abs(v - middle_v) < half_v)
        top, light = np.where(box, thing.eave + rise, top), np.where(box, light * tone, light)
    return top, light


def tree(canvas: Canvas, thing: Tree) -> None:
    """A crown: a dome with an uneven outline and clumps of leaves."""
    local = canvas.local(thing.x, thing.y, 0.0, thing.radius * 1.15, thing.radius * 1.15)
    if local is None:
        return
    window, dx, dy = local
    clumps = canvas.leaves[window]
    squared = (dx * dx + dy * dy) / thing.radius**2 + 0.9 * (clumps - 0.5)
    dome = np.sqrt(np.clip(1 - squared, 0, 1))
    top = (thing.base + thing.height * (0.35 + 0.65 * dome) + 0.8 * clumps).astype(np.float32)
    inside = (squared < 1) & (top > canvas.height[window])
    light = 0.62 + 0.45 * dome + 0.5 * (clumps - 0.5)
    canvas.height[window][inside] = top[inside]
    canvas.albedo[window][inside] = (np.asarray(thing.colour, np.float32) * light[..., None])[inside]
    canvas.slope_x[window][inside] = np.broadcast_to(-0.9 * dx / thing.radius, inside.shape)[inside]
    canvas.slope_y[window][inside] = np.broadcast_to(-0.9 * dy / thing.radius, inside.shape)[inside]
    canvas.material[window][inside] = Material.TREE
    canvas.part[window][inside] = 0
