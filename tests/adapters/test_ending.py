"""A server that stops kills what it has waited for too long: an application hears of it shortly before."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

import pytest

from gateway.adapters.asgi_to_wsgi import _call, _ending, _service, start_all
from gateway.adapters.asgi_to_wsgi._ending import Ending
from gateway.adapters.websocket import _open
from tests.adapters.asgi_under_wsgi import (
    MODES,
    Receive,
    Scope,
    Send,
    adapted,
    begin,
    body,
    http_only,
    make_environ,
    start,
)

SECONDS = 20.0


@pytest.fixture(autouse=True)
def _nothing_is_known_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ending", "single_threaded"):
        monkeypatch.setattr(_service, name, getattr(_service, name))
    monkeypatch.setattr(_open, "stopping", _open.stopping)
    monkeypatch.setattr(_call, "ASK_SECONDS", 0.01)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_the_end_is_near_when_a_server_that_stops_was_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(_ending.time, "monotonic", lambda: now[0])
    stopping = threading.Event()
    ending = Ending(stopping.is_set, 25.0)
    now[0] = 1000.0
    assert (ending.may_come, ending.is_near()) == (True, False)
    stopping.set()
    assert not ending.is_near()
    now[0] += 24.9
    assert not ending.is_near()
    now[0] += 0.1
    assert ending.is_near()


@pytest.mark.parametrize("ending", [Ending(), Ending(lambda: True), Ending(None, 1.0)])
def test_the_end_is_never_near_if_a_fact_is_missing(ending: Ending) -> None:
    assert (ending.may_come, ending.is_near()) == (False, False)


def test_a_stream_that_listens_ends_by_itself_before_the_process(mode: Any) -> None:
    stopping = threading.Event()
    heard: list[str] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, b"event", more=True)
        await receive()
        heard.append((await receive())["type"])
        await body(send, b"goodbye")

    start_all((), stopping=stopping.is_set, patience=0.0)
    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ())
        chunks = iter(response)
        assert next(chunks) == b"event"
        assert heard == []
        stopping.set()
        assert list(chunks) == [b"goodbye"]
        response.close()
    assert heard == ["http.disconnect"]


def test_a_signal_to_stop_reaches_a_main_thread_that_waits_for_an_event(mode: Any) -> None:
    """As in gunicorn's sync worker: the handler sets what tells whether it stops, and calls are restarted."""
    stopping = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *args: stopping.set())
    signal.siginterrupt(signal.SIGUSR1, False)
    waits = threading.Event()

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, b"event", more=True)
        await receive()
        waits.set()
        assert (await receive())["type"] == "http.disconnect"
        await body(send, b"goodbye")

    def stop() -> None:
        assert waits.wait(SECONDS)
        os.kill(os.getpid(), signal.SIGUSR1)

    try:
        start_all((), stopping=stopping.is_set, patience=0.0, single_threaded=True)
        thread = threading.Thread(target=stop)
        with adapted(app, loop=mode) as wsgi:
            thread.start()
            response = begin(wsgi, make_environ())
            assert b"".join(response) == b"eventgoodbye"
            response.close()
        thread.join(SECONDS)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_stream_that_does_not_listen_is_left_alone(mode: Any) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        for _ in range(5):
            await asyncio.sleep(0.02)
            await body(send, b"x", more=True)
        await body(send)

    start_all((), stopping=lambda: True, patience=0.0)
    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ())
        assert b"".join(response) == b"xxxxx"
        response.close()


def test_a_request_body_is_still_received(mode: Any) -> None:
    """Only an application that has its whole request waits for something that does not come."""

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            assert message["type"] == "http.request"
            size, more = size + len(message["body"]), message["more_body"]
        await start(send)
        await body(send, b"%d" % size)

    start_all((), stopping=lambda: True, patience=0.0)
    with adapted(app, loop=mode) as wsgi:
        response = begin(wsgi, make_environ(b"x" * 300_000))
        assert b"".join(response) == b"300000"
        response.close()
