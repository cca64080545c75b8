"""After an early answer the rest of the request body is read and dropped, within bounds, and nothing else is."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import trio

from gateway import drivers
from gateway.contract import Middleware, Refuse
from gateway.drivers import _unread
from gateway.exchange import Outcome, Request, Response
from tests.gateway.drivers._side import scope

PLAIN = {"content-length": "2"}
CASES = ["answers", "answers-and-waits", "refuses", "refuses-while-read", "fails-and-is-answered"]


class Transform:
    def push(self, chunk: bytes, /) -> bytes:
        raise Refuse(413, response=Response(413, PLAIN, b"no"))

    def finish(self) -> bytes:
        return b""


def chain(case: str, ends: list[Outcome]) -> list[Middleware]:
    class Answers(Middleware):
        def on_request(self, request: Request) -> Response | None:
            if case == "refuses":
                raise Refuse(413, response=Response(413, PLAIN, b"no"))
            if case == "fails-and-is-answered":
                raise LookupError
            return Response(413, PLAIN, b"no") if case.startswith("answers") else None

    class Reads(Middleware):
        def on_request_body(self, request: Request) -> Transform:
            return Transform()

    class Waits(Middleware):
        def on_error(self, request: Request, error: Exception) -> Response:
            return Response(413, PLAIN, b"no")

        def on_finish(self, request: Request, outcome: Outcome) -> None:
            ends.append(outcome)

    if case == "answers":
        return [Answers()]
    return [Waits(), Reads() if case == "refuses-while-read" else Answers()]


async def reads_one(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise AssertionError("the body is refused")


def serve_asgi(
    case: str,
    receive: Callable[[], Any],
    log: list[Any],
    ends: list[Outcome],
    *,
    headers: Any = ((b"content-length", b"9"),),
    app: Any = reads_one,
    middleware: list[Middleware] | None = None,
    run: Any = asyncio.run,
    **more: Any,
) -> None:
    async def received() -> Any:
        message = await receive()
        log.append("read")
        return message

    async def send(message: Any) -> None:
        log.append(message.get("status") or (message["body"], message["more_body"]))

    served = drivers.build_asgi(middleware or chain(case, ends), app)

    async def main() -> None:
        await served(scope(method="POST", headers=list(headers), **more), received, send)

    run(main) if run is trio.run else run(main())


def parts(*bodies: bytes) -> Callable[[], Any]:
    messages = [
        {"type": "http.request", "body": body, "more_body": place < len(bodies)} for place, body in enumerate(bodies, 1)
    ]

    async def receive() -> Any:
        return messages.pop(0) if messages else await asyncio.Event().wait()

    return receive


@pytest.mark.parametrize("case", CASES)
def test_asgi_the_response_goes_out_before_the_rest_of_the_body_is_dropped(case: str) -> None:
    log: list[Any] = []
    ends: list[Outcome] = []
    serve_asgi(case, parts(b"one", b"two", b"six"), log, ends)
    before = ["read"] if case == "refuses-while-read" else []
    assert log == [*before, 413, (b"no", True), *(["read"] * (3 - len(before))), (b"", False)]
    assert [(end.kind, end.status, end.bytes_sent) for end in ends] == [("completed", 413, 2)] * bool(ends)
    assert bool(ends) is (case != "answers")


@pytest.mark.parametrize("case", ["answers", "answers-and-waits"])
def test_asgi_nothing_is_read_of_a_request_without_a_body(case: str) -> None:
    log: list[Any] = []
    serve_asgi(case, parts(b""), log, [], headers=())
    assert log == [413, (b"no", False)]


def test_asgi_nothing_is_read_after_the_application_has_answered() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"yes", "more_body": False})

    class Replaces(Middleware):
        def on_response(self, request: Request, response: Response) -> Response:
            return Response(500, PLAIN, b"no")

    log: list[Any] = []
    serve_asgi("", parts(b"one", b"two"), log, [], app=app, middleware=[Replaces()])
    assert log == [500, (b"no", False)]


@pytest.mark.parametrize("case", CASES)
def test_asgi_a_client_that_sends_without_end_is_dropped_no_longer_than_the_bound(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_unread, "MOST_BYTES", 1000)
    log: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    serve_asgi(case, receive, log, [])
    assert log.count("read") == 10 + (case == "refuses-while-read")
    assert log[-1] == (b"", False)


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
@pytest.mark.parametrize("case", ["answers", "answers-and-waits"])
def test_asgi_a_client_that_sends_nothing_is_not_waited_for(
    case: str, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_unread, "MOST_SECONDS", 0.05)
    log: list[Any] = []
    ends: list[Outcome] = []

    async def receive() -> Any:
        if run is trio.run:
            await trio.sleep_forever()
        await asyncio.Event().wait()

    serve_asgi(case, receive, log, ends, run=run)
    assert log == [413, (b"no", True), (b"", False)]
    assert all(end.kind == "completed" and end.duration < 0.05 for end in ends), "the response was out before"


@pytest.mark.parametrize("case", CASES)
def test_asgi_a_client_that_leaves_with_its_response_has_completed(case: str) -> None:
    left = [{"type": "http.request", "body": b"x", "more_body": True}] * (case == "refuses-while-read")
    ends: list[Outcome] = []
    log: list[Any] = []

    async def receive() -> Any:
        return left.pop() if left else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        log.append(message["type"])
        if len(log) == 3:
            raise OSError("the client is gone")

    served = drivers.build_asgi(chain(case, ends), reads_one)
    asyncio.run(served(scope(method="POST", headers=[(b"content-length", b"9")]), receive, send))
    assert len(log) == 3
    assert all(end.kind == "completed" and not end.disconnected for end in ends)


def serve_wsgi(case: str, client: socket.socket | None, stream: Any, ends: list[Outcome], **more: Any) -> list[bytes]:
    """Serve a request as Gunicorn does; return the chunks."""

    def app(environ: Any, start_response: Any) -> Any:
        environ["wsgi.input"].read()
        raise AssertionError("the body is refused")

    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": "9",
        "wsgi.url_scheme": "http",
        "wsgi.input": stream,
        "wsgi.input_terminated": True,
        **({} if client is None else {"gunicorn.socket": client}),
        **more,
    }
    body = drivers.build_wsgi(chain(case, ends), app)(environ, lambda *head: lambda data: None)
    chunks = list(body)
    if hasattr(body, "close"):
        body.close()
    return chunks


class Input:
    """A ``wsgi.input`` over a socket that ends after ``length`` bytes, as Gunicorn's does, and loops over recv()."""

    def __init__(self, client: socket.socket, length: int) -> None:
        self.client = client
        self.left = length
        self.read_bytes = 0

    def read(self, size: int = -1) -> bytes:
        size = min(size, self.left) if size >= 0 else self.left
        data = b""
        while len(data) < size:
            chunk = self.client.recv(size - len(data))
            if not chunk:
                break
            data += chunk
        self.left -= len(data)
        self.read_bytes += len(data)
        return data


