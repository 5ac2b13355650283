from __future__ import annotations

import os
import stat
from pathlib import Path

from cvgl.lake import Lake
from tasks.servers.environment import apply_environment, engine_environment


def test_the_engine_keeps_its_state_under_the_lake_and_reports_to_nobody(lake: Lake) -> None:
    environment = engine_environment(lake, {})
    assert environment["PREFECT_HOME"] == str(lake.prefect_home)
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["PREFECT_LOGGING_EXTRA_LOGGERS"] == "cvgl"


def test_what_the_user_has_set_stays(lake: Lake) -> None:
    options_given = {"PREFECT_HOME": "/mine", "PREFECT_API_URL": "http://127.0.0.1:1/api"}
    apply_environment(lake, options_given)
    assert options_given["PREFECT_HOME"] == "/mine"
    assert options_given["PREFECT_API_URL"] == "http://127.0.0.1:1/api"


def test_only_our_own_terminal_silences_the_engines_console(lake: Lake) -> None:
    name = "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"
    assert name in engine_environment(lake, {})
    assert name not in engine_environment(lake, {}, terminal=False)


def test_a_proxy_is_not_asked_for_loopback(lake: Lake) -> None:
    assert "NO_PROXY" not in engine_environment(lake, {})
    environment = engine_environment(lake, {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "intranet"})
    assert environment["NO_PROXY"].split(",") == ["intranet", "127.0.0.1", "localhost"]
    assert environment["no_proxy"] == environment["NO_PROXY"]


def test_databases_are_their_owners_only_also_those_that_are_there_already(lake: Lake) -> None:
    paths = [lake.prefect_home / name for name in ("prefect.db", "prefect.db-wal")] + [lake.mlflow_database]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.chmod(0o644)
    apply_environment(lake, {})
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}


def test_the_database_of_a_server_of_ours_is_its_owners_only(prefect_api: str) -> None:
    home = Path(os.environ["PREFECT_HOME"])
    assert stat.S_IMODE((home / "prefect.db").stat().st_mode) == 0o600


def test_the_registrys_database_is_its_owners_only(lake: Lake) -> None:
    from tasks.registry.store import open_registry

    open_registry(lake)
    assert stat.S_IMODE(lake.mlflow_database.stat().st_mode) == 0o600
