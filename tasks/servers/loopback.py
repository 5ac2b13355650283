"""Prefect's server for the people of one machine: on loopback, and closed to pages of other sites.

A page in a browser can send requests to this machine, whoever wrote it, and Prefect's server would answer: it checks neither
for whom a request is meant nor where it comes from. Its own settings (`servers.environment.server_environment`) leave two
doors: any Host (a name that a foreign name server points at this machine makes its page one of ours) and web sockets, by
which events are sent and read. `Guard` closes both, as MLflow's server does for itself.

    python -m tasks.servers.loopback PORT [--parent PID]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

HOST = "127.0.0.1"
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
STOP_SECONDS = 15.0
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # what they answer, another site's page cannot read (CORS)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class Guard:
    """An ASGI application in front of another one, which lets through what is meant for it.

    Args:
        application: behind it.
        origins: of pages that may use it besides its own, such as ``http://localhost:4200``; "*" lets everything through.
    """

    def __init__(self, application: Application, origins: Collection[str] = ()) -> None:
        self._application = application
        self._origins = frozenset(origin.strip().rstrip("/") for origin in origins if origin.strip())
        self._hosts = LOOPBACK_NAMES | {name for origin in self._origins if (name := urlsplit(origin).hostname)}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        reason = self.refusal(scope)
        if reason is None:
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()  # the request to connect
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            body = json.dumps({"detail": reason}).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    def refusal(self, scope: Message) -> str | None:
        """Why a request is not answered; None where it is."""
        if scope["type"] not in ("http", "websocket") or "*" in self._origins:
            return None
        host, origin = (_header(scope, name) for name in (b"host", b"origin"))
        if _hostname(host) not in self._hosts:
            return "the Host header names another machine (DNS rebinding)"
        if origin is None or origin in self._origins or urlsplit(origin).netloc == host:
            return None
        if scope["type"] == "http" and scope["method"] in _SAFE_METHODS:
            return None
        return "the request comes from a page of another site"


def _header(scope: Message, name: bytes) -> str | None:
    values = [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]
    return values[0] if len(values) == 1 else None if not values else "\n".join(values)  # several are nobody's own


def _hostname(host: str | None) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname if host else None
    except ValueError:
        return None


def serve(port: int, parent: int | None = None) -> None:
    """Runs the server in this process until it is told to stop, or `parent` dies.

    Args:
        port: on loopback.
        parent: process that it belongs to; None: it stays by itself.
    """
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import PREFECT_SERVER_CORS_ALLOWED_ORIGINS, get_current_settings

    settings = get_current_settings().server
    application = create_app(ephemeral=parent is not None, final=True)
    uvicorn.run(
        Guard(application, PREFECT_SERVER_CORS_ALLOWED_ORIGINS.value().split(",")),
        host=HOST,
        port=port,
        log_level="error" if parent is not None else settings.logging_level.lower(),
        lifespan="on",
        timeout_keep_alive=settings.api.keepalive_timeout,
        ws_ping_interval=settings.api.websocket_ping_interval,
        ws_ping_timeout=settings.api.websocket_ping_timeout,
    )


def _end_with(parent: int) -> None:
    """Ends this process soon after `parent` has died, however it died."""
    while os.getppid() == parent:
        time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    os._exit(1)


def main(arguments: list[str]) -> None:
    """The process that a server runs in."""
    parser = argparse.ArgumentParser(prog="python -m tasks.servers.loopback")
    parser.add_argument("port", type=int)
    parser.add_argument("--parent", type=int)
    options = parser.parse_args(arguments)
    serve(options.port, options.parent)


if __name__ == "__main__":
    main(sys.argv[1:])
