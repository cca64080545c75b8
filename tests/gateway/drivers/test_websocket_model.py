"""Random chains, applications and clients: a WebSocket through the driver comes to what the model says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import drivers
from gateway.contract import Refuse
from tests.gateway.drivers._guards import CHAINS, middlewares
from tests.gateway.drivers._links import Broken, Guard, Record
from tests.gateway.drivers._websocket_model import Conversation, Model
from tests.shows import shows

pytestmark = pytest.mark.usefixtures("quiet")


def converse(chain: list[Guard], script: Conversation) -> Record:
    """Play a script through the driver."""
    record = Record()
    incoming: list[dict[str, Any]] = [{"type": "websocket.connect"}] if script.connects else []
    if script.connects:
        incoming += [
            {"type": "websocket.receive", "text" if isinstance(part, str) else "bytes": part}
            for part in script.incoming
        ]

    async def receive() -> Any:
        return incoming.pop(0) if incoming else {"type": "websocket.disconnect", "code": script.code}

    async def send(message: Any) -> None:
        record.wire.append(message)
        if len(record.wire) - 1 == script.breaks:
            raise Broken("gone")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def read() -> str:
            kind: str = (await receive())["type"]
            record.read.append(kind)
            return kind

        if await read() != "websocket.connect":
            return
        for kind, *what in script.steps:
            if kind == "raise":
                raise ValueError("the application")
            if kind == "read":
                if await read() == "websocket.disconnect":
                    return
                continue
            try:
                for message in spoken(kind, *what):
                    await send(message)
            except Exception:
                if not script.swallows:
                    raise

    extensions = {"websocket.http.response": {}} if script.denial else {}
    scope = {"type": "websocket", "path": "/ws", "headers": [], "extensions": extensions}

    async def main() -> None:
        async with asyncio.timeout(20):
            await drivers.build_asgi(middlewares(chain, record), app)(scope, receive, send)

    try:
        asyncio.run(main())
    except (ValueError, Refuse, Broken) as error:
        record.raised = str(error)
    return record


def spoken(kind: str, *what: Any) -> list[dict[str, Any]]:
    """Return the messages of an application's step."""
    if kind == "accept":
        return [{"type": "websocket.accept", "headers": [(b"x-app", b"1")]}]
    if kind == "close":
        return [{"type": "websocket.close", "code": what[0]}]
    if kind == "send":
        return [{"type": "websocket.send", "text" if isinstance(what[0], str) else "bytes": what[0]}]
    start = {"type": "websocket.http.response.start", "status": 404, "headers": [(b"x-app", b"1")]}
    parts = [{"type": "websocket.http.response.body", "body": part, "more_body": True} for part in what[0]]
    return [start, *parts, {"type": "websocket.http.response.body", "body": b""}]


PAYLOADS = st.sampled_from(["", "text", "\u00e4\U0001f600", b"", b"\x00\xff"])
CODES = st.sampled_from([1000, 1001, 1005, 1006, 1011, 3000, 4999])
READ, RAISE = st.just(("read",)), st.just(("raise",))
SEND = st.tuples(st.just("send"), PAYLOADS)
CLOSE = st.tuples(st.just("close"), CODES)
DENY = st.tuples(st.just("deny"), st.lists(st.sampled_from([b"", b"no"]), max_size=2))
TALK = st.builds(
    lambda talk, end: [("accept",), *talk, *end],
    st.lists(st.one_of(READ, SEND), max_size=4),
    st.lists(st.one_of(CLOSE, RAISE), max_size=1),
)
#: What an application does: most often it accepts and talks, to an end of its own or none.
STEPS = st.one_of(TALK, TALK, TALK, st.lists(RAISE, max_size=1), st.tuples(st.one_of(READ, CLOSE, DENY)).map(list))
CONVERSATIONS = st.builds(
    Conversation,
    steps=STEPS,
    incoming=st.lists(PAYLOADS, max_size=3),
    code=CODES,
    swallows=st.booleans(),
    denial=st.booleans(),
    connects=st.sampled_from([True] * 5 + [False]),
    breaks=st.sampled_from([-1] * 5 + [0, 1, 2]),
)


def check(chain: list[Guard], script: Conversation) -> None:
    modelled, driven = Model(chain, script).run(), converse(chain, script)
    assert driven.calls == modelled.calls
    assert driven == modelled


@shows("_links.py and its models are the oracle of both machines")
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CHAINS, CONVERSATIONS)
def test_a_websocket_comes_to_what_the_model_says(chain: list[Guard], script: Conversation) -> None:
    check(chain, script)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CHAINS, CONVERSATIONS)
def test_a_websocket_comes_to_what_the_model_says_many_times(chain: list[Guard], script: Conversation) -> None:
    check(chain, script)
