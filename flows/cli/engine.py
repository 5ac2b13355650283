"""Everything a command needs around a flow: the engine's environment, a server, and something to watch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec

from cvgl.errors import require
from cvgl.lake import Lake, require_writable
from flows.cli.console import Screen
from tasks.progress import shown_on
from tasks.servers.engine_api import check_api, engine_errors
from tasks.servers.environment import apply_environment
from tasks.servers.temporary import temporary_server

DELIVERY_SECONDS = 10.0
PURPOSE = "run flows (the library's stages also work without it)"


@contextmanager
def engine(lake: Lake, screen: Screen) -> Iterator[None]:
    """Within the block, flows can be called; progress and library logs go to `screen`.

    The server is the user's own (PREFECT_API_URL), else the one that `cvgl ui` runs for this lake, else a temporary one.

    Raises:
        MissingDependencyError: the workflow engine is not installed.
        ServerError: no server could be started.
        EngineError: the user's own server cannot be reached, or went away meanwhile.
        UnreadableError: the lake cannot be written.
    """
    require_writable(lake)
    if find_spec("prefect") is None:
        require("prefect", extra="pipeline", purpose=PURPOSE)
    apply_environment(lake)
    with ExitStack() as stack:
        stack.enter_context(screen.live())
        stack.enter_context(shown_on(screen))
        # The server takes its seconds to start while this process imports the engine and the stages.
        address = stack.enter_context(_server(lake))
        named = os.environ.get("PREFECT_API_URL")
        if named:  # nobody waits for the imports to hear that it does not answer
            check_api(named)
        import prefect
        from prefect.settings import PREFECT_API_URL, temporary_settings

        import flows.pipeline  # noqa: F401 - imported here for its time, which overlaps with the server's
        from tasks.servers.abandoned import OURS, close_abandoned, process_tag

        stack.enter_context(temporary_settings(updates={PREFECT_API_URL: address()}))
        stack.enter_context(engine_errors(address()))
        close_abandoned()
        stack.enter_context(prefect.tags(OURS, process_tag()))
        stack.callback(deliver)
        yield


def deliver() -> None:
    """Waits until the log lines and task states that are still queued have reached the server, which may end next."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=DELIVERY_SECONDS, at_exit=False)


@contextmanager
def _server(lake: Lake) -> Iterator[Callable[[], str]]:
    """Gives a function that waits for the server and returns the address of its API."""
    address = os.environ.get("PREFECT_API_URL") or _pages_server(lake)
    if address:
        yield lambda: address
        return
    with temporary_server(lake) as server:
        yield server.url


def _pages_server(lake: Lake) -> str | None:
    from tasks.servers.pages import running_server

    return running_server(lake)
