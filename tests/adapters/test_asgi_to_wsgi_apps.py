"""Real applications through `AsgiToWsgi`, driven by WebTest with its lint on; rows B41, B45, B49, B52; round trips."""

from __future__ import annotations

import asyncio
import io
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flask
import pytest
import webtest
from fastapi import FastAPI, Form, Request, UploadFile
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from flask import Flask, url_for
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Litestar, get, post
from litestar import Request as LitestarRequest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from gateway.errors import ConfigurationError
from gateway.testing import Client
from tests.adapters.asgi_under_wsgi import (
    MODES,
    Receive,
    Scope,
    Send,
    adapted,
    begin,
    body,
    call,
    hello,
    http_only,
    make_environ,
    start,
)

SECONDS = 20.0


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Any:
    return request.param


# real applications


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def index(name: str = "world") -> dict[str, str]:
        return {"hello": name}

    @app.get("/sync")
    def sync() -> dict[str, str]:  # runs in a thread of anyio's
        return {"thread": threading.current_thread().name}

    @app.post("/form")
    async def form(upload: UploadFile, field: str = Form()) -> dict[str, Any]:
        return {"field": field, "name": upload.filename, "size": len(await upload.read())}

    @app.get("/cookies")
    async def cookies(request: Request) -> JSONResponse:
        response = JSONResponse(request.cookies)
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(100):
                yield b"%d," % number
                if number % 10 == 0:
                    await asyncio.sleep(0)

        return StreamingResponse(parts())

    @app.get("/redirect")
    async def redirect() -> RedirectResponse:
        return RedirectResponse("/?name=redirected")

    return app


def test_a_fastapi_application_works_under_webtest(mode: Any) -> None:
    with adapted(fastapi_app(), loop=mode) as wsgi:
        client = webtest.TestApp(wsgi, lint=True)
        assert client.get("/?name=caf%C3%A9").json == {"hello": "café"}
        assert client.head("/stream", status="*").body == b""
        assert client.get("/sync").json["thread"] != threading.current_thread().name
        answer = client.post("/form", {"field": "value"}, upload_files=[("upload", "u.bin", b"x" * 300_000)])
        assert answer.json == {"field": "value", "name": "u.bin", "size": 300_000}
        client.get("/cookies")
        assert client.get("/cookies").json == {"a": "1", "b": "2"}
        assert client.get("/stream").body == b"".join(b"%d," % number for number in range(100))
        assert client.get("/redirect").follow().json == {"hello": "redirected"}
        client.get("/missing", status=404)
        client.post("/form", {}, status=422)


