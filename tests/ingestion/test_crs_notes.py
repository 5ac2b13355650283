"""What is said about the CRSs of a data set."""

from __future__ import annotations

from cvgl.geo import Position
from cvgl.ingestion.crs_notes import frame_remarks

LONDON = Position(x=530_000.0, y=180_000.0, crs="EPSG:27700")
WARSAW = Position(x=637_000.0, y=487_000.0, crs="EPSG:2180")
BESIDE_WARSAW = Position(latitude=52.23, longitude=21.01)


def test_how_right_latitude_and_longitude_are_is_said_once_a_crs() -> None:
    remarks = frame_remarks([LONDON] * 5, [LONDON, None])
    (note,) = remarks.notes
    assert "EPSG:27700" in note
    assert "about 2 m" in note
    assert "uk_os_OSTN15_NTv2_OSGBtoETRS.tif" in note
    assert remarks.warnings == ()


def test_where_nothing_is_converted_nothing_is_said() -> None:
    utm = Position(x=5e5, y=5e6, crs="EPSG:32632")
    for at in (Position(latitude=50.0, longitude=4.0), Position(x=1.0, y=2.0, crs="local"), utm, None):
        assert frame_remarks([at], [at]) == ((), ())
    assert frame_remarks([Position(x=1.0, y=2.0, crs="UTM33N")], []) == ((), ())  # of an older lake


def test_a_datum_without_a_known_shift_is_a_warning() -> None:
    (warning,) = frame_remarks([Position(x=519_000.0, y=3_348_000.0, crs="EPSG:2437")], []).warnings
    assert "1 of 1 positions in EPSG:2437 have no latitude and longitude" in warning
    assert "Beijing 1954" in warning


def test_a_crs_that_names_north_first_is_told_with_the_place() -> None:
    notes = frame_remarks([WARSAW], [BESIDE_WARSAW]).notes
    assert any("x was taken as east" in note and "latitude 52.2" in note and "longitude 21.0" in note for note in notes)


def test_exchanged_axes_are_told_by_the_images_that_lie_elsewhere() -> None:
    # Exchanged, the position is in the CRS's area still: only the images' own positions tell.
    exchanged = Position(x=WARSAW.y, y=WARSAW.x, crs=WARSAW.crs)
    assert frame_remarks([WARSAW], [BESIDE_WARSAW]).warnings == ()
    (warning,) = frame_remarks([exchanged], [BESIDE_WARSAW]).warnings
    assert "with x and y of the map exchanged" in warning
    (warning,) = frame_remarks([LONDON], [BESIDE_WARSAW]).warnings
    assert "km from the map" in warning
    assert "exchanged" not in warning


def test_positions_far_outside_of_their_crs_are_a_warning() -> None:
    far, near = (Position(x=500_000.0, y=y, crs="EPSG:32632") for y in (-2e6, 5e6))
    (warning,) = frame_remarks([far, near], []).warnings
    assert "1 of 2 positions in EPSG:32632" in warning
