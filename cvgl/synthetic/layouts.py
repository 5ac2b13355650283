"""Writes a world in the layouts of the published data sets, so that everything made for them can be tried without them.

Each writer takes a config, a folder, a progress callback and a number of threads, as `write_manifest` does, may be killed and
started again, and gives the folder. Street-level layouts need ``panoramas=1``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cvgl.config import Layout
from cvgl.datasets.sues200 import HEIGHTS, TRAINING_LOCATIONS
from cvgl.datasets.university160k import GALLERY, NAMES, QUERIES
from cvgl.errors import ConfigError
from cvgl.lake import write_bytes
from cvgl.synthetic.act_data import act_data
from cvgl.synthetic.scene import Location, Shot, World, generate
from cvgl.synthetic.writer import claim, university_names, write_images, write_university1652
from cvgl.types import Progress, Subset, View, silent

if TYPE_CHECKING:
    from PIL import Image

    from cvgl.synthetic.config import WorldConfig

Writer = Callable[..., Path]
_DENSE_HEIGHTS = ("H100", "H90", "H80")  # a flight goes down


def write_layout(
    layout: Layout, config: WorldConfig, folder: Path, progress: Progress = silent, workers: int | None = None
) -> Path:
    """Writes a world in a layout.

    Args:
        layout: one of `WRITERS`.
        config: the world; `for_layout` gives one that the layout can take.
        folder: new, empty, or written before with the same settings.
        progress: told about finished places.
        workers: threads; does not change a byte.

    Raises:
        ConfigError: the world does not fit the layout, or nothing writes it.
        DataError: the folder belongs to something else.
        MissingDependencyError: CVACT's table needs SciPy, which is not installed.
    """
    if layout not in WRITERS:
        layouts = ", ".join(WRITERS)
        raise ConfigError(f"no world is written in the layout '{layout}'", where="layout", fix=f"choose one of: {layouts}")
    return WRITERS[layout](config, folder, progress, workers)


def for_layout(layout: Layout, config: WorldConfig) -> WorldConfig:
    """The same world with as many views a place, panoramas and distractors as a layout has."""
    changes: dict[str, object] = {}
    if layout in (Layout.CVUSA, Layout.CVACT, Layout.CVACT_TEST):
        changes = {"panoramas": 1, "views": 1, "distractors": 0}
    elif layout is Layout.SUES200:
        changes = {"views": len(HEIGHTS) * max(1, config.views // len(HEIGHTS)), "distractors": 0}
    elif layout is Layout.DENSEUAV:
        changes = {"views": len(_DENSE_HEIGHTS), "distractors": 0}
    elif layout in (Layout.UNIVERSITY160K, Layout.UNIVERSITY160K_OFFICIAL):
        changes = {"distractors": max(2, config.distractors)}
    return config.model_copy(update=changes)


def write_university160k(config: WorldConfig, folder: Path, progress: Progress = silent, workers: int | None = None) -> Path:
    """University-160k with labels: half of the distractors lie in University-1652's gallery, half in its own, masked."""
    world = generate(config)
    masked = _second_half(world)

    def names(image: Shot) -> Sequence[str]:
        if image.location.number in masked:
            return [f"{GALLERY}/{mask(image)}.jpg"]
        return university_names(image)

    return _write(world, folder, Layout.UNIVERSITY160K, names, progress, workers)


def write_university160k_official(
    config: WorldConfig, folder: Path, progress: Progress = silent, workers: int | None = None
) -> Path:
    """University-160k as in the challenge: train/ with labels, all test images under masked names, and their list."""
    world = generate(config)

    def names(image: Shot) -> Sequence[str]:
        if image.location.subset is Subset.TRAIN:
            return university_names(image)
        if image.view is View.SATELLITE:
            return [f"{GALLERY}/{mask(image)}.jpg"]
        return [f"{QUERIES}/{mask(image)}.jpeg"] if image.view is View.DRONE else []

    _write(world, folder, Layout.UNIVERSITY160K_OFFICIAL, names, progress, workers)
    queries = sorted(Path(name).name for p in _all_images(world) for name in names(p) if name.startswith(QUERIES))
    write_bytes(folder / NAMES, "".join(f"{name}\n" for name in queries).encode())
    return folder


