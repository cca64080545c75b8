"""An ASGI application as a WSGI one: every row B01-B50 of the behaviours, in every mode of the loop."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import io
import logging
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.adapters import asgi_to_wsgi
from gateway.adapters.asgi_to_wsgi import AsgiToWsgi, _call, _service, close_all, start_all
from gateway.errors import ApplicationError, ConfigurationError
from gateway.lifespan import LifespanFailed
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

SECONDS = 20.0  # a bound for what must not hang, never a measure


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield request.param
    assert not _service._services, "a test left an application running"


async def echo_scope(scope: Scope, receive: Receive, send: Send) -> None:
    """Keep the scope of the last request on the function."""
    if scope["type"] != "http":
        raise NotImplementedError
    echo_scope.scope = dict(scope)  # type: ignore[attr-defined]
    await start(send)
    await body(send, b"ok")


def scope_of(mode: Any, environ: dict[str, Any], *, validate: bool = True) -> dict[str, Any]:
    with adapted(echo_scope, loop=mode) as wsgi:
        assert call(wsgi, environ, validate=validate).body == b"ok"
    scope: dict[str, Any] = echo_scope.scope  # type: ignore[attr-defined]
    return scope


# the request


def test_b01_the_scope_has_every_key_of_an_http_request(mode: Any) -> None:
    scope = scope_of(mode, make_environ(PATH_INFO="/caf\xc3\xa9", QUERY_STRING="a=1"))
    assert scope["type"] == "http"
    assert scope["asgi"]["version"] == "3.0"
    assert "spec_version" in scope["asgi"]
    assert scope["path"] == "/café"
    assert scope["raw_path"] == b"/caf%C3%A9"
    assert scope["query_string"] == b"a=1"
    assert scope["state"] == {}
    assert {"http_version", "method", "scheme", "root_path", "headers", "client", "server"} <= scope.keys()


def test_b02_the_path_includes_script_name_which_is_root_path(mode: Any) -> None:
    scope = scope_of(mode, make_environ(SCRIPT_NAME="/app", PATH_INFO="/x"))
    assert (scope["path"], scope["root_path"]) == ("/app/x", "/app")


def test_b03_a_path_that_is_not_utf8_is_served(mode: Any) -> None:
    scope = scope_of(mode, make_environ(PATH_INFO="/caf\xe9"))
    assert scope["path"] == "/caf\ufffd"
    assert scope["raw_path"] == b"/caf%E9"


@pytest.mark.parametrize("key", ["RAW_URI", "REQUEST_URI"])
def test_b04_raw_path_keeps_an_escaped_slash(mode: Any, key: str) -> None:
    scope = scope_of(mode, make_environ(PATH_INFO="/a/b", **{key: "/a%2Fb?q=1"}))
    assert (scope["path"], scope["raw_path"]) == ("/a/b", b"/a%2Fb")


def test_b05_a_query_string_beyond_ascii_is_served(mode: Any) -> None:
    assert scope_of(mode, make_environ(QUERY_STRING="q=\xe9"))["query_string"] == b"q=\xe9"


def test_b06_an_empty_content_length_or_type_is_no_header(mode: Any) -> None:
    scope = scope_of(mode, make_environ(CONTENT_LENGTH="", CONTENT_TYPE=""))
    assert scope["headers"] == [(b"host", b"example.org")]


def test_b06_content_type_and_length_are_given_once(mode: Any) -> None:
    scope = scope_of(mode, make_environ(b"abc", CONTENT_TYPE="text/plain", HTTP_CONTENT_TYPE="text/html"))
    names = [name for name, _ in scope["headers"]]
    assert names.count(b"content-type") == names.count(b"content-length") == 1
    assert dict(scope["headers"])[b"content-type"] == b"text/plain"


@pytest.mark.parametrize(
    ("protocol", "version"),
    [("HTTP/1.1", "1.1"), ("HTTP/1.0", "1.0"), ("HTTP/2.0", "2"), ("HTTP/2", "2"), ("INCLUDED", "1.1"), ("", "1.1")],
)
def test_b07_the_http_version_is_read_from_any_server_protocol(mode: Any, protocol: str, version: str) -> None:
    scope = scope_of(mode, make_environ(SERVER_PROTOCOL=protocol), validate=bool(protocol))
    assert scope["http_version"] == version


def test_b07_a_missing_server_protocol_is_tolerated(mode: Any) -> None:
    scope = scope_of(mode, make_environ(SERVER_PROTOCOL=None), validate=False)
    assert scope["http_version"] == "1.1"


def test_b08_a_client_without_a_port_has_port_0(mode: Any) -> None:
    assert tuple(scope_of(mode, make_environ(REMOTE_PORT=None))["client"]) == ("192.0.2.1", 0)


@pytest.mark.parametrize(
    "changes",
    [{"REMOTE_PORT": ""}, {"SERVER_PORT": ""}, {"REMOTE_ADDR": "", "REMOTE_PORT": ""}, {"SERVER_PORT": "/run/s"}],
    ids=str,
)
def test_b08b_an_empty_port_or_a_unix_socket_is_served(mode: Any, changes: dict[str, str]) -> None:
    kept = changes.get("SERVER_PORT") != ""  # what PEP 3333 forbids, and some servers do
    assert scope_of(mode, make_environ(**changes), validate=kept)["type"] == "http"


# the request body


class Pieces(io.RawIOBase):
    """An input that gives one piece a read, whatever was asked for, and writes down how often it was read."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = list(pieces)
        self.reads = 0
        self.asked: list[int] = []

    def read(self, size: int = -1) -> bytes:
        self.reads += 1
        self.asked.append(size)
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        assert len(piece) <= size, "read more than there may be"
        return piece


