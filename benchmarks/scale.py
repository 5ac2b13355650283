"""What a plan for millions of references is made of, an image, a descriptor and a row at a time: docs/lab-notebook/scale.md.

    OMP_NUM_THREADS=1 python -m benchmarks.scale [--weights FOLDER] [PART ...]

Parts: extraction, storage, planning, shard, search. Work is counted in core-seconds (time in which a core computed for this
process), which a busy machine stretches less than seconds by the clock. One JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.extraction import _write_images
from benchmarks.measure import peak_gib
from cvgl import backbones
from cvgl.config import BackboneConfig, Device, ExtractConfig, IngestConfig, Precision
from cvgl.features import FeatureStore
from cvgl.lake import Lake
from cvgl.stages.extraction.stage import extract
from cvgl.stages.ingest import ingest

Line = dict[str, Any]
MODELS = {  # by the file of their weights
    "gist": None,
    "vit_tiny_patch16_224": "vit_tiny_patch16_224.safetensors",
    "swin_tiny_patch4_window7_224": "swin_tiny_stage3.safetensors",
}
IMAGES = 64  # of the 256 that the extraction benchmark writes: 512 x 512 JPEGs
ROWS = (50_000, 200_000)
REFERENCES, QUERIES, DIMENSION, INTRINSIC = 200_000, 500, 256, 48


def _core_seconds(work: Callable[..., object], *arguments: object) -> float:
    start = time.process_time()
    work(*arguments)
    return time.process_time() - start


def extraction(weights: Path | None) -> Iterator[Line]:
    """Images a core-second: reading, checking, decoding, the model, storing."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in _write_images(root / "source")[IMAGES:]:
            path.unlink()
        lake = Lake.at(root / "lake")
        images = ingest(IngestConfig(source=str(root / "source"), dataset="pictures"), lake).ref
        for name, file in MODELS.items():
            checkpoint = None if file is None or weights is None else weights / file
            if file is not None and (checkpoint is None or not checkpoint.is_file()):
                yield {"part": "extraction", "model": name, "skipped": "no weights: --weights FOLDER"}
                continue
            backbone = BackboneConfig(name=name, checkpoint=None if checkpoint is None else str(checkpoint))
            config = ExtractConfig(backbone=backbone, device=Device.CPU, workers=1)
            embedder = backbones.load(backbone, Device.CPU, Precision.FLOAT32)
            embedder.embed(np.zeros((2, *embedder.prepare(_image()).shape), np.float32))  # its libraries are loaded now
            loading = _core_seconds(backbones.load, backbone, Device.CPU, Precision.FLOAT32)
            seconds = _core_seconds(extract, images, config, lake) - loading
            yield {
                "part": "extraction",
                "model": name,
                "dimension": embedder.dimension,
                "pictures": IMAGES,
                "core_seconds_a_picture": round(seconds / IMAGES, 4),
                "pictures_a_core_second": round(IMAGES / seconds, 1),
            }


def _image() -> Any:
    from PIL import Image

    return Image.new("RGB", (512, 512))


