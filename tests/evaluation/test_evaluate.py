from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cvgl import schemas
from cvgl.config import EvaluateConfig, Layout
from cvgl.errors import ConfigError, DataError, LakeError
from cvgl.evaluation.evaluate import EvaluateOutcome, evaluate
from cvgl.lake import Lake
from cvgl.retrieval import comparable, convert, protocols, ranking
from cvgl.summary import MetricSummary, read_summaries
from cvgl.types import Representation
from tests.stages import lakes

DRONE, SATELLITE = "drone_to_satellite", "satellite_to_drone"
SINGLE = (Representation.FROZEN, Representation.STANDARDISED, Representation.ADAPTED)


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def of(outcome: EvaluateOutcome, stage: Representation, direction: str, protocol: str | None = None) -> MetricSummary:
    (summary,) = [m for m in outcome.metrics if (m.stage, m.direction) == (stage, direction) and protocol in (None, m.protocol)]
    return summary


def rows_of(lake: Lake, **wanted: Any) -> list[dict[str, Any]]:
    rows = pq.ParquetFile(lake.evaluation(lakes.RUN) / "queries.parquet").read().to_pylist()
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def test_three_stages_answer_in_both_directions(lake: Lake) -> None:
    outcome = evaluate(lakes.write_town(lake, lakes.town()), EvaluateConfig(), lake)

    assert not outcome.skipped
    assert outcome.ref.path == lake.evaluation(lakes.RUN)
    assert [(m.stage, m.direction) for m in outcome.metrics] == [(s, d) for s in SINGLE for d in (DRONE, SATELLITE)]
    frozen, standardised = (of(outcome, stage, DRONE) for stage in (Representation.FROZEN, Representation.STANDARDISED))
    # The views differ by a shift, which is what standardising removes.
    assert standardised.recall["1"] > frozen.recall["1"]
    assert (frozen.n_queries, frozen.n_gallery) == (24, 10)
    assert (
        of(outcome, Representation.FROZEN, SATELLITE).n_queries,
        of(outcome, Representation.FROZEN, SATELLITE).n_gallery,
    ) == (8, 24)
    assert frozen.protocol == "open-set"
    assert set(frozen.within_m) == {"25", "50", "100"}


def test_tables_follow_their_schemas_and_say_what_the_summaries_say(lake: Lake) -> None:
    outcome = evaluate(lakes.write_town(lake, lakes.town()), EvaluateConfig(top_k=4), lake)

    metrics, queries = (pq.ParquetFile(outcome.ref.path / f"{name}.parquet").read() for name in ("metrics", "queries"))
    assert metrics.schema.equals(schemas.METRICS)
    assert queries.schema.equals(schemas.QUERIES)
    assert read_summaries(outcome.ref.path) == outcome.metrics
    for summary in outcome.metrics:
        rows = rows_of(lake, stage=summary.stage, direction=summary.direction)
        assert len(rows) == summary.n_queries
        assert sum(row["rank"] == 1 for row in rows) / len(rows) == pytest.approx(summary.recall["1"])
        assert sum(row["average_precision"] for row in rows) / len(rows) == pytest.approx(summary.ap)
        assert all(len(row["top_ids"]) == len(row["top_scores"]) == len(row["top_correct"]) == 4 for row in rows)
        assert all(row["top_scores"] == sorted(row["top_scores"], reverse=True) for row in rows)
        first = rows[0]
        assert first["top_correct"] == [image[1:3] == first["image_id"][1:3] for image in first["top_ids"]]


