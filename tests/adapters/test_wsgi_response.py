"""What the server iterates over: files, early hints, trailers, joining, and how many hand-offs it takes."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest

from gateway import servers
from gateway.adapters.asgi_to_wsgi._call import HIGH_BYTES
from gateway.adapters.asgi_to_wsgi._loop import LoopThread
from gateway.adapters.asgi_to_wsgi._response import JOIN_BYTES
from gateway.errors import ApplicationError
from gateway.servers import Bind, Launch
from gateway.servers import start as start_server
from tests.adapters.asgi_under_wsgi import (
    MODES,
    App,
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
CONTENT = bytes(range(256)) * 1000  # 256,000 bytes


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(CONTENT)
    return path


def open_files() -> int:
    descriptors = Path("/proc/self/fd")
    return len(list(descriptors.iterdir())) if descriptors.exists() else 0


# B44: files


def pathsend(path: Path) -> App:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.pathsend" in scope["extensions"]
        await start(send, 200, [(b"content-length", str(len(CONTENT)).encode())])
        await send({"type": "http.response.pathsend", "path": str(path)})

    return app


def test_b44_pathsend_hands_the_file_to_the_servers_wrapper(mode: Any, path: Path) -> None:
    with adapted(pathsend(path), loop=mode) as wsgi:
        response = begin(wsgi, make_environ(wsgi__file_wrapper=FileWrapper))
        assert isinstance(response.body, FileWrapper)
        assert response.body.filelike.fileno() >= 0
        assert b"".join(response) == CONTENT
        response.close()
        assert response.body.filelike.closed


def test_b44_a_file_that_has_grown_is_sent_up_to_its_declared_length(mode: Any, path: Path) -> None:
    """The application takes the size, then the server opens the path."""
    path.write_bytes(CONTENT + b"more")
    with adapted(pathsend(path), loop=mode) as wsgi:
        assert call(wsgi, make_environ(wsgi__file_wrapper=FileWrapper)).body == CONTENT


def test_b44_the_extensions_are_offered_where_the_server_has_a_wrapper_only(mode: Any, path: Path) -> None:
    raised: list[Exception] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.pathsend" not in (scope.get("extensions") or {})
        await start(send)
        try:
            await send({"type": "http.response.pathsend", "path": str(path)})
        except ApplicationError as error:
            raised.append(error)
        await body(send, b"read")

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi).body == b"read"
    assert len(raised) == 1


def test_b44_a_head_request_opens_no_file(mode: Any, tmp_path: Path) -> None:
    with adapted(pathsend(tmp_path / "missing"), loop=mode) as wsgi:
        answer = call(wsgi, make_environ(REQUEST_METHOD="HEAD", wsgi__file_wrapper=FileWrapper))
    assert answer.chunks == []
    assert answer.headers == [("content-length", str(len(CONTENT)))]


def test_b44_a_missing_file_is_an_error_before_the_response_started(mode: Any, tmp_path: Path) -> None:
    started: list[Any] = []
    with adapted(pathsend(tmp_path / "missing"), loop=mode) as wsgi, pytest.raises(FileNotFoundError):
        wsgi(make_environ(wsgi__file_wrapper=FileWrapper), lambda *args: started.append(args))
    assert started == []


def test_b44_a_file_after_body_bytes_is_an_error_of_the_application(mode: Any, path: Path) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, b"first", more=True)
        with pytest.raises(ApplicationError):
            await send({"type": "http.response.pathsend", "path": str(path)})
        await body(send, b"second")

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi, make_environ(wsgi__file_wrapper=FileWrapper)).body == b"firstsecond"


@pytest.mark.parametrize("as_descriptor", [True, False], ids=["descriptor", "object"])
@pytest.mark.parametrize(
    ("offset", "count"), [(None, None), (0, None), (1000, None), (1000, 500), (0, 256_000), (255_000, 9999), (5, 0)]
)
def test_b44_zerocopysend_sends_the_range(
    mode: Any, path: Path, offset: int | None, count: int | None, as_descriptor: bool
) -> None:
    closed = threading.Event()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        with path.open("rb") as file:
            message: dict[str, Any] = {"type": "http.response.zerocopysend"}
            message["file"] = file.fileno() if as_descriptor else file
            if offset is not None:
                message["offset"] = offset
            if count is not None:
                message["count"] = count
            await send(message)
        closed.set()

    before = open_files()
    begin_at = offset or 0
    expected = CONTENT[begin_at:] if count is None else CONTENT[begin_at : begin_at + count]
    with adapted(app, loop=mode) as wsgi:
        for _ in range(2):
            # Descriptors are counted: a validator would hold what it saw until the next collection.
            environ = make_environ(wsgi__file_wrapper=FileWrapper)
            assert call(wsgi, environ, validate=False).body == expected
        assert closed.wait(SECONDS)
    assert open_files() <= before


def test_b44_zerocopysend_mixes_with_body_messages_in_order(mode: Any, path: Path) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        with path.open("rb") as file:
            await body(send, b"<", more=True)
            await send({"type": "http.response.zerocopysend", "file": file, "count": 100_000, "more_body": True})
            await body(send, b"|", more=True)
            await send(
                {"type": "http.response.zerocopysend", "file": file, "offset": 10, "count": 5, "more_body": True}
            )
            await body(send, b">")

    with adapted(app, loop=mode) as wsgi:
        answer = call(wsgi, make_environ(wsgi__file_wrapper=FileWrapper))
    assert answer.body == b"<" + CONTENT[:100_000] + b"|" + CONTENT[10:15] + b">"


def test_b44_a_file_without_a_descriptor_is_refused_in_send(mode: Any) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        with pytest.raises(io.UnsupportedOperation):
            await send({"type": "http.response.zerocopysend", "file": io.BytesIO(b"x")})
        await body(send, b"sent otherwise")

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi, make_environ(wsgi__file_wrapper=FileWrapper)).body == b"sent otherwise"


@pytest.mark.parametrize("read_first", [True, False])
def test_b44_a_server_that_closes_a_file_early_frees_the_application(mode: Any, path: Path, read_first: bool) -> None:
    ended = threading.Event()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        try:
            with path.open("rb") as file:
                await body(send, b"head", more=True)
                await send({"type": "http.response.zerocopysend", "file": file, "more_body": True})
                await body(send, b"tail", more=True)
                await asyncio.sleep(0)
                await send({"type": "http.response.zerocopysend", "file": file})
        finally:
            ended.set()

    before = open_files()
    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ(wsgi__file_wrapper=FileWrapper))
        chunks = iter(response)
        assert next(chunks) == b"head"
        if read_first:
            assert next(chunks) == CONTENT[: 64 * 1024]
        response.close()
        assert ended.wait(SECONDS)
        del chunks, response
    assert open_files() <= before


GUNICORN_FILES = """
import os
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route
from gateway.adapters.asgi_to_wsgi import AsgiToWsgi

