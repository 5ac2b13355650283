"""Names say what they hold: the share of filler words among local and parameter names stays below half a percent."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Words that fit any value, and so tell nothing about one.
FILLERS = frozenset(["asked", "found", "given", "kept", "known", "one", "said", "seen", "shown", "told", "what", "where"])
LIMIT = 0.005  # the models of the field have 0 to 0.001


def bound_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names that code binds, parameters among them, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno


@pytest.mark.parametrize("folder", ["cvgl", "tasks", "flows", "tests", "benchmarks"])
def test_filler_names_are_rare(folder: str) -> None:
    names = [
        (name, f"{path.relative_to(ROOT)}:{line}")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name, line in bound_names(ast.parse(path.read_text(encoding="utf-8")))
    ]
    fillers = [f"{place}: {name}" for name, place in names if name in FILLERS]
    assert len(fillers) < LIMIT * len(names), "\n".join(fillers)


def test_parameters_and_assignments_are_counted() -> None:
    assert sorted(bound_names(ast.parse("def f(found):\n    one = found"))) == [("found", 1), ("one", 2)]
