"""WSGI: one exchange by the long way, where everything that can happen is decided.

The naive driver takes it from the beginning; the short ways leave for it, with what happened so far, where an exchange
is not regular. The order of hook calls is :class:`~gateway.drivers._course.Course`'s; here its needs are answered by
plain calls.

States: ``idle`` (no head), ``held`` (a head that waits for more of the body), ``committed``, ``done``, ``aborted``.
(Above 400 lines: one machine, whose states are read best together.)

Source: PEP 3333.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain
from time import perf_counter
from typing import TYPE_CHECKING, Literal, cast

from gateway.contract import Steps
from gateway.drivers._colour import run_plain
from gateway.drivers._course import PULL, Course, Pulled, has_body, one
from gateway.drivers._files import BLOCK, blocks, open_at, whole
from gateway.drivers._outcome import judge
from gateway.drivers._request_body import RequestBody, wrap_input
from gateway.drivers._sign_off import may_sign_off, signs_off
from gateway.drivers._unread import can_drop, drop
from gateway.errors import ApplicationError
from gateway.exchange import FileBody, Response
from gateway.headers import Headers
from gateway.translate.status import parse_status_line, status_line

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

    from gateway._requests import WsgiRequest
    from gateway.drivers._build import Segment
    from gateway.protocols import Environ, WSGIApplication

__all__ = ["WsgiExchange"]

#: "If the middleware cannot yield any other value, it must yield an empty bytestring" (PEP 3333: Middleware Handling of
#: Block Boundaries). It can yield nothing before the head, and what stands in a list is not waited for.
_NOTHING_YET = [b""]


class WsgiExchange:
    """One request through a segment on WSGI."""

    def __init__(
        self, segment: Segment, app: WSGIApplication, request: WsgiRequest, start_response: StartResponse
    ) -> None:
        self.state: Literal["idle", "held", "committed", "done", "aborted"] = "idle"
        self.segment = segment
        self.app = app
        self.environ: Environ = request.environ
        self.server_start = start_response
        self.server_write: Callable[[bytes], object] | None = None
        self.request = request
        self.course: Course = Course(segment.http, self.request)
        self.body: RequestBody = RequestBody(segment.http, self.request)
        self.steps: Steps[Response] | None = None
        self.pending: Pulled | None = None
        self.head: tuple[str, list[tuple[str, str]]] | None = None
        self.exc_info: object = None
        self.source: Iterable[bytes] | None = None
        #: The application's body through the chain, and what was taken of it before the server asks.
        self.parts: Generator[list[bytes], None, None] = self.from_application()
        self.early: list[bytes] = []
        self.failed: BaseException | None = None
        #: Whether a middleware's response is sent, and the application's is not.
        self.replaced: bool = False
        #: Whether a middleware answers before the application has read the request's body.
        self.answered_early: bool = False
        self.exhausted: bool = False
        #: Whether the application took the connection over, so that no response follows.
        self.upgraded: bool = False
        #: Whether the server's ``write`` said that the client went away.
        self.disconnected: bool = False
        self.began: float = perf_counter()
        self.first_byte_at: float | None = None
        self.status: int | None = None
        self.sent: int = 0

    # -- what the server calls

    def respond(self) -> Iterable[bytes]:
        """Run the request phase and the application; return the body."""
        try:
            answer = run_plain(self.course.enter())
            if answer is not None:
                self.replaced = self.answered_early = True
                self.commit(answer)
                return self.result()
            wrap_input(self.environ, self.body, keeps_length=self.segment.keeps_length)
        except BaseException as error:
            self.end(error)
            raise
        try:
            source = self.app(self.environ, self.start)
        except BaseException as error:
            return self.raised(error)
        return self.adopt(source)

    def take_over(self, steps: Steps[Response]) -> Iterable[bytes]:
        """Return the body of a response phase that is to come, without the application."""
        self.steps = steps
        self.answered_early = True
        try:
            self.advance(None)
            return self.result()
        except BaseException as error:
            self.end(error)
            raise

    def late(self, steps: Steps[Response]) -> Callable[[bytes], object]:
        """Take over in the middle of the response phase, inside ``start_response``."""
        self.steps = steps
        if self.head is not None:
            self.course.fields = self.head[1]
        self.advance(None)
        return self.write

    def result(self) -> Iterable[bytes]:
        """Return the body: a middleware's file by the server's own means where that sends the same bytes."""
        response = self.course.response
        wrapper = self.environ.get("wsgi.file_wrapper")
        if not self.replaced or response is None or wrapper is None or not isinstance(response.body, FileBody):
            return _WsgiBody(self)
        size = whole(response.body)
        if size is None or not has_body(self.course.method, response.status):
            return _WsgiBody(self)
        source: Iterable[bytes] = wrapper(open_at(response.body), BLOCK)
        self.sent = size
        return self.untouched(source)

    def raised(self, error: BaseException) -> Iterable[bytes]:
        """Return the body after the application raised, or raise."""
        try:
            self.upgraded = self.state == "idle" and self.head is None and signs_off(self.environ, error)
            if self.upgraded or not isinstance(error, Exception):
                raise error
            self.application_failed(error)
            return self.result()
        except BaseException as final:
            self.end(final)
            raise

    def adopt(self, source: Iterable[bytes]) -> Iterable[bytes]:
        """Return the body after the application returned its own."""
        self.source = source
        if not self.replaced and self._is_file(source):
            return self.file()
        if self.state != "committed":
            self.settle()
        if self.upgraded:
            self.source = None  # the server closes it
            self.end(None)
            return source
        return _WsgiBody(self)

    def settle(self) -> None:
        """Take of the application's body what settles the head: a server may want it when the call returns.

        PEP 3333 lets ``start_response`` come with the first chunk; granian takes what there is at the return.
        """
        try:
            while self.state != "committed" and not self.upgraded:
                self.early.extend(next(self.parts))
        except BaseException as error:
            try:
                self.close_source()
            finally:
                self.end(error)
            raise

    def _is_file(self, source: object) -> bool:
        wrapper = self.environ.get("wsgi.file_wrapper")
        return isinstance(wrapper, type) and isinstance(source, wrapper) and self.head is not None

    def file(self) -> Iterable[bytes]:
        """Return the application's file untouched, so that the server may send it by itself."""
        source = cast("Iterable[bytes]", self.source)  # _is_file saw it
        try:
            if self.state != "committed":
                self.course.is_file = True
                self.begin()
        except BaseException as error:
            self.close_source()
            self.end(error)
            raise
        if self.replaced:
            self.close_source()
            return _WsgiBody(self)
        length = self.course.response.headers.get("content-length") if self.course.response else None
        self.sent = int(length) if length and length.isdigit() and has_body(self.course.method, self.status or 0) else 0
        return self.untouched(source)

    def untouched(self, source: Iterable[bytes]) -> Iterable[bytes]:
        """Return a file as the server knows it; its ``close()`` ends the exchange.

        A wrapper of ours would hide from the server that it can send the file by itself.
        """
        self.exhausted = True
        close = getattr(source, "close", None)

        def closed() -> None:
            try:
                if close is not None:
                    close()
            finally:
                self.end(None)

        try:
            source.close = closed  # type: ignore[attr-defined]  # the class of the server: an attribute of the object
        except AttributeError:
            self.end(None)
        return source

    def __iter__(self) -> Iterator[bytes]:
        try:
            if not self.replaced:
                for ready in chain((self.early,), self.parts):
                    for chunk in ready:
                        self.sent += len(chunk)
                        yield chunk
            if self.replaced:
                self.close_source()
                for chunk in self.from_middleware():
                    self.sent += len(chunk)
                    yield chunk
            self.exhausted = True
        except GeneratorExit:
            raise
        except BaseException as error:
            self.end(error)
            raise

    def close(self) -> None:
        """Close the application's body, then end the exchange."""
        error: BaseException | None = None
        try:
            self.close_source()
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.end(error)
            if self.answered_early and can_drop(self.environ, began=self.body.received > 0):
                drop(self.environ, self.body.source)

    # -- what the application calls

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], object]:
        """Take the head; a chain that only touches heads runs its hooks now."""
        if self.head is not None and exc_info is None:
            raise ApplicationError(
                "start_response must be called once, or again with exc_info (PEP 3333); it was called twice"
            )
        # A head that is held has some of its body already, which cannot follow another head.
        if exc_info is not None and (self.sent or (self.segment.defers and self.state in ("held", "committed"))):
            raise cast("tuple[object, BaseException]", exc_info)[1]
        self.head = (status, headers)
        self.exc_info = exc_info if self.state == "committed" else None
        if not self.replaced and not self.segment.defers:
            self.begin()
        return self.write

    def write(self, data: bytes) -> None:
        """PEP 3333's imperative way to send: what is written passes as a chunk."""
        for chunk in self.feed((data, False, False)) if data else ():
            try:
                cast("Callable[[bytes], object]", self.server_write)(chunk)  # feed() gives bytes after the commit only
            except OSError:
                self.disconnected = True
                raise
            self.sent += len(chunk)

    # -- the machine

    def begin(self) -> None:
        """Run the response phase for the application's head."""
        if self.head is None:
            raise ApplicationError("start_response must be called before the first chunk of the body (PEP 3333)")
        status, headers = self.head
        self.course.fields = headers
        code, reason = parse_status_line(status)
        response = Response.head(code, Headers.over(list(headers)), reason)
        self.steps = self.course.respond(response, len(self.segment.http))
        self.advance(None)

    def advance(self, sent: object, error: BaseException | None = None) -> None:
        """Drive the response phase until it is settled, or waits for more of the body."""
        steps = self.steps
        if steps is None:
            return
        try:
            while True:
                try:
                    effect = cast("object", steps.send(cast("None", sent)) if error is None else steps.throw(error))
                except StopIteration as stop:
                    self.replaced = self.course.own is not None
                    self.commit(cast("Response", stop.value))
                    return
                sent = error = None
                if effect is PULL:
                    if self.pending is None:
                        self.state = "held"
                        return
                    sent, self.pending = self.pending, None
                else:
                    try:
                        sent = run_plain(one(effect))
                    except BaseException as raised:
                        error = raised
        except BaseException as raised:
            self.failed = raised
            unanswered = self.course.unanswered
            if unanswered is not None and raised.__cause__ is unanswered:
                # A generator cannot raise a StopIteration (PEP 479). The server gets what the application raised.
                self.failed = unanswered
                raise unanswered from None
            raise

    def commit(self, response: Response) -> None:
        """Hand the head to the server."""
        self.state = "committed"
        if not self.body.gone:  # else nothing of it reaches anybody
            self.status = response.status
            self.first_byte_at = perf_counter() - self.began
        line = status_line(response.status, response.reason)
        headers = response.headers.wsgi()
        if self.exc_info is not None:
            self.server_write = self.server_start(line, headers, self.exc_info)  # type: ignore[arg-type]  # handed on
        else:
            self.server_write = self.server_start(line, headers)

    def feed(self, part: Pulled) -> list[bytes]:
        """Take a part of the application's body; return what can be sent."""
        if self.failed is not None:
            raise self.failed
        if self.body.refused is not None:
            self.refuse()
        if self.replaced:
            return []
        self.pending = part
        if self.state == "idle":
            self.begin()
        elif self.state == "held":
            sent, self.pending = self.pending, None
            self.advance(sent)
        if not self.flows():
            return []
        ready, self.course.held = self.course.held, []
        if self.pending is not None:
            ready = [*ready, *self.course.push(self.pending[0], self.pending[1])]
        return ready

    def flows(self) -> bool:
        """Return whether the application's head is out and its body follows."""
        return self.state == "committed" and not self.replaced

    def refuse(self) -> None:
        """Let a remembered refusal replace the answer, or cut the connection."""
        if self.body.refused is None or self.replaced:
            return
        refuse, index = self.body.refused
        if self.state not in ("idle", "held"):
            raise refuse
        if self.steps is not None:
            self.steps.close()
        self.answered_early = True
        self.steps = self.course.refuse(refuse, index)
        self.advance(None)

    def application_failed(self, error: Exception) -> None:
        """Answer an exception of the application, or raise it."""
        if self.replaced and self.body.is_refusal(error):
            return  # it is answered
        if self.failed is not None or self.state == "committed" or self.replaced:
            raise error
        if self.body.refused is not None:
            self.refuse()
        elif self.steps is not None:
            self.advance(None, error)
        else:
            self.steps = self.course.fail(error, len(self.segment.http))
            self.advance(None)

    def from_application(self) -> Generator[list[bytes], None, None]:
        """Yield what each part of the application's body gives, through the chain, until it ends or is replaced."""
        source = cast("Iterable[bytes]", self.source)  # the application returned it
        known = len(source) if isinstance(source, (list, tuple)) else None
        count = 0
        iterator: Iterator[bytes] | None = None
        while True:
            try:
                if iterator is None:
                    iterator = iter(source)
                chunk = next(iterator)
                count += 1
                last = count == known
            except StopIteration:
                if self.head is None and may_sign_off(self.environ):
                    self.upgraded = True
                    yield []
                    return
                chunk, last = b"", True
            except Exception as error:
                self.application_failed(error)
                yield []  # it is answered
                return
            if chunk or last:
                ready = self.feed((chunk, last, False))
                yield ready if ready or last or known is not None or not self.flows() else _NOTHING_YET
                if last or self.replaced:
                    return
            elif known is None and self.flows():
                yield _NOTHING_YET

    def from_middleware(self) -> Iterator[bytes]:
        """Yield the body of a middleware's response."""
        response = self.course.response
        if response is None or not has_body(self.course.method, response.status):
            return
        if isinstance(response.body, FileBody):
            yield from blocks(response.body)
            return
        while True:
            ready, self.course.held = self.course.held, []
            yield from ready
            if self.course.ended:
                return
            run_plain(self.course.pull())

    def close_source(self) -> None:
        """Close the application's body, once."""
        source, self.source = self.source, None
        close = getattr(source, "close", None)
        if close is not None:
            close()

    def end(self, error: BaseException | None) -> None:
        """Run ``on_finish``, once."""
        if self.state in ("done", "aborted"):
            return
        disconnected = self.disconnected or self.body.gone or (error is None and not self.exhausted)
        self.state = "done" if self.exhausted and error is None else "aborted"
        self.course.close()
        self.course.transforms = []  # they may be large, and wait for no garbage collector
        outcome = judge(
            completed=self.exhausted,
            error=error,
            disconnected=disconnected,
            status=self.status,
            bytes_sent=0 if self.status is None else self.sent,
            bytes_received=self.body.received,
            first_byte_at=self.first_byte_at,
            duration=perf_counter() - self.began,
            upgraded=self.upgraded,
        )
        run_plain(self.course.finish(outcome))


class _WsgiBody:
    """What the server iterates and closes."""

    def __init__(self, exchange: WsgiExchange) -> None:
        self._exchange = exchange
        self._parts: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        if self._parts is None:
            self._parts = iter(self._exchange)
        return self._parts

    def close(self) -> None:
        self._exchange.close()
