"""The order of hook calls in one exchange, without an interface: what every driver must do, written once and naively.

A course is driven. Its methods are generators that yield what they need, :class:`~gateway.contract.Io` or
:data:`PULL`, and a driver answers in its own colour: WSGI calls and pulls from an iterable, ASGI awaits and waits
for the application's next message. So the rules (who is asked, in which order, after which failure) exist in one
place; the specialised drivers take short cuts where nothing unusual happens and come here when something does.

Rules: ``on_request`` from the outermost in. A response made at k passes ``on_response`` and ``on_body`` of those
outside k. An error at k is offered to ``on_error`` of those outside k; what handles it answers in its place.
``on_finish`` runs for each whose ``on_request`` was entered.

(Above 400 lines: one order of calls, which is wrong if one of its phases is changed without the others.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from gateway.contract import Hooks, Io, Peek, Refuse, Steps, Transform
from gateway.drivers._colour import in_thread
from gateway.drivers._request_body import require_transform
from gateway.errors import ApplicationError, ConfigurationError
from gateway.exchange import FileBody, ReadableBody, Response
from gateway.problems import refusal
from gateway.translate.status import has_content

if TYPE_CHECKING:
    from gateway.exchange import Outcome, Request

__all__ = ["PULL", "Course", "Pull", "Pulled", "declared_size", "has_body", "one", "set_length", "settle"]

logger = logging.getLogger("gateway.drivers")

#: How much of a file object is read at once.
BLOCK = 64 * 1024
#: From how many bytes on a transform's push leaves the event loop.
OFFLOAD = 128 * 1024


_UNSET: Final = object()


class Pull:
    """Ask the driver for the next part of the application's body."""


PULL: Final = Pull()
#: What answers a pull: the bytes, whether they are known to be the last, whether it is a file nobody reads.
Pulled: TypeAlias = tuple[bytes, bool, bool]


def has_body(method: str, status: int) -> bool:
    """Return whether a response to this method with this status has content (RFC 9110 section 6.4.1)."""
    return method != "HEAD" and has_content(status)


def declared_size(fields: Iterable[tuple[bytes, bytes]] | Iterable[tuple[str, str]]) -> int | None:
    """Return the Content-Length of an application's headers, in either interface's spelling."""
    for name, value in fields:
        if len(name) == 14 and name.lower() in ("content-length", b"content-length"):
            return int(value) if value.isascii() and value.isdigit() else None
    return None


def set_length(method: str, response: Response) -> None:
    """Set the length of bytes that a middleware answers with, if it has set none.

    A response to HEAD has the length that GET would have, or none (RFC 9110 section 8.6). An empty body says nothing
    about it, and no transform has seen the bytes of a coded one.
    """
    body, headers = response.body, response.headers
    if not isinstance(body, bytes) or not has_content(response.status):
        return
    if method != "HEAD" or (body and "content-encoding" not in headers):
        headers.setdefault("content-length", str(len(body)))


def settle(result: object, course: Course | None = None) -> Steps[object]:
    """Drive what a hook returned to its end: a generator's effects go to the driver, a peek to the course."""
    if not isinstance(result, Generator):
        return result
    steps = cast("Generator[object, object, object]", result)
    sent: object = None
    error: BaseException | None = None
    while True:
        try:
            effect = steps.send(sent) if error is None else steps.throw(error)
        except StopIteration as stop:
            return stop.value
        sent = error = None
        try:
            if type(effect) is Io:
                sent = yield cast("None", effect)  # a driver looks at what really comes
            elif type(effect) is Peek and course is not None:
                sent = yield from course.take(effect.size)
            else:
                error = ConfigurationError(
                    f"a hook that is a generator may `yield from` io(...), and peek(...) in on_response; got {effect!r}"
                )
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as raised:
            error = raised


def _response(hook: str, result: object) -> Response | None:
    if result is None or isinstance(result, Response):
        return result
    raise ConfigurationError(f"{hook} must return a Response or None, got {result!r}")


def push_through(change: Transform, chunk: bytes, last: bool) -> bytes:
    """Pass bytes through one transform; what it keeps is flushed, because the next part may take its time."""
    pushed = change.push(chunk) if chunk else b""
    if last:
        return pushed + change.finish()
    flush: Callable[[], bytes] | None = getattr(change, "flush", None)
    return pushed + flush() if chunk and flush is not None else pushed


def one(effect: object) -> Steps[object]:
    """Ask whoever drives this for one effect."""
    answer = yield cast("None", effect)
    return answer


