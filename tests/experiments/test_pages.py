"""Pages made of results on lakes made by hand, as files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from cvgl.config import BackboneConfig, Layout
from cvgl.errors import GateRefusal, LakeError
from cvgl.experiments.configuration import Kind
from cvgl.experiments.contents import Need
from cvgl.experiments.counting import compose_counts, count
from cvgl.experiments.machine import describe_machine
from cvgl.experiments.page import Page
from cvgl.experiments.page_writing import delta_text, markdown, measured_text, write_index, write_page
from cvgl.experiments.pages import Finished, compose
from cvgl.experiments.planning import Lacking, Measurable, PagePlan
from cvgl.experiments.reproduce import reproduce
from cvgl.experiments.settings import ReproduceConfig
from cvgl.experiments.sources import SourceConfig
from cvgl.lake import Lake
from tests.experiments.towns import config, prepared, split_town
from tests.stages.lakes import DATASET, Shot, write_images, write_truth

SOURCE = SourceConfig(name="my town", dataset=DATASET, folder="/pictures", kind=Kind.UNIVERSITY)
COMMAND = "cvgl reproduce table1 --data-root '/my data'"
MACHINE = {"processor": "an abacus"}


def plan_of(name: str, parts: Sequence[tuple[str, bool]], source: SourceConfig = SOURCE) -> PagePlan:
    """A plan with 'gist' in each part: (key, stands in). What stands in stands in for a model that is lacking."""
    measurables = [
        Measurable(part=part, model="gist", stands_in=stands_in, config=_with(source, config(name, seeds=(0, 1))))
        for part, stands_in in parts
    ]
    lacking = [
        Lacking(part=part, model="DINOv2 <g>", reason="not measured: needs x.safetensors", command=COMMAND)
        for part, stands_in in parts
        if stands_in
    ]
    return PagePlan(name=name, measurables=measurables, lacking=lacking, notes=("a note",), command=COMMAND)


def _with(source: SourceConfig, settings: ReproduceConfig) -> ReproduceConfig:
    return settings.model_copy(update={"sources": (source,), "backbones": (BackboneConfig(name="gist"),)})


def measured(plan: PagePlan, lake: Lake, shots: list[Shot]) -> list[Finished]:
    features = prepared(lake, shots)
    return [Finished(measurable, reproduce(features, measurable.config, lake)) for measurable in plan.measurables]


@pytest.fixture
def page(lake: Lake) -> Page:
    plan = plan_of("table1", [("dinov2", True)])
    return compose(plan, measured(plan, lake, split_town()), str(lake.root))


def test_every_printed_row_is_on_the_page_measured_or_with_the_reason(page: Page) -> None:
    table, own = page.tables
    methods = {line.method for line in table.lines}
    assert {"DINOv2", "University-1652", "RK-Net", "LCM", "DWDR", "LPN", "Ours"} <= methods
    theirs, ours = [line for line in table.lines if line.method == "DINOv2"]
    assert (theirs.stands_in, theirs.reason, theirs.command) == (False, "not measured: needs x.safetensors", COMMAND)
    assert (ours.stands_in, ours.reason, ours.model, ours.data) == (True, "", "gist", "my town")
    assert all(line.reason.startswith("published only") for line in table.lines if line.method == "LPN")
    assert [line.method for line in own.lines] == ["view-standardised", "paper's method, views standardised", "robust"]


def test_differences_are_measured_minus_published(page: Page) -> None:
    line = next(line for line in page.tables[0].lines if line.method == "Ours" and line.stands_in)
    assert page.tables[0].columns[0] == ("drone_to_satellite", "R@1")
    cell = line.cells[0]
    assert cell.published == 0.7029
    assert cell.measured is not None
    assert len(cell.measured.values) == 2
    assert cell.delta == pytest.approx(cell.measured.mean - 0.7029)
    assert delta_text(cell) == f"{100 * (cell.measured.mean - 0.7029):+.2f}"
    assert measured_text(cell).startswith(f"{100 * cell.measured.mean:.2f}")


def test_the_heading_says_when_it_is_not_the_papers_data_and_models(page: Page) -> None:
    assert not page.whole
    assert page.heading.startswith("Not the paper’s data and models: measured on my town, a part of the data set")
    assert "with gist in place of DINOv2 <g>" in page.heading


def test_a_built_in_world_is_said_in_the_heading(lake: Lake) -> None:
    drawn = SOURCE.model_copy(update={"drawn": True, "name": "world-university1652"})
    plan = plan_of("fig11", [("dinov2", True)], drawn)
    page = compose(plan, measured(plan, lake, split_town(places=12)), str(lake.root))
    assert "world-university1652, the built-in world" in page.heading


def test_where_figures_come_from_is_told(page: Page, lake: Lake) -> None:
    (row,) = [dict(zip(page.provenance.columns, row, strict=True)) for row in page.provenance.rows]
    assert (row["seeds"], row["protocol"]) == ("0, 1", "university1652-951")
    assert len(row["protocol hash"]) == 16
    results = [json.loads(path.read_text()) for path in (lake.root / "reproductions").glob("table1/*/results.json")]
    assert row["features"] == results[0]["features"]


def test_a_page_is_written_and_left_as_it_is_when_it_says_the_same(page: Page, lake: Lake) -> None:
    first = write_page(page, lake, MACHINE, 12.0)
    html, text = first.html.read_text(), first.markdown.read_text()
    assert "an abacus" in html
    assert "12.0 s" in html
    assert "DINOv2 &lt;g&gt;" in html
    assert "<script" not in html
    assert "70.29" in text
    assert COMMAND in text
    again = write_page(page, lake, {"processor": "another"}, 99.0)
    assert again.skipped
    assert first.html.read_text() == html
    changed = write_page(page.model_copy(update={"command": "cvgl"}), lake, MACHINE, 1.0)
    assert not changed.skipped
    assert "12.0 s" in changed.html.read_text()  # the same results in other words: measured when they were measured
    first.html.unlink()
    assert not write_page(page, lake, MACHINE, 1.0).skipped


def test_hardware_and_time_are_on_the_page_and_in_no_result(page: Page, lake: Lake) -> None:
    write_page(page, lake, MACHINE, 12.0)
    named = [path for path in (lake.root / "reproductions").rglob("*") if path.is_file() and b"an abacus" in path.read_bytes()]
    assert sorted(path.name for path in named) == ["index.html", "index.md", "page.json"]


def test_what_was_refused_is_on_the_page_with_its_cause(lake: Lake) -> None:
    plan = plan_of("table1", [("dinov2", True)])
    refusal = GateRefusal("all right", where="my town", fix="shuffle")
    page = compose(plan, [Finished(plan.measurables[0], None, refusal)], str(lake.root))
    assert page.problems == ("gist on my town: all right (where: my town; to do: shuffle)",)
    assert page.heading == "Nothing was measured."
    text = markdown(page, MACHINE, lake.root / "reproductions" / "table1", lake.root)
    assert "not measured: all right" in text


def test_drawings_are_in_the_page_itself(lake: Lake) -> None:
    plan = plan_of("fig13", [("dinov2", True)])
    page = compose(plan, measured(plan, lake, split_town(places=12)), str(lake.root))
    outcome = write_page(page, lake, MACHINE, 1.0)
    assert "data:image/png;base64," in outcome.html.read_text()
    (named,) = [line for line in outcome.markdown.read_text().splitlines() if line.startswith("![")]
    assert (outcome.markdown.parent / named.partition("](")[2].rstrip(")")).is_file()
    assert page.grids[0].columns[0] == "configuration"


def test_ground_truth_rows_are_marked(lake: Lake) -> None:
    plan = plan_of("table6", [("dinov2", True)])
    page = compose(plan, measured(plan, lake, split_town()), str(lake.root))
    marked = {line.method for table in page.tables for line in table.lines if line.uses_ground_truth}
    assert marked == {"Supervised", "view-standardised, supervised"}
    assert "Supervised *" in write_page(page, lake, MACHINE, 1.0).markdown.read_text()


def test_the_index_leads_to_every_page(page: Page, lake: Lake) -> None:
    outcome = write_page(page, lake, MACHINE, 1.0)
    html, text = write_index([outcome], lake)
    assert '<a href="table1/index.html">Table I</a>' in html.read_text()
    assert "[Table I](table1/index.md)" in text.read_text()
    assert (html.parent / "table1" / "index.html") == outcome.html


def three(tmp_path: Path) -> tuple[PagePlan, Lake]:
    """Three data sets of one town, each under its own name."""
    lake = Lake.at(tmp_path / "lake")
    sources = []
    for need in (Need.UNIVERSITY, Need.CVUSA, Need.CVACT):
        name = str(need.kind)
        write_images(lake, split_town(places=20), Layout.FOLDER, name)
        write_truth(lake, split_town(places=20), name)
        sources.append(SourceConfig(name=name, dataset=name, folder="/pictures", kind=need.kind))
    return PagePlan(name="table3", measurables=(), lacking=(), notes=(), command=COMMAND, counted=tuple(sources)), lake


def test_table_iii_counts_ids(tmp_path: Path) -> None:
    plan, lake = three(tmp_path)
    counts = {
        need: count(source, lake, 0)
        for need, source in zip((Need.UNIVERSITY, Need.CVUSA, Need.CVACT), plan.counted, strict=True)
    }
    counted = counts[Need.UNIVERSITY]
    assert dataclasses.astuple(counted) == (10, 10, 10, 4)
    assert counted.left == 6
    page = compose_counts(plan, counts)
    assert not page.whole
    rows = [dict(zip(page.grids[0].columns, row, strict=True)) for row in page.grids[0].rows]
    assert len(rows) == 9
    assert (rows[2]["published"], rows[2]["the release has"], rows[2]["measured"]) == ("751", "701", "6")
    assert (rows[3]["published"], rows[3]["the release has"], rows[3]["difference"]) == ("35,531", "35,532", "-35,521")


def test_counting_a_data_set_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="nothing"):
        count(SOURCE.model_copy(update={"dataset": "nothing"}), Lake.at(tmp_path), 0)


def test_a_machine_is_described_without_a_name_or_address_of_its_own() -> None:
    import platform

    machine = describe_machine()
    assert {"processor", "system", "versions"} <= set(machine)
    assert platform.node() not in " ".join(machine.values())