class Recorder:
    """An application that receives until the body ends and remembers the messages."""

    def __init__(self, *, limit: int = 50) -> None:
        self.messages: list[dict[str, Any]] = []
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        while len(self.messages) < self.limit:
            message = await receive()
            self.messages.append(message)
            if message["type"] == "http.disconnect" or not message["more_body"]:
                break
        await start(send)
        await body(send, b"read")

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


def test_b09_the_application_gets_the_first_piece_before_the_body_is_complete(mode: Any) -> None:
    received = threading.Event()

    class Waiting(Pieces):
        def read(self, size: int = -1) -> bytes:
            if self.reads == 1:
                assert received.wait(SECONDS), "the second read came before the application had the first piece"
            return super().read(size)

    stream = Waiting(b"first", b"second")

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()
        received.set()
        second = await receive()
        await start(send)
        await body(send, first["body"] + b"|" + second["body"])

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi, make_environ(b"firstsecond", wsgi__input=stream)).body == b"first|second"


class FourMethods:
    """An input with what PEP 3333 names and no more."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)
        self.read = self._stream.read
        self.readline = self._stream.readline
        self.readlines = self._stream.readlines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)


class FiveMethods(FourMethods):
    """What a server's buffered reader offers beyond."""

    asked = 0

    def read1(self, size: int = -1) -> bytes:
        self.asked += 1
        return self._stream.read1(min(size, 1000))


@pytest.mark.parametrize("validate", [True, False], ids=["validated", "bare"])
def test_b09_read1_is_used_if_the_server_offers_it(mode: Any, validate: bool) -> None:
    data = bytes(range(256)) * 400
    app = Recorder(limit=1000)
    five = FiveMethods(data)
    with adapted(app, loop=mode) as wsgi:
        for stream in (FourMethods(data), five):
            app.messages.clear()
            call(wsgi, make_environ(data, wsgi__input=stream), validate=validate)
            assert app.body == data
    # Under the validator, too: a method that was looked for before it was used breaks no rule (P24).
    assert five.asked > 0


@pytest.mark.parametrize("transfer_encoding", ["chunked", None])
def test_b10_a_body_without_a_length_is_read_where_the_server_ends_it(mode: Any, transfer_encoding: str | None) -> None:
    app = Recorder()
    stream = Pieces(b"ab", b"cd")
    environ = make_environ(
        b"",
        CONTENT_LENGTH=None,
        HTTP_TRANSFER_ENCODING=transfer_encoding,
        wsgi__input=stream,
        wsgi__input_terminated=True,
    )
    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi, environ).body == b"read"
    assert app.body == b"abcd"
    assert app.messages[-1]["more_body"] is False


@pytest.mark.parametrize("length", [None, "", "0"])
def test_b10_an_input_without_an_end_is_never_read(mode: Any, length: str | None) -> None:
    app = Recorder()
    stream = Pieces(AssertionError("this read would wait for ever"))
    with adapted(app, loop=mode) as wsgi:
        call(wsgi, make_environ(b"", CONTENT_LENGTH=length, wsgi__input=stream))
    assert app.messages == [{"type": "http.request", "body": b"", "more_body": False}]
    assert stream.reads == 0


@pytest.mark.parametrize("size", [10, 64 * 1024, 64 * 1024 + 1, 300_000])
def test_b10_nothing_is_read_past_content_length(mode: Any, size: int) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, count: int = -1) -> bytes:
            assert 0 < count <= size - self.given, "asked for more than the body"
            self.given += count
            return b"x" * count

    app = Recorder()
    with adapted(app, loop=mode) as wsgi:
        call(wsgi, make_environ(b"", CONTENT_LENGTH=str(size), wsgi__input=Endless()))
    assert len(app.body) == size


