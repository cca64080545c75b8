"""The decorator in all its forms, served from an import string by real servers of both interfaces.

The standard library's client, because the servers listen on a unix socket, which gives each test a place of its own.
"""

from __future__ import annotations

import http.client
import socket
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.servers import Bind, Launch, get, start

ROOT = Path(__file__).parents[2]
FORMS = [
    "wsgi_function",
    "wsgi_generator",
    "asgi_function",
    "AsgiTwo",
    "bound_method",
    # The same again with a detail changed; together with the others they take too long for every run.
    pytest.param("wsgi_told", marks=pytest.mark.slow),
    pytest.param("bound_coroutine_method", marks=pytest.mark.slow),
    pytest.param("nested", marks=pytest.mark.slow),
]
FACTORIES = ["create_app", "create_asgi_app"]


class Answer(NamedTuple):
    status: int
    body: bytes
    content_type: str
    stamps: list[str]


HELLO = Answer(200, b"hello /x", "text/plain", [])


def answer(path: str) -> Answer:
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(60)
    connection.sock.connect(path)
    connection.request("GET", "/x")
    response = connection.getresponse()
    body = response.read()
    connection.close()
    stamps = [name for name in ("x-stamp", "x-again") if response.headers[name] == "stamped"]
    return Answer(response.status, body, response.headers["content-type"].partition(";")[0], stamps)


def serve(server: str, target: str, folder: Path, *arguments: str) -> Answer:
    path = str(folder / "s")
    launch = Launch(
        target=f"tests.gateway.decorated_app:{target}", bind=Bind(path=path), app_dir=str(ROOT), arguments=arguments
    )
    with start(get(server), launch) as running:
        result = answer(path)
        assert "Traceback" not in running.output()
    return result


@pytest.mark.parametrize("server", ["gunicorn-sync", "uvicorn"])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_served_from_an_import_string(form: str, server: str, tmp_path: Path) -> None:
    assert serve(server, form, tmp_path) == HELLO


@pytest.mark.parametrize("server", ["gunicorn-sync", "uvicorn"])
@pytest.mark.parametrize(("form", "expected"), [("wsgi_stamped", 1), ("asgi_stamped", 2)])
def test_its_middleware_runs_under_either_server(form: str, expected: int, server: str, tmp_path: Path) -> None:
    assert serve(server, form, tmp_path) == HELLO._replace(stamps=["x-stamp", "x-again"][:expected])


@pytest.mark.parametrize("factory", FACTORIES)
def test_gunicorn_calls_a_factory(factory: str, tmp_path: Path) -> None:
    assert serve("gunicorn-sync", f"{factory}()", tmp_path) == HELLO


@pytest.mark.parametrize("factory", FACTORIES)
def test_uvicorn_calls_a_factory(factory: str, tmp_path: Path) -> None:
    assert serve("uvicorn", factory, tmp_path, "--factory") == HELLO


@pytest.mark.parametrize("server", ["hypercorn-asyncio", "granian-rsgi"])
@pytest.mark.parametrize("form", ["wsgi_function", "asgi_function"])
def test_servers_that_choose_an_interface_need_no_flag(form: str, server: str, tmp_path: Path) -> None:
    assert serve(server, form, tmp_path) == HELLO


def test_granian_calls_a_factory(tmp_path: Path) -> None:
    assert serve("granian-rsgi", "create_app", tmp_path, "--factory") == HELLO