def test_a_starlette_application_works_under_webtest(mode: Any) -> None:
    done = threading.Event()

    async def echo(request: StarletteRequest) -> PlainTextResponse:
        size = 0
        async for part in request.stream():
            size += len(part)
        return PlainTextResponse(f"{request.method} {request.url.path} {size}")

    async def background(request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse("answer", background=BackgroundTask(done.set))

    async def broken(request: StarletteRequest) -> PlainTextResponse:
        raise ZeroDivisionError

    routes = [
        Route("/echo", echo, methods=["GET", "POST"]),
        Route("/background", background),
        Route("/broken", broken),
    ]
    with adapted(Starlette(routes=routes), loop=mode) as wsgi:
        client = webtest.TestApp(wsgi, lint=True)
        assert client.post("/echo", b"x" * 200_000).text == "POST /echo 200000"
        assert client.get("/echo").text == "GET /echo 0"
        assert client.get("/background").text == "answer"
        assert done.wait(SECONDS)
        # Starlette answers 500 itself and raises then: the answer goes out, the error is logged.
        assert client.get("/broken", status=500).text == "Internal Server Error"
        assert client.get("/echo").text == "GET /echo 0"


def test_a_litestar_application_works_under_webtest(mode: Any) -> None:
    @get("/items")
    async def items() -> dict[str, int]:
        return {"number": 7}

    @post("/items")
    async def create(request: LitestarRequest[Any, Any, Any]) -> dict[str, Any]:
        return {"got": await request.json()}

    with adapted(Litestar([items, create]), loop=mode) as wsgi:
        client = webtest.TestApp(wsgi, lint=True)
        assert client.get("/items").json == {"number": 7}
        assert client.post_json("/items", {"a": [1, 2]}).json == {"got": {"a": [1, 2]}}
        client.get("/missing", status=404)


# the remaining rows


def _starlette(name: str, *mounts: Mount) -> Starlette:
    def page(request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse(f"{name} {request.url_for('page')} {request.scope['app'].debug}")

    return Starlette(debug=name == "inner", routes=[*mounts, Route("/page", page, name="page")])


def test_a_starlette_application_in_a_wsgi_site_in_starlette_finds_its_own_routes() -> None:
    site = DispatcherMiddleware(Flask("site"), {"/inner": AsgiToWsgi(_starlette("inner"))})
    outer = _starlette("outer", Mount("/site", WsgiToAsgi(site)))
    with Client(outer) as client:
        assert client.get("/page").text == "outer http://testserver/page False"
        assert client.get("/site/inner/page").text == "inner http://testserver/site/inner/page True"


def test_a_flask_application_in_starlette_in_a_flask_site_has_a_request_of_its_own() -> None:
    inner, outer = Flask("inner"), Flask("outer")

    @inner.get("/page")
    def page() -> str:
        return f"{url_for('page', _external=True)} {flask.request.environ.get('outer.key')}"

    api = Starlette(routes=[Mount("/old", WsgiToAsgi(inner))])

    def outermost(environ: dict[str, Any], start_response: Any) -> Any:
        environ["outer.key"] = "of the outer site"
        return DispatcherMiddleware(outer, {"/api": AsgiToWsgi(api)})(environ, start_response)

    with Client(outermost) as client:
        assert client.get("/api/old/page").text == "http://testserver/api/old/page None"


def test_b41_full_duplex_is_half_duplex_and_never_a_deadlock(mode: Any) -> None:
    """The informative row: while the WSGI thread reads, it cannot emit; what was sent meanwhile follows."""
    release = threading.Event()

    class Slow(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            assert release.wait(SECONDS)
            return b"x" * size

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reading = asyncio.ensure_future(receive())
        await asyncio.sleep(0.01)
        await start(send)
        await body(send, b"while it reads,", more=True)
        release.set()
        message = await reading
        await body(send, b"%d" % len(message["body"]))

    environ = make_environ(b"", CONTENT_LENGTH="10", HTTP_EXPECT="100-continue", wsgi__input=Slow())
    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi, environ).body == b"while it reads,10"


@pytest.mark.parametrize("direction", ["up", "down"])
def test_b45_64_mib_pass_with_flat_memory(mode: Any, direction: str) -> None:
    size, piece = 64 * 2**20, 64 * 1024

    class Zeros(io.RawIOBase):
        def read(self, count: int = -1) -> bytes:
            return bytes(count)

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        got, more = 0, True
        while more:
            message = await receive()
            got += len(message["body"])
            more = message["more_body"]
        await start(send)
        if direction == "down":
            for _ in range(size // piece):
                await body(send, bytes(piece), more=True)
        await body(send, b"%d" % got)

    environ = make_environ(b"", CONTENT_LENGTH=str(size), wsgi__input=Zeros()) if direction == "up" else make_environ()
    with adapted(app, loop=mode) as wsgi:
        call(wsgi)
        tracemalloc.start()
        try:
            response = begin(wsgi, environ)
            total = sum(map(len, response))
            response.close()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert total == (len(str(size)) if direction == "up" else size + 1)
    assert peak < 2 * 2**20


@pytest.fixture(params=["asyncio", "uvloop"])
def foreign_loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    if request.param == "uvloop":
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    running = threading.Event()
    loop.call_soon(running.set)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    assert running.wait(SECONDS)
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(SECONDS)
    loop.close()


def test_b49_a_loop_of_the_users_runs_the_application_and_outlives_it(foreign_loop: asyncio.AbstractEventLoop) -> None:
    loops: set[int] = set()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0.001)
        await hello(scope, receive, send)

    with adapted(app, loop=foreign_loop) as wsgi, ThreadPoolExecutor(4) as pool:
        assert {answer.body for answer in pool.map(lambda _: call(wsgi), range(20))} == {b"Hello, world!"}
    assert loops == {id(foreign_loop)}
    assert foreign_loop.is_running()
    assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "alive"), foreign_loop).result(SECONDS) == "alive"


