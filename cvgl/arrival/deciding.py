"""What to do about a batch: adapt, skip, or ask a person; with the evidence and the reason.

No label is involved: what came is compared with what the champion has learned from, in the champion's own space, and the
champion's label-free quality on both is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cvgl.arrival import costs
from cvgl.arrival.batches import Batch
from cvgl.arrival.champion_quality import QualityChange, QualityMeasure, predicted_recall, quality_change
from cvgl.arrival.costs import Prediction
from cvgl.arrival.drift import FEWEST, Drift, drift
from cvgl.arrival.training_rows import arrived, known_to
from cvgl.config import ArrivalConfig, DecideConfig
from cvgl.features import FeatureStore
from cvgl.ingestion.tables import read_images
from cvgl.ingestion.tombstones import tombstones_file
from cvgl.lake import Lake, read_parquet
from cvgl.stages.training_rows import NONE, Champion, Known, Pictures, by_view, champion_of
from cvgl.types import View

if TYPE_CHECKING:
    from cvgl.adaptation import Adaptation
    from cvgl.types import Float32Array

Verdict = Literal["adapt", "skip", "ask"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a decision goes by.

    Attributes:
        champion: the run that serves; None: none does.
        comparable: the champion belongs to the frozen model that the batch is described with.
        compared_with: which images stand for what the champion knows.
        new: training images that the champion has not learned from, by view: those of this batch, and of earlier ones that
            were left as they were.
        known: training images that the champion has learned from, by view.
        forgotten: references that left.
        drifts: tests by view, where there were enough images.
        quality: the champion on both; None where it cannot be told.
        prediction: what an adaptation would cost.
    """

    champion: str | None
    comparable: bool
    compared_with: str
    new: Mapping[View, int]
    known: Mapping[View, int]
    forgotten: int
    prediction: Prediction
    drifts: Mapping[View, Drift] = field(default_factory=dict)
    quality: QualityChange | None = None

    @property
    def largest(self) -> tuple[View, Drift] | None:
        """The view that differs most."""
        return max(self.drifts.items(), key=lambda pair: pair[1].effect, default=None)


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its reason, one sentence for a person, and what it goes by."""

    verdict: Verdict
    reason: str
    evidence: Evidence


def decide(batch: Batch, config: ArrivalConfig, lake: Lake, measure: QualityMeasure = predicted_recall) -> Decision:
    """Decides about a batch that is in the dataset and described.

    Args:
        batch: with the fingerprint of its features.
        config: the policy, and the recipe whose cost is predicted.
        lake: where everything is.
        measure: of quality without labels.

    Raises:
        LakeError: something in the lake is missing or damaged.
    """
    evidence = gather(batch, config, lake, measure)
    verdict, reason = judge(evidence, config.decide)
    if batch.answer == "adapt" and verdict != "adapt":
        verdict, reason = "adapt", f"a person said adapt; else: {reason}"
    return Decision(verdict, reason, evidence)


def gather(batch: Batch, config: ArrivalConfig, lake: Lake, measure: QualityMeasure = predicted_recall) -> Evidence:
    """Collects the evidence; see `decide`."""
    champion = champion_of(lake, batch.dataset)
    new = arrived(lake, batch, batch.features)
    everything = by_view(described(lake, batch))
    stones = tombstones_file(lake, batch.dataset, batch.batch)
    facts: dict[str, Any] = {
        "champion": None if champion is None else champion.run,
        "comparable": champion is not None and champion.features == batch.features,
        "new": {view: len(images) for view, images in new.items()},
        "forgotten": read_parquet(stones, ["image_id"], kind="tombstones").num_rows if stones.is_file() else 0,
        "prediction": costs.predict(costs.read(lake, "adapt", str(config.adapt.recipe)), adaptation_work(everything)),
    }
    if champion is None or not facts["comparable"]:
        return Evidence(**facts, compared_with="nothing", known={})
    return _compared(facts, champion, everything, batch, config, lake, measure)


def described(lake: Lake, batch: Batch) -> list[Mapping[str, Any]]:
    """Rows of the images table that have a descriptor under the frozen model of a batch."""
    embedded = set(FeatureStore(lake.features(batch.features, batch.dataset)).ids())
    return [row for row in read_images(lake, batch.dataset).to_pylist() if row["image_id"] in embedded]


def adaptation_work(images: Mapping[View, Pictures]) -> float:
    """What the time of an adaptation grows with: every query is compared with every reference."""
    references = len(images.get(View.SATELLITE, NONE))
    queries = sum(len(rows) for view, rows in images.items() if not view.is_reference)
    return float(max(1, queries * references))


def _compared(
    facts: dict[str, Any],
    champion: Champion,
    everything: Mapping[View, Pictures],
    batch: Batch,
    config: ArrivalConfig,
    lake: Lake,
    measure: QualityMeasure,
) -> Evidence:
    from cvgl.adaptation import Adaptation, read_record

    folder = lake.adapter(champion.run)
    record = read_record(folder)
    learned = known_to(lake, batch.dataset, record, batch)
    new = {view: images.without(learned.views.get(view, NONE)) for view, images in everything.items()}
    facts["new"] = {view: len(images) for view, images in new.items()}
    view = View(str(record.query_view))
    reader = _Reader(FeatureStore(lake.features(champion.features, batch.dataset)), Adaptation.load(folder), config.decide)
    drifts = {
        compared_view: reader.drift(compared_view, new.get(compared_view, NONE), learned.views.get(compared_view, NONE))
        for compared_view in (view, View.SATELLITE)
        if min(len(new.get(compared_view, NONE)), len(learned.views.get(compared_view, NONE))) >= FEWEST
    }
    return Evidence(
        **facts,
        compared_with=learned.how,
        known={compared_view: len(images) for compared_view, images in learned.views.items()},
        drifts=drifts,
        quality=_quality(reader, view, new, learned, everything, measure),
    )


def _quality(
    reader: _Reader,
    view: View,
    new: Mapping[View, Pictures],
    learned: Known,
    everything: Mapping[View, Pictures],
    measure: QualityMeasure,
) -> QualityChange | None:
    references = everything.get(View.SATELLITE, NONE)
    sides = (learned.views.get(view, NONE), new.get(view, NONE))
    if not min(len(side) for side in (*sides, references)):
        return None
    before, after = (reader.adapted(view, side) for side in sides)
    return quality_change(before, after, reader.adapted(View.SATELLITE, references), measure)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Adapted descriptors of samples."""

    store: FeatureStore
    adaptation: Adaptation
    config: DecideConfig

    def adapted(self, view: View, images: Pictures) -> Float32Array:
        rows = self.store.read(images.first(self.config.samples).ids)
        adaptation = self.adaptation
        return adaptation.transform_reference(rows) if view.is_reference else adaptation.transform_query(rows)

    def drift(self, view: View, new: Pictures, learned: Pictures) -> Drift:
        sides = (new.first(self.config.samples), learned.first(self.config.samples))
        return drift(
            self.adapted(view, new), self.adapted(view, learned), self.config, new_runs=sides[0].runs, known_runs=sides[1].runs
        )


