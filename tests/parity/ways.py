"""The ways in which a chain can stand between a server and an application, and what is seen of one exchange in each.

Each driver alone, and each inside the adapter to the other interface. The
servers are those of ``tests.middleware.stacks``; when a first byte comes is noted by a thin layer.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from gateway.contract import Middleware
from tests.middleware.stacks import Answer, Call, Stack
from tests.parity.flows import HEARD
from tests.parity.recording import Recording, fields
from tests.parity.stories import NEVER, Notes, Story, Teller

#: What a server says to who writes to a client that left.
GONE = "the client went away"


@dataclass(frozen=True)
class Way:
    """How a chain stands.

    Attributes:
        driver: Which driver runs the hooks; it is also the application's interface.
        stack: The kind of `tests.middleware.stacks.Stack`.
    """

    id: str
    driver: str
    stack: str

    @property
    def server(self) -> str:
        """The interface of the server."""
        return "wsgi" if self.stack in ("wsgi", "asgi-under-wsgi") else "asgi"

    @property
    def native(self) -> bool:
        """Whether the server calls the driver itself."""
        return self.stack == self.driver


WAYS = (
    Way("wsgi", "wsgi", "wsgi"),
    Way("wsgi-adapted", "wsgi", "wsgi-under-asgi"),
    Way("asgi", "asgi", "asgi"),
    Way("asgi-adapted", "asgi", "asgi-under-wsgi"),
)


@dataclass(frozen=True)
class Seen:
    """All that can be told of one exchange.

    Attributes:
        status: What the server is bound to; ``None`` where it may still answer 500 by itself. A WSGI server is bound by
            the first byte or the end, an ASGI server by the head's own message.
        fields: Header lines, the lines of one name in order; ``None`` with the status. Without the Content-Length of
            a coded body, which is compared with the body instead.
        body: After Content-Encoding is undone.
        error: What reached the server.
        calls: Every hook call with its arguments and results.
        application: What the application was given and did.
        in_time: Whether the first byte reached the server before the application made its second chunk; ``None`` where
            there was no such byte or chunk.
        taken: How many bytes of the body the server took, before a client left.
    """

    status: int | None
    fields: dict[str, list[str]] | None
    body: bytes
    error: str | None
    calls: list[Any]
    application: list[Any]
    in_time: bool | None
    taken: int = 0

    @property
    def hooks(self) -> list[str]:
        """The names of the hooks that were called."""
        return [entry[1] for entry in self.calls if entry[2] != "gave"]

    @property
    def answered(self) -> bool:
        """Whether ``on_error`` put a response in the place of an error."""
        return any(entry[1:3] == ("on_error", "gave") and entry[3] is not None for entry in self.calls)

    @property
    def replaced(self) -> bool:
        """Whether a response was put in the place of the application's."""
        return any(entry[1:3] == ("on_response", "gave") and entry[3] is not None for entry in self.calls)


def exchange(
    way: Way,
    make: Sequence[Callable[[], Middleware]],
    calls: Sequence[Call],
    story: Story,
    shape: str,
    *,
    waits: Sequence[bool] = (),
    leaves: int | None = None,
    looks: bool = False,
) -> list[Seen]:
    """Make a chain, put it in the way, send it the requests one after the other, and tell what was seen.

    Args:
        waits: For each request, whether the application's second chunk waits for the first byte at the server.
        leaves: After how many chunks the client leaves; 0: before the head.
        looks: Whether an ASGI application looks for that by ``receive()``; then ``send()`` says nothing.

    Raises:
        AssertionError: A length that is not the body's, an iterable that was not closed exactly once, a call that did
            not end.
    """
    log: list[Any] = []
    recording = [Recording(each(), log) for each in make]
    teller = Teller(story, shape)
    stack = Stack(way.stack, recording, applications=(teller.wsgi, teller.asgi))
    inner = stack.application
    seen: list[Seen] = []
    try:
        for call, wait in zip_longest(calls, waits, fillvalue=False):
            assert isinstance(call, Call)
            notes = teller.notes = Notes(waits=bool(wait), leaves=leaves, looks=looks)
            watched = _watched_wsgi if way.server == "wsgi" else _watched_asgi
            stack.application = watched(inner, notes)
            log.clear()
            HEARD.begin()
            for each in recording:
                each.begin()
            answer = stack.request(call)
            # Behind an adapter the server has the last byte before the driver's own call ends.
            assert all(each.ended(NEVER) for each in recording), "on_finish comes to whoever was entered"
            assert HEARD.ended(NEVER), "a generator that was begun comes to its end"
            assert way.driver == "wsgi" or not notes.called or notes.over.wait(NEVER), "an ASGI call ends"
            seen.append(_seen(way, call, answer, notes, [*log, *HEARD.calls]))
            assert notes.closed == notes.returned, "an iterable is closed exactly once"
            assert notes.left == (notes.called if way.driver == "asgi" else 0), "a call ends exactly once"
    finally:
        stack.application = inner
        stack.close()
    return seen


