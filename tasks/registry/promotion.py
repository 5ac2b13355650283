"""Which version serves: the aliases `champion`, `challenger` and `previous`, and the version of the map that goes with it.

The alias `champion`, and the tag `cvgl.map` of the version that it points to, are the truth. All else (the alias
`previous`, a challenger that has won, the file that says which map images are placed on) follows from it and is mended by
`reconcile`, so a process that dies between two steps harms nothing.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from cvgl.adaptation.transforms import read_record
from cvgl.config import RegisterConfig
from cvgl.errors import LakeError, NewerFormatError, RegistryError, UnreadableError
from cvgl.lake import Lake, set_aside, write_bytes, write_versioned
from cvgl.localization.bundle import CurrentMap, Serving, problems, read_current, read_manifest
from cvgl.stages.map_positions import old_positions
from cvgl.stages.maps import build_map
from tasks.registry import model
from tasks.registry.agreement import disagreements, standing_in
from tasks.registry.golden import golden_descriptors
from tasks.registry.store import Registry, load_mlflow, registration
from tasks.registry.tags import (
    CHALLENGER,
    CHAMPION,
    FEATURES,
    MAP,
    MODEL_ID,
    PREVIOUS,
    REASON,
    REPLACED,
    ROLLED_BACK,
    RUN,
    SET_ASIDE,
    VERDICT,
)

logger = logging.getLogger("cvgl.registry")
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
        return self.tags.get(RUN, "")

    @property
    def address(self) -> str:
        """Address of the version in MLflow's notation."""
        return f"models:/{self.model}/{self.number}"


@dataclass(frozen=True, slots=True)
class Change:
    """What a promotion or rollback by hand did.

    Attributes:
        model: the registered model.
        version: the champion's version now.
        run: the champion's run now.
        before: the run that was champion before; empty when there was none.
        map: the version of the map that serves now.
        warning: what to know about that map; empty where there is nothing.
    """

    model: str
    version: str
    run: str
    before: str
    map: str
    warning: str = ""


def model_name(config: RegisterConfig, dataset: str) -> str:
    """The registered model of a dataset."""
    return config.model_name or f"cvgl-{dataset}"


def version_by_alias(registry: Registry, name: str, alias: str) -> Version | None:
    """The version that an alias points to, if any."""
    mlflow = load_mlflow()
    try:
        version = registry.client.get_model_version_by_alias(name, alias)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return _version(version)


def version_of_run(registry: Registry, name: str, run: str) -> Version | None:
    """The version that holds a run's adapter of today, if it is registered."""
    return next(iter(versions_of_run(registry, name, run)), None)


def versions_of_run(registry: Registry, name: str, run: str) -> list[Version]:
    """The versions that hold a run's adapter of today, oldest first: one, and only the first counts where there are more.

    A request to create one is carried out twice where the reply to the first was lost.
    """
    matches = registry.client.search_model_versions(f"name = '{name}' AND tags.`cvgl.run` = '{run}'")
    versions = sorted((_version(entity) for entity in matches), key=lambda version: int(version.number))
    return [version for version in versions if version.tags.get(MODEL_ID) == versions[-1].tags.get(MODEL_ID)]


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
    # Built before anything points to it, with the positions of today: those of a map that it has served with may be older.
    tag(registry, version, {MAP: _map_of(registry, version, dataset, of_today=True)})
    if champion is not None and champion.number != version.number:
        tag(registry, version, {REPLACED: champion.number})
    set_alias(registry, version, CHAMPION)
    reconcile(registry, version.model, dataset)


def recover(registry: Registry, name: str, dataset: str) -> tuple[Version | None, list[str]]:
    """`reconcile` before anything else is done: what a process that died has left is told, and mended.

    Returns:
        The champion, if there is one, and what did not agree.
    """
    differences = disagreements(registry.lake, dataset, standing_in(registry.client, name))
    for difference in differences:
        logger.warning("the map of %s: %s; mending it", dataset, difference)
    champion = reconcile(registry, name, dataset)
    if champion is not None and differences:
        logger.warning("the map of %s: %s (version %s) serves, and everything says so", dataset, champion.run, champion.number)
    return champion, differences


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
    _serve(registry, champion, dataset)
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
    number = champion.tags.get(REPLACED)
    if number is None:
        return None
    try:
        predecessor = _version(registry.client.get_model_version(champion.model, number))
    except mlflow.exceptions.MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return None if ROLLED_BACK in predecessor.tags else predecessor


def _map_of(registry: Registry, version: Version, dataset: str, *, of_today: bool = False) -> str:
    """The map that a version serves with: the one that it is tagged with, or one that is built now.

    Args:
        of_today: also build one where the table of references has other positions by now.
    """
    lake, map_version = registry.lake, version.tags.get(MAP, "")
    folder = lake.map(dataset) / map_version
    is_whole = map_version and not problems(folder) and read_manifest(folder).run == version.run
    if is_whole and not (of_today and old_positions(lake, dataset, map_version)):
        return map_version
    return build(registry, version, dataset)


def build(registry: Registry, version: Version, dataset: str) -> str:
    """Builds the map that a version's adapter and the references of today make; gives the map's version."""
    ensure_adapter(registry, version)
    return build_map(registry.lake, dataset, version.run).version


