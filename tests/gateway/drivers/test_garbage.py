"""What is left of an exchange when it has ended: nothing."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from gateway import drivers
from gateway.contract import (
    Middleware,
    as_middleware,
)
from gateway.exchange import Outcome, Request, Response
from tests.gateway.drivers._scenario import App, Boom
from tests.gateway.drivers._side import BODY, START, Side, logged, scope


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_request_that_ends_early_after_its_head_leaves_the_generator_of_another_alone(interface: str) -> None:
    log: list[Any] = []
    heads: list[Any] = []

    @as_middleware
    def flow(request: Request) -> Any:
        response = yield
        response.headers.append("x-flow", request.path)

    def end(request: Request, outcome: Outcome) -> None:
        log.append((request.path, outcome.kind))

    chain = [flow(), logged("a", [], on_finish=end)]

    def plain() -> None:
        def app(environ: Any, start_response: Any) -> Any:
            if environ["PATH_INFO"] == "/second":
                assert next(iter(first)) == b"part"
                first.close()
            start_response("200 OK", [])
            return [b"part", b"rest"]

        def start_response(line: str, headers: Any, *rest: Any) -> Any:
            heads.append(headers)
            return lambda data: None

        serve = drivers.build_wsgi(chain, app)
        first: Any = serve({"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/first"}, start_response)
        second: Any = serve({"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/second"}, start_response)
        list(second)
        second.close()

    async def concurrent() -> None:
        began, failed = asyncio.Event(), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/first":
                await send({**START})
                await began.wait()
                raise Boom
            began.set()
            await failed.wait()
            await send({**START})
            await send({**BODY})

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                heads.append([(name.decode(), value.decode()) for name, value in message["headers"]])

        async def receive() -> Any:
            return await asyncio.Event().wait()

        serve = drivers.build_asgi(chain, app)
        async with asyncio.timeout(20):
            first = asyncio.ensure_future(serve(scope(path="/first"), receive, send))
            second = asyncio.ensure_future(serve(scope(path="/second"), receive, send))
            with pytest.raises(Boom):
                await first
            failed.set()
            await second

    if interface == "wsgi":
        plain()
    else:
        asyncio.run(concurrent())
    assert heads == [[("x-flow", "/first")], [("x-flow", "/second")]]
    assert log == [("/first", "aborted" if interface == "wsgi" else "failed"), ("/second", "completed")]


class Answers(Middleware):
    """It reads the request and answers where it is told to."""

    def on_request(self, request: Request) -> Response | None:
        return Response(200) if request.headers.get("x-answer") else None

    def on_response(self, request: Request, response: Response) -> None:
        request.headers.get("host")


class Late(Middleware):
    """It reads the request when the head is there."""

    def on_response(self, request: Request, response: Response) -> None:
        request.headers.get("host")


@pytest.mark.parametrize(
    ("chain", "answers"),
    [
        ([Late()], False),
        ([Answers()], False),
        ([Answers()], True),
        ([logged("a", [], on_finish=None), Late()], False),
        ([logged("a", [], on_finish=None), Answers()], True),
    ],
    ids=["heads", "requests", "answers", "waits", "waits-for-an-answer"],
)
def test_no_request_of_a_regular_asgi_exchange_is_left_to_the_garbage_collector(
    chain: list[Middleware], answers: bool
) -> None:
    left: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START})
        await send({**BODY})

    async def channel(message: Any = None) -> Any: ...

    async def main() -> None:
        serve = drivers.build_asgi(chain, app)
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            headers = [(b"x-answer", b"1")] if answers else []
            await serve(scope(path="/left", headers=headers), channel, channel)
            gc.collect()
            left.extend(each for each in gc.garbage if isinstance(each, Request) and each.path == "/left")
        finally:
            gc.set_debug(0)
            gc.garbage.clear()

    asyncio.run(main())
    assert left == []


def test_a_transform_is_let_go_when_its_response_is_complete(side: Side) -> None:
    made: list[weakref.ref[Any]] = []

    class Held:
        def push(self, chunk: bytes) -> bytes:
            return chunk.upper()

        def finish(self) -> bytes:
            return b"."

    class Changes(Middleware):
        def on_body(self, request: Request, response: Response) -> Any:
            held = Held()
            made.append(weakref.ref(held))
            return held

        def on_finish(self, request: Request, outcome: Outcome) -> None:
            gc.disable()  # from here on nobody but the driver lets go

    try:
        assert side.run([Changes()], App(chunks=[b"a", b"b"])).body == b"AB."
        assert [each() for each in made] == [None]
    finally:
        gc.enable()


def test_the_transforms_of_a_response_do_not_wait_for_background_work() -> None:
    alive: list[Any] = []

    class Change:
        def push(self, chunk: bytes, /) -> bytes:
            return chunk

        def finish(self) -> bytes:
            return b""

    class Changes(Middleware):
        def on_body(self, request: Request, response: Response) -> Any:
            change = Change()
            alive.append(weakref.ref(change))
            return change

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START})
        await send({**BODY})
        alive.append(alive[0]() is not None)  # here an application does its background work

    async def channel(message: Any = None) -> Any: ...

    gc.disable()
    try:
        asyncio.run(drivers.build_asgi([Changes()], app)(scope(), channel, channel))
    finally:
        gc.enable()
    assert alive[1] is False
