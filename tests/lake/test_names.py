"""Names that people give lead nowhere but to what they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.errors import ConfigError, UsageError
from cvgl.lake import Lake, write_json
from cvgl.stages.localize import localize
from tasks.find import find_adapter, find_evaluation, find_features
from tests.flows.cli.commands import invoke

BAD = [
    "",
    ".",
    "..",
    "../..",
    "a/b",
    "/etc",
    "a\\b",
    "..\\x",
    ".hidden",
    "a\0b",
    "a\nb",
    "a\x1b[31m",
    "*",
    "r?n",
    "[a]",
    "x" * 256,
    "é" * 128,
]
GOOD = ["campus", "town-paper-1491d8e250e6", "a b", "v1.2", "größe", "x" * 200]


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_refused_wherever_it_would_be_a_path(lake: Lake, name: str) -> None:
    for of in (
        *(lake.images, lake.ground_truth, lake.quarantine, lake.tombstones, lake.decisions, lake.arrivals, lake.costs),
        *(lake.alignments, lake.scans, lake.source, lake.map, lake.champion, lake.described),
        *(lake.adapter, lake.evaluation, lake.report, lake.quality, lake.gate, lake.registration, lake.vocabulary, lake.lock),
        *(
            lambda name: lake.features(name, "a"),
            lambda name: lake.features("m", name),
            lambda name: lake.map_version("a", name),
        ),
    ):
        with pytest.raises(UsageError) as raised:
            of(name)
        assert isinstance(raised.value, ConfigError)
        assert raised.value.what.isprintable()


@pytest.mark.parametrize("name", GOOD)
def test_names_stay_below_their_folder(lake: Lake, name: str) -> None:
    assert lake.adapter(name).parent == lake.root / "adapters"
    assert lake.images(name).parent == lake.root / "images"


@pytest.mark.parametrize("name", ["../..", "../other/adapters/run", "/etc"])
def test_no_other_lake_is_read(tmp_path: Path, name: str) -> None:
    write_json(tmp_path / "other" / "adapters" / "run" / "adapter.json", {"dataset": "campus"})
    lake = Lake.at(tmp_path / "lake")
    for find in (find_adapter, find_evaluation, find_features):
        with pytest.raises(UsageError):
            find(lake, name)
    image = tmp_path / "a.png"
    image.touch()
    with pytest.raises(UsageError):
        localize([image], "campus", lake, run=name)
    with pytest.raises(UsageError):
        localize([image], name, lake)


@pytest.mark.parametrize(
    "arguments",
    [
        ("localize", "a.jpg", "--dataset", "campus", "--run", "../.."),
        ("localize", "a.jpg", "--dataset", "../.."),
        ("maps", "--dataset", "../.."),
        ("arrivals", "--dataset", "../.."),
        ("report", "../.."),
        ("promote", "../.."),
    ],
    ids=" ".join,
)
def test_a_command_calls_it_wrong_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = invoke(*arguments, "--lake", tmp_path / "lake", "--json")
    assert done.code == 2
    if '"error"' in done.stdout:
        assert done.json["error"]["kind"] == "ConfigError"
    assert not (tmp_path / "lake").exists()
