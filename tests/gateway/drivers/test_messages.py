"""Messages on ASGI beside a head and a body: their order, trailers, a second head."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway import drivers
from gateway.contract import (
    Middleware,
    as_middleware,
    peek,
    transform,
)
from gateway.exchange import Request, Response
from tests.gateway.drivers._scenario import App, Record, asgi_app
from tests.gateway.drivers._side import ALL, BODY, START, Shout, Upper, _flow, converse, logged, run_side, scope
from tests.shows import shows


@shows("Early hints, push, debug pass; unknown messages pass in order")
def test_messages_that_are_not_known_pass_in_order() -> None:
    log: list[Any] = []
    record = run_side("asgi", [logged("a", log, **ALL)], App(shape="debug"))
    assert "http.response.debug" in record.extra
    record = run_side("asgi", [logged("a", log, **ALL)], App(shape="hints"))
    assert record.extra[0] == "http.response.early_hint"


@pytest.mark.parametrize("waits", [True, False])
def test_a_second_head_goes_to_the_server_as_it_came_and_no_hook_is_asked_again(waits: bool) -> None:
    """What to do with it is the server's business; without a chain it gets it too."""
    log: list[Any] = []

    def mark(request: Request, response: Response) -> None:
        response.headers.append("x-mark", "1")

    hooks = {"on_response": mark, **({"on_finish": None} if waits else {})}
    second = {**START, "status": 500}
    got = converse([logged("m", log, **hooks)], [START, second, BODY])
    assert [message.get("status") for message in got] == [200, 500, None]
    assert got[0]["headers"] == [(b"x-mark", b"1")]
    assert got[1] == second
    assert log == [("m", name) for name in hooks]


def _peeks(size: int | None) -> Middleware:
    def head(request: Request, response: Response) -> Any:
        yield from peek(size)

    return logged("p", [], on_response=head)


def _peeks_and_shouts() -> Middleware:
    @as_middleware
    def flow(request: Request) -> Any:
        yield
        yield from peek(3)
        yield from transform(Upper())

    return flow()


ORDERLY = {
    "head": lambda: [logged("a", [], on_response=None)],
    "finish": lambda: [logged("a", [], on_finish=None)],
    "flow": lambda: [_flow()],
    "peek-3": lambda: [_peeks(3)],
    "peek-all": lambda: [_peeks(None)],
    "transform": lambda: [Shout()],
    "peek-then-transform": lambda: [_peeks_and_shouts()],
    "transform-inside-a-peek": lambda: [_peeks(3), Shout(), logged("a", [], on_finish=None)],
}


WAITING = {
    "head": (lambda: [logged("a", [], on_response=None)], 0),
    "transform": (lambda: [Shout()], 1),
    "two-transforms": (lambda: [Shout(), Shout()], 1),
    "peek-1": (lambda: [_peeks(1)], 1),
    "peek-2": (lambda: [_peeks(2)], 2),
    "transform-around-a-peek": (lambda: [Shout(), _peeks(1)], 1),
    "peek-around-a-transform": (lambda: [_peeks(1), Shout()], 1),
    "peek-then-transform": (lambda: [_peeks_and_shouts()], 3),
}


@shows("peek(n) holds the head until n bytes or the end, None for a file body")
@pytest.mark.parametrize("kind", WAITING)
def test_a_head_waits_for_what_was_asked_for_and_no_chunk_longer(kind: str) -> None:
    make, chunks = WAITING[kind]
    out = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START})
        for number in range(5):
            assert (out > 0) is (number >= chunks), f"after {number} chunks"
            await send({**BODY, "body": b"x", "more_body": True})
        await send({**BODY})

    async def send(message: Any) -> None:
        nonlocal out
        out += 1

    async def receive() -> Any:
        return await asyncio.Event().wait()

    asyncio.run(drivers.build_asgi(make(), app)(scope(), receive, send))


@shows("Early hints, push, debug pass; unknown messages pass in order")
@shows("Trailers wait for finish()")
@pytest.mark.parametrize("kind", ORDERLY)
def test_other_messages_keep_their_place_among_head_body_and_trailers(kind: str) -> None:
    def other(name: str) -> dict[str, Any]:
        return {"type": name}

    messages = [
        other("http.response.early_hint"),
        other("http.response.debug"),
        other("http.response.push"),
        {**START, "trailers": True},
        other("x.after-head"),
        {**BODY, "body": b"a", "more_body": True},
        other("x.after-a"),
        {**BODY, "body": b"bcd", "more_body": True},
        other("http.response.push"),
        {**BODY, "body": b"e"},
        {"type": "http.response.trailers", "headers": []},
    ]
    got: list[Any] = []
    for message in converse(ORDERLY[kind](), messages):
        name = message["type"].removeprefix("http.response.")
        if name != "body":
            got.append(name)
        elif got and isinstance(got[-1], bytes):
            got[-1] += message["body"]
        else:
            got.append(message["body"])
    a, bcd, e = (b"A", b"BCD", b"E!") if "transform" in kind else (b"a", b"bcd", b"e")
    expected = ["early_hint", "debug", "push", "start", "x.after-head", a, "x.after-a", bcd, "push", e, "trailers"]
    if kind == "peek-then-transform":  # what was held is transformed afterwards: no place in it can be told
        expected[5:9] = ["x.after-a", b"ABCD", "push"]
    assert got == expected


@shows("Trailers wait for finish()")
def test_trailers_pass_and_the_end_waits_for_them() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"].rpartition(".")[2])

    async def nothing() -> Any: ...

    chain = [logged("a", [], on_finish=lambda request, outcome: sent.append(outcome.kind))]
    serve = drivers.build_asgi(chain, asgi_app(Record(), App(shape="trailers")))
    asyncio.run(serve(scope(), nothing, send))
    assert sent == ["start", "body", "body", "trailers", "completed"]


@pytest.mark.parametrize("end", [{}, {"on_finish": lambda request, outcome: None}], ids=["heads", "end"])
def test_a_head_without_fields_still_announces_its_trailers(end: dict[str, Any]) -> None:
    bare = {"type": "http.response.start", "status": 200, "trailers": True}
    messages = [bare, BODY, {"type": "http.response.trailers", "headers": []}]
    named = logged("a", [], on_response=lambda request, response: response.headers.append("x-a", "1"), **end)
    assert converse([named], messages)[0] == {**bare, "headers": [(b"x-a", b"1")]}


@pytest.mark.parametrize("hook", ["on_body", "on_response", "on_finish"])
def test_trailers_are_announced_to_the_server_and_pass_a_chain(hook: str) -> None:
    def shout(*args: Any) -> Upper:
        return Upper()

    def look(request: Request, response: Response) -> Any:
        yield from peek(1)

    hooks = {"on_body": shout, "on_response": look, "on_finish": None}
    start = {**START, "trailers": True}
    trailers = {"type": "http.response.trailers", "headers": [(b"x-t", b"1")]}
    got = converse([logged("a", [], **{hook: hooks[hook]})], [start, BODY, trailers])
    assert [message["type"] for message in got] == [message["type"] for message in (start, BODY, trailers)]
    assert got[0]["trailers"] is True
    assert got[2] == trailers
