"""A query has an end: rows, time, memory; and it reaches nothing outside the lake."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from cvgl.catalog import connect, run_query, to_table
from cvgl.errors import ConfigError, DataError
from cvgl.lake import Lake
from tests.flows.cli.commands import invoke

_ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"


@pytest.mark.parametrize(
    "sql",
    [_ENDLESS, "SELECT a.range FROM range(10000000) a, range(10000000) b", "SELECT sum(a.range) FROM range(1e15::BIGINT) a"],
)
def test_a_query_without_an_end_is_stopped(lake: Lake, sql: str) -> None:
    begun = time.monotonic()
    with pytest.raises(DataError, match="longer than") as raised:
        run_query(lake, sql, timeout_s=0.3)
    assert "--timeout" in raised.value.fix
    assert time.monotonic() - begun < 20


def test_a_quick_query_is_not_stopped(lake: Lake) -> None:
    assert run_query(lake, "SELECT 1", timeout_s=60).rows == [(1,)]
    with pytest.raises(ConfigError):
        run_query(lake, "SELECT 1", timeout_s=0)


@pytest.mark.parametrize(("limit", "more"), [(3, 7), (0, 10), (10, None), (None, None)])
def test_rows_past_the_limit_are_counted(lake: Lake, limit: int | None, more: int | None) -> None:
    answer = run_query(lake, "FROM range(10)", limit, count_more=True)
    assert (len(answer.rows), answer.more) == (10 if limit is None else limit, more)
    if more is not None:
        assert f"and {more} more" in str(to_table(answer).caption)


def test_the_command_shows_a_hundred_rows_and_gives_programs_more(tmp_path: Path) -> None:
    common_options = ("--lake", tmp_path / "lake")
    completed = invoke("query", "FROM range(250)", *common_options).stdout
    assert "and 150 more" in completed
    whole = invoke("query", "FROM range(250)", *common_options, "--json").json
    assert (len(whole["rows"]), whole["truncated"]) == (250, False)
    part = invoke("query", "FROM range(250)", "--limit", "7", *common_options, "--json").json
    assert (len(part["rows"]), part["truncated"]) == (7, True)
    stopped = invoke("query", _ENDLESS, "--timeout", "0.3", *common_options, "--json")
    assert (stopped.code, stopped.json["error"]["kind"]) == (1, "DataError")


def test_csv_that_is_cut_says_so(tmp_path: Path) -> None:
    done = invoke("query", "FROM range(5)", "--limit", "2", "--format", "csv", "--lake", tmp_path / "lake")
    assert done.stdout.split() == ["range", "0", "1"]
    assert "only the first 2 rows" in done.stderr


@pytest.mark.parametrize(
    "setting",
    ["enable_external_access", "autoload_known_extensions", "autoinstall_known_extensions", "python_enable_replacements"],
)
def test_doors_are_closed(lake: Lake, setting: str) -> None:
    value = connect(lake).execute(f"SELECT current_setting('{setting}')").fetchone()
    assert value is not None
    assert json.loads(str(value[0]).lower()) is False


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_parquet('/etc/hosts')",
        "FROM read_text('/etc/hosts')",
        "FROM '/etc/hosts'",
        "FROM glob('/*')",
        "SELECT * FROM read_csv('https://example.org/a.csv')",
        "SET enable_external_access = true",
        "LOAD httpfs",
        "ATTACH '/tmp/x.db'",
    ],
)
def test_nothing_outside_the_lake_is_read(lake: Lake, sql: str) -> None:
    with pytest.raises(DataError):
        run_query(lake, sql)
