"""Stage `extract`: images in, frozen descriptors in the feature store out (Li et al. 2024, Section III-C).

Images are worked through part by part (see `cvgl.stages.extraction.parts`), and a part is written when its images are
described. So a run that was killed goes on at a part's edge with the very batches that an undisturbed run would have formed,
and ends in the same bytes; and so do several processes that share the parts (see `cvgl.stages.extraction.shards`).
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, starmap
from pathlib import Path

import numpy as np

from cvgl import __version__
from cvgl.config import ExtractConfig
from cvgl.errors import DataError, ModelError
from cvgl.features import FeatureStore, fingerprint
from cvgl.features.batches import BatchSize
from cvgl.features.decoding import ahead
from cvgl.features.embedding import embed_prepared
from cvgl.ingestion import tables
from cvgl.lake import Lake, read_versioned, sweep, write_versioned
from cvgl.lake.locks import exclusive
from cvgl.stages.extraction.parts import Part, missing_parts
from cvgl.stages.extraction.reading import (
    Failure,
    Prepared,
    Row,
    check_recoverable,
    read_and_prepare,
    record_failures,
)
from cvgl.stages.extraction.vocabulary import frozen_model
from cvgl.types import ArtifactRef, Embedder, Progress, silent

logger = logging.getLogger(__name__)

_DESCRIBED_BY = (
    "backbone",
    "weights_sha256",
    "facet",
    "layer",
    "final_norm",
    "pooling",
    "rings",
    "cells",
    "clusters",
    "vocabulary",
    "height",
    "width",
    "preprocessing",
    "resize",
    "position_resampling",
    "precision",
    "implementation",
)


@dataclass(frozen=True, slots=True)
class ExtractOutcome:
    """What the stage has done.

    Attributes:
        ref: the features; `digest` is the fingerprint of the model and its settings.
        skipped: everything was already there.
        embedded: images described now.
        known: images that were described before.
        failed: images of the dataset without a descriptor.
        dimension: d0.
        images_per_second: of this run, decoding included; 0 when nothing was embedded.
        failures: which images failed, and why; also under the dataset's quarantine.
        processes: that described them; 0 when there was nothing to hand out.
    """

    ref: ArtifactRef
    skipped: bool
    embedded: int
    known: int
    failed: int
    dimension: int
    images_per_second: float
    failures: tuple[Failure, ...] = ()
    processes: int = 1


def extract(images: ArtifactRef, config: ExtractConfig, lake: Lake, progress: Progress = silent) -> ExtractOutcome:
    """Describes the images of a dataset that have no descriptor under these settings yet.

    An image whose file has gone, changed since it was ingested or no longer decodes is left out and listed; the others go
    through.

    Args:
        images: the dataset (its name counts).
        config: the model, the alignment and how to run it.
        lake: where everything is.
        progress: told how many of the missing images are done, how fast, and how long the rest takes.

    Raises:
        ConfigError, ModelError: the model cannot be loaded, or gives nothing finite.
        DataError: no image of the dataset can be described.
        LakeError: the dataset has not been ingested.
    """
    with opened(images, config, lake, progress) as work:
        run = Run.of(work, progress)
        if work.parts:
            with device_lock(work.config, progress, work.missing):
                run.describe(work.parts)
        return work.finish(run.embedded, run.failures, run.meter.rate() if run.embedded else 0.0)


@dataclass(frozen=True, slots=True)
class Work:
    """An extraction that this process has to itself, as long as `opened` is.

    Attributes:
        images: the dataset.
        config: the settings that build the model again; they name its vocabulary.
        embedder: the model.
        store: where descriptors go.
        fingerprint: of the model and its settings.
        total: images of the dataset.
        parts: what is missing.
        failures_path: where the images are listed that cannot be described.
    """

    images: ArtifactRef
    config: ExtractConfig
    embedder: Embedder
    store: FeatureStore
    fingerprint: str
    total: int
    parts: Sequence[Part]
    failures_path: Path

    @property
    def missing(self) -> int:
        """Images without a descriptor."""
        return sum(map(len, self.parts))

    def finish(self, embedded: int, failures: Sequence[Failure], images_per_second: float) -> ExtractOutcome:
        """Records what failed, and says what has been done.

        Raises:
            DataError: no image of the dataset can be described.
        """
        record_failures(self.failures_path, failures)
        n_done = self.total - self.missing
        if not n_done and not embedded:
            first = f"{failures[0].uri}: {failures[0].detail}" if failures else "there are none"
            raise DataError(
                f"none of the {self.total} images of '{self.images.name}' can be described; the first: {first}",
                where=self.images.path,
                fix="bring the images back to where they were ingested from, or ingest again",
            )
        return ExtractOutcome(
            ref=ArtifactRef("features", self.store.folder, self.fingerprint, self.images.name),
            skipped=embedded == 0,
            embedded=embedded,
            known=n_done,
            failed=len(failures),
            dimension=self.embedder.dimension,
            images_per_second=images_per_second,
            failures=tuple(failures),
        )


@contextmanager
def opened(images: ArtifactRef, config: ExtractConfig, lake: Lake, progress: Progress = silent) -> Iterator[Work]:
    """Loads the model, waits for other processes that extract the same features, and looks what is missing.

    Args and errors: see `extract`.
    """
    table = tables.read_images(lake, images.name)
    # By columns: of millions of images, a dictionary for each row would be most of the memory.
    rows = list(starmap(Row, zip(*(table[name].to_pylist() for name in Row.COLUMNS), strict=True)))

    def say_learning(done: int, total: int, message: str = "") -> None:
        progress(0, len(rows), f"{message} ({done} of {total})")

    embedder, config = frozen_model(images, config, lake, say_learning, lambda: device_lock(config, progress, len(rows)))
    name = fingerprint(embedder.identity, config.alignment, config.half_storage)
    folder = lake.features(name, images.name)
    store = FeatureStore(folder)

    def say_waiting() -> None:
        progress(0, len(rows), "waiting for another process that extracts the same features")

    with exclusive(lake.lock(f"features-{name}-{images.name}"), say_waiting):
        sweep(folder)
        every = [(row.image_id, row.uri) for row in rows]
        for part in store.remove_damaged(partial(check_recoverable, every)):
            logger.warning("%s was damaged and has been set aside; its images are described again", part)
        batches = table["batch"].to_pylist()
        parts = missing_parts(zip(batches, rows, strict=True), store.index().keys(), config.part_rows)
        _write_model(folder.parent / "model.json", config, embedder)
        failures = lake.quarantine(images.name) / "extract" / f"{name}.parquet"
        yield Work(images, config, embedder, store, name, len(rows), parts, failures)


@dataclass(slots=True)
class Run:
    """One pass over missing images, in this process."""

    embedder: Embedder
    config: ExtractConfig
    store: FeatureStore
    metadata: Mapping[str, str]
    meter: _Meter
    embedded: int = 0
    failures: list[Failure] = field(default_factory=list)
    _ids: list[str] = field(default_factory=list)  # of the part that is being filled
    _blocks: list[np.ndarray[tuple[int, int], np.dtype[np.float32]]] = field(default_factory=list)

    @classmethod
    def of(cls, work: Work, progress: Progress) -> Run:
        """A pass over all that is missing."""
        metadata = _metadata(work.embedder, work.fingerprint)
        return cls(work.embedder, work.config, work.store, metadata, _Meter(work.missing, progress))

    def describe(self, parts: Sequence[Part]) -> None:
        """Describes and writes part by part; decoding goes on ahead over their edges."""
        self.meter.start()
        batch_size = BatchSize(self.config.batch_size)
        results = self._read([row for part in parts for row in part])
        for part in parts:
            batch: list[Prepared] = []
            for result in islice(results, len(part)):
                if isinstance(result, Failure):
                    self._fail(result)
                    continue
                batch.append(result)
                if len(batch) >= self.config.batch_size:
                    self._describe_batch(batch, batch_size)
                    batch = []
            if batch:
                self._describe_batch(batch, batch_size)
            self._write_part()

    def _read(self, rows: Sequence[Row]) -> Iterator[Prepared | Failure]:
        """Images ready for the model, in order; decoded in threads while the model works on those before them."""

        def prepare(row: Row) -> Prepared | Failure:
            return read_and_prepare(row, self.embedder, self.config.alignment)

        window = self.config.batch_size + 2 * self.config.workers
        return ahead(prepare, rows, workers=self.config.workers, window=window)

    def _describe_batch(self, batch: Sequence[Prepared], batch_size: BatchSize) -> None:
        rows = embed_prepared(
            [image.values for image in batch], [image.view for image in batch], self.embedder, self.config.alignment, batch_size
        )
        usable = np.isfinite(rows[:, 0])  # `embed_prepared` makes a row all NaN or none of it
        if not usable.any() and not self.embedded:
            raise ModelError(
                f"the model gives no finite descriptor for any of the first {len(batch)} images",
                where=batch[0].uri,
                fix="try --precision float32; if it stays, the weights are damaged",
            )
        for image, is_usable in zip(batch, usable.tolist(), strict=True):
            if is_usable:
                self._ids.append(image.image_id)
            else:
                self._fail(Failure(image.uri, "no_descriptor", "the model gives no finite descriptor for this image"))
        self._blocks.append(rows[usable])
        self.embedded += int(usable.sum())
        self.meter.report(self.embedded, len(self.failures))

    def _fail(self, failure: Failure) -> None:
        logger.warning("not described: %s: %s", failure.uri, failure.detail)
        self.failures.append(failure)
        self.meter.report(self.embedded, len(self.failures))

    def _write_part(self) -> None:
        if self._ids:
            self.store.add(self._ids, np.concatenate(self._blocks), self.metadata, half=self.config.half_storage)
        self._ids, self._blocks = [], []


class _Meter:
    """Speed and remaining time."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress, self._started, self._embedded = total, progress, time.perf_counter(), 0

    def start(self) -> None:
        self._started = time.perf_counter()
        self.report(0, 0)

    def rate(self) -> float:
        """Images embedded a second since the start, decoding included."""
        return self._embedded / max(time.perf_counter() - self._started, 1e-9)

    def report(self, embedded: int, failed: int) -> None:
        self._embedded = embedded
        done = embedded + failed
        parts = []
        if embedded:
            left = round((self._total - done) / self.rate())
            parts.append(f"{self.rate():.1f} images/s, {left // 60}:{left % 60:02d} min left")
        if failed:
            parts.append(f"{failed} failed")
        self._progress(done, self._total, ", ".join(parts))


