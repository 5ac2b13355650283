"""An adapter as an MLflow model: logged once per run, with signature and input example, and checked by loading it again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.adaptation.record import AdapterRecord
from cvgl.adaptation.transforms import Adaptation
from cvgl.errors import LakeError, ModelError, RegistryError
from cvgl.hashing import sha256_bytes, sha256_file
from tasks.registry.store import Registry, load_mlflow, process_address
from tasks.registry.tags import MODEL_ID, RUN, TENSORS

if TYPE_CHECKING:
    from cvgl.types import Float32Array

MODEL = "adapter"  # name of the model within its run
TOLERANCE = 1e-5
FILES = ("adapter.safetensors", "adapter.json")
_CODE = Path(__file__).with_name("adapter_model.py")
CODE_SHA256 = frozenset({"f245f34427b74f6f1da49b77d12f72424b575b7a9b9d6c2afb1fb1a5acee3138"})
"""Of every adapter_model.py that was ever stored with a model: another one is not ours. Add to it when that file changes."""

_SIDES = ("query", "reference")
_LOADER = "mlflow.pyfunc.loaders.code_model"
_ADAPTER = "artifacts/adapter"
_RUN = {".py", ".pyc", ".pkl", ".pickle", ".pth", ".so", ".whl", ".egg"}  # what something might run


def log_adapter(registry: Registry, mlflow_run: str, record: AdapterRecord, adapter: Path, golden: Float32Array) -> str:
    """Logs an adapter as a model of an MLflow run, unless a complete one with the same tensors is already there.

    What a killed attempt left behind (a model that never became READY) is removed first.

    Args:
        registry: where to.
        mlflow_run: id of the MLflow run.
        record: what adapter.json says.
        adapter: folder with adapter.safetensors and adapter.json.
        golden: float32 (n, d0), a few stored descriptors; they become the input example.

    Returns:
        The id of the logged model.
    """
    return registry.patience(lambda: _log_adapter(registry, mlflow_run, record, adapter, golden), "storing the model")


def _log_adapter(registry: Registry, mlflow_run: str, record: AdapterRecord, adapter: Path, golden: Float32Array) -> str:
    mlflow = load_mlflow()
    complete = _complete_model(registry, mlflow_run, record)
    if complete is not None:
        return complete
    with tempfile.TemporaryDirectory() as folder, process_address(registry.uri):
        # A folder of the same name in every model, without checkpoints that may lie beside the adapter.
        files = Path(folder) / "adapter"
        files.mkdir()
        for name in FILES:
            shutil.copy(adapter / name, files / name)
        with mlflow.start_run(run_id=mlflow_run, nested=True):
            info = mlflow.pyfunc.log_model(
                name=MODEL,
                python_model=str(_CODE),
                artifacts={"adapter": str(files)},
                signature=_signature(record),
                input_example=(golden, {"side": "query"}),
                pip_requirements=_requirements(),
                model_type="cvgl.adapter",
                tags={TENSORS: record.tensors_sha256, RUN: str(record.run)},
                params={"d0": record.d0, "d": record.d, "features": record.feature_set_id or ""},
            )
    return str(info.model_id)


def _complete_model(registry: Registry, mlflow_run: str, record: AdapterRecord) -> str | None:
    experiment = registry.client.get_run(mlflow_run).info.experiment_id
    logged = registry.client.search_logged_models(
        experiment_ids=[experiment], filter_string=f"source_run_id = '{mlflow_run}' AND name = '{MODEL}'"
    )
    complete: str | None = None
    for model in logged:
        if model.status.value == "READY" and model.tags.get(TENSORS) == record.tensors_sha256:
            complete = str(model.model_id)
        elif model.status.value != "READY":
            registry.client.delete_logged_model(model.model_id)
    return complete


def _signature(record: AdapterRecord) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    single = np.dtype(np.float32)
    return ModelSignature(
        inputs=Schema([TensorSpec(single, (-1, record.d0))]),
        outputs=Schema([TensorSpec(single, (-1, record.d))]),
        params=ParamSchema([ParamSpec("side", "string", "query")]),
    )


def _requirements() -> list[str]:
    """Named outright: MLflow would otherwise load the model in a fresh process to find out."""
    from importlib.metadata import version

    return [
        f"cvgl=={version('cvgl')}",
        *(f"{name}=={version(name).split('+')[0]}" for name in ("numpy", "torch", "safetensors")),
    ]


@dataclass(frozen=True, slots=True)
class StoredModel:
    """What the registry stores of an adapter, read by this code and not by the code that is stored beside it.

    Attributes:
        adaptation: of adapter.safetensors and adapter.json.
        files: those two, by name.
    """

    adaptation: Adaptation
    files: Mapping[str, bytes]

    def predict(self, rows: Float32Array, params: Mapping[str, str] | None = None) -> Float32Array:
        """What the stored model's own class answers: descriptors through the side `params["side"]`."""
        side = (params or {}).get("side", "query")
        if side not in _SIDES:
            raise ModelError(f"'{side}' is no side of an adapter", where="params['side']", fix="give 'query' or 'reference'")
        adaptation = self.adaptation
        return adaptation.transform_query(rows) if side == "query" else adaptation.transform_reference(rows)