def storage(weights: Path | None) -> Iterator[Line]:
    """Bytes of a descriptor in Parquet, and how fast a store is checked and read."""
    rng = np.random.default_rng(0)
    for dimension, part_rows, half in ((768, 256, False), (768, 256, True), (768, 4096, True), (1536, 4096, True)):
        with tempfile.TemporaryDirectory() as folder:
            store = FeatureStore(Path(folder))
            parts = max(1, 16384 // part_rows)
            for number in range(parts):
                rows = rng.standard_normal((part_rows, dimension), dtype=np.float32)
                rows /= np.linalg.norm(rows, axis=1, keepdims=True)
                store.add([f"{number:08x}{row:024x}" for row in range(part_rows)], rows, {}, half=half)
            size = sum(path.stat().st_size for path in store.parts())
            checking = _core_seconds(store.remove_damaged)
            yield {
                "part": "storage",
                "dimension": dimension,
                "part_rows": part_rows,
                "type": "float16" if half else "float32",
                "bytes_a_descriptor": round(size / parts / part_rows, 1),
                "checked_mb_a_core_second": round(size / checking / 1e6),
            }


_TABLE = """
    from datetime import datetime, UTC
    from pathlib import Path
    import pyarrow as pa
    from cvgl import schemas
    from cvgl.config import BackboneConfig, ExtractConfig, Layout
    from cvgl.ingestion import tables
    from cvgl.lake import Lake, write_parquet
    from cvgl.stages.extraction.shards import describe_shard, planned
    from cvgl.types import ArtifactRef
    lake = Lake.at({folder!r})
    CONFIG = ExtractConfig(backbone=BackboneConfig(image_size=64), part_rows=4096)
"""
_WRITE = """
    import hashlib
    n = {rows}
    given = {{
        "image_id": sorted(hashlib.sha256(str(i).encode()).hexdigest()[:32] for i in range(n)),
        "uri": [f"/data/references/{{i // 1000:06d}}/tile-{{i:09d}}.jpg" for i in range(n)],
        "view": ["satellite"] * n, "subsets": [["gallery"]] * n, "width": [512] * n, "height": [512] * n,
        "batch": ["0001-synthetic"] * n,
    }}
    columns = [pa.array(given[f.name], f.type) if f.name in given else pa.nulls(n, f.type) for f in schemas.IMAGES]
    write_parquet(lake.images("map") / "0001-synthetic.parquet", pa.table(columns, schema=schemas.IMAGES),
                  {{"layout": "folder", "source": "synthetic"}})
"""
_PLAN = """
    import time
    start = time.process_time()
    with planned(ArtifactRef("images", lake.images("map"), "", "map"), CONFIG, lake, {shards}) as plan:
        print("core-seconds", time.process_time() - start, "shards", len(plan.shards))
"""


def planning(weights: Path | None) -> Iterator[Line]:
    """Memory and time of the process that cuts a dataset into shards, from tables without pictures."""
    for rows in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            peak_gib(_code(_TABLE + _WRITE, folder=folder, rows=rows))
            empty = peak_gib(_code(_TABLE, folder=folder))
            started = time.perf_counter()
            whole = peak_gib(_code(_TABLE + _PLAN, folder=folder, shards=8))
            yield {
                "part": "planning",
                "rows": rows,
                "peak_gib": round(whole, 3),
                "before_gib": round(empty, 3),
                "bytes_a_row": round((whole - empty) * 2**30 / rows),
                "seconds": round(time.perf_counter() - started, 1),
            }


_SHARD = """
    with planned(tables.images_ref(lake, "pictures"), CONFIG.model_copy(update={{"part_rows": 32, "batch_size": 16}}),
                 lake, {shards}) as plan:
        print(describe_shard(plan.shards[0], lake).embedded)
"""


def shard(weights: Path | None) -> Iterator[Line]:
    """Memory of a process that describes one shard of 1 and of 8: what the rest of the dataset adds to it."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        _write_images(source)
        ingest(IngestConfig(source=str(source), dataset="pictures"), Lake.at(folder))
        for shards in (8, 1):
            features = Path(folder) / "features"
            if features.exists():
                features.rename(Path(folder) / f"features-{shards}")
            peak = peak_gib(_code(_TABLE + _SHARD, folder=folder, shards=shards))
            yield {"part": "shard", "pictures": 256 // shards, "peak_gib": round(peak, 3)}


def _code(code: str, **values: object) -> str:
    return code.format(**values)


def search(weights: Path | None) -> Iterator[Line]:
    """Exact against approximate search: agreement with the exact first answer, bytes, core-seconds, on synthetic descriptors.

    References are points of a low-dimensional, clustered set seen through noise; a query is a reference moved a little.
    """
    import faiss

    faiss.omp_set_num_threads(1)
    references, queries = _descriptors()
    exact = faiss.IndexFlatIP(DIMENSION)
    exact.add(references)
    truth = exact.search(queries, 1)[1][:, 0]
    yield _searched("Flat", exact, queries, truth, 0.0, {})
    for name, efforts in (
        ("SQfp16", [{}]),
        ("IVF1024,Flat", [{"nprobe": 8}, {"nprobe": 32}]),
        ("IVF1024,SQfp16", [{"nprobe": 32}]),
        ("IVF1024,PQ32", [{"nprobe": 32}]),
        ("OPQ32,IVF1024,PQ32", [{"nprobe": 32}]),
        ("IVF1024,PQ32,RFlat", [{"nprobe": 32, "k_factor_rf": 32}]),
    ):
        index = faiss.index_factory(DIMENSION, name, faiss.METRIC_INNER_PRODUCT)
        building = _core_seconds(_build, index, references)
        for effort in efforts:
            if effort:
                tuning: Any = faiss.ParameterSpace()
                tuning.set_index_parameters(index, ",".join(f"{key}={value}" for key, value in effort.items()))
            yield _searched(name, index, queries, truth, building, effort)


def _build(index: Any, references: np.ndarray[Any, Any]) -> None:
    if not index.is_trained:
        index.train(references[:: max(1, len(references) // 50_000)])
    index.add(references)


def _searched(
    name: str, index: Any, queries: np.ndarray[Any, Any], truth: np.ndarray[Any, Any], building: float, effort: Line
) -> Line:
    import faiss

    answers: list[np.ndarray[Any, Any]] = []
    seconds = _core_seconds(lambda: answers.append(index.search(queries, 10)[1]))
    return {
        "part": "search",
        "index": name,
        **effort,
        "first_answer_agrees": round(float((answers[0][:, 0] == truth).mean()), 3),
        "among_ten": round(float((answers[0] == truth[:, None]).any(1).mean()), 3),
        "bytes_a_reference": round(faiss.serialize_index(index).nbytes / REFERENCES, 1),
        "core_ms_a_query": round(1000 * seconds / len(queries), 3),
        "build_core_seconds": round(building, 1),
    }


def _descriptors() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((500, INTRINSIC), dtype=np.float32)
    low = centres[rng.integers(0, 500, REFERENCES)] + 1.5 * rng.standard_normal((REFERENCES, INTRINSIC), dtype=np.float32)
    lift = rng.standard_normal((INTRINSIC, DIMENSION), dtype=np.float32)

    def seen(points: np.ndarray[Any, Any], noise: float) -> np.ndarray[Any, Any]:
        rows = points @ lift
        rows += noise * np.linalg.norm(rows, axis=1, keepdims=True) * rng.standard_normal(rows.shape, dtype=np.float32) / 16
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows

    return seen(low, 0.3), seen(low[rng.choice(REFERENCES, QUERIES, replace=False)], 2.0)


PARTS = {measurement.__name__: measurement for measurement in (extraction, storage, planning, shard, search)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=list(PARTS), metavar="PART")
    parser.add_argument("--weights", type=Path, help="folder with the checkpoints of MODELS")
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        parser.error("set OMP_NUM_THREADS=1: what is counted is one core's work")
    for part in arguments.parts or PARTS:
        for line in PARTS[part](arguments.weights):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