def write_cvusa(config: WorldConfig, folder: Path, progress: Progress = silent, workers: int | None = None) -> Path:
    """CVUSA: one panorama and one satellite image a place, both splits, and the positions of both."""
    world = _street_world(config, Layout.CVUSA)

    def names(image: Shot) -> Sequence[str]:
        number = f"{image.location.number + 1:07d}.jpg"
        folders = {View.SATELLITE: "bingmap/19", View.GROUND: "streetview/panos"}
        return [f"{folders[image.view]}/{number}"] if image.view in folders else []

    _write(world, folder, Layout.CVUSA, names, progress, workers)
    rows: dict[Subset, list[str]] = {Subset.TRAIN: [], Subset.QUERY: []}
    positions = []
    for place in world.locations:
        number = f"{place.number + 1:07d}"
        rows[place.subset].append(
            f"bingmap/19/{number}.jpg,streetview/panos/{number}.jpg,streetview/annotations/{number}.png\n"
        )
        coordinates = {p.view: f"{p.latitude:.8f},{p.longitude:.8f}" for p in world.images(place)}
        positions.append(f"{coordinates[View.SATELLITE]},{coordinates[View.GROUND]},0\n")
    write_bytes(folder / "splits/train-19zl.csv", "".join(rows[Subset.TRAIN]).encode())
    write_bytes(folder / "splits/val-19zl.csv", "".join(rows[Subset.QUERY]).encode())
    write_bytes(folder / "split_locations/all.csv", "".join(positions).encode())
    return folder


