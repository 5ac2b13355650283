"""Extraction past one process: what is missing is cut into shards, and any process that sees the lake can describe one.

A shard is a run of whole parts (`cvgl.stages.extraction.parts`), written to a file, so a process reads no more of the dataset
than it describes. Who describes which shard, in which order and how often, changes nothing in the files that come out.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from cvgl.config import BackboneConfig, Device, ExtractConfig
from cvgl.errors import ModelError
from cvgl.features import FeatureStore, fingerprint
from cvgl.lake import Lake, parquet_files, read_parquet, sweep, write_bytes, write_parquet
from cvgl.stages.extraction.parts import Part, shares
from cvgl.stages.extraction.reading import Failure, Row
from cvgl.stages.extraction.stage import ExtractOutcome, Run, Work, device_lock, opened
from cvgl.stages.extraction.vocabulary import frozen_model
from cvgl.types import ArtifactRef, Progress, silent

logger = logging.getLogger(__name__)

_SCHEMA = pa.schema(
    [
        ("part", pa.int64()),
        ("image_id", pa.string()),
        ("uri", pa.string()),
        ("view", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Shard:
    """What one process is asked to describe.

    Attributes:
        path: its images, part by part.
        images: the dataset.
        config: the settings of the frozen model.
        fingerprint: of the model that planned it; who describes it must have the same.
        images: how many.
    """

    path: Path
    images: ArtifactRef
    config: ExtractConfig
    fingerprint: str
    pictures: int


@dataclass(frozen=True, slots=True)
class ShardOutcome:
    """What a process has done.

    Attributes:
        embedded: images described.
        failures: images without a descriptor.
        process: machine and number of the process.
    """

    embedded: int
    failures: tuple[Failure, ...]
    process: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Shards that together hold everything that is missing.

    Attributes:
        images: the dataset.
        shards: none where nothing is missing.
    """

    images: ArtifactRef
    shards: tuple[Shard, ...]
    _work: Work
    _started: float

    def finish(self, outcomes: Sequence[ShardOutcome]) -> ExtractOutcome:
        """Puts together what the shards have done.

        Raises:
            DataError: no image of the dataset can be described.
        """
        embedded = sum(outcome.embedded for outcome in outcomes)
        rate = embedded / max(time.perf_counter() - self._started, 1e-9)
        processes = len({outcome.process for outcome in outcomes})
        return replace(
            self._work.finish(embedded, [failure for outcome in outcomes for failure in outcome.failures], rate),
            processes=processes,
        )


@contextmanager
def planned(images: ArtifactRef, config: ExtractConfig, lake: Lake, count: int, progress: Progress = silent) -> Iterator[Plan]:
    """Cuts what is missing into shards. Within the block no other process extracts the same features.

    The process that plans loads the model to learn its fingerprint, and needs no GPU for it.

    Args:
        images: the dataset.
        config: the model, the alignment and how to run it.
        lake: where everything is; on storage that all processes share under the same path.
        count: shards to make at most; a shard holds at least one part.
        progress: told what is being waited for.

    Raises:
        CvglError: what `cvgl.stages.extraction.stage.extract` raises.
    """
    device = Device.AUTO if config.device is Device.CUDA else config.device
    with opened(images, config.model_copy(update={"device": device}), lake, progress) as work:
        lasting = work.config.model_copy(update={"device": config.device, "backbone": _anywhere(work.config)})
        folder = lake.root / "cache" / "shards" / f"model={work.fingerprint}" / f"dataset={images.name}"
        _clear(folder)  # what a killed process planned: nobody else plans now
        shards = tuple(
            Shard(_write(folder / f"{number:06d}.parquet", parts), images, lasting, work.fingerprint, sum(map(len, parts)))
            for number, parts in enumerate(shares(work.parts, count))
        )
        try:
            yield Plan(images, shards, work, time.perf_counter())
        finally:
            _clear(folder)


def describe_shard(shard: Shard, lake: Lake, progress: Progress = silent) -> ShardOutcome:
    """Describes the images of a shard and adds them to the feature store, part by part.

    Memory is that of the model, of one batch of images and one part of descriptors, and of the shard's list of images.
    Doing it twice, one after the other or at once, leaves the same files; a second try skips the parts that the first wrote.

    Raises:
        ModelError: this process has other weights, or another version of the code, than the one that planned the shard.
        LakeError: the shard's file has gone: its plan is over.
    """
    embedder, config = frozen_model(shard.images, shard.config, lake, silent, lambda: device_lock(shard.config, silent, 0))
    name = fingerprint(embedder.identity, config.alignment, config.half_storage)
    if name != shard.fingerprint:
        raise ModelError(
            f"this process's model has the fingerprint {name}, and the shard was planned with {shard.fingerprint}",
            where=shard.path,
            fix="give all machines the same weights and the same version of cvgl",
        )
    store = FeatureStore(lake.features(name, shard.images.name))
    parts = _unfinished(shard, store)
    work = Work(shard.images, config, embedder, store, name, shard.pictures, parts, shard.path)
    run = Run.of(work, progress)
    if parts:
        with device_lock(config, progress, work.missing):
            run.describe(parts)
    # Images that an earlier try of this shard described were missing when it was planned.
    return ShardOutcome(run.embedded + shard.pictures - work.missing, tuple(run.failures), f"{platform.node()}:{os.getpid()}")


def _anywhere(config: ExtractConfig) -> BackboneConfig:
    """The model's settings as they mean the same in every working directory."""
    if config.backbone.checkpoint is None:
        return config.backbone
    return config.backbone.model_copy(update={"checkpoint": str(Path(config.backbone.checkpoint).expanduser().resolve())})


def _write(path: Path, parts: Sequence[Part]) -> Path:
    rows = [(number, row) for number, part in enumerate(parts) for row in part]
    columns = {name: [getattr(row, name) for _, row in rows] for name in Row.COLUMNS}
    write_parquet(path, pa.table({"part": [number for number, _ in rows], **columns}, schema=_SCHEMA), kind="shards")
    return path


def _unfinished(shard: Shard, store: FeatureStore) -> list[Part]:
    """The shard's parts without what an earlier try of it has described."""
    rows = read_parquet(shard.path, kind="shards").to_pylist()
    present: set[str] = set()
    begun = shard.path.with_suffix(".begun")
    if begun.exists():
        logger.info("%s was begun before; what is described already is skipped", shard.path.name)
        wanted = {row["image_id"] for row in rows}
        for part in store.parts():
            present.update(
                wanted.intersection(read_parquet(part, ["image_id"], kind="features").column("image_id").to_pylist())
            )
    write_bytes(begun, b"")
    parts = [
        tuple(Row(**{name: row[name] for name in Row.COLUMNS}) for row in group if row["image_id"] not in present)
        for _, group in groupby(rows, key=lambda row: row["part"])
    ]
    return [part for part in parts if part]


def _clear(folder: Path) -> None:
    sweep(folder)
    for path in [*parquet_files(folder), *folder.glob("*.begun")]:
        path.unlink(missing_ok=True)
