"""Parity of ``on_start`` and ``on_stop``: once, in order, before the first request and after the last, in every way.

With a lifespan they come with it. Without one, under a WSGI server, they come with the first request and when the
interpreter exits; here that moment is called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.contract import BuildContext, Middleware, Process, Steps, hook, io
from gateway.exchange import Request
from tests.middleware.stacks import Call, Stack
from tests.parity.recording import Recording
from tests.parity.stories import Teller
from tests.parity.table import ENDING, MIDDLEWARE
from tests.parity.ways import WAYS, Way


class Starts(Middleware):
    """It starts and stops with IO."""

    def on_start(self, process: Process) -> Steps[None]:
        yield from io(int, _zero)

    def on_stop(self, process: Process) -> Steps[None]:
        yield from io(int, _zero)

    def on_request(self, request: Request) -> None: ...


class Inner(Starts):
    """The same, further in, without IO."""

    def on_start(self, process: Process) -> None: ...  # type: ignore[override]  # either form is a hook

    def on_stop(self, process: Process) -> None: ...  # type: ignore[override]  # either form is a hook


async def _zero() -> int:
    await asyncio.sleep(0)
    return 0


class Exits:
    """Stands for ``atexit``."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []
        self.register = self.calls.append
        self.unregister = self.calls.remove

    def run(self) -> None:
        while self.calls:
            self.calls.pop()()


def life(way: Way, make: list[Callable[[], Middleware]], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Run two requests and the end of the process; return every hook call."""
    exits = Exits()
    monkeypatch.setattr("gateway.drivers._process.atexit", exits)
    log: list[Any] = []
    recording = [Recording(each(), log) for each in make]
    teller = Teller(ENDING["one-chunk"], "eager" if way.driver == "wsgi" else "one-shot")
    stack = Stack(way.stack, recording, applications=(teller.wsgi, teller.asgi))
    try:
        for _ in range(2):
            for each in recording:
                each.begin()
            assert stack.request(Call()).error is None
            assert all(each.ended(20) for each in recording)
    finally:
        stack.close()
    exits.run()
    return [(name, hook_name) for name, hook_name, *rest in log if rest[0] != "gave"]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.id)
def test_they_come_once_outermost_first_and_innermost_last(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    assert life(way, [Starts, Inner], monkeypatch) == [
        ("Starts", "on_start"),
        ("Inner", "on_start"),
        *[("Starts", "on_request"), ("Inner", "on_request")] * 2,
        ("Inner", "on_stop"),
        ("Starts", "on_stop"),
    ]


@pytest.mark.parametrize("name", MIDDLEWARE)
def test_every_middleware_starts_and_stops_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = MIDDLEWARE[name][0]
    built = made().build(BuildContext())
    first: list[Any] | None = None
    for way in WAYS:
        calls = life(way, [made, Starts], monkeypatch)
        first = first or calls
        assert calls == first, way.id
        own = [hook_name for kind, hook_name in calls if kind == type(made()).__name__]
        for edge in ("on_start", "on_stop"):
            assert own.count(edge) <= 1, way.id
            assert own.count(edge) == 1 or hook(built, edge) is None, way.id
        for kind in {kind for kind, hook_name in calls if hook_name in ("on_start", "on_stop")}:
            names = [hook_name for each, hook_name in calls if each == kind]
            assert "on_start" not in names[1:], way.id
            assert "on_stop" not in names[:-1], way.id
