"""The launcher: what it starts, and what it says where packages of other projects are in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cvgl

ROOT = Path(cvgl.__file__).resolve().parents[1]


def started(*arguments: str, first: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, [*([first] if first else []), ROOT]))
    return subprocess.run(
        [sys.executable, "-P", "-m", "cvgl", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_python_m_cvgl_is_the_command() -> None:
    done = started("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"cvgl {cvgl.__version__}")


@pytest.mark.parametrize("name", ["flows", "tasks"])
def test_a_package_of_that_name_of_another_project_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise SystemExit(0)  # another project's, and never imported\n")
    done = started("--version", first=tmp_path)
    assert done.returncode == 1
    assert str(tmp_path / name) in done.stderr
    assert "environment of its own" in done.stderr
