"""A lake that this user may not read, or may not write: nothing is lost, and nothing ends in a traceback."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cvgl.errors import DamagedError, LakeError, UnreadableError
from cvgl.features import FeatureStore
from cvgl.lake import Lake, read_json, read_parquet, require_writable, write_json
from cvgl.localization.bundle import problems
from cvgl.stages.maps import build_map
from tests.lake.archive import DATASET, same_writer, unpacked

_DROP_FROM_BOUNDING_SET, _OVERRIDE, _CANNOT_DROP = 24, (1, 2), 77  # PR_CAPBSET_DROP; CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
ROOT = Path(__file__).parents[2]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Path]:
    """The lake of 13db401 and its pictures."""
    folder = unpacked(tmp_path / "town")
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def read_only(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def _give_up_roots_rights() -> None:
    """Before exec: root is then bound by the modes of files like anybody, and still reaches its interpreter."""
    process = ctypes.CDLL(None, use_errno=True)
    for capability in _OVERRIDE:
        if process.prctl(_DROP_FROM_BOUNDING_SET, capability, 0, 0, 0):
            os._exit(_CANNOT_DROP)


def bound_by_modes(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs Python as a user whom the modes of files bind."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=_give_up_roots_rights if os.getuid() == 0 else None,
    )
    if done.returncode == _CANNOT_DROP:
        pytest.skip("root cannot give up its rights here (no CAP_SETPCAP)")
    return done


def store_of(lake: Lake) -> FeatureStore:
    (folder,) = lake.described(DATASET).values()
    return FeatureStore(folder)


_REMOVE = """
import sys
from pathlib import Path
from cvgl.errors import UnreadableError
from cvgl.features import FeatureStore
try:
    FeatureStore(Path(sys.argv[1])).remove_damaged()
except UnreadableError as error:
    print("delete" in str(error), error.what)
"""


def test_descriptors_that_may_not_be_read_are_not_damaged(town: Path) -> None:
    """The folder is writable and its parts are not readable: what lost all descriptors."""
    store = store_of(Lake.at(town / "lake"))
    before = {path: path.read_bytes() for path in store.parts()}
    for path in before:
        path.chmod(0)
    done = bound_by_modes(_REMOVE, store.folder)
    assert done.stdout.startswith("False a file of the lake cannot be read: Permission denied"), done.stderr
    assert sorted(path.name for path in store.folder.iterdir()) == sorted(path.name for path in before)
    for path in before:
        path.chmod(0o644)
    assert {path: path.read_bytes() for path in store.parts()} == before


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOMEM, errno.ETIMEDOUT])
def test_what_the_system_refuses_is_told_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    import pyarrow.parquet as pq

    store = FeatureStore(tmp_path)
    part = store.add(["a"], np.full((1, 4), 0.5, np.float32), {})
    record = tmp_path / "a.json"
    write_json(record, {"a": 1})

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(pq, "ParquetFile", refuse)
        with pytest.raises(UnreadableError) as raised:
            store.remove_damaged()
    assert os.strerror(code) in raised.value.what
    assert "delete" not in raised.value.fix
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(UnreadableError):
            read_json(record)
    assert store.parts() == [part]
    assert store.ids() == ["a"]


def test_a_passing_error_of_a_page_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow's errors of pages bear no errno: the bytes are read once more before a file is called damaged."""
    import pyarrow.parquet as pq

    store = FeatureStore(tmp_path)
    part = store.add(["a"], np.full((1, 4), 0.5, np.float32), {})
    genuine = pq.ParquetFile

    def once(source: object, **options: object) -> object:
        if isinstance(source, Path):
            raise OSError("Couldn't deserialize thrift: no more data to read")
        return genuine(source, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pq, "ParquetFile", once)
        assert read_parquet(part).num_rows == 1
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(DamagedError):
        read_parquet(part)


@same_writer
def test_a_map_that_cannot_be_read_is_not_built_over(town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake.at(town / "lake")
    current = json.loads(lake.champion(DATASET).read_text())["serving"]
    version = lake.map_version(DATASET, current["map"])
    before = {path.name: path.read_bytes() for path in version.iterdir()}

    def refuse(path: Path) -> str:
        raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("cvgl.localization.bundle.sha256_file", refuse)
        with pytest.raises(UnreadableError):
            problems(version)
    references = version / "references.parquet"
    references.write_bytes(before["references.parquet"][:-100])
    assert build_map(lake, DATASET, current["run"]).version == version.name
    after = {path.name: path.read_bytes() for path in version.iterdir()}
    record = json.loads(after.pop("manifest.json"))
    assert record.pop("seal")  # which those of 13db401 do not bear
    assert record == json.loads(before.pop("manifest.json"))
    assert after == before
    assert (version.parent / f"{version.name}.damaged-1" / "references.parquet").stat().st_size > 0


_READ = """
import json, sys
from pathlib import Path
from flows.cli.app import app
lake, source = sys.argv[1:3]
image = next(Path(source).rglob("query_drone/*/*.jpeg"))
dataset = ["--dataset", "town", "--lake", lake]
commands = {
    "localize": ["localize", str(image), *dataset, "--json"],
    "query": ["query", "SELECT count(*) FROM images", "--lake", lake, "--json"],
    "maps": ["maps", *dataset, "--json"],
    "arrivals": ["arrivals", *dataset, "--json"],
    "doctor": ["doctor", "--lake", lake, "--json"],
    "ingest": ["ingest", source, *dataset, "--json"],
}
codes = {}
for name, arguments in commands.items():
    try:
        app(arguments)
    except SystemExit as ended:
        codes[name] = ended.code
print(json.dumps(codes))
"""


@pytest.mark.slow
def test_a_lake_that_may_only_be_read_answers_and_says_what_it_cannot_do(town: Path) -> None:
    read_only(town)
    before = sorted((path, path.stat().st_mtime_ns) for path in (town / "lake").rglob("*"))
    done = bound_by_modes(_READ, town / "lake", town / "source")
    assert "Traceback" not in done.stderr, done.stderr
    codes = json.loads(done.stdout.splitlines()[-1])
    assert {name: code for name, code in codes.items() if name != "doctor"} == {
        **dict.fromkeys(("localize", "query", "maps", "arrivals"), 0),
        "ingest": 1,
    }, done.stderr
    error = json.loads(next(line for line in done.stdout.splitlines() if '"error"' in line))["error"]
    assert error["kind"] == "LakeError"
    assert "cannot be written" in error["what"]
    assert sorted((path, path.stat().st_mtime_ns) for path in (town / "lake").rglob("*")) == before


def test_a_lake_that_cannot_be_made_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(LakeError, match="cannot be written"):
        require_writable(Lake.at(tmp_path / "new"))
