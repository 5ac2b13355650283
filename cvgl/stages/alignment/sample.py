"""The sample of images that candidates are tried on: its descriptors, one pass of the model at a time.

Every candidate's descriptor is the mean over some passes, and a pass answers for all layers and rings at once. So each pass
is computed once, however many candidates share it, and is kept until the choice is made: a killed choice goes on with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cvgl.backbones import Variants
from cvgl.config import AlignmentConfig, ExtractConfig
from cvgl.features import FeatureStore
from cvgl.features.alignment import Pass, model_inputs, passes, shared_by_passes
from cvgl.features.batches import BatchSize, embed_all
from cvgl.features.decoding import ahead
from cvgl.features.embedding import unit_or_nan
from cvgl.hashing import digest_json
from cvgl.stages.extraction.reading import Failure, Prepared, Row, read_and_prepare
from cvgl.types import Embedder, View

if TYPE_CHECKING:
    from cvgl.types import Float32Array


@dataclass(frozen=True, slots=True)
class Unit:
    """One pass over the sample's images of one view."""

    view: View
    shared: AlignmentConfig
    forward_pass: Pass

    def name(self) -> str:
        """Digest of everything that changes the pass."""
        values = [
            str(self.view),
            self.shared.model_dump(mode="json"),
            self.forward_pass.scale,
            self.forward_pass.eighths,
            self.forward_pass.mirrored,
        ]
        return digest_json(values)


@dataclass(slots=True)
class Sample:
    """Some training images of two views.

    Attributes:
        images: of each view, sorted by id.
        variants: the frozen model.
        extract: how the model is run.
        folder: where descriptors are kept while the choice is made.
        used: the passes that were asked for so far, whether or not they were there already.
        batch: inputs that go through the model at once; shrinks when memory runs out.
    """

    pictures: dict[View, tuple[Row, ...]]
    variants: Variants
    extract: ExtractConfig
    folder: Path
    used: set[Unit] = field(default_factory=set)
    batch: BatchSize = field(init=False)

    def __post_init__(self) -> None:
        self.batch = BatchSize(self.extract.batch_size)

    def units(self, view: View, alignment: AlignmentConfig) -> list[Unit]:
        """The passes that a candidate needs of a view."""
        shared = shared_by_passes(view, alignment)
        return [Unit(view, shared, forward_pass) for forward_pass in passes(view, alignment)]

    def cost(self, alignment: AlignmentConfig) -> int:
        """Model inputs that a candidate needs and no candidate before it needed."""
        needed = {unit for view in self.pictures for unit in self.units(view, alignment)}
        return self._inputs(needed - self.used)

    def passes_used(self) -> int:
        """Model inputs of all passes that were asked for."""
        return self._inputs(self.used)

    def descriptors(self, view: View, alignment: AlignmentConfig, variant: int) -> tuple[list[str], Float32Array]:
        """Ids and descriptors, unit rows, of the images of a view under a candidate; some cannot be described."""
        units = self.units(view, alignment)
        self.used |= set(units)
        self._describe([unit for unit in units if not self._store(unit).parts()])
        stores = [self._store(unit) for unit in units]
        ids = sorted(set.intersection(*(set(store.ids()) for store in stores)))
        columns = self.variants.variants[variant].columns
        if not ids:
            return [], np.zeros((0, columns.stop - columns.start), np.float32)
        rows = np.stack([store.read(ids)[:, columns] for store in stores])
        described = unit_or_nan(rows.mean(axis=0, dtype=np.float32))
        usable = np.isfinite(described[:, 0])
        return [image_id for image_id, is_usable in zip(ids, usable.tolist(), strict=True) if is_usable], described[usable]

    def _inputs(self, units: Iterable[Unit]) -> int:
        return sum(len(self.pictures[unit.view]) for unit in units)

    def _store(self, unit: Unit) -> FeatureStore:
        return FeatureStore(self.folder / unit.name())

    def _describe(self, units: Sequence[Unit]) -> None:
        """Computes passes that share everything but turns, scales and mirroring: each image is read once."""
        if not units:
            return
        view, shared, wanted = units[0].view, units[0].shared, [unit.forward_pass for unit in units]
        rows = [_Rows(self.batch) for _ in units]
        prepared = list[Prepared]()

        def embed() -> None:
            inputs = [model_inputs(image.values, view, shared, wanted) for image in prepared]
            for index, of_unit in enumerate(rows):
                # Pass by pass: a row must not depend on which other passes are computed beside its own.
                of_unit.embed(
                    [image.image_id for image in prepared], [image[index : index + 1] for image in inputs], self.variants
                )
            prepared.clear()

        for prepared_image in self._read(view, shared, wanted):
            prepared.append(prepared_image)
            if len(prepared) >= self.extract.batch_size:
                embed()
        embed()
        for unit, of_unit in zip(units, rows, strict=True):
            self._store(unit).add(*of_unit.usable(self.variants.dimension), {})

    def _read(self, view: View, shared: AlignmentConfig, wanted: Sequence[Pass]) -> Iterator[Prepared]:
        """The images of a view, in order; those that cannot be read are left out, since `extract` tries and lists them."""

        def prepare(row: Row) -> Prepared | Failure:
            return read_and_prepare(row, self.variants, shared, wanted)

        window = self.extract.batch_size + 2 * self.extract.workers
        for result in ahead(prepare, self.pictures[view], workers=self.extract.workers, window=window):
            if not isinstance(result, Failure):
                yield result


@dataclass(slots=True)
class _Rows:
    """What one pass gives, batch by batch."""

    batch: BatchSize
    ids: list[str] = field(default_factory=list)
    blocks: list[Float32Array] = field(default_factory=list)

    def embed(self, ids: Sequence[str], inputs: Sequence[Float32Array], embedder: Embedder) -> None:
        self.ids.extend(ids)
        self.blocks.append(embed_all(inputs, embedder, self.batch))

    def usable(self, dimension: int) -> tuple[list[str], Float32Array]:
        """Ids and rows of the images that the model has a finite answer for."""
        rows = np.concatenate([np.zeros((0, dimension), np.float32), *self.blocks])
        finite = np.isfinite(rows).all(axis=1)
        return [image_id for image_id, is_finite in zip(self.ids, finite.tolist(), strict=True) if is_finite], rows[finite]
