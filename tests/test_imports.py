"""Importing costs nothing, and a bare node needs only the library's own packages."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.images import university1652

HEAVY = ["torch", "timm", "faiss", "duckdb", "matplotlib", "sklearn", "pandas", "prefect", "mlflow", "pyarrow", "numpy"]
BARE_NODE_LACKS = [
    "prefect", "mlflow", "duckdb", "faiss", "matplotlib", "sklearn", "jinja2", "pandas", "filelock", "psutil",
]  # fmt: skip

# Finders that do not find them: what python does where a package is not installed.
ABSENT = f"""
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in {BARE_NODE_LACKS!r} else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


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
from flows.cli.app import app
sys.argv = ["cvgl", "--help"]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    app()
"""
    assert loaded_by(code, [module for module in HEAVY if module != "numpy"]) == ""


@pytest.mark.parametrize(
    "use",
    [
        "from cvgl import adapt, evaluate, Adaptation",
        "import cvgl.stages.ingest, cvgl.stages.extraction.stage, cvgl.stages.adapt, cvgl.evaluation.evaluate",
        "import cvgl.backbones, cvgl.features, cvgl.retrieval, cvgl.localization, cvgl.stages.localize",
        "import cvgl.synthetic, cvgl.catalog, cvgl.reporting",
    ],
)
def test_library_imports_on_a_bare_node(use: str) -> None:
    run_python(f"{ABSENT}\n{use}\nprint('imported')")


def test_the_whole_line_runs_on_a_bare_node(tmp_path: Path) -> None:
    source = university1652(tmp_path / "pictures", train=6, test=4)
    image = next((source / "test" / "query_drone").rglob("*.jpeg"))
    code = f"""
from pathlib import Path
from cvgl.config import AdaptConfig, EvaluateConfig, ExtractConfig, IngestConfig
from cvgl.lake import Lake
from cvgl.stages.adapt import adapt
from cvgl.evaluation.evaluate import evaluate
from cvgl.stages.extraction.stage import extract
from cvgl.stages.ingest import ingest
from cvgl.stages.localize import localize

lake = Lake.at({str(tmp_path / "lake")!r})
images = ingest(IngestConfig(source={str(source)!r}, dataset="bare"), lake).ref
features = extract(images, ExtractConfig(), lake).ref
adapter = adapt(features, AdaptConfig(recipe="paper-standardised", iterations=2, dimension=None), lake).ref
figures = evaluate(adapter, EvaluateConfig(), lake).metrics
[placement] = localize([Path({str(image)!r})], "bare", lake, run=adapter.name)
print(len(figures), placement.placed)
"""
    assert run_python(f"{ABSENT}\n{code}").splitlines()[-1] == "6 True"  # three stages in two directions