def write_cvact(config: WorldConfig, folder: Path, progress: Progress = silent, workers: int | None = None) -> Path:
    """CVACT: training and validation pairs, the test pairs (the validation pairs are half of them), and the table."""
    world = _street_world(config, Layout.CVACT)
    tested = [place.number for place in world.locations if place.subset is Subset.QUERY]
    small = {place.number for place in world.locations if place.subset is Subset.TRAIN} | set(tested[: (len(tested) + 1) // 2])

    def names(image: Shot) -> Sequence[str]:
        number = image.location.number
        endings = {View.GROUND: "streetview/{}_grdView.jpg", View.SATELLITE: "satview_polish/{}_satView_polish.jpg"}
        if image.view not in endings:
            return []
        name = endings[image.view].format(pano_id(image.location))
        return [
            f"{part}/{name}"
            for part, numbers in (("ANU_data_small", small), ("ANU_data_test", set(tested)))
            if number in numbers
        ]

    _write(world, folder, Layout.CVACT, names, progress, workers)
    write_bytes(folder / "ACT_data.mat", act_data(world, [pano_id(place) for place in world.locations], tested))
    return folder


def write_sues200(config: WorldConfig, folder: Path, progress: Progress = silent, workers: int | None = None) -> Path:
    """SUES-200 as released: drone images by height, of at most 120 places to train on and 80 to be asked for."""
    world = generate(config)
    _check(config.views % len(HEIGHTS) == 0, "views", f"SUES-200 has as many images at each of {len(HEIGHTS)} heights")
    names_of = _sues_names(world)
    count = config.views // len(HEIGHTS)

    def names(image: Shot) -> Sequence[str]:
        place = names_of.get(image.location.number)
        if place is None:
            return []
        if image.view is View.SATELLITE:
            return [f"satellite-view/{place}/0.png"]
        if image.view is not View.DRONE:
            return []
        step = image.index - 1
        return [f"drone_view_512/{place}/{HEIGHTS[-1 - step // count % len(HEIGHTS)]}/{step % count}.jpg"]

    return _write(world, folder, Layout.SUES200, names, progress, workers)


def write_denseuav(config: WorldConfig, folder: Path, progress: Progress = silent, workers: int | None = None) -> Path:
    """DenseUAV: three heights a place, six satellite images (three cuts, today's and an older one), tables of positions."""
    world = generate(config)
    _check(config.views == len(_DENSE_HEIGHTS), "views", "DenseUAV has one image at each of three heights")

    def names(image: Shot) -> Sequence[str]:
        place, training = image.location, image.location.subset is Subset.TRAIN
        if place.is_distractor:
            return []
        if image.view is View.DRONE:
            files = [f"{_DENSE_HEIGHTS[(image.index - 1) % len(_DENSE_HEIGHTS)]}.JPG"]
            folders = ["train/drone", "test/gallery_drone"] if training else ["test/query_drone", "test/gallery_drone"]
        elif image.view is View.SATELLITE:
            files = [f"{height}{age}.tif" for height in _DENSE_HEIGHTS for age in ("", "_old")]
            other = "train/satellite" if training else "test/query_satellite"
            folders = [other, "test/gallery_satellite"]
        else:
            return []
        return [f"{name}/{place.number:06d}/{file}" for name in folders for file in files]

    _write(world, folder, Layout.DENSEUAV, names, progress, workers, _dense_cut)
    tables: dict[str, list[str]] = {"ALL": [], "train": [], "test": []}
    for place in world.locations:
        satellite = next(image for image in world.images(place) if image.view is View.SATELLITE)
        part = "train" if place.subset is Subset.TRAIN else "test"
        satellite_folder = "train/satellite" if part == "train" else "test/query_satellite"
        line = f"{satellite_folder}/{place.number:06d}/H80.tif E{satellite.longitude:.8f} N{satellite.latitude:.8f} 80\n"
        tables["ALL"].append(line)
        tables[part].append(line)
    for name, lines in tables.items():
        write_bytes(folder / f"Dense_GPS_{name}.txt", "".join(lines).encode())
    return folder


def mask(image: Shot) -> str:
    """A name that tells nothing about the place, the same one whenever the world is written."""
    key = f"{image.view}/{image.location.number}/{image.index}"
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def pano_id(place: Location) -> str:
    """An id like those of street-level panoramas."""
    return base64.urlsafe_b64encode(hashlib.sha256(str(place.number).encode()).digest())[:22].decode().replace("-", "x")


def _write(
    world: World,
    folder: Path,
    layout: Layout,
    names: Callable[[Shot], Sequence[str]],
    progress: Progress,
    workers: int | None,
    vary: Callable[[str, Image.Image], Image.Image] | None = None,
) -> Path:
    claim(folder, world.config, str(layout))
    write_images(world, folder, names, progress, workers, **({} if vary is None else {"vary": vary}))
    return folder


def _street_world(config: WorldConfig, layout: Layout) -> World:
    _check(config.panoramas == 1, "panoramas", f"{layout} has one panorama a place")
    _check(config.distractors == 0, "distractors", f"{layout} has a panorama of every place")
    return generate(config)


def _check(condition: bool, field: str, problem: str) -> None:
    if not condition:
        raise ConfigError(f"{problem}, and this world has not", where=field, fix="take cvgl.synthetic.for_layout's")


def _second_half(world: World) -> frozenset[int]:
    distractors = [place.number for place in world.locations if place.is_distractor]
    return frozenset(distractors[len(distractors) // 2 :])


def _all_images(world: World) -> list[Shot]:
    return [image for place in world.locations for image in world.images(place)]


def _sues_names(world: World) -> Mapping[int, str]:
    """Places by running number, named so that the published list divides them as the world does."""
    training = sorted(TRAINING_LOCATIONS)
    test_names = [name for name in (f"{number:04d}" for number in range(1, 201)) if name not in TRAINING_LOCATIONS]
    by_subset = {Subset.TRAIN: iter(training), Subset.QUERY: iter(test_names)}
    names = {p.number: next(by_subset[p.subset], None) for p in world.locations if not p.is_distractor}
    missing = sum(name is None for name in names.values())
    _check(missing == 0, "places", "SUES-200 has 120 places to train on and 80 to be asked for, no more")
    return {number: name for number, name in names.items() if name is not None}


def _dense_cut(name: str, image: Image.Image) -> Image.Image:
    """What a tile under a name shows: the lower the drone, the less ground; older tiles are paler."""
    from PIL import Image as Images
    from PIL import ImageEnhance

    if not name.endswith(".tif"):
        return image
    height, _, age = Path(name).stem.partition("_")
    margin = round(image.width * (1 - int(height[1:]) / 100) / 2)
    cut = image.crop((margin, margin, image.width - margin, image.height - margin)).resize(
        image.size, Images.Resampling.BICUBIC
    )
    return ImageEnhance.Brightness(ImageEnhance.Color(cut).enhance(0.7)).enhance(0.93) if age else cut


WRITERS: Mapping[Layout, Writer] = {
    Layout.UNIVERSITY1652: write_university1652,
    Layout.UNIVERSITY160K: write_university160k,
    Layout.UNIVERSITY160K_OFFICIAL: write_university160k_official,
    Layout.CVUSA: write_cvusa,
    Layout.CVACT: write_cvact,
    Layout.SUES200: write_sues200,
    Layout.DENSEUAV: write_denseuav,
}
