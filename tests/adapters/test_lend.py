"""The lent loop under contention: nobody is left asleep, and few are woken for nothing."""

from __future__ import annotations

import asyncio
import io
import random
import threading
import time
from typing import Any

import pytest

from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from gateway.adapters.asgi_to_wsgi._call import AsgiCall
from gateway.adapters.asgi_to_wsgi._lend import LentLoop
from gateway.protocols import ASGIReceive, ASGISend, Scope

SECONDS = 60.0  # a bound for what must not hang, never a measure
UPLOAD = b"u" * 300_000
PIECE = b"p" * 20_000


def _call(app: AsgiToWsgi, path: str, leave: bool = False) -> int:
    """Send one request, and leave after the first of its body or take it all; return how much that was."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "SERVER_NAME": "h",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(UPLOAD if path == "/upload" else b""),
    }
    if path == "/upload":
        environ |= {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(UPLOAD))}
    body = app(environ, lambda status, headers, exc_info=None: None)
    taken = 0
    for part in body:
        taken += len(part)
        if leave:
            break
    close = getattr(body, "close", None)
    if close is not None:
        close()
    return taken


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    assert not any(thread.is_alive() for thread in threads), "a request hangs"


async def _every_kind(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    path = scope["path"]
    if path == "/timer":
        await asyncio.sleep(random.random() * 0.01)
    elif path == "/turns":
        for _ in range(3):
            await asyncio.sleep(0)
    elif path == "/upload":
        while (await receive()).get("more_body", False):
            pass
    elif path == "/thread":
        await asyncio.to_thread(time.sleep, 0.001)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if path == "/stream":
        for _ in range(40):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    elif path == "/slow":
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await asyncio.sleep(0.002)
    await send({"type": "http.response.body", "body": b"ok"})


SIZES = {"/": 2, "/timer": 2, "/turns": 2, "/upload": 2, "/thread": 2, "/stream": 40 * len(PIECE) + 2, "/slow": 5}


@pytest.mark.parametrize("at_once", [2, 3, 16])
def test_requests_of_every_kind_end_from_many_threads(at_once: int) -> None:
    wrong: list[tuple[str, int]] = []
    with AsgiToWsgi(_every_kind, loop="lend", lifespan="off") as app:

        def client(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(40):
                path = chance.choice(list(SIZES))
                leave = path in ("/stream", "/slow") and chance.random() < 0.3
                taken = _call(app, path, leave)
                if not leave and taken != SIZES[path]:
                    wrong.append((path, taken))

        _join([threading.Thread(target=client, args=(seed,), daemon=True) for seed in range(at_once)])
    assert wrong == []


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[AsgiCall]:
    """List each thread that is woken at its gate."""
    calls: list[AsgiCall] = []
    block = AsgiCall.block

    def counted(self: AsgiCall) -> None:
        block(self)
        calls.append(self)

    monkeypatch.setattr(AsgiCall, "block", counted)
    return calls


def test_a_change_of_the_leader_wakes_one_thread(woken: list[AsgiCall]) -> None:
    waiting: list[asyncio.Event] = []
    at_once = 16

    async def wait(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        event = asyncio.Event()
        waiting.append(event)
        await event.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    with AsgiToWsgi(wait, loop="lend", lifespan="off") as app:
        threads = [threading.Thread(target=_call, args=(app, "/"), daemon=True) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        runner = app._service.runner if app._service is not None else None
        assert isinstance(runner, LentLoop)
        deadline = time.monotonic() + SECONDS
        while (len(waiting) < at_once or len(runner._followers) < at_once - 1) and time.monotonic() < deadline:
            time.sleep(0.001)
        before = len(woken)
        for number in range(at_once):
            left = sum(thread.is_alive() for thread in threads)
            runner.post(waiting[number].set)
            while sum(thread.is_alive() for thread in threads) == left and time.monotonic() < deadline:
                time.sleep(0.001)
        assert not any(thread.is_alive() for thread in threads), "a request hangs"
    # Each by its own news, and one for each leader that left.
    assert len(woken) - before <= 2 * at_once


def test_an_exit_within_the_loop_ends_one_request_and_leaves_the_others_a_leader() -> None:
    waiting: list[asyncio.Event] = []
    at_once = 6
    exits: list[SystemExit] = []

    async def wait(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        event = asyncio.Event()
        waiting.append(event)
        await event.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    def leave() -> None:
        raise SystemExit(3)

    with AsgiToWsgi(wait, loop="lend", lifespan="off") as app:
        service = app._service
        assert service is not None
        taken: list[int] = []

        def client() -> None:
            try:
                taken.append(_call(app, "/"))
            except SystemExit as error:
                exits.append(error)

        threads = [threading.Thread(target=client, daemon=True) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + SECONDS
        while len(waiting) < at_once and time.monotonic() < deadline:
            time.sleep(0.001)
        # From outside, as a signal handler would: whoever leads runs it.
        service.runner.loop.call_soon_threadsafe(leave)
        while not exits and time.monotonic() < deadline:
            time.sleep(0.001)
        for event in waiting:
            service.runner.post(event.set)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        assert not any(thread.is_alive() for thread in threads), "a request hangs"
    assert [error.code for error in exits] == [3]
    assert taken == [2] * (at_once - 1)
