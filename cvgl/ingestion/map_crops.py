"""Map crops: multi-scale, rotated references, each cut from one map around a tile's position.

    python -m cvgl.ingestion.map_crops MANIFEST MAP FOLDER --root ROOT --size 100 --size 200 --rotations 8

A drone comes from any heading and flies at any height; a tile shows north at its top and one size of ground. The mean over a
tile's rotated descriptors blurs where things lie, so each rotation and size becomes an image of its own, at the position and
location of its tile: in retrieval, the most similar crop counts. FOLDER gets a new `manifest.csv` with the crops and the
other images of the manifest, and is ingested like any other. A killed run resumes and ends in the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cvgl.errors import ConfigError, DataError
from cvgl.geo import frame_of, ground_distance_m, is_true_to_scale
from cvgl.hashing import digest_json, sha256_file
from cvgl.imaging import open_rgb
from cvgl.ingestion import fields
from cvgl.ingestion.coordinates import read_number
from cvgl.ingestion.entries import RefusedError, WorldFile
from cvgl.ingestion.georeference.sidecars import Sidecars
from cvgl.ingestion.manifest import ManifestImages, known_columns, renamed
from cvgl.ingestion.records import Cell, read_records
from cvgl.lake import write_bytes
from cvgl.types import Subset

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 256
"""Pixels along a side of a crop."""

_QUALITY = 92  # of the JPEG, without subsampling of colour
_MAX_MAP_PIXELS = 2**29


@dataclass(frozen=True, slots=True)
class GeoreferencedMap:
    """An image from above that knows where its pixels lie; its axes are those of the frame, north up.

    Attributes:
        image: RGB.
        world: of the image.
        digest: of the image's file and its world file.
    """

    image: Image
    world: WorldFile
    digest: str

    @classmethod
    def open(cls, path: Path) -> GeoreferencedMap:
        """Opens an image with its world file beside it.

        Raises:
            ImageError: the image cannot be read.
            DataError: it has no world file, or one that rotates the image or does not have square pixels.
        """
        try:
            world = Sidecars(path.parent, path.parent.resolve()).world_file(path)
        except RefusedError as refused:
            raise DataError(refused.detail, where=path, fix="export the map again with its world file") from refused
        if world is None:
            raise DataError("the map has no world file", where=path, fix="put it beside the map (.jgw, .pgw, .tfw, .wld)")
        if world.b or world.d or not math.isclose(world.a, -world.e, rel_tol=1e-3):
            raise DataError("the map is turned, or its pixels are not square", where=path, fix="export it north up")
        return cls(open_rgb(path, _MAX_MAP_PIXELS), world, digest_json([sha256_file(path), asdict(world)]))

    def crop(self, x: float, y: float, size_m: float, rotation: float) -> Image:
        """Cuts the square of ground around a point, rotated counter-clockwise; beyond its edges, the map is mirrored.

        Args:
            x: of the point, in the map's frame.
            y: of the point.
            size_m: side on the ground, metres.
            rotation: degrees.

        Returns:
            An image with sides of `SIDE` pixels.

        Raises:
            DataError: the frame is unknown, or its squares are none on the ground there, as those of degrees.
        """
        from PIL import Image as Images

        across, down = (x - self.world.c) / self.world.a, (y - self.world.f) / self.world.e  # of the middle of a pixel
        size = size_m / self._pixel_m(x, y)
        half = math.ceil(size / math.sqrt(2)) + 2
        left, top = math.floor(across) - half, math.floor(down) - half
        window = self._window(left, top, 2 * half + 1)
        factor = max(1, int(size // SIDE))  # averaged first, so that nothing finer than the crop's pixels is left
        step, angle = size / SIDE / factor, math.radians(rotation)
        middle = ((across - left + 0.5) / factor, (down - top + 0.5) / factor)
        cosine, sine = step * math.cos(angle), step * math.sin(angle)
        first = (middle[0] - (cosine - sine) * SIDE / 2, middle[1] - (sine + cosine) * SIDE / 2)
        coefficients = (cosine, -sine, first[0], sine, cosine, first[1])
        return window.reduce(factor).transform((SIDE, SIDE), Images.Transform.AFFINE, coefficients, Images.Resampling.BICUBIC)

    def _pixel_m(self, x: float, y: float) -> float:
        """Metres on the ground that a pixel there is wide: web Mercator and feet are square, and no metres."""
        crs, at = self.world.crs, np.array([x, y])
        if is_true_to_scale(crs, at[None]):
            return self.world.a
        across, up = ground_distance_m(crs, at, at + np.array([[self.world.a, 0.0], [0.0, self.world.e]]))
        if not math.isclose(across, up, rel_tol=0.02):
            raise DataError(
                "the map's pixels are not square on the ground", where=f"crs {frame_of(crs).label}", fix="export it in UTM"
            )
        return float(across)

    def _window(self, left: int, top: int, side: int) -> Image:
        from PIL import Image as Images

        width, height = self.image.size
        right, bottom = left + side, top + side
        inside = self.image.crop((max(left, 0), max(top, 0), min(right, width), min(bottom, height)))
        margins = ((max(0, -top), max(0, bottom - height)), (max(0, -left), max(0, right - width)), (0, 0))
        if not any(map(any, margins)):
            return inside
        return Images.fromarray(np.pad(np.asarray(inside), margins, mode="symmetric"))


def write_map_crops(
    manifest: Path,
    map_image: Path,
    folder: Path,
    root: Path | None = None,
    sizes: Sequence[float] = (100.0,),
    rotations: int = 8,
) -> Path:
    """Writes a folder in which every reference of a manifest is replaced by its crops.

    The first size without rotation takes the reference's place with all its roles; further crops are in the gallery and, where
    the reference is, in the training subset, and are never queries.

    Args:
        manifest: CSV or Parquet; its satellite rows have x and y in the frame of the map.
        map_image: with a world file.
        folder: to write into; must not hold the manifest.
        root: that the manifest's paths start from; default: its folder.
        sizes: of ground, sides in metres.
        rotations: of each size, evenly spaced around the circle.

    Returns:
        The new manifest.

    Raises:
        ConfigError: no size or rotation, or a folder that holds what is read.
        DataError: a row cannot be used, lies beyond the map, or has no position in a plane.
        ImageError: the map cannot be read.
    """
    if not sizes or min(sizes) <= 0 or rotations < 1 or len(set(sizes)) < len(sizes):
        raise ConfigError(
            f"sizes {list(sizes)} with {rotations} rotations",
            where="map crops",
            fix="give sizes above 0, each once, and at least one rotation",
        )
    root = (root or manifest.parent).resolve()
    if manifest.resolve().is_relative_to(folder.resolve()):
        raise ConfigError("the manifest lies in the folder to be written", where=folder, fix="give another folder")
    names, records = read_records(manifest)
    columns, source = known_columns(names, manifest, required=("path", "view", "x", "y")), GeoreferencedMap.open(map_image)
    rows: list[Mapping[str, Cell]] = []
    images = ManifestImages(root)
    for record in records:
        try:
            cells = dict(renamed(record, columns))
            path, _ = images.find(cells.get("path"))
            rows += _rows(cells, path, root, source, folder, sizes, rotations)
        except RefusedError as refused:
            raise DataError(
                refused.detail, where=f"{manifest}:{record.number}", fix="mend the row, or leave it out"
            ) from refused
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns.values()), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(folder / "manifest.csv", text.getvalue().encode())
    return folder / "manifest.csv"


def _rows(
    cells: Mapping[str, Cell],
    path: Path,
    root: Path,
    source: GeoreferencedMap,
    folder: Path,
    sizes: Sequence[float],
    rotations: int,
) -> list[Mapping[str, Cell]]:
    name = path.relative_to(root)
    if not fields.view(cells["view"]).is_reference:
        image = path.read_bytes()
        if not (folder / name).is_file() or (folder / name).read_bytes() != image:
            write_bytes(folder / name, image)
        return [{**cells, "path": name.as_posix()}]
    x, y = _position(cells, source)
    rows: list[Mapping[str, Cell]] = []
    for size in sizes:
        for step in range(rotations):
            degrees = 360 * step / rotations
            crop = Path(f"looks-{source.digest[:12]}") / name.with_suffix("") / f"{size:g}m-{degrees:g}.jpg"
            if not (folder / crop).is_file():
                write_bytes(folder / crop, _encoded(source.crop(x, y, size, degrees)))
            subset = cells.get("subset") if not rows else _without_query(cells.get("subset"))
            rows.append({**cells, "path": crop.as_posix(), **({"subset": subset} if "subset" in cells else {})})
    return rows


def _position(cells: Mapping[str, Cell], source: GeoreferencedMap) -> tuple[float, float]:
    if cells["x"] is None or cells["y"] is None:
        raise DataError("a reference has no x and y", where=cells["path"], fix="give its middle in the map's frame")
    (x, _), (y, _) = (read_number(cells[name], name) for name in ("x", "y"))
    width, height = source.image.size
    column, row = (x - source.world.c) / source.world.a, (y - source.world.f) / source.world.e
    if not (-0.5 <= column < width - 0.5 and -0.5 <= row < height - 0.5):
        raise DataError(f"({x:g}, {y:g}) lies beyond the map", where=cells["path"], fix="give a map in the references' frame")
    return x, y


def _without_query(subsets: Cell) -> str:
    return ";".join(name for name in str(subsets or "").replace(",", ";").split(";") if name.strip() != Subset.QUERY)


def _encoded(image: Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY, subsampling=0)
    return stream.getvalue()


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(
        prog="python -m cvgl.ingestion.map_crops", description="Cuts multi-scale, rotated crops of each reference from a map."
    )
    parser.add_argument("manifest", type=Path, help="that names the references, with x and y")
    parser.add_argument("map", type=Path, help="an image with its world file")
    parser.add_argument("folder", type=Path, help="to write the crops, the other images and manifest.csv into")
    parser.add_argument("--root", type=Path, help="folder that the manifest's paths start from")
    parser.add_argument("--size", type=float, action="append", help="side of the ground in metres; repeatable (100)")
    parser.add_argument("--rotations", "--turns", type=int, default=8, help="of each size (8)")
    arguments = parser.parse_args()
    written = write_map_crops(
        arguments.manifest, arguments.map, arguments.folder, arguments.root, arguments.size or (100.0,), arguments.rotations
    )
    print(f"wrote {written}; ingest it")


if __name__ == "__main__":
    main()