def test_b10_a_chunked_body_that_the_server_does_not_decode_is_left_alone(mode: Any) -> None:
    app = Recorder()
    stream = Pieces(AssertionError("read"))
    with adapted(app, loop=mode) as wsgi:
        call(wsgi, make_environ(b"", CONTENT_LENGTH=None, HTTP_TRANSFER_ENCODING="chunked", wsgi__input=stream))
    assert app.body == b""


@pytest.mark.parametrize("pieces", [[b"0123456789"], [b"01234", b"56789"], []], ids=len)
def test_b11_a_truncated_body_ends_in_http_disconnect(mode: Any, pieces: list[bytes]) -> None:
    app = Recorder()
    with adapted(app, loop=mode) as wsgi:
        call(wsgi, make_environ(b"", CONTENT_LENGTH="100", wsgi__input=Pieces(*pieces)))
    assert app.messages[-1] == {"type": "http.disconnect"}
    assert app.body == b"".join(pieces)
    assert all(message["more_body"] for message in app.messages[:-1])


@pytest.mark.parametrize("before", [[], [b"abc"]], ids=["first", "later"])
@pytest.mark.parametrize("error", [OSError("reset"), ValueError("a server's own")], ids=repr)
def test_b12_an_error_of_the_input_is_http_disconnect(mode: Any, before: list[bytes], error: Exception) -> None:
    app = Recorder()
    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi, make_environ(b"", CONTENT_LENGTH="9", wsgi__input=Pieces(*before, error))).body == b"read"
    assert [message["type"] for message in app.messages] == ["http.request"] * len(before) + ["http.disconnect"]


def test_b12_the_applications_exception_has_the_input_error_as_its_cause(mode: Any) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if (await receive())["type"] == "http.disconnect":
            raise LookupError("no body")

    with adapted(app, loop=mode) as wsgi:
        with pytest.raises(LookupError, match="no body") as caught:
            call(wsgi, make_environ(b"", CONTENT_LENGTH="9", wsgi__input=Pieces(OSError("reset"))))
    assert isinstance(caught.value.__cause__, OSError)


def test_b13_receive_after_the_body_waits_for_the_end_of_the_response(mode: Any) -> None:
    order: list[str] = []
    ended = threading.Event()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def listen() -> None:
            message = await receive()
            order.append(message["type"])
            ended.set()

        await receive()
        listening = asyncio.create_task(listen())
        await asyncio.sleep(0)
        await start(send)
        await body(send, b"a", more=True)
        await asyncio.sleep(0.01)
        order.append("last body")
        await body(send, b"b")
        await listening

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi).body == b"ab"
        assert ended.wait(SECONDS)
    assert order == ["last body", "http.disconnect"]


@pytest.mark.parametrize("value", ["abc", "-1", "1.5", "٣"])
def test_a_content_length_that_is_not_a_number_gets_400(mode: Any, value: str) -> None:
    with adapted(hello, loop=mode) as wsgi:
        answer = call(wsgi, make_environ(b"abc", CONTENT_LENGTH=value), validate=False)  # the server is wrong
    assert answer.status.startswith("400 ")
    assert b"CONTENT_LENGTH" in answer.body


def test_a_client_that_expects_100_continue_is_not_read_before_the_application_asks(mode: Any) -> None:
    stream = Pieces(b"abc")
    with adapted(hello, loop=mode) as wsgi:
        call(wsgi, make_environ(b"abc", HTTP_EXPECT="100-continue", wsgi__input=stream))
        assert stream.reads == 0
        app = Recorder()
        with adapted(app, loop=mode) as other:
            call(other, make_environ(b"abc", HTTP_EXPECT="100-continue", wsgi__input=stream))
        assert app.body == b"abc"


# streaming


def test_b14_the_first_chunk_reaches_the_server_before_the_application_ends(mode: Any) -> None:
    go_on = threading.Event()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, b"first", more=True)
        await asyncio.to_thread(go_on.wait, SECONDS)
        await body(send, b"second")

    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ())
        chunks = iter(response)
        assert next(chunks) == b"first"
        assert not go_on.is_set()
        go_on.set()
        assert list(chunks) == [b"second"]
        response.close()


def test_b15_send_does_not_run_ahead_of_a_slow_consumer(mode: Any) -> None:
    sent = 0
    size = 64 * 1024

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await start(send)
        for _ in range(40):
            await body(send, b"x" * size, more=True)
            sent += 1
        await body(send)

    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ())
        consumed = ahead = 0
        for chunk in response:
            consumed += len(chunk) // size
            time.sleep(0.005)  # the slow consumer; the application has all the time to run ahead
            ahead = max(ahead, sent - consumed)
        response.close()
    assert consumed == 40
    assert ahead <= 4


