"""``stack``: build a chain around a scripted application, once in each of the four ways it can stand in a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.middleware.stacks import STACKS, Script, Stack

MakeStack = Callable[..., Stack]


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> MakeStack:
    """Give ``stack(*middleware, script=Script(...))``; a test that takes it runs in both drivers and both adapters."""

    def make(*middleware: Any, script: Script | None = None) -> Stack:
        return Stack(request.param, middleware, script)

    make.kind = request.param  # type: ignore[attr-defined]  # so that a test can tell where it stands
    return make


@pytest.fixture
def socket_stack() -> MakeStack:
    """Give the same for WebSocket handshakes, which exist in ASGI only."""

    def make(*middleware: Any, script: Script | None = None) -> Stack:
        return Stack("asgi", middleware, script)

    return make