def test_metres_are_from_the_first_answer_to_the_true_position(lake: Lake) -> None:
    outcome = evaluate(lakes.write_town(lake, lakes.town()), EvaluateConfig(radii_m=(50, 250.5)), lake)

    for direction in (DRONE, SATELLITE):
        rows = rows_of(lake, stage="standardised", direction=direction)
        for row in rows:
            places = int(row["top_ids"][0][1:3]) - int(row["image_id"][1:3])
            assert row["distance_m"] == pytest.approx(abs(places) * 111.19, abs=0.1)
        summary = of(outcome, Representation.STANDARDISED, direction)
        assert summary.median_m == pytest.approx(sorted(r["distance_m"] for r in rows)[len(rows) // 2], abs=60)
        assert summary.within_m["50"] == pytest.approx(sum(r["distance_m"] <= 50 for r in rows) / len(rows))
        assert summary.within_m["250.5"] == pytest.approx(sum(r["distance_m"] <= 250.5 for r in rows) / len(rows))


def test_without_positions_there_are_no_metres(lake: Lake) -> None:
    shots = [replace(shot, position=None, truth=None) for shot in lakes.town()]
    summary = evaluate(lakes.write_town(lake, shots), EvaluateConfig(), lake).metrics[0]
    assert summary.median_m is None
    assert summary.within_m == {}


def test_images_of_a_known_place_borrow_the_position_of_its_satellite_image(lake: Lake) -> None:
    shots = [replace(shot, truth=None) for shot in lakes.town()]
    assert evaluate(lakes.write_town(lake, shots), EvaluateConfig(), lake).metrics[0].median_m is not None


def test_the_layout_chooses_the_protocol_and_protocols_may_be_several(lake: Lake) -> None:
    adapter = lakes.write_town(lake, lakes.town(), Layout.UNIVERSITY1652)
    assert {m.protocol for m in evaluate(adapter, EvaluateConfig(), lake).metrics} == {"university1652-951"}

    outcome = evaluate(adapter, EvaluateConfig(protocols=("auto", "university1652-701", "university1652-951-standard")), lake)
    full, without, standard = (
        of(outcome, Representation.FROZEN, DRONE, f"university1652-{name}") for name in ("951", "701", "951-standard")
    )
    assert (full.n_gallery, without.n_gallery) == (10, 8)
    assert without.recall["1"] >= full.recall["1"]
    assert standard.ap == pytest.approx(2 * full.ap - full.recall["1"])
    with pytest.raises(ConfigError, match="no-such"):
        evaluate(adapter, EvaluateConfig(protocols=("no-such",)), lake)


def test_every_row_names_the_protocol_and_its_hash(lake: Lake) -> None:
    outcome = evaluate(lakes.write_town(lake, lakes.town()), EvaluateConfig(protocols=("released", "cvusa")), lake)
    metrics = pq.ParquetFile(outcome.ref.path / "metrics.parquet").read().to_pylist()
    assert {(row["protocol"], row["protocol_hash"]) for row in metrics} == {
        (name, protocols.get(name).hash) for name in ("released", "cvusa")
    }


def test_the_released_code_asks_for_all_satellite_images_among_the_drone_queries(lake: Lake) -> None:
    shots = lakes.town(views=3)
    shots = [replace(s, subsets=["gallery", "train"]) if s.name[0::3] == "d2" else s for s in shots]  # not asked for
    adapter = lakes.write_town(lake, shots)
    outcome = evaluate(adapter, EvaluateConfig(protocols=("released", "university1652-951")), lake)
    released, usual = (of(outcome, Representation.FROZEN, SATELLITE, name) for name in ("released", "university1652-951"))
    assert (released.n_queries, released.n_gallery) == (10, 16)
    assert (usual.n_queries, usual.n_gallery) == (8, 24)
    assert (released.most_right, usual.most_right) == (2, 3)
    assert any("2 queries have no right answer" in note for note in released.notes)
    assert released.recall["10"] <= 0.8
    drone, same = (of(outcome, Representation.FROZEN, DRONE, name) for name in ("released", "university1652-951"))
    assert (drone.recall["1"], drone.ap, drone.rows_digest) == (same.recall["1"], same.ap, same.rows_digest)
    assert released.rows_digest != usual.rows_digest
    rows = rows_of(lake, stage="frozen", direction=SATELLITE, protocol="released")
    assert {row["image_id"]: row["n_right"] for row in rows} == {f"s{i:02d}": 2 if i < 8 else 0 for i in range(10)}


def test_masked_names_give_answers_and_no_figures(lake: Lake) -> None:
    outcome = evaluate(lakes.write_town(lake, lakes.town()), EvaluateConfig(protocols=("university160k-official",)), lake)
    assert outcome.metrics == []
    rows = rows_of(lake, stage="adapted", direction=DRONE)
    assert len(rows) == 24
    assert all(row["rank"] is None and row["n_right"] == 0 and len(row["top_ids"]) == 10 for row in rows)


def test_a_part_of_a_published_set_is_said_to_be_one(lake: Lake) -> None:
    adapter = lakes.write_town(lake, lakes.town(), Layout.UNIVERSITY1652)
    notes = of(evaluate(adapter, EvaluateConfig(), lake), Representation.FROZEN, DRONE).notes
    assert any("24 queries against 10, of 37,855 against 951" in note for note in notes)


def test_average_precision_of_figures_in_the_lake_converts_where_it_is_exact(lake: Lake) -> None:
    adapter = lakes.write_town(lake, lakes.town(), Layout.UNIVERSITY1652)
    wanted = ("university1652-951", "university1652-951-standard")
    evaluate(adapter, EvaluateConfig(protocols=wanted), lake)
    stored = {(m.stage, m.direction, m.protocol): m for m in read_summaries(lake.evaluation(lakes.RUN))}
    trapezoid, standard = (stored[Representation.ADAPTED, DRONE, name] for name in wanted)
    assert comparable(trapezoid, standard, "AP").verdict == "convertible"
    assert convert(trapezoid, "standard").ap == pytest.approx(standard.ap)
    back = [stored[Representation.ADAPTED, SATELLITE, name] for name in wanted]
    assert "up to 3 right answers" in comparable(back[0], back[1], "AP").reason
    with pytest.raises(DataError, match="not comparable"):
        convert(back[0], "standard")


def test_small_blocks_give_the_same_bytes(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = lakes.write_town(lake, lakes.town())
    folder = evaluate(adapter, EvaluateConfig(), lake).ref.path
    before = hashes(folder)
    for path in folder.iterdir():
        path.unlink()
    for name, value in (("ONE_BLOCK_ROWS", 1), ("GALLERY_ROWS", 4), ("HELD_PAIRS", 6), ("HELD_BYTES", 1), ("QUERY_ROWS", 2)):
        monkeypatch.setattr(ranking, name, value)
    assert not evaluate(adapter, EvaluateConfig(), lake).skipped
    assert hashes(folder) == before


def test_positions_stand_in_for_labels(lake: Lake) -> None:
    labelled = lakes.town()
    adapter = lakes.write_town(lake, labelled)
    expected = evaluate(adapter, EvaluateConfig(), lake).metrics

    other = Lake.at(lake.root / "other")
    outcome = evaluate(lakes.write_town(other, [replace(shot, place=None) for shot in labelled]), EvaluateConfig(), other)
    assert [(m.recall, m.ap, m.median_m) for m in outcome.metrics] == [(m.recall, m.ap, m.median_m) for m in expected]


def test_the_flights_protocol_asks_for_the_nearest_tile(lake: Lake) -> None:
    local = [
        replace(s, place="wrong", position=None if s.position is None else {"x": float(s.name[1:3]), "y": 0.0, "crs": "local"},
                truth=None if s.truth is None else {"x": int(s.name[1:3]) + 0.3, "y": 0.0, "crs": "local"})
        for s in lakes.town(noise=0.01)
    ]  # fmt: skip
    outcome = evaluate(lakes.write_town(lake, local), EvaluateConfig(protocols=("flights",), radii_m=(0.5,)), lake)
    rows = rows_of(lake, stage="standardised", direction=DRONE)
    assert len(rows) == 24
    right = [row for row in rows if row["rank"] == 1]
    assert len(right) > 12
    assert all(row["top_ids"][0][1:3] == row["image_id"][1:3] for row in right)
    assert all(row["distance_m"] == pytest.approx(0.3) for row in right)
    assert of(outcome, Representation.STANDARDISED, DRONE).within_m["0.5"] == pytest.approx(len(right) / 24)


def test_queries_without_a_match_and_without_a_place_are_told_apart(lake: Lake) -> None:
    shots = lakes.town(views=1)
    shots = [replace(s, place="elsewhere", truth=None) if s.name == "d000" else s for s in shots]
    shots = [replace(s, place=None, truth=None) if s.name == "d010" else s for s in shots]
    summary = of(evaluate(lakes.write_town(lake, shots), EvaluateConfig(), lake), Representation.STANDARDISED, DRONE)
    assert summary.n_queries == 7
    assert any("1 queries have no right answer" in note for note in summary.notes)
    assert any("1 queries without a known place" in note for note in summary.notes)
    for name in ("d000", "d010"):
        (row,) = rows_of(lake, stage="standardised", direction=DRONE, image_id=name)
        assert row["rank"] is row["average_precision"] is None
        assert len(row["top_ids"]) == 10


def test_without_any_label_there_are_answers_and_no_figures(lake: Lake) -> None:
    shots = lakes.town()
    lakes.write_images(lake, shots)
    lakes.write_features(lake, shots)
    adapter = lakes.write_adapter(lake, shots)
    outcome = evaluate(adapter, EvaluateConfig(), lake)
    assert outcome.metrics == []
    assert len(rows_of(lake, direction=DRONE, stage="adapted")) == 24
    again = evaluate(adapter, EvaluateConfig(), lake)
    assert again.skipped
    assert again.metrics == []


def test_a_direction_without_images_is_left_out(lake: Lake) -> None:
    shots = [replace(s, subsets=["train", "query"] if s.view == "drone" else ["train", "gallery"]) for s in lakes.town()]
    outcome = evaluate(lakes.write_town(lake, shots), EvaluateConfig(), lake)
    assert {m.direction for m in outcome.metrics} == {DRONE}


def test_images_without_a_descriptor_are_counted(lake: Lake) -> None:
    shots = lakes.town()
    adapter = lakes.write_town(lake, shots)
    (lake.features(lakes.FINGERPRINT, lakes.DATASET) / "part-0000.parquet").unlink()
    lakes.write_features(lake, shots[:-4])
    summary = of(evaluate(adapter, EvaluateConfig(), lake), Representation.FROZEN, DRONE)
    assert any("images without a descriptor" in note for note in summary.notes)


def test_perfect_scores_are_reported_as_suspicious(lake: Lake) -> None:
    copies = [replace(s, descriptor=s.descriptor) for s in lakes.town(views=1, noise=0)]
    satellite = {s.place: s.descriptor for s in copies if s.view == "satellite"}
    outcome = evaluate(
        lakes.write_town(lake, [replace(s, descriptor=satellite[s.place]) for s in copies]), EvaluateConfig(), lake
    )
    summary = of(outcome, Representation.FROZEN, DRONE)
    assert summary.recall["1"] == 1
    assert any("suspicious" in note for note in summary.notes)
    assert read_summaries(outcome.ref.path)[0].notes == summary.notes


def test_the_second_time_is_skipped_and_the_bytes_are_the_same(lake: Lake) -> None:
    adapter = lakes.write_town(lake, lakes.town())
    first = evaluate(adapter, EvaluateConfig(), lake)
    before = hashes(lake.root)

    second = evaluate(adapter, EvaluateConfig(), lake)
    assert second.skipped
    assert second.metrics == first.metrics
    assert second.ref == first.ref
    assert hashes(lake.root) == before

    # As if the process had died before the last file, or while writing it.
    (first.ref.path / "metrics.parquet").unlink()
    half = first.ref.path / ".tmp-abc.parquet"
    half.write_bytes(b"half")
    os.utime(half, (0, 0))
    assert not evaluate(adapter, EvaluateConfig(), lake).skipped
    assert hashes(lake.root) == before
    (first.ref.path / "queries.parquet").write_bytes(b"PAR1 damaged")
    assert not evaluate(adapter, EvaluateConfig(), lake).skipped
    assert hashes(lake.root) == before


def test_whatever_changes_a_figure_is_measured_again(lake: Lake) -> None:
    shots = lakes.town()
    adapter = lakes.write_town(lake, shots)
    first = evaluate(adapter, EvaluateConfig(), lake)
    assert not evaluate(adapter, EvaluateConfig(radii_m=(10,)), lake).skipped
    assert not evaluate(adapter, EvaluateConfig(protocols=("flights",)), lake).skipped
    assert not evaluate(adapter, EvaluateConfig(), lake).skipped  # the files now hold the figures of the settings above

    lakes.write_truth(lake, [replace(shots[1], place="0007")])
    changed = evaluate(adapter, EvaluateConfig(), lake)
    assert not changed.skipped
    assert changed.metrics[0].rows_digest != first.metrics[0].rows_digest
    assert changed.ref.digest != first.ref.digest

    lakes.write_adapter(lake, shots, seed=5)
    again = evaluate(adapter, EvaluateConfig(), lake)
    assert not again.skipped
    assert again.metrics[0] == changed.metrics[0]
    # An adapter does not change what is asked.
    assert again.metrics[-1].rows_digest == changed.metrics[-1].rows_digest


def test_progress_ends_at_its_total(lake: Lake) -> None:
    steps: list[tuple[int, int]] = []
    evaluate(
        lakes.write_town(lake, lakes.town()),
        EvaluateConfig(),
        lake,
        lambda done, total, message="": steps.append((done, total)),
    )
    assert steps[0] == (0, 6)
    assert steps[-1] == (6, 6)
    assert steps == sorted(steps)


def test_what_is_missing_is_named(lake: Lake) -> None:
    adapter = lakes.write_town(lake, lakes.town())
    with pytest.raises(LakeError, match="no-such-run"):
        evaluate(replace(adapter, path=lake.adapter("no-such-run")), EvaluateConfig(), lake)
    mixed = [replace(lakes.town()[1], truth={"x": 1.0, "y": 1.0, "crs": "local"})]
    lakes.write_truth(lake, mixed)
    with pytest.raises(DataError, match="local metric frame"):
        evaluate(adapter, EvaluateConfig(), lake)
