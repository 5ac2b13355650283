"""A damaged copy of each published layout: what is missing, extra or wrong is named, and what to do about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cvgl.config import IngestConfig, Layout
from cvgl.datasets import releases
from cvgl.datasets.dataset import Part
from cvgl.datasets.detection import list_source
from cvgl.datasets.inspection import Inspection, inspect
from cvgl.datasets.registry import DATASETS
from cvgl.datasets.releases import State, count_parts, release_difference
from cvgl.errors import DataError
from tests.data.images import place_image, save, university1652
from tests.data.layouts import LAYOUTS, Layouts

Damage = Callable[[Path], object]


def first(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def stray(name: str) -> Damage:
    return lambda folder: save(place_image(99), folder / name)


def remove(pattern: str) -> Damage:
    def damage(folder: Path) -> None:
        path = first(folder, pattern)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    return damage


# Layout, what is done to the copy, the kind of the problem, and what has to be named in it.
DAMAGES: list[tuple[Layout, Damage, str, str]] = [
    (Layout.UNIVERSITY1652, remove("test/gallery_satellite/0003"), "missing", "0003"),
    (Layout.UNIVERSITY1652, remove("train/satellite/0001"), "missing", "train/satellite"),
    (Layout.UNIVERSITY1652, remove("train/drone/0000/*"), "missing", "0000 (3)"),
    (Layout.UNIVERSITY1652, stray("train/drone/0000/more.jpg"), "extra", "0000 (5)"),
    (Layout.UNIVERSITY1652, stray("train/thermal/0000/1.jpg"), "extra", "train/thermal"),
    (Layout.UNIVERSITY1652, stray("test/query_drone/loose.jpg"), "wrong", "test/query_drone/loose.jpg"),
    (Layout.UNIVERSITY1652, lambda f: halve(first(f, "train/drone/0001/*")), "unreadable", "train/drone/0001"),
    (Layout.UNIVERSITY160K, remove("test/gallery_satellite/0004"), "missing", "0004"),
    (Layout.UNIVERSITY160K, lambda f: first(f, "gallery_satellite_160k/*").write_bytes(b""), "unreadable", "160k"),
    (Layout.UNIVERSITY160K_OFFICIAL, remove("query_drone_160k/*"), "missing", "query_drone_160k/"),
    (Layout.UNIVERSITY160K_OFFICIAL, stray("query_drone_160k/zz.jpeg"), "extra", "query_drone_160k/zz.jpeg"),
    (Layout.UNIVERSITY160K_OFFICIAL, lambda f: halve(first(f, "gallery_satellite_160k/*")), "unreadable", "160k"),
    (Layout.CVUSA, remove("bingmap/19/*"), "missing", "bingmap/19/0000001.jpg"),
    (Layout.CVUSA, stray("streetview/panos/0000099.jpg"), "extra", "streetview/panos/0000099.jpg"),
    (Layout.CVUSA, lambda f: (f / "splits/val-19zl.csv").write_text("one\n"), "wrong", "splits/val-19zl.csv:1"),
    (Layout.CVUSA, lambda f: halve(first(f, "streetview/panos/*")), "unreadable", "streetview/panos/0000001.jpg"),
    (Layout.CVACT, remove("ANU_data_small/streetview/*"), "missing", "ANU_data_small/streetview"),
    (Layout.CVACT, remove("ANU_data_test/satview_polish/*"), "missing", "ANU_data_test/satview_polish"),
    (Layout.CVACT, stray("ANU_data_test/streetview/no_grdView.jpg"), "extra", "no_grdView.jpg"),
    (Layout.CVACT, lambda f: halve(first(f, "ANU_data_test/streetview/*")), "unreadable", "ANU_data_test/streetview"),
    (Layout.SUES200, remove("satellite-view/0001"), "missing", "0001"),
    (Layout.SUES200, remove("drone_view_512/0001"), "missing", "0001"),
    (Layout.SUES200, stray("drone_view_512/0001/250/9.jpg"), "extra", "0001/250 (2)"),
    (Layout.SUES200, stray("drone_view_512/0001/175/9.jpg"), "wrong", "175"),
    (Layout.SUES200, lambda f: halve(f / "satellite-view/0002/0.png"), "unreadable", "satellite-view/0002/0.png"),
    (Layout.DENSEUAV, remove("test/gallery_satellite/000003"), "missing", "000003"),
    (Layout.DENSEUAV, remove("train/satellite/000000/*"), "missing", "000000 (5)"),
    (Layout.DENSEUAV, lambda f: (f / "Dense_GPS_ALL.txt").write_text("x\n"), "wrong", "Dense_GPS_ALL.txt:1"),
    (Layout.DENSEUAV, lambda f: halve(first(f, "train/drone/*/*")), "unreadable", "train/drone"),
]


def texts_of(inspection: Inspection, kind: str) -> str:
    """Everything that is said in problems of a kind."""
    problems = [problem for problem in inspection.problems if problem.kind == kind]
    assert all(problem.fix and problem.count > 0 for problem in problems)
    return " ".join(" ".join((problem.what, *problem.examples)) for problem in problems)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Layout], None]:
    """Makes what a folder holds what is published, so that the folder is a complete copy."""

    def publish(folder: Path, layout: Layout) -> None:
        several = [layout, Layout.CVACT_TEST] if layout is Layout.CVACT else [layout]
        datasets = dict(DATASETS)
        for released in several:
            counts = count_parts(list_source(IngestConfig(source=str(folder), dataset="d", layout=released)))
            parts = tuple(
                Part(c.part.name, c.images, None if c.part.locations is None else c.locations) for c in counts if c.images
            )
            datasets[released] = replace(DATASETS[released], parts=parts, parts_in=None)
        monkeypatch.setattr(releases, "DATASETS", datasets)

    return publish


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_complete_copy_is_right(layouts: Layouts, layout: Layout, published: Callable[[Path, Layout], None]) -> None:
    folder = layouts.original(layout)
    published(folder, layout)
    inspection = inspect(str(folder), sample=None)
    assert inspection.problems == ()
    assert inspection.is_right
    assert {count.state for count in inspection.counts} == {State.RIGHT}
    assert inspection.layout is layout
    assert inspection.opened == inspection.images > 0


@pytest.mark.parametrize(("layout", "damage", "kind", "named"), DAMAGES)
def test_a_damaged_copy_says_what_is_wrong(
    layouts: Layouts,
    tmp_path: Path,
    published: Callable[[Path, Layout], None],
    layout: Layout,
    damage: Damage,
    kind: str,
    named: str,
) -> None:
    published(layouts.original(layout), layout)
    folder = layouts.copy(layout, tmp_path)
    damage(folder)
    inspection = inspect(str(folder), layout, sample=None)
    assert not inspection.is_right
    assert named in texts_of(inspection, kind)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_small_copy_is_wrong_unless_a_part_is_meant(layouts: Layouts, layout: Layout) -> None:
    folder = str(layouts.original(layout))
    whole, part = inspect(folder, sample=0), inspect(folder, sample=0, partial=True)
    required = [p for p in DATASETS[layout].parts if not p.optional]
    for required_part in required:
        assert f"{required_part.name} has" in texts_of(whole, "missing")
        assert f"should have {required_part.images:,}" in texts_of(whole, "missing")
    assert part.is_right
    assert [count.images for count in part.counts] == [count.images for count in whole.counts]


def test_published_numbers_are_those_of_the_sources() -> None:
    def of(layout: Layout) -> dict[str, tuple[int | None, int | None]]:
        return {part.name: (part.images, part.locations) for part in DATASETS[layout].parts}

    university = of(Layout.UNIVERSITY1652)
    assert university["train/drone"] == (37_854, 701)
    assert university["test/query_drone"] == (37_855, 701)
    assert university["test/gallery_satellite"] == (951, 951)
    assert university["test/query_satellite"] == (701, 701)
    assert university["test/gallery_drone"] == (51_355, 951)
    assert of(Layout.UNIVERSITY160K_OFFICIAL)["gallery_satellite_160k"] == (168_437, None)
    assert of(Layout.CVUSA)["splits/train-19zl.csv"] == (35_532, None)
    assert of(Layout.CVUSA)["splits/val-19zl.csv"] == (8_884, None)
    assert of(Layout.CVACT)["valSet"] == (8_884, None)
    assert of(Layout.CVACT_TEST)["valSetAll"] == (92_802, None)
    assert of(Layout.SUES200) == {"drone_view_512": (40_000, 200), "satellite-view": (200, 200)}
    assert of(Layout.DENSEUAV)["train/drone"] == (6_768, 2_256)
    assert of(Layout.DENSEUAV)["test/query_drone"] == (2_331, 777)


def test_a_surplus_is_extra(layouts: Layouts, tmp_path: Path, published: Callable[[Path, Layout], None]) -> None:
    published(layouts.original(Layout.UNIVERSITY1652), Layout.UNIVERSITY1652)
    folder = layouts.copy(Layout.UNIVERSITY1652, tmp_path)
    save(place_image(50), folder / "test/gallery_satellite/0042/0042.jpg")
    assert "test/gallery_satellite has 8 images of 8 places and should have 7" in texts_of(inspect(str(folder)), "extra")


def test_an_absent_part_is_missing(layouts: Layouts, tmp_path: Path, published: Callable[[Path, Layout], None]) -> None:
    published(layouts.original(Layout.UNIVERSITY1652), Layout.UNIVERSITY1652)
    folder = layouts.copy(Layout.UNIVERSITY1652, tmp_path)
    shutil.rmtree(folder / "test/query_drone")
    inspection = inspect(str(folder))
    assert "test/query_drone is missing" in texts_of(inspection, "missing")
    assert next(c.state for c in inspection.counts if c.part.name == "test/query_drone") is State.MISSING


@pytest.mark.parametrize(
    ("layout", "lost", "named"),
    [
        (
            Layout.UNIVERSITY1652,
            "test/gallery_satellite",
            "3 places of test/query_drone have no image in test/gallery_satellite",
        ),
        (Layout.UNIVERSITY1652, "train/satellite", "3 places of train/drone have no image in train/satellite"),
        (Layout.SUES200, "satellite-view", "6 places of drone_view_512 have no image in satellite-view"),
        (Layout.DENSEUAV, "test/gallery_satellite", "3 places of test/query_drone have no image in test/gallery_satellite"),
    ],
)
def test_a_part_of_a_release_without_a_whole_view_is_wrong(
    layouts: Layouts, tmp_path: Path, layout: Layout, lost: str, named: str
) -> None:
    folder = layouts.copy(layout, tmp_path)
    shutil.rmtree(folder / lost)
    assert named in texts_of(inspect(str(folder), layout, partial=True), "missing")


def test_a_part_of_a_release_may_have_one_direction_alone(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.UNIVERSITY1652, tmp_path)
    shutil.rmtree(folder / "test/gallery_drone")
    shutil.rmtree(folder / "test/query_satellite")
    assert inspect(str(folder), partial=True).is_right


def test_an_uneven_part_of_a_release_is_a_note(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.UNIVERSITY1652, tmp_path)
    first(folder, "train/drone/*/*").unlink()
    inspection = inspect(str(folder), partial=True)
    assert inspection.is_right
    assert "1 places of train/drone have fewer images than the usual 4: 0000 (3)" in inspection.notes


def test_a_pair_without_a_row_of_positions_is_told(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.CVUSA, tmp_path)
    table = folder / "split_locations/all.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:2]))
    assert "8 images have no position: the table of positions has 2 rows" in inspect(str(folder), partial=True).notes


@pytest.mark.parametrize(
    ("layout", "lost", "needed"),
    [(Layout.CVUSA, "splits/*.csv", "splits/train-19zl.csv"), (Layout.CVACT, "ACT_data.mat", "ACT_data.mat")],
)
def test_pairs_without_what_names_them_are_known_all_the_same(
    layouts: Layouts, tmp_path: Path, layout: Layout, lost: str, needed: str
) -> None:
    folder = layouts.copy(layout, tmp_path)
    for path in folder.glob(lost):
        path.unlink()
    with pytest.raises(DataError, match=needed):
        inspect(str(folder))


def test_a_sample_is_spread_over_all_and_opens_no_more(tmp_path: Path) -> None:
    root = university1652(tmp_path, train=6, test=5)
    last = sorted(root.glob("train/satellite/*/*"))[-1]
    halve(last)
    halve(sorted(root.glob("train/drone/*/*"))[1])
    few, none = inspect(str(root), sample=5, partial=True), inspect(str(root), sample=0, partial=True)
    assert (few.opened, none.opened) == (5, 0)
    assert none.is_right
    assert "--all" in next(problem.fix for problem in few.problems if problem.kind == "unreadable")
    everything = inspect(str(root), sample=None, partial=True)
    assert everything.opened == everything.images
    assert "2 of all" in texts_of(everything, "unreadable")
    assert last.name in texts_of(few, "unreadable")


def test_ones_own_images_are_looked_at_by_what_they_say(tmp_path: Path) -> None:
    save(place_image(1), tmp_path / "drone/1.jpg")
    save(place_image(1), tmp_path / "satellite/1.jpg")
    assert inspect(str(tmp_path)).is_right
    halve(tmp_path / "drone/1.jpg")
    assert "drone/1.jpg" in texts_of(inspect(str(tmp_path)), "unreadable")
    (tmp_path / "manifest.csv").write_text("path,view\nsatellite/1.jpg,satellite\ngone.jpg,drone\n")
    inspection = inspect(str(tmp_path))
    assert (inspection.layout, inspection.counts) == (Layout.MANIFEST, ())
    assert "gone.jpg" in texts_of(inspection, "unreadable")


def test_the_challenges_gallery_beside_the_labelled_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = university1652(tmp_path)
    monkeypatch.setattr("cvgl.datasets.inspection.WHOLE_GALLERY", 3)
    for number in range(3):
        save(place_image(100 + number), root / f"gallery_satellite_160k/{number}.jpg")
    inspection = inspect(str(root), partial=True)
    assert "once more under masked names" in texts_of(inspection, "extra")


def test_only_published_layouts_deviate(tmp_path: Path) -> None:
    save(place_image(1), tmp_path / "drone/1.jpg")
    assert release_difference(list_source(IngestConfig(source=str(tmp_path), dataset="d"))) is None
