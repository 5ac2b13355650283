"""What the registry stores of an adapter is read by this project's code; what else is stored there is never run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cvgl.adaptation import Adaptation
from cvgl.config import RegisterConfig
from cvgl.errors import ModelError, RegistryError
from cvgl.hashing import sha256_file
from cvgl.lake import Lake
from cvgl.summary import read_summaries
from tasks.registry import model, promotion
from tasks.registry.registration import register
from tasks.registry.store import open_registry
from tasks.registry.tags import TENSORS
from tests.tasks.registry_lake import DATASET, D, descriptors, make_run

NAME = f"cvgl-{DATASET}"
RUN = f"{DATASET}-paper-000000000000"


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake.at(tmp_path_factory.mktemp("registered") / "lake")
    evaluation = make_run(lake, adapted=0.5)
    register(evaluation, RegisterConfig(), lake, lambda run: read_summaries(lake.evaluation(run)))
    return lake


@pytest.fixture
def lake(registered: Lake, tmp_path: Path) -> Lake:
    copied = Lake.at(tmp_path / "lake")
    shutil.copytree(registered.root, copied.root)
    open_registry(copied)
    return copied


def stored(lake: Lake) -> Path:
    (described,) = lake.mlflow_artifacts.rglob("MLmodel")
    return described.parent


def test_is_read_without_the_code_that_lies_beside_it(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("MLflow's loader runs what is stored")

    monkeypatch.setattr(mlflow.pyfunc, "load_model", never)
    registry = open_registry(lake)
    loaded = model.load(registry, f"models:/{NAME}@champion")
    own, rows = Adaptation.load(lake.adapter(RUN)), descriptors(5)
    assert np.array_equal(loaded.predict(rows), own.transform_query(rows))
    assert np.array_equal(loaded.predict(rows, {"side": "reference"}), own.transform_reference(rows))
    assert loaded.predict(rows).shape == (5, D)
    with pytest.raises(ModelError, match="no side"):
        loaded.predict(rows, {"side": "above"})
    assert model.rescore(registry, f"models:/{NAME}@champion", lake.adapter(RUN), rows) == 0.0


def describe(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    described = yaml.safe_load((folder / "MLmodel").read_text())
    change(described["flavors"])
    (folder / "MLmodel").write_text(yaml.safe_dump(described))


def pickled(folder: Path) -> None:
    """As MLflow stores an object: it would be unpickled."""
    pyfunc = {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"}
    describe(folder, lambda flavours: flavours["python_function"].update(pyfunc))


CHANGES: dict[str, Callable[[Path], object]] = {
    "pickle": pickled,
    "a pickle beside": lambda folder: (folder / "python_model.pkl").write_bytes(b"\x80"),
    "other code": lambda folder: (folder / "adapter_model.py").write_text("raise SystemExit('run')\n"),
    "more code": lambda folder: (folder / "more.py").write_text("raise SystemExit('run')\n"),
    "no code": lambda folder: (folder / "adapter_model.py").unlink(),
    "a loader": lambda folder: describe(folder, lambda entry: entry["python_function"].update(loader_module="os")),
    "a code path": lambda folder: describe(folder, lambda entry: entry["python_function"].update(code="code")),
    "another file": lambda folder: describe(
        folder, lambda entry: entry["python_function"].update(model_code_path="/elsewhere/x.py")
    ),
    "a flavour": lambda folder: describe(folder, lambda entry: entry.update(sklearn={"pickled_model": "model.pkl"})),
    "another adapter": lambda folder: describe(
        folder, lambda entry: entry["python_function"]["artifacts"]["adapter"].update(path="../../outside")
    ),
    "no flavour": lambda folder: describe(folder, lambda entry: entry.clear()),
    "no description": lambda folder: (folder / "MLmodel").write_text("{ half"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_not_this_projects_is_refused(lake: Lake, name: str) -> None:
    CHANGES[name](stored(lake))
    with pytest.raises(RegistryError, match="not one of this project's"):
        model.load(open_registry(lake), f"models:/{NAME}@champion")
    with pytest.raises(RegistryError, match="not one of this project's"):
        promotion.promote(RUN, lake)


def test_an_adapter_that_was_exchanged_does_not_come_back(lake: Lake) -> None:
    other = make_run(lake, adapted=0.6, seed=1).name
    for name in model.FILES:
        shutil.copy(lake.adapter(other) / name, stored(lake) / "artifacts" / "adapter" / name)
    registry = open_registry(lake)
    version = promotion.version_by_alias(registry, NAME, "champion")
    assert version is not None
    assert version.tags[TENSORS] == Adaptation.load(lake.adapter(RUN)).record.tensors_sha256
    shutil.rmtree(lake.adapter(RUN))
    with pytest.raises(RegistryError, match="not the one that was registered"):
        promotion.ensure_adapter(registry, version)
    # A version that was made before the hash was a tag of its own: the logged model has it.
    tags = {key: value for key, value in version.tags.items() if key != TENSORS}
    with pytest.raises(RegistryError, match="not the one that was registered"):
        promotion.ensure_adapter(registry, promotion.Version(version.model, version.number, tags))
    assert not (lake.adapter(RUN) / "adapter.json").exists()


def test_the_code_that_is_stored_now_is_known() -> None:
    assert sha256_file(Path(model.__file__).with_name("adapter_model.py")) in model.CODE_SHA256
