"""The scripts that `gateway generate` writes for uvicorn and granian, started as a process manager starts them."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.deploy.generate import render
from tests.tiers.deployed import FORGED, Deployed, Process, free_port, until
from tests.tiers.deployed_chain import HOST, MAX_BYTES

pytestmark = pytest.mark.slow

#: Deployment, application, interface.
CASES = [("uvicorn", "fastapi", "asgi"), ("granian", "fastapi", "asgi"), ("granian", "flask", "wsgi")]


@contextmanager
def started(deployment: str, app: str, interface: str, folder: Path) -> Iterator[Deployed]:
    port = free_port()
    values: dict[str, object] = {"hosts": [HOST], "max_bytes": MAX_BYTES, "port": port, "longest_request": 10}
    values |= {"application": f"tests.tiers.deployed_{app}:distant_app", "interface": interface}
    script = folder / f"{deployment}.sh"
    script.write_text(render(deployment, values)[script.name])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    server = Process(["sh", str(script)], folder / "server.log", PATH=path, DEPLOYED_FOLDER=str(folder))
    running = Deployed(folder, port, tls=False, servers=[server])
    try:
        until(lambda: ready(running))
        yield running
    finally:
        server.stop()


def ready(running: Deployed) -> bool:
    assert running.servers[0].process.poll() is None, (running.folder / "server.log").read_text()
    if "granian" in str(running.servers[0].process.args):
        # A worker of granian that still starts misses the stop signal, and is killed in the end.
        return (running.folder / "server.log").read_text().count("Started worker") == 2
    try:
        return running.ask("GET", "/readyz").status == 200
    except OSError:
        return False


@pytest.mark.parametrize(("deployment", "app", "interface"), CASES)
def test_a_generated_script_serves_refuses_and_finishes_requests_when_it_stops(
    deployment: str, app: str, interface: str, tmp_path: Path
) -> None:
    with started(deployment, app, interface, tmp_path) as running:
        forged = json.loads(running.ask("GET", "/facts", headers=FORGED).body)
        assert (forged["client"], forged["scheme"], forged["host"]) == ("127.0.0.1", "http", HOST)
        assert running.ask("GET", "/facts", host="evil.example").status == 400
        assert running.ask("POST", "/upload", b"x" * MAX_BYTES).body == str(MAX_BYTES).encode()
        assert running.ask("POST", "/upload", b"x" * (MAX_BYTES + 1)).status == 413
        answers: list[int] = []
        sending = threading.Thread(
            target=lambda: answers.append(running.ask("POST", "/slow?seconds=1", b"in flight").status)
        )
        sending.start()
        until(lambda: "begun in flight" in running.notes())
        status = running.servers[0].stop()
        sending.join(20)
        assert (answers, status) == ([200], 0)
        assert "done in flight" in running.notes()
