"""The visual words of pooling `vlad`: learned from a dataset's unlabelled training images when they are first needed.

A vocabulary is a file of the lake, `vocabularies/<digest>.safetensors`. The digest is of what the words were learned from:
the images, the frozen model up to its pooling, the number of words and the seed. So a killed process learns the same words
again, a second one finds them, and another dataset has its own. Their content's hash is part of the features' fingerprint.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL.Image import new as new_image

from cvgl import backbones
from cvgl.config import AlignmentConfig, BackboneConfig, ExtractConfig, Pooling
from cvgl.errors import ConfigError, DataError, ModelError
from cvgl.features.batches import BatchSize, embed_all
from cvgl.features.decoding import ahead
from cvgl.hashing import digest_json, digest_lines
from cvgl.ingestion import tables
from cvgl.lake import Lake, sweep, write_bytes
from cvgl.lake.locks import exclusive
from cvgl.stages.extraction.reading import Failure, Prepared, Row, read_and_prepare
from cvgl.types import ArtifactRef, Embedder, Progress, Subset, View, ViewDependentEmbedder, silent

if TYPE_CHECKING:
    from cvgl.backbones.vlad import LocalModel
    from cvgl.backbones.vocabulary import Vocabulary
    from cvgl.types import Float32Array

logger = logging.getLogger(__name__)

IMPLEMENTATION = 1  # raised whenever the same images and settings would give other words
_STALE = 3600  # seconds after which a file that is being written is one that nobody writes any more
_WHOLE = AlignmentConfig()  # words are of whole images, whatever part of them is described later


def vocabulary_path(lake: Lake, digest: str) -> Path:
    """Where a vocabulary of the lake is."""
    return lake.vocabulary(digest)


def loadable(backbone: BackboneConfig, lake: Lake) -> BackboneConfig:
    """Settings that `cvgl.backbones.load` takes: a vocabulary that is named as in the lake becomes its file.

    Raises:
        ModelError: the vocabulary is neither in the lake nor a file.
    """
    if backbone.pooling is not Pooling.VLAD or backbone.vocabulary is None:
        return backbone
    path = _found(backbone.vocabulary, lake)
    return backbone.model_copy(update={"vocabulary": str(path)})


def _found(name: str, lake: Lake) -> Path:
    own = lake.root / "vocabularies"
    # A name that is a path is one of a file.
    for path in (*([vocabulary_path(lake, name)] if Path(name).name == name else []), Path(name).expanduser()):
        if path.is_file():
            return path
    raise ModelError(
        f"there is no vocabulary '{name}', neither in the lake nor as a file",
        where=own,
        fix="bring the file back; or extract again with the same options but without --vocabulary: what was learned from a "
        "dataset's images is learned again, word for word",
    )


def frozen_model(
    images: ArtifactRef,
    config: ExtractConfig,
    lake: Lake,
    progress: Progress = silent,
    lock_device: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> tuple[Embedder, ExtractConfig]:
    """Loads the frozen model of a dataset; for pooling `vlad`, visual words are learned first if the lake does not have them.

    Args:
        images: the dataset (its name counts); words are learned from images in the subset `train` alone.
        config: the model and how to run it.
        lake: where everything is; a vocabulary given as a file is copied to it.
        progress: told which image is being looked at.
        lock_device: gives a context in which the model may run.

    Returns:
        The model, and the settings that build it again: they name its vocabulary.

    Raises:
        ConfigError, ModelError: the model cannot be loaded, has no local descriptors, or too few for so many words.
        DataError: the dataset has no training images that can be read.
        LakeError: the dataset has not been ingested.
    """
    backbone = config.backbone
    if backbone.pooling is not Pooling.VLAD or backbone.name == "gist":
        embedder = backbones.load(backbone, config.device, config.precision)
        _check_turns(embedder, config)
        return embedder, config
    from cvgl.backbones.vlad import load_local, pooled
    from cvgl.backbones.vocabulary import read_vocabulary

    if backbone.vocabulary is not None:
        digest = _adopted(_found(backbone.vocabulary, lake), lake)
        model = load_local(backbone, config.device, config.precision)
    else:
        model = load_local(backbone, config.device, config.precision)
        digest = _learned(_drawn(lake, images.name, backbone), model, config, lake, progress, lock_device)
    pooling = pooled(model, read_vocabulary(vocabulary_path(lake, digest)), backbone)
    return pooling, config.model_copy(update={"backbone": backbone.model_copy(update={"vocabulary": digest})})


def _check_turns(embedder: Embedder, config: ExtractConfig) -> None:
    """Refuses turns of tiles that a model unrolls by itself."""
    if not isinstance(embedder, ViewDependentEmbedder) or not (
        config.alignment.polar or config.alignment.reference_rotations > 1
    ):
        return
    _, height, width = embedder.for_view(View.SATELLITE).prepare(new_image("RGB", (64, 64))).shape
    if height != width:
        raise ConfigError(
            f"'{config.backbone.name}' unrolls tiles to {height} x {width} pixels by itself, so they cannot be turned before",
            where="alignment.reference_rotations, alignment.polar",
            fix="leave both out",
        )


def with_vocabulary(images: ArtifactRef, config: ExtractConfig, lake: Lake, progress: Progress = silent) -> BackboneConfig:
    """The settings of a dataset's frozen model, as `cvgl.backbones.load` takes them; arguments and errors: `frozen_model`."""
    if config.backbone.pooling is not Pooling.VLAD:
        return config.backbone
    return loadable(frozen_model(images, config, lake, progress)[1].backbone, lake)


