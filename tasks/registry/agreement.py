"""Whether the registry, the file that says which map serves, and the folder of that map say the same. Only looks.

The alias `champion` and the tag `cvgl.map` of its version are the truth; `tasks.registry.promotion.recover` brings the
rest into line with them. A process that dies between two steps leaves one of the differences that are found here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cvgl.errors import LakeError, NewerFormatError, UnreadableError
from cvgl.lake import Lake
from cvgl.localization.bundle import CurrentMap, problems, read_current, read_manifest
from tasks.registry.tags import CHALLENGER, CHAMPION, MAP, PREVIOUS, REPLACED, ROLLED_BACK, RUN


@dataclass(frozen=True, slots=True)
class Standing:
    """What a registry says of a registered model.

    Attributes:
        model: its name.
        aliases: number of the version that each points to.
        tags: of each version that counts, by its number.
    """

    model: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def champion(self) -> str:
        """Number of the version that serves; empty where none does."""
        return self.aliases.get(CHAMPION, "")

    @property
    def predecessor(self) -> str:
        """Number of the version that a rollback goes to; empty where there is none."""
        number = self.tags.get(self.champion, {}).get(REPLACED, "")
        return number if number in self.tags and ROLLED_BACK not in self.tags[number] else ""


def standing_in(client: Any, model: str) -> Standing:
    """Asks a registry.

    Args:
        client: an `mlflow.MlflowClient`.
        model: name of the registered model; need not exist.
    """
    models = client.search_registered_models(f"name = '{model}'")
    if not models:
        return Standing(model)
    aliases = {str(alias): str(number) for alias, number in client.get_registered_model(model).aliases.items()}
    versions = client.search_model_versions(f"name = '{model}'")
    return Standing(model, aliases, {str(version.version): dict(version.tags) for version in versions})


def standing_in_file(database: Path, model: str) -> Standing:
    """Reads the registry's own database, without MLflow, which would create or migrate it.

    Raises:
        sqlite3.Error: it is none, or of a version with other tables.
    """
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:

        def rows(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query, (model,)).fetchall()

        aliases = rows("SELECT alias, version FROM registered_model_aliases WHERE name = ?")
        numbers = rows("SELECT version FROM model_versions WHERE name = ? AND current_stage != 'Deleted_Internal'")
        tags: dict[str, dict[str, str]] = {str(number): {} for (number,) in numbers}
        for number, key, value in rows("SELECT version, key, value FROM model_version_tags WHERE name = ?"):
            if str(number) in tags:  # those of a deleted version stay
                tags[str(number)][key] = value
    return Standing(model, {alias: str(number) for alias, number in aliases}, tags)


def disagreements(lake: Lake, dataset: str, standing: Standing) -> list[str]:
    """What the registry, current.json and the map's folder say differently, a sentence each; nothing where all is well."""
    champion = standing.champion
    try:
        current = read_current(lake.champion(dataset))
        lines = []
    except (UnreadableError, NewerFormatError):
        raise
    except LakeError as error:
        current, lines = None, [f"current.json is damaged ({error.what})"]
    if not champion:
        if current is not None:
            lines.append(f"current.json says that {current.serving.run} serves, and {standing.model} has no champion")
        return lines
    tags = standing.tags.get(champion, {})
    return [
        *lines,
        *_of_aliases(standing),
        *_of_map(lake, dataset, tags, champion),
        *_of_pointer(current, tags, champion, lines),
    ]


def _of_aliases(standing: Standing) -> list[str]:
    champion, expected = standing.champion, standing.predecessor
    lines = []
    if ROLLED_BACK in standing.tags.get(champion, {}):
        lines.append(f"version {champion} is the champion and marked as rolled back")
    if standing.aliases.get(PREVIOUS, "") != expected:
        points = standing.aliases.get(PREVIOUS)
        lines.append(f"the alias 'previous' {_points_to(points)}, and version {champion} {_replaced(expected)}")
    if standing.aliases.get(CHALLENGER) == champion:
        lines.append(f"version {champion} is the champion and still called challenger")
    return lines


def _points_to(number: str | None) -> str:
    return f"points to version {number}" if number else "is missing"


def _replaced(number: str) -> str:
    return f"has replaced version {number}" if number else "has replaced none that could serve again"


def _of_map(lake: Lake, dataset: str, tags: Mapping[str, str], champion: str) -> list[str]:
    version = tags.get(MAP, "")
    if not version:
        return [f"version {champion} is the champion and has no map"]
    folder = lake.map(dataset) / version
    if not folder.is_dir():
        return [f"the map {version} of version {champion} is missing"]
    if wrong := problems(folder):
        return [f"the map {version} of version {champion} is damaged: {problem}" for problem in wrong]
    run = read_manifest(folder).run
    return [] if run == tags.get(RUN, run) else [f"the map {version} of version {champion} holds the adapter of {run}"]


def _of_pointer(current: CurrentMap | None, tags: Mapping[str, str], champion: str, damaged: list[str]) -> list[str]:
    if current is None:
        return [] if damaged else [f"version {champion} is the champion and current.json is missing"]
    lines = []
    serving = current.serving
    if (serving.version, serving.run) != (champion, tags.get(RUN, "")):
        lines.append(
            f"current.json says that version {serving.version or '?'} ({serving.run}) serves, "
            f"and the champion is version {champion} ({tags.get(RUN, '')})"
        )
    elif serving.map != tags.get(MAP, ""):
        lines.append(f"current.json says that the map {serving.map} serves, and version {champion} goes with {tags.get(MAP)}")
    return lines
