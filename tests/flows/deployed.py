"""Deployments of watched sources, a worker, and a phone that hears of them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import yaml

from cvgl.lake import Lake
from tests.flows.cli.commands import COMMAND
from tests.flows.servers import ROOT, Server

# What docs/operations/operations.md says to edit in the deployment, so that the test is done in minutes.
SETTINGS = {
    "watch": {"quiet_seconds": 2.0},
    "align": {"enabled": False},
    "extract": {"backbone": {"name": "gist", "image_size": 64}},
    "adapt": {"recipe": "paper-standardised", "dimension": 32, "iterations": 5, "query_samples": 8},
    # So small a town is placed by chance; what is tried here is how versions come to serve.
    "registry": {"tolerance": 1.0, "metres": False, "above_chance": False},
}
SECONDS_BETWEEN_LOOKS = 10


def deployments(folder: Path) -> Path:
    """deployments/arrival.yaml with these settings, and looks that come sooner."""
    content = yaml.safe_load((ROOT / "deployments" / "arrival.yaml").read_text())
    content["pull"][0]["prefect.deployments.steps.set_working_directory"]["directory"] = str(ROOT)
    for deployment in content["deployments"]:
        deployment["parameters"]["config"] = {**deployment["parameters"]["config"], **SETTINGS}
    content["deployments"][0]["schedules"][0]["interval"] = SECONDS_BETWEEN_LOOKS
    path = folder / "arrival.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@contextmanager
def worker(server: Server) -> Iterator[None]:
    process = psutil.Popen(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", "cvgl"],
        cwd=ROOT,
        env=server.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        running = [*process.children(recursive=True), process]
        for started_process in running:
            started_process.kill()
        psutil.wait_procs(running, timeout=30)


class Phone:
    """Where messages arrive: a web hook on loopback."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.messages: list[dict[str, str]] = []


@contextmanager
def ringing() -> Iterator[Phone]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            phone.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    phone = Phone(f"http://127.0.0.1:{listening.server_port}/")
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield phone
    finally:
        listening.shutdown()
        listening.server_close()


def tell_me(server: Server, phone: Phone, lake: Lake) -> None:
    """A block for the phone, and the notifications by it: what docs/operations/operations.md says, done as a person would."""
    code = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock
message = {"subject": "{{subject}}", "body": "{{body}}"}
CustomWebhookNotificationBlock(name="phone", url=sys.argv[1], json_data=message).save("phone", overwrite=True)
"""
    subprocess.run([sys.executable, "-c", code, phone.url], env=server.environment, cwd=ROOT, check=True, timeout=120)
    done = automate(server, lake, "deployments/notifications.yaml", "--block", "custom-webhook/phone")
    assert done == dict.fromkeys(("cvgl-failed", "cvgl-late", "cvgl-asks", "cvgl-promoted"), "created")


def automate(server: Server, lake: Lake, *arguments: str) -> dict[str, str]:
    """Runs `cvgl automate`; gives what it did with each automation."""
    done = subprocess.run(
        [*COMMAND, "automate", *arguments, "--lake", str(lake.root), "--json"],
        cwd=ROOT,
        env=server.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))
