"""An application's or a caller's wrong value is one sentence that names the value, in either direction."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from werkzeug.test import run_wsgi_app

from gateway import Gateway
from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from gateway.errors import ApplicationError, ServerError
from gateway.middleware import Compression
from tests.adapters.asgi_under_wsgi import make_environ
from tests.adapters.driving import Server, http_scope

HEADERS = [("Content-Type", "text/plain")]
STATUS = "needs a final status"
START = "must be an integer from 200 to 999"
PAIRS = r"must be a list of \(name, value\) pairs"
ITERABLE = "must return an iterable of bytes"

WSGI_FAULTS: list[tuple[Any, Any, Any, str]] = [
    ("100 Continue", HEADERS, [b"x"], STATUS),
    ("101 Switching Protocols", HEADERS, [b"x"], STATUS),
    ("103 Early Hints", HEADERS, [b"x"], STATUS),
    (200, HEADERS, [b"x"], "needs a status"),
    ("200 OK", None, [b"x"], PAIRS),
    ("200 OK", "x", [b"x"], PAIRS),
    ("200 OK", [("a",)], [b"x"], PAIRS),
    ("200 OK", {"a": "b"}, [b"x"], PAIRS),
    ("200 OK", HEADERS, "text", ITERABLE),
    ("200 OK", HEADERS, b"bytes", ITERABLE),
    ("200 OK", HEADERS, None, ITERABLE),
    ("200 OK", HEADERS, 5, ITERABLE),
    ("200 OK", HEADERS, ["text"], "must consist of bytes, got str: 'text'"),
    ("200 OK", HEADERS, iter(["text"]), "must consist of bytes, got str: 'text'"),
]


@pytest.mark.parametrize("inline", [False, True], ids=["worker", "inline"])
@pytest.mark.parametrize(("status", "headers", "body", "message"), WSGI_FAULTS)
def test_a_wsgi_applications_wrong_value_is_named(
    status: Any, headers: Any, body: Any, message: str, inline: bool
) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, headers)
        return iter(["text"]) if message.endswith("'text'") and not isinstance(body, list) else body

    server = Server()
    with pytest.raises(ApplicationError, match=message):
        asyncio.run(WsgiToAsgi(app, inline=inline)(http_scope(), server.receive, server.send))
    assert not server.complete


ASGI_FAULTS: list[tuple[Any, Any, Any, str]] = [
    (100, [], b"x", START),
    (199, [], b"x", START),
    ("200", [], b"x", START),
    (None, [], b"x", START),
    (200, "x", b"x", PAIRS),
    (200, [(b"a",)], b"x", PAIRS),
    (200, 5, b"x", PAIRS),
    (200, [("a", "b")], b"x", "must be byte strings, got 'a': 'b'"),
    (200, [(b"a", 5)], b"x", "must be byte strings, got b'a': 5"),
    (200, [(b"a b", b"c")], b"x", "header name must be a token"),
    (200, [(b"a\r\nb", b"c")], b"x", "header name must be a token"),
    (200, [(b"a", b"b\r\nset-cookie: c")], b"x", "must not contain control characters"),
    (200, [(b"a", b"b\x00")], b"x", "must not contain control characters"),
    (200, [], "text", "must be bytes, got str"),
    (200, [], None, "must be bytes, got NoneType"),
]


def _asgi(status: Any, headers: Any, body: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    return app


@pytest.mark.parametrize(("status", "headers", "body", "message"), ASGI_FAULTS)
def test_an_asgi_applications_wrong_value_is_named(status: Any, headers: Any, body: Any, message: str) -> None:
    started: list[Any] = []
    with pytest.raises(ApplicationError, match=message):
        list(AsgiToWsgi(_asgi(status, headers, body))(make_environ(), lambda *args: started.append(args)))
    assert started == []


def test_header_values_beyond_ascii_pass_from_an_asgi_application() -> None:
    started: list[Any] = []
    headers = [(b"x-name", "é\xa0".encode("latin-1")), (b"x-tab", b"a\tb"), (bytearray(b"x-raw"), memoryview(b"1"))]
    list(AsgiToWsgi(_asgi(200, headers, b"x"))(make_environ(), lambda *args: started.append(args)))
    assert started == [("200 OK", [("x-name", "é\xa0"), ("x-tab", "a\tb"), ("x-raw", "1")])]


@pytest.mark.parametrize("environ", [{}, {"PATH_INFO": "/"}])
def test_an_environ_without_a_method_is_the_servers_fault(environ: dict[str, Any]) -> None:
    with pytest.raises(ServerError, match="an environ must have REQUEST_METHOD"):
        run_wsgi_app(AsgiToWsgi(_asgi(200, [], b"x")), environ)


@pytest.mark.parametrize("scope", [{"type": "http"}, {"type": "http", "method": "GET"}, {"type": "http", "path": "/"}])
def test_a_scope_without_a_method_or_path_is_the_servers_fault(scope: dict[str, Any]) -> None:
    server = Server()
    with pytest.raises(ServerError, match="must have method and path"):
        asyncio.run(WsgiToAsgi(lambda environ, start_response: [])(scope, server.receive, server.send))
    assert server.sent == []


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_text_that_a_transform_receives_is_the_applications_fault(interface: str) -> None:
    def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[Any]:
        start_response("200 OK", HEADERS)
        return ["text" * 1000]

    headers = [(b"accept-encoding", b"gzip")]
    app = _asgi(200, [(b"content-type", b"text/plain")], "text" * 1000) if interface == "asgi" else wsgi
    server = Server()
    gateway = Gateway(app, middleware=[Compression()])
    with pytest.raises(ApplicationError, match="must consist of bytes, got str"):
        asyncio.run(gateway.asgi(http_scope(headers=headers), server.receive, server.send))
