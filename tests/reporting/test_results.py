"""The tables that a report opens with."""

from __future__ import annotations

import pytest

from cvgl.reporting.results import headlines, result_tables
from cvgl.types import Representation
from tests.reporting.summaries import summary

THREE = [
    summary(Representation.ADAPTED, 0.44),
    summary(Representation.FROZEN, 0.18),
    summary(Representation.STANDARDISED, 0.41),
]


class TestTables:
    def test_stages_in_order_with_gains_over_frozen(self) -> None:
        [table] = result_tables(THREE)
        assert table.columns == ("R@1", "R@5", "AP")
        assert [(name, cells[0].text, cells[0].delta, cells[0].best) for name, cells in table.rows] == [
            ("frozen", "18.0", "", False),
            ("view-standardised", "41.0", "+23.0", False),
            ("adapted", "44.0", "+26.0", True),
        ]
        assert [cells[1].trend for _, cells in table.rows[1:]] == ["same", "same"]
        assert all(cells[1].best for _, cells in table.rows)  # a tie has no single winner

    def test_what_inference_adds_comes_last(self) -> None:
        more = [summary(Representation.ADAPTED_WINDOW, 0.6), summary(Representation.ADAPTED_CORRECTED, 0.46)]
        [table] = result_tables([*more, *THREE])
        names = [name for name, _ in table.rows]
        assert names == ["frozen", "view-standardised", "adapted", "adapted, hubness corrected", "adapted, in a window"]
        assert [cells[0].delta for _, cells in table.rows[3:]] == ["+28.0", "+42.0"]

    def test_losses_are_said_to_be_losses(self) -> None:
        [table] = result_tables([summary(Representation.FROZEN, 0.2), summary(Representation.ADAPTED, 0.1)])
        cell = table.rows[1][1][0]
        assert (cell.delta, cell.trend, cell.best) == ("−10.0", "worse", False)

    def test_fewer_metres_are_better(self) -> None:
        frozen = summary(Representation.FROZEN, 0.2, median_m=1200.0, within_m={"25": 0.1})
        adapted = summary(Representation.ADAPTED, 0.2, median_m=30.0, within_m={"25": 0.4})
        [table] = result_tables([frozen, adapted])
        assert table.columns == ("R@1", "R@5", "AP", "median error", "≤ 25 m")
        cell = table.rows[1][1][3]
        assert (cell.text, cell.delta, cell.trend, cell.best) == ("30.0 m", "−1,170.0", "better", True)
        assert table.rows[0][1][3].best is False

    def test_one_table_a_direction_and_protocol(self) -> None:
        tables = result_tables([*THREE, *(s.model_copy(update={"protocol": "other"}) for s in THREE)])
        assert [(table.direction, table.protocol) for table in tables] == [
            ("drone → satellite", "standard"),
            ("drone → satellite", "other"),
        ]

    def test_a_figure_that_one_stage_lacks(self) -> None:
        [table] = result_tables([summary(Representation.FROZEN, 0.2), summary(Representation.ADAPTED, 0.1, median_m=3.0)])
        assert table.rows[0][1][-1].text == "—"
        assert table.rows[1][1][-1].delta == ""

    def test_a_stage_alone_wins_nothing(self) -> None:
        [table] = result_tables([summary(Representation.ADAPTED, 0.2)])
        assert not any(cell.best or cell.delta for cell in table.rows[0][1])

    def test_notes_once(self) -> None:
        [table] = result_tables([summary(stage, 0.1, notes=("beware",)) for stage in Representation])
        assert table.notes == ("beware",)

    def test_nothing(self) -> None:
        assert result_tables([]) == []
        assert headlines([]) == []


class TestHeadlines:
    @pytest.mark.parametrize(
        ("after", "expected_reason"),
        [(0.44, "raises R@1 from 18.0"), (0.1, "lowers R@1 from 18.0"), (0.1801, "leaves R@1 at 18.0")],
    )
    def test_says_what_happened(self, after: float, expected_reason: str) -> None:
        [sentence] = headlines(
            [
                summary(Representation.FROZEN, 0.18),
                summary(Representation.STANDARDISED, 0.41),
                summary(Representation.ADAPTED, after),
            ]
        )
        assert expected_reason in sentence
        assert "41.0" in sentence

    def test_is_about_single_images_without_what_inference_adds(self) -> None:
        assert headlines(
            [*THREE, summary(Representation.ADAPTED_CORRECTED, 0.9), summary(Representation.ADAPTED_WINDOW, 1.0)]
        ) == headlines(THREE)

    def test_one_a_direction(self) -> None:
        back = [s.model_copy(update={"direction": "satellite_to_drone"}) for s in THREE]
        assert [sentence.split(":")[0] for sentence in headlines([*THREE, *back])] == ["Drone → satellite", "Satellite → drone"]

    def test_without_both_ends_there_is_nothing_to_say(self) -> None:
        assert headlines([summary(Representation.FROZEN, 0.2)]) == []
