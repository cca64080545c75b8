"""A70: trailers of a WSGI application, where the ASGI server sends them; dropped without harm elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from tests.adapters.asgi_under_wsgi import begin, make_environ
from tests.adapters.driving import BACKENDS, serve

OFFER: dict[str, Any] = {"http.response.trailers": {}}
GIVE = "gunicorn.http2.send_trailers"
FIELDS = [("X-Sum", "1"), ("X-End", "\xe4")]
SPELLED = [(b"x-sum", b"1"), (b"x-end", b"\xe4")]


def application(shape: str, *, early: bool, announced: bool, status: str = "200 OK", length: int | None = None) -> Any:
    """Return an application that gives its trailers before the head, or at the end of its body."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        headers = [("Trailer", "x-sum, x-end")] if announced else []
        if length is not None:
            headers.append(("Content-Length", str(length)))
        if early:
            environ[GIVE](FIELDS)
        write = start_response(status, headers)
        if shape == "list":
            return [b"a", b"b"]
        if shape == "write":
            write(b"a")
            return [b"b"]
        return generator(environ)

    def generator(environ: dict[str, Any]) -> Iterator[bytes]:
        yield b"a"
        yield b"b"
        if not early:
            environ[GIVE](FIELDS)

    return app


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("shape", ["list", "write", "generator"])
@pytest.mark.parametrize("announced", [False, True])
def test_A70_trailers_given_before_the_head_follow_the_body(
    backend: str, inline: bool, shape: str, announced: bool
) -> None:
    app = WsgiToAsgi(application(shape, early=True, announced=announced), inline=inline)
    server = serve(app, backend=backend, extensions=OFFER)
    assert server.sent[0]["trailers"] is True
    assert server.content == b"ab"
    assert server.kinds[-2:] == ["body", "trailers"]
    assert server.sent[-1] == {"type": "http.response.trailers", "headers": SPELLED, "more_trailers": False}


@pytest.mark.parametrize("inline", [False, True])
def test_A70_announced_trailers_may_be_given_at_the_end_of_the_body(inline: bool) -> None:
    app = WsgiToAsgi(application("generator", early=False, announced=True), inline=inline)
    server = serve(app, extensions=OFFER)
    assert server.sent[0]["trailers"] is True
    assert server.sent[-1]["headers"] == SPELLED


def test_A70_unannounced_trailers_after_the_headers_are_dropped() -> None:
    # Inline, the head is sent before the body ends, and not at about the same time.
    app = WsgiToAsgi(application("generator", early=False, announced=False), inline=True)
    server = serve(app, extensions=OFFER)
    assert "trailers" not in server.sent[0]
    assert server.complete
    assert server.content == b"ab"


def test_A70_announced_trailers_that_never_come_are_empty() -> None:
    server = serve(WsgiToAsgi(application("list", early=False, announced=True)), extensions=OFFER)
    assert server.sent[-1] == {"type": "http.response.trailers", "headers": [], "more_trailers": False}


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Same")])
def test_A70_a_response_without_content_has_no_trailers(method: str, status: str) -> None:
    app = WsgiToAsgi(application("list", early=True, announced=True, status=status))
    server = serve(app, extensions=OFFER, method=method)
    assert "trailers" not in server.sent[0]
    assert server.complete


def test_A70_the_last_trailers_count_even_with_a_declared_length() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ[GIVE]([("X-Sum", "0")])
        environ[GIVE](iter(FIELDS))
        start_response("200 OK", [("Content-Length", "1")])
        return iter([b"a"])

    server = serve(WsgiToAsgi(app), extensions=OFFER)
    assert server.content == b"a"
    assert server.sent[-1]["headers"] == SPELLED


def test_A70_trailers_are_offered_only_if_the_server_sends_them() -> None:
    offered: list[bool] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        offered.append(GIVE in environ)
        start_response("200 OK", [("Trailer", "x-sum")])
        return [b"a"]

    server = serve(WsgiToAsgi(app))
    assert offered == [False]
    assert server.complete
    assert "trailers" not in server.sent[0]


def test_trailers_pass_both_crossings_of_a_round_trip() -> None:
    """A WSGI application behind ASGI behind a WSGI server that sends trailers."""
    given: list[Any] = []
    environ = make_environ()
    environ[GIVE] = given.append
    inner = WsgiToAsgi(application("generator", early=False, announced=True))
    with AsgiToWsgi(inner) as wsgi:
        assert b"".join(begin(wsgi, environ)) == b"ab"
        del environ[GIVE]
        assert given == [[("x-sum", "1"), ("x-end", "\xe4")]]
    with AsgiToWsgi(WsgiToAsgi(application("list", early=False, announced=True))) as wsgi:
        response = begin(wsgi, environ)
        assert b"".join(response) == b"ab"
        assert GIVE not in environ
