"""Random chains, applications and servers: a request through either driver comes to what the model says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import drivers
from gateway.contract import Refuse
from tests.gateway.drivers._guards import CHAINS, middlewares
from tests.gateway.drivers._http_model import Model, Script
from tests.gateway.drivers._links import Broken, Guard, Record
from tests.shows import shows

pytestmark = pytest.mark.usefixtures("quiet")


def exchange(chain: list[Guard], script: Script) -> Record:
    """Play a script through a driver."""
    record = Record()
    parts = script.incoming or (b"",)
    incoming = [
        {"type": "http.request", "body": part, "more_body": place < len(parts)} for place, part in enumerate(parts, 1)
    ]

    async def receive() -> Any:
        return incoming.pop(0) if incoming else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        kind = message["type"].rpartition(".")[2]
        record.wire.append(
            (kind, message["status"], message["headers"])
            if kind == "start"
            else (kind, message["body"], message.get("more_body", False))
        )
        if len(record.wire) - 1 == script.breaks:
            raise Broken("gone")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for kind, *what in script.steps:
            if kind == "raise":
                raise ValueError("the application")
            if kind == "read":
                await receive()
                continue
            try:
                await send(
                    {"type": "http.response.start", "status": what[0], "headers": [(b"x-app", b"1")]}
                    if kind == "start"
                    else {"type": "http.response.body", "body": what[0], "more_body": what[1]}
                )
            except Exception:
                if not script.swallows:
                    raise

    length = [(b"content-length", b"%d" % sum(map(len, script.incoming)))] if script.incoming else []
    scope = {"type": "http", "method": script.method, "path": "/", "headers": length}

    async def main() -> None:
        async with asyncio.timeout(20):
            await drivers.build_asgi(middlewares(chain, record), app)(scope, receive, send)

    try:
        asyncio.run(main())
    except (ValueError, Refuse, Broken) as error:
        record.raised = str(error)
    return record


CHUNKS = st.sampled_from([b"", b"part", b"another"])
RAISE = st.lists(st.just(("raise",)), max_size=1)
READ = ("read",)


def _steps(reads: int, statuses: list[int], chunks: list[bytes], cut: int | None, ends: bool) -> list[tuple[Any, ...]]:
    """Make an application's steps; ``cut`` is after how many of them it fails."""
    steps: list[tuple[Any, ...]] = [READ] * reads
    steps += [*(("start", status) for status in statuses), *(("body", chunk, True) for chunk in chunks)]
    if ends:
        steps.append(("body", b"end", False))
    return steps if cut is None else [*steps[:cut], ("raise",)]


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    incoming = draw(st.sampled_from([(), (), (b"one",), (b"one", b"two")]))
    cut = draw(st.sampled_from([None] * 4 + [0, 1, 2, 3, 9]))
    steps = _steps(
        reads=draw(st.integers(0, max(len(incoming), 1))),
        statuses=draw(st.sampled_from([[200]] * 3 + [[404]] * 2 + [[200, 404]])),
        chunks=draw(st.lists(CHUNKS, max_size=3)),
        cut=cut,
        # An application that stops early is asked about for 50 ms.
        ends=cut is not None or draw(st.sampled_from([True] * 40 + [False])),
    )
    breaks = draw(st.sampled_from([-1] * 5 + [0, 1, 2]))
    # An application that swallows the server's OSError: a driver that awaits nothing of the server's has not seen it.
    swallows = breaks < 0 and draw(st.booleans())
    return Script(steps, draw(st.sampled_from(["GET", "HEAD", "POST"])), incoming, swallows, breaks)


def check(chain: list[Guard], script: Script) -> None:
    modelled = Model(chain, script).run()
    driven = exchange(chain, script)
    assert driven.calls == modelled.calls
    assert driven == modelled


@shows("_links.py and its models are the oracle of both machines")
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CHAINS, scripts())
def test_a_request_comes_to_what_the_model_says(chain: list[Guard], script: Script) -> None:
    check(chain, script)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CHAINS, scripts())
def test_a_request_comes_to_what_the_model_says_many_times(chain: list[Guard], script: Script) -> None:
    check(chain, script)
