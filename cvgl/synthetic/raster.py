"""Draws the plan of the town as a height field with colours, materials and slopes, chunk by chunk."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, fields
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cvgl.synthetic import stamps
from cvgl.synthetic.blocks import fill
from cvgl.synthetic.noise import fractal_noise, value_noise
from cvgl.synthetic.objects import BlockContent, Car, Material, Part, Tree
from cvgl.synthetic.town import BRIDGE_HALF_WIDTH, Block, Town

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.synthetic.noise import Float32Array, FloatArray

Thing = TypeVar("Thing", Car, Part, Tree)

CHUNK = 256  # texels a side
_KEPT_CHUNKS = 160  # about 350 MB at most
_SIDEWALK = 2.0


@dataclass(frozen=True, eq=False)
class Ground:
    """A rectangle of the town as a raster; row 0 lies south, x east, y north.

    Attributes:
        x0, y0: outer corner of texel (0, 0) in metres.
        texel: side of a texel in metres.
        height: (H, W) top of whatever stands there, in metres.
        albedo: (H, W, 3) colour in [0, 1] without light.
        slope_x, slope_y: (H, W) horizontal parts of the surface normal times -1 (rise per metre).
        material: (H, W) `Material`.
        part: (H, W) 1 + index into `parts`, 0 where no building stands.
        parts: the parts of buildings that this raster shows.
    """

    x0: float
    y0: float
    texel: float
    height: Float32Array
    albedo: Float32Array
    slope_x: Float32Array
    slope_y: Float32Array
    material: NDArray[np.uint8]
    part: NDArray[np.int32]
    parts: tuple[Part, ...]

    def window(self, column: int, row: int, width: int, height: int) -> Ground:
        """A part of this raster, as views of its arrays."""
        inside = (slice(row, row + height), slice(column, column + width))
        return Ground(
            self.x0 + column * self.texel,
            self.y0 + row * self.texel,
            self.texel,
            self.height[inside],
            self.albedo[inside],
            self.slope_x[inside],
            self.slope_y[inside],
            self.material[inside],
            self.part[inside],
            self.parts,
        )


class GroundMap:
    """Rasters of any rectangle of a town, put together from chunks that are drawn once and kept for a while."""

    def __init__(self, town: Town, texel: float) -> None:
        self.town, self.texel = town, texel
        self._chunks: OrderedDict[tuple[int, int], Ground] = OrderedDict()
        self._contents: dict[tuple[int, int], BlockContent] = {}
        self._lock = Lock()

    def content(self, cell: tuple[int, int]) -> BlockContent:
        """What stands in a block."""
        content = self._contents.get(cell)
        if content is None:
            content = fill(self.town, self.town.block(cell))
            with self._lock:
                if len(self._contents) > 4096:
                    self._contents.clear()
                self._contents[cell] = content
        return content

    def around(self, x: float, y: float, half: float) -> Ground:
        """The raster of a square of at least `half` metres on each side of a point."""
        low_column, low_row = (math.floor((value - half) / self.texel) for value in (x, y))
        size = math.ceil(2 * half / self.texel) + 1
        first = low_column // CHUNK, low_row // CHUNK
        last = (low_column + size - 1) // CHUNK, (low_row + size - 1) // CHUNK
        rows = [[self.chunk(i, j) for i in range(first[0], last[0] + 1)] for j in range(first[1], last[1] + 1)]
        joined = _join(rows)
        return joined.window(low_column - first[0] * CHUNK, low_row - first[1] * CHUNK, size, size)

    def chunk(self, i: int, j: int) -> Ground:
        """One square of CHUNK x CHUNK texels."""
        with self._lock:
            chunk = self._chunks.get((i, j))
            if chunk is not None:
                self._chunks.move_to_end((i, j))
                return chunk
        made = self._draw(i, j)
        with self._lock:
            self._chunks[(i, j)] = made
            while len(self._chunks) > _KEPT_CHUNKS:
                self._chunks.popitem(last=False)
        return made

    def _draw(self, i: int, j: int) -> Ground:
        side = CHUNK * self.texel
        x0, y0 = i * side, j * side
        axis = (np.arange(CHUNK) + 0.5) * self.texel
        canvas = stamps.Canvas(x0 + axis, y0 + axis, self.texel)
        cells = self.town.cells_near(x0 + side / 2, y0 + side / 2, side / 2)
        owner, land = self._draw_streets(canvas, cells)
        for index in np.unique(owner):
            canvas.mask = (owner == index) & land
            for patch in self.content(cells[index]).patches:
                stamps.patch(canvas, patch)
        # Buildings and trees may lean over the border of their block, so blocks around the chunk are asked as well.
        near = [self.content(cell) for cell in cells]
        for car in _within(canvas, [car for content in near for car in content.cars], 4.0):
            stamps.car(canvas, car)
        for part in _within(canvas, [part for content in near for part in content.parts], 60.0):
            stamps.part(canvas, part)
        for tree in _within(canvas, [tree for content in near for tree in content.trees], 9.0):
            stamps.tree(canvas, tree)
        return Ground(
            x0,
            y0,
            self.texel,
            canvas.height,
            canvas.albedo.clip(0.02, 0.98),
            canvas.slope_x,
            canvas.slope_y,
            canvas.material,
            canvas.part,
            tuple(canvas.parts),
        )

    def _draw_streets(self, canvas: stamps.Canvas, cells: list[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Paints ground, river and streets; returns which of `cells` each texel belongs to, and where there is no water."""
        town = self.town
        grid_x, grid_y = np.meshgrid(canvas.x, canvas.y)
        canvas.height[:] = town.terrain(canvas.x, canvas.y)
        canvas.slope_y[:], canvas.slope_x[:] = np.gradient(canvas.height, np.float32(canvas.texel))
        owner = _nearest(town, cells, canvas.x, canvas.y)
        street, along, width = _street_field([town.block(cell) for cell in cells], owner, grid_x, grid_y)
        self._paint_blocks(canvas, cells, owner, grid_x, grid_y)
        noise = canvas.noise
        river = town.river_distance(canvas.x[None, :], canvas.y[:, None]).astype(np.float32)
        _paint_river(canvas, river)
        dry = (river > 1.0) | ((width > BRIDGE_HALF_WIDTH) & (street < 1.2))
        paved = np.clip((_SIDEWALK - street) / canvas.texel + 0.5, 0, 1) * dry * (width > 3.3)
        canvas.blend(paved, (0.61, 0.59, 0.56), Material.PAVING, 0.92 + 0.16 * noise)
        asphalt = np.clip(-street / canvas.texel + 0.5, 0, 1) * dry
        tone = np.where(width > 3.0, np.float32(1.0), np.float32(1.35))[..., None] * np.array([0.36, 0.355, 0.36], np.float32)
        # Wheels wear two lanes brighter and smoother.
        worn = 1 + 0.06 * np.cos((street + width) * 2.1) + 0.14 * (noise - 0.5)
        canvas.blend(asphalt, tone, Material.ASPHALT, worn)
        canvas.height[(river < 0) & (asphalt < 0.5)] -= 2.5
        _paint_marks(canvas, street, along, width, dry)
        return owner, (river > 1) & (asphalt < 0.5)

    def _paint_blocks(
        self,
        canvas: stamps.Canvas,
        cells: list[tuple[int, int]],
        owner: NDArray[np.int64],
        grid_x: FloatArray,
        grid_y: FloatArray,
    ) -> None:
        """The ground of each block: its colour, uneven patches, furrows."""
        contents = [self.content(cell) for cell in cells]
        colours = np.array([content.ground_colour for content in contents], np.float32)
        materials = np.array([int(content.ground_material) for content in contents], np.uint8)
        canvas.albedo[:] = colours[owner]
        canvas.material[:] = materials[owner]
        broad = fractal_noise(self.town.seed + 21, canvas.x, canvas.y, 30.0, 3)
        dry = value_noise(self.town.seed + 31, canvas.x, canvas.y, 55.0)
        light = 0.66 + 0.44 * broad + 0.24 * canvas.noise
        canvas.albedo *= light[..., None]
        # Grass dries out and wears through in places.
        green = (canvas.material <= Material.CROP) * np.clip(dry * broad * 3.2 - 0.55, 0, 1)
        canvas.albedo += (green * np.float32(0.55))[..., None] * (np.array([0.52, 0.46, 0.32], np.float32) - canvas.albedo)
        wave = np.array([2 * np.pi / c.furrow_metres if c.furrow_metres else 0.0 for c in contents], np.float32)
        angle = np.array([c.furrow_angle for c in contents], np.float32)
        if wave.any():
            furrowed = (wave > 0)[owner]
            which = owner[furrowed]
            across = grid_y[furrowed] * np.cos(angle)[which] - grid_x[furrowed] * np.sin(angle)[which]
            canvas.albedo[furrowed] *= (1 + 0.10 * np.sin(across * wave[which]))[:, None].astype(np.float32)


