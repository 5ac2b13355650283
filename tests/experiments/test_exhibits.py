from __future__ import annotations

import numpy as np
import pytest

from cvgl.adaptation import standardise
from cvgl.experiments.exhibits import DEPTHS, similarity_differences
from cvgl.experiments.material import load_material
from cvgl.experiments.reproduce import ReproduceOutcome, reproduce
from cvgl.lake import Lake, read_json
from cvgl.reporting.theme import LIGHT, to_png
from tests.experiments.towns import PROTOCOL, config, prepared, split_town


def drawn(lake: Lake, name: str, **options: int) -> ReproduceOutcome:
    return reproduce(prepared(lake, split_town(**options)), config(name, seeds=(0,)), lake)


@pytest.mark.parametrize("name", ["fig2", "fig9", "fig10", "fig11", "fig12", "fig13"])
def test_every_figure_is_drawn_with_what_it_shows_as_a_table(lake: Lake, name: str) -> None:
    outcome = drawn(lake, name)
    assert outcome.figure is not None
    assert outcome.figure.read_bytes().startswith(b"\x89PNG")
    assert outcome.figures.rows
    assert all(len(row) == len(outcome.figures.columns) for row in outcome.figures.rows)
    assert read_json(outcome.ref.path / "figures.json") == outcome.figures.model_dump(mode="json")
    again = reproduce(prepared(lake, split_town()), config(name, seeds=(0,)), lake)
    assert again.skipped
    assert again.figures == outcome.figures


def test_recall_within_one_view_stays_above_recall_across(lake: Lake) -> None:
    rows = {str(row[0]): [float(value) for value in row[1:]] for row in drawn(lake, "fig2", places=60).figures.rows}
    assert list(rows) == ["drone to satellite", "drone to drone"]
    for values in rows.values():
        assert len(values) == len(DEPTHS)
        assert values == sorted(values)
    assert rows["drone to drone"][0] > rows["drone to satellite"][0]


def test_adapting_moves_right_pairs_above_wrong_ones(lake: Lake) -> None:
    facts = {row[0]: row for row in drawn(lake, "fig13", places=60).figures.rows}
    assert float(facts["frozen"][3]) < float(facts["robust"][3])
    separated = {row[0]: row for row in drawn(lake, "fig11", places=60).figures.rows}
    assert int(separated["frozen"][1]) + int(separated["frozen"][2]) == 90
    assert int(separated["robust"][1]) > int(separated["frozen"][1])


def test_a_similarity_difference_is_to_the_best_right_and_the_best_wrong_answer(lake: Lake) -> None:
    material = load_material(lake, prepared(lake, split_town(places=12)), PROTOCOL)
    for examination in material.examinations:
        question = examination.question
        difference = similarity_differences(examination, standardise.frozen(material.d0))
        for row, value in enumerate(difference.tolist()):
            scores = examination.gallery @ examination.queries[row]
            right = np.array([place == question.queries.places[row] for place in question.gallery.places])
            assert value == pytest.approx(float(scores[right].max() - scores[~right].max()), abs=1e-5)


def test_a_damaged_drawing_is_drawn_again(lake: Lake) -> None:
    outcome = drawn(lake, "fig13", places=12)
    assert outcome.figure is not None
    before = outcome.figure.read_bytes()
    outcome.figure.unlink()
    (outcome.ref.path / "figures.json").write_text("{")
    again = drawn(lake, "fig13", places=12)
    assert again.figure is not None
    assert again.figure.read_bytes() == before


def test_equal_differences_can_be_drawn() -> None:
    from cvgl.experiments.drawing import difference_histogram

    assert to_png(difference_histogram({"frozen": np.zeros(5), "nothing": np.zeros(0)}, LIGHT)).startswith(b"\x89PNG")
