"""Every published layout: recognised and read, with labels and positions where only evaluation looks."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from cvgl.config import IngestConfig, Layout
from cvgl.datasets.detection import list_source, recognise
from cvgl.datasets.registry import default_protocol
from cvgl.errors import ConfigError, DataError
from cvgl.evaluation.retrieval_task import read_rows
from cvgl.ingestion.ground_truth import read_ground_truth
from cvgl.ingestion.tables import layout_of, read_images
from cvgl.lake import Lake
from cvgl.retrieval import protocols
from cvgl.stages.ingest import ingest
from cvgl.synthetic import WorldConfig, for_layout, generate, write_layout
from cvgl.synthetic.act_data import act_data
from cvgl.synthetic.layouts import pano_id
from cvgl.types import Subset, View
from tests.data.layouts import LAYOUTS, SMALL, Layouts

# Of 3 places to train on and 3 to be asked for; view, subsets, labelled, placed -> images.
_TREE = {
    ("drone", "train", True, False): 12,
    ("satellite", "train", True, False): 3,
    ("drone", "query", True, False): 12,
    ("drone", "gallery", True, False): 12,
    ("satellite", "query", True, False): 3,
}
CONTENTS = {
    Layout.UNIVERSITY1652: _TREE | {("satellite", "gallery", True, False): 7},
    Layout.UNIVERSITY160K: _TREE | {("satellite", "gallery", True, False): 5, ("satellite", "gallery", False, False): 2},
    Layout.UNIVERSITY160K_OFFICIAL: {
        ("drone", "train", True, False): 12,
        ("satellite", "train", True, False): 3,
        ("drone", "query", False, False): 12,
        ("satellite", "gallery", False, False): 7,
    },
    Layout.CVUSA: {
        ("ground", "train", True, True): 3,
        ("satellite", "train", True, True): 3,
        ("ground", "gallery+query", True, True): 3,
        ("satellite", "gallery+query", True, True): 3,
    },
    Layout.CVACT: {
        ("ground", "train", True, True): 3,
        ("satellite", "train", True, True): 3,
        ("ground", "gallery+query", True, True): 2,
        ("satellite", "gallery+query", True, True): 2,
    },
    Layout.SUES200: {
        ("drone", "gallery+train", True, False): 12,
        ("drone", "gallery+query", True, False): 12,
        ("satellite", "gallery+train", True, False): 3,
        ("satellite", "gallery+query", True, False): 3,
    },
    Layout.DENSEUAV: {
        ("drone", "train", True, True): 9,
        ("drone", "query", True, True): 9,
        ("drone", "gallery", True, True): 18,
        ("satellite", "train", True, True): 18,
        ("satellite", "query", True, True): 18,
        ("satellite", "gallery", True, True): 36,
    },
}
# By which each is judged, its queries and its gallery; both directions where both are asked.
JUDGED = {
    Layout.UNIVERSITY1652: ("university1652-951", [(12, 7), (3, 12)]),
    Layout.UNIVERSITY160K: ("university160k-local", [(12, 7), (5 + 2, 12)]),
    Layout.UNIVERSITY160K_OFFICIAL: ("university160k-official", [(12, 7)]),
    Layout.CVUSA: ("cvusa", [(3, 3), (3, 3)]),
    Layout.CVACT: ("cvact-val", [(2, 2), (2, 2)]),
    Layout.SUES200: ("sues200", [(12, 6), (3, 24)]),
    Layout.DENSEUAV: ("denseuav", [(9, 36), (18, 18)]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_release_is_recognised_and_read_whole(layouts: Layouts, layout: Layout) -> None:
    folder = layouts.original(layout)
    assert recognise(folder)[0] is layout
    listing = list_source(IngestConfig(source=str(folder), dataset="d"))
    counts = Counter(
        (str(e.view), "+".join(e.subsets), e.location_id is not None, e.position is not None) for e in listing.entries
    )
    assert counts == CONTENTS[layout]
    assert (listing.layout, listing.refusals) == (layout, [])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_labels_lie_apart_and_every_question_has_its_answer(layouts: Layouts, layout: Layout, tmp_path: Path) -> None:
    lake = Lake.at(tmp_path / "lake")
    outcome = ingest(IngestConfig(source=str(layouts.original(layout)), dataset="d"), lake)
    assert outcome.quarantined == 0
    assert len(outcome.warnings) == 1
    assert f"not {layout} as published" in outcome.warnings[0]
    labels = {row["location_id"] for row in read_ground_truth(lake, "d").to_pylist()} - {None}
    assert len(labels) >= 3
    images = read_images(lake, "d").to_pylist()
    for row in images:
        assert row["sequence"] is None
        assert not {str(value) for name, value in row.items() if name != "uri"} & labels
        if row["view"] != View.SATELLITE:
            assert {row[name] for name in ("latitude", "longitude", "x", "y", "crs")} == {None}
    (protocol,) = protocols.resolve(["auto"], default_protocol(layout_of(lake, "d")))
    name, sizes = JUDGED[layout]
    assert protocol.name == name
    rows = read_rows(lake, "d", [row["image_id"] for row in images])
    query_view = View.DRONE if any(row["view"] == View.DRONE for row in images) else View.GROUND
    questions = rows.questions(query_view, protocol.truth, protocol.satellite_queries)
    assert [(len(q.queries.image_ids), len(q.gallery.image_ids)) for q in questions] == sizes
    if protocol.truth == "location":
        first = questions[0]
        assert set(first.queries.places) <= set(first.gallery.places)
        assert None not in first.queries.places
        assert protocol.size_note(str(first.direction), *sizes[0]) is not None


def test_training_on_one_part_of_the_lake_names_no_place(layouts: Layouts, tmp_path: Path) -> None:
    lake = Lake.at(tmp_path / "lake")
    ingest(IngestConfig(source=str(layouts.original(Layout.CVACT)), dataset="d"), lake)
    rows = read_rows(lake, "d", [row["image_id"] for row in read_images(lake, "d").to_pylist()])
    training, tested = set(rows.training_ids(View.GROUND)), set(rows.questions(View.GROUND, "location")[0].queries.image_ids)
    assert len(training) == 3
    assert not training & tested


def test_equal_worlds_are_equal_bytes(layouts: Layouts, tmp_path: Path) -> None:
    again = write_layout(Layout.DENSEUAV, for_layout(Layout.DENSEUAV, SMALL), tmp_path / "again", workers=2)
    first = layouts.original(Layout.DENSEUAV)
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
    assert names == sorted(str(p.relative_to(again)) for p in again.rglob("*") if p.is_file() and p.name != "world.json")
    assert all((first / name).read_bytes() == (again / name).read_bytes() for name in names)


def test_the_hour_is_not_in_cvacts_table(layouts: Layouts) -> None:
    world = generate(for_layout(Layout.CVACT, SMALL))
    tested = [place.number for place in world.locations if place.subset is Subset.QUERY]
    written = act_data(world, [pano_id(place) for place in world.locations], tested)
    assert written == (layouts.original(Layout.CVACT) / "ACT_data.mat").read_bytes()
    assert b"Created on" not in written


@pytest.mark.parametrize(
    ("layout", "changes"),
    [
        (Layout.CVUSA, {"panoramas": 0}),
        (Layout.CVACT, {"distractors": 3}),
        (Layout.SUES200, {"views": 6}),
        (Layout.SUES200, {"places": 300}),
        (Layout.DENSEUAV, {"views": 4}),
        (Layout.FOLDER, {}),
    ],
)
def test_a_world_that_does_not_fit_is_refused(layout: Layout, changes: dict[str, int], tmp_path: Path) -> None:
    config = WorldConfig(**{**for_layout(layout, SMALL).model_dump(), **changes})
    with pytest.raises(ConfigError):
        write_layout(layout, config, tmp_path / "world")


def test_a_folder_above_a_release_is_told_apart(layouts: Layouts, tmp_path: Path) -> None:
    copy = layouts.copy(Layout.SUES200, tmp_path)
    with pytest.raises(DataError, match=re.escape(str(copy))):
        recognise(tmp_path)
