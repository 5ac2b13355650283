"""Importing costs nothing, and a bare node needs only the library's own packages."""

import subprocess
import sys

import pytest

HEAVY = ["torch", "timm", "faiss", "duckdb", "matplotlib", "sklearn", "pandas", "prefect", "mlflow", "pyarrow", "numpy"]
BARE_NODE_LACKS = [
    "prefect", "mlflow", "duckdb", "faiss", "matplotlib", "sklearn", "jinja2", "pandas", "pyproj", "filelock", "psutil",
]  # fmt: skip


def run_python(code: str) -> str:
    """Runs `code` in a fresh interpreter and returns what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_by(code: str, modules: list[str]) -> str:
    return run_python(f"import sys\n{code}\nprint(','.join(m for m in {modules!r} if m in sys.modules))")


def test_importing_cvgl_loads_nothing_heavy() -> None:
    assert loaded_by("import cvgl", HEAVY) == ""


def test_help_loads_nothing_heavy() -> None:
    code = """
import contextlib, io, sys
from flows.cli import app
sys.argv = ["cvgl", "--help"]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    app()
"""
    assert loaded_by(code, [module for module in HEAVY if module != "numpy"]) == ""


@pytest.mark.parametrize(
    "use",
    [
        "from cvgl import adapt, evaluate, Adaptation",
        "import cvgl.stages.ingest, cvgl.stages.extract, cvgl.stages.adapt, cvgl.stages.evaluate",
        "import cvgl.backbones, cvgl.features, cvgl.retrieval, cvgl.localization, cvgl.stages.localize",
        "import cvgl.datasets.world, cvgl.catalog, cvgl.reporting",
    ],
)
def test_library_imports_on_a_bare_node(use: str) -> None:
    run_python(f"import sys\nsys.modules.update(dict.fromkeys({BARE_NODE_LACKS!r}))\n{use}\nprint('imported')")
