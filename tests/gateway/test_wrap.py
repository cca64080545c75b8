"""The decorator in all its forms, served from an import string by real servers of both interfaces."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

import pytest

from gateway.servers import Bind, Launch, get, start

ROOT = Path(__file__).parents[2]
FORMS = [
    "wsgi_function",
    "wsgi_told",
    "wsgi_generator",
    "asgi_function",
    "AsgiTwo",
    "bound_method",
    "bound_coroutine_method",
    "nested",
]
FACTORIES = ["create_app", "create_asgi_app"]


def answer(path: str) -> tuple[int, bytes, str]:
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(60)
    connection.sock.connect(path)
    connection.request("GET", "/x")
    response = connection.getresponse()
    result = response.status, response.read(), response.headers["content-type"].partition(";")[0]
    connection.close()
    return result


def serve(server: str, target: str, folder: Path, *arguments: str) -> tuple[int, bytes, str]:
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
    assert serve(server, form, tmp_path) == (200, b"hello /x", "text/plain")


@pytest.mark.parametrize("factory", FACTORIES)
def test_gunicorn_calls_a_factory(factory: str, tmp_path: Path) -> None:
    assert serve("gunicorn-sync", f"{factory}()", tmp_path) == (200, b"hello /x", "text/plain")


@pytest.mark.parametrize("factory", FACTORIES)
def test_uvicorn_calls_a_factory(factory: str, tmp_path: Path) -> None:
    assert serve("uvicorn", factory, tmp_path, "--factory") == (200, b"hello /x", "text/plain")


@pytest.mark.parametrize("server", ["hypercorn-asyncio", "granian-rsgi"])
@pytest.mark.parametrize("form", ["wsgi_function", "asgi_function"])
def test_servers_that_choose_an_interface_need_no_flag(form: str, server: str, tmp_path: Path) -> None:
    assert serve(server, form, tmp_path) == (200, b"hello /x", "text/plain")


def test_granian_calls_a_factory(tmp_path: Path) -> None:
    assert serve("granian-rsgi", "create_app", tmp_path, "--factory") == (200, b"hello /x", "text/plain")