def load(registry: Registry, address: str) -> StoredModel:
    """Reads a model such as ``models:/cvgl-town@champion`` without running anything that is stored with it.

    MLflow's own loader imports, or unpickles, whatever the stored files name. Here they are fetched and looked at: the one
    flavour has to be that of a model that is code, and the code this project's, to the byte. What that code does is then done
    here, with the two files of the adapter, which hold numbers and JSON.

    Raises:
        RegistryError: there is no such model, its files are gone, or they are not what this project stores.
    """
    mlflow = load_mlflow()
    with tempfile.TemporaryDirectory() as folder, process_address(registry.uri):
        try:
            fetched = registry.patience(
                lambda: mlflow.artifacts.download_artifacts(address, dst_path=folder), "fetching an adapter"
            )
            wrong = strange(Path(fetched))
            if wrong:
                raise RegistryError(
                    f"a registered model is not one of this project's and is not loaded: {wrong}",
                    where=f"{address} in {registry.uri}",
                    fix="find out who has changed it; then register the run again, or roll back to an earlier version",
                )
            stored = Path(fetched) / _ADAPTER
            return StoredModel(Adaptation.load(stored), {name: (stored / name).read_bytes() for name in FILES})
        except (mlflow.exceptions.MlflowException, OSError, LakeError) as error:
            raise RegistryError(
                f"a registered model cannot be loaded: {str(error).splitlines()[0]}",
                where=f"{address} in {registry.uri}",
                fix="register the run again, or roll back to an earlier version",
            ) from error


def strange(folder: Path) -> str:
    """What makes a stored model another thing than `log_adapter` stores; empty where nothing does."""
    import yaml

    try:
        described = yaml.safe_load((folder / "MLmodel").read_bytes())
        flavours = dict(described["flavors"])
        flavour = dict(flavours.pop("python_function"))
        parts = {str(name): str(dict(part)["path"]) for name, part in dict(flavour.get("artifacts") or {}).items()}
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        return f"its MLmodel is not one ({type(error).__name__})"
    if flavours:
        return f"it has other flavours: {', '.join(sorted(map(str, flavours)))}"
    if flavour.get("loader_module") != _LOADER:
        return f"it is loaded by {flavour.get('loader_module')}, and not as code that is read"
    if flavour.get("code") or flavour.get("python_model") or flavour.get("data"):
        return "it brings code or a pickle of its own"
    if parts != {"adapter": _ADAPTER}:
        return f"its parts are {', '.join(sorted(parts)) or 'none'}, and not one adapter"
    others = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in _RUN and path.is_file())
    if others != [_CODE.name] or Path(str(flavour.get("model_code_path")).replace("\\", "/")).name != _CODE.name:
        return f"the code that it brings is {', '.join(others) or 'none'}, and not {_CODE.name}"
    digest = sha256_file(folder / _CODE.name)
    return "" if digest in CODE_SHA256 else f"its {_CODE.name} is not this project's (sha256 {digest[:12]})"


def adapter_files(registry: Registry, address: str, tensors_sha256: str = "") -> Mapping[str, bytes]:
    """The adapter's files as the registry holds them.

    Args:
        registry: where.
        address: of the model.
        tensors_sha256: of adapter.safetensors, as it was recorded when the version was made; empty: not known.

    Raises:
        RegistryError: they cannot be fetched, or are not those that were stored.
    """
    files = load(registry, address).files
    if tensors_sha256 and sha256_bytes(files[FILES[0]]) != tensors_sha256:
        raise RegistryError(
            "the adapter that the registry holds is not the one that was registered",
            where=f"{address} in {registry.uri}",
            fix="adapt and register the run again",
        )
    return files


def recorded_hash(registry: Registry, tags: Mapping[str, str]) -> str:
    """SHA-256 of a version's adapter.safetensors, from its tags or, of older ones, the logged model's; empty: not recorded."""
    model_id = tags.get(MODEL_ID)
    if TENSORS in tags or not model_id:
        return tags.get(TENSORS, "")
    return str(registry.client.get_logged_model(model_id).tags.get(TENSORS, ""))


def rescore(registry: Registry, address: str, adapter: Path, golden: Float32Array) -> float:
    """Loads a registered model back and holds its output against the adapter in the lake, on both sides.

    Args:
        registry: where the model is.
        address: for example ``models:/cvgl-town@challenger``.
        adapter: the lake's folder of the same adapter.
        golden: float32 (n, d0), stored descriptors.

    Returns:
        The largest difference of any coordinate.

    Raises:
        RegistryError: the two differ by more than `TOLERANCE`, so the registry does not hold what was evaluated.
    """
    loaded, own = load(registry, address), Adaptation.load(adapter)
    largest = 0.0
    for side, transform in (("query", own.transform_query), ("reference", own.transform_reference)):
        answer = np.asarray(loaded.predict(golden, params={"side": side}))
        expected = transform(golden)
        difference = float(np.abs(answer - expected).max()) if answer.shape == expected.shape else float("inf")
        # Written so that a NaN counts as a difference.
        if not difference <= TOLERANCE:
            raise RegistryError(
                f"the registered model differs from the evaluated adapter on its {side} side by {difference:.3g}",
                where=f"{address} against {adapter}",
                fix="evaluate and register the run again; the champion has not been touched",
            )
        largest = max(largest, difference)
    return largest
