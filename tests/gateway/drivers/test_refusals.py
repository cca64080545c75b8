"""A refusal raised by a transform of the request body: the answer before the head, a cut afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from gateway import drivers
from gateway.contract import (
    Middleware,
    Refuse,
    peek,
)
from gateway.exchange import Request, Response
from tests.gateway.drivers._scenario import App
from tests.gateway.drivers._side import BODY, START, BodyLimit, Side, logged, scope
from tests.shows import shows


@shows("If the head is uncommitted the refusal replaces the application's answer, though it was swallowed")
@pytest.mark.parametrize("swallows", [True, False])
def test_a_refusal_in_a_request_body_replaces_the_answer(side: Side, swallows: bool) -> None:
    log: list[Any] = []
    app = App(reads=True, swallows=swallows)
    chain = [logged("a", log, on_response=None), BodyLimit(), logged("z", log, on_response=None, on_finish=None)]
    record = side.run(chain, app, "POST", b"payload")
    assert str(record.status)[:3] == "413"
    assert b"too large" in record.body
    assert log == [("a", "on_response"), ("z", "on_finish")]


@shows("Else the connection is cut")
def test_a_refusal_after_the_head_cuts_the_connection() -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with contextlib.suppress(Refuse):
            await receive()
        with contextlib.suppress(Refuse):
            await send({"type": "http.response.body", "body": b"all is well"})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"payload"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    with pytest.raises(Refuse):
        asyncio.run(drivers.build_asgi([BodyLimit()], app)(scope(), receive, send))
    assert sent == ["http.response.start"]


@pytest.mark.parametrize("answers", [True, False])
def test_a_refusal_is_the_answer_of_an_application_that_swallows_it_and_says_no_more(side: Side, answers: bool) -> None:
    import io as streams

    got: list[Any] = []

    def wsgi(environ: Any, start_response: Any) -> Any:
        with contextlib.suppress(Refuse):
            environ["wsgi.input"].read()
        return []

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Refuse):
            await receive()

    async def receive() -> Any:
        return {"type": "http.request", "body": b"payload"}

    async def send(message: Any) -> None:
        got.append(message.get("status"))

    answer = {"on_response": lambda request, response: Response(499)} if answers else {"on_finish": None}
    chain = [logged("a", [], **answer), BodyLimit()]
    if side.interface == "wsgi":
        environ = {"CONTENT_LENGTH": "7", "wsgi.input": streams.BytesIO(b"payload"), "REQUEST_METHOD": "POST"}
        serve = drivers.build_wsgi(chain, wsgi)
        list(serve(environ, lambda line, *args: got.append(int(line[:3])) or (lambda data: None)))
    else:
        asyncio.run(drivers.build_asgi(chain, asgi)(scope(method="POST"), receive, send))
    assert got[0] == (499 if answers else 413)


def test_what_is_sent_after_a_refusal_has_cut_the_connection_goes_nowhere() -> None:
    got: list[Any] = []
    late: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START})
        await send({**BODY, "more_body": True})
        with contextlib.suppress(Refuse):
            await receive()
        late.append(send)  # for a task of its own, say

    async def receive() -> Any:
        return {"type": "http.request", "body": b"payload"}

    async def send(message: Any) -> None:
        got.append(message["type"])

    async def main() -> None:
        with pytest.raises(Refuse):
            await drivers.build_asgi([BodyLimit()], app)(scope(method="POST"), receive, send)
        with pytest.raises(Refuse):
            await late[0]({**BODY})

    asyncio.run(main())
    assert got == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize("waits", [True, False])
def test_what_is_written_after_a_refusal_has_cut_the_connection_goes_nowhere(waits: bool) -> None:
    import io as streams

    got: list[Any] = []
    log: list[Any] = []

    class Parts:
        def __init__(self, stream: Any, write: Any) -> None:
            self.stream, self.write = stream, write

        def __iter__(self) -> Iterator[bytes]:
            yield b"early"
            with contextlib.suppress(Refuse):
                self.stream.read()
            yield b"all is well"

        def close(self) -> None:
            with pytest.raises(Refuse):
                self.write(b"all is well")

    def app(environ: Any, start_response: Any) -> Any:
        return Parts(environ["wsgi.input"], start_response("200 OK", []))

    def start_response(line: str, *args: Any) -> Any:
        got.append(line)
        return got.append

    environ = {"CONTENT_LENGTH": "7", "wsgi.input": streams.BytesIO(b"payload"), "REQUEST_METHOD": "POST"}
    chain = [logged("a", log, on_response=None, **({"on_finish": None} if waits else {})), BodyLimit()]
    body: Any = drivers.build_wsgi(chain, app)(environ, start_response)
    with pytest.raises(Refuse):
        got.extend(body)
    body.close()
    assert got == ["200 OK", b"early"]
    assert log == [("a", "on_response"), ("a", "on_finish")][: 1 + waits]


def test_a_refusal_in_the_middle_of_a_stream_cuts_the_connection() -> None:
    sent: list[Any] = []
    log: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        with contextlib.suppress(Refuse):
            await receive()
        with contextlib.suppress(Refuse):
            await send({"type": "http.response.body", "body": b"all is well", "more_body": True})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"payload"}

    async def send(message: Any) -> None:
        sent.append(message.get("body"))

    chain = [logged("a", log, on_finish=lambda request, outcome: log.append(outcome.bytes_sent)), BodyLimit()]
    post = {**scope(), "method": "POST", "headers": [(b"content-length", b"7")]}
    with pytest.raises(Refuse):
        asyncio.run(drivers.build_asgi(chain, app)(post, receive, send))
    assert sent == [None, b"early"]
    assert log == [("a", "on_finish"), 5]


def test_a_refusal_while_a_head_is_held_passes_those_outside_of_who_holds_it() -> None:
    log: list[Any] = []
    sent: list[Any] = []

    class Holds(Middleware):
        def on_response(self, request: Request, response: Response) -> Any:
            log.append(("holds", "on_response"))
            yield from peek(100)
            log.append("never")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        with contextlib.suppress(Refuse):
            await receive()
        await send({"type": "http.response.body", "body": b"all is well"})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"payload"}

    async def send(message: Any) -> None:
        sent.append(message.get("status") or message["body"][:3])

    chain = [logged("a", log, on_response=None), Holds(), logged("z", log, on_response=None), BodyLimit()]
    post = {**scope(), "method": "POST", "headers": [(b"content-length", b"7")]}
    asyncio.run(drivers.build_asgi(chain, app)(post, receive, send))
    assert sent[0] == 413
    assert log == [("z", "on_response"), ("holds", "on_response"), ("a", "on_response")]


@shows("Else the connection is cut")
def test_a_refusal_after_the_head_cuts_the_connection_on_wsgi() -> None:
    import io as streams

    got: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"early"
        with contextlib.suppress(Refuse):
            environ["wsgi.input"].read()
        yield b"all is well"

    environ = {"CONTENT_LENGTH": "7", "wsgi.input": streams.BytesIO(b"payload"), "REQUEST_METHOD": "POST"}
    body: Any = drivers.build_wsgi([BodyLimit()], app)(
        environ, lambda *args: got.append(args[0]) or (lambda data: None)
    )
    with pytest.raises(Refuse):
        got.extend(body)
    body.close()
    assert got == ["200 OK", b"early"]


def _itself(refuse: Refuse) -> Exception:
    return refuse


def _caused(refuse: Refuse) -> Exception:
    error = RuntimeError("the body could not be parsed")
    error.__cause__ = refuse
    return error


def _grouped(refuse: Refuse) -> Exception:
    return ExceptionGroup("a task group", [refuse, ExceptionGroup("another", [_caused(refuse)])])


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("form", [_itself, _caused, _grouped])
def test_a_refusal_that_was_answered_does_not_reach_the_server(form: Any, waits: bool) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        except Refuse as refuse:
            # As Starlette does: a 500 for the client, and the exception goes on.
            await send({**START, "status": 500})
            await send({**BODY})
            raise form(refuse) from form(refuse).__cause__

    async def receive() -> Any:
        return {"type": "http.request", "body": b"payload"}

    async def send(message: Any) -> None:
        sent.append(message.get("status"))

    chain = [*([logged("a", [], on_finish=None)] if waits else []), BodyLimit()]
    asyncio.run(drivers.build_asgi(chain, app)(scope(method="POST"), receive, send))
    assert sent == [413, None]


def test_a_refusal_after_a_complete_response_does_not_reach_the_server() -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START})
        await send({**BODY})
        await receive()

    async def receive() -> Any:
        return {"type": "http.request", "body": b"payload"}

    async def send(message: Any) -> None:
        sent.append(message.get("status"))

    chain = [logged("a", [], on_finish=None), BodyLimit()]
    asyncio.run(drivers.build_asgi(chain, app)(scope(method="POST"), receive, send))
    assert sent == [200, None]


def test_another_error_after_a_refusal_was_answered_reaches_the_server() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Refuse):
            await receive()
        await send({**START})
        raise ExceptionGroup("a task group", [ValueError("a bug")])

    async def receive() -> Any:
        return {"type": "http.request", "body": b"payload"}

    async def send(message: Any) -> None: ...

    with pytest.raises(ExceptionGroup):
        asyncio.run(drivers.build_asgi([BodyLimit()], app)(scope(method="POST"), receive, send))


@pytest.mark.parametrize("form", [_itself, _caused, _grouped])
def test_a_refusal_that_was_answered_does_not_reach_a_wsgi_server(form: Any) -> None:
    import io as streams

    got: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        try:
            environ["wsgi.input"].read()
        except Refuse as refuse:
            write = start_response("500 Oops", [])
            write(b"an error page")
            raise form(refuse) from form(refuse).__cause__

    def start_response(line: str, *args: Any) -> Any:
        got.append(line)
        return got.append

    environ = {"CONTENT_LENGTH": "7", "wsgi.input": streams.BytesIO(b"payload"), "REQUEST_METHOD": "POST"}
    body: Any = drivers.build_wsgi([BodyLimit()], app)(environ, start_response)
    got.extend(body)
    body.close()
    assert got[0].startswith("413 ")
    assert b"too large" in got[1]


@pytest.mark.parametrize("waits", [True, False])
def test_a_body_that_is_refused_after_a_write_cuts_the_response(waits: bool) -> None:
    """The head is out by ``write()``; the application swallows the refusal and yields."""
    import io as streams

    got: list[Any] = []
    closed: list[bool] = []

    class Parts:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __iter__(self) -> Iterator[bytes]:
            with contextlib.suppress(Refuse):
                self.stream.read()
            yield b"all is well"

        def close(self) -> None:
            closed.append(True)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])(b"x")
        return Parts(environ["wsgi.input"])

    def start_response(line: str, *args: Any) -> Any:
        got.append(line)
        return got.append

    environ = {"CONTENT_LENGTH": "7", "wsgi.input": streams.BytesIO(b"payload"), "REQUEST_METHOD": "POST"}
    chain = [*([logged("a", [], on_finish=None)] if waits else []), BodyLimit()]
    body: Any = drivers.build_wsgi(chain, app)(environ, start_response)
    with pytest.raises(Refuse):
        got.extend(body)
    body.close()
    assert got == ["200 OK", b"x"]
    assert closed == [True]


def test_a_refusal_while_the_head_is_on_its_way_cuts_the_response() -> None:
    sent: list[Any] = []

    class Peeks(Middleware):
        def on_response(self, request: Request, response: Response) -> Any:
            yield from peek(1)

    async def main() -> None:
        on_its_way, goes_on = asyncio.Event(), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({**START})
            first = asyncio.create_task(send({**BODY, "more_body": True}))
            await on_its_way.wait()
            with contextlib.suppress(Refuse):
                await receive()
            goes_on.set()
            await first
            with contextlib.suppress(Refuse):
                await send({**BODY})

        async def receive() -> Any:
            return {"type": "http.request", "body": b"payload"}

        async def send(message: Any) -> None:
            sent.append(message["type"])
            if message["type"] == "http.response.start":
                on_its_way.set()
                await goes_on.wait()

        async with asyncio.timeout(20):
            with pytest.raises(Refuse):
                await drivers.build_asgi([Peeks(), BodyLimit()], app)(scope(method="POST"), receive, send)

    asyncio.run(main())
    assert sent == ["http.response.start", "http.response.body"], "the rest is cut off"