def test_b15_small_chunks_wait_under_a_bound_of_bytes(mode: Any) -> None:
    sent = 0

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await start(send)
        for _ in range(2000):
            await body(send, b"x" * 1024, more=True)
            sent += 1
        await body(send)

    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ())
        chunks = iter(response)
        total = len(next(chunks))
        time.sleep(0.05)
        assert sent * 1024 - total <= 2 * 128 * 1024
        total += sum(map(len, chunks))
        response.close()
    assert total == 2000 * 1024


def test_b16_a_server_that_closes_early_is_an_oserror_in_send(mode: Any) -> None:
    ended: list[BaseException] = []
    done = threading.Event()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        try:
            while True:
                await body(send, b"x" * 1000, more=True)
                await asyncio.sleep(0)
        except BaseException as error:
            ended.append(error)
            raise
        finally:
            done.set()

    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ())
        next(iter(response))
        response.close()
        assert done.wait(SECONDS)
        assert isinstance(ended[0], OSError)
        service = wsgi._service
    assert service is not None
    assert not service.tasks


def test_b16_an_application_that_waits_for_a_slow_consumer_gets_an_oserror(mode: Any) -> None:
    ended = threading.Event()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        try:
            while True:
                await body(send, b"x" * 100_000, more=True)  # suspends, full
        except OSError:
            ended.set()
            raise

    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ())
        next(iter(response))
        response.close()
        assert ended.wait(SECONDS)


def test_b16_the_garbage_collector_frees_a_response_that_was_not_closed(mode: Any) -> None:
    ended = threading.Event()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        try:
            while True:
                await body(send, b"x" * 100_000, more=True)
        except OSError:
            ended.set()

    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ())
        next(iter(response))
        del response
        gc.collect()
        assert ended.wait(SECONDS)


def test_b16_a_response_that_is_left_at_the_end_of_the_interpreter_is_not_touched(mode: Any) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        for _ in range(20):  # more than the adapter collects, so that the body is not a list
            await body(send, b"x" * 100_000, more=True)
        await body(send, b"")

    with adapted(app, loop=mode) as wsgi:
        response: Any = wsgi(make_environ(), lambda *arguments: None)
        response.__del__(lambda: True)  # modules that it needs may be gone by then
        assert sum(map(len, response)) == 2_000_000
        response.close()


def test_b16b_an_application_that_waits_in_receive_gets_http_disconnect(mode: Any) -> None:
    got: list[str] = []
    done = threading.Event()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await start(send)
        await body(send, b"x", more=True)
        got.append((await receive())["type"])
        got.append((await receive())["type"])
        done.set()

    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ())
        assert next(iter(response)) == b"x"
        response.close()
        assert done.wait(SECONDS)
    assert got == ["http.disconnect", "http.disconnect"]


def test_a_chunk_that_the_server_accepted_is_not_reported_as_refused() -> None:
    """The loop hears of the part that was taken and of the closed response in one turn; the first of them counts."""
    sent: list[int] = []
    closed, ended = threading.Event(), threading.Event()
    size = 140_000  # above what may wait, so that each send waits until its part was taken
    assert size > _call.HIGH_BYTES

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        try:
            for number in range(5):
                if number == 2:  # the loop stands still from the wait of this send until the response was closed
                    asyncio.get_running_loop().call_soon(closed.wait, SECONDS)
                await body(send, b"a" * size, more=True)
                sent.append(number)
        finally:
            ended.set()

    with adapted(app, loop="shared") as wsgi:
        response = begin(wsgi, make_environ())
        parts = iter(response)
        assert [len(next(parts)) for _ in range(3)] == [size] * 3
        response.close()
        closed.set()
        assert ended.wait(SECONDS)
    assert sent == [0, 1, 2]


@pytest.mark.parametrize("times", [1, 3])
def test_close_may_be_called_again_and_after_the_end(mode: Any, times: int) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        for _ in range(3):
            await body(send, b"a" * 140_000, more=True)  # suspends: it cannot be a list
        await body(send)

    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ())
        assert len(b"".join(response)) == 420_000
        for _ in range(times):
            response.close()
        assert list(response) == []


# errors and liveness


def test_b17_an_exception_before_the_start_is_raised_to_the_server_as_it_is(mode: Any) -> None:
    error = ZeroDivisionError("mine")

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    with adapted(app, loop=mode) as wsgi, pytest.raises(ZeroDivisionError) as caught:
        call(wsgi)
    assert caught.value is error
    assert [entry.name for entry in caught.traceback][-1] == "app"


def test_b18_an_exception_between_head_and_body_leaves_the_server_free_to_answer(mode: Any) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        raise ZeroDivisionError("mine")

    started: list[Any] = []
    with adapted(app, loop=mode) as wsgi, pytest.raises(ZeroDivisionError):
        wsgi(make_environ(), lambda *args: started.append(args))
    assert started == []


