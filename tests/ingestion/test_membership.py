"""A folder that is given for its images: what is one, what lies beside them, what is refused."""

from __future__ import annotations

from pathlib import Path

from cvgl.ingestion.membership import list_images
from tests.data.images import place_image, save


def flight(folder: Path) -> list[str]:
    """Frames as a drone and a network disk leave them; gives the names that are images."""
    names = [f"DJI_{number}.JPG" for number in (1, 2, 10)]
    for name in names:
        save(place_image(1), folder / name)
        (folder / "@eaDir" / name).mkdir(parents=True)
        save(place_image(2), folder / "@eaDir" / name / "SYNOPHOTO_THUMB_M.jpg")
    for beside in (
        "DJI_1.SRT",
        "DJI_1.jgw",
        "DJI_1.jpg.aux.xml",
        "flight.csv",
        "geo.txt",
        "a.prj",
        "T.MRK",
        "DJI_1.LRF",
        "v.MP4",
    ):
        (folder / beside).write_text("x")
    (folder / "DJI_1.DNG").write_bytes(b"II*\0")
    for hidden in (".DS_Store", "Thumbs.db", "._DJI_1.JPG", "#recycle/old.jpg"):
        (folder / hidden).parent.mkdir(exist_ok=True)
        (folder / hidden).write_text("x")
    return names


def test_frames_are_frames_and_the_rest_is_counted(tmp_path: Path) -> None:
    names = flight(tmp_path)
    inside = list_images(tmp_path)
    assert sorted(path.name for path in inside.images) == sorted(names)
    assert inside.refused == {}
    assert sum(inside.beside.values()) == 10
    assert inside.beside[".srt"] == inside.beside[".dng"] == 1
    assert inside.note().startswith("10 files")


def test_a_raw_file_without_its_image_is_refused_with_what_to_do(tmp_path: Path) -> None:
    save(place_image(1), tmp_path / "a.jpg")
    (tmp_path / "b.DNG").write_bytes(b"II*\0")
    (tmp_path / "c.unknown").write_bytes(b"x")
    inside = list_images(tmp_path)
    assert [path.name for path in inside.images] == ["a.jpg"]
    assert sorted(path.name for path in inside.refused) == ["b.DNG", "c.unknown"]
    assert "raw" in inside.refused[tmp_path / "b.DNG"]


def test_links_stay_in_the_folder(tmp_path: Path) -> None:
    outside = save(place_image(1), tmp_path / "outside/a.jpg")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.jpg").symlink_to(outside)
    inside = list_images(folder)
    assert inside.images == ()
    assert list(inside.refused) == [folder / "link.jpg"]
