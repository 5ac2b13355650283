"""Opens the registry of a lake: MLflow on sqlite inside the lake, or whatever tracking address the settings name.

MLflow is imported here and in the functions of its neighbours, never at import time of a module: it costs seconds.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvgl.errors import RegistryError, require
from cvgl.lake import Lake
from cvgl.masking import MASK
from tasks.registry.patience import Patience, PatientClient

logger = logging.getLogger("cvgl.registry")

# Set before MLflow is imported, and only where the user has not decided otherwise.
QUIET_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",  # no warning where git is not installed
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow would send again what creates something, and for minutes; see `tasks.registry.patience` for what is done instead.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


# MLflow's pages have two faces; without this they open with the one for language models.
_FACE = "?workflowType=machine_learning"


@dataclass(frozen=True, slots=True)
class Registry:
    """An opened registry. `client` is an `mlflow.MlflowClient` bound to `uri`, which asks again with `patience`."""

    lake: Lake
    uri: str
    client: Any
    patience: Patience

    @property
    def is_local(self) -> bool:
        """Whether it is the lake's own sqlite file, whose artifacts lie in the lake too."""
        return self.uri == local_uri(self.lake)


def run_page(server: str, experiment: str, run: str) -> str:
    """Where an MLflow server shows a run."""
    return f"{server.rstrip('/')}/#/experiments/{experiment}/runs/{run}{_FACE}"


def model_page(server: str, model: str, version: str) -> str:
    """Where an MLflow server shows a model version."""
    return f"{server.rstrip('/')}/#/models/{model}/versions/{version}{_FACE}"


def local_uri(lake: Lake) -> str:
    """The lake's own tracking address."""
    from sqlalchemy import URL

    # A path may hold characters that mean something in an address.
    return URL.create("sqlite", database=str(lake.mlflow_database)).render_as_string()


def named_uri(tracking_uri: str | None) -> str | None:
    """The tracking address that is meant: ``env:NAME`` names a variable, so that a password is stored nowhere.

    Raises:
        RegistryError: the variable is not set, or only the mask of a password has come here.
    """
    if tracking_uri is None:
        return None
    fix = "give registry.tracking_uri as env:NAME, and the address in that variable"
    if MASK in tracking_uri:
        raise RegistryError("the registry's password was masked when its address was stored", where=tracking_uri, fix=fix)
    kind, separator, name = tracking_uri.partition(":")
    if not separator or kind != "env":
        return tracking_uri
    if not os.environ.get(name):
        raise RegistryError(f"the variable {name} is not set", where="registry.tracking_uri", fix=f"export {name}=...")
    return os.environ[name]


def load_mlflow() -> Any:
    """Imports MLflow, quiet and without telemetry.

    Raises:
        MissingDependencyError: MLflow is not installed.
    """
    for name, value in QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    mlflow = require("mlflow", extra="pipeline", purpose="keep runs and models in the registry")
    # Its migrations and model logging narrate at INFO; warnings and errors stay.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow


def open_registry(lake: Lake, tracking_uri: str | None = None, patience: float = 0.0) -> Registry:
    """Connects to the registry, creating the lake's own one on first use.

    Two processes that create MLflow's database at once collide in its migrations, so creation happens under a lock of the
    operating system, which is freed when its holder dies. A creation that was killed half-way is finished by the next one.

    Args:
        lake: whose registry; also where artifacts of the default registry go.
        tracking_uri: any MLflow tracking address; default: sqlite under the lake.
        patience: seconds for which a registry that does not answer is asked again, now and in everything that follows.

    Raises:
        RegistryUnreachableError: nobody answered for that long.
        RegistryError: the address is not one of an MLflow store.
        MissingDependencyError: MLflow is not installed.
    """
    mlflow = load_mlflow()
    uri = named_uri(tracking_uri) or local_uri(lake)
    waiting = Patience(patience, uri)
    is_own = uri == local_uri(lake)
    if is_own:
        lake.mlflow_artifacts.mkdir(parents=True, exist_ok=True)
    with _creation_lock(uri):
        if is_own:
            _probe(lake)
        client = _connect(mlflow, uri, waiting)
    if is_own:
        # A lake may be moved or copied; MLflow stores absolute artifact paths.
        relocate(lake)
    return Registry(lake, uri, PatientClient(client, waiting), waiting)