@pytest.mark.parametrize("pause", [True, False])
def test_b19_an_exception_within_the_body_is_raised_by_the_iterator(mode: Any, pause: bool) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, b"part", more=True)
        if pause:
            await asyncio.sleep(0.01)
        raise ZeroDivisionError("mine")

    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ())
        chunks = iter(response)
        assert next(chunks) == b"part"
        with pytest.raises(ZeroDivisionError):
            next(chunks)
        response.close()


@http_only
async def says_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    return


@http_only
async def says_start_only(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send)


@pytest.mark.parametrize("app", [says_nothing, says_start_only], ids=["b20", "b21"])
def test_b20_b21_an_application_that_returns_without_a_body_is_an_error(mode: Any, app: Any) -> None:
    with adapted(app, loop=mode) as wsgi, pytest.raises(ApplicationError, match="must complete its response"):
        call(wsgi)


def test_b22_an_application_that_returns_within_the_body_is_an_error_of_the_iterator(mode: Any) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, b"part", more=True)

    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ())
        chunks = iter(response)
        assert next(chunks) == b"part"
        with pytest.raises(ApplicationError, match="must complete its response"):
            next(chunks)


async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def raises_cancelled() -> None:
    raise asyncio.CancelledError


async def cancels_everything() -> None:
    for task in asyncio.all_tasks():
        if "lifespan" not in task.get_name():
            task.cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize("how", [cancels_itself, raises_cancelled, cancels_everything])
@pytest.mark.parametrize("when", ["before", "within"])
def test_b23_a_cancelled_application_is_an_error(mode: Any, how: Any, when: str) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if when == "within":
            await start(send)
            await body(send, b"part", more=True)
        await how()

    with adapted(app, loop=mode) as wsgi:
        with pytest.raises(ApplicationError, match="cancelled") as caught:
            call(wsgi)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


def test_b23_a_request_whose_task_never_began_is_an_error(mode: Any) -> None:
    begun = threading.Event()
    proceed = threading.Event()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await asyncio.to_thread(proceed.wait, SECONDS)
        raise_cancelled = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in raise_cancelled:
            task.cancel()
        await start(send)
        await body(send, b"done")

    @http_only
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(3600)

    with adapted(app, loop=mode) as first, adapted(never, loop=mode) as second, ThreadPoolExecutor(2) as pool:
        one = pool.submit(call, first)
        assert begun.wait(SECONDS)
        two = pool.submit(call, second)
        while second._service is None or not second._service.tasks:
            time.sleep(0.001)
        proceed.set()
        assert one.result(SECONDS).body == b"done"
        with pytest.raises(ApplicationError, match="cancelled"):
            two.result(SECONDS)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_b23_an_exit_of_the_application_reaches_the_server_and_not_the_loop(mode: Any, error: BaseException) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/exit":
            await asyncio.sleep(0)
            raise error
        await hello(scope, receive, send)

    with adapted(app, loop=mode) as wsgi:
        with pytest.raises(type(error)):
            call(wsgi, make_environ(PATH_INFO="/exit"))
        assert call(wsgi).body == b"Hello, world!"


# the response


def test_b24_repeated_headers_and_latin1_values_are_kept_in_order(mode: Any) -> None:
    headers = [(b"set-cookie", b"a=1"), (b"x-name", b"caf\xe9"), (b"set-cookie", b"b=2")]

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send, 200, headers)
        await body(send, b"x")

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi).headers == [("set-cookie", "a=1"), ("x-name", "café"), ("set-cookie", "b=2")]


@pytest.mark.parametrize("extra", [{}, {"headers": None}, {"headers": iter([])}], ids=["absent", "none", "iterator"])
def test_b25_a_start_without_headers_and_an_unknown_status_are_served(mode: Any, extra: dict[str, Any]) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 299, **extra})
        await send({"type": "http.response.body"})

    with adapted(app, loop=mode) as wsgi:
        answer = call(wsgi)
    assert answer.status.startswith("299 ")
    assert answer.headers == []


def test_b26_work_after_the_response_does_not_delay_it_and_is_finished_at_close(mode: Any) -> None:
    release = threading.Event()
    finished: list[str] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, b"answer")
        try:
            await asyncio.to_thread(release.wait, SECONDS)
            finished.append("background")
        except asyncio.CancelledError:
            finished.append("cancelled")
            raise

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi).body == b"answer"
        assert finished == []
        release.set()
    assert finished == ["background"]


def test_b26b_work_that_outlasts_the_drain_timeout_is_cancelled_at_close(mode: Any) -> None:
    finished: list[str] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, b"answer")
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            finished.append("cancelled")
            raise

    with adapted(app, loop=mode, drain_timeout=0.05) as wsgi:
        assert call(wsgi).body == b"answer"
    assert finished == ["cancelled"]


