"""The WSGI side of a segment, specialised when it is built.

Theory of operation. As on ASGI, the regular exchange is served here and everything irregular *leaves* for a
:class:`~gateway.drivers.reference.WsgiExchange`, which gets the state so far. Regular is: no middleware answers,
nothing fails, the body is not touched. Then the application's own iterable goes to the server, untouched where
nobody waits for the end, inside :class:`_Body` where somebody does.

When the head is made: a chain that only touches heads runs its hooks inside ``start_response``. One that may look at
the body, or answer an error, *defers* it: to the return of a list or tuple, whose chunks are all there, else to the
first chunk, which is the long way.

Rules for changing it: the short way decides nothing that the long way decides too; it only notices that there is
something to decide. Every branch of it has a scenario in the property tests against the reference.

Source: PEP 3333 "The start_response() Callable", "Handling the close() method".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, cast

from gateway.contract import HOOKS, misuse
from gateway.drivers._colour import run_plain
from gateway.drivers._course import has_body, settle
from gateway.drivers._plan import Plan
from gateway.drivers._process import ProcessHooks
from gateway.drivers._request_body import RequestBody, wrap_input
from gateway.drivers.reference import ReferenceWsgi, WsgiExchange
from gateway.exchange import Outcome, Response, WsgiRequest, reason_phrase
from gateway.headers import Headers

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

    from _typeshed import OptExcInfo

    from gateway.contract import Flow
    from gateway.drivers._build import Segment
    from gateway.protocols import Environ, WSGIApplication

__all__ = ["build"]

IDLE: int = 0
COMMITTED: int = 1
DONE: int = 2
LEFT: int = 3

logger = logging.getLogger("gateway.drivers")


class _Pairs(Headers):
    """Headers over a list, made by one call."""

    __slots__ = ()

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs


class _Head(Response):
    """The head of an application, made by one call."""

    __slots__ = ()

    def __init__(self, status: int, reason: str, pairs: list[tuple[str, str]]) -> None:
        self.status = status
        self.reason = reason
        self.headers = _Pairs(pairs)
        self.body = None


@lru_cache(maxsize=256)
def _status(line: str) -> tuple[int, str]:
    code, _, reason = line.partition(" ")
    return int(code), reason


class _Regular(WsgiRequest):
    """A request with the state of its regular exchange: one object, because two would cost twice."""

    __slots__ = (
        "_app",
        "_began",
        "_body",
        "_exhausted",
        "_first",
        "_head",
        "_left",
        "_method",
        "_plan",
        "_response",
        "_running",
        "_sent",
        "_server_start",
        "_state",
        "_status",
        "_write",
    )

    _began: float
    _first: float
    _method: str
    _response: Response
    _running: list[Flow | None]
    _status: int
    _write: Callable[[bytes], object]

    def __init__(self, plan: Plan, app: WSGIApplication, environ: Environ, server_start: StartResponse) -> None:
        # All in slots and nothing left to defaults of the class: that is what the interpreter's caches like best.
        self.environ = environ
        self._headers = None
        self._slots = None
        self._plan = plan
        self._app = app
        self._server_start = server_start
        self._state = IDLE
        self._sent = 0
        self._exhausted = False
        self._body: RequestBody | None = None
        self._left: WsgiExchange | None = None
        self._head: tuple[str, list[tuple[str, str]]] | None = None

    def leave(self, entered: int) -> WsgiExchange:
        """Hand the exchange over to the long way, with what happened so far."""
        plan = self._plan
        left = self._left = WsgiExchange(plan.segment, self._app, self, self._server_start)
        if plan.watches:
            left.began = self._began
        if plan.bodies:
            left.course.method = self._method
        left.course.entered = left.course.level = entered
        left.head = self._head
        if self._body is not None:
            left.body = self._body
        plan.hand_over(self, self._running if plan.easy else [], entered)
        if self._state == COMMITTED:
            left.state = "committed"
            left.course.level = 0
            if plan.watches:
                left.course.response = self._response
                left.status, left.first_byte_at, left.sent = self._status, self._first, self._sent
                left.server_write = self._write
                left.exhausted = self._exhausted
        self._state = LEFT
        return left

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """Take the head of the application."""
        if self._left is not None:
            return self._left.start(status, headers, exc_info)
        if self._head is not None and (exc_info is None or self._sent):
            return self.leave(self._plan.size).start(status, headers, exc_info)
        self._head = (status, headers)
        if self._plan.defers:
            return self.write
        return self.commit(status, headers, exc_info)

    def commit(
        self, line: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None
    ) -> Callable[[bytes], object]:
        """Run the response phase and hand the head to the server."""
        plan = self._plan
        again = self._state == COMMITTED
        status, reason = _status(line)
        response = _Head(status, reason, [*headers])
        index = plan.size
        returned: object = None
        change: object = None
        try:
            if plan.mixed:
                for index, easy, on_response, on_body in plan.outward:
                    if easy:
                        flow = self._running[index]
                        try:
                            effect = flow.send(response)  # type: ignore[union-attr]  # every easy one was begun
                        except StopIteration:
                            continue
                        flow.throw(misuse(effect))  # type: ignore[union-attr]  # as above
                    if on_response is not None:
                        returned = on_response(self, response)
                        if returned is not None:
                            break
                    if on_body is not None and has_body(self._method, response.status):
                        change = on_body(self, response)
                        if change is not None:
                            break
            else:
                for index, on_response in plan.heads:  # noqa: B007  # where it stopped
                    returned = on_response(self, response)
                    if returned is not None:
                        break
        except Exception as error:
            left = self.leave(plan.size)
            steps = left.course.fail(error, index)
        else:
            if returned is None and change is None:
                if response.status != status or response.reason is not reason:
                    line = f"{response.status} {response.reason or reason_phrase(response.status)}"
                if plan.watches:
                    self._response = response
                    self._status = response.status
                    self._first = perf_counter() - self._began
                self._state = COMMITTED
                if exc_info is not None and again:
                    write = self._server_start(line, response.headers.wsgi(), exc_info)
                else:
                    write = self._server_start(line, response.headers.wsgi())
                if not plan.watches:
                    return write
                self._write = write
                return self.write
            left = self.leave(plan.size)
            if change is not None:
                steps = left.course.resume_body(response, index, change)
            else:
                steps = left.course.resume(response, index, returned)
        left.exc_info = exc_info if again else None
        left.state = "idle"
        left.steps = steps
        left.advance(None)
        return left.write

    def write(self, data: bytes) -> None:
        """PEP 3333's imperative way to send."""
        if self._state == COMMITTED:
            self._sent += len(data)
            self._write(data)
        else:
            (self._left or self.leave(self._plan.size)).write(data)

    def adopt(self, source: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server gets for the iterable of the application."""
        plan = self._plan
        if self._body is not None and self._body.refused is not None:
            return (self._left or self.leave(plan.size)).adopt(source)
        if self._state == IDLE and self._head is not None and plan.defers and type(source) in (list, tuple):
            try:
                self.commit(self._head[0], self._head[1], None)
            except BaseException as error:
                (self._left or self.leave(plan.size)).end(error)
                raise
        if self._state != COMMITTED:
            return (self._left or self.leave(plan.size)).adopt(source)
        if not plan.watches:
            return source
        wrapper = self.environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(source, wrapper):
            return self.leave(plan.size).adopt(source)
        return _SizedBody(self, source) if isinstance(source, Sized) else _Body(self, source)

    def finish(self) -> None:
        """Run ``on_finish`` after the server has taken everything and closed the body."""
        self._state = DONE
        received = self._body.received if self._body is not None else 0
        outcome = Outcome("completed", self._status, self._sent, received, self._first, perf_counter() - self._began)
        cut: BaseException | None = None
        for on_finish in self._plan.finishing:
            try:
                result = on_finish(self, outcome)
                if result is not None:
                    run_plain(settle(result))
            except Exception:
                logger.exception("on_finish of %r failed; the response is not altered", on_finish)
            except BaseException as error:
                cut = cut or error
        if cut is not None:
            raise cut


class _Body:
    """The application's iterable where somebody waits for its end.

    A class for ``close()``, and a generator for the chunks: a ``__next__`` of ours would cost ten times as much.
    """

    def __init__(self, request: _Regular, source: Iterable[bytes]) -> None:
        self._request = request
        self._source = source
        self._parts: Generator[bytes, None, None] | None = None

    def __iter__(self) -> Iterator[bytes]:
        if self._parts is None:
            self._parts = self._count()
        return self._parts

    def _count(self) -> Generator[bytes, None, None]:
        request = self._request
        sent = request._sent
        try:
            for chunk in self._source:
                sent += len(chunk)
                if request._body is not None and request._body.refused is not None:
                    raise request._body.refused[0]
                yield chunk
            request._exhausted = True
        except GeneratorExit:
            raise
        except BaseException as error:
            request._sent = sent
            if request._state != DONE:
                left = request._left or request.leave(request._plan.size)
                left.sent = sent
                left.end(error)
                request._state = DONE
            raise
        finally:
            request._sent = sent

    def close(self) -> None:
        """Close the application's iterable, then end the exchange."""
        request = self._request
        if self._parts is not None:
            self._parts.close()  # it notes how much was taken
        try:
            close = getattr(self._source, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            if request._state != DONE:
                (request._left or request.leave(request._plan.size)).end(error)
                request._state = DONE
            raise
        if request._state == COMMITTED and request._exhausted:
            request.finish()
        elif request._state != DONE:
            (request._left or request.leave(request._plan.size)).end(None)
            request._state = DONE


class _SizedBody(_Body):
    """The same for a list or tuple: a server that finds one chunk sets Content-Length from it."""

    def __len__(self) -> int:
        return len(cast("Sized", self._source))  # it was made for one


def build(segment: Segment, app: WSGIApplication, *, naive: bool) -> WSGIApplication:
    """Return a WSGI application that runs the segment around another."""
    process = ProcessHooks(segment.http, "wsgi") if ProcessHooks.needed(segment.http) else None
    serve: WSGIApplication
    if naive:
        serve = ReferenceWsgi(segment, app)
    elif any(segment.defines(name) for name in HOOKS if name not in ("on_start", "on_stop", "on_response")):
        serve = _full(segment, app)
    elif segment.defines("on_response"):
        serve = _heads(segment, app)
    else:
        serve = app
    return serve if process is None else _started(process, serve)


def _started(process: ProcessHooks, serve: WSGIApplication) -> WSGIApplication:
    """Start the hooks before the first request."""

    def started(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not process.started:
            process.start_plain()
        return serve(environ, start_response)

    return started


def _heads(segment: Segment, app: WSGIApplication) -> WSGIApplication:
    """Serve a chain that only touches heads of responses."""
    plan = Plan(segment)
    if plan.constants:
        return _constants([constant.wsgi for constant in plan.constants], app)

    def serve(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = _Regular(plan, app, environ, start_response)
        try:
            source = app(environ, request.start)
        except BaseException as error:
            if request._state == LEFT:
                return cast("WsgiExchange", request._left).raised(error)  # set with the state
            raise
        return source if request._state == COMMITTED else request.adopt(source)

    return serve


def _constants(pairs: list[tuple[str, str]], app: WSGIApplication) -> WSGIApplication:
    """Serve a chain that has constants and no hook: nothing is made, and nothing can fail."""

    def serve(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def start(
            status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
        ) -> Callable[[bytes], object]:
            if exc_info is None:
                return start_response(status, [*headers, *pairs])
            return start_response(status, [*headers, *pairs], exc_info)

        return app(environ, start)

    return serve


def _full(segment: Segment, app: WSGIApplication) -> WSGIApplication:
    """Serve any chain; what it does not define is left out once, here."""
    plan = Plan(segment)
    inward, easy, bodies, watches = plan.inward, bool(plan.easy), plan.bodies, plan.watches

    def serve(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = _Regular(plan, app, environ, start_response)
        if watches:
            request._began = perf_counter()
        if bodies:
            request._method = request.method
        running: list[Flow | None] = []
        if easy:
            running = request._running = [None] * plan.size
        index = 0
        returned: object = None
        try:
            for index, flow, enter in inward:
                returned = enter(request)
                if returned is None:
                    continue
                if flow:
                    running[index] = returned  # type: ignore[call-overload]  # a flow: no cast in this loop
                    returned = next(returned, None)  # type: ignore[call-overload]  # a flow: no cast in this loop
                    if returned is not None:
                        running[index].throw(misuse(returned))  # type: ignore[union-attr]  # as above
                    continue
                returned = run_plain(settle(returned))
                if returned is not None:
                    break
        except Exception as error:
            left = request.leave(index + 1)
            return left.take_over(left.course.entry_failed(error, index))
        except BaseException as error:
            request.leave(index + 1).end(error)
            raise
        if returned is not None:
            left = request.leave(index + 1)
            return left.take_over(left.course.answer(returned, index))
        if plan.reads and (environ.get("CONTENT_LENGTH") or environ.get("wsgi.input_terminated")):
            request._body = RequestBody(segment.http, request)
            wrap_input(environ, request._body, keeps_length=segment.keeps_length)
        try:
            source = app(environ, request.start)
        except BaseException as error:
            return (request._left or request.leave(plan.size)).raised(error)
        return request.adopt(source)

    return serve