def _connect(mlflow: Any, uri: str, waiting: Patience) -> Any:
    from sqlalchemy.exc import SQLAlchemyError

    def connect() -> Any:
        client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)  # creates or migrates the tables of a database
        return client

    try:
        return waiting(connect, "opening it")
    except (mlflow.exceptions.MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        raise RegistryError(
            f"the model registry cannot be opened: {_first_line(error)}",
            where=uri,
            fix="check registry.tracking_uri; a server must be running, and file:// stores are no longer supported by MLflow",
        ) from error


def _probe(lake: Lake) -> None:
    """Fails at once where MLflow would try for minutes to open a file that is no database, or lose files on the way."""
    odd = sorted(set(str(lake.root)) & set("?#%"))
    if odd:
        raise RegistryError(
            f"MLflow cannot keep files in a folder whose path holds {' '.join(odd)}",
            where=lake.root,
            fix="move the lake, or set another registry address (registry.tracking_uri)",
        )
    try:
        with suppress(OSError):  # sqlite says better what is wrong
            os.close(os.open(lake.mlflow_database, os.O_RDWR | os.O_CREAT, 0o600))  # nobody else's to read
        with closing(sqlite3.connect(lake.mlflow_database, timeout=60)) as database:
            database.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        raise RegistryError(
            f"the model registry cannot be opened: {error}",
            where=lake.mlflow_database,
            fix="restore the file, or move it away: runs are then registered anew",
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


@contextmanager
def _creation_lock(uri: str) -> Iterator[None]:
    """Held while a database may be created; beside the file where it is one, so that several lakes may share it."""
    from filelock import FileLock

    path = _database_file(uri)
    if path is None:  # whoever runs the server sees to its database
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / ".create.lock"):
        yield


def _database_file(uri: str) -> Path | None:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(uri)
    except ArgumentError:
        return None
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(str(url.database)) if is_file else None


@contextmanager
def registration(
    lake: Lake, model_name: str, tracking_uri: str | None = None, *, wait: float = -1, patience: float = 0.0
) -> Iterator[Registry]:
    """An opened registry in which, of this lake, only the caller registers or promotes versions of one model.

    The lock belongs to the operating system: it is freed when its holder dies.

    Args:
        lake: whose registry.
        model_name: the registered model.
        tracking_uri: see `open_registry`.
        wait: seconds to wait for another process; -1 for as long as it takes.
        patience: see `open_registry`.

    Raises:
        RegistryError: another process held the lock for longer than `wait`, or the registry cannot be opened, does not answer
            for longer than `patience`, or refuses what is asked of it.
    """
    from filelock import FileLock, Timeout

    path = lake.mlflow_database.parent / f".{model_name.replace('/', '_')}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("another process is registering %s; waiting for it", model_name)
        try:
            lock.acquire(timeout=wait)
        except Timeout as error:
            raise RegistryError(
                f"another process is registering '{model_name}'", where=path, fix="wait until it has finished and try again"
            ) from error
    try:
        registry = open_registry(lake, tracking_uri, patience)
        with process_address(registry.uri), _refusals_told(registry.uri):
            yield registry
    finally:
        lock.release()


@contextmanager
def _refusals_told(uri: str) -> Iterator[None]:
    """What a registry refuses, as an error for people."""
    mlflow = load_mlflow()
    try:
        yield
    except mlflow.exceptions.MlflowException as error:
        raise RegistryError(
            f"the model registry refuses: {_first_line(error)}",
            where=uri,
            fix="see the log of its server, and do the same again when it is mended: registering goes on where it stopped",
        ) from error


@contextmanager
def process_address(uri: str) -> Iterator[None]:
    """Sets MLflow's process-wide address for the block.

    A client of its own is not enough: saving and loading models, and even resolving a version's source, go to the
    process-wide address, which by default is a new database in the working directory.
    """
    mlflow = load_mlflow()
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(uri)
    # The address of models follows that of runs unless somebody has set it apart; setting it cannot be undone.
    apart = mlflow.get_registry_uri()
    if apart != uri:
        mlflow.set_registry_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
        if apart != uri:
            mlflow.set_registry_uri(apart)


def experiment_id(registry: Registry, name: str) -> str:
    """The id of an experiment, which is created or taken out of MLflow's bin when necessary."""
    return registry.patience(lambda: _experiment_id(registry, name), "looking for the experiment")


def _experiment_id(registry: Registry, name: str) -> str:
    mlflow = load_mlflow()
    experiment = registry.client.get_experiment_by_name(name)
    if experiment is None:
        location = registry.lake.mlflow_artifacts.as_uri() if registry.is_local else None
        try:
            # The kind makes MLflow's page show runs and metrics, not language-model traces.
            kind = {"mlflow.experimentKind": "custom_model_development"}
            return str(registry.client.create_experiment(name, artifact_location=location, tags=kind))
        except mlflow.exceptions.MlflowException:
            # On a shared server somebody else may have been faster.
            experiment = registry.client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        registry.client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


# Every column of MLflow's schema that holds an absolute artifact path of ours.
_PATH_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


def relocate(lake: Lake) -> str | None:
    """Mends the artifact paths of a lake that was moved or copied to another folder.

    MLflow stores artifact paths absolutely. Left alone, a moved lake would show no artifacts and a copied one would write
    into the original.

    Returns:
        The folder that the lake was at before, when something had to be mended.
    """
    here = lake.mlflow_artifacts.as_uri()
    with (
        _creation_lock(local_uri(lake)),
        closing(sqlite3.connect(lake.mlflow_database, timeout=60)) as database,
        database,
    ):
        stored = database.execute(
            "SELECT artifact_location FROM experiments WHERE artifact_location LIKE 'file:///%/mlflow/artifacts' LIMIT 1"
        ).fetchone()
        before = stored[0] if stored else here
        if before == here:
            return None
        for table, column in _PATH_COLUMNS:
            # The names are the constants above; every value is bound.
            database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ? || '/'",
                (here, len(before) + 1, before, len(before) + 1, before),
            )
    logger.info("this lake was at %s before: its artifact paths in MLflow now point to %s", before, here)
    return str(before)