def test_an_error_after_the_response_is_logged_once(mode: Any, caplog: pytest.LogCaptureFixture) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, b"answer")
        raise ZeroDivisionError("in the background")

    with caplog.at_level(logging.INFO), adapted(app, loop=mode) as wsgi:
        assert call(wsgi).body == b"answer"
    assert [record.name for record in caplog.records] == ["gateway.adapters"]
    assert "in the background" in caplog.text


# lifespan


class WithLifespan:
    """An application with a lifespan, which remembers what happened in which order."""

    def __init__(self, *, fail: str = "") -> None:
        self.events: list[str] = []
        self.fail = fail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.startup"
            if self.fail == "startup":
                await send({"type": "lifespan.startup.failed", "message": "no database"})
                return
            scope["state"]["pool"] = ["opened"]
            self.events.append("startup")
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            self.events.append("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.events.append("request")
        scope["state"]["mine"] = True
        await start(send)
        await body(send, ",".join(scope["state"]).encode())


def test_b27_the_lifespan_runs_once_before_the_first_request_and_its_state_is_in_every_scope(mode: Any) -> None:
    app = WithLifespan()
    with adapted(app, loop=mode) as wsgi:
        assert app.events == []
        assert [call(wsgi).body for _ in range(3)] == [b"pool,mine"] * 3
    assert app.events == ["startup", "request", "request", "request", "shutdown"]


def test_b27_many_first_requests_at_once_start_the_application_once(mode: Any) -> None:
    app = WithLifespan()
    with adapted(app, loop=mode) as wsgi, ThreadPoolExecutor(8) as pool:
        assert {answer.body for answer in pool.map(lambda _: call(wsgi), range(8))} == {b"pool,mine"}
    assert app.events == ["startup", *["request"] * 8, "shutdown"]


def test_b27_a_failed_startup_is_raised_by_start_and_by_every_request(mode: Any) -> None:
    app = WithLifespan(fail="startup")
    with adapted(app, loop=mode) as wsgi:
        for _ in range(2):
            with pytest.raises(LifespanFailed, match="no database"):
                wsgi.start()
            with pytest.raises(LifespanFailed, match="no database"):
                call(wsgi)


def test_b27_start_all_and_close_all_reach_every_adapter_of_the_process(
    mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        asgi_to_wsgi, "_adapters", weakref.WeakSet()
    )  # not those that other tests left to the collector
    first, second = WithLifespan(), WithLifespan()
    adapters = [AsgiToWsgi(first, loop=mode), AsgiToWsgi(second, loop=mode)]
    start_all()
    assert first.events == second.events == ["startup"]
    start_all()
    close_all()
    close_all()
    assert first.events == second.events == ["startup", "shutdown"]
    assert len(adapters) == 2


def test_an_adapter_that_was_closed_starts_again_with_the_next_request(mode: Any) -> None:
    app = WithLifespan()
    with adapted(app, loop=mode) as wsgi:
        call(wsgi)
        wsgi.close()
        wsgi.close()
        call(wsgi)
    assert app.events == ["startup", "request", "shutdown"] * 2


def test_lifespan_off_never_starts_the_application(mode: Any) -> None:
    app = WithLifespan()
    with adapted(app, loop=mode, lifespan="off") as wsgi:
        assert call(wsgi).body == b"mine"
    assert app.events == ["request"]


# threads, loops, context


def test_b28_a_context_variable_of_the_caller_is_seen_by_the_application(mode: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen = variable.get()
        variable.set("by the application")
        await asyncio.sleep(0)
        await start(send)
        await body(send, seen.encode())

    with adapted(app, loop=mode) as wsgi:
        token = variable.set("by the caller")
        assert call(wsgi).body == b"by the caller"
        assert variable.get() == "by the caller"
        variable.reset(token)
        assert call(wsgi).body == b"unset"


def test_b29_every_request_of_every_thread_runs_on_one_loop(mode: Any) -> None:
    loops: set[int] = set()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0.001)
        loops.add(id(asyncio.get_running_loop()))
        await hello(scope, receive, send)

    with adapted(app, loop=mode) as one, adapted(app, loop=mode) as two, ThreadPoolExecutor(4) as pool:
        for answer in pool.map(call, [one, two] * 10):
            assert answer.body == b"Hello, world!"
    assert len(loops) == 1


def test_b30_twenty_threads_wait_together(mode: Any) -> None:
    together = 0
    most = 0
    all_in: asyncio.Event | None = None

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal together, most, all_in
        if all_in is None:
            all_in = asyncio.Event()
        together += 1
        most = max(most, together)
        if together == 20:
            all_in.set()
        await asyncio.wait_for(all_in.wait(), SECONDS)
        await hello(scope, receive, send)

    with adapted(app, loop=mode) as wsgi, ThreadPoolExecutor(20) as pool:
        assert {answer.body for answer in pool.map(lambda _: call(wsgi), range(20))} == {b"Hello, world!"}
    assert most == 20


def test_b34_an_asgi_2_application_is_served(mode: Any) -> None:
    class Double:
        def __init__(self, scope: Scope) -> None:
            if scope["type"] != "http":
                raise NotImplementedError
            self.scope = scope

        async def __call__(self, receive: Receive, send: Send) -> None:
            await hello(self.scope, receive, send)

    with adapted(Double, loop=mode) as wsgi:  # type: ignore[arg-type]
        assert call(wsgi).body == b"Hello, world!"


def test_b35_requests_leave_no_tasks_threads_or_calls_behind(mode: Any) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await start(send)
        await body(send, b"x", more=True)
        await asyncio.sleep(0)
        await body(send, b"y")

    def kept() -> int:
        gc.collect()
        return sum(type(found).__name__ in ("AsgiCall", "ServedBody", "Task") for found in gc.get_objects())

    with adapted(app, loop=mode) as wsgi:
        for _ in range(50):
            call(wsgi)
        threads, objects = threading.active_count(), kept()
        for _ in range(500):
            call(wsgi)
        assert threading.active_count() == threads
        assert kept() <= objects + 2
        assert wsgi._service is not None
        assert len(wsgi._service.tasks) <= 1


def test_b36_fifty_adapters_share_one_loop_and_dropping_them_ends_it(mode: Any) -> None:
    before = threading.active_count()
    applications = [WithLifespan() for _ in range(50)]
    adapters = [AsgiToWsgi(app, loop=mode) for app in applications]
    for wsgi in adapters:
        call(wsgi)
    assert threading.active_count() <= before + 2
    runners = {id(wsgi._service.runner) for wsgi in adapters if wsgi._service is not None}
    assert len(runners) == 1
    adapters.clear()
    del wsgi
    deadline = time.monotonic() + SECONDS
    while _service._services and time.monotonic() < deadline:
        gc.collect()  # again and again: the task of the last request may only just be ending
        time.sleep(0.005)
    assert not _service._services
    assert not _service._runners
    assert [app.events for app in applications] == [["startup", "request", "shutdown"]] * 50


def test_b37_an_unknown_message_is_raised_in_the_applications_send(mode: Any) -> None:
    raised: list[Exception] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for kind in ("http.response.push", "http.response.debug", "http.response.pathsend", "nonsense"):
            try:
                await send({"type": kind})
            except Exception as error:
                raised.append(error)
        await hello(scope, receive, send)

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi).body == b"Hello, world!"
    assert [type(error) for error in raised] == [ApplicationError] * 4
    assert "http.response.push" in str(raised[0])


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "http.response.body", "body": b"x"}],
        [{"type": "http.response.start", "status": 200}, {"type": "http.response.start", "status": 200}],
        [{"type": "http.response.start", "status": True}],
        [{"type": "http.response.start", "status": "200"}],
        [{"type": "http.response.start", "status": 101}],
        [{"type": "http.response.start", "status": 200}, {"type": "http.response.body", "body": "text"}],
        [{"type": "http.response.start", "status": 200}, {"type": "http.response.body", "body": None}],
    ],
    ids=["body-first", "start-twice", "status-bool", "status-text", "status-1xx", "text", "none"],
)
def test_b38_a_message_out_of_order_or_of_a_wrong_type_is_raised_in_send(mode: Any, messages: list[Any]) -> None:
    raised: list[BaseException] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            for message in messages:
                await send(message)
        except ApplicationError as error:
            raised.append(error)
            raise

    with adapted(app, loop=mode) as wsgi, pytest.raises(ApplicationError) as caught:
        call(wsgi)
    assert raised == [caught.value]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_b38_buffers_are_sent_as_bytes(mode: Any, kind: Any) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, kind(b"abc"))

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi).chunks == [b"abc"]


