"""Which flows are deployed."""

from __future__ import annotations

import re

from tests.deployments.rendering import ROOT, read_document

FILES = ("prefect.yaml", "arrival.yaml")


def test_every_flow_is_deployed_or_told_why_not() -> None:
    made = {
        f"flows/{path.name}:{function}"
        for path in (ROOT / "flows").glob("*.py")
        for function in re.findall(r"^@stage_flow\(.*\)\ndef (\w+)\(", path.read_text(), re.MULTILINE)
    }
    deployed = {deployment["entrypoint"] for name in FILES for deployment in read_document(name)["deployments"]}
    exempt = set(re.findall(r"^#   (flows/\w+\.py:\w+) ", (ROOT / "deployments" / "prefect.yaml").read_text(), re.MULTILINE))
    assert len(made) > 10
    assert deployed | exempt >= made
    assert not deployed & exempt
    assert deployed <= made
