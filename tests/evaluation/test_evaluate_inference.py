"""Rows of an evaluation for what inference adds: hubness corrected, and images of a sequence placed together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cvgl.adaptation import Adaptation, HubnessCorrected
from cvgl.config import EvaluateConfig, RerankConfig
from cvgl.evaluation.evaluate import EvaluateOutcome, evaluate
from cvgl.evaluation.retrieval_task import EvaluationRows
from cvgl.features import FeatureStore
from cvgl.lake import Lake
from cvgl.localization.sequence_posterior import follow
from cvgl.retrieval.positions import positions_of
from cvgl.summary import MetricSummary, read_summaries
from cvgl.types import Representation
from tests.stages import lakes
from tests.stages.lakes import Shot

DRONE, SATELLITE = "drone_to_satellite", "satellite_to_drone"
SINGLE = [
    (stage, direction)
    for stage in (Representation.FROZEN, Representation.STANDARDISED, Representation.ADAPTED)
    for direction in (DRONE, SATELLITE)
]
CORRECTED = [(Representation.ADAPTED_CORRECTED, direction) for direction in (DRONE, SATELLITE)]


def rows_of(lake: Lake, **wanted: Any) -> list[dict[str, Any]]:
    rows = pq.ParquetFile(lake.evaluation(lakes.RUN) / "queries.parquet").read().to_pylist()
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def named(outcome: EvaluateOutcome) -> list[tuple[Representation, str]]:
    return [(summary.stage, summary.direction) for summary in outcome.metrics]


def of(outcome: EvaluateOutcome, stage: Representation, direction: str = DRONE) -> MetricSummary:
    (match,) = [summary for summary in outcome.metrics if (summary.stage, summary.direction) == (stage, direction)]
    return match


def flight(noise: float = 1.0) -> list[Shot]:
    """Drone images along the places in the order of their names, in one sequence."""
    return [replace(s, sequence="f1" if s.view == "drone" else None) for s in lakes.town(places=12, views=4, noise=noise)]


def test_further_rows_follow_the_single_images(lake: Lake) -> None:
    outcome = evaluate(lakes.write_town(lake, flight(), recipe="robust"), EvaluateConfig(), lake)
    assert named(outcome) == [*SINGLE, *CORRECTED, (Representation.ADAPTED_WINDOW, DRONE)]
    assert read_summaries(outcome.ref.path) == outcome.metrics
    questions = {
        (m.direction, m.protocol_hash, m.n_queries, m.n_gallery, m.rows_digest) for m in outcome.metrics if m.direction == DRONE
    }
    assert len(questions) == 1  # all rows answer the same questions, so they can be compared
    window = of(outcome, Representation.ADAPTED_WINDOW)
    assert window.recall["1"] > of(outcome, Representation.ADAPTED_CORRECTED).recall["1"]
    assert window.median_m is not None
    assert any("20 together" in note for note in window.notes)
    assert not any("together" in note for note in of(outcome, Representation.ADAPTED).notes)


def test_single_image_rows_stay_what_they_are(lake: Lake, tmp_path: Any) -> None:
    outcome = evaluate(lakes.write_town(lake, flight(), recipe="robust"), EvaluateConfig(), lake)
    other = Lake.at(tmp_path / "other")
    alone = [replace(shot, sequence=None) for shot in flight()]
    plain = evaluate(lakes.write_town(other, alone, recipe="robust"), EvaluateConfig(), other)
    assert named(plain) == [*SINGLE, *CORRECTED]
    assert plain.metrics == outcome.metrics[:8]


def test_only_adapters_with_banks_are_corrected_and_windows_do_without(lake: Lake) -> None:
    outcome = evaluate(lakes.write_town(lake, flight()), EvaluateConfig(), lake)
    assert named(outcome) == [*SINGLE, (Representation.ADAPTED_WINDOW, DRONE)]


@pytest.mark.parametrize("direction", [DRONE, SATELLITE])
def test_corrected_answers_are_those_of_corrected_descriptors(lake: Lake, direction: str) -> None:
    evaluate(lakes.write_town(lake, flight(), recipe="robust"), EvaluateConfig(top_k=3), lake)
    corrected = HubnessCorrected(Adaptation.load(lake.adapter(lakes.RUN)), "reference" if direction == DRONE else "query")
    for row in rows_of(lake, stage="adapted-corrected", direction=direction):
        query_rows, answer_rows = read(lake, [row["image_id"]]), read(lake, row["top_ids"])
        sides = (corrected.transform_query, corrected.transform_reference)
        ask, answer = sides if direction == DRONE else sides[::-1]
        np.testing.assert_allclose((ask(query_rows) @ answer(answer_rows).T)[0], row["top_scores"], atol=1e-5)
    plain, other = ([row["top_ids"] for row in rows_of(lake, stage=s)] for s in ("adapted", "adapted-corrected"))
    assert plain != other


def read(lake: Lake, ids: list[str]) -> np.ndarray:
    return FeatureStore(lake.features(lakes.FINGERPRINT, lakes.DATASET)).read(ids)


def test_windows_end_with_the_image_and_follow_the_order_of_the_camera(lake: Lake) -> None:
    shots = flight()
    evaluate(lakes.write_town(lake, shots, recipe="robust"), EvaluateConfig(window=5, top_k=14), lake)
    adaptation = Adaptation.load(lake.adapter(lakes.RUN))
    frames = sorted(shot.name for shot in shots if shot.view == "drone")
    tiles = sorted((shot for shot in shots if shot.view == "satellite"), key=lambda shot: shot.name)
    positions = positions_of([shot.position or {} for shot in tiles])
    z_q = adaptation.transform_query(read(lake, frames))
    z_r = adaptation.transform_reference(read(lake, [tile.name for tile in tiles]))
    (believed,) = follow(z_q, z_r, positions, 5)
    names = np.asarray([tile.name for tile in tiles])
    rows = {row["image_id"]: row for row in rows_of(lake, stage="adapted-window")}
    for frame, posterior in zip(frames, believed.posterior, strict=True):
        best = np.argsort(-posterior, kind="stable")
        assert rows[frame]["top_ids"][0] == names[best[0]]
        np.testing.assert_allclose(rows[frame]["top_scores"], posterior[best], rtol=1e-4, atol=1e-7)


def test_images_of_two_flights_do_not_mix(lake: Lake, tmp_path: Any) -> None:
    """The second flight's images change nothing for the first."""
    shots = flight()
    split = [replace(s, sequence=("a" if s.name < "d06" else "b") if s.view == "drone" else None) for s in shots]
    first = {row["image_id"]: row for row in windowed(lake, split)}
    other = Lake.at(tmp_path / "other")
    alone = [replace(shot, sequence=None if shot.sequence == "b" else shot.sequence) for shot in split]
    again = {row["image_id"]: row for row in windowed(other, alone)}
    early = [name for name in first if name < "d06"]
    assert len(early) == 24
    assert all(first[name]["top_ids"] == again[name]["top_ids"] for name in early)
    assert any(first[name]["top_scores"] != again[name]["top_scores"] for name in first if name >= "d06")


