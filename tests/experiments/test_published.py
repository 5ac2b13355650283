from __future__ import annotations

import pytest

from cvgl.config import PRESETS
from cvgl.experiments import experiments, published
from cvgl.experiments.configuration import Published, Situation
from cvgl.experiments.contents import CONTENTS
from cvgl.experiments.paper_models import PAPER_MODELS
from cvgl.experiments.published import D_TO_D, D_TO_S, G_TO_S, S_TO_D, TABLES

SITUATION = Situation(d0=384, n_queries=150, n_references=150)


# The columns of the paper's tables, each from top to bottom, typed in apart from `published`.
COLUMNS = {
    "table1": {
        (D_TO_S, "R@1"): (5.95, 31.25, 34.36, 58.23, 66.13, 66.65, 69.77, 75.93, 82.25, 92.65, 70.29),
        (D_TO_S, "AP"): (8.13, 40.67, 42.32, 62.91, 70.23, 70.82, 73.73, 79.14, 84.82, 93.81, 74.93),
        (S_TO_D, "R@1"): (21.53, 66.48, 68.23, 74.47, 80.17, 79.89, 81.46, 86.45, 87.87, 95.14, 79.03),
        (S_TO_D, "AP"): (11.24, 37.91, 41.24, 59.45, 65.76, 65.38, 70.45, 74.79, 81.53, 91.39, 61.03),
    },
    "table2": {
        (D_TO_S, "R@1"): (19.34, 24.12, 39.47),
        (D_TO_S, "R@5"): (40.89, 46.25, 81.01),
        (D_TO_S, "R@10"): (48.29, 57.31, 87.90),
        (D_TO_S, "AP"): (24.58, 31.53, 48.96),
    },
    "table4": {
        (D_TO_S, "R@1"): (81.55, 83.83, 94.07, 95.84),
        (D_TO_S, "R@5"): (93.50, 94.29, 95.28, 98.61),
        (D_TO_S, "AP"): (84.25, 86.19, 95.78, 96.49),
    },
    "table5": {
        (G_TO_S, "R@1"): (54.04, 57.32, 56.62, 60.94, 44.07, 44.97, 44.95, 45.49),
        (G_TO_S, "R@5"): (75.62, 78.94, 77.79, 80.48, 64.66, 65.01, 64.36, 66.19),
        (G_TO_S, "R@1%"): (93.80, 95.10, 94.69, 95.51, 90.09, 91.27, 90.65, 92.12),
    },
    "table6": {
        (D_TO_S, "R@1"): (31.60, 59.61, 63.93, 55.44, 69.45),
        (D_TO_S, "AP"): (36.60, 70.89, 73.79, 60.85, 74.07),
    },
    "table7": {
        (D_TO_S, "R@1"): (31.25, 65.62, 67.38, 69.45, 70.29, 70.24, 70.73),
        (D_TO_S, "AP"): (40.67, 70.56, 72.25, 74.07, 74.93, 74.83, 75.24),
    },
    "table8": {
        (D_TO_D, "R@1"): (40.12, 71.99),
        (D_TO_D, "R@5"): (66.04, 93.30),
        (D_TO_D, "R@10"): (75.55, 96.34),
        (D_TO_D, "AP"): (46.12, 81.36),
        (D_TO_S, "R@1"): (12.30, 31.24, 13.58, 70.73),
        (D_TO_S, "R@5"): (25.78, 50.48, 28.46, 91.83),
        (D_TO_S, "R@10"): (33.91, 58.61, 37.19, 95.69),
        (D_TO_S, "AP"): (16.06, 40.67, 17.60, 75.24),
    },
}


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_of_a_table_is_as_printed(name: str) -> None:
    columns: dict[tuple[str, str], list[float]] = {}
    for row in TABLES[name].rows.values():
        for value in row.values:
            columns.setdefault((value.direction, value.metric), []).append(value.percent)
    assert {column: tuple(cells) for column, cells in columns.items()} == COLUMNS[name]


def test_what_protocols_md_says_of_the_paper_agrees() -> None:
    assert published.TABLE1.rows["ours"].fraction(D_TO_S, "R@1") == 0.7029
    assert published.TABLE1.rows["ours"].fraction(S_TO_D, "AP") == 0.6103
    assert published.TABLE2.rows["anyloc"].fraction(D_TO_S, "AP") == 0.3153
    assert published.TABLE5.rows["cvact-geodtr"].fraction(G_TO_S, "R@1%") == 0.938
    assert published.TABLE5.rows["cvact-geodtr"].fraction(G_TO_S, "AP") is None
    assert [(row.pretrain[1], row.adaptation[1], row.test[1]) for row in published.TABLE3] == [
        (701, 250, 751),
        (35_531, 35_531, 8_884),
        (35_531, 35_531, 8_884),
    ]


def test_every_printed_row_has_something_that_measures_it_or_a_reason() -> None:
    for contents in CONTENTS.values():
        if contents.table is None:
            continue
        assert [entry.row for entry in contents.entries] == list(contents.table.rows)
        parts = {part.key: part for part in contents.parts}
        for entry in contents.entries:
            if not entry.part:
                assert entry.why
                continue
            rows = experiments.get(parts[entry.part].experiment).configurations(SITUATION)
            assert sum(row.name == entry.configuration or row.name.startswith(f"{entry.configuration} (") for row in rows) == 1


def test_every_part_names_an_experiment_and_a_model_that_there_are() -> None:
    for contents in CONTENTS.values():
        for part in contents.parts:
            assert part.experiment == contents.name
            model = PAPER_MODELS[part.model]
            assert bool(model.preset) != bool(model.released)
            assert not model.preset or model.preset in PRESETS
        # A table's rows share their stand-ins: nothing is measured twice in one place.
        replaced = [(part.need, part.vlad) for part in contents.parts if part.stand_ins]
        assert len(set(replaced)) == len(replaced)


def test_the_pages_are_the_papers_tables_and_figures_with_measurements() -> None:
    assert list(CONTENTS) == [
        *(f"table{number}" for number in range(1, 9)),
        *(f"fig{number}" for number in (2, 8, 9, 10, 11, 12, 13)),
    ]


def test_a_row_without_both_figures_is_no_point_of_an_ablation() -> None:
    assert Published.of(published.TABLE6.rows["empl"]) == Published(0.6393, 0.7379)
    with pytest.raises(Exception, match="no R@1 and AP"):
        Published.of(published.TABLE5.rows["cvact-geodtr"], G_TO_S)
