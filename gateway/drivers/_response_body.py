"""The response body while the headers wait for it: the bytes that hooks peek at, and the transforms.

Most responses need no such object: it is made by the first peek or transform, or for a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from gateway.contract import Io, Steps, Transform
from gateway.errors import ApplicationError, ConfigurationError
from gateway.exchange import FileBody, ReadableBody
from gateway.loops import in_thread
from gateway.translate.status import has_content

if TYPE_CHECKING:
    from gateway.exchange import Body, Response

__all__ = ["PULL", "Pulled", "ResponseBody", "has_body", "require_transform", "set_length"]

#: How much of a file object is read at once.
BLOCK = 64 * 1024
#: From how many bytes on a transform's push leaves the event loop.
OFFLOAD = 128 * 1024


class Pull:
    """Ask the driver for the next part of the application's body."""


PULL: Final = Pull()
#: The answer to a pull: the bytes, whether they are known to be the last, whether the body is a file of the server's.
Pulled: TypeAlias = tuple[bytes, bool, bool]


def require_transform(name: str, change: object) -> Transform:
    """Return the result of a hook, checked to be a transform.

    Raises:
        ConfigurationError: It lacks ``push`` or ``finish``.
    """
    if not (hasattr(change, "push") and hasattr(change, "finish")):
        raise ConfigurationError(f"{name} must return a Transform (push and finish) or None, got {change!r}")
    return cast("Transform", change)  # it has both methods


def has_body(method: str, status: int) -> bool:
    """Return whether a response to this method with this status has content (RFC 9110 section 6.4.1)."""
    return method != "HEAD" and has_content(status)


def set_length(method: str, response: Response) -> None:
    """Set the length of a response that a middleware made of bytes, if it has set none.

    A response to HEAD has the length that GET would have, or none (RFC 9110 section 8.6). An empty body says nothing
    about it, and no transform has seen the bytes of a coded one.
    """
    body, headers = response.body, response.headers
    if not isinstance(body, bytes) or not has_content(response.status):
        return
    if method != "HEAD" or (body and "content-encoding" not in headers):
        headers.setdefault("content-length", str(len(body)))


def _declared_size(fields: Iterable[tuple[bytes, bytes]] | Iterable[tuple[str, str]]) -> int | None:
    """Return the Content-Length of an application's headers, in either interface's spelling."""
    for name, value in fields:
        if len(name) == 14 and name.lower() in ("content-length", b"content-length"):
            return int(value) if value.isascii() and value.isdigit() else None
    return None


def _push_through(change: Transform, chunk: bytes, last: bool) -> bytes:
    """Pass bytes through one transform and flush it, because the next part may take its time."""
    pushed = change.push(chunk) if chunk else b""
    if last:
        return pushed + change.finish()
    flush: Callable[[], bytes] | None = getattr(change, "flush", None)
    return pushed + flush() if chunk and flush is not None else pushed


