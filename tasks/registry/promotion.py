"""Which version serves: the aliases `champion`, `challenger` and `previous`, and the lake's champion file.

The alias `champion` is the truth. All else (the alias `previous`, a challenger that has won, the champion file that
localisation reads) follows from it and is mended by `reconcile`, so a process that dies between two steps harms nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from cvgl.adaptation.transforms import read_record
from cvgl.config import RegisterConfig
from cvgl.errors import LakeError, RegistryError
from cvgl.lake import Lake, read_json, write_bytes, write_json
from tasks.registry import model
from tasks.registry.golden import golden_descriptors
from tasks.registry.store import Registry, load_mlflow, registration

logger = logging.getLogger("cvgl.registry")

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
ROLLED_BACK = "cvgl.rolled_back"
SECONDS_TO_WAIT = 60.0  # a person waits for a registration that is under way


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a registered model."""

    model: str
    number: str
    tags: dict[str, str]

    @property
    def run(self) -> str:
        """The run of ours that it holds the adapter of."""
        return self.tags.get("cvgl.run", "")

    @property
    def address(self) -> str:
        return f"models:/{self.model}/{self.number}"


@dataclass(frozen=True, slots=True)
class Change:
    """What a promotion or rollback by hand did.

    Attributes:
        model: the registered model.
        version: the champion's version now.
        run: the champion's run now.
        before: the run that was champion before; empty when there was none.
    """

    model: str
    version: str
    run: str
    before: str


def model_name(config: RegisterConfig, dataset: str) -> str:
    """The registered model of a dataset."""
    return config.model_name or f"cvgl-{dataset}"


def version_by_alias(registry: Registry, name: str, alias: str) -> Version | None:
    """The version that an alias points to, if any."""
    mlflow = load_mlflow()
    try:
        found = registry.client.get_model_version_by_alias(name, alias)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return _version(found)


def version_of_run(registry: Registry, name: str, run: str) -> Version | None:
    """The newest version that holds a run's adapter, if it is registered."""
    found = registry.client.search_model_versions(f"name = '{name}' AND tags.`cvgl.run` = '{run}'")
    return _version(max(found, key=lambda version: int(version.version))) if found else None


def _version(entity: Any) -> Version:
    return Version(model=str(entity.name), number=str(entity.version), tags=dict(entity.tags))


def set_alias(registry: Registry, version: Version, alias: str) -> None:
    """Points an alias to a version."""
    registry.client.set_registered_model_alias(version.model, alias, version.number)


def tag(registry: Registry, version: Version, values: dict[str, str]) -> None:
    """Sets tags of a version."""
    for key, value in values.items():
        registry.client.set_model_version_tag(version.model, version.number, key, value)


def make_champion(registry: Registry, version: Version, dataset: str) -> None:
    """Moves the alias `champion`, and then everything that follows it."""
    champion = version_by_alias(registry, version.model, CHAMPION)
    if champion is not None and champion.number != version.number:
        tag(registry, version, {"cvgl.replaced": champion.number})
    set_alias(registry, version, CHAMPION)
    reconcile(registry, version.model, dataset)


def reconcile(registry: Registry, name: str, dataset: str) -> Version | None:
    """Brings everything into line with the alias `champion`: what a killed process may not have come to.

    Returns:
        The champion, if there is one.
    """
    champion = version_by_alias(registry, name, CHAMPION)
    if champion is None:
        return None
    if ROLLED_BACK in champion.tags:  # it has been promoted again, or a rollback was killed before its alias moved
        registry.client.delete_model_version_tag(name, champion.number, ROLLED_BACK)
    _follow(registry, name, PREVIOUS, _predecessor(registry, champion))
    challenger = version_by_alias(registry, name, CHALLENGER)
    if challenger is not None and challenger.number == champion.number:
        registry.client.delete_registered_model_alias(name, CHALLENGER)
    _point(registry.lake, champion, dataset)
    return champion


def _follow(registry: Registry, name: str, alias: str, wanted: Version | None) -> None:
    present = version_by_alias(registry, name, alias)
    if wanted is not None and (present is None or present.number != wanted.number):
        set_alias(registry, wanted, alias)
    elif wanted is None and present is not None:
        registry.client.delete_registered_model_alias(name, alias)


