"""``stack``: build a chain around a scripted application, once in each of the four ways it can stand in a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.middleware.stacks import STACKS, Script, Stack

MakeStack = Callable[..., Stack]


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> Iterator[MakeStack]:
    """Give ``stack(*middleware, script=Script(...))``; a test that takes it runs in both drivers and both adapters.

    ``applications=(wsgi, asgi)`` puts applications of one's own in the place of the script.
    """

    def make(*middleware: Any, script: Script | None = None, applications: tuple[Any, Any] | None = None) -> Stack:
        made.append(Stack(request.param, middleware, script, applications))
        return made[-1]

    made: list[Stack] = []
    make.kind = request.param  # type: ignore[attr-defined]  # so that a test can tell where it stands
    yield make
    for each in made:
        each.close()


@pytest.fixture
def socket_stack() -> Iterator[MakeStack]:
    """Give the same for WebSocket handshakes, which exist in ASGI only."""

    def make(*middleware: Any, script: Script | None = None, applications: tuple[Any, Any] | None = None) -> Stack:
        made.append(Stack("asgi", middleware, script, applications))
        return made[-1]

    made: list[Stack] = []
    yield make
    for each in made:
        each.close()
