"""One content is one image; contradictions are refused; the order of names decides."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cvgl.geo import Position
from cvgl.ingestion.entries import Entry, Reason, WorldFile
from cvgl.ingestion.merging import SourceImage, merge_entries
from cvgl.ingestion.scan_cache import Scan
from cvgl.types import Subset, View

TRAIN, QUERY, GALLERY = Subset.TRAIN, Subset.QUERY, Subset.GALLERY


def scans_of(contents: dict[str, str]) -> dict[Path, Scan]:
    return {
        Path(name): Scan(uri=name, size=1, mtime_ns=1, image_id=content, width=30, height=20)
        for name, content in contents.items()
    }


def test_other_roles_are_merged_and_the_first_name_stays() -> None:
    entries = [
        Entry(Path("/gallery/a"), View.DRONE, (GALLERY,), location_id="1"),
        Entry(Path("/query/a"), View.DRONE, (QUERY,), location_id="1", sequence="walk"),
    ]
    united, refusals = merge_entries(entries, scans_of({"/gallery/a": "A", "/query/a": "A"}), {})
    assert refusals == []
    image = united["A"]
    assert (image.uri, image.subsets, image.sequence) == ("/gallery/a", (GALLERY, QUERY), "walk")


def test_a_name_that_adds_nothing_is_a_duplicate_and_names_the_first() -> None:
    entries = [Entry(Path(f"/{name}"), View.DRONE, (TRAIN, QUERY)) for name in "ab"]
    united, (refusal,) = merge_entries(entries, scans_of({"/a": "A", "/b": "A"}), {})
    assert (list(united), refusal.uri, refusal.reason) == (["A"], "/b", Reason.DUPLICATE)
    assert "/a" in refusal.detail


def test_contradictions_have_reasons_of_their_own() -> None:
    entries = [
        Entry(Path("/a"), View.DRONE, (QUERY,), location_id="1"),
        Entry(Path("/b"), View.SATELLITE, (GALLERY,), location_id="1"),
        Entry(Path("/c"), View.DRONE, (GALLERY,), location_id="2"),
    ]
    united, refusals = merge_entries(entries, scans_of({"/a": "A", "/b": "A", "/c": "A"}), {})
    assert [refusal.reason for refusal in refusals] == [Reason.CONFLICTING_VIEW, Reason.CONFLICTING_LOCATION]
    assert united["A"].subsets == (QUERY,)  # what is refused adds no role


def test_a_file_named_twice_does_not_refuse_itself() -> None:
    entries = [Entry(Path("/a"), View.DRONE, (TRAIN,), label=f"m.csv:{row}") for row in (2, 3)]
    united, (refusal,) = merge_entries(entries, scans_of({"/a": "A"}), {})
    assert united["A"].uri == "/a"
    assert (refusal.uri, refusal.reason) == ("m.csv:3: /a", Reason.DUPLICATE)


def test_a_bad_scan_is_its_reason() -> None:
    scans = {Path("/a"): Scan(uri="/a", reason=Reason.EMPTY, detail="no bytes")}
    united, (refusal,) = merge_entries([Entry(Path("/a"), View.DRONE, (TRAIN,))], scans, {})
    assert (united, refusal.reason, refusal.detail) == ({}, Reason.EMPTY, "no bytes")


def test_what_another_source_brought_is_known_and_gains_roles() -> None:
    elsewhere = SourceImage("A", "/old/a", View.DRONE, (QUERY,), 30, 20, location_id="1")
    entries = [Entry(Path("/new/a"), View.DRONE, (TRAIN,))]
    for _ in range(2):  # doing it again changes nothing and refuses nothing
        united, refusals = merge_entries(entries, scans_of({"/new/a": "A"}), {"A": elsewhere})
        elsewhere = united["A"]
        assert (elsewhere.uri, elsewhere.subsets, elsewhere.location_id, refusals) == ("/old/a", (QUERY, TRAIN), "1", [])


def test_layout_then_world_file_then_camera_give_the_position() -> None:
    world = WorldFile(1, 0, 0, -1, 0, 0, "local")
    scan = Scan(uri="/a", size=1, mtime_ns=1, image_id="A", width=31, height=21, turned=True, latitude=1.0, longitude=2.0)

    def position(**stated: object) -> Position | None:
        entry = Entry(Path("/a"), View.SATELLITE, (TRAIN,), **stated)  # type: ignore[arg-type]  # one field at a time
        united, _ = merge_entries([entry], {Path("/a"): scan}, {})
        assert (united["A"].width, united["A"].height) == (21, 31)  # upright
        return united["A"].position

    assert position(position=Position(latitude=5, longitude=6), world_file=world, from_camera=True) == Position(
        latitude=5, longitude=6
    )
    assert position(world_file=world, from_camera=True) == Position(x=15, y=-10, crs="local")
    assert position(from_camera=True) == Position(latitude=1.0, longitude=2.0)
    assert position() is None


def test_a_world_file_in_degrees_off_the_globe_is_refused() -> None:
    entry = Entry(Path("/a"), View.SATELLITE, (TRAIN,), world_file=WorldFile(1, 0, 0, -1, 0, 500, "EPSG:4326"))
    _, (refusal,) = merge_entries([entry], scans_of({"/a": "A"}), {})
    assert refusal.reason is Reason.BAD_POSITION


_ENTRIES = st.lists(
    st.tuples(
        st.sampled_from("ABC"),
        st.sampled_from([View.DRONE, View.SATELLITE]),
        st.sets(st.sampled_from(list(Subset)), min_size=1),
        st.sampled_from([None, "1", "2"]),
    ),
    max_size=12,
)


@given(_ENTRIES)
def test_every_name_is_accepted_merged_or_refused(
    rows: list[tuple[str, View, set[Subset], str | None]],
) -> None:
    contents = {f"/{number}": row[0] for number, row in enumerate(rows)}
    entries = [
        Entry(Path(f"/{n}"), view, tuple(sorted(subsets)), location) for n, (_, view, subsets, location) in enumerate(rows)
    ]
    united, refusals = merge_entries(entries, scans_of(contents), {})
    refused = {refusal.uri for refusal in refusals}
    assert set(united) == set(contents.values())
    for image_id, image in united.items():
        names = [entry for entry in entries if contents[str(entry.path)] == image_id]
        accepted = [entry for entry in names if str(entry.path) not in refused]
        assert image.uri == str(names[0].path) == str(accepted[0].path)
        assert {entry.view for entry in accepted} == {image.view}
        assert {entry.location_id for entry in accepted} - {None} <= {image.location_id}
        assert set(image.subsets) == {subset for entry in accepted for subset in entry.subsets}
    assert merge_entries(entries, scans_of(contents), {}) == (united, refusals)
