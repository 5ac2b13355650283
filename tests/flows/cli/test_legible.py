"""Names and reasons of others on a terminal: shown, never obeyed, whatever is in them."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from pathlib import Path

import pytest
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cvgl.arrival import batches
from cvgl.arrival.batches import Contents, State
from cvgl.errors import DataError
from cvgl.lake import Lake
from flows.cli.console import Screen, Terminal, Verbatim, print_answer, print_json
from flows.cli.legible import escaped_json, hanging, json_text, legible
from flows.cli.tables import facts, records
from tests.arrival.sources import DATASET
from tests.flows.cli.commands import invoke

# Colours, the window's title, the clipboard, a link, C1's CSI and OSC, the bell, a carriage return, marks of direction, a byte
# that is not UTF-8, and square brackets that would be markup.
HOSTILE = (
    "a\x1b[31mb",
    "\x1b]0;title\x07",
    "\x1b]52;c;aGk=\x1b\\",
    "\x9b2J",
    "\x9d0;x\x9c",
    "bell\x07",
    "over\rwritten",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "byte\udcff.png",
    "[/] [red]x[/red] [link=http://x]y[/link] [",
    "tab\tand\x0bmore\x08",
    "\U000e0041tag",
)
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]")


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_nothing_that_a_terminal_obeys_is_left(name: str) -> None:
    visible = legible(name)
    assert OBEYED.search(visible) is None
    visible.encode()  # every stream can write it


def test_what_is_harmless_stays() -> None:
    for name in ("straße.png", "東京 [2024].tif", "می‌خواهم", "a\nb", "𝄞"):
        assert legible(name) == name
    assert legible("a\nb", one_line=True) == "a\\nb"
    assert legible("\x1b[0m\udcff\u202e") == "\\x1b[0m\\xff\\u202e"
    assert hanging("one\ntwo") == "one\n    two"


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_json_keeps_the_value_and_holds_nothing_that_a_terminal_obeys(name: str) -> None:
    line = json_text({"name": name})
    assert OBEYED.search(line) is None
    assert json.loads(line) == {"name": name}
    assert json.loads(json_text({"name": f"ü{name}"}, "ascii").encode("ascii")) == {"name": f"ü{name}"}
    assert json.loads(escaped_json(json.dumps({"name": name}, indent=1, ensure_ascii=False))) == {"name": name}


def _tables(name: str) -> list[object]:
    table = Table(name, title=name, caption=name)
    table.add_row(name)
    table.add_row(Text(name))
    return [name, Text(name), table, Group(name, Text(name)), facts({"reason": name}, name), records([{name: name}], name)]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
@pytest.mark.parametrize("kind", range(6))
def test_every_answer_is_legible(name: str, kind: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_answer(_tables(name)[kind])  # type: ignore[arg-type] # renderables
    printed = capsys.readouterr().out
    assert OBEYED.search(printed) is None
    assert legible(name)[:3] in printed


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_errors_log_lines_progress_and_notes_are_legible(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    with screen.live():
        logging.getLogger("cvgl.test").warning("%s is refused", name)
        report = screen.stage(f"reading {name}")
        report(1, 2, name)
    screen.error(DataError(f"no image: {name}", where=name, fix=f"rename {name}"))
    screen.note(name)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert OBEYED.search(printed.err) is None
    assert printed.err.count(legible(name).splitlines()[0]) >= 5


def test_a_line_feed_in_a_name_fakes_no_line_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a.png\nServerError: all is lost\n  to do: curl evil"
    screen = Screen()
    with screen.live():
        logging.getLogger("cvgl.test").warning("%s is refused", name)
    screen.error(DataError(name, where=name, fix=name))
    screen.note(name)
    lines = capsys.readouterr().err.splitlines()
    assert not [line for line in lines if line.startswith(("ServerError", "  to do: curl"))]
    print_answer(records([{"name": name}], "files"))
    assert "\\nServerError" in "".join(capsys.readouterr().out.split())


def test_bars_on_a_terminal_take_any_title(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(Terminal, "is_terminal", True)
    monkeypatch.setattr(sys, "stderr", stream)
    screen = Screen()
    with screen.live():
        screen.stage("[/] \x9b2J title")(1, 2, "\x07[/red]")
    drawn = stream.getvalue()
    assert "\\x9b2J" in drawn
    assert "\x9b" not in drawn
    assert "\x07" not in drawn


def test_formats_for_programs_are_as_they_are_in_a_pipe_and_legible_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_answer(Verbatim("name\tsize\n\x1b[31mred,1"))
    assert capsys.readouterr().out == "name\tsize\n\x1b[31mred,1\n"
    monkeypatch.setattr(Terminal, "is_terminal", True)
    print_answer(Verbatim("name\n\x1b[31mred,1"))
    assert capsys.readouterr().out == "name\n\\x1b[31mred,1\n"


def test_a_stream_that_does_not_have_a_letter_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="latin-1", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    print_json({"name": "東京 \udcff"})
    print_answer(Text("≤ 25 m 東京"))
    line, text_line = raw.getvalue().decode("latin-1").splitlines()
    assert json.loads(line) == {"name": "東京 \udcff"}
    assert text_line == "\\u2264 25 m \\u6771\\u4eac"


def test_arrivals_shows_a_reason_with_square_brackets(lake: Lake, tmp_path: Path) -> None:
    batches.close(lake, DATASET, str(tmp_path), Contents(files={"a.png": "0" * 64}), 10)
    reason = "[/] none of the names [red]can be used \x1b[2J\u202e"
    batches.advance(lake, batches.batches(lake, DATASET)[0], state=State.FAILED, outcome="not usable", reason=reason)
    printed = invoke("batches", "--dataset", DATASET, "--lake", lake.root)
    assert printed.code == 0
    squeezed = "".join(printed.stdout.split())
    assert "[/]" in squeezed
    assert OBEYED.search(printed.stdout) is None
    listed = invoke("batches", "--dataset", DATASET, "--lake", lake.root, "--json")
    assert listed.json[0]["reason"] == reason  # type: ignore[index] # a list
    assert OBEYED.search(listed.stdout) is None
    answered = invoke("decide", "1", "skip", "--dataset", DATASET, "--lake", lake.root)
    assert (answered.code, OBEYED.search(answered.stdout)) == (0, None)