def _predecessor(registry: Registry, champion: Version) -> Version | None:
    """The champion before this one, unless it was deleted or has itself been rolled back."""
    mlflow = load_mlflow()
    number = champion.tags.get("cvgl.replaced")
    if number is None:
        return None
    try:
        found = _version(registry.client.get_model_version(champion.model, number))
    except mlflow.exceptions.MlflowException:
        return None
    return None if ROLLED_BACK in found.tags else found


def _point(lake: Lake, champion: Version, dataset: str) -> None:
    """Writes the file that localisation reads, when it says something else."""
    pointer = {
        "run": champion.run,
        "model": champion.model,
        "version": champion.number,
        "features": champion.tags.get("cvgl.features", ""),
    }
    path = lake.champion(dataset)
    try:
        present = read_json(path)
    except LakeError:  # missing or damaged: written anew
        present = None
    if present != pointer:
        write_json(path, pointer)


def ensure_adapter(registry: Registry, version: Version) -> None:
    """Puts an adapter back into the lake from the registry's copy, if the lake has lost it.

    Raises:
        RegistryError: the registry's copy is gone too.
    """
    folder = registry.lake.adapter(version.run)
    if (folder / "adapter.json").is_file():
        return
    files = model.adapter_files(registry, version.address)
    # The record goes last: an adapter without one is unfinished.
    for name in ("adapter.safetensors", "adapter.json"):
        write_bytes(folder / name, files[name])
    logger.info("restored the adapter of %s from the registry", version.run)


def promote(run: str, lake: Lake, config: RegisterConfig | None = None) -> Change:
    """Makes a registered run the champion by hand, without asking the gate.

    The model is still loaded back and held against the adapter in the lake.

    Raises:
        LakeError: there is no such run in the lake.
        RegistryError: the run is not registered, or what is registered is not what the lake holds.
    """
    config = config or RegisterConfig()
    record = read_record(lake.adapter(run))
    dataset = str(record.dataset)
    name = model_name(config, dataset)
    with registration(lake, name, config.tracking_uri, wait=SECONDS_TO_WAIT) as registry:
        before = reconcile(registry, name, dataset)
        version = version_of_run(registry, name, run)
        if version is None:
            raise RegistryError(
                f"run '{run}' is not registered as a version of '{name}'",
                where=registry.uri,
                fix="register it first: cvgl run with the same settings does so",
            )
        model.rescore(registry, version.address, lake.adapter(run), golden_descriptors(lake, record))
        make_champion(registry, version, dataset)
        tag(registry, version, {"cvgl.verdict": "promoted", "cvgl.reason": "promoted by hand"})
    return Change(name, version.number, run, before.run if before else "")


def rollback(dataset: str, lake: Lake, config: RegisterConfig | None = None) -> Change:
    """Makes the previous champion of a dataset the champion again.

    The version that is taken back is marked, so that running its pipeline again does not promote it by itself.

    Raises:
        RegistryError: there is no champion, or none before it.
    """
    config = config or RegisterConfig()
    name = model_name(config, dataset)
    with registration(lake, name, config.tracking_uri, wait=SECONDS_TO_WAIT) as registry:
        champion = reconcile(registry, name, dataset)
        previous = _predecessor(registry, champion) if champion else None
        if champion is None or previous is None:
            raise RegistryError(
                f"there is no {'earlier ' if champion else ''}champion of '{name}' to go back to",
                where=registry.uri,
                fix="see the versions on MLflow's page (cvgl ui) and choose one: cvgl promote RUN",
            )
        ensure_adapter(registry, previous)
        record = read_record(lake.adapter(previous.run))
        model.rescore(registry, previous.address, lake.adapter(previous.run), golden_descriptors(lake, record))
        tag(registry, champion, {ROLLED_BACK: "true"})
        set_alias(registry, previous, CHAMPION)
        reconcile(registry, name, dataset)
    return Change(name, previous.number, previous.run, champion.run)
