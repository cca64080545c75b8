"""WSGI: any chain. The regular exchange is one object with its state, which leaves for the long way where it must.

States: ``IDLE`` (no head), ``COMMITTED`` (the head was given to the server), ``DONE`` (the body was closed after its
end); ``LEFT`` says that the long way has taken over. The application's iterable goes to the server as it is, where
nobody waits for the end, else inside :class:`_Body`.

Above 400 lines: one state machine of one exchange, whose states are read best on one page.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from time import perf_counter
from typing import TYPE_CHECKING, cast

from gateway._requests import WsgiRequest
from gateway.drivers._answer import answer_wsgi, unseen
from gateway.drivers._bare import BareHead, BarePairs, bare_outcome
from gateway.drivers._colour import run_plain
from gateway.drivers._course import has_body, settle
from gateway.drivers._flows import ENDED, begun, ended
from gateway.drivers._plan import Plan
from gateway.drivers._request_body import InputStream, RequestBody, ServerInput, declared_length, hand_in, has_input
from gateway.drivers._wsgi_exchange import WsgiExchange
from gateway.exchange import Outcome, Response
from gateway.translate.status import parse_status_line, status_line, status_lines

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

    from _typeshed import OptExcInfo

    from gateway.drivers._flows import Runner
    from gateway.drivers._plan import OnResponse
    from gateway.protocols import Environ, WSGIApplication

__all__ = ["build"]

IDLE: int = 0
COMMITTED: int = 1
DONE: int = 2
LEFT: int = 3
#: What stands for the exchange before there is one; a plain ``None`` would be settled for a type checker.
NOT_LEFT: WsgiExchange | None = None

logger: logging.Logger = logging.getLogger("gateway.drivers")


class _Regular(WsgiRequest):
    """A request with the state of its regular exchange: one object, because two would cost twice.

    What a plan does not need is not set; :meth:`leave` asks the plan.
    """

    __slots__ = (
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

    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__

    #: The head that the application gave, where it waits for the body.
    _head: tuple[str, list[tuple[str, str]]] | None
    _left: WsgiExchange | None
    _plan: Plan[WSGIApplication]
    _server_start: StartResponse
    _state: int
    #: Only for who waits for the end.
    _began: float
    _exhausted: bool
    _first: float
    _response: Response
    _sent: int
    _status: int
    _write: Callable[[bytes], object]
    #: Only where the request body is read through here; ``None`` until it is.
    _body: RequestBody | None
    #: Only for who transforms bodies, and for flows.
    _method: str
    _running: list[Runner]

    def leave(self, entered: int) -> WsgiExchange:
        """Hand the exchange over to the long way, with what happened so far."""
        plan = self._plan
        left = self._left = WsgiExchange(plan.segment, plan.app, self, self._server_start)
        if plan.watches:
            left.began = self._began
        if plan.bodies:
            left.course.method = self._method
        left.course.entered = left.course.level = entered
        if self._state != IDLE:
            left.head = "", []  # it was given; nobody reads it again
        elif plan.defers:
            left.head = self._head
        if plan.reads and self._body is not None:
            left.body = self._body
        if plan.easy:
            plan.runners.hand_over(self, self._running, entered)
        if self._state == COMMITTED:
            left.state = "committed"
            if plan.watches:
                left.course.response = self._response
                left.status, left.first_byte_at, left.sent = self._status, self._first, self._sent
                left.server_write = self._write
        self._state = LEFT
        return left

    def between(self) -> None:
        """Stand between the application and its input; nothing is made before it reads."""
        if has_input(self.environ):
            stream = _Unread()
            stream._request = self
            stream._source = self.environ["wsgi.input"]
            stream._length = declared_length(self.environ)
            hand_in(self.environ, stream, keeps_length=self._plan.keeps_length)

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """Take the head of the application and hand it on, where nothing waits for the body."""
        if self._state != IDLE and (exc_info is None or self._left is not None):
            return (self._left or self.leave(self._plan.size)).start(status, headers, exc_info)
        plan = self._plan
        again = self._state == COMMITTED
        if again and plan.watches and self._sent:
            return self.leave(plan.size).start(status, headers, exc_info)
        try:
            code, reason = status_lines[status]
        except KeyError:
            code, reason = parse_status_line(status)
        edited = BarePairs()
        edited._seen = -1
        changed = edited._pairs = [*headers]
        response = BareHead()
        response.status = code
        response.reason = reason
        response.headers = edited
        response.body = None
        index = plan.size
        returned: object = None
        change: object = None
        on_response: OnResponse | None = None
        try:
            if plan.mixed:
                for index, flow, on_response, on_body in plan.outward:
                    if flow:
                        effect = self._running[index].send(response)
                        if effect is not ENDED:
                            ended(self._running[index], effect)
                        continue
                    if on_response is not None:
                        returned = on_response(self, response)
                        if returned is not None:
                            break
                    if on_body is not None and has_body(self._method, response.status):
                        change = on_body(self, response)
                        if change is not None:
                            break
            else:
                for on_response in plan.heads:
                    returned = on_response(self, response)
                    if returned is not None:
                        break
        except Exception as error:
            if not plan.mixed and on_response is not None:
                index = plan.place(on_response)
            left = self._late(status, headers, exc_info if again else None)
            return left.late(left.course.fail(error, index))
        if returned is None and change is None:
            if response.status != code or response.reason is not reason:
                status = status_line(response.status, response.reason)
            if plan.mixed and plan.easy:
                plan.runners.put(self._running)
                self._running = []
            self._state = COMMITTED
            if plan.watches:
                self._response = response
                self._status = response.status
                self._first = perf_counter() - self._began
            if response.headers is not edited:
                changed = response.headers.wsgi()
            write = self._server_start(status, changed, exc_info) if again else self._server_start(status, changed)
            if not plan.watches:
                return write
            self._write = write
            return self.write
        left = self._late(status, headers, exc_info if again else None)
        if change is not None:
            return left.late(left.course.resume_body(response, index, change))
        if not plan.mixed and on_response is not None:
            index = plan.place(on_response)
        return left.late(left.course.resume(response, index, returned))

    def _late(self, line: str, pairs: list[tuple[str, str]], exc_info: OptExcInfo | None) -> WsgiExchange:
        """Leave in the middle of the response phase."""
        left = self.leave(self._plan.size)
        left.head = line, pairs
        left.exc_info = exc_info
        return left

    def defer(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """Take the head of the application and keep it until there is some of the body."""
        if self._state != IDLE or (self._head is not None and exc_info is None):
            return (self._left or self.leave(self._plan.size)).start(status, headers, exc_info)
        self._head = status, headers
        return self.write

    def write(self, data: bytes) -> None:
        """PEP 3333's imperative way to send."""
        if self._state == COMMITTED:
            try:
                self._write(data)
            except OSError:
                self.leave(self._plan.size).disconnected = True
                raise
            self._sent += len(data)
        else:
            (self._left or self.leave(self._plan.size)).write(data)

    def adopt(self, source: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server gets for the iterable of the application."""
        plan = self._plan
        if plan.refuses and self._body is not None and self._body.refused is not None:
            return (self._left or self.leave(plan.size)).adopt(source)
        if plan.defers and self._state == IDLE and self._head is not None and type(source) in (list, tuple):
            try:
                self.start(self._head[0], self._head[1])
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
        body = _SizedBody() if hasattr(source, "__len__") else _Body()
        body._request = self
        body._source = source
        body._parts = None
        return body

    def finish(self) -> None:
        """Run ``on_finish`` after the server has taken everything and closed the body."""
        self._state = DONE
        outcome = bare_outcome(Outcome)
        outcome.kind = "completed"
        outcome.status = self._status
        outcome.bytes_sent = self._sent
        outcome.bytes_received = 0 if self._body is None else self._body.received
        outcome.first_byte_at = self._first
        outcome.duration = perf_counter() - self._began
        outcome.error = outcome.websocket_close_code = None
        outcome.disconnected = False
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


class _Unread:
    """The input of a request before the application reads it; made bare."""

    __slots__ = ("_length", "_request", "_source")

    _length: int | None
    _request: _Regular
    _source: ServerInput

    def _open(self) -> InputStream:
        request = self._request
        if request._body is None:
            left = request._left
            request._body = RequestBody(request._plan.chain, request) if left is None else left.body
            self._source = InputStream(self._source, request._body, self._length)
        return cast("InputStream", self._source)  # it is, once there is a body

    def _look(self) -> None:
        """Leave for the long way where the client is gone before the head: what is sent now reaches nobody."""
        request = self._request
        if request._state == IDLE and request._body is not None and request._body.gone:
            request.leave(request._plan.size)

    def read(self, size: int | None = -1) -> bytes:
        try:
            return self._open().read(size)
        finally:
            self._look()

    def readline(self, size: int | None = -1) -> bytes:
        try:
            return self._open().readline(size)
        finally:
            self._look()

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        try:
            return self._open().readlines(hint)
        finally:
            self._look()

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line


class _Body:
    """The application's iterable where somebody waits for its end; made bare.

    A class for ``close()``, and a generator for the chunks: a ``__next__`` of ours would cost ten times as much.
    """

    __slots__ = ("_parts", "_request", "_source")

    _parts: Generator[bytes, None, None] | None
    _request: _Regular
    _source: Iterable[bytes]

    def __iter__(self) -> Iterator[bytes]:
        if self._parts is None:
            self._parts = self._guarded() if self._request._plan.refuses else self._count(self._source)
        return self._parts

    def _count(self, source: Iterable[bytes]) -> Generator[bytes, None, None]:
        request = self._request
        sent = request._sent
        try:
            for chunk in source:
                sent += len(chunk)
                yield chunk
            request._exhausted = True
        except GeneratorExit:
            raise
        except BaseException as error:
            if request._state != DONE:
                left = request._left or request.leave(request._plan.size)
                left.sent = sent
                left.end(error)
            raise
        finally:
            request._sent = sent

    def _guarded(self) -> Generator[bytes, None, None]:
        """Do the same where a request transform may have refused: the connection is cut then."""
        return self._count(self._checked())

    def _checked(self) -> Generator[bytes, None, None]:
        request = self._request
        for chunk in self._source:
            if request._body is not None and request._body.refused is not None:
                raise request._body.refused[0]
            yield chunk

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
            raise
        if request._state == COMMITTED and request._exhausted and (request._body is None or not request._body.gone):
            request.finish()
        elif request._state != DONE:
            (request._left or request.leave(request._plan.size)).end(None)


class _SizedBody(_Body):
    """The same for a list or tuple: a server that finds one chunk sets Content-Length from it."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(cast("Sized", self._source))  # it was made for one


def build(plan: Plan[WSGIApplication]) -> WSGIApplication:
    """Serve any chain; what it does not define is left out once, here."""
    app = plan.app
    inward, easy, bodies, watches = plan.inward, bool(plan.easy), plan.bodies, plan.watches
    reads, defers, take = plan.reads, plan.defers, plan.runners.take
    quiet = unseen(plan.chain)

    def serve(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = _Regular()
        request.environ = environ
        request._headers = request._slots = None
        request._left = NOT_LEFT
        request._plan = plan
        request._server_start = start_response
        request._state = IDLE
        if defers:
            request._head = None
        if reads:
            request._body = None
        if watches:
            request._sent = 0
            request._exhausted = False
            request._began = perf_counter()
        if bodies:
            request._method = request.method
        if easy:
            request._running = take()
        index = 0
        returned: object = None
        try:
            for index, flow, enter in inward:
                returned = enter(request)
                if returned is None:
                    continue
                if flow:
                    returned = request._running[index].send(returned)
                    if returned is not None:
                        begun(request._running[index], returned)
                        returned = None
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
            if quiet[index]:
                method = request._method if bodies else request.method
                body = answer_wsgi(returned, method, environ, start_response)
                if body is not None:
                    return body
            left = request.leave(index + 1)
            return left.take_over(left.course.answer(returned, index))
        if reads and (environ.get("wsgi.input_terminated") or environ.get("CONTENT_LENGTH")):
            request.between()
        try:
            source = app(environ, request.defer if defers else request.start)
        except BaseException as error:
            return (request._left or request.leave(plan.size)).raised(error)
        return request.adopt(source)

    return serve