def _within(canvas: stamps.Canvas, things: list[Thing], margin: float) -> list[Thing]:
    """Those things whose middle lies in the canvas or at most `margin` metres outside."""
    west, east = canvas.x[0] - margin, canvas.x[-1] + margin
    south, north = canvas.y[0] - margin, canvas.y[-1] + margin
    return [thing for thing in things if west < thing.x < east and south < thing.y < north]


def _nearest(town: Town, cells: list[tuple[int, int]], x: FloatArray, y: FloatArray) -> NDArray[np.int64]:
    """Which cell's site is nearest to each texel, (H, W); x and y are the texels' (W,) and (H,) coordinates."""
    best = np.full((len(y), len(x)), np.inf)
    owner = np.zeros(best.shape, np.int64)
    for index, cell in enumerate(cells):
        site_x, site_y = town.site(*cell)
        squared = ((x - site_x) ** 2)[None, :] + ((y - site_y) ** 2)[:, None]
        closer = squared < best
        best[closer] = squared[closer]
        owner[closer] = index
    return owner


def _street_field(
    blocks: list[Block], owner: NDArray[np.int64], grid_x: FloatArray, grid_y: FloatArray
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Distance in metres to the kerb of the nearest street (negative on it), place along it, and its half width."""
    best = np.full(owner.shape, 1e3, np.float32)
    along = np.zeros(owner.shape, np.float32)
    width = np.zeros(owner.shape, np.float32)
    for index in np.unique(owner):
        inside = owner == index
        x, y = grid_x[inside], grid_y[inside]
        values = best[inside], along[inside], width[inside]
        block = blocks[index]
        for (east, north), offset, half in zip(
            block.normals.tolist(), block.offsets.tolist(), block.streets.tolist(), strict=True
        ):
            if half == 0:
                continue
            distance = (offset - half - east * x - north * y).astype(np.float32)
            closer = distance < values[0]
            values[0][closer] = distance[closer]
            # Signs must agree on both sides of a street, or its dashes would not meet in the middle.
            flip = 1 if (east, north) > (0, 0) else -1
            values[1][closer] = flip * (y[closer] * east - x[closer] * north)
            values[2][closer] = half
        best[inside], along[inside], width[inside] = values
    return best, along, width


def _paint_river(canvas: stamps.Canvas, river: Float32Array) -> None:
    """Water with a bank of gravel and reed."""
    noise = canvas.noise
    bank = np.clip((4.5 - river) / 2, 0, 1)
    canvas.blend(bank, (0.42, 0.42, 0.27), Material.GRASS, 0.75 + 0.5 * noise)
    water = np.clip(-river / canvas.texel + 0.5, 0, 1)
    depth = 1.12 - 0.3 * np.clip(-river / 12, 0, 1)
    canvas.blend(water, (0.21, 0.29, 0.28), Material.WATER, depth + 0.06 * noise)


def _paint_marks(
    canvas: stamps.Canvas, street: Float32Array, along: Float32Array, width: Float32Array, dry: NDArray[np.bool_]
) -> None:
    """Lane marks: a broken middle line, edge lines on wide streets."""
    from_middle = street + width
    line = 0.16 + canvas.texel / 3  # painted lines are narrower than a texel; widened so that they show, as paint does
    cover = np.clip((line - from_middle) / canvas.texel + 0.5, 0, 1) * ((along % 9.0) < 4.5) * (width > 3.3)
    edge = np.clip((line - np.abs(street + 0.7)) / canvas.texel + 0.5, 0, 1) * (width > 6)
    marks = np.maximum(cover, edge) * dry * 0.75
    canvas.blend(marks, (0.86, 0.86, 0.83), Material.PAINT, np.float32(1.0))


def _join(rows: list[list[Ground]]) -> Ground:
    """Puts neighbouring chunks together and renumbers their building parts."""
    parts: list[Part] = []
    shifted: list[list[NDArray[np.int32]]] = []
    for row in rows:
        shifted.append([])
        for chunk in row:
            shifted[-1].append(np.where(chunk.part > 0, chunk.part + np.int32(len(parts)), 0).astype(np.int32))
            parts += chunk.parts
    corner = rows[0][0]
    layers = {
        name: np.concatenate([np.concatenate([getattr(chunk, name) for chunk in row], axis=1) for row in rows], axis=0)
        for name in (field.name for field in fields(Ground))
        if name in ("height", "albedo", "slope_x", "slope_y", "material")
    }
    part = np.concatenate([np.concatenate(row, axis=1) for row in shifted], axis=0)
    return Ground(corner.x0, corner.y0, corner.texel, part=part, parts=tuple(parts), **layers)