class ResponseBody:
    """A response body that a hook looks at or transforms.

    Args:
        made: The body, if a middleware made it; ``None`` for the application's.
        opaque: Whether it is a file that the server sends, so that its bytes never pass through Python.

    Attributes:
        held: Bytes that have passed the transforms and wait to be sent.
        ended: Whether ``held`` ends the body.
        transforms: The transforms of the body, in order.
        broken: The exception that the application raised while a hook peeked.
    """

    __slots__ = ("_made", "_own", "_pulled", "_taken", "_whole", "broken", "ended", "held", "opaque", "transforms")

    def __init__(self, made: Body | None, *, opaque: bool = False) -> None:
        self.held: list[bytes] = []
        self.ended: bool = False
        self.transforms: list[Transform] = []
        self.broken: Exception | None = None
        self.opaque: bool = opaque or isinstance(made, FileBody)
        self._made = made
        self._own: Iterator[bytes] | None = None
        if isinstance(made, bytes):
            self._own = iter((made,))
        elif isinstance(made, FileBody):
            self._own = iter(())
        elif isinstance(made, ReadableBody):
            read = made.read
            self._own = iter(lambda: read(BLOCK), b"")
        elif made is not None:
            self._own = iter(made)
        #: Whether a part was asked for already, so that to wait for another would hold it back.
        self._pulled: bool = False
        #: Bytes of the application's body so far, and whether they are all, by the length that it declared.
        self._taken: int = 0
        self._whole: bool = False

    def peek(self, size: int | None) -> Steps[bytes | None]:
        """Hold at least so many bytes, or the whole body; ``None`` for a file."""
        try:
            while not self.ended and not self.opaque and (size is None or sum(map(len, self.held)) < size):
                yield from self.pull()
        except Exception as error:
            self.broken = error
            raise
        return None if self.opaque else b"".join(self.held)

    def install(self, change: object) -> None:
        """Add a transform: the held bytes pass it now, later parts pass it after the others."""
        change = require_transform("on_body", change)
        self.transforms.append(change)
        if self.held or self.ended:
            chunk = _push_through(change, b"".join(self.held), self.ended)
            self.held = [chunk] if chunk else []

    def measure(
        self, response: Response, fields: Iterable[tuple[bytes, bytes]] | Iterable[tuple[str, str]]
    ) -> Steps[None]:
        """Set the length of a transformed body if it is known now; else remove it.

        Args:
            response: The response that is sent.
            fields: The headers that the application gave, in the spelling of its interface.
        """
        if not self.ended and not self._pulled:
            yield from self.pull()
        if self.opaque:
            return
        if not self.ended and self._own is None and self._taken and self._taken == _declared_size(fields):
            # Whether another part follows is not asked: that would hold this one back.
            self.held = [b"".join([*self.held, *self.push(b"", True)])]
            self.ended = self._whole = True
        if self.ended:
            response.headers.set("content-length", str(sum(map(len, self.held))))
        else:
            response.headers.delete("content-length")

    def pull(self) -> Steps[None]:
        """Take one more part of the body into ``held``."""
        self._pulled = True
        if self._own is None:
            answer = yield cast("None", PULL)  # the driver sends a Pulled
            chunk, last, opaque = cast("Pulled", answer)
            if opaque:
                self.opaque = True
                return
            self._taken += len(chunk)
        else:
            found = yield from self._next(self._own)
            chunk, last = (b"", True) if found is None else (found, isinstance(self._made, bytes))
        self.held.extend((yield from self.push_anywhere(chunk, last)))
        self.ended = last

    def _next(self, body: Iterator[bytes]) -> Steps[bytes | None]:
        # A file object may block: its reads go where IO goes.
        if isinstance(self._made, ReadableBody):
            effect = Io(lambda: next(body, None), lambda: in_thread(next, body, None))
            answer = yield cast("None", effect)  # the driver sends what next() gave
            return cast("bytes | None", answer)
        return next(body, None)

    def push_anywhere(self, chunk: bytes, last: bool) -> Steps[list[bytes]]:
        """Push, off the loop if the chunk is large: a transform is CPU work."""
        if not self.transforms or len(chunk) < OFFLOAD:
            return self.push(chunk, last)
        effect = Io(lambda: self.push(chunk, last), lambda: in_thread(self.push, chunk, last))
        answer = yield cast("None", effect)  # the driver sends what push() gave
        return cast("list[bytes]", answer)

    def push(self, chunk: bytes, last: bool) -> list[bytes]:
        """Pass bytes through the transforms; return the chunks that come out, without empty ones."""
        if self.transforms and not isinstance(chunk, (bytes, bytearray, memoryview)):  # pyright: ignore[reportUnnecessaryIsInstance]  # an application's value
            raise ApplicationError(
                f"a response body must consist of bytes, got {type(chunk).__name__}: {chunk!r:.80}; encode it "
                f"(PEP 3333; ASGI HTTP 'Response Body')"
            )
        if self._whole:
            if chunk:
                raise ApplicationError(
                    f"a response body must be as long as its Content-Length, got {chunk[:20]!r} after {self._taken} "
                    f"bytes; check the length that the application declares (RFC 9110 section 8.6)"
                )
            return []  # the transforms have finished
        for change in self.transforms:
            chunk = _push_through(change, chunk, last)
        return [chunk] if chunk else []

    @property
    def is_complete(self) -> bool:
        """Whether the application has sent its last part; a length that it declared may tell ``ended`` before."""
        return self.ended and not self._whole

    def release(self) -> bytes:
        """Return the bytes that wait to be sent, and forget them: they may be large, and the rest may take its time."""
        ready, self.held = b"".join(self.held), []
        return ready
