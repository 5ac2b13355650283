"""Fields of the settings by name: `--set`, settings files, `cvgl settings`, and what the help shows."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cvgl.config import ArrivalConfig, Facet
from flows.cli.app import app
from flows.cli.fields import assignment, field_of, leaves, read_values
from flows.cli.options import Draft, described
from flows.cli.settings import EVERYDAY, GROUPS
from tests.flows.cli.commands import invoke

SOURCE = {"ingest": {"source": "s", "dataset": "d"}}


def draft(*assignments: str) -> Draft:
    return Draft.of([], None, assignments=["ingest.source=s", "ingest.dataset=d", *assignments])


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("adapt.em_weight=0.5", "adapt.em_weight", 0.5),
        ("adapt.iterations=7", "adapt.iterations", 7),
        ("align.enabled=false", "align.enabled", False),
        ("extract.backbone.facet=value", "extract.backbone.facet", Facet.VALUE),
        ("extract.backbone.layers=-2,-4", "extract.backbone.layers", (-2, -4)),
        ("align.rotations=1,8", "align.rotations", (1, 8)),
        ("extract.backbone.layers=[-3]", "extract.backbone.layers", (-3,)),
        ("extract.backbone.checkpoint=none", "extract.backbone.checkpoint", None),
        ("registry.tracking_uri=http://a/?b=c", "registry.tracking_uri", "http://a/?b=c"),
        ("lake=other", "lake", "other"),
    ],
)
def test_an_assignment_fills_its_field(text: str, path: str, value: object) -> None:
    value_set: Any = draft("adapt.recipe=released", text).run()
    for name in path.split("."):
        value_set = getattr(value_set, name)
    assert value_set == value


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("adapt.em_wieght=1", "adapt.em_weight"),
        ("em_weight=1", "adapt.em_weight"),
        ("adapt=1", "cvgl settings adapt"),
        ("adapt.em_weight", "NAME=VALUE"),
        ("extract.backbone.layers=[1", "JSON"),
        ("zzzz.qqqq=1", "cvgl settings"),
    ],
)
def test_what_is_no_assignment_is_refused_with_a_way_on(text: str, near: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        assignment(text)
    assert near in caught.value.message


def test_a_value_out_of_bounds_is_refused_as_an_option_is() -> None:
    with pytest.raises(typer.BadParameter) as caught:
        draft("adapt.em_weight=-1").run()
    assert "em-weight" in caught.value.message or "em_weight" in caught.value.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", '[ingest]\nsource = "s"\ndataset = "d"\n[adapt]\nseed = 4\n'),
        ("a.yaml", "ingest: {source: s, dataset: d}\nadapt: {seed: 4}\n"),
        ("a.yml", "ingest:\n  source: s\n  dataset: d\nadapt:\n  seed: 4\n"),
        ("a.json", json.dumps({**SOURCE, "adapt": {"seed": 4}})),
        ("settings", json.dumps({**SOURCE, "adapt": {"seed": 4}})),
    ],
)
def test_settings_are_read_from_a_file(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert Draft.of([], path).run().adapt.seed == 4
    assert Draft.of([], path, assignments=["adapt.seed=5"]).run().adapt.seed == 5


@pytest.mark.parametrize(
    ("name", "text"), [("a.toml", "= 3"), ("a.yaml", "a: [1"), ("a.json", "{"), ("b.yaml", "- 1"), ("b.json", "3")]
)
def test_a_file_that_is_none_is_refused_by_its_name(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(typer.BadParameter) as caught:
        read_values(tmp_path / name)
    assert name in caught.value.message


def test_every_option_is_a_field_and_every_field_is_listed() -> None:
    listed = {row["name"]: row for row in described()}
    assert set(listed) == {name for name, _ in leaves()}
    for setting in (setting for group in GROUPS for setting in group):
        assert listed[setting.path]["option"] == setting.flag
        assert field_of(setting.path).description
    assert {setting.flag for group in GROUPS for setting in group} >= EVERYDAY


def test_defaults_that_are_listed_can_be_set() -> None:
    config = ArrivalConfig.model_validate(SOURCE)
    skipped = ("watch.storage", "adapt.")  # options of a storage have no text; what a recipe is trained by follows from it
    rows = [row for row in described() if row["default"] != "" and not row["name"].startswith(skipped)]
    again = Draft.of([], None, assignments=[f"{row['name']}={row['default']}" for row in rows if row["name"] not in ("lake",)])
    assert again.with_default("ingest", SOURCE["ingest"]).arrival().model_dump() == config.model_dump()


def test_the_command_lists_a_section_for_people_and_programs() -> None:
    rows: Any = invoke("settings", "decide", "--json").json
    assert [row["name"] for row in rows][:2] == ["decide.minimum_new", "decide.significance"]
    assert rows[0]["option"] == "--min-new"
    assert "decide.minimum_new" in invoke("settings", "decide").stdout


@pytest.mark.parametrize(("command", "lines"), [("run", 100), ("watch", 120)])
def test_the_help_fits_two_screens(command: str, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERMINAL_WIDTH", "100")
    text = CliRunner(env={"COLUMNS": "100"}).invoke(app, [command, "--help"]).output
    assert len(text.splitlines()) <= lines
    assert "--em-weight" not in text
    assert "--set" in text


def test_an_option_that_help_does_not_show_says_its_lasting_form(tmp_path: Path) -> None:
    run = invoke("run", "--em-weight", "0.5", "--dataset", "d", "--lake", tmp_path / "lake")
    assert "--set adapt.em_weight=0.5" in run.stderr


def test_every_help_ends_with_an_example_that_is_taken() -> None:
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        example = command.epilog.removeprefix("Example: cvgl ")
        assert example.startswith(name) or command.hidden, name
        called, *arguments = shlex.split(example)
        assert root.commands[called].make_context(called, arguments).params


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {
        "COMP_WORDS": "cvgl loc",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "cvgl loc",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    result = CliRunner(env={"_CVGL_COMPLETE": f"complete_{shell}", **words}).invoke(app, [], prog_name="cvgl")
    assert "localize" in result.output
