"""Looking whether a map and its registry agree, which changes nothing, and mending what a process that died has left."""

from __future__ import annotations

import logging
import sqlite3

from cvgl.config import RegisterConfig
from cvgl.errors import CvglError, LakeError, NewerFormatError, RegistryError, UnreadableError
from cvgl.lake import Lake
from cvgl.localization.bundle import read_current
from tasks.registry.agreement import Standing, disagreements, standing_in, standing_in_file
from tasks.registry.promotion import by_hand, model_name, recover
from tasks.registry.references import bring_in, look_for_old_positions
from tasks.registry.store import open_registry

logger = logging.getLogger("cvgl.registry")


def look(dataset: str, lake: Lake, config: RegisterConfig | None = None) -> list[str]:
    """What the registry, current.json, the map's folder and the table of references say differently, a sentence each.

    Nothing is created or changed.

    Raises:
        RegistryError: the registry cannot be asked. It is asked once.
    """
    return [*_disagreeing(dataset, lake, config), *look_for_old_positions(dataset, lake)]


def _disagreeing(dataset: str, lake: Lake, config: RegisterConfig | None) -> list[str]:
    """The same without the table of references."""
    standing = _standing(dataset, lake, config or RegisterConfig())
    return [] if standing is None else disagreements(lake, dataset, standing)


def _standing(dataset: str, lake: Lake, config: RegisterConfig) -> Standing | None:
    """What the registry says; None where nothing has been registered and nothing serves."""
    name = config.model_name or _known_name(lake, dataset) or model_name(config, dataset)
    if config.tracking_uri is not None:
        return standing_in(open_registry(lake, config.tracking_uri).client, name)
    if not lake.mlflow_database.is_file():
        return Standing(name) if lake.champion(dataset).exists() else None
    try:
        return standing_in_file(lake.mlflow_database, name)
    except sqlite3.Error as error:
        raise RegistryError(
            f"the model registry cannot be read: {error}", where=lake.mlflow_database, fix="restore the file from a backup"
        ) from error


def _known_name(lake: Lake, dataset: str) -> str:
    """The registered model that current.json names; empty where it does not."""
    try:
        current = read_current(lake.champion(dataset))
    except (UnreadableError, NewerFormatError):
        raise
    except LakeError:  # told by `disagreements`
        return ""
    return current.serving.model if current is not None else ""


def mend(dataset: str, lake: Lake, config: RegisterConfig | None = None) -> list[str]:
    """Brings current.json, the map's folder and other aliases into line with the champion, and today's positions into the map.

    Returns:
        What did not agree, a sentence each.

    Raises:
        RegistryError: the registry cannot be asked, or has no champion although a map is said to serve.
        LakeError, DataError: a damaged map cannot be built again.
    """
    config = config or RegisterConfig()
    if _standing(dataset, lake, config.model_copy(update={"tracking_uri": None})) is None and config.tracking_uri is None:
        return []  # nothing has been registered: no database is made by looking
    name = config.model_name or _known_name(lake, dataset) or model_name(config, dataset)
    with by_hand(lake, name, config) as registry:
        champion, mended = recover(registry, name, dataset)
        old = look_for_old_positions(dataset, lake)
        if champion is not None and bring_in(registry, name, dataset, config, wanted=True) is not None:
            logger.warning("the map of %s: %s; mending it", dataset, "; ".join(old))
            mended = [*mended, *old]
    if champion is None and mended:
        raise RegistryError(
            f"the map of '{dataset}' cannot be mended: {'; '.join(mended)}",
            where=registry.uri,
            fix="say which registry is meant (registry.tracking_uri), or bring back its database from a backup, "
            "or run again (cvgl run with the same settings), which registers what is in the lake",
        )
    return mended


def mend_at_start(dataset: str, lake: Lake, config: RegisterConfig) -> list[str]:
    """`mend`, before anything else is done, where there is something to mend; work goes on where that is not possible.

    Registering, which comes later, waits for a registry that does not answer, and mends too.
    """
    try:
        # Old positions are brought in where the gate's record is made, after the images have been measured anew.
        differences = _disagreeing(dataset, lake, config)
        return mend(dataset, lake, config.model_copy(update={"patience_s": 0.0})) if differences else []
    except CvglError as error:
        logger.warning("whether the map of %s and its registry agree will be looked at later: %s", dataset, error)
        return []