PATH = os.environ["A2W_FILE"]
calls = []
import socket
original = socket.socket.sendfile
def sendfile(self, file, offset=0, count=None):
    calls.append((offset, count))
    return original(self, file, offset=offset, count=count)
socket.socket.sendfile = sendfile

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["path"] == "/calls":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": repr(calls).encode()})
    elif scope["path"] == "/range":
        await send({"type": "http.response.start", "status": 206, "headers": [(b"content-length", b"500")]})
        with open(PATH, "rb") as file:
            await send({"type": "http.response.zerocopysend", "file": file, "offset": 1000, "count": 500})
    elif scope["path"] == "/hints":
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
    else:
        await FileResponse(PATH)(scope, receive, send)

application = AsgiToWsgi(app)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn is POSIX's")
def test_b44_gunicorn_sends_files_and_ranges_with_sendfile_and_early_hints(tmp_path: Path, path: Path) -> None:
    (tmp_path / "a2w_files.py").write_text(GUNICORN_FILES)
    launch = Launch(
        target="a2w_files:application",
        bind=Bind(port=0),
        app_dir=str(tmp_path),
        environment={"A2W_FILE": str(path)},
    )
    with start_server(servers.get("gunicorn-gthread"), launch, ready="/calls") as running:

        def get(target: str) -> tuple[bytes, bytes]:
            with running.bind.connect(20.0) as connection:
                connection.sendall(f"GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".encode())
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            head, _, rest = answer.partition(b"\r\n\r\n")
            return head, rest

        assert get("/file")[1] == CONTENT
        assert get("/range")[1] == CONTENT[1000:1500]
        assert get("/calls")[1].find(b"[(0, 256000), (1000, 500)]") >= 0
        hint, final = get("/hints")
        assert hint.startswith(b"HTTP/1.1 103 ")
        assert b"Link: </a.css>; rel=preload" in hint
        assert final.startswith(b"HTTP/1.1 200 OK")


