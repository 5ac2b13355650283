"""Every way in which registry, current.json and a map's folder can disagree: told without changing anything, and mended."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cvgl.config import RegisterConfig
from cvgl.errors import RegistryError
from cvgl.lake import Lake, write_json
from cvgl.localization.bundle import CurrentMap, Serving, open_bundle, read_current
from cvgl.stages.maps import build_map
from cvgl.summary import read_summaries
from tasks.diagnosis import Check, Verdict, diagnose
from tasks.registry.recovery import look, mend, mend_at_start
from tasks.registry.registration import register
from tasks.registry.store import open_registry
from tasks.registry.tags import CHALLENGER, CHAMPION, MAP, PREVIOUS, ROLLED_BACK
from tests.flows.cli.commands import invoke
from tests.tasks.registry_lake import DATASET, add_reference, make_run

NAME = f"cvgl-{DATASET}"


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two runs, the second of which replaced the first."""
    lake = Lake.at(tmp_path_factory.mktemp("promoted") / "lake")
    for seed in range(2):
        evaluation = make_run(lake, adapted=0.5 + seed / 10, seed=seed)
        register(evaluation, RegisterConfig(), lake, lambda run: read_summaries(lake.evaluation(run)))
    return lake


@pytest.fixture
def served(promoted: Lake, tmp_path: Path) -> Lake:
    """A copy of it that may be broken."""
    lake = Lake.at(tmp_path / "lake")
    shutil.copytree(promoted.root, lake.root)
    open_registry(lake)  # its paths are mended once
    return lake


def current(lake: Lake) -> CurrentMap:
    current_map = read_current(lake.champion(DATASET))
    assert current_map is not None
    return current_map


def bundle(lake: Lake) -> Path:
    return lake.map(DATASET) / current(lake).serving.map


def points_to_the_one_before(lake: Lake) -> None:
    """Killed after the alias had moved."""
    write_json(lake.champion(DATASET), CurrentMap(serving=current(lake).before[-1]).model_dump(mode="json"))


def says_another_map(lake: Lake) -> None:
    """Killed in a refresh, after the tag."""
    add_reference(lake)
    refreshed = build_map(lake, DATASET, current(lake).serving.run).version
    open_registry(lake).client.set_model_version_tag(NAME, "2", MAP, refreshed)


def says_the_map_of_another_run(lake: Lake) -> None:
    open_registry(lake).client.set_model_version_tag(NAME, "2", MAP, current(lake).before[-1].map)


def has_no_tag(lake: Lake) -> None:
    open_registry(lake).client.delete_model_version_tag(NAME, "2", MAP)


def is_marked_as_rolled_back(lake: Lake) -> None:
    """Killed in a rollback, before the alias."""
    open_registry(lake).client.set_model_version_tag(NAME, "2", ROLLED_BACK, "true")


def lacks_previous(lake: Lake) -> None:
    open_registry(lake).client.delete_registered_model_alias(NAME, PREVIOUS)


def is_challenger_too(lake: Lake) -> None:
    open_registry(lake).client.set_registered_model_alias(NAME, CHALLENGER, "2")


def alias_moved_alone(lake: Lake) -> None:
    open_registry(lake).client.set_registered_model_alias(NAME, CHAMPION, "1")


def remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder)


