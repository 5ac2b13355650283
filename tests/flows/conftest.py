from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.data.images import university1652
from tests.flows.cli.commands import QUICK, Run, cvgl
from tests.flows.servers import Server, started
from tests.flows.towns import draw


@dataclass(frozen=True)
class Finished:
    """A run of the pipeline that is done."""

    source: Path
    lake: Path
    run: Run


@pytest.fixture(scope="session")
def finished(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The pipeline on small images, once for all tests that only look."""
    root = tmp_path_factory.mktemp("finished")
    source = university1652(root / "pictures", train=12, test=8, distractors=3, views=3)
    run = cvgl("run", "--source", source, "--dataset", "tiny", "--lake", root / "lake", *QUICK, "--json")
    return Finished(source, root / "lake", run)


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of a small built-in town."""
    return draw(tmp_path_factory.mktemp("town"), seed=1)


@pytest.fixture(scope="session")
def other_town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of another one."""
    return draw(tmp_path_factory.mktemp("other"), seed=2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prefect server of this module's own."""
    with started(tmp_path_factory.mktemp("server")) as server:
        yield server
