"""A finished adaptation: maps descriptors, is saved, and is validated when loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import ValidationError

from cvgl.adaptation.affine import Affine
from cvgl.adaptation.correction import Banks
from cvgl.adaptation.descriptors import in_blocks, unit_rows
from cvgl.adaptation.record import AdapterRecord, IterationMetrics, Origin, TrainingRows
from cvgl.adaptation.standardise import Standardised, Statistics
from cvgl.config import Settings
from cvgl.errors import LakeError
from cvgl.hashing import sha256_bytes
from cvgl.lake import read_bytes, read_versioned, write_bytes, write_versioned

if TYPE_CHECKING:
    from cvgl.types import Float32Array

TENSORS_FILE = "adapter.safetensors"
RECORD_FILE = "adapter.json"
SELECTION_FILE = "selection.json"
ADAPTER, ADAPTER_BIAS = "adapter.weight", "adapter.bias"
REVERTER, REVERTER_BIAS = "reverter.weight", "reverter.bias"
QUERY_MEAN, QUERY_STD = "query.mean", "query.deviation"
REFERENCE_MEAN, REFERENCE_STD = "reference.mean", "reference.deviation"
QUERY_BANK, REFERENCE_BANK = "query.bank", "reference.bank"
_FIX = "restore the folder from a backup, or move it away and adapt again"


@dataclass(frozen=True, eq=False)
class Adaptation:
    """A learned adapter with its statistics and record, as `cvgl.adapt` returns it.

    Attributes:
        adapter: float32 (d0, d), theta.
        bias: float32 (d,), added to the adapter's output; zero for the paper's recipes, whose adapter is a bare matrix.
        reverter: float32 (d, d0), phi; not used in retrieval (Section III-F), kept for inspection.
        reverter_bias: float32 (d0,), as `bias`.
        statistics: normalisation of each view before the adapter.
        record: settings, training rows and history.
        banks: adapted training rows of both views, for `cvgl.adaptation.correction`; None where the recipe keeps none.
        choice: evidence for the recipe (`cvgl.quality.selection.Selection`) where `cvgl.adapt` chose it; not read back.
    """

    adapter: Float32Array
    bias: Float32Array
    reverter: Float32Array
    reverter_bias: Float32Array
    statistics: Standardised
    record: AdapterRecord
    banks: Banks | None = None
    choice: Settings | None = None

    @property
    def history(self) -> tuple[IterationMetrics, ...]:
        """One entry per EM iteration."""
        return self.record.history

    def transform_query(self, features: Any) -> Float32Array:
        """(n, d0) descriptors of the drone or ground view -> float32 (n, d) unit rows.

        Raises:
            DataError: another dimension than d0, or values that are not finite.
        """
        return in_blocks(features, "query features", self.record.d0, self.record.d, self._adapt_query)

    def transform_reference(self, features: Any) -> Float32Array:
        """(n, d0) descriptors of the satellite view -> float32 (n, d) unit rows; see `transform_query`."""
        return in_blocks(features, "reference features", self.record.d0, self.record.d, self._adapt_reference)

    def _adapt_query(self, block: Float32Array) -> Float32Array:
        return unit_rows(self.statistics.query.standardise(block) @ self.adapter + self.bias)

    def _adapt_reference(self, block: Float32Array) -> Float32Array:
        return unit_rows(self.statistics.reference.standardise(block) @ self.adapter + self.bias)

    def save(self, folder: str | Path, origin: Origin | None = None, rows: TrainingRows | None = None) -> None:
        """Writes adapter.safetensors, then adapter.json, each at once; a folder with the second file is complete.

        selection.json comes before them where the recipe was chosen.

        Args:
            folder: made when missing.
            origin: run and dataset of the adapter.
            rows: replaces the record's training rows, to add hashes of image ids.

        Raises:
            OSError: the folder cannot be written.
        """
        changes: dict[str, Any] = dict(origin or {})
        if rows is not None:
            changes["training"] = rows
        if self.choice is not None:
            write_versioned(Path(folder) / SELECTION_FILE, "selection", self.choice.model_dump(mode="json"))
        write_bytes(Path(folder) / TENSORS_FILE, self.tensor_bytes())
        record = self.record.model_copy(update=changes).model_dump(mode="json")
        write_versioned(Path(folder) / RECORD_FILE, "adapter", record)

    def tensor_bytes(self) -> bytes:
        """The content of adapter.safetensors."""
        adapter, reverter = Affine(self.adapter, self.bias), Affine(self.reverter, self.reverter_bias)
        return tensor_bytes(adapter, reverter, self.statistics, self.banks)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Reads a folder written by `save`.

        Raises:
            LakeError: a file is missing, damaged, of another version, or the two do not belong together.
        """
        record = read_record(Path(folder))
        path = Path(folder) / TENSORS_FILE
        if not path.is_file():
            raise LakeError("an adapter's tensors are missing", where=path, fix=_FIX)
        data = read_bytes(path)
        if sha256_bytes(data) != record.tensors_sha256:
            raise LakeError("an adapter's tensors are damaged or belong to another record", where=path, fix=_FIX)
        tensors = _read_tensors(data, path)
        _check_tensors(tensors, record, path)
        statistics = Standardised(
            query=Statistics(mean=tensors[QUERY_MEAN], std=tensors[QUERY_STD]),
            reference=Statistics(mean=tensors[REFERENCE_MEAN], std=tensors[REFERENCE_STD]),
        )
        return cls(
            adapter=tensors[ADAPTER],
            bias=tensors[ADAPTER_BIAS],
            reverter=tensors[REVERTER],
            reverter_bias=tensors[REVERTER_BIAS],
            statistics=statistics,
            record=record,
            banks=None if record.banks is None else Banks(tensors[QUERY_BANK], tensors[REFERENCE_BANK]),
        )


