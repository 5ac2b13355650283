from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from cvgl.errors import DataError, GateRefusal
from flows.cli.app import app as cvgl
from flows.cli.command import Answer, command
from flows.cli.options import Draft
from flows.cli.settings import ADAPTER

COMMANDS = [
    *("demo", "run", "ingest", "align", "extract", "adapt", "evaluate", "promote", "rollback", "localize"),
    *("query", "backbones", "report", "ui", "reproduce"),
]


def invoke(body: Callable[[], Answer], *arguments: str) -> Result:
    app = typer.Typer()

    @command(app, ADAPTER)
    def work(draft: Draft) -> Answer:
        return body()

    return CliRunner().invoke(app, list(arguments))


def test_people_read_a_text_and_programs_one_json_object_on_the_last_line() -> None:
    answer = Answer({"found": [1, 2]}, "found two")
    assert invoke(lambda: answer).stdout == "found two\n"
    result = invoke(lambda: answer, "--json")
    assert json.loads(result.stdout.splitlines()[-1]) == {"found": [1, 2]}
    assert result.exit_code == 0


@pytest.mark.parametrize(("error", "code"), [(DataError, 1), (GateRefusal, 3)])
def test_a_users_error_is_told_on_stderr_without_a_traceback(error: type[DataError], code: int) -> None:
    def fail() -> Answer:
        raise error("the folder [empty] is empty", where="/data", fix="fill it")

    result = invoke(fail)
    assert result.exit_code == code
    assert result.stdout == ""
    for part in (error.__name__, "the folder [empty] is empty", "where: /data", "to do: fill it"):
        assert part in result.stderr
    assert "Traceback" not in result.stderr
    result = invoke(fail, "--json")
    assert json.loads(result.stdout)["error"] == {
        "kind": error.__name__,
        "what": "the folder [empty] is empty",
        "where": "/data",
        "fix": "fill it",
    }


def test_a_defect_of_ours_keeps_its_traceback() -> None:
    def fail() -> Answer:
        raise ZeroDivisionError("ours")

    result = invoke(fail)
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_ctrl_c_is_130() -> None:
    def interrupted() -> Answer:
        raise KeyboardInterrupt

    assert invoke(interrupted).exit_code == 130


def test_a_command_can_refuse_and_still_answer() -> None:
    result = invoke(lambda: Answer({"verdict": "refused"}, "no", exit_code=3), "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout) == {"verdict": "refused"}


@pytest.mark.parametrize("arguments", [["--threshold", "2"], ["--seed", "one"], ["--unknown"], ["--config", "/no/such/file"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    def work() -> Answer:
        raise AssertionError("must not run")

    app = typer.Typer()

    @command(app, ADAPTER)
    def adapt(draft: Draft) -> Answer:
        from cvgl.config import AdaptConfig

        draft.section("adapt", AdaptConfig)
        return work()

    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_json(name: str) -> None:
    result = CliRunner().invoke(cvgl, [name, "--help"])
    assert result.exit_code == 0
    assert "--json" in result.output
    assert "--lake" in result.output


def test_the_help_names_every_command() -> None:
    result = CliRunner().invoke(cvgl, ["--help"])
    assert all(f" {name} " in result.output for name in COMMANDS)


def test_the_version_is_the_packages() -> None:
    from cvgl import __version__

    assert CliRunner().invoke(cvgl, ["--version"]).stdout == f"cvgl {__version__}\n"


@pytest.mark.parametrize("arguments", [["run", "--source", "pictures"], ["extract"], ["adapt"], ["demo"]])
def test_without_prefect_the_command_says_which_extra_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "prefect", None)
    dataset = [] if arguments == ["demo"] else ["--dataset", "campus"]
    result = CliRunner().invoke(cvgl, [*arguments, *dataset, "--lake", str(tmp_path / "lake")])
    assert result.exit_code == 1
    assert "pip install 'cvgl[pipeline]'" in result.stderr
    assert not (tmp_path / "lake").exists()


def test_a_file_is_no_lake(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    result = CliRunner().invoke(cvgl, ["query", "FROM images", "--lake", str(file)])
    assert result.exit_code == 1
    assert "must be a folder" in result.stderr
