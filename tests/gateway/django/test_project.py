"""A Django project as one object under real servers: it behaves as its WSGI application does under Gunicorn."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from gateway import servers
from gateway.servers import Bind, Launch, Running, start
from tests.adapters.websocket_peer import SECONDS
from tests.middleware.live import ask

ROOT = str(Path(__file__).resolve().parents[3])
PROJECT = "tests.gateway.django.project"
HOST = ("Host", "localhost")


@contextmanager
def running(server: str, module: str, folder: Path, *, debug: bool = False) -> Iterator[Running]:
    """Run the project under a server, with a database of its own."""
    found = servers.get(server)
    if reason := found.missing():
        pytest.skip(reason)  # it names the package that is not installed
    folder.mkdir()
    with sqlite3.connect(folder / "db.sqlite3") as database:
        database.execute("CREATE TABLE note (text TEXT)")
    database.close()
    launch = Launch(
        target=f"{PROJECT}.{module}:application",
        bind=Bind(port=0),
        app_dir=ROOT,
        hooks=True,
        threads=4 if server == "gunicorn-gthread" else None,
        environment={"PROJECT_FOLDER": str(folder), "PROJECT_DEBUG": "1" if debug else "0"},
    )
    with start(found, launch) as served:
        yield served


def connect_as(host: str, server: Running, path: str) -> ClientConnection:
    """Open a WebSocket, with this name of the host in the handshake."""
    plug = socket.create_connection((server.bind.host, server.bind.port), SECONDS)
    return connect(f"ws://{host}{path}", sock=plug, open_timeout=SECONDS)


def told(server: Running) -> list[Any]:
    """Ask the project for everything that this suite compares."""
    facts: list[Any] = []
    for method, path in (
        ("GET", "/kind/"),
        ("POST", "/note/?text=a"),
        ("POST", "/note/?text=b&fail"),
        ("GET", "/count/"),
        ("GET", "/thread/"),
        ("GET", "/thread/"),
        ("GET", "/stream/"),
        ("HEAD", "/kind/"),
        ("GET", "/kind"),
        ("GET", "/none/"),
        ("GET", "/host/?a=%20b"),
        ("GET", "/signals/"),
    ):
        response = ask(server.bind, method, path, (HOST,))
        facts.append((method, path, response.status, response.body))
    refused = ask(server.bind, "GET", "/host/", (("Host", "evil.example"),))
    facts.append(("another host", refused.status))
    return facts


def test_it_behaves_as_under_gunicorn(tmp_path: Path) -> None:
    with running("gunicorn-gthread", "wsgi", tmp_path / "native") as server:
        native = told(server)
    with running("uvicorn", "served", tmp_path / "ours") as server:
        ours = told(server)
    assert ours == native
    said = {f"{method} {path}": (status, body) for method, path, status, body in ours[:-1]}
    assert said["POST /note/?text=b&fail"][0] == 500
    assert json.loads(said["GET /count/"][1]) == {"notes": 1, "atomic": True}  # the second insert was undone
    assert json.loads(said["GET /thread/"][1]) == {"before": True}
    signals = json.loads(said["GET /signals/"][1])
    assert signals["started WSGIHandler"] == 12
    assert signals["finished WSGIHandler"] >= 11  # the request of the signals has not finished


def test_the_debug_page_is_the_same(tmp_path: Path) -> None:
    pages: list[str] = []
    for server, module in (("gunicorn-gthread", "wsgi"), ("uvicorn", "served")):
        with running(server, module, tmp_path / server, debug=True) as served:
            response = ask(served.bind, "GET", "/note/?fail", (HOST, ("Accept", "text/html")))
            assert response.status == 500
            pages.append(response.body.decode())
            if module == "served":  # with DEBUG, files come from the apps, as runserver has them
                assert ask(served.bind, "GET", "/static/site.css", (HOST,)).status == 200
    titles = [re.findall(r"<title>\s*(\S+)|Exception Value.*?<pre>([^<]*)", page, re.DOTALL) for page in pages]
    assert titles[0] == titles[1]
    assert "after the insert" in pages[1]


SERVERS = ["uvicorn", "granian-rsgi", "granian-asgi", "hypercorn-asyncio", "gunicorn-asgi", "gunicorn-gthread"]


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n == "uvicorn" else [pytest.mark.slow]) for n in SERVERS])
def test_pages_asynchronous_paths_and_websockets_come_from_one_process(name: str, tmp_path: Path) -> None:
    with running(name, "served", tmp_path / "site") as server:
        assert ask(server.bind, "GET", "/kind/", (HOST,)).body == b"WSGIRequest"
        assert ask(server.bind, "GET", "/live/kind/", (HOST,)).body == b"ASGIRequest"
        assert ask(server.bind, "POST", "/note/?text=a", (HOST,)).body == b"written"
        with connect_as("localhost", server, "/ws/count/") as client:
            client.send("notes:")
            assert client.recv(SECONDS) == "notes: 1"
        with pytest.raises(InvalidStatus) as refused, connect_as("evil.example", server, "/ws/count/"):
            pytest.fail("a host outside of ALLOWED_HOSTS was accepted")
        assert refused.value.response.status_code in (400, 403)
