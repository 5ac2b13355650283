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
    assert protocols.get("sample4geo") is protocols.get("university1652-701-standard")
    assert all(protocol.description for protocol in PROTOCOLS.values())


# What each party of the field does: gallery, average precision, R@1%, which satellite images are asked for.
VARIANTS = {
    "university1652-951": ("all", "trapezoid", "round", "query"),
    "university1652-951-standard": ("all", "standard", "round", "query"),
    "university1652-701": ("with_query", "trapezoid", "round", "query"),
    "university1652-701-standard": ("with_query", "standard", "round", "query"),
    "released": ("all", "trapezoid", "floor", "gallery"),
    "university160k-local": ("all", "trapezoid", "floor", "gallery"),
    "cvusa": ("all", "standard", "below", "query"),
    "cvact-val": ("all", "standard", "below", "query"),
    "cvact-test": ("all", "standard", "below", "query"),
    "open-set": ("all", "standard", "round", "query"),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_of_the_field_has_its_rules(name: str) -> None:
    p = protocols.get(name)
    assert (p.gallery, p.average_precision, p.one_percent, p.satellite_queries) == VARIANTS[name]
    assert (p.truth, p.unmatched, p.ties) == ("location", "miss", "pessimistic")


def test_a_part_of_a_data_set_is_not_taken_for_the_whole() -> None:
    full = protocols.get("university1652-951")
    assert full.size_note("drone_to_satellite", 37_855, 951) is None
    assert full.size_note("satellite_to_drone", 701, 51_355) is None
    assert full.size_note("ground_to_satellite", 5, 5) is None
    note = full.size_note("drone_to_satellite", 37_854, 951)
    assert note is not None
    assert "37,854 queries against 951, of 37,855 against 951" in note
    assert protocols.get("university1652-701").size_note("drone_to_satellite", 37_855, 701) is None
    assert protocols.get("released").size_note("satellite_to_drone", 951, 37_855) is None
    local = protocols.get("university160k-local")
    assert local.size_note("drone_to_satellite", 37_855, 161_001) is None
    assert local.size_note("drone_to_satellite", 37_000, 161_001) is not None
    assert protocols.get("cvusa").size_note("ground_to_satellite", 8_884, 8_883) is not None
    assert protocols.get("open-set").size_note("drone_to_satellite", 1, 1) is None


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another"},
        {"gallery": "with_query"},
        {"average_precision": "trapezoid"},
        {"one_percent": "floor"},
        {"truth": "nearest"},
        {"satellite_queries": "gallery"},
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


def test_auto_is_the_default_of_the_data_set() -> None:
    assert [p.name for p in protocols.resolve(["auto"], "university1652-951")] == ["university1652-951"]
    assert [p.name for p in protocols.resolve(["auto"], None)] == ["open-set"]
    wanted = ["auto", "flights", "university1652-951", "standard", "open-set"]
    assert [p.name for p in protocols.resolve(wanted, "university1652-951")] == ["university1652-951", "flights", "open-set"]


@pytest.mark.parametrize("name", ["auto", "", "University1652-951"])
def test_names_are_exact(name: str) -> None:
    with pytest.raises(ConfigError, match="there is no protocol"):
        protocols.get(name)


def test_the_list_of_protocols_is_light() -> None:
    code = "import sys, cvgl.retrieval.protocols; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