class Course:
    """One request's way through a segment.

    Attributes:
        entered: How many hooks, from the outermost, were entered.
        level: Those outside this index have not seen the head yet; an error is offered to them.
        response: The head that is sent, once it is settled.
        transforms: What the body passes, in order.
        held: Body bytes that already passed ``transforms`` and wait for the head.
        ended: Whether ``held`` ends the body.
        opaque: Whether the body is a file that nobody reads.
        own: The body of a response that a middleware made; ``None`` while the application's counts.
        fields: The headers that the application gave, in the spelling of its interface.
    """

    def __init__(self, chain: Sequence[Hooks], request: Request) -> None:
        self.chain = chain
        self.request = request
        self.method: str = request.method
        self.websocket: bool = request.is_websocket
        self.entered: int = 0
        self.level: int = 0
        self.response: Response | None = None
        self.transforms: list[Transform] = []
        self.held: list[bytes] = []
        self.ended: bool = False
        #: Whether any part of the body was taken already.
        self.pulled: bool = False
        self.opaque: bool = False
        #: Whether the application's body is known to be a file before the head is made.
        self.is_file = False
        self.broken: Exception | None = None
        #: The error that no ``on_error`` answered.
        self.unanswered: Exception | None = None
        self.made: Response | None = None
        self.current: Response | None = None
        self.own: Iterator[bytes] | None = None
        self.fields: Iterable[tuple[bytes, bytes]] | Iterable[tuple[str, str]] = ()
        #: Bytes of the application's body that were pulled.
        self.taken: int = 0
        #: Whether these are the whole body, by the length that the application declared.
        self.whole: bool = False

    # -- inwards

    def enter(self) -> Steps[Response | None]:
        """Run ``on_request``; return the settled response of whoever answered, or ``None`` to go on."""
        for index, hooks in enumerate(self.chain):
            self.entered = self.level = index + 1
            try:
                answer = _response("on_request", (yield from settle(hooks.on_request(self.request))))
            except Exception as error:
                return (yield from self.entry_failed(error, index))
            if answer is not None:
                return (yield from self.respond(answer, index))
        return None

    def answer(self, returned: object, index: int) -> Steps[Response]:
        """Answer with what ``on_request`` at ``index`` returned."""
        try:
            response = _response("on_request", returned)
        except Exception as error:
            return (yield from self.fail(error, index))
        return (yield from self.respond(cast("Response", response), index))  # a driver comes here with an answer only

    def entry_failed(self, error: Exception, index: int) -> Steps[Response]:
        """Answer an exception of ``on_request`` at ``index``: a refusal answers by itself."""
        if isinstance(error, Refuse):
            return (yield from self.respond(refusal(self.request, error), index))
        return (yield from self.fail(error, index))

    # -- outwards

    def respond(self, response: Response, level: int) -> Steps[Response]:
        """Run ``on_response`` and ``on_body`` of those outside ``level``; return the head to send."""
        self._source(response)
        return self._outwards(response, level)

    def resume(self, response: Response, index: int, returned: object) -> Steps[Response]:
        """Go on where ``on_response`` of ``index`` has returned something for the application's response."""
        self._source(response)
        return self._outwards(response, index + 1, returned)

    def resume_body(self, response: Response, index: int, change: object) -> Steps[Response]:
        """Go on where ``on_body`` of ``index`` has returned a transform for the application's response."""
        self._source(response)
        try:
            self._install(change)
        except Exception as error:
            return (yield from self.fail(error, index))
        return (yield from self._outwards(response, index))

    def _outwards(self, response: Response, level: int, returned: object = _UNSET) -> Steps[Response]:
        for index in reversed(range(level)):
            self.level = index
            hooks = self.chain[index]
            try:
                if returned is _UNSET:
                    for constant in hooks.constant_headers:
                        response.headers.append(constant)
                    returned = hooks.on_response(self.request, response)
                other = _response("on_response", (yield from settle(returned, self)))
                returned = _UNSET
                if other is not None:
                    response = other
                    self._source(response)
                elif self.broken is not None:
                    # It caught the application's error in its peek and offers nothing instead.
                    raise self.broken
                if not self.opaque and not self.websocket and has_body(self.method, response.status):
                    change = hooks.on_body(self.request, response)
                    if change is not None:
                        self._install(change)
            except Exception as error:
                return (yield from self.fail(error, index))
        try:
            yield from self._measure(response)
        except Exception as error:
            return (yield from self.fail(error, 0))
        self.response = response
        return response

    def fail(self, error: Exception, level: int) -> Steps[Response]:
        """Offer an error to ``on_error`` of those outside ``level``; return the settled answer, or raise it."""
        for index in reversed(range(level)):
            try:
                answer = _response("on_error", (yield from settle(self.chain[index].on_error(self.request, error))))
            except Exception as other:
                error = other
                continue
            if answer is not None:
                return (yield from self.respond(answer, index))
        self.unanswered = error
        raise error

    def refuse(self, refuse: Refuse, index: int) -> Steps[Response]:
        """Answer with the refusal of a request body's transform at ``index``."""
        return self.respond(refusal(self.request, refuse), min(index, self.level))

    def finish(self, outcome: Outcome) -> Steps[None]:
        """Run ``on_finish`` of all that were entered; an error of one is logged and stops no other."""
        cut: BaseException | None = None
        for index in reversed(range(self.entered)):
            hooks = self.chain[index]
            try:
                yield from settle(hooks.on_finish(self.request, outcome))
            except Exception:
                logger.exception("on_finish of %r failed; the response is not altered", hooks)
            except BaseException as error:
                cut = cut or error
        if cut is not None:
            raise cut

    # -- the body

    def _source(self, response: Response) -> None:
        """Take a response as what is sent: what an earlier one held or installed goes with it."""
        if self.made is None or self.made.body is not response.body:
            self.close()
        self.transforms, self.held, self.ended, self.broken = [], [], False, None
        self.pulled = self.whole = False
        self.taken = 0
        self.current = response
        body = response.body
        if body is None:
            self.own, self.opaque = None, self.is_file
            return
        self.made = response
        self.opaque = isinstance(body, FileBody)
        if isinstance(body, FileBody):
            self.own = iter(())
        elif isinstance(body, bytes):
            self.own = iter((body,))
        elif isinstance(body, ReadableBody):
            read = body.read
            self.own = iter(lambda: read(BLOCK), b"")
        else:
            self.own = iter(body)

    def close(self) -> None:
        """Close the body of a middleware's response, if it can be closed; a second call does nothing."""
        made, self.made = self.made, None
        close = getattr(made.body, "close", None) if made is not None else None
        if close is not None:
            close()

    def pull(self) -> Steps[None]:
        """Take one more part of the body into ``held``."""
        self.pulled = True
        if self.own is None:
            answer = yield cast("None", PULL)  # the driver sends a Pulled
            chunk, last, opaque = cast("Pulled", answer)
            if opaque:
                self.opaque = True
                return
            self.taken += len(chunk)
        else:
            found = yield from self._next_own(self.own)
            chunk, last = (b"", True) if found is None else (found, self._is_bytes())
        self.held.extend((yield from self.push_anywhere(chunk, last)))
        self.ended = last

    def _is_bytes(self) -> bool:
        return self.made is not None and isinstance(self.made.body, bytes)

    def _next_own(self, body: Iterator[bytes]) -> Steps[bytes | None]:
        # A file object may block: its reads go where IO goes.
        if self.made is not None and isinstance(self.made.body, ReadableBody):
            effect = Io(lambda: next(body, None), lambda: in_thread(next, body, None))
            answer = yield cast("None", effect)  # the driver sends what next() gave
            return cast("bytes | None", answer)
        return next(body, None)

    def push_anywhere(self, chunk: bytes, last: bool) -> Steps[list[bytes]]:
        """Push, off the loop where the chunk is large: a transform is CPU work."""
        if not self.transforms or len(chunk) < OFFLOAD:
            return self.push(chunk, last)
        effect = Io(lambda: self.push(chunk, last), lambda: in_thread(self.push, chunk, last))
        answer = yield cast("None", effect)  # the driver sends what push() gave
        return cast("list[bytes]", answer)

    def push(self, chunk: bytes, last: bool) -> list[bytes]:
        """Pass bytes through the transforms; return what comes out, without empty chunks."""
        if self.transforms and not isinstance(chunk, (bytes, bytearray, memoryview)):  # pyright: ignore[reportUnnecessaryIsInstance]  # an application's value
            raise ApplicationError(
                f"a response body must consist of bytes, got {type(chunk).__name__}: {chunk!r:.80}; encode it "
                f"(PEP 3333; ASGI HTTP 'Response Body')"
            )
        if self.whole:
            if chunk:
                raise ApplicationError(
                    f"an application's body must be as long as its Content-Length, this one goes on after "
                    f"{self.taken} bytes with {chunk[:20]!r} (RFC 9110 section 8.6)"
                )
            return []  # the transforms have finished
        for change in self.transforms:
            chunk = push_through(change, chunk, last)
        return [chunk] if chunk else []

    def take(self, size: int | None) -> Steps[bytes | None]:
        """Answer a peek."""
        if self.websocket:
            return None
        # A file is told apart for HEAD too, whose headers are those of GET.
        if not self.opaque and (self.current is None or not has_body(self.method, self.current.status)):
            return b""
        try:
            while not self.ended and not self.opaque and (size is None or sum(map(len, self.held)) < size):
                yield from self.pull()
        except Exception as error:
            self.broken = error
            raise
        return None if self.opaque else b"".join(self.held)

    def _install(self, change: object) -> None:
        """Let what is held pass a new transform; what is pulled later passes it after the others."""
        change = require_transform("on_body", change)
        self.transforms.append(change)
        chunk = push_through(change, b"".join(self.held), self.ended)
        self.held = [chunk] if chunk else []

    def _measure(self, response: Response) -> Steps[None]:
        """Set the length that is known: of a body in one part, of bytes that a middleware answers with."""
        headers = response.headers
        if self.transforms:
            # What a peek has seen tells as much: to wait for more would hold back what is there.
            if not self.ended and not self.pulled:
                yield from self.pull()
            if self.opaque:
                return
            if not self.ended and self.own is None and self.taken and self.taken == declared_size(self.fields):
                # Whether another part follows is not asked: that would hold this one back.
                self.held = [b"".join([*self.held, *self.push(b"", True)])]
                self.ended = self.whole = True
            if self.ended:
                headers.set("content-length", str(sum(map(len, self.held))))
            else:
                headers.delete("content-length")
        else:
            set_length(self.method, response)
