"""Writes a world to a folder, as a manifest or in University-1652's layout; may be killed and started again."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvgl.errors import DataError
from cvgl.lake import TEMPORARY_PREFIX, read_json, sweep, write_bytes, write_json
from cvgl.synthetic.scene import Location, Shot, World, generate
from cvgl.types import Progress, Subset, View, silent

if TYPE_CHECKING:
    from PIL import Image

    from cvgl.synthetic.config import WorldConfig

MARKER = "world.json"
MANIFEST = "manifest.csv"
VERSION = 2  # raise when the same settings draw other images
COLUMNS = ("path", "view", "subset", "location_id", "latitude", "longitude", "captured_at")

NameOf = Callable[[Shot], Sequence[str]]
Vary = Callable[[str, "Image.Image"], "Image.Image"]
FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".tif": "TIFF"}


def write_manifest(config: WorldConfig, folder: Path, progress: Progress = silent, workers: int | None = None) -> Path:
    """Writes all images and `manifest.csv`, which names them with view, subset, place, position and time.

    A drone image's position is the point its camera aims at: what a right answer should give.

    Args:
        config: the world.
        folder: new, empty, or written before with the same settings; finished images are kept.
        progress: told about finished places.
        workers: threads; default: one for each core. Does not change a byte.

    Returns:
        The manifest's path.

    Raises:
        DataError: the folder belongs to something else.
    """
    world = generate(config)
    claim(folder, config, "manifest")
    write_images(world, folder, _manifest_names, progress, workers)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for place in world.locations:
        for image in world.images(place):
            writer.writerow(_manifest_row(image))
    manifest = folder / MANIFEST
    write_bytes(manifest, text.getvalue().encode())
    return manifest


def write_university1652(config: WorldConfig, folder: Path, progress: Progress = silent, workers: int | None = None) -> Path:
    """Writes all images in the layout of University-1652's release; distractors lie in the satellite gallery only.

    Arguments and errors are those of `write_manifest`.

    Returns:
        The folder.
    """
    world = generate(config)
    claim(folder, config, "university1652")
    write_images(world, folder, university_names, progress, workers)
    return folder


def _as_drawn(name: str, image: Image.Image) -> Image.Image:
    return image


def claim(folder: Path, config: WorldConfig, layout: str) -> None:
    """Marks a folder as this world's, or finds that it is.

    The marker is written first: a folder that holds anything without it was not made here, and must not be mixed with.

    Raises:
        DataError: the folder belongs to something else.
    """
    marker = folder / MARKER
    identity: dict[str, Any] = {"version": VERSION, "layout": layout, "digest": config.digest()}
    if marker.is_file():
        record = read_json(marker)
        recorded = {key: record.get(key) for key in identity} if isinstance(record, dict) else {}
        if recorded != identity:
            raise DataError(
                "this folder holds another world, and two worlds must not be mixed",
                where=marker,
                fix="give an empty folder, or delete this one",
            )
    elif folder.exists() and not folder.is_dir():
        raise DataError("the world needs a folder, but this is a file", where=folder, fix="give another path")
    elif folder.is_dir() and any(not path.name.startswith(TEMPORARY_PREFIX) for path in folder.iterdir()):
        raise DataError("this folder is not empty and holds no world", where=folder, fix="give an empty or new folder")
    else:
        write_json(marker, {**identity, "config": config.model_dump(mode="json")})
    sweep(folder)


def write_images(
    world: World, folder: Path, names: NameOf, progress: Progress, workers: int | None, vary: Vary = _as_drawn
) -> None:
    """Draws and writes all images that have a name and are not there yet.

    Args:
        world: whose images are drawn.
        folder: to write into.
        names: of an image, relative to the folder; none where the layout has no such image.
        progress: told about finished locations.
        workers: threads; default: one for each core.
        vary: what lies under a name, from the image that was drawn.
    """
    places = _by_neighbourhood(world.locations)
    threads = workers or os.cpu_count() or 1
    progress(0, len(places), "drawing the world")
    with ThreadPoolExecutor(threads) as pool:
        for done, _ in enumerate(pool.map(lambda place: _write_place(world, place, folder, names, vary), places), start=1):
            progress(done, len(places), "drawing the world")


def _by_neighbourhood(places: Sequence[Location]) -> list[Location]:
    """Row by row through the town in turns, so that the ground drawn for one place serves the next."""
    rows: dict[int, list[Location]] = defaultdict(list)
    for place in places:
        rows[place.cell[1] // 2].append(place)
    return [place for row in sorted(rows) for place in sorted(rows[row], key=lambda p: p.cell[0] * (-1) ** row)]


def _write_place(world: World, place: Location, folder: Path, names: NameOf, vary: Vary) -> None:
    """Draws and writes those images of a place that are not there yet."""
    missing = [p for p in world.images(place) if not all((folder / name).is_file() for name in names(p))]
    for shot, image in world.render(missing):
        for name in names(shot):
            path = folder / name
            _write_whole(path, encode(vary(name, image), world.config.jpeg_quality, FORMATS[path.suffix.lower()]))


def encode(image: Image.Image, quality: int, file_format: str = "JPEG") -> bytes:
    """An image's bytes in a format; the quality is that of JPEG."""
    stream = io.BytesIO()
    image.save(stream, file_format, **({"quality": quality} if file_format == "JPEG" else {}))
    return stream.getvalue()


def _write_whole(path: Path, data: bytes) -> None:
    """Writes a file under a temporary name and renames it.

    Unlike `lake.write_bytes` it does not wait for the disk: thousands of images would cost minutes, and they can be
    drawn again at any time. A killed process leaves no half image under a final name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    temporary = Path(name)
    temporary.chmod(0o644)
    temporary.replace(path)


def _manifest_names(image: Shot) -> list[str]:
    number = f"-{image.index:02d}" if image.view is not View.SATELLITE else ""
    return [f"{image.view}/{image.location.location_id}{number}.jpg"]


def _manifest_row(image: Shot) -> list[str]:
    return [
        _manifest_names(image)[0],
        str(image.view),
        ";".join(image.subsets),
        image.location.location_id,
        f"{image.latitude:.8f}",
        f"{image.longitude:.8f}",
        image.captured_at.isoformat().replace("+00:00", "Z"),
    ]


def university_names(image: Shot) -> list[str]:
    """The release's names; its street views are called street."""
    view = "street" if image.view is View.GROUND else str(image.view)
    place = image.location.location_id
    file = f"{place}.jpg" if image.view is View.SATELLITE else f"image-{image.index:02d}.jpeg"
    if image.location.subset is Subset.TRAIN:
        return [f"train/{view}/{place}/{file}"]
    roles = ("gallery",) if image.location.is_distractor else ("query", "gallery")
    return [f"test/{role}_{view}/{place}/{file}" for role in roles]