# B51: early hints, trailers


def test_b51_early_hints_go_to_the_server_before_the_head(mode: Any) -> None:
    events: list[Any] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.early_hint" in scope["extensions"]
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]})
        await asyncio.sleep(0.001)
        await send({"type": "http.response.early_hint", "links": [b"</c.js>; rel=preload"]})
        await hello(scope, receive, send)

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi, make_environ(wsgi__early_hints=events.append)).body == b"Hello, world!"
    assert events == [
        [("Link", "</a.css>; rel=preload"), ("Link", "</b.js>; rel=preload")],
        [("Link", "</c.js>; rel=preload")],
    ]


def test_b51_early_hints_after_the_start_go_to_the_server_before_the_head(mode: Any) -> None:
    events: list[Any] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)  # as the specification has it: "after the Response Start message"
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await send({"type": "http.response.early_hint", "links": [b"</b.js>; rel=preload"]})
        await body(send, b"x")

    with adapted(app, loop=mode) as wsgi:
        environ = make_environ(wsgi__early_hints=events.append)
        assert b"".join(wsgi(environ, lambda status, headers, exc_info=None: events.append(status))) == b"x"
    assert events == [[("Link", "</a.css>; rel=preload")], [("Link", "</b.js>; rel=preload")], "200 OK"]


def test_b51_early_hints_within_the_body_are_ignored(mode: Any) -> None:
    events: list[Any] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.early_hint", "links": [b"</late>"]})
        await body(send, b"y")
        with pytest.raises(ApplicationError):
            await send({"type": "http.response.early_hint", "links": []})

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi, make_environ(wsgi__early_hints=events.append)).body == b"xy"
    assert events == []


@pytest.mark.parametrize("chunks", [[b"only"], [b"a", b"b"], [b""]], ids=len)
def test_b51_trailers_are_given_to_the_server_before_the_body_ends(mode: Any, chunks: list[bytes]) -> None:
    events: list[Any] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.trailers" in scope["extensions"]
        await send({"type": "http.response.start", "status": 200, "trailers": True})
        for chunk in chunks[:-1]:
            await body(send, chunk, more=True)
        await body(send, chunks[-1])
        await asyncio.sleep(0.001)
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": True})
        await send({"type": "http.response.trailers", "headers": [(b"x-end", b"2")]})

    with adapted(app, loop=mode) as wsgi:
        environ = make_environ(gunicorn__http2__send_trailers=events.append)
        environ["gunicorn.http2.send_trailers"] = events.append
        response = begin(wsgi, environ)
        for chunk in response:
            events.append(chunk)
        events.append("end")
        response.close()
    assert b"".join(event for event in events if isinstance(event, bytes)) == b"".join(chunks)
    assert events[-2:] == [[("x-sum", "1"), ("x-end", "2")], "end"]


def test_b51_trailers_that_the_server_cannot_send_are_dropped_without_harm(
    mode: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[bool] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.trailers" not in scope.get("extensions", {})
        await send({"type": "http.response.start", "status": 200, "trailers": True})
        await body(send, b"x")
        await send({"type": "http.response.trailers", "headers": [(b"x-a", b"1")], "more_trailers": True})
        await send({"type": "http.response.trailers", "headers": [(b"x-b", b"2")]})
        with pytest.raises(ApplicationError):  # they have ended
            await send({"type": "http.response.trailers", "headers": []})
        ended.append(True)

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi).chunks == [b"x"]
    assert ended == [True]
    assert not caplog.records


@pytest.mark.parametrize("promised", [False, True])
def test_b51_trailers_out_of_place_are_an_error_of_the_application(mode: Any, promised: bool) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "trailers": promised})
        if promised:  # but the body has not ended
            await body(send, b"x", more=True)
        with pytest.raises(ApplicationError):
            await send({"type": "http.response.trailers", "headers": []})
        await body(send, b"y")
        if not promised:
            with pytest.raises(ApplicationError):
                await send({"type": "http.response.trailers", "headers": []})

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi).body == (b"xy" if promised else b"y")