def test_b49_a_loop_that_does_not_run_is_refused_and_not_waited_for() -> None:
    loop = asyncio.new_event_loop()
    wsgi = AsgiToWsgi(hello, loop=loop)
    with pytest.raises(ConfigurationError, match="is not running"):
        call(wsgi)
    wsgi.close()
    loop.close()


def test_b52_without_the_option_a_handshake_is_an_http_request(mode: Any) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        seen.append(scope["type"])
        await hello(scope, receive, send)

    with adapted(app, loop=mode) as wsgi:
        call(wsgi, make_environ(HTTP_UPGRADE="websocket", HTTP_CONNECTION="Upgrade"))
    assert seen == ["http"]


# any chunking, any place of failure


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(st.binary(min_size=1, max_size=70_000), max_size=6),
    chunks=st.lists(st.tuples(st.binary(max_size=70_000), st.booleans()), max_size=8),
    fail_at=st.one_of(st.none(), st.integers(0, 9)),
    known_length=st.booleans(),
    coalesce=st.booleans(),
)
@pytest.mark.parametrize("mode", MODES)
def test_any_chunking_of_both_bodies_and_any_place_of_failure(
    mode: Any,
    pieces: list[bytes],
    chunks: list[tuple[bytes, bool]],
    fail_at: int | None,
    known_length: bool,
    coalesce: bool,
) -> None:
    received: list[bytes] = []

    class Pieces(io.RawIOBase):
        def __init__(self) -> None:
            self.left = list(pieces)

        def read(self, size: int = -1) -> bytes:
            if not self.left:
                return b""
            piece = self.left.pop(0)
            if len(piece) > size:
                self.left.insert(0, piece[size:])
            return piece[:size]

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            received.append(message["body"])
            more = message["more_body"]
        if fail_at == 0:
            raise ZeroDivisionError
        await start(send)
        for number, (chunk, pause) in enumerate(chunks, 1):
            if fail_at == number:
                raise ZeroDivisionError
            await body(send, chunk, more=True)
            if pause:
                await asyncio.sleep(0)
        await body(send, b"end")

    sent = b"".join(pieces)
    environ = make_environ(b"", wsgi__input=Pieces(), CONTENT_LENGTH=str(len(sent)) if known_length else None)
    if not known_length:
        environ.update({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True})
    fails = fail_at is not None and fail_at <= len(chunks)
    before = b"".join(chunk for chunk, _ in chunks[: (fail_at or 1) - 1]) if fails else b""
    with adapted(app, loop=mode, coalesce=coalesce) as wsgi:
        got: list[bytes] = []
        try:
            response = begin(wsgi, environ)
            try:
                got.extend(response)
            finally:
                response.close()
            assert not fails
        except ZeroDivisionError:
            assert fails
    assert b"".join(received) == sent
    assert b"".join(got) == (before if fails else b"".join(chunk for chunk, _ in chunks) + b"end")
    assert b"" not in got


@pytest.mark.parametrize("close_after", range(4))
def test_a_server_may_close_the_response_at_any_point(mode: Any, close_after: int) -> None:
    ended = threading.Event()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await start(send)
            for _ in range(10):
                await body(send, b"x" * 100_000, more=True)
                await asyncio.sleep(0)
            await body(send)
        finally:
            ended.set()

    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ())
        chunks = iter(response)
        for _ in range(close_after):
            next(chunks)
        response.close()
        assert ended.wait(SECONDS)
        assert call(wsgi).body == b"x" * 1_000_000


def test_a_start_response_that_raises_frees_the_application(mode: Any) -> None:
    told = threading.Event()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await start(send)
        await body(send, b"x", more=True)
        assert (await receive())["type"] == "http.disconnect"
        told.set()

    def refuses(*args: Any) -> Callable[[bytes], None]:
        raise AssertionError("headers the server does not take")

    with adapted(app, loop=mode) as wsgi:
        with pytest.raises(AssertionError, match="does not take"):
            wsgi(make_environ(), refuses)
        assert told.wait(SECONDS)
