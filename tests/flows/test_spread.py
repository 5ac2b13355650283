"""Extraction over real clusters on this machine: the files are those of one process, and a worker may be killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from cvgl.config import BackboneConfig, ClusterConfig, ExtractConfig, IngestConfig, Runner
from cvgl.ingestion import tables
from cvgl.lake import Lake
from cvgl.stages.extraction.stage import ExtractOutcome
from cvgl.stages.extraction.stage import extract as extract_alone
from cvgl.stages.ingest import ingest
from tests.data.images import university1652
from tests.flows.cli.commands import COMMAND, contents

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CONFIG = ExtractConfig(backbone=BackboneConfig(image_size=64), batch_size=8, part_rows=16)
FEATURES = ["--backbone", "gist", "--image-size", "64", "--batch-size", "8", "--part-rows", "16"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake whose images one process has described."""
    root = tmp_path_factory.mktemp("spread")
    lake = Lake.at(root / "lake")
    source = university1652(root / "pictures", train=12, test=8, distractors=3, views=3)
    images = ingest(IngestConfig(source=str(source), dataset="town"), lake).ref
    extract_alone(images, CONFIG, lake)
    return lake


@pytest.fixture
def fresh(alone: Lake, tmp_path: Path) -> Lake:
    """The same lake before that. Each test gives back the image that it takes away."""
    shutil.copytree(alone.root, tmp_path / "lake")
    shutil.rmtree(tmp_path / "lake" / "features")
    return Lake.at(tmp_path / "lake")


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[str]:
    """The address of a Ray cluster of two cores."""
    ray = pytest.importorskip("ray", reason="ray is not installed (the ray extra has it; not every Python has a wheel)")
    pytest.importorskip("prefect_ray", reason="prefect-ray is not installed (the ray extra has it)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        context = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield str(context.address_info["gcs_address"])
        ray.shutdown()


class Barrier:
    """An image whose reader waits until all other parts are written, so that at least two processes are at work."""

    def __init__(self, lake: Lake, others: int) -> None:
        rows = sorted(tables.read_images(lake, "town").to_pylist(), key=lambda row: str(row["image_id"]))
        self._path, self._lake, self._others = Path(rows[40]["uri"]), lake, others  # in the last part of the first shard of two
        self._data = self._path.read_bytes()
        self._path.unlink()
        os.mkfifo(self._path)
        self.met = False

    def wait(self) -> None:
        """Until the other parts are there, for five minutes at most."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not self.met:
            self.met = len(list(self._lake.root.glob("features/**/part-*"))) == self._others
            time.sleep(0.05)

    def open(self) -> None:
        """The image goes to whoever waits for it, and is a file again."""
        self._path.write_bytes(self._data)
        self.restore()

    def restore(self) -> None:
        """The image is a file again; whoever waits goes on waiting."""
        self._path.unlink()
        self._path.write_bytes(self._data)


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def children_with(words: str) -> list[psutil.Process]:
    """Processes below this one whose command line has these words."""
    collected = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            if words in " ".join(process.cmdline()):
                collected.append(process)
    return collected


def workers_at_work(runner: Runner) -> list[psutil.Process]:
    """The processes that describe images; of Dask's, which do not tell, those that could."""
    return children_with("ray::extract-shard" if runner is Runner.RAY else "multiprocessing.spawn")


def spread(lake: Lake, runner: Runner, shards: int) -> ExtractOutcome:
    from flows.extract import extract

    return extract("town", CONFIG, str(lake.root), ClusterConfig(runner=runner, shards=shards))


@pytest.fixture(params=[Runner.RAY, Runner.DASK])
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """A runner whose cluster has two processes."""
    runner: Runner = request.param
    if runner is Runner.RAY:
        request.getfixturevalue("ray_cluster")
    else:
        pytest.importorskip("prefect_dask", reason="prefect-dask is not installed (the dask extra has it)")
        monkeypatch.setattr(os, "cpu_count", lambda: 2)
    return runner


def test_cluster_of_two_processes_writes_the_files_of_one(prefect_api: str, alone: Lake, fresh: Lake, cluster: Runner) -> None:
    barrier = Barrier(fresh, others=5)

    def release() -> None:
        barrier.wait()
        barrier.open()

    with meanwhile(release):
        outcome = spread(fresh, cluster, shards=2)
    assert barrier.met
    assert (outcome.embedded, outcome.failed, outcome.processes) == (92, 0, 2)
    assert contents(fresh.root, "features", "quarantine") == contents(alone.root, "features", "quarantine")
    assert extract_alone(tables.images_ref(fresh, "town"), CONFIG, fresh).skipped


def test_worker_that_is_killed_is_replaced_and_its_shard_resumed(
    prefect_api: str, alone: Lake, fresh: Lake, cluster: Runner
) -> None:
    barrier, killed, written = Barrier(fresh, others=5), list[int](), dict[Path, int]()

    def kill() -> None:
        barrier.wait()
        deadline = time.monotonic() + 60
        while cluster is Runner.RAY and len(workers_at_work(cluster)) != 1 and time.monotonic() < deadline:
            time.sleep(0.05)  # the other one is about to finish
        written.update({path: path.stat().st_mtime_ns for path in fresh.root.glob("features/**/part-*")})
        barrier.restore()
        for worker in workers_at_work(cluster):
            worker.send_signal(signal.SIGKILL)
            killed.append(worker.pid)

    with meanwhile(kill):
        outcome = spread(fresh, cluster, shards=2)
    assert len(killed) == (1 if cluster is Runner.RAY else 2)
    assert outcome.embedded == 92
    assert contents(fresh.root, "features") == contents(alone.root, "features")
    assert all(path.stat().st_mtime_ns == time for path, time in written.items()), "what was finished is not done again"


def test_command_starts_a_ray_cluster_of_its_own_and_a_killed_command_goes_on(alone: Lake, fresh: Lake, tmp_path: Path) -> None:
    pytest.importorskip("prefect_ray", reason="prefect-ray is not installed (the ray extra has it)")
    barrier = Barrier(fresh, others=5)
    command = [*COMMAND, "extract", "--dataset", "town", "--lake", str(fresh.root), *FEATURES, "--shards", "2", "--json"]
    with (tmp_path / "log").open("wb") as log:
        process = psutil.Popen([*command, "--runner", "ray"], stdout=log, stderr=log)
    barrier.wait()
    children = process.children(recursive=True)
    process.kill()
    process.wait()
    barrier.restore()
    _, alive = psutil.wait_procs(children, timeout=90)
    assert not alive
    assert barrier.met, (tmp_path / "log").read_text()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["images"] == {"embedded": 16, "known": 76, "failed": 0}
    assert contents(fresh.root, "features") == contents(alone.root, "features")
