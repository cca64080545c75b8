"""WebSocket handshakes through a chain: guards take part, the head is the accept or what denies it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway import drivers
from gateway.contract import Middleware, Refuse, as_middleware, finished, io, reply
from gateway.exchange import Outcome, Request, Response
from tests.shows import shows

DENIAL = {"websocket.http.response": {}}


def guard(log: list[Any], *, websocket: bool = True, **hooks: Any) -> Middleware:
    def define(name: str, act: Any) -> Any:
        def call(self: Any, *args: Any) -> Any:
            log.append(name)
            return act(*args) if callable(act) else act

        return call

    body = {name: define(name, act) for name, act in hooks.items()}
    return type("Guard", (Middleware,), {"websocket": websocket, **body})()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"x-app", b"1")]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def run(chain: list[Any], app: Any = echo, *, extensions: Any = None, incoming: list[Any] | None = None) -> list[Any]:
    """Run one socket; return what the server got."""
    sent: list[Any] = []
    messages = [{"type": "websocket.connect"}, *(incoming or []), {"type": "websocket.disconnect", "code": 1000}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/ws", "headers": [(b"origin", b"o")], "extensions": extensions or {}}
    before = repr(scope)
    try:
        asyncio.run(drivers.build_asgi(chain, app)(scope, receive, send))
    except Exception as error:
        sent.append(repr(error))
    assert repr(scope) == before
    return sent


@shows("The head is the accept (101) or the denial")
def test_the_accept_is_a_head_of_status_101() -> None:
    seen: list[Any] = []

    def check(request: Request, response: Response) -> None:
        assert request.is_websocket
        assert request.scheme == "ws"
        assert request.method == "GET"
        seen.append(response.status)
        response.headers.append("x-guard", "2")

    sent = run([guard([], on_response=check)])
    assert seen == [101]
    assert sent == [
        {"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"x-app", b"1"), (b"x-guard", b"2")]}
    ]


@shows("Outcome: the close code of a WebSocket")
def test_the_outcome_has_payload_sizes_and_the_close_code() -> None:
    outcomes: list[Outcome] = []
    chain = [guard([], on_finish=lambda request, outcome: outcomes.append(outcome))]
    run(chain, incoming=[{"type": "websocket.receive", "text": "é"}, {"type": "websocket.receive", "text": "abc"}])
    outcome = outcomes[0]
    assert (outcome.kind, outcome.status, outcome.bytes_sent, outcome.bytes_received) == ("completed", 101, 5, 5)
    assert outcome.websocket_close_code == 1000
    assert not outcome.disconnected


def test_an_application_that_closes_an_accepted_socket_gives_the_code() -> None:
    outcomes: list[Outcome] = []

    async def closes(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4002})

    run([guard([], on_finish=lambda request, outcome: outcomes.append(outcome))], closes)
    assert (outcomes[0].kind, outcomes[0].status, outcomes[0].websocket_close_code) == ("completed", 101, 4002)


def test_a_denial_counts_what_it_says() -> None:
    outcomes: list[Outcome] = []
    log = guard([], on_finish=lambda request, outcome: outcomes.append(outcome))
    run([log, guard([], on_request=lambda request: Response(401, body="who?"))], extensions=DENIAL)
    assert (outcomes[0].kind, outcomes[0].status, outcomes[0].bytes_sent) == ("completed", 401, 4)


def test_what_a_server_refused_to_send_is_not_counted() -> None:
    outcomes: list[Outcome] = []

    async def main() -> None:
        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            if message.get("text") == "gone":
                raise OSError("the client went away")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "abc"})
            await send({"type": "websocket.send", "text": "gone"})

        chain = [guard([], on_finish=lambda request, outcome: outcomes.append(outcome))]
        await drivers.build_asgi(chain, app)({"type": "websocket", "path": "/", "headers": []}, receive, send)

    with pytest.raises(OSError, match="went away"):
        asyncio.run(main())
    assert (outcomes[0].kind, outcomes[0].bytes_sent, outcomes[0].disconnected) == ("aborted", 3, True)


@shows("Outcome: the close code of a WebSocket")
@pytest.mark.parametrize("code", [1002, 1006, 1009, 1011, 2999, 5000])
def test_a_socket_that_breaks_is_aborted(code: int) -> None:
    outcomes: list[Outcome] = []
    chain = [guard([], on_finish=lambda request, outcome: outcomes.append(outcome))]
    run(chain, incoming=[{"type": "websocket.disconnect", "code": code}])
    assert (outcomes[0].kind, outcomes[0].disconnected, outcomes[0].websocket_close_code) == ("aborted", True, code)


@shows("Outcome: the close code of a WebSocket")
@pytest.mark.parametrize("code", [1000, 1001, 1005, 3000, 4001, 4999])
def test_a_client_that_closes_a_socket_with_a_reason_of_its_own_completes_it(code: int) -> None:
    outcomes: list[Outcome] = []
    chain = [guard([], on_finish=lambda request, outcome: outcomes.append(outcome))]
    run(chain, incoming=[{"type": "websocket.disconnect", "code": code}])
    assert (outcomes[0].kind, outcomes[0].disconnected, outcomes[0].websocket_close_code) == ("completed", False, code)


@shows("So do GeneratorExit and SystemExit")
@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(3), GeneratorExit()], ids=repr)
def test_a_socket_whose_application_is_cut_is_aborted_and_the_error_goes_on(error: BaseException) -> None:
    ends: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    async def main() -> None:
        chain = [guard([], on_error=Response(500), on_finish=lambda request, outcome: ends.append(outcome))]
        with pytest.raises(type(error)):
            await drivers.build_asgi(chain, app)({"type": "websocket", "path": "/", "headers": []}, app, app)

    asyncio.run(main())
    assert [(end.kind, end.error) for end in ends] == [("aborted", error)]


@shows("The head is the accept (101) or the denial")
def test_a_refusal_is_a_denial_response_where_the_server_offers_it() -> None:
    log: list[Any] = []
    chain = [
        guard(log, on_response=lambda request, response: response.headers.append("x-outer", "1")),
        guard(log, on_request=Response(401, body="who?"), on_finish=None),
    ]
    sent = run(chain, extensions=DENIAL)
    assert sent == [
        {
            "type": "websocket.http.response.start",
            "status": 401,
            "headers": [(b"x-outer", b"1"), (b"content-length", b"4")],
        },
        {"type": "websocket.http.response.body", "body": b"who?", "more_body": False},
    ]
    assert log == ["on_request", "on_response", "on_finish"]


@shows("The head is the accept (101) or the denial")
def test_a_refusal_is_a_close_where_it_does_not() -> None:
    outcomes: list[Outcome] = []

    def refuse(request: Request) -> None:
        raise Refuse(429)

    sent = run([guard([], on_request=refuse, on_finish=lambda request, outcome: outcomes.append(outcome))])
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert (outcomes[0].status, outcomes[0].kind) == (403, "completed")


@pytest.mark.parametrize("extensions", [None, DENIAL], ids=["close", "denial"])
def test_the_body_of_a_refusal_is_closed_whether_the_server_sends_it_or_not(extensions: Any) -> None:
    class Body(list[bytes]):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    body = Body([b"who?"])
    run([guard([], on_request=lambda request: Response(401, body=body))], extensions=extensions)
    assert body.closed == 1


def test_nothing_is_sent_before_the_connect_was_received() -> None:
    order: list[str] = []

    async def receive() -> Any:
        order.append("receive")
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        order.append(message["type"])

    serve = drivers.build_asgi([guard([], on_request=Response(403))], echo)
    asyncio.run(serve({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert order == ["receive", "websocket.close"]


def test_a_client_that_leaves_before_a_denial_is_aborted() -> None:
    outcomes: list[Outcome] = []

    async def receive() -> Any:
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(message: Any) -> None:
        pytest.fail(f"sent {message}")

    chain = [guard([], on_request=Response(403), on_finish=lambda request, outcome: outcomes.append(outcome))]
    asyncio.run(drivers.build_asgi(chain, echo)({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert (outcomes[0].kind, outcomes[0].disconnected) == ("aborted", True)


@shows("Who does not declare websocket is left out")
def test_who_does_not_declare_websocket_is_left_out() -> None:
    log: list[Any] = []
    sent = run([guard(log, websocket=False, on_request=Response(403)), guard(log, on_response=None)])
    assert log == ["on_response"]
    assert sent[0]["type"] == "websocket.accept"
    log.clear()
    assert run([guard(log, websocket=False, on_request=Response(403))])[0]["type"] == "websocket.accept"
    assert log == []


def test_an_accept_can_be_replaced_by_a_denial() -> None:
    chain = [guard([], on_response=lambda request, response: Response(418, body="no"))]
    sent = run(chain, extensions=DENIAL)
    assert [message["type"] for message in sent] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert sent[0]["status"] == 418


@shows("The head is the accept (101) or the denial")
def test_an_application_s_denial_passes_the_chain() -> None:
    async def denies(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"n", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"o"})

    outcomes: list[Outcome] = []

    def change(request: Request, response: Response) -> None:
        response.status = 403
        response.headers.append("x", "1")

    chain = [guard([], on_response=change, on_finish=lambda request, outcome: outcomes.append(outcome))]
    sent = run(chain, denies, extensions=DENIAL)
    assert sent[0] == {"type": "websocket.http.response.start", "status": 403, "headers": [(b"x", b"1")]}
    assert (outcomes[0].kind, outcomes[0].status, outcomes[0].bytes_sent) == ("completed", 403, 2)


@shows("The head is the accept (101) or the denial")
def test_an_application_s_close_is_a_head_of_status_403() -> None:
    async def closes(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 4000})

    seen: list[Any] = []
    outcomes: list[Outcome] = []
    chain = [
        guard(
            [],
            on_response=lambda request, response: seen.append(response.status),
            on_finish=lambda request, outcome: outcomes.append(outcome),
        )
    ]
    assert run(chain, closes) == [{"type": "websocket.close", "code": 4000}]
    assert seen == [403]
    assert (outcomes[0].status, outcomes[0].websocket_close_code) == (403, 4000)


def test_an_error_before_the_accept_can_be_answered_and_later_is_raised() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise ValueError("early")

    async def fails_late(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        raise ValueError("late")

    log: list[Any] = []
    chain = [guard(log, on_error=Response(500, body="x"), on_finish=lambda request, outcome: log.append(outcome.kind))]
    assert run(chain, fails, extensions=DENIAL)[0]["status"] == 500
    assert run(chain, fails_late, extensions=DENIAL)[-1] == "ValueError('late')"
    assert log == ["on_error", "on_finish", "completed", "on_finish", "failed"]


def test_an_error_in_the_head_phase_is_raised_and_remembered() -> None:
    async def swallows(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for _ in range(2):
            try:
                await send({"type": "websocket.accept"})
            except ValueError:
                continue

    def fail(request: Request, response: Response) -> None:
        raise ValueError("head")

    assert run([guard([], on_response=fail)], swallows) == ["ValueError('head')"]


def test_a_cancelled_socket_is_aborted() -> None:
    outcomes: list[Outcome] = []

    async def cancelled(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    async def nothing(*args: Any) -> Any: ...

    async def main() -> None:
        chain = [guard([], on_finish=lambda request, outcome: outcomes.append(outcome))]
        serve = drivers.build_asgi(chain, cancelled)
        with pytest.raises(asyncio.CancelledError):
            await serve({"type": "websocket", "path": "/", "headers": []}, nothing, nothing)

    asyncio.run(main())
    assert [outcome.kind for outcome in outcomes] == ["aborted"]


def test_the_generator_form_takes_part_and_does_io() -> None:
    log: list[Any] = []

    async def word(value: str) -> str:
        await asyncio.sleep(0)
        return value

    @as_middleware(websocket=True)
    def flow(request: Request) -> Any:
        if (yield from io(str, word, "deny")) == request.headers.get("origin"):
            yield from reply(Response(403))
            return
        response = yield
        log.append(response.status)
        outcome = yield from finished()
        log.append(outcome.websocket_close_code)

    assert run([flow()])[0]["type"] == "websocket.accept"
    assert log == [101, 1000]


def _looks_up(asked: asyncio.Event, goes_on: asyncio.Event, ends: list[str]) -> Middleware:
    """Build a guard whose response hook waits for IO."""

    async def look_up() -> None:
        asked.set()
        await goes_on.wait()

    class LooksUp(Middleware):
        websocket = True

        def on_response(self, request: Request, response: Response) -> Any:
            yield from io(lambda: None, look_up)

        def on_finish(self, request: Request, outcome: Outcome) -> None:
            ends.append(outcome.kind)

    return LooksUp()


def test_no_message_overtakes_an_accept_whose_hook_waits_for_its_io() -> None:
    sent: list[str] = []

    async def main() -> None:
        asked, goes_on = asyncio.Event(), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            first = asyncio.create_task(send({"type": "websocket.accept"}))
            await asked.wait()
            second = asyncio.create_task(send({"type": "websocket.send", "text": "hello"}))
            await asyncio.sleep(0)
            goes_on.set()
            await asyncio.gather(first, second)

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        scope = {"type": "websocket", "path": "/", "headers": []}
        async with asyncio.timeout(20):
            await drivers.build_asgi([_looks_up(asked, goes_on, [])], app)(scope, receive, send)

    asyncio.run(main())
    assert sent == ["websocket.accept", "websocket.send"]


def test_a_client_that_leaves_while_a_hook_of_the_accept_waits_ends_the_exchange_once() -> None:
    ends: list[str] = []

    async def main() -> None:
        asked, goes_on = asyncio.Event(), asyncio.Event()
        messages = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1006}]

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            accept = asyncio.create_task(send({"type": "websocket.accept"}))
            await asked.wait()
            assert (await receive())["type"] == "websocket.disconnect"
            goes_on.set()
            await accept

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None: ...

        scope = {"type": "websocket", "path": "/", "headers": []}
        async with asyncio.timeout(20):
            await drivers.build_asgi([_looks_up(asked, goes_on, ends)], app)(scope, receive, send)

    asyncio.run(main())
    assert ends == ["aborted"]