def test_b39_a_single_final_chunk_is_a_list_of_one_so_that_servers_can_set_the_length(mode: Any) -> None:
    with adapted(hello, loop=mode) as wsgi:
        assert begin(wsgi, make_environ()).body == [b"Hello, world!"]


def test_b40_a_slow_input_of_one_request_does_not_block_another(mode: Any) -> None:
    release = threading.Event()
    waiting = threading.Event()

    class Slow(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            waiting.set()
            assert release.wait(SECONDS)
            return b"x" * size

    app = Recorder()
    with adapted(app, loop=mode) as slow, adapted(hello, loop=mode) as quick, ThreadPoolExecutor(1) as pool:
        environ = make_environ(b"", CONTENT_LENGTH="100000", HTTP_EXPECT="100-continue", wsgi__input=Slow())
        pending = pool.submit(call, slow, environ)
        assert waiting.wait(SECONDS)
        assert call(quick).body == b"Hello, world!"
        assert not pending.done()
        release.set()
        assert pending.result(SECONDS).body == b"read"
    assert len(app.body) == 100_000


def test_b43_a_thread_whose_own_loop_runs_is_served(mode: Any) -> None:
    with adapted(hello, loop=mode) as wsgi:

        async def main() -> bytes:
            return call(wsgi).body

        assert asyncio.run(main()) == b"Hello, world!"

        async def suspending(scope: Scope, receive: Receive, send: Send) -> None:
            await asyncio.sleep(0.001)
            await hello(scope, receive, send)

        with adapted(http_only(suspending), loop=mode) as other:

            async def again() -> bytes:
                return call(other).body

            assert asyncio.run(again()) == b"Hello, world!"


def test_a_call_on_the_applications_own_loop_is_refused(mode: Any) -> None:
    raised: list[BaseException] = []
    inner = AsgiToWsgi(hello, loop="shared")

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            call(inner)
        except ConfigurationError as error:
            raised.append(error)
        await hello(scope, receive, send)

    with adapted(app, loop="shared") as wsgi:
        assert call(wsgi).body == b"Hello, world!"
    inner.close()
    assert "would be a deadlock" in str(raised[0])


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 205)])
@pytest.mark.parametrize("streamed", [True, False])
def test_b46_a_response_without_a_body_yields_no_chunk(mode: Any, method: str, status: int, streamed: bool) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send, status, [(b"content-length", b"6")])
        if streamed:
            await body(send, b"abc", more=True)
            await asyncio.sleep(0)
        await body(send, b"abcdef")

    with adapted(app, loop=mode) as wsgi:
        answer = call(wsgi, make_environ(REQUEST_METHOD=method), validate=False)  # the application is wrong
    assert answer.chunks == []
    assert answer.headers == [("content-length", "6")]