def _check_tensors(tensors: dict[str, Float32Array], record: AdapterRecord, path: Path) -> None:
    for name, shape in _shapes(record).items():
        if name not in tensors:
            raise LakeError(f"an adapter's file lacks the tensor '{name}'", where=path, fix=_FIX)
        if tensors[name].shape != shape or tensors[name].dtype != np.float32:
            actual = f"{tensors[name].dtype} {tensors[name].shape}"
            raise LakeError(f"the tensor '{name}' is {actual}; the record says float32 {shape}", where=path, fix=_FIX)
        if not np.isfinite(tensors[name]).all():
            raise LakeError(f"the tensor '{name}' holds NaN or infinite values", where=path, fix=_FIX)


def _shapes(record: AdapterRecord) -> dict[str, tuple[int, ...]]:
    """The tensors of adapter.safetensors."""
    d0, d = record.d0, record.d
    vectors = (REVERTER_BIAS, QUERY_MEAN, QUERY_STD, REFERENCE_MEAN, REFERENCE_STD)
    shapes: dict[str, tuple[int, ...]] = {ADAPTER: (d0, d), ADAPTER_BIAS: (d,), REVERTER: (d, d0)}
    if record.banks is not None:
        shapes |= {QUERY_BANK: (record.banks.n_queries, d), REFERENCE_BANK: (record.banks.n_references, d)}
    return shapes | dict.fromkeys(vectors, (d0,))


def tensor_bytes(adapter: Affine, reverter: Affine, statistics: Standardised, banks: Banks | None = None) -> bytes:
    """The content of adapter.safetensors; equal tensors give equal bytes."""
    from safetensors.numpy import save

    tensors = {
        ADAPTER: adapter.weight,
        ADAPTER_BIAS: adapter.bias,
        REVERTER: reverter.weight,
        REVERTER_BIAS: reverter.bias,
        QUERY_MEAN: statistics.query.mean,
        QUERY_STD: statistics.query.std,
        REFERENCE_MEAN: statistics.reference.mean,
        REFERENCE_STD: statistics.reference.std,
    }
    if banks is not None:
        tensors |= {QUERY_BANK: banks.query, REFERENCE_BANK: banks.reference}
    # safetensors writes the raw buffer and ignores strides.
    data: bytes = save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})
    return data


def read_record(folder: Path) -> AdapterRecord:
    """Reads and validates adapter.json alone.

    Raises:
        LakeError: missing, not JSON, or not a record that this version understands.
    """
    path = folder / RECORD_FILE
    try:
        return AdapterRecord.model_validate(read_versioned(path, "adapter"))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise LakeError(f"an adapter's record is not valid: {field}: {first['msg']}", where=path, fix=_FIX) from error


def _read_tensors(data: bytes, path: Path) -> dict[str, Float32Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors: dict[str, Float32Array] = load(data)
    except SafetensorError as error:
        raise LakeError(f"an adapter's tensors cannot be read: {error}", where=path, fix=_FIX) from error
    return tensors
