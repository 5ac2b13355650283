"""Earlier names of options and commands: each command line of the docs of version 0.1 is still taken."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from flows.cli.app import app
from flows.cli.renamed import COMMANDS, OPTIONS

# Every command line in docs/ and README.md of commit 13db401, one a line.
LINES = (Path(__file__).with_name("command_lines_0_1.txt")).read_text(encoding="utf-8").splitlines()
ROOT: Any = typer.main.get_command(app)


def parsed(line: str) -> Any:
    """The command and its values, as a command line gives them; nothing is run."""
    name, *arguments = shlex.split(line)[1:]
    return ROOT.commands[name].make_context(name, arguments)


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_of_version_0_1_is_taken(line: str) -> None:
    assert parsed(line).params


def test_an_earlier_option_fills_todays_and_says_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    context = parsed("cvgl localize a.jpg --dataset d --together")
    assert context.params["same_place"] is True
    assert "--same-place" in capsys.readouterr().err


def test_a_value_behind_an_equals_sign_comes_along() -> None:
    assert parsed("cvgl ingest FOLDER --dataset d --height=150").params["altitude"] == 150


def test_todays_names_are_taken_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed("cvgl localize a.jpg --dataset d --same-place").params["same_place"] is True
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("former", "name"), COMMANDS.items())
def test_an_earlier_command_is_hidden_and_works(former: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ROOT.commands[former].hidden
    assert not ROOT.commands[name].hidden
    parsed(f"cvgl {former} {'3 adapt ' if former == 'answer' else ''}--dataset d")
    assert f"cvgl {name}" in capsys.readouterr().err


def test_every_earlier_option_leads_to_one_that_there_is() -> None:
    flags = {flag for command in ROOT.commands.values() for parameter in command.params for flag in parameter.opts}
    assert set(OPTIONS.values()) <= flags
    assert not set(OPTIONS) & flags