def judge(evidence: Evidence, policy: DecideConfig) -> tuple[Verdict, str]:
    """The policy: a verdict and its reason.

    Args:
        evidence: what is known.
        policy: thresholds.
    """
    reason = _reason_to_adapt(evidence, policy)
    largest = evidence.largest
    if largest is not None and _counts(largest[1], policy) and largest[1].effect >= policy.ask_effect:
        return "ask", f"{_told(largest)}, which is beyond ask_effect {policy.ask_effect:g}: is it the same camera, is it a map?"
    if reason is None:
        return "skip", _reason_to_skip(evidence, policy)
    too_much = _too_much(evidence.prediction, policy)
    if too_much:
        return "ask", f"{reason}; but {too_much}"
    return "adapt", reason  # without the prediction, which differs from machine to machine


def _reason_to_adapt(evidence: Evidence, policy: DecideConfig) -> str | None:
    if evidence.champion is None:
        return "no adapter serves this map yet"
    if not evidence.comparable:
        return f"{evidence.champion} belongs to another frozen model than the one in use now"
    if max(evidence.new.values(), default=0) < policy.minimum_new:
        return None
    largest = evidence.largest
    if largest is not None and _counts(largest[1], policy) and largest[1].effect >= policy.adapt_effect:
        return f"{_told(largest)}, and adapt_effect is {policy.adapt_effect:g}"
    quality = evidence.quality
    if quality is not None and quality.is_significant and quality.drop >= policy.quality_drop:
        return f"{_quality_told(quality)}, and quality_drop is {policy.quality_drop:.0%}"
    grown = {view: count / max(1, evidence.known.get(view, 0)) for view, count in evidence.new.items()}
    view = max(grown, key=lambda candidate: grown[candidate], default=None)
    if view is not None and grown[view] >= policy.growth:
        share = f"{evidence.new[view]} new {view} images are {grown[view]:.0%} of those learned from"
        return f"{share}, and growth is {policy.growth:.0%}"
    return None


def _reason_to_skip(evidence: Evidence, policy: DecideConfig) -> str:
    most = max(evidence.new.values(), default=0)
    if most < policy.minimum_new:
        gone = f", {evidence.forgotten} references left the map" if evidence.forgotten else ""
        return f"{most} new training images of a view, and minimum_new is {policy.minimum_new}{gone}"
    reasons = [_told(evidence.largest)] if evidence.largest is not None else ["too few images to test for drift"]
    reasons += [_quality_told(evidence.quality)] if evidence.quality is not None else []
    return f"the champion still fits: {'; '.join(reasons)}"


def _counts(drift: Drift, policy: DecideConfig) -> bool:
    return drift.p_value <= policy.significance


def _told(largest: tuple[View, Drift]) -> str:
    view, drift = largest
    return (
        f"new {view} images differ from those that the champion knows by {drift.effect:.3f} "
        f"(p {drift.p_value:.2g}, {drift.n_new} against {drift.n_known}, permuting {drift.permuted})"
    )


def _quality_told(change: QualityChange) -> str:
    return (
        f"label-free quality {change.after.score:.3f} on what came and {change.before.score:.3f} on what is known "
        f"(standard error {change.standard_error:.3f})"
    )


def _too_much(prediction: Prediction, policy: DecideConfig) -> str:
    seconds, memory = prediction.seconds, prediction.peak_bytes
    if policy.longest_hours is not None and seconds is not None and seconds > 3600 * policy.longest_hours:
        return f"{prediction}, and longest_hours is {policy.longest_hours:g}"
    if policy.largest_gigabytes is not None and memory is not None and memory > policy.largest_gigabytes * 2**30:
        return f"{prediction}, and largest_gigabytes is {policy.largest_gigabytes:g}"
    return ""
