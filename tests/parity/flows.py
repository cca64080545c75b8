"""Generator forms for the parity suite; each notes by itself what it sees.

A recording wrapped around a generator would be another generator, and a driver runs those that ask for nothing in a way
of their own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from gateway.contract import Flow, Middleware, as_middleware, finished, io, peek, reply, transform
from gateway.exchange import Request, Response
from tests.parity.recording import told
from tests.parity.stories import Boom


class Heard:
    """What the flows of one exchange noted."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the last exchange."""
        self.calls: list[Any] = []
        self.entered = 0
        self._over = threading.Semaphore(0)

    def start(self, name: str, request: Request) -> None:
        self.entered += 1
        self.note(name, "request", request)

    def note(self, *what: Any) -> None:
        self.calls.append(tuple(map(told, what)))

    def end(self, *what: Any) -> None:
        self.note(*what)
        self._over.release()

    def ended(self, seconds: float) -> bool:
        """Wait for the end of every flow that was begun; tell whether it came."""
        return all(self._over.acquire(timeout=seconds) for _ in range(self.entered))


HEARD = Heard()


@as_middleware
def plain(request: Request) -> Flow:
    """It asks for nothing."""
    HEARD.start("plain", request)
    try:
        response = yield
        HEARD.note("plain", "response", response)
        response.headers.append("x-plain", str(response.status))
    except Exception as error:
        HEARD.note("plain", "error", error)
        raise
    finally:
        HEARD.end("plain", "end")


class Shout:
    """A transform that changes the length and keeps something for the end."""

    def push(self, chunk: bytes, /) -> bytes:
        return chunk.upper()

    def finish(self) -> bytes:
        return b"END"


async def _slept(word: str) -> str:
    await asyncio.sleep(0)
    return word


@as_middleware
def streams(request: Request) -> Flow:
    """It does IO before and after, transforms the body and waits for the end."""
    HEARD.start("streams", request)
    try:
        HEARD.note("streams", (yield from io(str, _slept, "before")))
        response = yield
        HEARD.note("streams", "response", response)
        yield from transform(Shout())
        response.headers.append("x-word", (yield from io(str, _slept, "after")))
    except Exception as error:
        HEARD.note("streams", "error", error)
        raise
    finally:
        HEARD.end("streams", "end", (yield from finished()))


@as_middleware
def peeks(request: Request) -> Flow:
    """It holds the head until it has seen some of the body."""
    HEARD.start("peeks", request)
    try:
        response = yield
        start = yield from peek(5)
        HEARD.note("peeks", b"" if start is None else start[:5])
        response.headers.append("x-start", str(len((start or b"")[:5])))
    except Exception as error:
        HEARD.note("peeks", "error", error)
        raise
    finally:
        HEARD.end("peeks", "end", (yield from finished()))


@as_middleware
def answers(request: Request) -> Flow:
    """It answers an application that fails."""
    HEARD.start("answers", request)
    try:
        response = yield
        HEARD.note("answers", "response", response)
    except Boom as error:
        HEARD.note("answers", "error", error)
        yield from reply(Response(503, body="sorry"))
    finally:
        HEARD.end("answers", "end", (yield from finished()))


FLOWS: dict[str, tuple[Callable[[], Middleware], ...]] = {
    "plain": (plain,),
    "streams": (streams,),
    "peeks": (peeks,),
    "answers": (answers,),
    "together": (answers, plain, streams, peeks, plain),
}