@pytest.mark.parametrize("parts", [[b""], [b"", b""], [b"", b"x", b""]], ids=len)
def test_b46_empty_messages_are_no_chunks(mode: Any, parts: list[bytes]) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        for part in parts[:-1]:
            await body(send, part, more=True)
            await asyncio.sleep(0)
        await body(send, parts[-1])

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi).chunks == [part for part in parts if part]


def test_b47_send_after_the_response_raises_and_the_application_goes_on(mode: Any) -> None:
    raised: list[BaseException] = []
    done = threading.Event()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        for message in ({"type": "http.response.body", "body": b"more"}, {"type": "http.response.start", "status": 1}):
            try:
                await send(message)
            except ApplicationError as error:
                raised.append(error)
        done.set()

    with adapted(app, loop=mode) as wsgi:
        assert call(wsgi).body == b"Hello, world!"
        assert done.wait(SECONDS)
    assert len(raised) == 2
    assert "after the response was complete" in str(raised[0])


def test_b48_a_cancelled_receive_loses_no_message(mode: Any) -> None:
    release = threading.Event()

    class Late(io.RawIOBase):
        reads = 0

        def read(self, size: int = -1) -> bytes:
            self.reads += 1
            if self.reads == 1:
                return b"first"
            assert release.wait(SECONDS)
            return b"second"

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        got = [(await receive())["body"]]
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(receive(), 0.01)
        release.set()
        got.append((await receive())["body"])
        await start(send)
        await body(send, b"|".join(got))

    with adapted(app, loop=mode) as wsgi:
        environ = make_environ(b"", CONTENT_LENGTH="11", wsgi__input=Late())
        assert call(wsgi, environ).body == b"first|second"


def test_b50_starlette_with_base_http_middleware_and_streaming(mode: Any) -> None:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    class Adds(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            response = await call_next(request)
            response.headers["x-added"] = "1"
            return response

    async def stream(request: Any) -> StreamingResponse:
        async def parts() -> Any:
            for number in range(5):
                yield f"{number},"
                await asyncio.sleep(0)

        return StreamingResponse(parts())

    app = Starlette(routes=[Route("/", stream)], middleware=[Middleware(Adds)])
    with adapted(app, loop=mode) as wsgi:
        answer = call(wsgi)
    assert answer.body == b"0,1,2,3,4,"
    assert ("x-added", "1") in answer.headers


# options


@pytest.mark.parametrize(
    "options", [{"loop": "thread"}, {"loop": None}, {"lifespan": "maybe"}, {"drain_timeout": -1}], ids=str
)
def test_wrong_options_are_refused_when_built(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(options))}="):
        AsgiToWsgi(hello, **options)


def test_the_adapter_shows_what_it_wraps() -> None:
    wsgi = AsgiToWsgi(hello, loop="shared")
    assert wsgi.app is hello
    assert repr(hello) in repr(wsgi)
