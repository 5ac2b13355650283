"""Automations from a file to a Prefect server: events that start deployments.

Prefect's own command takes such a file, too, but wants the id of each deployment, which differs from server to server. Here
an action names its deployment as people do, FLOW/NAME. Doing it again updates what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvgl.errors import ConfigError, DataError, require

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore


def create_automations(path: Path) -> dict[str, str]:
    """Creates or updates the automations of a file on the server that PREFECT_API_URL names.

    Args:
        path: YAML with a list `automations`.

    Returns:
        What was done with each, by name: created or updated.

    Raises:
        DataError: the file cannot be read, or describes no automation.
        ConfigError: a deployment that it names is not on the server.
    """
    from prefect.client.orchestration import get_client

    done: dict[str, str] = {}
    described = read_automations(path)
    with get_client(sync_client=True) as client:
        for values in described:
            automation = _automation(values, client, path)
            known = client.read_automations_by_name(automation.name)
            if known:
                client.update_automation(known[0].id, automation)
            else:
                client.create_automation(automation)
            done[automation.name] = "updated" if known else "created"
    return done


def read_automations(path: Path) -> list[Mapping[str, Any]]:
    """What a file describes, unchecked but for its form.

    Raises:
        DataError: the file cannot be read, or has no list `automations`.
    """
    yaml = require("yaml", extra="pipeline", purpose="read automations")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"the automations cannot be read: {error}", where=path, fix="check the file") from error
    found = values.get("automations") if isinstance(values, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise DataError("the file has no list 'automations'", where=path, fix="see deployments/automations.yaml")
    return found


def _automation(values: Mapping[str, Any], client: SyncPrefectClient, path: Path) -> AutomationCore:
    from prefect.events.schemas.automations import AutomationCore
    from pydantic import ValidationError

    actions = [_action(action, client, path) for action in values.get("actions", ())]
    try:
        return AutomationCore.model_validate({**values, "actions": actions})
    except ValidationError as error:
        raise DataError(f"an automation is not as Prefect wants it: {error}", where=path, fix="mend the file") from error


def _action(action: Mapping[str, Any], client: SyncPrefectClient, path: Path) -> dict[str, Any]:
    """An action with the id of the deployment that it names."""
    from prefect.exceptions import ObjectNotFound

    values = dict(action)
    name = values.pop("deployment", None)
    if name is None:
        return values
    try:
        deployment = client.read_deployment_by_name(str(name))
    except (ObjectNotFound, ValueError) as error:
        raise ConfigError(
            f"the deployment '{name}' is not on the server {client.api_url}",
            where=path,
            fix="prefect deploy --prefect-file deployments/arrival.yaml --all",
        ) from error
    return {**values, "source": "selected", "deployment_id": str(deployment.id)}
