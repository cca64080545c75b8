"""Synchronous code asks whether its client is gone, on real servers: before the client leaves, and after."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import servers
from gateway.servers import Bind, Launch, Running, start
from tests.gateway.servers.suite import DETAILED

ROOT = str(Path(__file__).resolve().parents[3])
SECONDS = 30.0
LEAVES, UNKNOWN = [False, True], [None, None]
#: What an application is told before and after. Servers that tell nothing do not give their connection away.
APPLICATION = {
    "uvicorn": LEAVES,
    "hypercorn-asyncio": LEAVES,
    "hypercorn-trio": LEAVES,
    "gunicorn-asgi": LEAVES,
    "daphne": LEAVES,
    "granian-asgi": LEAVES,
    "granian-rsgi": LEAVES,
    "gunicorn-sync": LEAVES,
    "gunicorn-gthread": LEAVES,
    "gunicorn-gevent": LEAVES,
    "werkzeug": LEAVES,
    "waitress": LEAVES,
    "pyuwsgi": LEAVES,
    "cheroot": UNKNOWN,
    "gevent": UNKNOWN,
    "wsgiref": UNKNOWN,
    "granian-wsgi": UNKNOWN,
}
FAST = ("uvicorn", "gunicorn-gthread", "waitress")


def each(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in names]


@pytest.fixture(scope="module", params=each(APPLICATION))
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    launch = Launch(target="tests.gateway.client.site:chained", bind=Bind(port=0), app_dir=ROOT)
    with start(servers.get(request.param), launch, ready="/ready") as running:
        yield running


def until(holds: Callable[[], object], running: Running) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, running.output()
        time.sleep(0.01)


def leave(running: Running, request: str, said: Path) -> list[bool | None]:
    """Send a request, leave while the application asks, and return its first and its last answer."""
    with running.bind.connect(SECONDS) as connection:
        connection.sendall(request.replace("{}", f"?said={said}").encode())
        until(said.with_suffix(".waits").exists, running)
    until(said.exists, running)
    answers: list[bool | None] = json.loads(said.read_text())
    return answers


GET = "GET /{name}{} HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = "POST /{name}{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize("request_text", [GET, POST], ids=["GET", "POST"])
def test_an_application_learns_that_its_client_is_gone(running: Running, request_text: str, tmp_path: Path) -> None:
    answers = leave(running, request_text.replace("{name}", "app"), tmp_path / "said")
    assert answers == APPLICATION[running.server.name], running.output()


def test_a_middleware_learns_that_its_client_is_gone(running: Running, tmp_path: Path) -> None:
    if running.server.interface == "wsgi":
        answers = leave(running, GET.replace("{name}", "middleware"), tmp_path / "said")
    else:  # an adapter would end the stream of a WSGI application at once
        launch = Launch(target="tests.gateway.client.site_asgi:chained", bind=Bind(port=0), app_dir=ROOT)
        with start(running.server, launch, ready="/ready") as native:
            answers = leave(native, GET.replace("{name}", "middleware"), tmp_path / "said")
    assert answers == APPLICATION[running.server.name], running.output()


@pytest.mark.parametrize("name", each(["gunicorn-sync", "gunicorn-gthread", "werkzeug", "waitress", "pyuwsgi"]))
def test_an_asgi_application_receives_the_disconnect_under_a_wsgi_server(name: str, tmp_path: Path) -> None:
    launch = Launch(target="tests.gateway.client.site_asgi:chained", bind=Bind(port=0), app_dir=ROOT)
    with start(servers.get(name), launch, ready="/ready") as running:
        assert leave(running, GET.replace("{name}", "receive"), tmp_path / "said") == LEAVES
        time.sleep(0.1)
        if name != "pyuwsgi":  # it logs every exception
            assert "Traceback" not in running.output()


def test_the_table_has_every_server() -> None:
    assert set(DETAILED) == set(APPLICATION)