def windowed(lake: Lake, shots: list[Shot]) -> list[dict[str, Any]]:
    evaluate(lakes.write_town(lake, shots, recipe="robust"), EvaluateConfig(), lake)
    return rows_of(lake, stage="adapted-window")


def test_a_map_without_positions_has_no_windows_even_where_the_truth_knows_them(lake: Lake) -> None:
    shots = [replace(shot, position=None, truth=shot.position or shot.truth) for shot in flight()]
    outcome = evaluate(lakes.write_town(lake, shots, recipe="robust"), EvaluateConfig(), lake)
    assert named(outcome) == [*SINGLE, *CORRECTED]
    assert of(outcome, Representation.ADAPTED).median_m is not None


def test_the_truth_decides_no_answer(lake: Lake, tmp_path: Any) -> None:
    """With every place and position exchanged, the answers stay; only what is right changes."""
    shots = flight()
    other, places = Lake.at(tmp_path / "other"), [shot.place for shot in shots]
    turned = [replace(shot, place=place, truth=None) for shot, place in zip(shots, places[::-1], strict=True)]
    ours, theirs = windowed(lake, shots), windowed(other, turned)
    assert [row["top_ids"] for row in ours] == [row["top_ids"] for row in theirs]
    assert [row["top_correct"] for row in ours] != [row["top_correct"] for row in theirs]


def test_another_window_is_another_measurement_and_the_same_one_is_skipped(lake: Lake) -> None:
    adapter = lakes.write_town(lake, flight(), recipe="robust")
    first = evaluate(adapter, EvaluateConfig(), lake)
    assert evaluate(adapter, EvaluateConfig(), lake).skipped
    shorter = evaluate(adapter, EvaluateConfig(window=2), lake)
    assert not shorter.skipped
    assert of(shorter, Representation.ADAPTED_WINDOW) != of(first, Representation.ADAPTED_WINDOW)


def test_progress_ends_where_it_says(lake: Lake) -> None:
    steps: list[tuple[int, int]] = []
    adapter = lakes.write_town(lake, flight(), recipe="robust")
    evaluate(adapter, EvaluateConfig(), lake, lambda done, total, message="": steps.append((done, total)))
    assert steps == [*((done, 9) for done in range(9)), (9, 9)]


def test_true_positions_have_no_say_in_the_moves(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows are inferred from what the images table says, not from the positions that truth lends to pictures."""
    adapter = lakes.write_town(lake, flight(), recipe="robust")
    honest = [row["top_ids"] for row in windowed(lake, flight())]
    original = EvaluationRows.questions

    def shuffled(self: EvaluationRows, *arguments: Any) -> Any:
        questions = original(self, *arguments)
        return [
            replace(q, gallery=replace(q.gallery, positions=q.gallery.positions.take(range(len(q.gallery.places))[::-1])))
            for q in questions
        ]

    monkeypatch.setattr(EvaluationRows, "questions", shuffled)
    evaluate(adapter, EvaluateConfig(radii_m=(7,)), lake)
    assert [row["top_ids"] for row in rows_of(lake, stage="adapted-window")] == honest


def test_re_ranked_answers_are_a_row_of_their_own_where_asked_for(lake: Lake) -> None:
    adapter = lakes.write_town(lake, lakes.town(places=12, views=4, noise=1.0))
    plain = evaluate(adapter, EvaluateConfig(), lake)
    re_ranked = evaluate(adapter, EvaluateConfig(rerank=RerankConfig(enabled=True, neighbours=4, expansion=2)), lake)
    assert named(re_ranked) == [*SINGLE, (Representation.ADAPTED_RERANKED, DRONE), (Representation.ADAPTED_RERANKED, SATELLITE)]
    assert re_ranked.metrics[:6] == plain.metrics
    assert any("k1 = 4, k2 = 2" in note for note in of(re_ranked, Representation.ADAPTED_RERANKED).notes)
    assert of(re_ranked, Representation.ADAPTED_RERANKED, SATELLITE).ap != of(re_ranked, Representation.ADAPTED, SATELLITE).ap
    assert len(rows_of(lake, stage="adapted-reranked")) == len(rows_of(lake, stage="adapted"))
