"""Automations as they are described in a file; that they work is told in tests/flows/test_arrival_deployed.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.errors import ConfigError, DataError
from tasks.arrival import CLOSED
from tasks.automations import create_automations, read_automations
from tasks.run_summary import DONE, FAILED, WAITING

DEPLOYMENTS = Path(__file__).resolve().parents[2] / "deployments"
FILE, NOTIFICATIONS = DEPLOYMENTS / "automations.yaml", DEPLOYMENTS / "notifications.yaml"


def test_the_automation_waits_for_the_event_that_is_emitted() -> None:
    triggers = [automation["trigger"] for automation in read_automations(FILE)]
    assert triggers[0]["expect"] == [CLOSED]


def test_notifications_wait_for_events_that_are_emitted() -> None:
    waited = {automation["name"]: automation["trigger"]["expect"] for automation in read_automations(NOTIFICATIONS)}
    assert waited["cvgl-asks"] == [WAITING, FAILED]
    assert waited["cvgl-promoted"] == [DONE]


@pytest.mark.parametrize("text", ["", "automations: 3", "automations: [3]", "a: [", "- x", "\x00"])
def test_a_file_that_describes_nothing_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "automations.yaml"
    path.write_text(text)
    with pytest.raises(DataError) as raised:
        read_automations(path)
    assert str(path) in str(raised.value)
    with pytest.raises(DataError):
        read_automations(tmp_path / "nowhere.yaml")


@pytest.mark.usefixtures("prefect_api")
def test_a_deployment_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="arrival/arrival"):
        create_automations(FILE)
    path = tmp_path / "automations.yaml"
    path.write_text("automations: [{name: x, trigger: {type: nonsense}}]")
    with pytest.raises(DataError, match="not as Prefect wants it"):
        create_automations(path)


@pytest.mark.usefixtures("prefect_api")
def test_the_block_that_tells_people_has_to_be_one(tmp_path: Path) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.blocks.system import Secret
    from prefect.client.orchestration import get_client

    with pytest.raises(ConfigError, match="no block says how people are told") as raised:
        create_automations(NOTIFICATIONS)
    assert "--block TYPE/NAME" in str(raised.value)
    CustomWebhookNotificationBlock(name="x", url="http://127.0.0.1:9").save("people", overwrite=True)
    Secret(value="x").save("key", overwrite=True)
    for block_name, fault in (
        ("slack-webhook/nobody", "'slack-webhook/nobody' is not on the server"),
        ("nonsense", "'nonsense' is not on the server"),
        ("secret/key", "'secret/key' cannot notify anybody"),
    ):
        with pytest.raises(ConfigError, match=fault) as raised:
            create_automations(NOTIFICATIONS, block_name)
        assert "custom-webhook/people" in str(raised.value)  # what there is
    names = {"cvgl-failed", "cvgl-late", "cvgl-asks", "cvgl-promoted"}
    assert create_automations(NOTIFICATIONS, "custom-webhook/people").keys() == names
    assert create_automations(NOTIFICATIONS, "custom-webhook/people") == dict.fromkeys(names, "updated")
    own = tmp_path / "own.yaml"
    own.write_text(
        NOTIFICATIONS.read_text().replace("type: send-notification", "type: send-notification\n        block: secret/key")
    )
    with pytest.raises(ConfigError, match="'secret/key' cannot"):
        create_automations(own, "custom-webhook/people")  # an action's own goes before
    with get_client(sync_client=True) as client:
        for name in names:
            for automation in client.read_automations_by_name(name):
                client.delete_automation(automation.id)
