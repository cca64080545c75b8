"""WSGI served as ASGI is indistinguishable from WSGI itself, for any chunking of both bodies; WebTest agrees."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import webtest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from gateway.translate.scope_environ import scope_to_environ
from tests.adapters.driving import Server, http_scope, serve

Environ = dict[str, Any]

CHUNKS = st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"x" * 70_000, b"\n" * 9])), max_size=6)
READS = st.lists(
    st.tuples(st.sampled_from(["read", "readline", "readlines"]), st.one_of(st.none(), st.integers(0, 100_000))),
    max_size=5,
)
SHAPES = st.sampled_from(["list", "iterator", "generator", "closing", "write"])
OPTIONS = st.fixed_dictionaries(
    {
        "coalesce": st.booleans(),
        "prefetch_bytes": st.sampled_from([0, 10, 65536]),
        "buffer_bytes": st.sampled_from([1, 1000, 262144]),
    }
)


class Closing:
    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks = chunks
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)

    def close(self) -> None:
        self.closed += 1


def application(shape: str, chunks: list[bytes], reads: list[Any], seen: list[Any], declared: bool) -> Any:
    """Return an application that reads as told, then answers in one of the shapes that WSGI knows."""

    def app(environ: Environ, start_response: Any) -> Any:
        for method, argument in reads:
            seen.append(getattr(environ["wsgi.input"], method)(*([] if argument is None else [argument])))
        headers = [("Content-Type", "a/b"), ("Set-Cookie", "a"), ("Set-Cookie", "b")]
        if declared:
            headers.append(("Content-Length", str(sum(map(len, chunks)))))
        write = start_response("207 Odd", headers)
        if shape == "list":
            return chunks
        if shape == "iterator":
            return iter(chunks)
        if shape == "generator":
            return (chunk for chunk in chunks)
        if shape == "write":
            for chunk in chunks[:2]:
                write(chunk)
            return chunks[2:]
        closing = Closing(chunks)
        seen.append(closing)
        return closing

    return app


def natively(app: Any, body: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
    """Call a WSGI application as the smallest WSGI server would."""
    head: list[Any] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        head[:] = [status, headers]
        return written.append

    environ = scope_to_environ(http_scope(method="POST"))
    environ["wsgi.input"] = io.BytesIO(body)
    environ["wsgi.errors"] = sys.stderr
    result = app(environ, start_response)
    content = b"".join(result)
    if hasattr(result, "close"):
        result.close()
    return head[0], head[1], b"".join(written) + content


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    request_chunks=CHUNKS,
    response_chunks=CHUNKS,
    reads=READS,
    shape=SHAPES,
    options=OPTIONS,
    announced=st.sampled_from(["length", "chunked", "http2"]),
    declared=st.booleans(),
)
def test_any_chunking_of_both_bodies_is_indistinguishable_from_native(
    request_chunks: list[bytes],
    response_chunks: list[bytes],
    reads: list[Any],
    shape: str,
    options: dict[str, Any],
    announced: str,
    declared: bool,
) -> None:
    body = b"".join(request_chunks)
    native_seen: list[Any] = []
    status, headers, content = natively(application(shape, response_chunks, reads, native_seen, declared), body)
    scope: dict[str, Any] = {"method": "POST", "headers": []}
    if announced == "length":
        scope["headers"] = [(b"content-length", b"%d" % len(body))]
    elif announced == "chunked":
        scope["headers"] = [(b"transfer-encoding", b"chunked")]
    else:
        scope["http_version"] = "2"
    seen: list[Any] = []
    adapter = WsgiToAsgi(application(shape, response_chunks, reads, seen, declared), **options)
    server = serve(adapter, lambda: Server(request_chunks), **scope)
    assert server.status == int(status[:3])
    assert server.headers == [(name.lower().encode(), value.encode()) for name, value in headers]
    assert server.content == content
    assert server.complete
    if not options["coalesce"]:
        assert [chunk for chunk in server.chunks if chunk] == [chunk for chunk in response_chunks if chunk]
    closings = [thing for thing in seen if isinstance(thing, Closing)]
    assert [closing.closed for closing in closings] == [1] * len(closings)
    reads_seen = [thing for thing in seen if not isinstance(thing, Closing)]
    assert reads_seen == [thing for thing in native_seen if not isinstance(thing, Closing)]


# ------------------------------------------------------------------------------------------------------- webtest


def site(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """A small site: forms, cookies, a download, an upload, an empty answer, an error page."""
    path = environ["PATH_INFO"]
    if path == "/form":
        if environ["REQUEST_METHOD"] == "POST":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            start_response("303 See Other", [("Location", "/done"), ("Set-Cookie", "last=" + body.decode()[:10])])
            return []
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [b'<form method="post" action="/form"><input name="q" value="v"><input type="submit"></form>']
    if path == "/done":
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return iter([environ.get("HTTP_COOKIE", "none").encode()])
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return (b"%d\n" % number for number in range(1000))
    if path == "/empty":
        start_response("204 No Content", [])
        return []
    if path == "/echo":
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))])
        return [body]
    start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
    return [environ["SCRIPT_NAME"].encode("latin-1") + path.encode("latin-1")]


@pytest.fixture(params=["native", "roundtrip", "roundtrip-uncoalesced"])
def client(request: pytest.FixtureRequest) -> Iterator[webtest.TestApp]:
    if request.param == "native":
        yield webtest.TestApp(site, lint=True)
        return
    crossed = AsgiToWsgi(WsgiToAsgi(site, coalesce=request.param == "roundtrip"))
    try:
        yield webtest.TestApp(crossed, lint=True)
    finally:
        crossed.close()


def test_webtest_sees_the_same_site_through_both_adapters(client: webtest.TestApp) -> None:
    form = client.get("/form").form
    form["q"] = "é"
    done = form.submit().follow()
    assert done.text.startswith("last=q=")
    assert client.get("/stream").body == b"".join(b"%d\n" % number for number in range(1000))
    assert client.get("/empty", status=204).body == b""
    assert client.head("/stream").status_int == 200
    body = bytes(range(256)) * 2000
    assert client.post("/echo", body, content_type="application/octet-stream").body == body
    missing = client.get("/caf%C3%A9/%2F", extra_environ={"SCRIPT_NAME": "/app"}, status=404)
    assert missing.text == "/app/café//"


def test_webtest_environ_keys_survive_the_round_trip() -> None:
    seen: list[Environ] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    crossed = AsgiToWsgi(WsgiToAsgi(app))
    marker = object()
    try:
        webtest.TestApp(crossed).get("/", extra_environ={"framework.key": marker, "REMOTE_USER": "ann"})
    finally:
        crossed.close()
    assert seen[0]["framework.key"] is marker
    assert seen[0]["REMOTE_USER"] == "ann"
    assert seen[0]["paste.testing"] is True
