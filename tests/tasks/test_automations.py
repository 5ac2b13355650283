"""Automations as they are described in a file; that they work is told in tests/flows/test_arrival_deployed.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.errors import ConfigError, DataError
from tasks.arrival import CLOSED
from tasks.automations import create_automations, read_automations

FILE = Path(__file__).resolve().parents[2] / "deployments" / "automations.yaml"


def test_the_automation_waits_for_the_event_that_is_emitted() -> None:
    triggers = [one["trigger"] for one in read_automations(FILE)]
    assert triggers[0]["expect"] == [CLOSED]


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