@pytest.mark.parametrize("case", CASES)
def test_wsgi_the_rest_of_the_body_is_dropped_and_the_next_request_is_left(case: str) -> None:
    client, server = socket.socketpair()
    with client, server:
        server.settimeout(7)
        client.sendall(b"one" * 3 + b"GET / HTTP/1.1\r\n\r\n")
        stream = Input(server, 9)
        ends: list[Outcome] = []
        assert serve_wsgi(case, server, stream, ends) == [b"no"]
        assert stream.left == 0
        assert server.gettimeout() == 7
        assert server.recv(100) == b"GET / HTTP/1.1\r\n\r\n"
        assert [(end.kind, end.status) for end in ends] == [("completed", 413)] * bool(ends)


def test_wsgi_what_is_dropped_does_not_pass_the_transform_that_refused_the_body() -> None:
    client, server = socket.socketpair()
    length = 200_000  # more than one read
    with client, server:
        server.settimeout(7)
        sender = threading.Thread(target=client.sendall, args=(b"x" * length + b"GET / HTTP/1.1\r\n\r\n",))
        sender.start()
        stream = Input(server, length)
        assert serve_wsgi("refuses-while-read", server, stream, [], CONTENT_LENGTH=str(length)) == [b"no"]
        sender.join()
        assert stream.left == 0
        assert server.recv(100) == b"GET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("case", ["answers", "answers-and-waits", "refuses"])
