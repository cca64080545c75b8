"""Every deployment that `gateway generate` writes, with its real parts: TLS, proxies, sockets, servers, frameworks."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.tiers.deployed import FORGED, Deployed, client, deployed, missing, until
from tests.tiers.deployed_chain import HOST, MAX_BYTES

PROGRAMS = {"nginx": ("nginx",), "caddy": ("caddy",), "haproxy": ("haproxy",), "haproxy-nginx": ("haproxy", "nginx")}
#: The first two run in the fast suite; the others take as long, and differ less.
FAST = [("nginx", "flask:proxied_app"), ("haproxy-nginx", "fastapi:proxied_app")]
SLOW = [
    ("nginx", "django:proxied_app"),
    ("nginx", "fastapi:proxied_app"),
    ("caddy", "flask:proxied_app"),
    ("caddy", "fastapi:proxied_app"),
    ("haproxy", "flask:balanced_app"),
    ("haproxy", "fastapi:balanced_app"),
    ("haproxy-nginx", "flask:proxied_app"),
]
CASES = [*(pytest.param(case) for case in FAST), *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    kind, app = request.param
    if reason := missing(*PROGRAMS[kind]):
        pytest.skip(reason)
    with deployed(kind, app, tmp_path_factory.mktemp("deployed")) as found:
        found.kind, found.app = kind, app  # type: ignore[attr-defined]  # for the tests below
        yield found


def test_the_application_sees_the_client_and_the_scheme(running: Deployed) -> None:
    answer = running.ask("GET", "/facts")
    facts = json.loads(answer.body)
    assert (answer.status, facts["client"], facts["scheme"], facts["host"]) == (200, "127.0.0.1", "https", HOST)
    assert answer.headers["X-Request-ID"]


def test_forged_addresses_schemes_prefixes_and_ids_are_refused(running: Deployed) -> None:
    answer = running.ask("GET", "/facts", headers=FORGED)
    facts = json.loads(answer.body)
    assert (facts["client"], facts["scheme"], facts["host"], facts["mount"]) == ("127.0.0.1", "https", HOST, "")
    told = {name: value for name, value in facts.items() if name in FORGED and value}
    assert not [value for value in told.values() if "6.6.6.6" in value or "evil" in value or value == "666"], told
    assert "forged" not in facts["X-Request-ID"]
    assert "forged" not in answer.headers["X-Request-ID"]


def test_an_unknown_host_gets_nothing(running: Deployed) -> None:
    try:
        answer = running.ask("GET", "/facts", host="evil.example")
    except (http.client.HTTPException, ConnectionError):
        return  # NGINX closes the connection: 444
    # Caddy answers with nothing of the application.
    assert answer.status in (421, 400) or answer.body == b""


def test_an_event_arrives_at_once_through_tls(running: Deployed) -> None:
    with running.connection() as connection:
        connection.request("GET", "/events/release")
        response = connection.getresponse()
        first = response.read(len(b"data: first\n\n"))
        (running.folder / "release").touch()
        assert (first, response.read()) == (b"data: first\n\n", b"data: second\n\n")
    (running.folder / "release").unlink()


def test_a_body_at_the_limit_is_taken_and_one_above_it_is_a_413(running: Deployed) -> None:
    at_limit = running.ask("POST", "/upload", b"x" * (MAX_BYTES - 1000))
    above = running.ask("POST", "/upload", b"x" * (MAX_BYTES + 1))
    assert (at_limit.status, at_limit.body) == (200, str(MAX_BYTES - 1000).encode())
    assert above.status == 413


def test_metrics_and_checks_are_not_for_clients(running: Deployed) -> None:
    assert running.ask("GET", "/metrics").status == 404
    assert running.ask("GET", "/").status == 404  # the application's own


def test_a_request_in_flight_survives_a_restart_and_new_ones_wait(running: Deployed) -> None:
    if running.start_server is None:  # the nodes behind HAProxy are rolled in test_rolling.py
        return
    found: dict[str, int] = {}

    def send(name: str, seconds: float) -> None:
        found[name] = running.ask("POST", f"/slow?seconds={seconds}", name.encode()).status

    before = threading.Thread(target=send, args=("before", 0.7))
    before.start()
    until(lambda: "begun before" in running.notes())
    restarting = threading.Thread(target=running.restart)
    restarting.start()
    during = threading.Thread(target=send, args=("during", 0.0))
    during.start()
    for thread in (before, restarting, during):
        thread.join(30)
    assert found == {"before": 200, "during": 200}
    assert sorted(line for line in running.notes() if line.startswith("done")) == ["done before", "done during"]
    (running.folder / "notes").unlink()


def test_a_websocket_passes(running: Deployed) -> None:
    if "fastapi" not in running.app:  # type: ignore[attr-defined]  # set by the fixture
        return
    plain = socket.create_connection(("127.0.0.1", running.port), 20)
    with connect(f"wss://{HOST}/ws", sock=plain, ssl=client(running.folder), proxy=None) as websocket:
        websocket.send("hello")
        assert websocket.recv() == "wss hello"


@pytest.mark.parametrize("app", ["fastapi:proxied_app"])
def test_a_lifespan_starts_and_ends_with_the_worker(app: str, tmp_path: Path) -> None:
    if reason := missing("nginx"):
        pytest.skip(reason)
    with deployed("nginx", app, tmp_path) as running:
        with running.connection() as kept:  # NGINX keeps a connection to the worker
            kept.request("GET", "/facts")
            kept.getresponse().read()
            status = running.servers[0].stop()
    assert status == 0
    assert sorted(running.notes()) == ["started", "stopped"]


@pytest.mark.parametrize("app", ["flask:proxied_app"])
def test_gunicorn_alone_serves_from_its_generated_file(app: str, tmp_path: Path) -> None:
    with deployed("gunicorn", app, tmp_path) as running:
        answer = running.ask("POST", "/upload", b"x" * 5)
        assert (answer.status, answer.body) == (200, b"5")
        assert running.ask("POST", "/upload", b"x" * (MAX_BYTES + 1)).status == 413
        assert running.servers[0].stop() == 0