def _serve(registry: Registry, champion: Version, dataset: str) -> None:
    """Writes the file that says which map serves, when it says something else."""
    lake = registry.lake
    bundle = _map_of(registry, champion, dataset)
    if champion.tags.get(MAP) != bundle:
        logger.warning("the map of %s was missing or damaged; it was built again as %s", champion.run, bundle)
        tag(registry, champion, {MAP: bundle})
    serving = Serving(
        map=bundle,
        run=champion.run,
        features=champion.tags.get(FEATURES, ""),
        model=champion.model,
        version=champion.number,
    )
    try:
        present = read_current(lake.champion(dataset))
    except (UnreadableError, NewerFormatError):
        raise
    except LakeError as error:  # damaged: set aside and written anew, without its history
        aside = set_aside(lake.champion(dataset))
        logger.warning("%s; set aside as %s and written anew from the registry", error, aside.name)
        present = None
    if present is None or present.serving != serving:
        following = CurrentMap(serving=serving) if present is None else present.followed_by(serving)
        write_versioned(lake.champion(dataset), "current_map", following.model_dump(mode="json"))


def ensure_adapter(registry: Registry, version: Version) -> None:
    """Puts an adapter back into the lake from the registry's copy, if the lake has lost it.

    Raises:
        RegistryError: the registry's copy is gone too.
    """
    folder = registry.lake.adapter(version.run)
    if (folder / "adapter.json").is_file():
        return
    files = model.adapter_files(registry, version.address, model.recorded_hash(registry, version.tags))
    # The record goes last: an adapter without one is unfinished.
    for name in ("adapter.safetensors", "adapter.json"):
        write_bytes(folder / name, files[name])
    logger.info("restored the adapter of %s from the registry", version.run)


def by_hand(lake: Lake, name: str, config: RegisterConfig) -> AbstractContextManager[Registry]:
    """An opened registry for a person, who does not wait for ever."""
    return registration(lake, name, config.tracking_uri, wait=SECONDS_TO_WAIT, patience=config.patience_s)


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
    with by_hand(lake, name, config) as registry:
        before, _ = recover(registry, name, dataset)
        version = version_of_run(registry, name, run)
        if version is None:
            raise RegistryError(
                f"run '{run}' is not registered as a version of '{name}'",
                where=registry.uri,
                fix="register it first: cvgl run with the same settings does so",
            )
        model.rescore(registry, version.address, lake.adapter(run), golden_descriptors(lake, record))
        make_champion(registry, version, dataset)
        tag(registry, version, {VERDICT: "promoted", REASON: "promoted by hand"})
        served = version_by_alias(registry, name, CHAMPION)
    return Change(name, version.number, run, before.run if before else "", served.tags[MAP] if served else "")


def rollback(dataset: str, lake: Lake, config: RegisterConfig | None = None, to: str | None = None) -> Change:
    """Makes an earlier champion of a dataset the champion again, with the map that it served with.

    The version that is taken back is marked, so that running its pipeline again does not promote it by itself.

    Args:
        dataset: whose map.
        lake: where everything is.
        config: the registry.
        to: version of the map, run, or version of the registered model; default: what served before.

    Raises:
        RegistryError: there is no champion, or no such one before it.
    """
    config = config or RegisterConfig()
    name = model_name(config, dataset)
    with by_hand(lake, name, config) as registry:
        champion, _ = recover(registry, name, dataset)
        target = _earlier(registry, champion, dataset, to) if champion else None
        if champion is None or target is None:
            raise RegistryError(
                f"there is no {'earlier ' if champion else ''}champion of '{name}' to go back to"
                + (f" as '{to}'" if to else ""),
                where=registry.uri,
                fix=f"see what has served (cvgl maps --dataset {dataset}), or choose any run: cvgl promote RUN",
            )
        ensure_adapter(registry, target)
        record = read_record(lake.adapter(target.run))
        model.rescore(registry, target.address, lake.adapter(target.run), golden_descriptors(lake, record))
        if target.number != champion.number:
            tag(registry, champion, {ROLLED_BACK: "true"})
        bundle = _map_of(registry, target, dataset)
        old = old_positions(lake, dataset, bundle)
        # Whoever goes back to older positions wants them: these of today are not brought in again by themselves.
        tag(registry, target, {MAP: bundle, SET_ASIDE: old.digest if old else ""})
        set_alias(registry, target, CHAMPION)
        reconcile(registry, name, dataset)
    if old is None:
        return Change(name, target.number, target.run, champion.run, bundle)
    warning = f"{old}; if those are right, bring them in with: {old.command}"
    logger.warning("%s", warning)
    return Change(name, target.number, target.run, champion.run, bundle, warning)


def _earlier(registry: Registry, champion: Version, dataset: str, to: str | None) -> Version | None:
    """The version to go back to, tagged with the map that is to serve again."""
    if to is None:
        return _predecessor(registry, champion)
    current = read_current(registry.lake.champion(dataset))
    for entry in reversed(current.before if current else ()):
        if to in (entry.map, entry.run, entry.version):
            version = version_of_run(registry, champion.model, entry.run)
            return None if version is None else Version(version.model, version.number, {**version.tags, MAP: entry.map})
    return None
