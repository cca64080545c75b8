"""Event by state: what a driver does with each event in each of its states, at the server's side.

States: *idle* (no head), *held* (a head that waits for some of the body), *committed* (the head is out), *done* (the
last of the body is), *aborted* (ended without). A row brings a driver into its state, makes the event happen, and says
what the server got and how the exchange ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway import drivers
from gateway.contract import Middleware, peek
from gateway.exchange import Outcome, Request, Response
from tests.shows import shows


class Seen(Middleware):
    """A middleware that waits for the end and holds no head."""

    def __init__(self) -> None:
        object.__setattr__(self, "ends", [])

    def on_response(self, request: Request, response: Response) -> Any:
        response.headers.append("x-seen", "1")

    def on_finish(self, request: Request, outcome: Outcome) -> Any:
        # What fails here is logged and raised to nobody, so it comes first: then this end is missed.
        # An aborted exchange has a client that went away, or an error that is no Exception.
        assert outcome.disconnected == (outcome.kind == "aborted" and isinstance(outcome.error, Exception | None))
        assert outcome.websocket_close_code is None
        assert (outcome.first_byte_at is None) == (outcome.status is None)
        assert 0 <= (outcome.first_byte_at or 0.0) <= outcome.duration < 60
        ends: list[Any] = self.ends  # type: ignore[attr-defined]  # set above
        ends.append((outcome.kind, outcome.status, outcome.bytes_sent, outcome.bytes_received))


class Holds(Seen):
    """The same, and the head waits for four bytes."""

    def on_response(self, request: Request, response: Response) -> Any:
        yield from peek(4)
        response.headers.append("x-seen", "1")


START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
MORE: dict[str, Any] = {"type": "http.response.body", "body": b"ab", "more_body": True}
LAST: dict[str, Any] = {"type": "http.response.body", "body": b"cd"}
FILE: dict[str, Any] = {"type": "http.response.pathsend", "path": "/f"}
OTHER: dict[str, Any] = {"type": "http.response.debug", "info": {}}


@dataclass(frozen=True)
class Row:
    """A state, an event in it, what the server has then, and the outcome."""

    state: str
    event: Any
    sent: str
    outcome: Any
    raises: type[BaseException] | None = None

    @property
    def id(self) -> str:
        event = self.event["type"].rpartition(".")[2] if isinstance(self.event, dict) else self.event
        last = isinstance(self.event, dict) and self.event.get("more_body") is None and event == "body"
        return f"{self.state}-{'last' if last else getattr(event, '__name__', event)}"


#: What an application sends to bring a driver into a state.
ASGI_WAY: dict[str, list[Any]] = {
    "idle": [],
    "held": [START, MORE],
    "committed": [START, MORE],
    "done": [START, MORE, LAST],
}
# In `sent`: S a head, b a body message that goes on, l the last one, f a file, o another message.
ASGI_ROWS = [
    Row("idle", START, "S", ("failed", 200, 0, 0)),
    Row("idle", OTHER, "o", ("failed", None, 0, 0)),
    Row("idle", "receive", "", ("failed", None, 0, 3)),
    Row("idle", "disconnect", "", ("aborted", None, 0, 3)),
    Row("idle", "return", "", ("failed", None, 0, 0)),
    Row("idle", "gone-return", "", ("aborted", None, 0, 0)),
    Row("idle", ValueError, "", ("failed", None, 0, 0), ValueError),
    Row("idle", asyncio.CancelledError, "", ("aborted", None, 0, 0), asyncio.CancelledError),
    Row("idle", "disconnect-raise", "", ("aborted", None, 0, 3), ValueError),
    Row("held", "disconnect-raise", "", ("aborted", None, 0, 3), ValueError),
    Row("committed", "disconnect-raise", "Sb", ("aborted", 200, 2, 3), ValueError),
    Row("held", MORE, "Sb", ("failed", 200, 4, 0)),
    Row("held", LAST, "Sl", ("completed", 200, 4, 0)),
    Row("held", FILE, "Sbf", ("completed", 200, 2, 0)),
    Row("held", OTHER, "", ("failed", None, 0, 0)),
    Row("held", "receive", "", ("failed", None, 0, 3)),
    Row("held", "disconnect", "", ("aborted", None, 0, 3)),
    Row("held", "return", "", ("failed", None, 0, 0)),
    Row("held", "gone-return", "", ("aborted", None, 0, 0)),
    Row("held", ValueError, "", ("failed", None, 0, 0), ValueError),
    Row("held", asyncio.CancelledError, "", ("aborted", None, 0, 0), asyncio.CancelledError),
    Row("committed", START, "SbS", ("failed", 200, 2, 0)),
    Row("committed", MORE, "Sbb", ("failed", 200, 4, 0)),
    Row("committed", LAST, "Sbl", ("completed", 200, 4, 0)),
    Row("committed", FILE, "Sbf", ("completed", 200, 2, 0)),
    Row("committed", OTHER, "Sbo", ("failed", 200, 2, 0)),
    Row("committed", "receive", "Sb", ("failed", 200, 2, 3)),
    Row("committed", "disconnect", "Sb", ("aborted", 200, 2, 3)),
    Row("committed", "return", "Sb", ("failed", 200, 2, 0)),
    Row("committed", "gone-return", "Sb", ("aborted", 200, 2, 0)),
    Row("committed", ValueError, "Sb", ("failed", 200, 2, 0), ValueError),
    Row("committed", asyncio.CancelledError, "Sb", ("aborted", 200, 2, 0), asyncio.CancelledError),
    Row("done", OTHER, "Sblo", ("completed", 200, 4, 0)),
    Row("done", "receive", "Sbl", ("completed", 200, 4, 0)),
    Row("done", "disconnect", "Sbl", ("completed", 200, 4, 0)),
    Row("done", "return", "Sbl", ("completed", 200, 4, 0)),
    Row("done", "gone-return", "Sbl", ("completed", 200, 4, 0)),
    Row("done", ValueError, "Sbl", ("completed", 200, 4, 0), ValueError),
    Row("done", asyncio.CancelledError, "Sbl", ("completed", 200, 4, 0), asyncio.CancelledError),
]
LETTERS = {"start": "S", "pathsend": "f", "debug": "o"}


def letter(message: Any) -> str:
    kind = message["type"].rpartition(".")[2]
    return LETTERS[kind] if kind != "body" else "b" if message.get("more_body") else "l"


@shows("on_finish runs exactly once: completed, aborted or failed")
@shows("Each is an explicit state machine, tested event by state")
@pytest.mark.parametrize("row", ASGI_ROWS, ids=lambda row: row.id)
def test_asgi_each_event_in_each_state(row: Row) -> None:
    middleware = Holds() if row.state == "held" else Seen()
    sent: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in ASGI_WAY[row.state]:
            await send({**message})
        if isinstance(row.event, dict):
            await send({**row.event})
        elif row.event in ("receive", "disconnect", "disconnect-raise"):
            await receive()
            if row.event != "receive":
                assert (await receive())["type"] == "http.disconnect"
            if row.event == "disconnect-raise":
                raise ValueError
        elif row.event not in ("return", "gone-return"):  # the client is gone, and nobody received that
            raise row.event

    async def main() -> None:
        incoming = [{"type": "http.request", "body": b"xyz", "more_body": False}]

        async def receive() -> Any:
            if incoming:
                return incoming.pop()
            if row.event in ("disconnect", "disconnect-raise", "gone-return"):
                return {"type": "http.disconnect"}
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(letter(message))

        scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"3")]}
        await drivers.build_asgi([middleware], app)(scope, receive, send)

    if row.raises is None:
        asyncio.run(asyncio.wait_for(main(), 20))
    else:
        with pytest.raises(row.raises):
            asyncio.run(asyncio.wait_for(main(), 20))
    assert "".join(sent) == row.sent
    ends: list[Any] = middleware.ends  # type: ignore[attr-defined]  # set by its __init__
    kind, status, count, received = row.outcome
    assert ends == [(kind, status, count, 0 if row.state == "done" else received)]


@pytest.mark.parametrize("fails", [False, True], ids=["completes", "fails"])
@pytest.mark.parametrize("first", [False, True], ids=["sends-first", "reads-first"])
@pytest.mark.parametrize("kind", [Seen, Holds])
def test_asgi_a_client_is_watched_once_the_request_was_read(kind: type[Seen], first: bool, fails: bool) -> None:
    middleware = kind()

    async def main() -> None:
        incoming = [{"type": "http.request", "body": b"xyz", "more_body": False}]
        gone, looked = asyncio.Event(), asyncio.Event()

        async def receive() -> Any:
            if incoming:
                return incoming.pop()
            looked.set()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            pass

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if first:
                await receive()
            for message in (START, MORE) if kind is Holds else (START,):
                await send({**message})
            if not first:
                await receive()
            await send({**MORE})
            await looked.wait()
            if fails:
                raise ValueError("app")
            gone.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await send({**LAST})

        scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"3")]}
        serve = drivers.build_asgi([middleware], app)
        async with asyncio.timeout(20):  # no task of its own, unlike wait_for
            if fails:
                with pytest.raises(ValueError, match="app"):
                    await serve(scope, receive, send)
            else:
                await serve(scope, receive, send)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "the watch goes on"

    asyncio.run(main())
    ends: list[Any] = middleware.ends  # type: ignore[attr-defined]  # set by its __init__
    held = 2 if kind is Holds else 0
    assert ends == [("failed", 200, held + 2, 3) if fails else ("aborted", 200, held + 4, 3)]


@shows("When the last body message's send returned (ASGI)")
@pytest.mark.parametrize("kind", [Seen, Holds])
@pytest.mark.parametrize("listens", [False, True], ids=["sends", "listens"])
@pytest.mark.parametrize("end", ["body", "pathsend", "trailers"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_asgi_a_disconnect_that_the_last_send_brings_about_is_no_abort(
    kind: type[Seen], listens: bool, end: str, backend: str
) -> None:
    """Hypercorn hands ``http.disconnect`` out while the send that completes the response has not returned yet."""
    anyio = pytest.importorskip("anyio")
    middleware = kind()
    told: list[str] = []

    async def main() -> None:
        gone, left = anyio.Event(), anyio.Event()

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message == last:
                gone.set()
                await anyio.wait_all_tasks_blocked()

        async def listen(receive: Any) -> None:
            told.append((await receive())["type"])
            left.set()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async with anyio.create_task_group() as group:
                await send({**START, "trailers": True} if end == "trailers" else {**START})
                for _ in range(3):
                    await send({**MORE})
                    await anyio.wait_all_tasks_blocked()
                if listens:
                    group.start_soon(listen, receive)
                    await anyio.wait_all_tasks_blocked()
                if end == "trailers":
                    await send({**LAST})
                await send({**last})
                if listens:
                    await left.wait()
                told.append((await receive())["type"])

        with anyio.fail_after(20):
            scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
            await drivers.build_asgi([middleware], app)(scope, receive, send)

    last = {
        "body": {**LAST, "more_body": False},
        "pathsend": FILE,
        "trailers": {"type": "http.response.trailers", "headers": []},
    }[end]
    anyio.run(main, backend=backend)
    assert set(told) == {"http.disconnect"}, "as without a chain"
    ends: list[Any] = middleware.ends  # type: ignore[attr-defined]  # set by its __init__
    assert ends == [("completed", 200, {"pathsend": 6}.get(end, 8), 0)]


@pytest.mark.parametrize("error", [ValueError, ConnectionResetError])
def test_asgi_what_a_server_refuses_behind_a_plain_send_was_not_sent(error: type[Exception]) -> None:
    middleware = Seen()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in (START, MORE, MORE):
            await send({**message})

    async def really(message: Any) -> None:
        sent.append(letter(message))
        if sent == ["S", "b", "b"]:
            raise error

    def send(message: Any) -> Any:
        return really(message)

    async def receive() -> Any:
        return await asyncio.Event().wait()

    sent: list[str] = []
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    serve = drivers.build_asgi([middleware], app)
    with pytest.raises(error):
        asyncio.run(asyncio.wait_for(serve(scope, receive, send), 20))
    ends: list[Any] = middleware.ends  # type: ignore[attr-defined]  # set by its __init__
    assert ends == [("failed" if error is ValueError else "aborted", 200, 2, 0)]


@pytest.mark.parametrize("kind", [Seen, Holds])
def test_asgi_a_file_in_parts_is_complete_with_the_last(kind: type[Seen]) -> None:
    middleware = kind()
    sent: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "headers": [(b"content-length", b"6")]})
        part = {"type": "http.response.zerocopysend", "file": 1, "count": 3}
        await send({**part, "more_body": True})
        await send({**part})

    async def channel(message: Any = None) -> Any:
        sent.append(message["type"].rpartition(".")[2])

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    asyncio.run(drivers.build_asgi([middleware], app)(scope, channel, channel))
    assert sent == ["start", "zerocopysend", "zerocopysend"]
    ends: list[Any] = middleware.ends  # type: ignore[attr-defined]  # set by its __init__
    assert ends == [("completed", 200, 6, 0)]


@pytest.mark.parametrize("kind", [Seen, Holds])
def test_asgi_a_client_is_watched_by_one_receive(kind: type[Seen]) -> None:
    asked: list[int] = []

    async def main() -> None:
        async def receive() -> Any:
            asked.append(1)
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            await asyncio.sleep(0)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({**START})
            for _ in range(5):
                await send({**MORE})
            await send({**LAST})

        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        await drivers.build_asgi([kind()], app)(scope, receive, send)

    asyncio.run(asyncio.wait_for(main(), 20))
    assert asked == [1]


@pytest.mark.parametrize("own", [False, True], ids=["application", "middleware"])
def test_asgi_a_server_that_repeats_the_request_is_not_watched_for_ever(own: bool) -> None:
    middleware = Seen()
    asked = 0

    class Streams(Middleware):
        def on_request(self, request: Request) -> Any:
            return Response(200, body=iter([b"ab", b"cd"])) if own else None

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in (START, MORE, LAST):
            await send({**message})

    async def receive() -> Any:
        nonlocal asked
        asked += 1
        assert asked < 100, "a loop that never turns"
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    serve = drivers.build_asgi([middleware, Streams()], app)
    asyncio.run(asyncio.wait_for(serve(scope, receive, send), 20))
    ends: list[Any] = middleware.ends  # type: ignore[attr-defined]  # set by its __init__
    assert ends == [("completed", 200, 4, 0)]
    assert asked <= 2


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_asgi_a_server_that_repeats_the_request_is_not_asked_for_ever_after_an_early_end(backend: str) -> None:
    anyio = pytest.importorskip("anyio")
    middleware = Seen()
    asked = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START})

    async def receive() -> Any:
        nonlocal asked
        asked += 1
        assert asked < 100, "a loop that never turns"
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None: ...

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    anyio.run(drivers.build_asgi([middleware], app), scope, receive, send, backend=backend)
    ends: list[Any] = middleware.ends  # type: ignore[attr-defined]  # set by its __init__
    assert ends == [("failed", 200, 0, 0)]
    assert asked <= 2


class Rewrites(Middleware):
    """Another method for what stands further in, an answer to errors, and an interest in bodies."""

    def on_request(self, request: Request) -> Any:
        request.method = "GET"

    def on_error(self, request: Request, error: Exception) -> Any:
        return Response(500, body="sorry")

    def on_body(self, request: Request, response: Response) -> Any:
        raise AssertionError("asked for a response to HEAD")


@shows("on_body is not asked for HEAD, 1xx, 204, 304")
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_the_method_that_came_decides_whether_there_is_a_body(interface: str) -> None:
    got: list[bytes] = []

    def wsgi(environ: Any, start_response: Any) -> Any:
        raise ValueError(environ["REQUEST_METHOD"])

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError(scope["method"])

    async def send(message: Any) -> None:
        got.append(message.get("body", b""))

    async def receive() -> Any:
        raise AssertionError("nobody reads")

    if interface == "wsgi":
        serve = drivers.build_wsgi([Rewrites()], wsgi)
        body = serve({"REQUEST_METHOD": "HEAD"}, lambda *args: lambda data: None)
        got.extend(body)
    else:
        scope = {"type": "http", "method": "HEAD", "path": "/", "headers": []}
        asyncio.run(drivers.build_asgi([Rewrites()], asgi)(scope, receive, send))
    assert b"".join(got) == b""


@shows("Outcome: status, bytes sent and received, first byte, duration, error, disconnected")
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_the_time_before_the_long_way_is_taken_counts(interface: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    for name in ("asgi", "wsgi"):
        monkeypatch.setattr(f"gateway.drivers.{name}.perf_counter", lambda: clock[0])
    took: list[Any] = []

    class Times(Middleware):
        def on_finish(self, request: Request, outcome: Outcome) -> Any:
            took.append((outcome.first_byte_at, outcome.duration))

        def on_error(self, request: Request, error: Exception) -> Any:
            clock[0] += 1
            return Response(500)

    def wsgi(environ: Any, start_response: Any) -> Any:
        clock[0] += 7
        raise ValueError

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        wsgi(scope, send)

    async def channel(message: Any = None) -> Any:
        return None

    if interface == "wsgi":
        body: Any = drivers.build_wsgi([Times()], wsgi)({"REQUEST_METHOD": "GET"}, lambda *args: lambda data: None)
        list(body)
        body.close()
    else:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        asyncio.run(drivers.build_asgi([Times()], asgi)(scope, channel, channel))
    assert took == [(8.0, 8.0)]


# -- WebSocket: A an accept, s a message, c a close, D a denial's head, b a part of its body, o another message.

ACCEPT: dict[str, Any] = {"type": "websocket.accept"}
SAY: dict[str, Any] = {"type": "websocket.send", "text": "abc"}
CLOSE: dict[str, Any] = {"type": "websocket.close", "code": 4000}
DENY: dict[str, Any] = {"type": "websocket.http.response.start", "status": 401, "headers": []}
DENY_MORE: dict[str, Any] = {"type": "websocket.http.response.body", "body": b"no", "more_body": True}
DENY_LAST: dict[str, Any] = {"type": "websocket.http.response.body", "body": b"!"}
UNKNOWN: dict[str, Any] = {"type": "websocket.other"}
WEBSOCKET_LETTERS = {"accept": "A", "send": "s", "close": "c", "start": "D", "body": "b", "other": "o"}
WEBSOCKET_WAY: dict[str, list[Any]] = {
    "idle": [],
    "accepted": [ACCEPT, SAY],
    "denying": [DENY, DENY_MORE],
    "closed": [ACCEPT, CLOSE],
    "denied": [DENY, DENY_LAST],
}
#: Kind, status, bytes sent, close code.
CUT = asyncio.CancelledError
WEBSOCKET_ROWS = [
    Row("idle", ACCEPT, "A", ("completed", 101, 0, None)),
    Row("idle", CLOSE, "c", ("completed", 403, 0, 4000)),
    Row("idle", DENY, "D", ("failed", 401, 0, None)),
    Row("idle", DENY_LAST, "b", ("failed", None, 1, None)),
    Row("idle", UNKNOWN, "o", ("failed", None, 0, None)),
    Row("idle", 1000, "", ("aborted", None, 0, 1000)),
    Row("idle", 1006, "", ("aborted", None, 0, 1006)),
    Row("idle", "return", "", ("failed", None, 0, None)),
    Row("idle", ValueError, "", ("failed", None, 0, None), ValueError),
    Row("idle", CUT, "", ("aborted", None, 0, None), CUT),
    Row("idle", "broken", "", ("aborted", None, 0, None), OSError),
    Row("accepted", SAY, "Ass", ("completed", 101, 6, None)),
    Row("accepted", CLOSE, "Asc", ("completed", 101, 3, 4000)),
    Row("accepted", DENY_LAST, "Asb", ("completed", 101, 4, None)),
    Row("accepted", UNKNOWN, "Aso", ("completed", 101, 3, None)),
    Row("accepted", 1000, "As", ("completed", 101, 3, 1000)),
    Row("accepted", 4999, "As", ("completed", 101, 3, 4999)),
    Row("accepted", 1006, "As", ("aborted", 101, 3, 1006)),
    Row("accepted", "return", "As", ("completed", 101, 3, None)),
    Row("accepted", ValueError, "As", ("failed", 101, 3, None), ValueError),
    Row("accepted", CUT, "As", ("aborted", 101, 3, None), CUT),
    Row("accepted", "broken", "As", ("aborted", 101, 3, None), OSError),
    Row("denying", DENY_MORE, "Dbb", ("failed", 401, 4, None)),
    Row("denying", DENY_LAST, "Dbb", ("completed", 401, 3, None)),
    Row("denying", UNKNOWN, "Dbo", ("failed", 401, 2, None)),
    Row("denying", 1006, "Db", ("aborted", 401, 2, 1006)),
    Row("denying", "return", "Db", ("failed", 401, 2, None)),
    Row("denying", ValueError, "Db", ("failed", 401, 2, None), ValueError),
    Row("denying", CUT, "Db", ("aborted", 401, 2, None), CUT),
    Row("denying", "broken", "Db", ("aborted", 401, 2, None), OSError),
    *(
        Row(state, event, sent + letter, ("completed", *outcome), raises)
        for state, sent, outcome in (("closed", "Ac", (101, 0, 4000)), ("denied", "Db", (401, 1, None)))
        for event, letter, raises in (
            (SAY, "s", None),
            (UNKNOWN, "o", None),
            (1006, "", None),
            ("return", "", None),
            (ValueError, "", ValueError),
            (CUT, "", CUT),
        )
    ),
]


@shows("Each is an explicit state machine, tested event by state")
@pytest.mark.parametrize("row", WEBSOCKET_ROWS, ids=lambda row: row.id)
def test_websocket_each_event_in_each_state(row: Row) -> None:
    ends: list[Any] = []
    sent: list[str] = []
    answered: list[Exception] = []

    class Guards(Middleware):
        websocket = True

        def on_error(self, request: Request, error: Exception) -> Any:
            answered.append(error)

        def on_finish(self, request: Request, outcome: Outcome) -> Any:
            # What fails here is logged and raised to nobody, so it comes first: then this end is missed.
            gone = outcome.kind == "aborted" and not isinstance(outcome.error, CUT)
            assert outcome.disconnected is gone
            assert (outcome.first_byte_at is None) == (outcome.status is None)
            ends.append((outcome.kind, outcome.status, outcome.bytes_sent, outcome.websocket_close_code))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        for message in WEBSOCKET_WAY[row.state]:
            await send({**message})
        if isinstance(row.event, dict):
            await send({**row.event})
        elif isinstance(row.event, int):
            assert (await receive())["code"] == row.event
        elif row.event == "broken":
            await send({**(UNKNOWN if row.state == "idle" else SAY)})
        elif row.event != "return":
            raise row.event

    incoming = [{"type": "websocket.disconnect", "code": row.event}, {"type": "websocket.connect"}]

    async def receive() -> Any:
        return incoming.pop()

    async def send(message: Any) -> None:
        if row.event == "broken" and len(sent) == len(WEBSOCKET_WAY[row.state]):
            raise OSError
        sent.append(WEBSOCKET_LETTERS[message["type"].rpartition(".")[2]])

    scope = {"type": "websocket", "path": "/", "headers": [], "extensions": {"websocket.http.response": {}}}
    serving = drivers.build_asgi([Guards()], app)(scope, receive, send)
    if row.raises is None:
        asyncio.run(asyncio.wait_for(serving, 20))
    else:
        with pytest.raises(row.raises):
            asyncio.run(asyncio.wait_for(serving, 20))
    assert "".join(sent) == row.sent
    assert ends == [row.outcome]
    assert len(answered) == (row.state == "idle" and row.raises in (ValueError, OSError))


# -- WSGI: the application is a generator of steps; S a head, b a chunk, w a written chunk, R a restart with exc_info.

WSGI_ROWS = [
    Row("idle", "start", "S", ("completed", 200, 0, 0)),
    Row("idle", "read", "", ("failed", None, 0, 3), Exception),
    Row("idle", "chunk", "", ("failed", None, 0, 0), Exception),
    Row("idle", "close", "S", ("aborted", 200, 0, 0)),
    Row("idle", ValueError, "", ("failed", None, 0, 0), ValueError),
    Row("idle", SystemExit, "", ("aborted", None, 0, 0), SystemExit),
    Row("held", "chunk", "Sbb", ("completed", 200, 4, 0)),
    Row("held", "return", "Sb", ("completed", 200, 2, 0)),
    Row("held", "restart", "", ("failed", None, 0, 0), ZeroDivisionError),
    Row("held", ValueError, "", ("failed", None, 0, 0), ValueError),
    Row("held", SystemExit, "", ("aborted", None, 0, 0), SystemExit),
    Row("committed", "chunk", "Sbb", ("completed", 200, 4, 0)),
    Row("committed", "return", "Sb", ("completed", 200, 2, 0)),
    Row("committed", "read", "Sb", ("completed", 200, 2, 3)),
    Row("committed", "start", "Sb", ("failed", 200, 2, 0), Exception),
    Row("committed", "restart", "Sb", ("failed", 200, 2, 0), ZeroDivisionError),
    Row("committed", "close", "Sb", ("aborted", 200, 2, 0)),
    Row("committed", ValueError, "Sb", ("failed", 200, 2, 0), ValueError),
    Row("committed", SystemExit, "Sb", ("aborted", 200, 2, 0), SystemExit),
]


def wsgi_events(row: Row, environ: Any, start_response: Any) -> Iterator[bytes]:
    """Yield what brings a driver into the state, then let the event happen."""
    if row.state != "idle":
        start_response("200 OK", [])
        yield b"ab"
    event = row.event
    if event == "start":
        start_response("200 OK", [])
    elif event == "read":
        assert environ["wsgi.input"].read() == b"xyz"
    elif event == "chunk":
        yield b"cd"
    elif event == "close":  # the server's, so the application is in order
        if row.state == "idle":
            start_response("200 OK", [])
        yield b"cd"
    elif event == "restart":
        try:
            _ = 1 / 0
        except ZeroDivisionError as error:
            start_response("500 Sorry", [], (type(error), error, error.__traceback__))
    elif event != "return":
        raise event


@shows("on_finish runs exactly once: completed, aborted or failed")
@shows("So do GeneratorExit and SystemExit")
@shows("Each is an explicit state machine, tested event by state")
@pytest.mark.parametrize("row", WSGI_ROWS, ids=lambda row: row.id)
def test_wsgi_each_event_in_each_state(row: Row) -> None:
    import io

    middleware = Holds() if row.state == "held" else Seen()
    got: list[str] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        return wsgi_events(row, environ, start_response)

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
        got.append("S")
        return lambda data: None

    environ = {"REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(b"xyz"), "CONTENT_LENGTH": "3"}

    def run() -> None:
        body: Any = drivers.build_wsgi([middleware], app)(environ, start_response)
        try:
            if row.event == "close" and row.state == "idle":
                return
            for _chunk in body:
                got.append("b")
                if row.event == "close":
                    break
        finally:
            body.close()
            body.close()  # a second one ends nothing

    if row.raises is None:
        run()
    else:
        with pytest.raises(row.raises):
            run()
    assert "".join(got) == row.sent
    ends: list[Any] = middleware.ends  # type: ignore[attr-defined]  # set by its __init__
    assert ends == [row.outcome]


def test_wsgi_what_is_written_counts() -> None:
    middleware = Seen()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])(b"abc")
        return [b"de"]

    serve: Any = drivers.build_wsgi([middleware], app)
    body = serve({"REQUEST_METHOD": "GET"}, lambda *args: lambda data: None)
    assert list(body) == [b"de"]
    body.close()
    body.close()  # a second one ends nothing
    assert middleware.ends == [("completed", 200, 5, 0)]  # type: ignore[attr-defined]  # set by its __init__


@pytest.mark.parametrize("swallows", [False, True])
def test_wsgi_a_client_that_is_gone_in_a_write_is_an_abort(swallows: bool) -> None:
    middleware = Seen()

    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        write(b"one")
        try:
            write(b"two")
        except OSError:
            if not swallows:
                raise
        return [b""]

    def server_write(data: bytes) -> None:
        if data == b"two":
            raise BrokenPipeError

    serve = drivers.build_wsgi([middleware], app)
    try:
        body: Any = serve({"REQUEST_METHOD": "GET"}, lambda *args: server_write)
        list(body)
        body.close()
    except BrokenPipeError:
        assert not swallows
    ends: list[Any] = middleware.ends  # type: ignore[attr-defined]  # set by its __init__
    assert ends == [("aborted", 200, 3, 0)]


@pytest.mark.parametrize("fails", [False, True], ids=["closed", "fails"])
def test_wsgi_a_body_under_way_that_ends_early_counts_what_was_taken(fails: bool) -> None:
    middleware = Seen()

    def parts() -> Iterator[bytes]:
        yield b"ab"
        if fails:
            raise ValueError("part")
        yield b"cd"

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return parts()

    serve: Any = drivers.build_wsgi([middleware], app)
    body = serve({"REQUEST_METHOD": "GET"}, lambda *args: lambda data: None)
    taken = iter(body)
    assert next(taken) == b"ab"
    if fails:
        with pytest.raises(ValueError, match="part"):
            next(taken)
    body.close()
    ends: list[Any] = middleware.ends  # type: ignore[attr-defined]  # set by its __init__
    assert ends == [("failed" if fails else "aborted", 200, 2, 0)]
