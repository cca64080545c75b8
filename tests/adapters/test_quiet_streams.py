"""An application that sends its headers, and no body for a while: the client does not wait for the body.

The first events of such a stream may come minutes later: a subscription, or a job that reports its progress.
"""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway import servers
from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from gateway.servers import Bind, Launch, start
from tests.adapters.asgi_under_wsgi import MODES, Receive, Scope, Send, adapted, body, http_only, make_environ
from tests.adapters.asgi_under_wsgi import start as start_with
from tests.adapters.driving import BACKENDS, Server, http_scope, run_on
from tests.gateway.servers.suite import DETAILED

ROOT = str(Path(__file__).resolve().parents[2])
SECONDS = 20.0
FAST = ("gunicorn-gthread", "waitress", "granian-wsgi", "granian-rsgi")
#: gevent.pywsgi would switch greenlets while a greenlet waits; gunicorn's worker refuses ASGI.
NAMES = [name for name in DETAILED if servers.get(name).interface in ("wsgi", "rsgi") and not name.endswith("gevent")]


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Any:
    return request.param


class Waits:
    """Lets a thread release a coroutine."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()

    async def wait(self) -> None:
        self._loop = asyncio.get_running_loop()
        await asyncio.wait_for(self._event.wait(), SECONDS)

    def release(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._event.set)


def served(wsgi: AsgiToWsgi, written: Callable[[bytes], object], **environ: Any) -> tuple[list[Any], list[bytes]]:
    """Call a WSGI application as a server does; return what ``start_response`` got, and the chunks."""
    started: list[Any] = []

    def start_response(*args: Any) -> Callable[[bytes], object]:
        started.append(args)
        return written

    response: Any = wsgi(make_environ(**environ), start_response)
    try:
        return started, list(response)
    finally:
        getattr(response, "close", list)()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_b55_headers_are_written_if_the_body_does_not_follow(mode: Any, method: str) -> None:
    waits = Waits()
    written: list[bytes] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start_with(send, 200, [(b"x-a", b"1")])
        await waits.wait()
        await body(send, b"event", more=True)
        await body(send)

    def write(data: bytes) -> None:
        written.append(data)
        waits.release()

    with adapted(app, loop=mode) as wsgi:
        started, chunks = served(wsgi, write, REQUEST_METHOD=method)
    assert started == [("200 OK", [("x-a", "1")])]
    assert written == [b""]
    assert chunks == ([b"event"] if method == "GET" else [])


def test_b55_headers_wait_however_late_they_come(mode: Any) -> None:
    """A slow application whose body follows its headers at once: one part, to which a server adds its length."""
    written: list[bytes] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.08)
        await start_with(send)
        await asyncio.sleep(0)
        await body(send, b"whole")

    with adapted(app, loop=mode) as wsgi:
        started, chunks = served(wsgi, written.append)
    assert (len(started), written, chunks) == (1, [], [b"whole"])


def test_b55_headers_that_come_late_are_written_too(mode: Any) -> None:
    waits = Waits()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.01)
        await start_with(send)
        await waits.wait()
        await body(send, b"event")

    with adapted(app, loop=mode) as wsgi:
        assert served(wsgi, lambda data: waits.release())[1] == [b"event"]


def test_b55_an_error_after_the_headers_cuts_the_response(mode: Any) -> None:
    waits = Waits()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start_with(send)
        await waits.wait()
        raise ZeroDivisionError("mine")

    with adapted(app, loop=mode) as wsgi:
        response = wsgi(make_environ(), lambda *args: lambda data: waits.release())
        with pytest.raises(ZeroDivisionError, match="mine"):
            next(iter(response))


def test_b55_a_write_that_fails_ends_the_application(mode: Any) -> None:
    ended = threading.Event()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start_with(send)
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        ended.set()

    def write(data: bytes) -> None:
        raise BrokenPipeError

    with adapted(app, loop=mode) as wsgi:
        with pytest.raises(BrokenPipeError):
            wsgi(make_environ(), lambda *args: write)
        assert ended.wait(SECONDS)


def test_b55_a_server_without_write_gets_the_iterable(mode: Any) -> None:
    waits = Waits()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start_with(send)
        await waits.wait()
        await body(send, b"event")

    with adapted(app, loop=mode) as wsgi:
        response = wsgi(make_environ(), lambda *args: None)
        waits.release()
        assert list(response) == [b"event"]


def test_b55_a_file_after_the_headers_is_sent_and_a_hint_is_dropped(mode: Any, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100_000)
    waits = Waits()
    hints: list[Any] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start_with(send)
        await waits.wait()
        await send({"type": "http.response.early_hint", "links": [b"</a>"]})
        await send({"type": "http.response.pathsend", "path": str(file)})

    def wrapper(*args: Any) -> Any:
        pytest.fail("the headers are out")

    environ = {"wsgi__file_wrapper": wrapper, "wsgi__early_hints": hints.append}
    with adapted(app, loop=mode) as wsgi:
        assert b"".join(served(wsgi, lambda data: waits.release(), **environ)[1]) == file.read_bytes()
    assert hints == []


def test_b55_the_headers_pass_a_wsgi_middleware_back_to_an_asgi_server(mode: Any) -> None:
    waits = Waits()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start_with(send)
        await waits.wait()
        await body(send, b"event")

    async def main(wsgi: AsgiToWsgi) -> Server:
        async def on_send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                waits.release()

        server = Server(on_send=on_send)
        await WsgiToAsgi(lambda environ, start_response: wsgi(environ, start_response))(
            http_scope(), server.receive, server.send
        )
        return server

    with adapted(app, loop=mode) as wsgi:
        server: Server = run_on("asyncio", lambda: main(wsgi))
    assert server.content == b"event"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a79_a_first_write_of_nothing_sends_the_headers(backend: str) -> None:
    sent = threading.Event()

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [])
        write(b"")
        assert sent.wait(SECONDS)
        return iter([b"event"])

    async def main() -> Server:
        async def on_send(message: dict[str, Any]) -> None:
            sent.set()
            await anyio.lowlevel.checkpoint()

        server = Server(on_send=on_send)
        await WsgiToAsgi(app)(http_scope(), server.receive, server.send)
        return server

    server: Server = run_on(backend, main)
    assert server.kinds[0] == "start"
    assert server.content == b"event"


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in FAST else [pytest.mark.slow]) for n in NAMES])
@pytest.mark.parametrize("attribute", ["app", "chain"])
def test_b55_the_client_has_the_headers_before_the_first_event(name: str, attribute: str, tmp_path: Path) -> None:
    server = servers.get(name)
    if reason := server.missing():
        pytest.skip(reason)
    launch = Launch(target=f"tests.adapters.quiet_site:{attribute}", bind=Bind(port=0), app_dir=ROOT, hooks=True)
    with start(server, launch) as running:
        release = tmp_path / "release"
        connection = http.client.HTTPConnection(running.bind.host, running.bind.port, timeout=SECONDS)
        with closing(connection):
            connection.request("GET", f"/quiet?{release}", headers={"Host": "localhost"})
            response = connection.getresponse()
            assert (response.status, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
            release.touch()
            assert response.read() == b"data: released\n\n"
