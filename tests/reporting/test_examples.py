"""Which queries are shown: fairly drawn, one a place, the worst first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from cvgl import schemas
from cvgl.reporting.examples import examples, hardest, questions, similarities


def row(image: str, rank: int | None, stage: str = "adapted", **changes: Any) -> dict[str, Any]:
    values = {
        "run": "r",
        "dataset": "d",
        "stage": stage,
        "direction": "drone_to_satellite",
        "protocol": "standard",
        "image_id": image,
        "location_id": image[0],
        "rank": rank,
        "average_precision": None if rank is None else 1 / rank,
        "top_ids": ["s1", "s2"],
        "top_scores": [0.75, 0.25],
        "top_correct": [rank == 1, rank == 2],
        "distance_m": None,
    }
    return {**values, **changes}


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=schemas.QUERIES)


class TestQuestions:
    def test_one_a_direction_with_its_first_protocol(self) -> None:
        by_direction = questions(
            table(row("a1", 1), row("a1", 1, protocol="other"), row("s1", 1, direction="satellite_to_drone"))
        )
        assert [(q.direction, q.protocol) for q in by_direction] == [
            ("drone_to_satellite", "standard"),
            ("satellite_to_drone", "standard"),
        ]

    def test_none(self) -> None:
        assert questions(schemas.QUERIES.empty_table()) == []


class TestSimilarities:
    def test_split_by_the_first_answer(self) -> None:
        [question] = questions(table(row("a1", 1), row("b1", 2, top_scores=[0.5, 0.1]), row("c1", None, top_scores=[0.125, 0])))
        [panel] = similarities(question)
        assert np.asarray(panel.matched).tolist() == [0.75]
        assert np.sort(np.asarray(panel.unmatched)).tolist() == [0.125, 0.5]

    def test_scores_that_are_no_cosines_are_left_out(self) -> None:
        rows = [row("a1", 1, stage) for stage in ("frozen", "adapted", "adapted-corrected", "adapted-window")]
        [question] = questions(table(*rows))
        assert [panel.title for panel in similarities(question)] == ["frozen", "adapted"]
        assert len(question.stages) == 4

    def test_unknown_places_and_empty_answers_are_left_out(self) -> None:
        empty: dict[str, Any] = {"top_ids": [], "top_scores": [], "top_correct": []}
        [question] = questions(table(row("a1", None, location_id=None), row("b1", None, **empty)))
        assert similarities(question) == []
        assert questions(table(row("a1", None, location_id=None)))[0].labelled is False


class TestExamples:
    def both(self, *ranks: tuple[str, int | None, int | None]) -> pa.Table:
        rows = [row(image, before, "frozen") for image, before, _ in ranks]
        return table(*rows, *(row(image, after) for image, _, after in ranks))

    def test_says_what_changed_and_how_often(self) -> None:
        [question] = questions(
            self.both(("a1", 5, 1), ("b1", 1, 4), ("c1", 1, 1), ("d1", 3, 1), ("e1", 9, 9), ("f1", None, None))
        )
        assert [(choice.image_id, choice.remark) for choice in examples(question)] == [
            ("a1", "corrected by the adaptation (2 of 5 queries)"),
            ("d1", "corrected by the adaptation (2 of 5 queries)"),
            ("b1", "lost by the adaptation (1 of 5 queries)"),
            ("c1", "right before and after (1 of 5 queries)"),
        ]

    def test_other_places_come_before_more_of_one(self) -> None:
        [question] = questions(self.both(("a1", 5, 1), ("a2", 5, 1), ("a3", 5, 1), ("b1", 5, 1)))
        assert [choice.image_id for choice in examples(question, 6)] == ["a1", "b1", "a2"]

    def test_without_ground_truth_some_are_shown_all_the_same(self) -> None:
        rows = [row(f"a{n}", None, stage, location_id=None) for n in range(9) for stage in ("frozen", "adapted")]
        assert [choice.image_id for choice in examples(questions(table(*rows))[0], 3)] == ["a0", "a1", "a2"]


class TestHardest:
    def test_worst_first_one_a_place(self) -> None:
        [question] = questions(
            table(row("a1", 7), row("a2", 9), row("b1", 8, distance_m=1234.4), row("c1", 1), row("d1", None))
        )
        assert [(choice.image_id, choice.remark) for choice in hardest(question, 2)] == [
            ("a2", "right answer at rank 9"),
            ("b1", "right answer at rank 8; first answer 1,234 m off"),
        ]

    def test_nothing_is_hard_when_all_are_right(self) -> None:
        assert hardest(questions(table(row("a1", 1)))[0]) == []
