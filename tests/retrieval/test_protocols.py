from __future__ import annotations

import subprocess
import sys

import pytest

from cvgl.errors import ConfigError
from cvgl.retrieval import protocols
from cvgl.retrieval.protocols import PROTOCOLS, Protocol


def test_every_name_is_one_protocol_with_its_own_hash() -> None:
    assert {"university1652-951", "university1652-951-standard", "university1652-701", "university1652-701-standard"} < set(
        PROTOCOLS
    )
    assert {"released", "open-set", "flights"} < set(PROTOCOLS)
    assert len({protocol.hash for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)
    assert all(protocols.get(name) for name in protocols.names())
    assert protocols.get("standard") is protocols.get("open-set")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another"},
        {"gallery": "with_query"},
        {"average_precision": "trapezoid"},
        {"one_percent": "floor"},
        {"truth": "nearest"},
    ],
)
def test_the_hash_covers_every_rule(change: dict[str, str]) -> None:
    base = Protocol(name="p", description="d")
    assert base.model_copy(update=change).hash != base.hash


def test_the_hash_survives_rewording() -> None:
    assert Protocol(name="p", description="a").hash == Protocol(name="p", description="b").hash


@pytest.mark.parametrize(
    ("rule", "depths"),
    [("round", {951: 11, 90: 2, 620: 7, 40: 1, 1: 1}), ("floor", {951: 10, 90: 1, 1: 1}), ("below", {951: 9, 8884: 88, 90: 0})],
)
def test_r_at_one_percent_looks_as_deep_as_its_users_do(rule: str, depths: dict[int, int]) -> None:
    protocol = Protocol.model_validate({"name": "p", "description": "d", "one_percent": rule})
    assert {n: protocol.one_percent_depth(n) for n in depths} == depths


def test_auto_is_what_the_layout_is_judged_by() -> None:
    assert [p.name for p in protocols.resolve(["auto"], "university1652")] == ["university1652-951"]
    assert [p.name for p in protocols.resolve(["auto"], "folder")] == ["open-set"]
    assert [p.name for p in protocols.resolve(["auto"], None)] == ["open-set"]
    wanted = ["auto", "flights", "university1652-951", "standard", "open-set"]
    assert [p.name for p in protocols.resolve(wanted, "university1652")] == ["university1652-951", "flights", "open-set"]


@pytest.mark.parametrize("name", ["auto", "", "University1652-951"])
def test_names_are_exact(name: str) -> None:
    with pytest.raises(ConfigError, match="there is no protocol"):
        protocols.get(name)


def test_the_list_of_protocols_is_light() -> None:
    code = "import sys, cvgl.retrieval.protocols; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