def _write_model(path: Path, config: ExtractConfig, embedder: Embedder) -> None:
    """Records how to build the embedder again. How it was run (device, batches, threads) is of no consequence and left out."""
    backbone = config.backbone
    if backbone.checkpoint is not None:
        absolute = Path(backbone.checkpoint).expanduser().resolve()
        backbone = backbone.model_copy(update={"checkpoint": str(absolute)})
    lasting = ExtractConfig(
        backbone=backbone, alignment=config.alignment, precision=config.precision, half_storage=config.half_storage
    )
    record = {"extract": lasting.model_dump(mode="json"), "identity": dict(embedder.identity), "dimension": embedder.dimension}
    # The same weights may lie elsewhere today; the record follows them.
    if not path.is_file() or read_versioned(path, "model") != record:
        write_versioned(path, "model", record)


def _metadata(embedder: Embedder, name: str) -> dict[str, str]:
    described = {key: str(value) for key, value in embedder.identity.items() if key in _DESCRIBED_BY}
    size = f"{described.pop('width', '')}x{described.pop('height', '')}"
    return {**described, "image_size": size, "code_version": f"cvgl {__version__}", "fingerprint": name}


def device_lock(config: ExtractConfig, progress: Progress, total: int) -> AbstractContextManager[None]:
    """Keeps a second process off a GPU that is in use; the lock dies with its process."""
    if config.backbone.name == "gist":
        return nullcontext()
    from cvgl.backbones.device import device_lock_name

    name = device_lock_name(config.device)
    if name is None:
        return nullcontext()
    path = Path(tempfile.gettempdir()) / f"cvgl-{name}.lock"
    return exclusive(path, lambda: progress(0, total, "waiting for another process on this GPU"))
