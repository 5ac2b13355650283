"""The wheel and the sdist: complete, installable into an empty folder, and run from there, away from the checkout."""

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from cvgl import __version__

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
pytest.importorskip("build", reason="the extra dev brings build")


def build(source: Path, out: Path, *options: str) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True, cwd=out.parent)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of this checkout."""
    out = tmp_path_factory.mktemp("dist") / "out"
    build(ROOT, out, "--sdist")
    build(ROOT, out, "--wheel")
    return out


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    return distributions / f"cvgl-{__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with the wheel's content and nothing else; dependencies stay those of this interpreter."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(folder), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    return folder


def contents(wheel: Path) -> Mapping[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")}


def cvgl(paths: list[Path], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the installed command in a folder of its own; the first of the paths win over the checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "CVGL_"))}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "cvgl", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_sdist_builds_the_same_wheel(distributions: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(distributions / f"cvgl-{__version__}.tar.gz") as archive:
        archive.extractall(tmp_path / "source", filter="data")
    build(tmp_path / "source" / f"cvgl-{__version__}", tmp_path / "out", "--wheel")
    assert contents(tmp_path / "out" / wheel.name) == contents(wheel)


def test_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "cvgl", "tasks", "flows"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("no git checkout")
    assert sorted(set(tracked.stdout.split()) - set(contents(wheel))) == []


def test_installed_command_is_the_installed_one(site: Path, tmp_path: Path) -> None:
    script = "import cvgl, tasks, flows; print(cvgl.__file__, tasks.__file__, flows.__file__)"
    shown = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(Path(file).is_relative_to(site) for file in shown.stdout.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["settings"], ["doctor"], ["automate", "--help"]])
def test_installed_command_answers(arguments: list[str], site: Path, tmp_path: Path) -> None:
    answer = cvgl([site], tmp_path, *arguments)
    assert (answer.returncode, answer.stderr.count("Traceback")) == (0, 0), answer.stderr
    assert answer.stdout


@pytest.mark.parametrize("name", ["flows", "tasks"])
def test_foreign_package_of_the_same_name_is_refused(name: str, site: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / name
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    answer = cvgl([other.parent, site], tmp_path, "--help")
    assert answer.returncode == 1
    assert name in answer.stderr
    assert str(other) in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.longest
def test_installed_command_runs_the_demonstration(site: Path, tmp_path: Path) -> None:
    answer = cvgl([site], tmp_path, "demo", "--lake", "lake", "--json")
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert '"verdict": "promoted"' in answer.stdout.splitlines()[-1]
