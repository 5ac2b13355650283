"""EPSG codes drawn by seed: are the metres of an evaluation metres on the ground, or is the code refused with a reason?

    python -m benchmarks.hostile.crs --seed 0

Tiles and images are laid out in the code's own area of use, so many metres apart along a geodesic of its own ellipsoid, and
brought into the CRS by pyproj alone. That is the truth; none of cvgl's functions has a part in it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray
from pyproj.database import query_crs_info
from pyproj.enums import PJType

from cvgl.errors import DataError
from cvgl.ingestion.entries import RefusedError
from cvgl.ingestion.fields import planar
from cvgl.retrieval.positions import positions_of

WITHIN = 0.01
TILES = 10
WHOLE_LINES = 12  # of which tiny images are ingested and evaluated
_TRIES = 20  # places in a code's area of use
_DIMENSION = 12


@dataclass
class CrsResult:
    """What became of the codes.

    Attributes:
        seed: that drew them.
        tried: how many were drawn.
        agreed: median distance within 1 % of the truth, and each picture's nearest tile its own.
        refused: by the reason in a few words.
        no_truth: codes for which PROJ computes no position in their own area of use, so that there is nothing to compare.
        wrong: sentences; there must be none.
        whole_lines: codes of `agreed` that went from images and a manifest to an evaluation's `median_m` besides.
        worst: largest relative error of a median that agreed.
        seconds: of it all.
    """

    seed: int
    tried: int = 0
    agreed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    no_truth: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    whole_lines: int = 0
    worst: float = 0.0
    seconds: float = 0.0

    def __str__(self) -> str:
        lines = [
            f"{self.tried} EPSG codes, seed {self.seed}: {self.agreed} agreed (worst {100 * self.worst:.3f} %),"
            f" {sum(self.refused.values())} refused, {len(self.wrong)} wrong; {self.whole_lines} from images to median_m;"
            f" {self.seconds:.0f} s"
        ]
        lines += [f"  refused: {reason}: {count}" for reason, count in self.refused.most_common()]
        lines += [f"  no position in its own area: {code}" for code in self.no_truth]
        return "\n".join([*lines, *(f"  WRONG {sentence}" for sentence in self.wrong)])


@dataclass(frozen=True)
class _Site:
    """Tiles and one image of each, x and y (n, 2) in a CRS, and the true metres (n,) between them."""

    crs: str
    tiles: NDArray[np.float64]
    pictures: NDArray[np.float64]
    metres: NDArray[np.float64]


def try_crs(seed: int, n: int = 300, whole_lines: int = WHOLE_LINES) -> CrsResult:
    """Tries projected and geographic EPSG codes.

    Args:
        seed: draws codes, places and distances.
        n: codes.
        whole_lines: the first so many that agree are ingested and evaluated, too.
    """
    begun, rng, result = time.perf_counter(), np.random.default_rng(seed), CrsResult(seed)
    infos = query_crs_info(auth_name="EPSG", pj_types=[PJType.PROJECTED_CRS, PJType.GEOGRAPHIC_2D_CRS])
    codes = sorted((info for info in infos if info.area_of_use is not None), key=lambda info: int(info.code))
    for row in rng.choice(len(codes), size=min(n, len(codes)), replace=False):
        result.tried += 1
        code = f"EPSG:{codes[row].code}"
        site = _site(code, codes[row].area_of_use.bounds, rng)
        try:
            if site is None:
                planar(0.0, 0.0, code)  # refused, or nothing can be compared
                result.no_truth.append(code)
                continue
            _compare(site, _measured(site), result)
        except (RefusedError, DataError) as error:
            sentence = error.detail if isinstance(error, RefusedError) else error.what
            result.refused[_kind(sentence, code)] += 1
            continue
        if result.whole_lines < whole_lines and code not in "".join(result.wrong):
            result.whole_lines += 1
            _compare(site, _evaluated(site), result, counts=False)
    result.seconds = time.perf_counter() - begun
    return result


def _site(code: str, bounds: tuple[float, float, float, float], rng: np.random.Generator) -> _Site | None:
    """Draws a place that PROJ can compute; None where there is none."""
    crs = pyproj.CRS.from_user_input(code)
    geodetic = crs.geodetic_crs
    ellipsoid, meridian = geodetic.ellipsoid, geodetic.prime_meridian
    geod = pyproj.Geod(a=ellipsoid.semi_major_metre, b=ellipsoid.semi_minor_metre)
    try:
        to_crs = pyproj.Transformer.from_crs(geodetic, crs, always_xy=True)
        back = pyproj.Transformer.from_crs(crs, geodetic, always_xy=True)
    except pyproj.exceptions.ProjError:
        return None
    unit = np.degrees(geodetic.axis_info[0].unit_conversion_factor)
    west, south, east, north = bounds
    width = (east - west) % 360 or 360.0
    for attempt in range(_TRIES):
        share = np.array([0.5, 0.5]) if attempt == 0 else rng.uniform(0.1, 0.9, 2)
        longitude, latitude = west + share[0] * width, south + share[1] * (north - south)
        if abs(latitude) > 89:
            continue
        longitude -= np.degrees(meridian.longitude * meridian.unit_conversion_factor)
        across, up, _ = geod.fwd(*_full(longitude, latitude), np.arange(TILES) * 360 / TILES, rng.uniform(900, 3000, TILES))
        metres = rng.uniform(5, 150, TILES)
        there = geod.fwd(across, up, rng.uniform(0, 360, TILES), metres)
        tiles, images = (
            np.stack(to_crs.transform(np.asarray(a) / unit, np.asarray(b) / unit), axis=1) for a, b in ((across, up), there[:2])
        )
        returned = np.stack(back.transform(*tiles.T), axis=1) * unit
        turns = np.abs((returned[:, 0] - across + 180) % 360 - 180)
        if np.isfinite([tiles, images]).all() and max(turns.max(), np.abs(returned[:, 1] - up).max()) < 1e-7:
            return _Site(code, tiles, images, metres)
    return None


def _full(longitude: float, latitude: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.full(TILES, longitude), np.full(TILES, latitude)


def _measured(site: _Site) -> float:
    """The median by what ingestion stores and evaluation computes."""
    rows = [_stored(x, y, site.crs) for x, y in [*site.tiles, *site.pictures]]
    both = positions_of(rows)
    tiles, images = both.take(range(TILES)), both.take(range(TILES, 2 * TILES))
    if images.nearest(tiles).tolist() != list(range(TILES)):
        return float("nan")
    return float(np.median(images.distance_m(tiles)))


def _stored(x: float, y: float, crs: str) -> dict[str, Any]:
    at = planar(float(x), float(y), crs)
    return {"latitude": at.latitude, "longitude": at.longitude, "x": at.x, "y": at.y, "crs": at.crs}


def _compare(site: _Site, median: float, result: CrsResult, *, counts: bool = True) -> None:
    truth = float(np.median(site.metres))
    error = abs(median / truth - 1)
    if not error <= WITHIN:
        result.wrong.append(f"{site.crs}: {median:.2f} m for {truth:.2f} m" + ("" if counts else " in an evaluation"))
        return
    result.worst = max(result.worst, error)
    result.agreed += counts


def _evaluated(site: _Site) -> float:
    """`median_m` of frozen descriptors that place every image at its own tile, from files to figures."""
    from cvgl.config import EvaluateConfig, IngestConfig
    from cvgl.evaluation.evaluate import evaluate
    from cvgl.ingestion.tables import read_images
    from cvgl.lake import Lake
    from cvgl.stages.ingest import ingest
    from cvgl.types import Representation

    with tempfile.TemporaryDirectory() as folder:
        source, lake = Path(folder) / "source", Lake(Path(folder) / "lake")
        _write_images(site, source)
        ingest(IngestConfig(source=str(source), dataset="made"), lake)
        images = read_images(lake, "made").select(["image_id", "uri", "view"]).to_pylist()
        metrics = evaluate(_adapter(lake, images), EvaluateConfig(), lake).metrics
    (median,) = [m.median_m for m in metrics if (m.stage, m.direction) == (Representation.FROZEN, "drone_to_satellite")]
    return float("nan") if median is None else median


def _write_images(site: _Site, source: Path) -> None:
    from PIL import Image

    source.mkdir(parents=True)
    lines = ["path,view,location_id,x,y,crs"]
    for view, points in (("satellite", site.tiles), ("drone", site.pictures)):
        for place, (x, y) in enumerate(points.tolist()):
            name = f"{view}-{place}.png"
            Image.new("RGB", (8, 8), (place * 20, 200 if view == "drone" else 20, 7)).save(source / name)
            lines.append(f"{name},{view},place{place},{x!r},{y!r},{site.crs}")
    (source / "manifest.csv").write_text("\n".join(lines) + "\n")


def _adapter(lake: Any, images: Sequence[dict[str, Any]]) -> Any:
    """Descriptors by which each image looks like the tile of its place, and an adapter learned from them."""
    import pyarrow as pa

    from cvgl import adapt, schemas
    from cvgl.adaptation import Origin
    from cvgl.config import AdaptConfig
    from cvgl.lake import write_parquet
    from cvgl.types import ArtifactRef, View

    places = [int(Path(row["uri"]).stem.rpartition("-")[2]) for row in images]
    values = np.random.default_rng(0).standard_normal((TILES, _DIMENSION)).astype(np.float32)[places]
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    schema = schemas.features(_DIMENSION)
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), type=schema.field("descriptor").type)
    table = pa.table({"image_id": [row["image_id"] for row in images], "descriptor": column}, schema=schema)
    fingerprint, run = "0123456789abcdef", "made-paper-0123456789ab"
    write_parquet(lake.features(fingerprint, "made") / "part-0000.parquet", table)
    of_tiles = np.array([row["view"] == View.SATELLITE for row in images])
    config = AdaptConfig(recipe="paper-standardised", iterations=1, dimension=16)
    adaptation = adapt(values[~of_tiles], values[of_tiles], config=config)
    adaptation.save(lake.adapter(run), Origin(run=run, dataset="made", feature_set_id=fingerprint, query_view=View.DRONE))
    return ArtifactRef("adapter", lake.adapter(run), adaptation.record.tensors_sha256, run)


def _kind(sentence: str, code: str) -> str:
    """A refusal without what is the code's own."""
    for kind in ("no place of", "exchanged", "are degrees", "not on Earth", "cannot be computed"):
        if kind in sentence:
            return kind
    return sentence.replace(code, "the code")[:80]


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile.crs", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="draws codes, places and distances (0)")
    parser.add_argument("--codes", type=int, default=300, help="how many (300)")
    options = parser.parse_args()
    result = try_crs(options.seed, options.codes)
    print(result)
    raise SystemExit(1 if result.wrong else 0)


if __name__ == "__main__":
    main()
