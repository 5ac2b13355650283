"""Table III: what is adapted on and what is tested have no place in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.config import IngestConfig, Layout
from cvgl.datasets.registry import DATASETS
from cvgl.errors import ConfigError
from cvgl.evaluation.retrieval_task import EvaluationRows, read_rows
from cvgl.experiments.split_test_set import split_rows
from cvgl.experiments.splits import CVACT_TO_CVUSA, CVUSA_TO_CVACT, TABLE_III, UNIVERSITY_TEST, place_counts, split_between
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake
from cvgl.retrieval import protocols
from cvgl.stages.ingest import ingest
from cvgl.types import View
from tests.data.layouts import Layouts


def rows_of(layouts: Layouts, layout: Layout, folder: Path) -> EvaluationRows:
    lake = Lake.at(folder / "lake")
    ingest(IngestConfig(source=str(layouts.original(layout)), dataset="d"), lake)
    return read_rows(lake, "d", [row["image_id"] for row in read_images(lake, "d").to_pylist()])


@pytest.mark.parametrize("layout", [Layout.CVUSA, Layout.CVACT])
def test_one_citys_training_images_lead_to_its_own_test_pairs(layouts: Layouts, layout: Layout, tmp_path: Path) -> None:
    rows = rows_of(layouts, layout, tmp_path)
    split = next(split for split in TABLE_III.values() if split.test.layout is layout)
    counts = place_counts(rows.rows)
    assert (counts.adaptation, counts.both) == (3, 0)
    assert counts.test == (3 if layout is Layout.CVUSA else 2)
    assert split.pretrain.layout is not split.adaptation.layout is split.test.layout
    rules = protocols.get(split.protocol)
    question = rows.questions(View.GROUND, rules.truth)[0]
    assert rules.size_note(str(question.direction), split.test.places, split.test.places) is None
    assert not set(rows.training_ids(View.GROUND)) & set(question.queries.image_ids)
    assert split.notes(rows)[0].startswith("adaptation: 3 places, of 35,532 that are published (printed in Table III: 35,531)")


def test_the_test_set_of_university1652_is_divided_by_places(layouts: Layouts, tmp_path: Path) -> None:
    rows = rows_of(layouts, Layout.UNIVERSITY1652, tmp_path)
    divided = split_rows(rows, seed=0)
    counts = place_counts(divided.rows)
    assert counts.both == 0
    assert counts.adaptation + counts.test == 3 + 4  # all places of the test, distractors included
    assert len(TABLE_III[UNIVERSITY_TEST].notes(divided)) == 2


def test_the_printed_numbers_are_those_of_the_table_and_the_others_are_published() -> None:
    printed = {name: (s.pretrain.printed, s.adaptation.printed, s.test.printed) for name, s in TABLE_III.items()}
    assert printed == {
        UNIVERSITY_TEST: (701, 250, 751),
        CVUSA_TO_CVACT: (35_531, 35_531, 8_884),
        CVACT_TO_CVUSA: (35_531, 35_531, 8_884),
    }
    parts = {
        part.name: part for layout in (Layout.UNIVERSITY1652, Layout.CVUSA, Layout.CVACT) for part in DATASETS[layout].parts
    }
    university = TABLE_III[UNIVERSITY_TEST]
    assert university.adaptation.places + university.test.places == parts["test/gallery_satellite"].locations
    assert TABLE_III[CVACT_TO_CVUSA].adaptation.places == parts["splits/train-19zl.csv"].images
    assert TABLE_III[CVUSA_TO_CVACT].test.places == parts["valSet"].images


def test_rows_are_found_by_where_a_model_comes_from_and_goes_to() -> None:
    assert split_between(Layout.CVUSA, Layout.CVACT) is TABLE_III[CVUSA_TO_CVACT]
    assert split_between(Layout.UNIVERSITY1652, Layout.UNIVERSITY1652).is_drawn
    with pytest.raises(ConfigError, match="no row from cvusa to cvusa"):
        split_between(Layout.CVUSA, Layout.CVUSA)