BREAKS: list[tuple[Callable[[Lake], object], str]] = [
    (points_to_the_one_before, "current.json says that version 1"),
    (says_another_map, "current.json says that the map"),
    (says_the_map_of_another_run, "holds the adapter of town-paper-000000000000"),
    (has_no_tag, "has no map"),
    (is_marked_as_rolled_back, "marked as rolled back"),
    (lacks_previous, "'previous' is missing"),
    (is_challenger_too, "still called challenger"),
    (alias_moved_alone, "the champion is version 1"),
    (lambda lake: lake.champion(DATASET).unlink(), "current.json is missing"),
    (lambda lake: lake.champion(DATASET).write_text("{ half"), "current.json is damaged"),
    (lambda lake: shutil.rmtree(bundle(lake)), "is missing"),
    (lambda lake: (bundle(lake) / "references.parquet").write_bytes(b"half"), "references.parquet is damaged"),
    (lambda lake: (bundle(lake) / "manifest.json").unlink(), "is damaged"),
    # The adapter is gone as well: the registry's copy brings it back.
    (lambda lake: remove(lake.adapter(current(lake).serving.run), bundle(lake)), "is missing"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("broken", "expected_reason"), BREAKS, ids=[str(index) for index in range(len(BREAKS))])
def test_what_disagrees_is_told_without_a_change_and_mended(
    served: Lake, broken: Callable[[Lake], object], expected_reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert look(DATASET, served) == []
    broken(served)
    before = everything(served)
    disagreements = look(DATASET, served)
    assert any(expected_reason in entry for entry in disagreements), disagreements
    check = doctor(served)
    assert (check.verdict, expected_reason in check.detail, check.fix) == (
        Verdict.BAD,
        True,
        f"cvgl maps --dataset {DATASET} --repair",
    )
    assert everything(served) == before
    with caplog.at_level(logging.WARNING, logger="cvgl.registry"):
        assert mend(DATASET, served) == disagreements
    assert all(any(entry in record.getMessage() for record in caplog.records) for entry in disagreements)
    assert look(DATASET, served) == []
    assert doctor(served).verdict is Verdict.GOOD
    registry = open_registry(served).client
    champion = registry.get_model_version_by_alias(NAME, CHAMPION)
    serving: Serving = current(served).serving
    assert (serving.version, serving.run, serving.map) == (str(champion.version), champion.tags["cvgl.run"], champion.tags[MAP])
    assert open_bundle(bundle(served)).manifest.run == serving.run
    assert mend(DATASET, served) == []


def everything(lake: Lake) -> dict[str, bytes]:
    return {
        str(path.relative_to(lake.root)): path.read_bytes()
        for path in sorted(lake.root.rglob("*"))
        if path.is_file() and path.suffix not in (".lock", ".db-shm", ".db-wal")
    }


def doctor(lake: Lake) -> Check:
    return next(check for check in diagnose(lake) if check.subject == f"map of {DATASET}")


@pytest.mark.slow
def test_a_pointer_without_a_champion_is_told_and_cannot_be_mended(served: Lake) -> None:
    open_registry(served).client.delete_registered_model_alias(NAME, CHAMPION)
    assert "has no champion" in doctor(served).detail
    with pytest.raises(RegistryError, match=r"cannot be mended.*has no champion"):
        mend(DATASET, served)
    assert mend_at_start(DATASET, served, RegisterConfig()) == []  # a run goes on, and registers anew
    served.mlflow_database.unlink()
    assert "has no champion" in look(DATASET, served)[0]


def test_a_new_lake_has_nothing_to_mend_and_looking_creates_nothing(lake: Lake) -> None:
    assert look(DATASET, lake) == mend(DATASET, lake) == mend_at_start(DATASET, lake, RegisterConfig()) == []
    assert not lake.root.exists()


@pytest.mark.slow
def test_a_registry_that_does_not_answer_holds_no_run_up(served: Lake, caplog: pytest.LogCaptureFixture) -> None:
    config = RegisterConfig(tracking_uri="http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING, logger="cvgl.registry"):
        assert mend_at_start(DATASET, served, config) == []
    assert "will be looked at later" in caplog.text


@pytest.mark.slow
def test_the_command_mends_and_says_what(served: Lake) -> None:
    lacks_previous(served)
    run = invoke("maps", "--dataset", DATASET, "--lake", served.root, "--repair", "--json")
    assert (run.code, "'previous' is missing" in run.json["mended"][0]) == (0, True)
    assert [row["serves"] for row in run.json["maps"]] == ["now", ""]
    completed = invoke("maps", "--dataset", DATASET, "--lake", served.root, "--repair").stdout
    assert "nothing had to be mended" in completed
