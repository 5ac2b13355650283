from __future__ import annotations

import pytest

from cvgl.types import Progress
from tasks import progress
from tasks.progress import LiveTable, ProgressArtifact, observed, shown_on


class Recorder:
    """Stands where a terminal would."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.reports: list[tuple[int, int, str]] = []

    def stage(self, title: str) -> Progress:
        self.titles.append(title)

        def report(done: int, total: int, message: str = "") -> None:
            self.reports.append((done, total, message))

        return report


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str]]:
    """What would have been sent to the server."""
    values: list[tuple[float, str]] = []
    monkeypatch.setattr(progress, "_artifact_writer", lambda key: lambda percent, text: values.append((percent, text)))
    return values


def test_the_server_is_told_at_most_every_two_seconds_and_always_of_the_end(written: list[tuple[float, str]]) -> None:
    now = 0.0
    with ProgressArtifact("key", "reading", clock=lambda: now) as artifact:
        for done in range(100):
            now = done * 0.1
            artifact(done, 100, f"{done} files")
    assert len(written) == 6  # at 0, 2, 4, 6 and 8 seconds, and the end
    assert written[0] == (0.0, "reading: 0 files")
    assert written[-1] == (100.0, "reading: done")
    assert [percent for percent, _ in written] == sorted(percent for percent, _ in written)


def test_what_fails_does_not_end_at_100_percent(written: list[tuple[float, str]]) -> None:
    def fail() -> None:
        with ProgressArtifact("key", "reading") as artifact:
            artifact(1, 4)
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        fail()
    assert written == [(25.0, "reading")]


@pytest.mark.parametrize(("done", "total", "percent"), [(0, 0, 0.0), (7, 5, 100.0), (5, 5, 100.0)])
def test_odd_totals(written: list[tuple[float, str]], done: int, total: int, percent: float) -> None:
    with ProgressArtifact("key", "reading") as artifact:
        artifact(done, total)
    assert written[0][0] == percent


def test_the_terminal_hears_every_report(written: list[tuple[float, str]]) -> None:
    recorder = Recorder()
    with shown_on(recorder), observed("key", "reading") as report:
        report(1, 3, "a")
        report(2, 3, "b")
    assert recorder.titles == ["reading"]
    assert recorder.reports == [(1, 3, "a"), (2, 3, "b"), (1, 1, "done")]
    with observed("key", "again") as report:  # outside of the block nobody listens
        report(1, 3)
    assert recorder.titles == ["reading"]
    assert written


def test_a_table_grows_while_it_is_watched_and_ends_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[list[int]] = []
    monkeypatch.setattr(
        progress, "_table_writer", lambda key, text: lambda rows: written.append([row["iteration"] for row in rows])
    )
    now = 0.0
    table = LiveTable("key", "training", clock=lambda: now)
    for iteration in range(1, 6):
        now = float(iteration)
        table.add({"iteration": iteration})
    table.end([{"iteration": iteration} for iteration in range(1, 7)])
    assert written == [[1], [1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6]]