def _seen(way: Way, call: Call, answer: Answer, notes: Notes, calls: list[Any]) -> Seen:
    told = fields(answer.headers)
    body = answer.body
    length = told.get("content-length")
    left = notes.leaves is not None
    if length is not None and not left and call.method != "HEAD" and answer.error is None and answer.status != 304:
        assert length == [str(len(body))], "a length is the body's"
    if told.get("content-encoding") == ["gzip"]:
        told.pop("content-length", None)  # known where the body comes whole, which is the shape's choice
        if body and answer.error is None and not left:
            body = gzip.decompress(body)
    error = repr(answer.error) if answer.error is not None else None
    bound = answer.status != 0 and (error is None or bool(answer.body) or way.server == "asgi")
    return Seen(
        answer.status if bound else None,
        told if bound else None,
        body,
        error,
        # When a process begins is the server's business: before the first request or in it.
        [entry for entry in calls if entry[1] not in ("on_start", "on_stop")],
        notes.events,
        notes.in_time if body else None,
        notes.taken,
    )


def _watched_wsgi(app: Any, notes: Notes) -> Any:
    """Note what the server takes, and leave: by closing the body, or by a ``write()`` that fails."""
    chunks = 0

    def take(data: bytes) -> None:
        nonlocal chunks
        if data:
            notes.first_byte.set()
            notes.taken += len(data)
            chunks += 1

    def leave() -> bool:
        if notes.leaves is None or chunks < notes.leaves:
            return False
        notes.gone.set()
        return True

    class Watched:
        def __init__(self, body: Any) -> None:
            self.body = body

        def __iter__(self) -> Iterator[bytes]:
            if leave():
                return
            for chunk in self.body:
                take(chunk)
                yield chunk
                if leave():
                    return

        def close(self) -> None:
            if hasattr(self.body, "close"):
                self.body.close()

    def serve(environ: Any, start_response: Any) -> Iterable[bytes]:
        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            write = start_response(status, headers, exc_info)

            def watched(data: bytes) -> None:
                if leave():
                    raise OSError(GONE)
                take(data)
                write(data)

            return watched

        return Watched(app(environ, start))

    return serve


def _watched_asgi(app: Any, notes: Notes) -> Any:
    """Note what the server takes, and leave: ``receive()`` tells it, and ``send()`` raises or takes it silently."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        gone = asyncio.Event()
        chunks = 0
        read = False

        def leave() -> None:
            if notes.leaves is not None and chunks >= notes.leaves:
                notes.gone.set()
                gone.set()

        async def received() -> Any:
            nonlocal read
            if not read:
                message = await receive()
                read = not message.get("more_body")
                return message
            waits = [asyncio.ensure_future(gone.wait()), asyncio.ensure_future(receive())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            return {"type": "http.disconnect"}

        async def watched(message: Any) -> None:
            nonlocal chunks
            if gone.is_set():
                if notes.looks:
                    return
                raise OSError(GONE)
            if message["type"] == "http.response.body" and message.get("body"):
                notes.first_byte.set()
                notes.taken += len(message["body"])
                chunks += 1
            await send(message)
            leave()

        leave()
        await app(scope, received, watched)

    return serve
