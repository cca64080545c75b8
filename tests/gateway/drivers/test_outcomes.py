"""What the end of an exchange tells, and when it is told."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from gateway import drivers
from gateway.exchange import Outcome, Request, Response
from tests.gateway.drivers._scenario import App, Record, asgi_app, wsgi_app
from tests.gateway.drivers._side import BODY, START, Side, logged, scope
from tests.shows import shows


@shows("Outcome: status, bytes sent and received, first byte, duration, error, disconnected")
def test_the_outcome_tells_what_was_sent_and_received(side: Side) -> None:
    outcomes: list[Outcome] = []
    chain = [logged("a", [], on_finish=lambda request, outcome: outcomes.append(outcome))]
    side.run(chain, App(reads=True, chunks=(b"abc", b"de"), shape="chunks"), "POST", b"payload")
    outcome = outcomes[0]
    assert (outcome.kind, outcome.status, outcome.bytes_sent, outcome.bytes_received) == ("completed", 200, 5, 7)
    assert outcome.first_byte_at is not None
    assert 0 <= outcome.first_byte_at <= outcome.duration
    assert outcome.error is None
    assert not outcome.disconnected


@shows("Background work of the application runs on and does not alter the outcome")
def test_background_work_does_not_alter_the_outcome() -> None:
    for fails in ("", "background"):
        record = Record()
        chain = [logged("a", [], on_finish=lambda request, outcome, record=record: record.note(outcome.kind))]
        serve = drivers.build_asgi(chain, asgi_app(record, App(fails=fails)))

        async def nothing(*args: Any) -> Any: ...

        try:
            asyncio.run(serve(scope(), nothing, nothing))
        except Exception as error:
            record.note(repr(error))
        expected = [("app", None, None), ("completed",), ("background",)]
        assert record.events == [*expected, *([("Boom('background')",)] if fails else [])]


@shows("When the last body message's send returned (ASGI)")
def test_an_asgi_exchange_completes_when_the_last_send_returned() -> None:
    log: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START})
        await send({**BODY, "more_body": True})
        log.append("last follows")
        await send({**BODY})
        log.append("background")

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        log.append(message["type"].rpartition(".")[2])

    async def receive() -> Any:
        return await asyncio.Event().wait()

    chain = [logged("a", [], on_finish=lambda request, outcome: log.append(outcome.kind))]
    asyncio.run(drivers.build_asgi(chain, app)(scope(), receive, send))
    assert log == ["start", "body", "last follows", "body", "completed", "background"]


@shows("At close() after exhaustion (WSGI)")
@pytest.mark.parametrize("shape", ["list", "chunks", "lazy"])
def test_a_wsgi_exchange_completes_at_close_after_exhaustion(shape: str) -> None:
    for taken, kind in ((3, "completed"), (1, "aborted")):
        ends: list[Any] = []
        chain = [logged("a", [], on_finish=lambda request, outcome, ends=ends: ends.append(outcome))]
        app = wsgi_app(Record(), App(shape=shape, chunks=(b"one", b"two")))
        body: Any = drivers.build_wsgi(chain, app)({"REQUEST_METHOD": "GET"}, lambda *args: lambda data: None)
        for _, _chunk in zip(range(taken), body, strict=False):
            assert ends == []
        assert ends == []
        body.close()
        body.close()
        assert [(end.kind, end.disconnected) for end in ends] == [(kind, kind == "aborted")]


@pytest.mark.parametrize("replaces", [True, False])
def test_an_exchange_ends_once_though_its_end_was_cut(replaces: bool) -> None:
    ends: list[str] = []

    def cut(request: Request, outcome: Outcome) -> None:
        ends.append(outcome.kind)
        raise SystemExit(3)

    def other(request: Request, response: Response) -> Response | None:
        return Response(503, body="instead") if replaces else None

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START})
        await send({**BODY})

    async def channel(message: Any = None) -> Any: ...

    serve = drivers.build_asgi([logged("a", [], on_finish=cut), logged("b", [], on_response=other)], app)

    async def main() -> None:
        with pytest.raises(SystemExit):
            await serve(scope(), channel, channel)

    asyncio.run(main())
    assert ends == ["completed"]


def test_a_last_message_that_the_server_refuses_is_a_client_that_left_though_the_application_says_nothing() -> None:
    outcomes: list[Outcome] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START})
        with contextlib.suppress(OSError):
            await send({**BODY})

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise ConnectionResetError

    chain = [logged("a", [], on_finish=lambda request, outcome: outcomes.append(outcome))]
    asyncio.run(asyncio.wait_for(drivers.build_asgi(chain, app)(scope(), receive, send), 20))
    assert [(outcome.kind, outcome.disconnected) for outcome in outcomes] == [("aborted", True)]
