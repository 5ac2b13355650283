"""CVUSA and CVACT: what a split names and is not there, rows that are no pair, and a table that lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io  # type: ignore[import-untyped]

from cvgl.config import Layout
from cvgl.datasets.act_data import read_act_data
from cvgl.datasets.cvact import list_cvact, list_cvact_test
from cvgl.datasets.cvusa import list_cvusa
from cvgl.errors import DataError
from cvgl.geo import Position
from cvgl.ingestion.entries import Listing, Reason
from cvgl.types import Subset, View
from tests.data.layouts import Layouts

TRAIN, VAL = "splits/train-19zl.csv", "splits/val-19zl.csv"


def reasons(listing: Listing) -> dict[str, Reason]:
    return {refusal.uri.removeprefix(f"{listing.source}/"): refusal.reason for refusal in listing.refusals}


def table(folder: Path) -> dict[str, Any]:
    variables: dict[str, Any] = scipy.io.loadmat(folder / "ACT_data.mat", simplify_cells=True)
    return {name: value for name, value in variables.items() if not name.startswith("__")}


def save(folder: Path, **changes: object) -> None:
    scipy.io.savemat(folder / "ACT_data.mat", {**table(folder), **changes})


def test_a_missing_half_is_refused_and_the_other_taken_in(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.CVUSA, tmp_path)
    (folder / "streetview/panos/0000002.jpg").unlink()
    (folder / "bingmap/19/0000005.jpg").unlink()
    listing = list_cvusa(folder)
    assert reasons(listing) == {
        "streetview/panos/0000002.jpg": Reason.MISSING,
        "bingmap/19/0000005.jpg": Reason.MISSING,
    }
    assert len(listing.entries) == 10
    assert listing.counts == {TRAIN: 3, VAL: 3}
    assert "1 images that splits/train-19zl.csv names are not there" in " ".join(listing.notes)
    assert any(entry.path.name == "0000002.jpg" and entry.view is View.SATELLITE for entry in listing.entries)


def test_an_image_that_no_split_names_is_refused(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.CVUSA, tmp_path)
    rows = (folder / VAL).read_text().splitlines()
    (folder / VAL).write_text("\n".join(rows[1:]) + "\n")
    listing = list_cvusa(folder)
    number = rows[0].split(",")[0].rpartition("/")[2]
    assert reasons(listing) == {f"bingmap/19/{number}": Reason.UNLISTED, f"streetview/panos/{number}": Reason.UNLISTED}


def test_rows_that_are_no_pair_are_refused_and_the_others_go_through(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.CVUSA, tmp_path)
    with (folder / TRAIN).open("a") as stream:
        stream.write("bingmap/19/0000004.jpg\n")
        stream.write("bingmap/19/0000004.jpg,streetview/panos/0000005.jpg\n")
        stream.write("../0000009.jpg,/etc/0000009.jpg\n")
        stream.write("bingmap/19/input.jpg,streetview/panos/input.jpg\n")
        stream.write(f"{'x' * 300}/0000077.jpg,streetview/panos\0/0000077.jpg\n")
    refused = reasons(list_cvusa(folder))
    assert refused[f"{TRAIN}:4"] is refused[f"{TRAIN}:5"] is refused[f"{TRAIN}:7"] is Reason.BAD_ROW
    assert refused[f"{TRAIN}:6: ../0000009.jpg"] is refused[f"{TRAIN}:6: /etc/0000009.jpg"] is Reason.OUTSIDE_ROOT
    assert Reason.MISSING in [reason for name, reason in refused.items() if name.startswith("xxx")]
    assert refused[f"{TRAIN}:8: streetview/panos\0/0000077.jpg"] is Reason.BAD_NAME
    assert len(list_cvusa(folder).entries) == 12


def test_a_pair_of_two_splits_is_not_asked_for(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.CVUSA, tmp_path)
    trained = (folder / TRAIN).read_text().splitlines()[0]
    with (folder / VAL).open("a") as stream:
        stream.write(f"{trained}\n")
    listing = list_cvusa(folder)
    assert reasons(listing) == {f"{VAL}:4": Reason.DUPLICATE}
    name = trained.split(",")[0].rpartition("/")[2]
    assert {entry.subsets for entry in listing.entries if entry.path.name == name} == {(Subset.TRAIN,)}


def test_positions_are_those_of_the_row_that_the_number_names(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.CVUSA, tmp_path)
    rows = [f"{i},{10 + i},{i + 0.5},{10.5 + i},0" for i in range(1, 7)]
    rows[3] = "nowhere"
    (folder / "split_locations/all.csv").write_text("\n".join(rows))
    listing = list_cvusa(folder)
    positions = {(entry.view, entry.location_id): entry.position for entry in listing.entries}
    assert positions[View.SATELLITE, "2"] == Position(latitude=2, longitude=12)
    assert positions[View.GROUND, "2"] == Position(latitude=2.5, longitude=12.5)
    assert positions[View.SATELLITE, "4"] is None
    assert any("positions of 5 pairs, 1 not" in note for note in listing.notes)


def test_one_split_will_do_and_none_will_not(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.CVUSA, tmp_path)
    (folder / TRAIN).unlink()
    listing = list_cvusa(folder)
    assert {entry.subsets for entry in listing.entries} == {(Subset.GALLERY, Subset.QUERY)}
    (folder / VAL).unlink()
    with pytest.raises(DataError, match="neither"):
        list_cvusa(folder)


def test_polar_maps_are_passed_over_with_a_note(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.CVUSA, tmp_path)
    (folder / "polarmap").mkdir()
    assert any(note.startswith("polarmap was passed over") for note in list_cvusa(folder).notes)


def test_indices_count_from_one(layouts: Layouts) -> None:
    folder = layouts.original(Layout.CVACT)
    names, trained = table(folder)["panoIds"], table(folder)["trainSet"]["trainInd"]
    listing = list_cvact(folder)
    locations = [
        entry.location_id for entry in listing.entries if entry.subsets == (Subset.TRAIN,) and entry.view is View.GROUND
    ]
    assert locations == [str(names[int(index) - 1]).strip() for index in trained]
    assert listing.counts == {"trainSet": 3, "valSet": 2}


def test_the_test_pairs_hold_the_validation_pairs(layouts: Layouts) -> None:
    folder = layouts.original(Layout.CVACT)

    def asked(listing: Listing) -> set[str | None]:
        return {entry.location_id for entry in listing.entries if Subset.QUERY in entry.subsets}

    validation, test = list_cvact(folder), list_cvact_test(folder)
    assert asked(validation) < asked(test)
    assert test.layout is Layout.CVACT_TEST
    assert (test.counts, test.refusals) == ({"trainSet": 3, "valSetAll": 3}, [])
    assert {entry.path.parts[-3] for entry in test.entries if Subset.QUERY in entry.subsets} == {"ANU_data_test"}


def test_pairs_whose_file_is_not_there_are_counted_and_listed(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.CVACT, tmp_path)
    lost = sorted((folder / "ANU_data_small/satview_polish").iterdir())[0]
    lost.unlink()
    (folder / "ANU_data_small/streetview/stray_grdView.jpg").write_bytes(b"x")
    assert reasons(list_cvact(folder)) == {
        f"ANU_data_small/satview_polish/{lost.name}": Reason.MISSING,
        "ANU_data_small/streetview/stray_grdView.jpg": Reason.UNLISTED,
    }


def test_the_small_set_may_lie_beside_its_table(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.CVACT, tmp_path)
    for path in (folder / "ANU_data_small").iterdir():
        path.rename(folder / path.name)
    (folder / "ANU_data_small").rmdir()
    assert len(list_cvact(folder).entries) == 10


def test_columns_of_positions_may_be_exchanged(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.CVACT, tmp_path)
    before = read_act_data(folder / "ACT_data.mat")
    save(folder, utm=table(folder)["utm"][:, ::-1])
    after = read_act_data(folder / "ACT_data.mat")
    assert before.position(0) == after.position(0)
    position = after.position(0)
    assert position is not None
    assert (position.crs, position.x is not None and 6.9e5 < position.x < 7e5) == ("EPSG:32755", True)


def test_positions_elsewhere_are_a_local_frame(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.CVACT, tmp_path)
    save(folder, utm=np.arange(12.0).reshape(6, 2))
    listing = list_cvact(folder)
    assert {entry.position.crs for entry in listing.entries if entry.position} == {"local"}
    assert any("not those of Canberra" in note for note in listing.notes)


def test_ids_may_be_cells_as_well_as_a_matrix_of_letters(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.CVACT, tmp_path)
    save(folder, panoIds=np.array([name.strip() for name in table(folder)["panoIds"]], dtype=object))
    assert len(list_cvact(folder).entries) == 10


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda folder: save(folder, utm=np.zeros((2, 2))), "shape"),
        (lambda folder: save(folder, trainSet={"trainInd": np.array([[0.0]])}), "outside of 1..6"),
        (lambda folder: save(folder, trainSet={"trainInd": np.array([[7.0]])}), "outside of 1..6"),
        (lambda folder: save(folder, trainSet={"trainInd": np.array([[1.5]])}), "outside of 1..6"),
        (lambda folder: save(folder, trainSet={"trainInd": np.array([[np.nan]])}), "outside of 1..6"),
        (lambda folder: save(folder, trainSet=3), "no trainInd"),
        (lambda folder: save(folder, utm="east"), "names and numbers"),
        (lambda folder: save(folder, panoIds=np.array(["../../a"] * 6, dtype=object)), "no panorama's id"),
        (lambda folder: save(folder, panoIds=np.array(["a"] * 6, dtype=object)), "twice"),
        (lambda folder: scipy.io.savemat(folder / "ACT_data.mat", {"other": 1}), "no panoIds; it has other"),
        (lambda folder: scipy.io.savemat(folder / "ACT_data.mat", {"panoIds": "ab"}), "none of trainSet"),
        (lambda folder: (folder / "ACT_data.mat").write_bytes(b"MATLAB 7.3 MAT-file" + b"\0" * 200), "no MATLAB file"),
        (lambda folder: (folder / "ACT_data.mat").write_bytes(b""), "no MATLAB file"),
        (lambda folder: cut(folder / "ACT_data.mat"), "no MATLAB file"),
    ],
)
def test_a_table_that_cannot_be_cvacts_is_told(
    layouts: Layouts, tmp_path: Path, change: Callable[[Path], object], word: str
) -> None:
    folder = layouts.copy(Layout.CVACT, tmp_path)
    change(folder)
    with pytest.raises(DataError, match=word):
        list_cvact(folder)


def test_a_table_that_ends_its_reader_ends_nothing_else(layouts: Layouts, tmp_path: Path) -> None:
    path = layouts.copy(Layout.CVACT, tmp_path) / "ACT_data.mat"
    data = path.read_bytes()
    # The length of the first variable's name: SciPy 1.17's reader dies of a segmentation fault.
    path.write_bytes(data[:184] + b"\xff" + data[185:])
    with pytest.raises(DataError, match="MATLAB"):
        read_act_data(path)


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