def test_wsgi_nothing_is_read_where_no_timeout_can_be_set(case: str) -> None:
    class Blocks:
        def read(self, size: int = -1) -> bytes:
            raise AssertionError("this read would wait for ever")

    assert serve_wsgi(case, None, Blocks(), []) == [b"no"]
    client, server = socket.socketpair()
    with client, server:
        for more in (
            {"SERVER_PROTOCOL": "HTTP/2"},
            {"gateway.scope": {}},
            {"CONTENT_LENGTH": "0"},
            {"CONTENT_LENGTH": ""},  # what every request without a body is: nothing is started for it
        ):
            assert serve_wsgi(case, server, Blocks(), [], **more) == [b"no"]


@pytest.mark.parametrize("sends", ["nothing", "byte-by-byte"])
@pytest.mark.parametrize("case", ["answers", "refuses-while-read"])
def test_wsgi_a_slow_client_holds_no_worker_and_its_connection_is_shut(
    case: str, sends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_unread, "MOST_SECONDS", 0.4)
    client, server = socket.socketpair()
    stop = threading.Event()

    def drip() -> None:
        try:
            while not stop.wait(0.02):
                client.sendall(b"x")
        except OSError:
            pass

    with client, server:
        client.sendall(b"x")
        sender = threading.Thread(target=drip)
        if sends == "byte-by-byte":
            sender.start()
        stream = Input(server, 10**6)
        if case == "refuses-while-read":  # the application reads a byte, and not all of them
            stream.left = 1
        began = time.monotonic()
        try:
            if case == "refuses-while-read":
                monkeypatch.setattr("gateway.drivers.wsgi.drop", _widened(stream))
            assert serve_wsgi(case, server, stream, [], CONTENT_LENGTH="1000000") == [b"no"]
            assert time.monotonic() - began < 5, "a hundred times what it should take"
            client.settimeout(5)
            assert client.recv(10) == b"", "what follows must not be taken for a request"
        finally:
            stop.set()
            if sends == "byte-by-byte":
                sender.join(5)


def _widened(stream: Input) -> Callable[..., None]:
    def drop(environ: Any, source: Any = None) -> None:
        stream.left = 10**6
        _DROP(environ, source)

    return drop


_DROP = _unread.drop


def test_wsgi_a_client_that_sends_without_end_is_dropped_no_longer_than_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_unread, "MOST_BYTES", 100_000)
    client, server = socket.socketpair()

    class Endless(Input):
        def read(self, size: int = -1) -> bytes:
            self.read_bytes += size
            return b"x" * size

    with client, server:
        stream = Endless(server, 0)
        assert serve_wsgi("answers", server, stream, [], CONTENT_LENGTH="1000000000") == [b"no"]
        assert 100_000 <= stream.read_bytes < 200_000


def test_wsgi_a_socket_that_is_closed_already_is_left_alone() -> None:
    client, server = socket.socketpair()
    client.close()
    server.close()
    assert serve_wsgi("answers", server, Input(server, 9), []) == [b"no"]
    assert serve_wsgi("answers", object(), Input(server, 9), []) == [b"no"]  # type: ignore[arg-type]  # not a socket


def test_asgi_around_an_adapter_drops_by_the_socket_of_the_server() -> None:
    client, server = socket.socketpair()
    with client, server:
        client.sendall(b"one" * 3)
        stream = Input(server, 9)
        environ = {
            "gunicorn.socket": server,
            "wsgi.input": stream,
            "CONTENT_LENGTH": "9",
            "SERVER_PROTOCOL": "HTTP/1.1",
        }
        log: list[Any] = []
        for case in ("answers", "answers-and-waits"):
            stream.left = 9 if case == "answers" else 0
            serve_asgi(case, parts(b"not asked"), log, [], **{"gateway.environ": environ})
            assert stream.left == 0
        serve_asgi("answers", parts(b"not asked"), log, [], **{"gateway.environ": {}})
        assert "read" not in log
