"""Paths for the keys of a bucket: one each, as they are where they can be."""

from __future__ import annotations

import os
import random
import unicodedata
from pathlib import Path

import pytest

from cvgl.arrival.bucket_keys import LONGEST_NAME, paths_of

ODD = (
    "a//b.png",
    "a/./b.png",
    "a/../b.png",
    "/a/b.png",
    "a\0b.png",
    "..",
    ".",
    "",
    "a/",
    "x" * 400 + ".png",
    "é" * 200 + "/b.png",
)


def test_ordinary_keys_are_their_own_paths() -> None:
    keys = [
        "satellite/1.png",
        "drone/1 (2).JPG",
        "drone/straße 東京.png",
        "manifest.csv",
        "a.b/c~d.tif",
        "~x/_",
        "A.png",
        "a.png",
    ]
    assert paths_of(keys) == {key: key for key in keys}


@pytest.mark.parametrize("key", ODD)
def test_any_key_has_a_path_that_a_file_system_takes(key: str, tmp_path: Path) -> None:
    path = paths_of([key])[key]
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"")
    assert file.resolve().is_relative_to(tmp_path.resolve())
    assert file.relative_to(tmp_path).as_posix() == path
    assert all(len(os.fsencode(part)) <= LONGEST_NAME and not part.startswith(".") for part in path.split("/"))


def test_empty_parts_and_dots_go_where_nobody_else_is() -> None:
    assert paths_of(["a//b.png", "c/./d.png"]) == {"a//b.png": "a/b.png", "c/./d.png": "c/d.png"}
    taken = paths_of(["a//b.png", "a/b.png", "a/./b.png"])
    assert taken["a/b.png"] == "a/b.png"
    assert len(set(taken.values())) == 3
    assert all(path.endswith(".png") and path.startswith("a/") for path in taken.values())


def test_a_key_that_is_anothers_folder_gives_way() -> None:
    paths = paths_of(["drone", "drone/1.png", "drone/1.png/x"])
    assert paths["drone/1.png/x"] == "drone/1.png/x"
    assert paths["drone"].startswith("drone~")
    assert paths["drone/1.png"].startswith("drone/1~")
    assert paths["drone/1.png"].endswith(".png")


def test_files_beside_an_image_stay_beside_it() -> None:
    long = "y" * 300
    names = [f"drone/{long}{ending}" for ending in (".jpg", ".jgw", ".jpg.aux.xml", ".prj")]
    paths = paths_of(names)
    stems = {
        paths[name].removesuffix(ending) for name, ending in zip(names, (".jpg", ".jgw", ".jpg.aux.xml", ".prj"), strict=True)
    }
    assert len(stems) == 1
    folder = paths_of([f"{long}/1.png", f"{long}/positions.csv"])
    assert len({path.partition("/")[0] for path in folder.values()}) == 1


def test_where_case_and_accents_do_not_count_nobody_takes_anothers_place() -> None:
    keys = [
        "d/A.png",
        "d/a.png",
        "d/A.pgw",
        "d/a.pgw",
        "d/é.png",
        unicodedata.normalize("NFD", "d/é.png"),
        "D/b.png",
        "d/B.png",
    ]
    assert paths_of(keys) == {key: key for key in keys}
    paths = paths_of(keys, folds=True)
    assert len({unicodedata.normalize("NFC", path).casefold() for path in paths.values()}) == len(keys)
    assert paths["d/A.png"] == "d/A.png"
    assert paths["d/a.png"].removesuffix(".png") == paths["d/a.pgw"].removesuffix(".pgw")


def test_the_same_keys_have_the_same_paths_and_no_two_share_one() -> None:
    draw = random.Random(0)
    parts = ["", ".", "..", "a", "A", "a~b", "z" * 300, "n\0l", "b.png", "_", "é"]
    for _ in range(200):
        keys = {"/".join(draw.choices(parts, k=draw.randint(1, 4))) for _ in range(draw.randint(1, 25))}
        for folds in (False, True):
            paths = paths_of(keys, folds=folds)
            assert paths == paths_of(sorted(keys, reverse=True), folds=folds)
            files = set(paths.values())
            assert len(files) == len(keys)
            folders = {path.rsplit("/", number)[0] for path in files for number in range(1, path.count("/") + 1)}
            assert not files & folders