def _adopted(path: Path, lake: Lake) -> str:
    """The name of a file's vocabulary in the lake, which then has it even when the file goes away."""
    from cvgl.backbones.vocabulary import read_vocabulary

    if path.parent == lake.root / "vocabularies":
        return path.stem
    vocabulary = read_vocabulary(path)
    digest = digest_json({"words": vocabulary.sha256})
    own = vocabulary_path(lake, digest)
    if not own.is_file():
        write_bytes(own, vocabulary.to_bytes({"words": vocabulary.sha256}))
    return digest


def _learned(
    sides: Sequence[Sequence[Row]],
    model: LocalModel,
    config: ExtractConfig,
    lake: Lake,
    progress: Progress,
    lock_device: Callable[[], AbstractContextManager[None]],
) -> str:
    """The name of the words that these images give, which are learned unless the lake has them."""
    record = _record(sides, model, config.backbone)
    digest = digest_json(record)
    path, total = vocabulary_path(lake, digest), sum(map(len, sides))

    def say_waiting() -> None:
        progress(0, total, "waiting for another process that learns the same visual words")

    with exclusive(lake.lock(f"vocabulary-{digest}"), say_waiting):
        if not path.is_file():
            sweep(path.parent, is_stale=lambda left: time.time() - left.stat().st_mtime > _STALE)
            with lock_device():
                vocabulary = _Learning(sides, model, config, progress).learn()
            write_bytes(path, vocabulary.to_bytes({**record, "words": vocabulary.sha256}))
    return digest


