"""A batch in the dataset's tables: what comes, what leaves, and what is left for a later batch."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.arrival import batches
from cvgl.arrival.batches import State
from cvgl.arrival.intake import IntakeOutcome, take_in
from cvgl.arrival.source import UnreachableError
from cvgl.arrival.watching import look
from cvgl.catalog import run_query
from cvgl.config import ArrivalConfig
from cvgl.errors import DataError
from cvgl.ingestion.tables import images_ref, read_images, read_quarantine
from cvgl.ingestion.tombstones import read_tombstones
from cvgl.lake import Lake
from tests.arrival.sources import DATASET, drone, reference, town, watching


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return town(tmp_path / "drop", range(1, 4), views=2)


def arrive(config: ArrivalConfig, lake: Lake) -> IntakeOutcome:
    """Closes a batch and takes it in."""
    look_outcome = look(config, lake)
    assert look_outcome.closed is not None
    outcome = take_in(look_outcome.closed, config, lake)
    batches.advance(lake, look_outcome.closed, state=State.DONE, images_through=outcome.images_through)
    return outcome


def names(lake: Lake, view: str = "satellite") -> set[str]:
    rows = read_images(lake, DATASET).to_pylist()
    return {Path(row["uri"]).stem for row in rows if row["view"] == view}


def test_only_what_is_new_is_taken_in(source: Path, lake: Lake) -> None:
    config = watching(source, lake)
    assert arrive(config, lake).new == 9
    town(source, range(4, 6), views=2)
    second = arrive(config, lake)
    assert (second.new, second.updated, second.known, second.tombstoned) == (6, 0, 9, 0)
    assert read_images(lake, DATASET).num_rows == 15


def test_taking_in_twice_changes_nothing(source: Path, lake: Lake) -> None:
    config = watching(source, lake)
    arrive(config, lake)
    reference(source, 9, name="1")
    (source / "satellite" / "2.png").unlink()
    outcome = look(config, lake)
    assert outcome.closed is not None
    first = take_in(outcome.closed, config, lake)
    bytes_before = {path: path.read_bytes() for path in lake.root.rglob("*.parquet")}
    again = take_in(outcome.closed, config, lake)
    assert again == first
    assert {path: path.read_bytes() for path in lake.root.rglob("*.parquet")} == bytes_before
    assert again.tombstoned == 2


def test_what_is_not_in_a_batch_is_left_for_its_own(source: Path, lake: Lake) -> None:
    config = watching(source, lake)
    outcome = look(config, lake)
    assert outcome.closed is not None
    drone(source, 8)  # arrives after the batch has closed
    assert take_in(outcome.closed, config, lake).new == 9
    assert "8-1" not in names(lake, "drone")


def test_a_file_that_has_changed_since_comes_with_its_new_batch(source: Path, lake: Lake) -> None:
    config = watching(source, lake)
    look_outcome = look(config, lake)
    assert look_outcome.closed is not None
    drone(source, 8, name="1-1")
    outcome = take_in(look_outcome.closed, config, lake)
    assert (outcome.new, outcome.left) == (8, ("drone/1-1.png",))
    batches.advance(lake, look_outcome.closed, state=State.DONE, images_through=outcome.images_through)
    assert arrive(config, lake).new == 1
    assert read_images(lake, DATASET).num_rows == 9


def test_a_file_that_is_not_there_comes_with_the_batch_in_which_it_is_again(source: Path, lake: Lake, tmp_path: Path) -> None:
    config = watching(source, lake)
    look_outcome = look(config, lake)
    assert look_outcome.closed is not None
    away = (source / "drone" / "1-1.png").rename(tmp_path / "away.png")
    outcome = take_in(look_outcome.closed, config, lake)
    assert (outcome.new, outcome.left) == (8, ("drone/1-1.png",))
    batches.advance(lake, look_outcome.closed, state=State.DONE, images_through=outcome.images_through, left=outcome.left)
    assert look(config, lake).closed is None
    away.rename(source / "drone" / "1-1.png")  # the very same file, which was in a batch already
    assert arrive(config, lake).new == 1


@pytest.mark.parametrize("moment", ["before", "while it is read"])
@pytest.mark.parametrize("instead", ["nothing", "an empty folder"])
def test_a_source_that_goes_away_changes_nothing(tmp_path: Path, lake: Lake, moment: str, instead: str) -> None:
    source = town(tmp_path / "drop", range(1, 6), views=2)
    config = watching(source, lake)
    look_outcome = look(config, lake)
    assert look_outcome.closed is not None

    def goes(done: int = 0, total: int = 0, message: str = "") -> None:
        if not (tmp_path / "away").exists():
            source.rename(tmp_path / "away")
            if instead != "nothing":
                source.mkdir()

    if moment == "before":
        goes()
    with pytest.raises(UnreachableError, match=r"watched source|files went"):
        take_in(look_outcome.closed, config, lake, goes)
    assert list(lake.root.rglob("*.parquet")) == []
    if instead != "nothing":
        source.rmdir()
    (tmp_path / "away").rename(source)
    outcome = take_in(look_outcome.closed, config, lake)
    assert (outcome.new, outcome.left, outcome.quarantined) == (15, (), 0)


def test_deleted_and_replaced_references_leave_the_map(source: Path, lake: Lake) -> None:
    config = watching(source, lake)
    arrive(config, lake)
    before = images_ref(lake, DATASET).digest
    old = {row["uri"]: row["image_id"] for row in read_images(lake, DATASET).to_pylist()}
    (source / "satellite" / "1.png").unlink()
    reference(source, 7, name="2")
    outcome = arrive(config, lake)
    assert (outcome.tombstoned, outcome.new) == (2, 1)
    assert names(lake) == {"2", "3"}
    assert images_ref(lake, DATASET).digest != before
    stones = {row["reason"]: row for row in read_tombstones(lake, DATASET).to_pylist()}
    assert stones["deleted"]["image_id"] == old[str(source / "satellite" / "1.png")]
    assert stones["replaced"]["image_id"] == old[str(source / "satellite" / "2.png")]
    assert {row["arrival"] for row in stones.values()} == {batches.batches(lake, DATASET)[1].batch}
    assert run_query(lake, "SELECT count(*) FROM images WHERE view = 'satellite'").rows == [(2,)]
    assert run_query(lake, "SELECT count(*) FROM tombstones").rows == [(2,)]


def test_a_deleted_query_stays_for_its_descriptor_is_all_that_is_needed(source: Path, lake: Lake) -> None:
    config = watching(source, lake)
    arrive(config, lake)
    (source / "drone" / "1-1.png").unlink()
    assert arrive(config, lake).tombstoned == 0
    assert "1-1" in names(lake, "drone")


def test_references_stay_where_nothing_is_to_be_forgotten(source: Path, lake: Lake) -> None:
    config = watching(source, lake, watch={"forget": "none"})
    arrive(config, lake)
    (source / "satellite" / "1.png").unlink()
    assert arrive(config, lake).tombstoned == 0
    assert "1" in names(lake)


def test_a_reference_that_is_put_back_is_there_again(source: Path, lake: Lake) -> None:
    config = watching(source, lake)
    arrive(config, lake)
    content = (source / "satellite" / "1.png").read_bytes()
    (source / "satellite" / "1.png").unlink()
    arrive(config, lake)
    assert "1" not in names(lake)
    (source / "satellite" / "1.png").write_bytes(content)
    assert arrive(config, lake).new == 1
    assert "1" in names(lake)


def test_a_reference_that_moved_stays_under_its_new_name(source: Path, lake: Lake) -> None:
    config = watching(source, lake)
    arrive(config, lake)
    (source / "satellite" / "1.png").rename(source / "satellite" / "north.png")
    assert arrive(config, lake).tombstoned == 0
    assert names(lake) == {"north", "2", "3"}


def test_a_duplicate_takes_the_place_of_a_deleted_reference(source: Path, lake: Lake) -> None:
    config = watching(source, lake)
    (source / "satellite" / "copy.png").write_bytes((source / "satellite" / "1.png").read_bytes())
    arrive(config, lake)
    assert "copy" not in names(lake)
    (source / "satellite" / "1.png").unlink()
    assert arrive(config, lake).tombstoned == 0
    assert names(lake) == {"copy", "2", "3"}


def test_flights_side_by_side_are_sources_of_their_own(tmp_path: Path, lake: Lake) -> None:
    drop = tmp_path / "drop"
    town(drop / "monday", range(1, 3), views=1)
    town(drop / "tuesday", range(3, 5), views=1)
    (drop / "notes").mkdir()
    (drop / "notes" / "readme.txt").write_text("x")
    assert arrive(watching(drop, lake), lake).new == 8


def test_drone_images_before_there_is_a_map_are_taken_in_with_it(tmp_path: Path, lake: Lake) -> None:
    drop = tmp_path / "drop"
    drone(drop / "flight", 1)
    config = watching(drop, lake)
    outcome = look(config, lake)
    assert outcome.closed is not None
    with pytest.raises(DataError, match="no satellite images"):
        take_in(outcome.closed, config, lake)
    batches.advance(lake, outcome.closed, state=State.FAILED)
    reference(drop / "survey", 1)
    arrive(config, lake)
    assert names(lake, "drone") == {"1-1"}


def test_what_cannot_be_used_is_in_quarantine_and_the_rest_goes_through(source: Path, lake: Lake) -> None:
    (source / "drone" / "bad.jpg").write_bytes(b"no image")
    outcome = arrive(watching(source, lake), lake)
    assert (outcome.new, outcome.quarantined) == (9, 1)
    assert read_quarantine(lake, DATASET).to_pylist()[0]["reason"] == "not_a_picture"


def test_a_dataset_that_was_there_before_is_not_new(source: Path, lake: Lake) -> None:
    from cvgl.config import IngestConfig
    from cvgl.stages.ingest import ingest

    ingest(IngestConfig(source=str(source), dataset=DATASET), lake)
    drone(source, 5)
    outcome = arrive(watching(source, lake), lake)
    assert (outcome.new, outcome.updated, outcome.known) == (1, 0, 9)
