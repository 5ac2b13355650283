"""Automations from a file to a Prefect server: events that start deployments, or notify people.

Prefect's own command takes such a file, too, but wants the ids of deployments and blocks, which differ from server to server.
Here an action names its deployment as people do, FLOW/NAME, and the block by which people are told is chosen once, TYPE/NAME.
Doing it again updates what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvgl.errors import ConfigError, DataError, require

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import BlockDocument
    from prefect.events.schemas.automations import AutomationCore


def create_automations(path: Path, block: str | None = None) -> dict[str, str]:
    """Creates or updates the automations of a file on the server that PREFECT_API_URL names.

    Args:
        path: YAML with a list `automations`.
        block: TYPE/NAME of the notification block for actions that notify and name none, e.g. ``"slack-webhook/team"``.

    Returns:
        What was done with each, by name: created or updated.

    Raises:
        DataError: the file cannot be read, or describes no automation.
        ConfigError: a deployment or block that is named is not on the server, or none is where people are to be told.
    """
    from prefect.client.orchestration import get_client

    done: dict[str, str] = {}
    described = read_automations(path)
    with get_client(sync_client=True) as client:
        for values in described:
            automation = _automation(values, client, path, block)
            present = client.read_automations_by_name(automation.name)
            if present:
                client.update_automation(present[0].id, automation)
            else:
                client.create_automation(automation)
            done[automation.name] = "updated" if present else "created"
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
    entries = values.get("automations") if isinstance(values, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError("the file has no list 'automations'", where=path, fix="see deployments/automations.yaml")
    return entries


def _automation(values: Mapping[str, Any], client: SyncPrefectClient, path: Path, block: str | None) -> AutomationCore:
    from prefect.events.schemas.automations import AutomationCore
    from pydantic import ValidationError

    actions = [_action(action, client, path, block) for action in values.get("actions", ())]
    try:
        return AutomationCore.model_validate({**values, "actions": actions})
    except ValidationError as error:
        raise DataError(f"an automation is not as Prefect wants it: {error}", where=path, fix="mend the file") from error


def _action(action: Mapping[str, Any], client: SyncPrefectClient, path: Path, block: str | None) -> dict[str, Any]:
    """An action with the ids of the deployment or block that it names."""
    values = dict(action)
    if values.get("type") == "send-notification" and "block_document_id" not in values:
        return {**values, "block_document_id": _notifier(str(values.pop("block", block or "")), client, path)}
    if "deployment" in values:
        return {**values, "source": "selected", "deployment_id": _deployment(str(values.pop("deployment")), client, path)}
    return values


def _deployment(name: str, client: SyncPrefectClient, path: Path) -> str:
    from prefect.exceptions import ObjectNotFound

    try:
        return str(client.read_deployment_by_name(name).id)
    except (ObjectNotFound, ValueError) as error:
        raise ConfigError(
            f"the deployment '{name}' is not on the server {client.api_url}",
            where=path,
            fix="prefect deploy --prefect-file deployments/arrival.yaml --all",
        ) from error


def _notifier(name: str, client: SyncPrefectClient, path: Path) -> str:
    """The id of a block that can notify."""
    from prefect.exceptions import ObjectNotFound

    kind, _, document = name.partition("/")
    try:
        block = client.read_block_document_by_name(document, kind, include_secrets=False) if document else None
    except ObjectNotFound:
        block = None
    if block is not None and _can_notify(block):
        return str(block.id)
    if block is not None:
        problem = f"the block '{name}' cannot notify anybody"
    else:
        problem = f"the block '{name}' is not on the server {client.api_url}" if name else "no block says how people are told"
    fix = "add one on Prefect's page 'Blocks', and name it: --block TYPE/NAME"
    notifiers = [candidate for candidate in client.read_block_documents(include_secrets=False) if _can_notify(candidate)]
    if notifiers:
        listed = ", ".join(
            sorted(
                f"{candidate.block_type.slug}/{candidate.name}" for candidate in notifiers if candidate.block_type is not None
            )
        )
        fix = f"name one of {listed} by --block, or add one on Prefect's page 'Blocks'"
    raise ConfigError(problem, where=path, fix=fix)


def _can_notify(block: BlockDocument) -> bool:
    return block.block_schema is not None and "notify" in block.block_schema.capabilities
