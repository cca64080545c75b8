"""IO of hooks, in either form and either colour."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.contract import (
    Middleware,
    as_middleware,
    finished,
    io,
)
from gateway.exchange import Outcome, Request, Response
from tests.gateway.drivers._side import Side, fail_in_io_async
from tests.shows import shows


@shows("An override is a plain def, or a generator that does IO; which one is decided when the chain is built")
def test_io_runs_in_either_form_and_either_colour(side: Side) -> None:
    async def word_async(word: str) -> str:
        await asyncio.sleep(0)
        return f"async {word}"

    def word_plain(word: str) -> str:
        return f"plain {word}"

    log: list[str] = []

    class Uses(Middleware):
        def on_request(self, request: Request) -> Any:
            log.append((yield from io(word_plain, word_async, "request")))

        def on_response(self, request: Request, response: Response) -> Any:
            log.append((yield from io(word_plain, word_async, "response")))

        def on_finish(self, request: Request, outcome: Outcome) -> Any:
            log.append((yield from io(word_plain, word_async, "finish")))

    @as_middleware
    def flow(request: Request) -> Any:
        log.append((yield from io(word_plain, word_async, "before")))
        yield
        log.append((yield from io(word_plain, word_async, "after")))
        yield from finished()
        log.append((yield from io(word_plain, word_async, "end")))

    side.run([Uses(), flow()])
    colour = "plain" if side.interface == "wsgi" else "async"
    assert log == [f"{colour} {word}" for word in ("request", "before", "after", "response", "end", "finish")]


@shows("An override is a plain def, or a generator that does IO; which one is decided when the chain is built")
def test_what_io_raises_is_raised_at_the_yield(side: Side) -> None:
    async def fail_async() -> None:
        raise OSError("store is down")

    def fail() -> None:
        raise OSError("store is down")

    class Open(Middleware):
        def on_request(self, request: Request) -> Any:
            try:
                yield from io(fail, fail_async)
            except OSError as error:
                return Response(503, body=str(error))

    assert side.run([Open()]).body == b"store is down"


def test_io_whose_functions_are_exchanged_is_refused_and_shown(side: Side) -> None:
    async def later() -> int:
        return 1

    def now() -> int:
        return 1

    class Exchanged(Middleware):
        def on_request(self, request: Request) -> Any:
            yield from io(later, now)  # type: ignore[arg-type]  # wrong on purpose

    record = side.run([Exchanged()])
    assert record.raised is not None
    which = "a plain function first" if side.interface == "wsgi" else "a coroutine function second"
    assert f"io(sync, coroutine, ...) takes {which}" in record.raised


def test_io_takes_two_functions_on_either_side(side: Side) -> None:
    @as_middleware
    def calls(request: Request) -> Any:
        coroutine = fail_in_io_async()
        try:
            yield from io(list, coroutine)  # type: ignore[arg-type]  # what an untyped author writes
        finally:
            coroutine.close()
        yield

    record = side.run([calls()])
    assert "takes two functions, then their arguments, got <coroutine object" in record.raised
    assert record.events == []
