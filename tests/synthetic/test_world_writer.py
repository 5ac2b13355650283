"""Writing a world to a folder: layouts, resuming, refusing."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from cvgl.errors import CvglError, DataError
from cvgl.synthetic import Shot, World, WorldConfig, write_manifest, write_university1652
from cvgl.synthetic.light import LitGround

# Close and steep views see little ground, so there is little to draw.
TINY = WorldConfig(
    places=4, distractors=2, views=2, image_size=32, tile_metres=60, train_share=0.5, depression_degrees=(75, 65)
)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "world"
    write_manifest(TINY, folder, workers=2)
    return folder


def test_a_manifest_names_every_image_with_what_is_known(written: Path) -> None:
    with (written / "manifest.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["path", "view", "subset", "location_id", "latitude", "longitude", "captured_at"]
    assert len(rows) == 4 * (1 + 2) + 2
    assert {str(path.relative_to(written)) for path in written.rglob("*.jpg")} == {row["path"] for row in rows}
    subsets = {(row["view"], row["location_id"]): row["subset"] for row in rows}
    assert subsets["satellite", "0000"] == subsets["drone", "0000"] == "train"
    assert subsets["satellite", "0003"] == subsets["drone", "0003"] == "gallery;query"
    assert subsets["satellite", "0005"] == "gallery"
    assert ("drone", "0005") not in subsets
    for row in rows:
        assert abs(float(row["latitude"]) - TINY.latitude) < 0.01
        assert abs(float(row["longitude"]) - TINY.longitude) < 0.01
        assert datetime.fromisoformat(row["captured_at"]).utcoffset() is not None
        with Image.open(written / row["path"]) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (32, 32), "RGB")


def test_the_number_of_threads_does_not_change_a_byte(written: Path, tmp_path: Path) -> None:
    write_manifest(TINY, tmp_path / "one", workers=1)
    assert contents(tmp_path / "one") == contents(written)


def test_writing_again_keeps_what_is_there_and_draws_what_is_missing(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "world"
    write_manifest(TINY, folder)
    missing = ["drone/0001-02.jpg", "satellite/0004.jpg", "manifest.csv"]
    for name in missing:
        (folder / name).unlink()
    (folder / "drone" / ".tmp-killed").write_bytes(b"half a pict")
    drawn: list[Shot] = []
    take = World._take

    def recorded(world: World, shot: Shot, lit: LitGround) -> Image.Image:
        drawn.append(shot)
        return take(world, shot, lit)

    monkeypatch.setattr(World, "_take", recorded)
    write_manifest(TINY, folder)
    assert sorted((image.view, image.location.number) for image in drawn) == [("drone", 1), ("satellite", 4)]
    assert contents(folder) == contents(written)


def test_a_killed_writer_goes_on_to_the_same_bytes(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "world"
    code = (
        "import sys; from pathlib import Path; from cvgl.synthetic import WorldConfig, write_manifest;"
        "write_manifest(WorldConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]), workers=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, TINY.model_dump_json(), str(folder)])
    try:
        deadline = time.monotonic() + 60
        while not any(folder.rglob("*.jpg")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        assert any(folder.rglob("*.jpg"))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    write_manifest(TINY, folder)
    assert contents(folder) == contents(written)


def test_progress_counts_places(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    config = TINY.model_copy(update={"places": 1, "distractors": 1, "views": 1})
    write_manifest(config, tmp_path / "world", progress=lambda done, total, message="": calls.append((done, total)))
    assert calls == [(0, 2), (1, 2), (2, 2)]


def test_university1652_layout_has_distractors_in_the_gallery_only(tmp_path: Path) -> None:
    folder = write_university1652(TINY.model_copy(update={"panoramas": 1}), tmp_path / "u")
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.jp*g")}
    expected = set()
    for place in ("0000", "0001"):
        expected |= {f"train/satellite/{place}/{place}.jpg", f"train/street/{place}/image-01.jpeg"}
        expected |= {f"train/drone/{place}/image-0{view}.jpeg" for view in (1, 2)}
    for place in ("0002", "0003"):
        for role in ("query", "gallery"):
            expected |= {f"test/{role}_satellite/{place}/{place}.jpg", f"test/{role}_street/{place}/image-01.jpeg"}
            expected |= {f"test/{role}_drone/{place}/image-0{view}.jpeg" for view in (1, 2)}
    expected |= {f"test/gallery_satellite/{place}/{place}.jpg" for place in ("0004", "0005")}
    assert files == expected
    gallery, query = ((folder / f"test/{role}_drone/0002/image-01.jpeg").read_bytes() for role in ("gallery", "query"))
    assert gallery == query


def test_both_layouts_hold_the_same_images(written: Path, tmp_path: Path) -> None:
    folder = write_university1652(TINY, tmp_path / "u")
    assert (folder / "train/drone/0001/image-02.jpeg").read_bytes() == (written / "drone/0001-02.jpg").read_bytes()


def test_a_folder_of_another_world_is_refused(written: Path) -> None:
    before = contents(written)
    with pytest.raises(DataError, match="another world") as caught:
        write_manifest(TINY.model_copy(update={"seed": 9}), written)
    assert str(written) in str(caught.value)
    with pytest.raises(DataError, match="another world"):
        write_university1652(TINY, written)
    assert contents(written) == before


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(DataError, match="not empty"):
        write_manifest(TINY, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("")
    with pytest.raises(DataError, match="is a file"):
        write_manifest(TINY, target)


@pytest.mark.parametrize("text", ["[]", "not json", '{"digest": 3}'])
def test_a_damaged_marker_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "world.json").write_text(text)
    with pytest.raises(CvglError):
        write_manifest(TINY, tmp_path)


@pytest.mark.slow
def test_a_hundred_places_take_well_under_a_minute(tmp_path: Path) -> None:
    start = time.process_time()
    write_manifest(WorldConfig(places=100, views=16, image_size=128), tmp_path / "world")
    assert time.process_time() - start < 2 * 60  # CPU seconds: two cores for a minute, whatever else runs here
