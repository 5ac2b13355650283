"""From folders as they come to tables: nothing twice, nothing lost, the bad beside the good, and death at any moment."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cvgl import schemas
from cvgl.config import IngestConfig, Layout
from cvgl.datasets.flights import write_manifest
from cvgl.errors import DataError
from cvgl.ingestion.ground_truth import read_ground_truth
from cvgl.ingestion.tables import layout_of, read_images, read_quarantine
from cvgl.lake import Lake
from cvgl.stages.ingest import IngestOutcome, ingest
from tests.data.images import place_image, save, university1652


def run(source: Path, lake: Lake, **settings: Any) -> IngestOutcome:
    return ingest(IngestConfig(source=str(source), dataset="d", **settings), lake)


def image(path: Path, place: int = 0, view: int = 0) -> Path:
    return save(place_image(place, view, size=24), path)


def tables(lake: Lake) -> dict[str, bytes]:
    """The bytes of everything that is not a cache."""
    files = (path for path in lake.root.rglob("*") if path.is_file() and "cache" not in path.parts)
    return {str(path.relative_to(lake.root)): path.read_bytes() for path in files}


def images(lake: Lake) -> dict[str, dict[str, Any]]:
    return {Path(row["uri"]).name: row for row in read_images(lake, "d").to_pylist()}


def refused(lake: Lake, root: Path) -> dict[str, str]:
    rows = read_quarantine(lake, "d").to_pylist()
    return {row["uri"].removeprefix(f"{root}/"): row["reason"] for row in rows}


def truth(lake: Lake) -> dict[str, dict[str, Any]]:
    return {row["image_id"]: row for row in read_ground_truth(lake, "d").to_pylist()}


def test_a_university_folder_becomes_tables(tmp_path: Path, lake: Lake) -> None:
    source = university1652(tmp_path / "u", train=3, test=2, distractors=1, views=2, size=24)
    outcome = run(source, lake)
    table = read_images(lake, "d")
    assert (outcome.new, outcome.known, outcome.quarantined, outcome.total, outcome.skipped) == (18, 0, 0, 18, False)
    assert table.schema.equals(schemas.IMAGES)
    assert layout_of(lake, "d") is Layout.UNIVERSITY1652
    roles = Counter((row["view"], *row["subsets"]) for row in table.to_pylist())
    assert roles == {
        ("drone", "train"): 6,
        ("satellite", "train"): 3,
        ("drone", "gallery", "query"): 4,
        ("satellite", "gallery", "query"): 2,
        ("drone", "gallery"): 2,
        ("satellite", "gallery"): 1,
    }
    labels = {row["uri"]: truth(lake)[row["image_id"]]["location_id"] for row in table.to_pylist()}
    assert all(Path(uri).parent.name == label for uri, label in labels.items())
    assert not {"location_id"} & set(table.schema.names)


def test_doing_it_again_changes_no_byte(tmp_path: Path, lake: Lake) -> None:
    source = university1652(tmp_path / "u", 2, 1, 0, 1, 24)
    (source / "train/drone/0000/broken.jpg").write_bytes(b"\xff\xd8broken")
    first = run(source, lake)
    before = tables(lake)
    again = run(source, lake)
    assert (again.skipped, again.new, again.updated, again.known) == (True, 0, 0, first.total)
    assert again.ref == first.ref
    shutil.rmtree(lake.root / "cache")
    for file in source.rglob("*.jp*g"):
        os.utime(file)
    assert run(source, lake).skipped
    assert tables(lake) == before


def test_new_images_come_in_a_batch_of_their_own(tmp_path: Path, lake: Lake) -> None:
    source = university1652(tmp_path / "u", 2, 1, 0, 1, 24)
    first = run(source, lake)
    before = tables(lake)
    image(source / "train/drone/0000/late.jpg", 77)
    second = run(source, lake)
    assert (second.new, second.known, second.total) == (1, first.total, first.total + 1)
    assert second.ref.digest != first.ref.digest
    after = tables(lake)
    assert before.items() <= after.items()
    assert sorted(name.split("/")[0] for name in set(after) - set(before)) == ["ground_truth", "images"]


def test_what_is_said_anew_supersedes(tmp_path: Path, lake: Lake) -> None:
    image(tmp_path / "s/satellite/a.jpg", 1)
    image(tmp_path / "s/drone/b.jpg", 2)
    table = tmp_path / "s/positions.csv"
    table.write_text("path,latitude,longitude,location_id\nsatellite/a.jpg,1,2,L\ndrone/b.jpg,1,2,L\n")
    run(tmp_path / "s", lake)
    table.write_text("path,latitude,longitude,location_id\nsatellite/a.jpg,3,4,L\ndrone/b.jpg,5,6,L\n")
    outcome = run(tmp_path / "s", lake)
    assert (outcome.new, outcome.updated, outcome.known, outcome.total) == (0, 1, 1, 2)
    assert (images(lake)["a.jpg"]["latitude"], images(lake)["b.jpg"]["latitude"]) == (3, None)
    assert truth(lake)[images(lake)["b.jpg"]["image_id"]]["latitude"] == 5
    table.unlink()  # what is no longer said is taken back
    run(tmp_path / "s", lake)
    assert truth(lake) == {}
    assert images(lake)["a.jpg"]["latitude"] is None


def test_positions_of_queries_are_ground_truth_and_those_of_references_are_not(tmp_path: Path, lake: Lake) -> None:
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (47.0, 15.0, 0.0), 3: "E", 4: (8.0, 30.0, 0.0)}
    for view, place in (("drone", 1), ("ground", 2), ("satellite", 3)):
        path = tmp_path / "s" / view / f"{view}.jpg"
        path.parent.mkdir(parents=True)
        place_image(place, size=24).save(path, exif=exif)
    image(tmp_path / "s/satellite/tile.jpg", 4)
    (tmp_path / "s/satellite/tile.jgw").write_text("2 0 0 -2 1 47")
    run(tmp_path / "s", lake)
    rows = images(lake)
    assert (rows["satellite.jpg"]["latitude"], rows["satellite.jpg"]["longitude"]) == (47.25, 8.5)
    assert (rows["tile.jpg"]["x"], rows["tile.jpg"]["y"], rows["tile.jpg"]["crs"]) == (24, 24, "local")
    for name in ("drone.jpg", "ground.jpg"):
        assert rows[name]["latitude"] is None
        assert truth(lake)[rows[name]["image_id"]]["latitude"] == 47.25
    assert len(truth(lake)) == 2


def bad_folder(root: Path, outside: Path) -> dict[str, str]:
    """Writes every kind of bad entry among three good ones; returns name -> reason."""
    drone, satellite = root / "drone", root / "satellite"
    whole = image(drone / "good.jpg", 1, 1).read_bytes()
    image(satellite / "good tile.jpg", 1)
    image(satellite / "gr\u00fc\u00df\n.png", 2)
    image(outside / "other.jpg", 9)
    (drone / "empty.jpg").write_bytes(b"")
    (drone / "text.jpg").write_text("this is a letter")
    (drone / "page.jpg").write_text("<html>404 not found</html>")
    (drone / "notes.txt").write_text("hello")
    (drone / "script.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (drone / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    (drone / "zeros.jpg").write_bytes(whole[: len(whole) * 2 // 3] + bytes(len(whole) // 3))
    png = image(root / "x.png", 5).read_bytes()
    (root / "x.png").unlink()
    (drone / "cut.png").write_bytes(png[: len(png) // 2])
    (drone / "hole.png").write_bytes(png[:80] + bytes(40) + png[120:])
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (drone / "bomb.png").write_bytes(bomb + struct.pack(">I", 10**6) + b"IDAT")
    save(Image.new("RGB", (400, 300)), drone / "large.jpg")
    (drone / "folder.jpg").mkdir()
    os.mkfifo(drone / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(drone)  # the name of a socket has to be short
        server.bind("socket.jpg")
        os.chdir(here)
    (drone / "device.jpg").symlink_to("/dev/zero")
    (drone / "dangling.jpg").symlink_to("nothing.jpg")
    (drone / "loop.jpg").symlink_to("loop.jpg")
    (drone / "up").symlink_to(root)
    (drone / "outside.jpg").symlink_to(outside / "other.jpg")
    (drone / "elsewhere").symlink_to(outside)
    (drone / "z copy of good.jpg").write_bytes(whole)
    (satellite / "z drone.jpg").write_bytes(whole)
    with open(os.fsencode(drone) + b"/\xff.jpg", "wb") as stream:  # noqa: PTH123  # no text spells this name
        stream.write(whole)
    for name, place in (
        ("north.jpg", 20),
        ("nan.jpg", 21),
        ("word.jpg", 22),
        ("half.jpg", 23),
        ("late.jpg", 24),
        ("role.jpg", 25),
    ):
        image(satellite / name, place)
    image(satellite / "world.jpg", 26)
    (satellite / "world.jgw").write_text("0 0 0 0 0 0")
    (root / "satellite.csv").write_text(
        "path,latitude,longitude,captured_at,subset\nnorth.jpg,123,8,,\nnan.jpg,NaN,8,,\nword.jpg,here,8,,\nhalf.jpg,47,,,\n"
        "late.jpg,,,soon,\nrole.jpg,,,,holdout\nabsent.jpg,47,8,,\nshort.jpg\n"
    )
    image(root / "thermal/a.jpg", 30)
    image(root / "loose.jpg", 31)
    for name in (".DS_Store", "Thumbs.db", ".hidden.jpg"):
        (drone / name).write_bytes(b"x")
    return {
        "drone/empty.jpg": "empty",
        "drone/text.jpg": "not_a_picture",
        "drone/page.jpg": "not_a_picture",
        "drone/notes.txt": "not_a_picture",
        "drone/script.eps": "not_a_picture",
        "drone/cut.jpg": "truncated",
        "drone/zeros.jpg": "truncated",
        "drone/cut.png": "truncated",
        "drone/hole.png": "damaged",
        "drone/bomb.png": "too_large",
        "drone/large.jpg": "too_large",
        "drone/folder.jpg": "not_a_file",
        "drone/pipe.jpg": "not_a_file",
        "drone/socket.jpg": "not_a_file",
        "drone/device.jpg": "outside_root",
        "drone/dangling.jpg": "missing",
        "drone/loop.jpg": "unreadable",
        "drone/up": "unreadable",
        "drone/outside.jpg": "outside_root",
        "drone/elsewhere": "outside_root",
        "drone/z copy of good.jpg": "duplicate",
        "satellite/z drone.jpg": "conflicting_view",
        "drone/\\xff.jpg": "bad_name",
        "satellite/north.jpg": "bad_position",
        "satellite/word.jpg": "bad_position",
        "satellite/world.jpg": "bad_position",
        "satellite/late.jpg": "bad_time",
        "satellite/role.jpg": "unknown_subset",
        "satellite.csv:8: absent.jpg": "missing",
        "satellite.csv:9": "bad_row",
        "thermal": "unknown_folder",
        "loose.jpg": "misplaced",
    }


def test_every_kind_of_bad_entry_is_listed_and_the_good_go_through(tmp_path: Path, lake: Lake) -> None:
    root = tmp_path / "s"
    expected = bad_folder(root, tmp_path / "outside")
    outcome = run(root, lake, max_pixels=100_000)
    assert refused(lake, root) == expected
    assert set(images(lake)) == {"good.jpg", "good tile.jpg", "gr\u00fc\u00df\n.png", "half.jpg", "nan.jpg"}
    assert outcome.quarantined == len(expected) >= 20
    details = read_quarantine(lake, "d")["detail"].to_pylist()
    assert all(detail and "0x" not in detail for detail in details)
    before = tables(lake)
    assert run(root, lake, max_pixels=100_000).skipped
    assert tables(lake) == before


def test_what_is_mended_leaves_the_quarantine(tmp_path: Path, lake: Lake) -> None:
    image(tmp_path / "s/satellite/a.jpg", 1)
    (tmp_path / "s/satellite/b.jpg").write_bytes(b"")
    run(tmp_path / "s", lake)
    assert refused(lake, tmp_path / "s") == {"satellite/b.jpg": "empty"}
    image(tmp_path / "s/satellite/b.jpg", 2)
    outcome = run(tmp_path / "s", lake)
    assert (outcome.new, outcome.quarantined) == (1, 0)
    assert refused(lake, tmp_path / "s") == {}


def test_the_same_images_from_another_place_are_known(tmp_path: Path, lake: Lake) -> None:
    source = university1652(tmp_path / "u", 2, 1, 0, 1, 24)
    shutil.copytree(source, tmp_path / "copy")
    first = run(source, lake)
    before = tables(lake)
    assert run(tmp_path / "copy", lake).skipped
    assert tables(lake) == before
    shutil.rmtree(source)  # the images have moved
    moved = run(tmp_path / "copy", lake)
    assert (moved.updated, moved.new, moved.ref.digest) == (first.total, 0, first.ref.digest)
    assert all(Path(row["uri"]).is_file() for row in images(lake).values())


def test_a_source_with_nothing_to_use_is_an_error_that_says_why(tmp_path: Path, lake: Lake) -> None:
    (tmp_path / "empty/drone").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no images"):
        run(tmp_path / "empty", lake)
    (tmp_path / "bad/satellite").mkdir(parents=True)
    (tmp_path / "bad/satellite/a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 1 names .*: 1 empty \("):
        run(tmp_path / "bad", lake)
    assert refused(lake, tmp_path / "bad") == {"satellite/a.jpg": "empty"}
    image(tmp_path / "queries/drone/a.jpg", 1)
    with pytest.raises(DataError, match="no satellite images, only drone"):
        run(tmp_path / "queries", lake)
    assert not lake.images("d").exists()


@pytest.mark.parametrize(
    ("cells", "word"),
    [
        ("52;520;13;404", "4 cells"),
        ("5.432.100;5.432.100", "thousands"),
        ("52.5°31′;13°24′", "degrees, minutes"),
        ("x;y", "number"),
    ],
)
@pytest.mark.parametrize("layout", ["folder", "manifest"])
def test_a_map_that_was_refused_as_a_whole_is_not_asked_for_again(
    tmp_path: Path, lake: Lake, cells: str, word: str, layout: str
) -> None:
    names = [image(tmp_path / f"s/satellite/{n}.jpg", n).name for n in range(3)]
    image(tmp_path / "s/drone/d.jpg", 9)
    if layout == "folder":
        (tmp_path / "s/satellite.csv").write_text("path;lat;lon\n" + "".join(f"{name};{cells}\n" for name in names))
    else:
        rows = "".join(f"satellite/{name};satellite;{cells}\n" for name in names)
        (tmp_path / "s/manifest.csv").write_text(f"path;view;lat;lon\n{rows}drone/d.jpg;drone;;\n")
    if word == "4 cells":  # rows of another length say nothing, and the folder's images go in without a position
        if layout == "folder":
            assert run(tmp_path / "s", lake).total == 4
            return
        word = "6 cells"
    with pytest.raises(DataError) as caught:
        run(tmp_path / "s", lake)
    assert "none of the 3 satellite images can be used: 3 bad_" in caught.value.what
    assert word in caught.value.what
    assert "overhead" not in caught.value.fix


@pytest.mark.parametrize("cells", ["52,5200;13,4050", "52°31'12\"N;13°24'18\"E"])
def test_positions_of_other_countries_reach_the_tables(tmp_path: Path, lake: Lake, cells: str) -> None:
    image(tmp_path / "s/satellite/a.jpg", 1)
    (tmp_path / "s/satellite.csv").write_text(f"path;Lat;Lon\na.jpg;{cells}\n", "utf-16")
    run(tmp_path / "s", lake)
    assert (images(lake)["a.jpg"]["latitude"], images(lake)["a.jpg"]["longitude"]) == (52.52, 13.405)


def test_labels_that_are_all_one_are_warned_of(tmp_path: Path, lake: Lake) -> None:
    for name in ("drone/a.jpg", "drone/b.jpg", "satellite/c.jpg", "satellite/d.jpg"):
        image(tmp_path / "s" / name, ord(name[-5]))
    rows = "drone/a.jpg,{0}\ndrone/b.jpg,{0}\nsatellite/c.jpg,{0}\nsatellite/d.jpg,{0}\n"
    (tmp_path / "s/positions.csv").write_text("path,location_id\n" + rows.format("town"))
    assert [warning for warning in run(tmp_path / "s", lake).warnings if "'town'" in warning]
    (tmp_path / "s/positions.csv").write_text("path,location_id\n" + rows.format("NaN"))
    assert run(tmp_path / "s", lake).warnings == ()
    assert {row["location_id"] for row in truth(lake).values()} <= {None}


def test_queries_may_arrive_where_references_are_already(tmp_path: Path, lake: Lake) -> None:
    image(tmp_path / "map/satellite/a.jpg", 1)
    image(tmp_path / "flight/drone/b.jpg", 2)
    run(tmp_path / "map", lake)
    assert run(tmp_path / "flight", lake).total == 2


def test_progress_reaches_the_end(tmp_path: Path, lake: Lake) -> None:
    messages: list[tuple[int, int]] = []
    source = university1652(tmp_path / "u", 2, 1, 0, 1, 24)
    ingest(IngestConfig(source=str(source), dataset="d"), lake, lambda done, total, message="": messages.append((done, total)))
    assert messages[-1][0] == messages[-1][1] == len(list(source.rglob("*.jp*g")))


_DOOMED = """
import os, signal, sys
from pathlib import Path
from cvgl import lake as lakes
from cvgl.config import IngestConfig
from cvgl.ingestion import scanning
from cvgl.stages.ingest import ingest