def _drawn(lake: Lake, dataset: str, backbone: BackboneConfig) -> list[tuple[Row, ...]]:
    """Training images of both sides, queries and references: as many of one as of the other, where there are.

    A seeded draw by id, so that an image's arrival changes it by one image at most.
    """
    rows = [row for row in tables.read_images(lake, dataset).to_pylist() if Subset.TRAIN in row["subsets"]]
    if not rows:
        raise DataError(
            f"the dataset '{dataset}' has no training images to learn visual words from",
            where=lake.images(dataset),
            fix="ingest some with the role train, or give a vocabulary with --vocabulary",
        )

    def shuffled(row: dict[str, Any]) -> bytes:
        return hashlib.sha256(f"{backbone.vocabulary_seed}:{row['image_id']}".encode()).digest()

    sides = [sorted((row for row in rows if View(row["view"]).is_reference is side), key=shuffled) for side in (False, True)]
    most = min(backbone.vocabulary_pictures, backbone.vocabulary_rows)
    half = min(len(sides[0]), max(most - len(sides[1]), -(-most // 2)))
    chosen = (sides[0][:half], sides[1][: most - half])
    as_rows = [tuple(Row(**{name: row[name] for name in Row.COLUMNS}) for row in side) for side in chosen]
    return [tuple(sorted(side, key=lambda row: row.image_id)) for side in as_rows if side]


def _record(sides: Iterable[Sequence[Row]], model: LocalModel, backbone: BackboneConfig) -> dict[str, Any]:
    """Everything that the words depend on."""
    return {
        "implementation": IMPLEMENTATION,
        "pictures": [digest_lines(row.image_id for row in side) for side in sides],
        "model": dict(model.identity),
        "clusters": backbone.clusters,
        "seed": backbone.vocabulary_seed,
        "rows": backbone.vocabulary_rows,
    }


@dataclass(frozen=True, slots=True)
class _Learning:
    """One pass over the drawn images, and k-means on some places of each."""

    sides: Sequence[Sequence[Row]]
    model: LocalModel
    config: ExtractConfig
    progress: Progress

    def learn(self) -> Vocabulary:
        from cvgl.backbones.vocabulary import Vocabulary, learn_words

        backbone = self.config.backbone
        layers = self._sampled()
        total = sum(map(len, self.sides))
        self.progress(total, total, f"sorting {len(layers[0])} local descriptors into {backbone.clusters} visual words")
        return Vocabulary(tuple(learn_words(rows, backbone.clusters, backbone.vocabulary_seed) for rows in layers))

    def _sampled(self) -> list[Float32Array]:
        """Of each layer (n, C): memory for all of it is taken at once, and no more."""
        places = min(count for count, _ in self.model.shapes)
        spare = self.config.backbone.vocabulary_rows - sum(map(len, self.sides))  # each image gives one place in any case
        shares = [min(places, 1 + spare // len(self.sides) // len(side)) for side in self.sides]
        room = sum(share * len(side) for share, side in zip(shares, self.sides, strict=True))
        layers = [np.empty((room, size), np.float32) for _, size in self.model.shapes]
        filled, first = 0, ""
        for side, share in zip(self.sides, shares, strict=True):
            for tokens in self._described(side):
                if isinstance(tokens, Failure):
                    first = first or f"{tokens.uri}: {tokens.detail}"
                    continue
                image_id, whole = tokens
                for target, rows in zip(layers, whole, strict=True):
                    target[filled : filled + share] = rows[self._places_of(image_id, len(rows), share)]
                filled += share
        if not filled:
            raise DataError(
                f"none of the {sum(map(len, self.sides))} training images can be described; the first: {first}",
                where="training images",
                fix="bring the images back to where they were ingested from, or ingest again",
            )
        return [rows[:filled] for rows in layers]

    def _places_of(self, image_id: str, places: int, share: int) -> Any:
        """Which places of an image count: of its id and the seed alone, so that no other image matters."""
        digest = hashlib.sha256(f"{self.config.backbone.vocabulary_seed}:{image_id}:places".encode()).digest()
        return np.sort(np.random.default_rng(int.from_bytes(digest[:8])).choice(places, share, replace=False))

    def _described(self, side: Sequence[Row]) -> Iterator[tuple[str, list[Float32Array]] | Failure]:
        """Ids and places of images, in order."""
        size = BatchSize(self.config.batch_size)
        batch: list[Prepared] = []

        def embed() -> Iterator[tuple[str, list[Float32Array]] | Failure]:
            rows = embed_all([image.values for image in batch], self.model, size)
            for image, row in zip(batch, rows, strict=True):
                if np.isfinite(row).all():
                    yield image.image_id, self.model.tokens(row)
                else:
                    yield Failure(image.uri, "no_descriptor", "the model gives no finite descriptor for this image")
            batch.clear()

        window = self.config.batch_size + 2 * self.config.workers
        read = ahead(lambda row: read_and_prepare(row, self.model, _WHOLE), side, workers=self.config.workers, window=window)
        for done, result in enumerate(read, 1):
            if isinstance(result, Failure):
                logger.warning("no visual words learned from %s: %s", result.uri, result.detail)
                yield result
            else:
                batch.append(result)
            if len(batch) >= self.config.batch_size:
                yield from embed()
            self.progress(done, len(side), "looking for visual words")
        yield from embed()
