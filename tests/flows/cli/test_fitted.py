"""No table of a command cuts a number, whatever the terminal's width."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from cvgl.localization.placement import Answer, FramePlacement, LikelyAnswer, Placement
from cvgl.summary import MetricSummary
from cvgl.types import Representation
from flows.cli.fitted import FittedTable
from flows.cli.tables import metrics_tables, placements_table, records

WIDTHS = (20, 40, 60, 80, 100)


def printed(renderable: RenderableType, width: int) -> str:
    """What a terminal of a width shows; what goes beyond it is cut there, as no terminal would be so kind to tell."""
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False, color_system=None, force_terminal=False, _environ={}).print(renderable)
    return stream.getvalue()


def metrics() -> RenderableType:
    return metrics_tables(
        [
            MetricSummary(
                stage=stage,
                direction="drone_to_satellite",
                protocol="open-set",
                protocol_hash="0123456789ab",
                recall={"1": 0.7251, "5": 0.8888, "10": 1.0, "1%": 0.7251},
                ap=0.72345,
                median_m=12345.0,
                within_m={"25": 0.1234, "50": 0.5, "100": 0.987},
                n_queries=37855,
                n_gallery=951,
            )
            for stage in (
                Representation.FROZEN,
                Representation.STANDARDISED,
                Representation.ADAPTED,
                Representation.ADAPTED_CORRECTED,
            )
        ]
    )


def placements() -> RenderableType:
    answers = tuple(
        LikelyAnswer(
            image_id=f"{i}",
            uri=f"/a/very/long/folder/name/of/somebody/tile_{i}_of_the_map_with_a_long_name.tif",
            score=0.123,
            probability=0.987,
            latitude=-51.123456,
            longitude=-114.654321,
        )
        for i in range(2)
    )
    frame = FramePlacement(picture="/some/where/else/frame_00012.jpg", frame=0, probability=0.987, top_k=answers)
    local = Answer(image_id="9", uri="/x/9.tif", score=-0.5, x=512345.6, y=5212345.7, crs="local")
    return placements_table(
        [frame, Placement(picture="/b.jpg", top_k=(local,)), Placement(picture="/c.jpg", problem="7 bytes")]
    )


def listed() -> RenderableType:
    row = {"serves": "now", "map": "0123456789ab", "run": "town-robust-0123456789ab", "files": 123456, "share": "99.87 %"}
    return records([row, row], "versions")


CASES: list[tuple[Callable[[], Any], list[str]]] = [
    (metrics, ["R@1", "R@10", "72.5", "88.9", "100.0", "72.3", "12345", "12.3", "50.0", "98.7", "≤25", "≤100", "AP"]),
    (placements, ["0.123", "0.987", "-51.123456,", "-114.654321", "-0.500", "512345.6,", "5212345.7"]),
    (listed, ["123456", "99.87"]),
]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("make", "numbers"), CASES, ids=["metrics", "placements", "records"])
def test_numbers_are_there_in_full(make: Callable[[], Any], numbers: list[str], width: int) -> None:
    text = printed(make(), width)
    assert [number for number in numbers if number not in text] == []
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_every_number_of_any_table_at_any_width(width: int) -> None:
    table = FittedTable(title="Figures", pad_edge=False)
    values = ["61.4", "±0.3", "+1.2", "(60.1", "to", "63.0)", "1,234,567", "98.7%", "1e-05", "-114.654321", "12:34:56", "$3.50"]
    for index in range(len(values)):
        table.add_column(f"column {index}")
    table.add_row(*values)
    table.add_row(*(f"some words and {value} between" for value in values))
    text = printed(table, width)
    assert [value for value in values if text.count(value) < 2] == []
    assert "…" not in text


def test_a_wide_terminal_shows_a_table_and_a_narrow_one_a_row_after_another() -> None:
    wide, narrow = printed(metrics(), 100), printed(metrics(), 30)
    assert any(re.search(r"R@1\s+R@5\s+R@10", line) for line in wide.splitlines())
    assert not any(re.search(r"R@1\s+R@5", line) for line in narrow.splitlines())
    assert re.search(r"^R@1 +72\.5$", narrow, re.MULTILINE)


def test_what_fits_is_as_wide_as_it_wants_to_be() -> None:
    table = FittedTable("a", "b", box=None, pad_edge=False)
    table.add_row("short", Text("/a/path/that/is/longer/than/the/rest/of/it.png"))
    assert printed(table, 80).splitlines()[1].rstrip() == "short  /a/path/that/is/longer/than/the/rest/of/it.png"
    folded = printed(table, 30)
    assert "".join(line[7:].strip() for line in folded.splitlines()[1:]) == "/a/path/that/is/longer/than/the/rest/of/it.png"


def test_no_command_has_a_table_of_its_own() -> None:
    """Every table of `flows` is one that does not cut."""
    import pathlib

    import flows

    root = pathlib.Path(flows.__file__).parent
    made = {path.name for path in root.rglob("*.py") if re.search(r"(?<![A-Za-z])Table\(", path.read_text())}
    assert made == set()
    assert issubclass(FittedTable, Table)