scanning.CHUNK = 4
left = int(sys.argv[3])
replace = Path.replace

def doomed(self, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return replace(self, target)

Path.replace = doomed
ingest(IngestConfig(source=sys.argv[1], dataset="d"), lakes.Lake.at(sys.argv[2]))
"""


@pytest.mark.parametrize("writes", [pytest.param(0, marks=pytest.mark.slow), 2, pytest.param(4, marks=pytest.mark.slow), 5, 6])
def test_killed_and_done_again_ends_in_the_same_bytes(tmp_path: Path, lake: Lake, writes: int) -> None:
    """Dies just before a finished file gets its name: in the scan, and before each of the three tables."""
    source = university1652(tmp_path / "u", 4, 1, 0, 1, 24)
    (source / "train/drone/0000/broken.jpg").write_bytes(b"")
    undisturbed = Lake.at(tmp_path / "undisturbed")
    run(source, undisturbed)
    arguments = [sys.executable, "-c", _DOOMED, str(source), str(lake.root), str(writes)]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    run(source, lake)
    assert tables(lake) == tables(undisturbed)


def test_two_at_once_do_the_work_of_one(tmp_path: Path, lake: Lake) -> None:
    source = university1652(tmp_path / "u", 4, 2, 0, 2, 24)
    undisturbed = Lake.at(tmp_path / "undisturbed")
    run(source, undisturbed)
    arguments = [sys.executable, "-c", _DOOMED, str(source), str(lake.root), "-1"]
    both = [subprocess.Popen(arguments, cwd=Path(__file__).parents[2]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert tables(lake) == tables(undisturbed)


def test_university_mini(shared: Path, lake: Lake) -> None:
    outcome = run(shared / "data/university_mini", lake)
    assert (outcome.total, outcome.quarantined) == (500, 0)
    roles = Counter((row["view"], *row["subsets"]) for row in read_images(lake, "d").to_pylist())
    assert roles == {
        ("drone", "train"): 150,
        ("satellite", "train"): 150,
        ("drone", "gallery", "query"): 100,
        ("satellite", "gallery", "query"): 100,
    }
    assert len({row["location_id"] for row in truth(lake).values()}) == 250


def test_flights(shared: Path, tmp_path: Path, lake: Lake) -> None:
    source = shared / "data/flights"
    manifest = write_manifest(source, "2014-03", tmp_path / "flights.csv")
    outcome = run(manifest, lake, root=str(source))
    assert (outcome.total, outcome.quarantined, layout_of(lake, "d")) == (858 + 324, 0, Layout.MANIFEST)
    rows = read_images(lake, "d").to_pylist()
    tiles = [row for row in rows if row["view"] == "satellite"]
    assert {row["crs"] for row in tiles} == {"local"}
    assert len({tuple(row["subsets"]) for row in tiles}) == 1  # roles do not tell which tiles a test frame shows
    flown = {row["image_id"] for row in rows if row["subsets"] == ["train"]}
    assert len(flown) == 358
    assert not flown & set(truth(lake))  # the flight that is adapted on comes without any label
    query_rows = [row["image_id"] for row in rows if row["view"] == "drone" and "query" in row["subsets"]]
    assert len(query_rows) == 500
    assert all(truth(lake)[image_id]["x"] is not None for image_id in query_rows)
