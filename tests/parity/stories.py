"""What an application does, told once, and told by either interface in each of the shapes that it allows.

A story is data: a status, header lines, chunks, and the place where the application fails. A *telling* is one WSGI or
ASGI application that does what the story says in one shape, and notes what it did.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

#: Longer than any machine is slow: only what never happens takes so long.
NEVER = 20.0
#: More chunks than anybody takes: an application that is not stopped by then is not stopped.
ENDLESS = 20_000


class NotStopped(AssertionError):
    """What an application raises that should have been stopped."""


class Boom(Exception):
    """What a failing application raises."""


@dataclass(frozen=True)
class Story:
    """What an application does.

    Attributes:
        fails: Where it raises: ``"before"`` the head, ``"started"``: after the head and before the first chunk,
            ``"middle"``: after the first chunk, ``"end"``: after the last one and before the end is told.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    chunks: tuple[bytes, ...] = ()
    fails: str = ""
    endless: bool = False

    def told(self, method: str) -> Iterable[bytes]:
        """Return the chunks that a request of this method gets."""
        if method == "HEAD":
            return ()
        return itertools.islice(itertools.cycle(self.chunks), ENDLESS) if self.endless else self.chunks


@dataclass
class Notes:
    """What a telling noted of one exchange."""

    events: list[Any] = field(default_factory=list)
    returned: int = 0
    """Iterables with ``close()`` that were returned."""
    closed: int = 0
    left: int = 0
    """Calls of an ASGI application that ended, whichever way."""
    called: int = 0
    first_byte: threading.Event = field(default_factory=threading.Event)
    """Set by the server's side, when the first byte of a body reached it."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set when a call of an ASGI application ended."""
    waits: bool = False
    """Whether the second chunk waits for the first byte to reach the server."""
    in_time: bool | None = None
    """Whether it had by then; ``None`` where there was no second chunk, or none that could wait."""
    leaves: int | None = None
    """After how many chunks the client leaves; 0: before the head; ``None``: it stays."""
    looks: bool = False
    """Whether an ASGI application looks for it by ``receive()``; else ``send()`` tells it."""
    gone: threading.Event = field(default_factory=threading.Event)
    """Set by the server's side, when the client has left."""
    taken: int = 0
    """Bytes of a body that the server's side took before."""

    def second(self) -> None:
        self.in_time = self.first_byte.wait(NEVER if self.waits else 0)

    async def second_async(self) -> None:
        self.in_time = self.first_byte.is_set() or (
            self.waits and await asyncio.to_thread(self.first_byte.wait, NEVER)  # set in the server's thread
        )


class Told:
    """An iterable of chunks that counts its ``close()``."""

    def __init__(self, notes: Notes, chunks: Iterator[bytes]) -> None:
        self.notes, self.chunks = notes, chunks
        notes.returned += 1

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks

    def close(self) -> None:
        self.notes.closed += 1


class Teller:
    """Tells one story in one shape, in one interface; ``notes`` are those of the exchange under way."""

    def __init__(self, story: Story, shape: str) -> None:
        self.story, self.shape = story, shape
        self.notes = Notes()

    # WSGI: eager (a list), generator (start_response in the call), lazy (start_response in the iteration), write

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        story, notes = self.story, self.notes
        notes.called += 1
        size = None if environ.get("wsgi.input_terminated") else int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size)
        method = environ["REQUEST_METHOD"]
        path = (environ["SCRIPT_NAME"] + environ["PATH_INFO"]).encode("latin-1").decode()
        notes.events.append(("app", method, path, environ["wsgi.url_scheme"], environ["REMOTE_ADDR"], body))
        if story.fails == "before":
            raise Boom("before")
        chunks = story.told(method)

        def start() -> Any:
            phrase = HTTPStatus(story.status).phrase
            write = start_response(f"{story.status} {phrase}", list(story.headers))
            notes.events.append("head")
            return write

        def body_of() -> Iterator[bytes]:
            count = 0
            for index, chunk in enumerate(chunks):
                self._fail(index)
                if index == 1:
                    notes.second()
                count += 1
                yield chunk
            self._fail(count, last=True)

        if self.shape == "lazy":

            def lazy() -> Iterator[bytes]:
                start()
                yield from body_of()

            return Told(notes, lazy())
        write = start()
        if self.shape == "generator":
            return Told(notes, body_of())
        if self.shape == "write":
            for chunk in body_of():
                write(chunk)
            return Told(notes, iter(()))
        self._fail(0)
        return list(chunks)

    # ASGI: one-shot (one body message), chunked (more_body, then an empty end), streaming (the last chunk is the end)

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.notes.called += 1
        try:
            await self._asgi(scope, receive, send)
        finally:
            self.notes.left += 1
            self.notes.over.set()

    async def _asgi(self, scope: Any, receive: Any, send: Any) -> None:
        story, notes = self.story, self.notes
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        client = scope["client"][0]
        notes.events.append(("app", scope["method"], scope["path"], scope["scheme"], client, body))
        if story.fails == "before":
            raise Boom("before")
        chunks = story.told(scope["method"])
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in story.headers]
        await send({"type": "http.response.start", "status": story.status, "headers": headers})
        notes.events.append("head")
        if self.shape == "one-shot":
            self._fail(0)
            await send({"type": "http.response.body", "body": b"".join(chunks)})
            return
        count = 0
        for index, chunk in enumerate(chunks):
            self._fail(index)
            if index == 1:
                await notes.second_async()
            if notes.looks and notes.gone.is_set():
                assert (await receive())["type"] == "http.disconnect"
                return
            count += 1
            last = self.shape == "streaming" and count == len(story.chunks) and story.fails != "end"
            await send({"type": "http.response.body", "body": chunk, "more_body": not last or story.endless})
            await asyncio.sleep(0)
        self._fail(count, last=True)
        if self.shape == "chunked" or not count:
            await send({"type": "http.response.body"})

    def _fail(self, index: int, *, last: bool = False) -> None:
        """Fail if this is the place: before the chunk of this index, or at the end."""
        if last and self.story.endless and index:
            raise NotStopped
        fails = self.story.fails
        # What has no body fails where its first chunk would be, wherever it was to fail.
        none = last and index == 0 and fails in ("started", "middle", "end")
        if none or {"started": index == 0, "middle": index == 1, "end": last}.get(fails, False):
            raise Boom(fails)


#: Shapes of each interface. What is told as a whole cannot fail between its chunks.
SHAPES = {"wsgi": ("eager", "generator", "lazy", "write"), "asgi": ("one-shot", "chunked", "streaming")}
WHOLE = ("eager", "one-shot")


def shapes(interface: str, story: Story) -> list[str]:
    """Return the shapes in which an interface can tell a story."""
    return [shape for shape in SHAPES[interface] if story.fails not in ("middle", "end") or shape not in WHOLE]
