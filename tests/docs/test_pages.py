"""The documentation against the code: paths exist, command lines parse, quoted messages are those of the code."""

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
NOTEBOOK = DOCS / "lab-notebook"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
USER_PAGES = [page for page in PAGES if not page.is_relative_to(NOTEBOOK)]
FOLDERS = ("cvgl", "tasks", "flows", "tests", "benchmarks", "deployments", "docs", "findings")


def names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def expanded(path: str) -> Iterator[str]:
    """``a/{b,c}.py`` -> ``a/b.py``, ``a/c.py``."""
    parts = re.split(r"\{([^}]*)\}", path)
    yield from ("".join(each) for each in itertools.product(*(part.split(",") for part in parts)))


def quoted_paths(text: str) -> Iterator[str]:
    for span in re.findall(r"`([^`\s]+)`", text):
        if span.startswith(tuple(f"{folder}/" for folder in FOLDERS)) and "<" not in span:
            yield from expanded(span)


@pytest.mark.parametrize("page", names(PAGES))
def test_every_path_in_backticks_exists(page: str) -> None:
    lost = [path for path in quoted_paths((ROOT / page).read_text()) if not list(ROOT.glob(path))]
    assert lost == []


def command_lines(text: str) -> Iterator[list[str]]:
    """The arguments of each line of a code block that starts `cvgl`, less comments, explanations and redirections."""
    text = re.sub(r"\\\n\s*", "", text)
    for line in re.findall(r"^ *(?:\$ )?cvgl +(.+)$", "\n".join(code_blocks(text)), re.MULTILINE):
        if not re.search(r"\.\.\.|…|\[", line):
            yield shlex.split(re.split(r" {3,}| #| [|>] | && ", line)[0])


def code_blocks(text: str) -> Iterator[str]:
    yield from re.findall(r"```(?:text|bash|sh|console)?\n(.*?)```", text, re.DOTALL)
    yield from re.findall(r"^(?: {4,}.*\n?)+", text, re.MULTILINE)


def unknown(arguments: list[str]) -> str:
    """The first word of a command line that the command does not know, or an earlier name of something; else nothing."""
    from flows.cli.app import app

    command: Any = typer.main.get_command(app)
    while getattr(command, "commands", {}) and arguments and arguments[0] in command.commands:
        command, arguments = command.commands[arguments[0]], arguments[1:]
        if command.hidden:
            return str(command.name)
    if getattr(command, "commands", {}) and arguments and not arguments[0].startswith("-"):
        return arguments[0]
    options = {name for each in command.params if not each.hidden for name in [*each.opts, *each.secondary_opts]}
    options |= {"--help", "--install-completion", "--show-completion"}
    return next((word for word in arguments if word.startswith("--") and word.split("=")[0] not in options), "")


@pytest.mark.parametrize("page", names(PAGES))
def test_every_command_line_parses(page: str) -> None:
    lines = command_lines((ROOT / page).read_text())
    assert [(word, shlex.join(line)) for line in lines if (word := unknown(line))] == []


def test_command_lines_are_found() -> None:
    assert len(list(command_lines((DOCS / "getting-started" / "index.md").read_text()))) >= 3


@pytest.mark.parametrize("page", names(USER_PAGES))
def test_no_user_page_needs_a_folder_of_ours(page: str) -> None:
    assert "../shared" not in (ROOT / page).read_text()


def test_quoted_messages_are_those_of_the_code() -> None:
    files = itertools.chain.from_iterable((ROOT / folder).rglob("*.py") for folder in ("cvgl", "tasks", "flows"))
    code = " ".join(re.sub(r'"\s*\n\s*f?"', "", file.read_text()) for file in files)
    headings = re.findall(r"^### (.*)$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    parts = [part.strip() for heading in headings for part in heading.split("…")]
    assert len(parts) > 20
    assert [part for part in parts if part not in code] == []


def test_readme_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 60
