"""Stage `evaluate`: an adapter and the ground truth in, figures and a per-query table out.

Frozen, standardised and adapted descriptors answer the same questions, in both directions, under every protocol asked for:
one image at a time. What inference can add follows in rows of its own: hubness corrected, re-ranked, windows of a sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cvgl import schemas
from cvgl.config import EvaluateConfig, RerankConfig
from cvgl.datasets.registry import default_protocol
from cvgl.errors import DamagedError, LakeError
from cvgl.evaluation.retrieval_task import EvaluationRows, Question, Side, distances_m, read_rows
from cvgl.evaluation.sequence_inference import Sequences
from cvgl.hashing import digest_json, digest_lines, sha256_file
from cvgl.ingestion.tables import layout_of
from cvgl.lake import Lake, read_parquet, read_schema, sweep, write_parquet
from cvgl.retrieval import protocols
from cvgl.retrieval.protocols import Protocol
from cvgl.summary import MetricSummary, metrics_table, summaries_from
from cvgl.types import ArtifactRef, Progress, Representation, View, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.adaptation import Adaptation
    from cvgl.adaptation.standardise import DescriptorTransform
    from cvgl.features import FeatureReader, StoredDescriptors
    from cvgl.retrieval import Evaluation
    from cvgl.types import Float32Array

EVALUATION_VERSION = "3"
"""Raised whenever the same rows and descriptors would give other figures or other columns."""

METRICS_FILE, QUERIES_FILE = "metrics.parquet", "queries.parquet"
_INPUTS = "inputs"


@dataclass(frozen=True, slots=True)
class EvaluateOutcome:
    """What the stage has done.

    Attributes:
        ref: the evaluation's folder.
        skipped: the figures were there already, measured on the same inputs.
        metrics: one entry a stage, direction and protocol; empty when no query's place is known.
    """

    ref: ArtifactRef
    skipped: bool
    metrics: list[MetricSummary]


def evaluate(adapter: ArtifactRef, config: EvaluateConfig, lake: Lake, progress: Progress = silent) -> EvaluateOutcome:
    """Measures an adapter beside the frozen and the standardised descriptors, or finds that it has been measured.

    Args:
        adapter: a finished run of this lake.
        config: protocols, radii, how many answers to keep, and the length of a window.
        lake: where everything is.
        progress: told how many of the rankings are done.

    Raises:
        LakeError: something in the lake is missing or damaged, or the adapter comes from no data set of it.
        ConfigError: an unknown protocol.
        DataError: positions that cannot be compared, or descriptors that are not numbers.
    """
    from cvgl.adaptation import Adaptation, read_record
    from cvgl.features import FeatureReader, FeatureStore

    record = read_record(adapter.path)
    if record.dataset is None or record.feature_set_id is None or record.query_view is None:
        raise LakeError(
            "this adapter does not say which data set and features it was made from",
            where=adapter.path,
            fix="adapt through the lake (cvgl adapt), or evaluate its descriptors with cvgl.evaluate",
        )
    store = FeatureStore(lake.features(record.feature_set_id, record.dataset))
    rows = read_rows(lake, record.dataset, store.ids())
    rules = protocols.resolve(config.protocols, default_protocol(layout_of(lake, record.dataset)))
    inputs = _inputs_digest(adapter, record.feature_set_id, rows, rules, config)
    folder = lake.evaluation(adapter.name)
    ref = ArtifactRef(kind="evaluation", path=folder, digest=inputs, name=adapter.name)
    finished = _finished(ref)
    if finished is not None:
        return EvaluateOutcome(ref, skipped=True, metrics=finished)

    sweep(folder)
    reader = FeatureReader(store)
    measurement = _Measurement(adapter.name, record.dataset, config, rows, reader)
    work = measurement.questions(record.query_view, rules)
    adaptation = Adaptation.load(adapter.path)
    stages = _transforms(adaptation, rows, reader, record.query_view) if work else iter(())
    sequences = Sequences(lake, record.dataset, config.window)
    in_a_row = [(question, protocol) for question, protocol in work if sequences.apply_to(question)]
    total = (3 + (adaptation.banks is not None) + config.rerank.enabled) * len(work) + len(in_a_row)
    for stage, transform in stages:
        for question, protocol in work:
            progress(measurement.done, total, f"{stage}, {question.direction}, {protocol.name}")
            measurement.add(stage, transform(question), question, protocol)
    for question, protocol in work if config.rerank.enabled else ():
        progress(measurement.done, total, f"{Representation.ADAPTED_RERANKED}, {question.direction}, {protocol.name}")
        measurement.add_reranked(config.rerank, adaptation, question, protocol)
    for question, protocol in in_a_row:
        progress(measurement.done, total, f"{Representation.ADAPTED_WINDOW}, {question.direction}, {protocol.name}")
        measurement.add_window(sequences, adaptation, question, protocol)
    progress(total, total, "measured")
    # metrics.parquet is written last: where it names the inputs, the other file is complete, too.
    write_parquet(folder / QUERIES_FILE, measurement.queries_table(), {_INPUTS: inputs}, kind="queries")
    figures = metrics_table(adapter.name, record.dataset, measurement.summaries)
    write_parquet(folder / METRICS_FILE, figures, {_INPUTS: inputs}, kind="metrics")
    return EvaluateOutcome(ref, skipped=False, metrics=measurement.summaries)


def _inputs_digest(
    adapter: ArtifactRef, features: str, rows: EvaluationRows, rules: Sequence[Protocol], config: EvaluateConfig
) -> str:
    """Hash over everything that changes a figure."""
    return digest_json(
        {
            "version": EVALUATION_VERSION,
            "adapter": sha256_file(adapter.path / "adapter.safetensors"),
            "features": features,
            "rows": digest_lines(rows.lines()),
            "protocols": [protocol.hash for protocol in rules],
            "config": config.model_dump(mode="json"),
        }
    )


def _finished(ref: ArtifactRef) -> list[MetricSummary] | None:
    """The figures on disk when they were measured on these inputs; None when they have to be measured."""
    if not all((ref.path / name).exists() for name in (QUERIES_FILE, METRICS_FILE)):
        return None
    try:
        schemas_of_both = [read_schema(ref.path / name) for name in (QUERIES_FILE, METRICS_FILE)]
        if any((schema.metadata or {}).get(_INPUTS.encode()) != ref.digest.encode() for schema in schemas_of_both):
            return None
        read_parquet(ref.path / QUERIES_FILE, kind="queries")  # whole, or made again
        return summaries_from(read_parquet(ref.path / METRICS_FILE, kind="metrics"))
    except DamagedError:
        return None  # both files can be made again from what is there


def _transforms(
    adaptation: Adaptation, rows: EvaluationRows, reader: FeatureReader, query_view: View
) -> Iterator[tuple[Representation, Callable[[Question], DescriptorTransform]]]:
    """What descriptors go through at each stage; it may depend on which view is searched."""
    from cvgl.adaptation import standardise

    frozen = standardise.frozen(adaptation.record.d0)
    yield Representation.FROZEN, lambda question: frozen
    standardised = standardise.fit(*(reader.stream(rows.training_ids(view)) for view in (query_view, View.SATELLITE)))
    yield Representation.STANDARDISED, lambda question: standardised
    yield Representation.ADAPTED, lambda question: adaptation
    if adaptation.banks is not None:
        yield Representation.ADAPTED_CORRECTED, lambda question: _corrected(adaptation, question)


def _corrected(adaptation: Adaptation, question: Question) -> DescriptorTransform:
    """Hubness-corrected, whichever view is searched."""
    from cvgl.adaptation import HubnessCorrected

    return HubnessCorrected(adaptation, "reference" if question.gallery.view.is_reference else "query")


class _Measurement:
    """Collects the figures and the per-query rows of one evaluation."""

    def __init__(self, run: str, dataset: str, config: EvaluateConfig, rows: EvaluationRows, reader: FeatureReader) -> None:
        self._run, self._dataset, self._config, self._rows, self._reader = run, dataset, config, rows, reader
        self._tables: list[pa.Table] = []
        self.done = 0
        self.summaries: list[MetricSummary] = []

    def questions(self, query_view: View, rules: Sequence[Protocol]) -> list[tuple[Question, Protocol]]:
        by_task: dict[tuple[str, str], list[Question]] = {}
        for protocol in rules:
            key = (protocol.truth, protocol.satellite_queries)
            if key not in by_task:
                by_task[key] = self._rows.questions(query_view, *key)
        return [(question, protocol) for protocol in rules for question in by_task[protocol.truth, protocol.satellite_queries]]

    def add(self, stage: Representation, transform: DescriptorTransform, question: Question, protocol: Protocol) -> None:
        """Ranks, and keeps the figures (when the place of any query is known) and one row a query."""
        from cvgl.retrieval import evaluate as rank

        queries, gallery = (self._descriptors(transform, side) for side in (question.queries, question.gallery))
        places = question.queries.places, question.gallery.places
        evaluation = rank(queries, places[0], gallery, places[1], protocol, top_k=self._config.top_k)
        self._keep(stage, evaluation, question, protocol)

    def add_reranked(
        self, settings: RerankConfig, transform: DescriptorTransform, question: Question, protocol: Protocol
    ) -> None:
        """Ranks by the neighbourhoods that a query and each reference share."""
        from cvgl.retrieval.reranking import Reranker

        queries, gallery = self._whole(transform, question)
        self._keep_scored(Representation.ADAPTED_RERANKED, Reranker.of(gallery, settings).scores(queries), question, protocol)

    def add_window(self, sequences: Sequences, transform: DescriptorTransform, question: Question, protocol: Protocol) -> None:
        """Ranks by the probability that an image shows a reference, given the window of its sequence that ends with it."""
        queries, gallery = self._whole(transform, question)
        self._keep_scored(Representation.ADAPTED_WINDOW, [sequences.posterior(question, queries, gallery)], question, protocol)

    def _keep_scored(
        self, stage: Representation, scores: Iterable[Float32Array], question: Question, protocol: Protocol
    ) -> None:
        from cvgl.retrieval import evaluate_scores

        places = question.queries.places, question.gallery.places
        self._keep(stage, evaluate_scores(scores, *places, protocol, top_k=self._config.top_k), question, protocol)

    def _keep(self, stage: Representation, evaluation: Evaluation, question: Question, protocol: Protocol) -> None:
        distance = distances_m(question, evaluation.per_query.top_index)
        self._tables.append(self._query_rows(stage, question, evaluation, distance))
        if evaluation.n_queries:
            self.summaries.append(_summary(stage, question, protocol, evaluation, distance, self._config))
        self.done += 1

    def _whole(self, transform: DescriptorTransform, question: Question) -> tuple[Float32Array, Float32Array]:
        """Queries and gallery in memory."""
        queries, gallery = (
            np.concatenate(list(self._descriptors(transform, side).blocks())) for side in (question.queries, question.gallery)
        )
        return queries, gallery

    def _descriptors(self, transform: DescriptorTransform, side: Side) -> StoredDescriptors:
        """In blocks, so that neither the gallery nor the queries need fit into memory."""
        mapped = transform.transform_reference if side.view.is_reference else transform.transform_query
        return self._reader.stream(side.image_ids, mapped)

    def _query_rows(
        self, stage: Representation, question: Question, evaluation: Evaluation, distance: NDArray[np.float64]
    ) -> pa.Table:
        outcomes, n = evaluation.per_query, len(question.queries.image_ids)
        offsets = pa.array(np.arange(n + 1) * outcomes.top_index.shape[1], pa.int32())
        top_ids = pa.array(question.gallery.image_ids, pa.string()).take(pa.array(outcomes.top_index.ravel()))
        columns = {
            "run": pa.array([self._run] * n),
            "dataset": pa.array([self._dataset] * n),
            "stage": pa.array([str(stage)] * n),
            "direction": pa.array([str(question.direction)] * n),
            "protocol": pa.array([evaluation.protocol] * n),
            "image_id": pa.array(question.queries.image_ids),
            "location_id": pa.array(question.queries.places, pa.string()),
            "rank": pa.array(outcomes.rank, mask=outcomes.rank == 0),
            "average_precision": pa.array(outcomes.average_precision, mask=outcomes.rank == 0),
            "n_right": pa.array(outcomes.n_right),
            "top_ids": pa.ListArray.from_arrays(offsets, top_ids),
            "top_scores": pa.ListArray.from_arrays(offsets, pa.array(outcomes.top_score.ravel())),
            "top_correct": pa.ListArray.from_arrays(offsets, pa.array(outcomes.top_correct.ravel())),
            "distance_m": pa.array(distance, mask=np.isnan(distance)),
        }
        return pa.table(columns, schema=schemas.QUERIES)

    def queries_table(self) -> pa.Table:
        return pa.concat_tables(self._tables).combine_chunks() if self._tables else schemas.QUERIES.empty_table()


def _summary(
    stage: Representation,
    question: Question,
    protocol: Protocol,
    evaluation: Evaluation,
    distance: NDArray[np.float64],
    config: EvaluateConfig,
) -> MetricSummary:
    metres = distance[evaluation.per_query.labelled & np.isfinite(distance)]
    return MetricSummary(
        stage=stage,
        direction=str(question.direction),
        protocol=evaluation.protocol,
        protocol_hash=evaluation.protocol_hash,
        recall={str(depth): value for depth, value in evaluation.recall.items()},
        ap=evaluation.ap,
        median_m=float(np.median(metres)) if len(metres) else None,
        within_m={f"{radius:g}": float(np.mean(metres <= radius)) for radius in config.radii_m} if len(metres) else {},
        n_queries=evaluation.n_queries,
        n_gallery=evaluation.n_gallery,
        most_right=evaluation.most_right,
        rows_digest=question.digest,
        notes=(*_notes(question, protocol, evaluation), *_stage_notes(stage, config)),
    )


def _notes(question: Question, protocol: Protocol, evaluation: Evaluation) -> tuple[str, ...]:
    """What a reader should know before believing the figures."""
    notes: list[str] = []
    outcomes = evaluation.per_query
    ranked_places = {place for place in question.gallery.places if place is not None}
    if evaluation.recall[1] == 1.0 and len(ranked_places) > 1:
        notes.append("suspicious: every first answer is right; check that queries and gallery are not copies of one another")
    if unlabelled := int((~outcomes.labelled).sum()):
        notes.append(f"{unlabelled} queries without a known place are not counted")
    if unmatched := int((outcomes.labelled & (outcomes.rank == 0)).sum()):
        notes.append(f"{unmatched} queries have no right answer in the gallery and count as misses")
    if question.left_out:
        notes.append(f"{question.left_out} images without a descriptor are left out")
    if size := protocol.size_note(str(question.direction), evaluation.n_queries, evaluation.n_gallery):
        notes.append(size)
    return tuple(notes)


def _stage_notes(stage: Representation, config: EvaluateConfig) -> tuple[str, ...]:
    if stage is Representation.ADAPTED_WINDOW:
        return (f"{stage}: each image is placed with those before it in its sequence, {config.window} together at most",)
    if stage is Representation.ADAPTED_RERANKED:
        return (
            f"{stage}: k1 = {config.rerank.neighbours}, k2 = {config.rerank.expansion}, lambda = {config.rerank.original:g}",
        )
    return ()