def test_b51_an_application_that_returns_before_its_trailers_is_an_error(mode: Any) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "trailers": True})
        await body(send, b"x")

    environ = make_environ()
    environ["gunicorn.http2.send_trailers"] = lambda headers: None
    with adapted(app, loop=mode) as wsgi, pytest.raises(ApplicationError, match="before the trailers"):
        call(wsgi, environ)


# joining


def burst(count: int, size: int) -> App:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        for number in range(count - 1):
            await body(send, bytes([number % 256]) * size, more=True)
        await body(send, bytes([(count - 1) % 256]) * size)

    return app


@pytest.mark.parametrize(("count", "size"), [(2, 1), (64, 1024), (500, 1024), (7, 60_000), (3, 200_000)])
def test_without_coalesce_every_message_is_a_chunk(mode: Any, count: int, size: int) -> None:
    with adapted(burst(count, size), loop=mode, coalesce=False) as wsgi:
        assert call(wsgi).chunks == [bytes([number % 256]) * size for number in range(count)]


@pytest.mark.parametrize(("count", "size"), [(2, 1), (64, 1024), (500, 1024), (7, 60_000), (3, 200_000)])
def test_waiting_messages_are_joined_up_to_a_limit(mode: Any, count: int, size: int) -> None:
    with adapted(burst(count, size), loop=mode) as wsgi:
        answer = call(wsgi)
    assert answer.body == b"".join(bytes([number % 256]) * size for number in range(count))
    assert max(map(len, answer.chunks)) <= max(size, JOIN_BYTES)
    assert len(answer.chunks) <= count


# hand-offs


class Counting:
    """Counts the wake-ups of the loop and of the WSGI thread."""

    def __init__(self, runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop_wakes = 0
        self.thread_wakes = 0
        # A loop of ours has a doorbell; one that is lent is woken its own way.
        waker, name = (
            (runner._mailbox, "_wake") if isinstance(runner, LoopThread) else (runner.loop, "call_soon_threadsafe")
        )
        inner = getattr(waker, name)

        def call_soon_threadsafe(*args: Any, **options: Any) -> Any:
            self.loop_wakes += 1
            return inner(*args, **options)

        setattr(waker, name, call_soon_threadsafe)
        from gateway.adapters.asgi_to_wsgi import _waiting

        make_gate = _waiting.make_gate

        def counted() -> tuple[Callable[[], object], Callable[[], object]]:
            wait, wake = make_gate()

            def counted_wake() -> None:
                self.thread_wakes += 1
                wake()

            return wait, counted_wake

        monkeypatch.setattr(_waiting, "make_gate", counted)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Counting]:
    def count(wsgi: Any) -> Counting:
        call(wsgi)
        return Counting(wsgi._service.runner, monkeypatch)

    return count


@pytest.mark.parametrize(("count", "size"), [(1, 13), (64, 1024)])
def test_hand_offs_in_shared_mode_do_not_grow_with_the_messages(
    counting: Callable[[Any], Counting], count: int, size: int
) -> None:
    with adapted(burst(count, size), loop="shared") as wsgi:
        counted = counting(wsgi)
        for _ in range(20):
            assert len(call(wsgi).body) == count * size
        assert counted.loop_wakes == 20
        # Several messages may wake the thread for the first chunk, for more, and for the end: not 64 times.
        assert counted.thread_wakes <= (20 if count == 1 else 60)


if "lend" in MODES:

    @pytest.mark.parametrize(("count", "size"), [(1, 13), (64, 1024)])
    def test_in_lend_mode_an_application_that_never_suspends_needs_no_hand_off(
        counting: Callable[[Any], Counting], count: int, size: int
    ) -> None:
        with adapted(burst(count, size), loop="lend") as wsgi:
            counted = counting(wsgi)
            runner: Any = wsgi._service.runner  # type: ignore[union-attr]
            runner.loop._run_once = None  # not a single turn of the loop
            for _ in range(20):
                assert len(call(wsgi).body) == count * size
            del runner.loop._run_once
            assert counted.loop_wakes == 0
            assert runner._caretaker == 0, "no second thread was needed"
        assert count * size < HIGH_BYTES
