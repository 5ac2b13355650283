"""A version of a map as a folder: written whole or not at all, read whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvgl import adapt
from cvgl.adaptation import Origin
from cvgl.config import AdaptConfig
from cvgl.errors import LakeError
from cvgl.lake import read_json, read_versioned, write_json, write_versioned
from cvgl.localization import Position, Reference
from cvgl.localization.bundle import CurrentMap, MapManifest, Serving, open_bundle, problems, read_current, write_bundle

D0 = 8
FACTS: dict[str, Any] = {
    "dataset": "town",
    "run": "town-paper-1",
    "features": "f" * 16,
    "query_view": "drone",
    "extract": {},
    "identity": {"backbone": "gist"},
}


def unit(rows: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal((rows, D0)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    learned = adapt(unit(20, 1), unit(20, 2), config=AdaptConfig(recipe="paper", dimension=D0, iterations=1, query_samples=8))
    learned.save(tmp_path / "adapter", Origin(run="town-paper-1"))
    return tmp_path / "adapter"


def written(folder: Path, adapter: Path, rows: int = 5, seed: int = 3) -> MapManifest:
    references = [Reference(f"r{i}", f"/map/{i}.png", Position(latitude=50.0 + i, longitude=4.0)) for i in range(rows)]
    return write_bundle(folder, adapter, references, unit(rows, seed), FACTS)


def test_is_read_as_it_was_written(tmp_path: Path, adapter: Path) -> None:
    manifest = written(tmp_path / "map", adapter)
    bundle = open_bundle(tmp_path / "map" / manifest.version)
    assert bundle.manifest == manifest
    assert np.array_equal(bundle.index.descriptors, unit(5, 3))
    assert bundle.index.references[4] == Reference("r4", "/map/4.png", Position(latitude=54.0, longitude=4.0))
    assert bundle.adaptation.record.run == "town-paper-1"


def test_the_version_is_the_content(tmp_path: Path, adapter: Path) -> None:
    first = written(tmp_path / "map", adapter)
    before = {path.name: path.read_bytes() for path in (tmp_path / "map" / first.version).iterdir()}
    assert written(tmp_path / "map", adapter).version == first.version
    assert {path.name: path.read_bytes() for path in (tmp_path / "map" / first.version).iterdir()} == before
    assert written(tmp_path / "map", adapter, seed=4).version != first.version
    assert written(tmp_path / "map", adapter, rows=4).version != first.version
    assert {path.name for path in (tmp_path / "map").iterdir() if path.name.startswith(".")} == set()


def test_what_a_killed_builder_left_is_cleared_away(tmp_path: Path, adapter: Path) -> None:
    left = tmp_path / "map" / ".building"
    left.mkdir(parents=True)
    (left / "references.parquet").write_bytes(b"half")
    (left / "more").write_bytes(b"x")
    version = written(tmp_path / "map", adapter).version
    assert problems(tmp_path / "map" / version) == []
    assert not (tmp_path / "map" / version / "more").exists()
    assert not left.exists()


@pytest.mark.parametrize("name", ["references.parquet", "adapter.safetensors", "adapter.json", "manifest.json"])
@pytest.mark.parametrize("how", ["missing", "cut", "other"])
def test_a_version_that_is_not_whole_is_never_read_and_can_be_built_again(
    tmp_path: Path, adapter: Path, name: str, how: str
) -> None:
    version = tmp_path / "map" / written(tmp_path / "map", adapter).version
    whole = {path.name: path.read_bytes() for path in version.iterdir()}
    path = version / name
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif name.startswith("adapter"):  # both versions hold the same one
        path.write_bytes(path.read_bytes().replace(b"town-paper-1", b"town-paper-2") + b" ")
    else:
        other = tmp_path / "map" / written(tmp_path / "map", adapter, rows=4, seed=5).version
        shutil.copy(other / name, path)
    with pytest.raises(LakeError, match=name.split(".")[0] if name != "manifest.json" else "map|missing|JSON"):
        open_bundle(version)
    written(tmp_path / "map", adapter)
    assert {path.name: path.read_bytes() for path in version.iterdir()} == whole


def test_a_missing_adapter_is_said(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="adapter is missing"):
        written(tmp_path / "map", tmp_path / "nothing")


def test_what_serves_is_followed_by_its_history(tmp_path: Path) -> None:
    first, second = (Serving(map=name, run=f"run-{name}", features="f") for name in ("a", "b"))
    current = CurrentMap(serving=first).followed_by(second)
    assert (current.serving, current.before) == (second, (first,))
    path = tmp_path / "current.json"
    assert read_current(path) is None
    write_json(path, current.model_dump(mode="json"))
    assert read_current(path) == current
    write_versioned(path, "current_map", {**read_versioned(path, "current_map"), "serving": {"map": "a"}})
    with pytest.raises(LakeError, match="what serves cannot be told"):
        read_current(path)


def _restated(version: Path, **changes: Any) -> Path:
    """The folder of a version whose manifest says something else, under the name that this manifest has."""
    manifest = MapManifest.model_validate({**read_versioned(version / "manifest.json", "map_manifest"), **changes})
    write_json(version / "manifest.json", manifest.model_dump(mode="json"))
    return version.rename(version.with_name(manifest.version))


@pytest.mark.parametrize("name", ["", "references.parquet", "adapter.safetensors", "adapter.json"])
def test_a_manifest_that_leaves_files_out_is_refused(tmp_path: Path, adapter: Path, name: str) -> None:
    version = tmp_path / "map" / written(tmp_path / "map", adapter).version
    files = read_json(version / "manifest.json")["files"]
    left = {path: digest for path, digest in files.items() if name and path != name}
    version = _restated(version, files=left)
    (version / (name or "references.parquet")).write_bytes(b"whatever")
    assert len(problems(version)) == (3 if not name else 1)
    with pytest.raises(LakeError, match="does not list"):
        open_bundle(version)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "more.parquet", "sub/adapter.json", "manifest.json"])
def test_a_manifest_that_lists_other_files_is_refused(tmp_path: Path, adapter: Path, name: str) -> None:
    version = tmp_path / "map" / written(tmp_path / "map", adapter).version
    files = read_json(version / "manifest.json")["files"]
    version = _restated(version, files={**files, name: "0" * 64})
    with pytest.raises(LakeError, match="no part of a map"):
        open_bundle(version)


def test_a_file_that_is_no_part_of_a_map_or_a_link_is_refused(tmp_path: Path, adapter: Path) -> None:
    version = tmp_path / "map" / written(tmp_path / "map", adapter).version
    (version / ".nfs0001").write_bytes(b"left by a file system")
    assert problems(version) == []
    (version / "adapter.py").write_text("print()")
    assert problems(version) == ["'adapter.py' is no part of a map"]
    (version / "adapter.py").unlink()
    (version / "adapter.json").rename(tmp_path / "elsewhere.json")
    (version / "adapter.json").symlink_to(tmp_path / "elsewhere.json")
    assert problems(version) == ["adapter.json is a link"]


@pytest.mark.parametrize("changes", [{"n_references": 4}, {"dimension": 4}, {"run": "town-paper-2"}])
def test_a_manifest_that_does_not_fit_its_files_is_refused(tmp_path: Path, adapter: Path, changes: dict[str, Any]) -> None:
    version = tmp_path / "map" / written(tmp_path / "map", adapter).version
    with pytest.raises(LakeError, match="does not fit"):
        open_bundle(_restated(version, **changes))
