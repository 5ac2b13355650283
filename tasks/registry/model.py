"""An adapter as an MLflow model: logged once per run, with signature and input example, and checked by loading it again."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.adaptation.record import AdapterRecord
from cvgl.errors import RegistryError
from tasks.registry.store import Registry, load_mlflow, process_address

if TYPE_CHECKING:
    from cvgl.types import Float32Array

MODEL = "adapter"  # name of the model within its run
TOLERANCE = 1e-5
FILES = ("adapter.safetensors", "adapter.json")
_CODE = Path(__file__).with_name("adapter_model.py")


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
                tags={"cvgl.tensors_sha256": record.tensors_sha256, "cvgl.run": str(record.run)},
                params={"d0": record.d0, "d": record.d, "features": record.features or ""},
            )
    return str(info.model_id)


def _complete_model(registry: Registry, mlflow_run: str, record: AdapterRecord) -> str | None:
    experiment = registry.client.get_run(mlflow_run).info.experiment_id
    found = registry.client.search_logged_models(
        experiment_ids=[experiment], filter_string=f"source_run_id = '{mlflow_run}' AND name = '{MODEL}'"
    )
    complete: str | None = None
    for model in found:
        if model.status.value == "READY" and model.tags.get("cvgl.tensors_sha256") == record.tensors_sha256:
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


def load(registry: Registry, address: str) -> Any:
    """Loads a model such as ``models:/cvgl-town@champion``.

    Raises:
        RegistryError: there is no such model, or its files are gone.
    """
    mlflow = load_mlflow()
    with process_address(registry.uri):
        try:
            return registry.patience(lambda: mlflow.pyfunc.load_model(address), "loading a model")
        except (mlflow.exceptions.MlflowException, OSError) as error:
            raise RegistryError(
                f"a registered model cannot be loaded: {str(error).splitlines()[0]}",
                where=f"{address} in {registry.uri}",
                fix="register the run again, or roll back to an earlier version",
            ) from error


def adapter_files(registry: Registry, address: str) -> dict[str, bytes]:
    """The adapter's files as the registry holds them.

    Raises:
        RegistryError: they cannot be fetched.
    """
    mlflow = load_mlflow()
    with tempfile.TemporaryDirectory() as folder, process_address(registry.uri):
        try:
            fetched = registry.patience(
                lambda: mlflow.artifacts.download_artifacts(address, dst_path=folder), "fetching an adapter"
            )
            return {name: (Path(fetched) / "artifacts" / "adapter" / name).read_bytes() for name in FILES}
        except (mlflow.exceptions.MlflowException, OSError) as error:
            raise RegistryError(
                f"the adapter cannot be fetched from the registry: {str(error).splitlines()[0]}",
                where=f"{address} in {registry.uri}",
                fix="adapt and register the run again",
            ) from error


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
    from cvgl.adaptation import Adaptation

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
