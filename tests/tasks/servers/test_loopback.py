"""The guard in front of Prefect's server, and the server's own settings: pages of other sites get nothing from it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from tasks.servers.environment import server_environment
from tasks.servers.loopback import Guard

PORT = 4200
OWN = f"http://127.0.0.1:{PORT}"


async def _reached(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"reached"})


def _status(method: str, headers: dict[str, str], origins: tuple[str, ...] = (OWN,)) -> int:
    async def ask() -> int:
        transport = httpx.ASGITransport(app=Guard(_reached, origins))
        async with httpx.AsyncClient(transport=transport, base_url=OWN) as client:
            return (await client.request(method, "/api/flows", headers=headers)).status_code

    return asyncio.run(ask())


@pytest.mark.parametrize("host", ["127.0.0.1:4200", "localhost:4200", "[::1]:4200", "LOCALHOST:9999", "127.0.0.1"])
def test_this_machines_own_names_are_answered(host: str) -> None:
    assert _status("GET", {"host": host}) == 200
    assert _status("POST", {"host": host}) == 200


@pytest.mark.parametrize(
    "host", ["evil.example:4200", "127.0.0.1.evil.example", "localhost.evil.example:4200", "[::1", "10.0.0.1", ""]
)
def test_a_name_that_was_pointed_here_is_refused(host: str) -> None:
    assert _status("GET", {"host": host}) == 403
    assert _status("POST", {"host": host, "origin": f"http://{host}"}) == 403


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:3000", "http://127.0.0.1.evil.example:4200", ""]
)
def test_another_sites_page_changes_nothing(origin: str) -> None:
    headers = {"host": f"127.0.0.1:{PORT}", "origin": origin}
    assert [_status(method, headers) for method in ("POST", "PUT", "PATCH", "DELETE")] == [403] * 4
    assert _status("GET", headers) == 200  # which that page cannot read


@pytest.mark.parametrize("origin", [OWN, "http://localhost:4200"])
def test_the_servers_own_page_is_let_through(origin: str) -> None:
    host = origin.removeprefix("http://")
    assert _status("POST", {"host": host, "origin": origin}) == 200
    assert _status("POST", {"host": "localhost:4200", "origin": OWN}) == 200  # its API under its other name


def test_origins_that_a_person_names_are_let_through_with_their_hosts() -> None:
    named = (OWN, "https://maps.example")
    assert _status("POST", {"host": "maps.example", "origin": "https://maps.example"}, named) == 200
    assert _status("POST", {"host": "evil.example", "origin": "https://evil.example"}, ("*",)) == 200


def test_a_web_socket_of_another_site_is_closed_before_it_opens() -> None:
    def sent(origin: str) -> list[Any]:
        messages: list[Any] = []
        headers = [(b"host", b"127.0.0.1:4200"), (b"origin", origin.encode())]

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            messages.append(message)

        async def accept(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.accept"})

        guard = Guard(accept, (OWN,))
        asyncio.run(guard({"type": "websocket", "path": "/api/events/in", "headers": headers}, receive, send))
        return [message["type"] for message in messages]

    assert sent("https://evil.example") == ["websocket.close"]
    assert sent(OWN) == ["websocket.accept"]


def test_the_servers_settings_allow_its_own_page_only_and_a_persons_choice_stays() -> None:
    wanted = server_environment(PORT, {})
    assert wanted["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == f"{OWN},http://localhost:4200"
    assert wanted["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] == "true"
    options_given = {
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": "https://maps.example",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "false",
    }
    assert server_environment(PORT, options_given) == {}


def test_another_site_gets_nothing_from_a_server_of_ours(prefect_api: str) -> None:
    evil = {"origin": "https://evil.example"}
    wanted = f"{prefect_api}/flow_runs/filter"
    preflight = {**evil, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    answered = httpx.options(wanted, headers=preflight)
    assert (answered.status_code, answered.headers.get("access-control-allow-origin")) == (400, None)
    assert httpx.get(f"{prefect_api}/admin/version", headers=evil).headers.get("access-control-allow-origin") is None
    token = httpx.get(f"{prefect_api}/csrf-token?client=page", headers=evil)
    assert token.headers.get("access-control-allow-origin") is None
    own = {"prefect-csrf-token": token.json()["token"], "prefect-csrf-client": "page"}
    assert httpx.post(wanted, json={}).status_code == 403  # no token, as from a form on any page
    assert httpx.post(wanted, json={}, headers={**own, **evil}).status_code == 403
    assert httpx.post(wanted, json={}, headers=own).status_code == 200
    assert httpx.get(f"{prefect_api}/admin/version", headers={"host": "evil.example"}).status_code == 403


@pytest.mark.parametrize("path", ["/events/in", "/events/out", "/logs/out"])
def test_web_sockets_of_another_site_are_refused_by_a_server_of_ours(prefect_api: str, path: str) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect
    from websockets.typing import Origin, Subprotocol

    address = prefect_api.replace("http://", "ws://") + path
    with pytest.raises(InvalidStatus) as refused:
        connect(address, origin=Origin("https://evil.example"), subprotocols=[Subprotocol("prefect")])
    assert refused.value.response.status_code == 403
    with connect(address, subprotocols=[Subprotocol("prefect")]) as socket:
        socket.send(json.dumps({"type": "auth", "token": None}))


def test_flows_tasks_events_and_artifacts_reach_a_server_of_ours(prefect_api: str) -> None:
    from prefect import flow, task
    from prefect.artifacts import create_markdown_artifact
    from prefect.client.orchestration import get_client

    @task
    def shows() -> Any:
        return create_markdown_artifact("# here", key="guarded")

    @flow
    def guarded() -> Any:
        return shows()

    created = guarded()
    with get_client(sync_client=True) as client:
        assert client.request("GET", f"/artifacts/{created}").json()["data"] == "# here"  # type: ignore[arg-type] # a path
