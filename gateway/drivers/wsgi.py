"""WSGI: a group of middleware around an application. One request is one object, a state machine.

Most exchanges are regular: no middleware responds, nothing fails, no transform changes the body. Then the plain loops
of :class:`~gateway.drivers._order.Exchange` run inside ``start_response``, and the application's own iterable goes to
the server, inside :class:`_Body` if a hook waits for its end. Everything else goes part by part through
:meth:`WsgiExchange.parts`. The states are those of :mod:`~gateway.drivers._order`.

When the headers are made: a group that only touches headers runs its hooks inside ``start_response``. One that may
look at the body, or respond to an error, *defers* them: to the return of a list or tuple, whose chunks are all there,
else to the first chunk, which is taken before the server gets the body.

(Above 400 lines: one state machine, which is read best on one page.)

Source: PEP 3333 "The start_response() Callable", "Handling the close() method".
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from inspect import GEN_CREATED, getgeneratorstate
from time import perf_counter
from typing import TYPE_CHECKING, cast

from gateway import client
from gateway._requests import WsgiRequest
from gateway._sign_off import may_sign_off, signs_off
from gateway.client import ClientGone
from gateway.drivers._bare import BareHead, BarePairs
from gateway.drivers._effects import perform_plain, run_plain
from gateway.drivers._files import BLOCK, blocks, open_whole
from gateway.drivers._order import (
    BROKEN,
    CHANGED,
    CLOSED,
    COMMITTED,
    DONE,
    FAILED,
    HELD,
    IDLE,
    REFUSED,
    REPLACED,
    Exchange,
    judge,
    settled,
)
from gateway.drivers._plan import HookPlan
from gateway.drivers._process import ProcessHooks
from gateway.drivers._request_body import InputStream, declared_length, has_input
from gateway.drivers._response_body import PULL, ResponseBody, has_body
from gateway.drivers._unread import can_drop, drop
from gateway.errors import ApplicationError
from gateway.exchange import FileBody, Response
from gateway.translate.status import parse_status_line, status_line, status_lines

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

    from _typeshed import OptExcInfo

    from gateway.contract import Steps
    from gateway.drivers._group import Group
    from gateway.drivers._request_body import RequestBody, ServerInput
    from gateway.drivers._response_body import Pulled
    from gateway.protocols import Environ, WSGIApplication

__all__ = ["WsgiExchange", "build"]

#: "If the middleware cannot yield any other value, it must yield an empty bytestring" (PEP 3333: Middleware Handling of
#: Block Boundaries). It can yield nothing before the headers, and the chunks of a list are not waited for.
_NOTHING_YET = [b""]


class WsgiExchange(Exchange, WsgiRequest):
    """One request through a group on WSGI; made bare, and filled by :func:`build`."""

    __slots__ = (
        "_began",
        "_body",
        "_exhausted",
        "_first",
        "_head",
        "_input",
        "_method",
        "_plan",
        "_response",
        "_sent",
        "_server_start",
        "_source",
        "_state",
        "_status",
        "_write",
    )

    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__

    _server_start: StartResponse
    #: The callable that the server's ``start_response`` returned.
    _write: Callable[[bytes], object]
    #: The headers that the application gave, if they wait for the body.
    _head: tuple[str, list[tuple[str, str]]] | None
    _body: RequestBody | None
    #: The server's input, if the application reads it through here.
    _input: ServerInput | None
    #: The application's iterable, until it is closed.
    _source: Iterable[bytes] | None
    #: Whether the server has taken all of the body.
    _exhausted: bool
    #: When the exchange began, and how long the headers took.
    _began: float
    _first: float | None
    _status: int | None
    #: Bytes of the body that were sent.
    _sent: int
    #: The response whose headers are out.
    _response: Response

    # Irregular exchanges only: see Exchange.
    #: The part of the application's body that the response phase has not taken yet.
    _pending: Pulled | None = None
    #: The argument of a second ``start_response``, if the server must know it.
    _exc_info: OptExcInfo | None = None
    #: Whether the server has the headers, although the response phase of others has failed since.
    _given: bool = False
    #: Whether a middleware responds before the application has read the request body.
    _early: bool = False
    #: Whether the application took the connection over, so that no response follows.
    _upgraded: bool = False
    #: Whether a read of the request body or the server's ``write`` said that the client went away.
    gone: bool = False

    # -- called by the application

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """Take the application's headers and run the response phase."""
        if self._state != IDLE:
            return self.start_again(status, headers, exc_info)
        return self.head(status, headers)

    def defer(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """Take the application's headers and keep them until there is some of the body."""
        if self._head is not None:
            return self.start_again(status, headers, exc_info)
        self._head = status, headers
        return self.write

    def start_again(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None
    ) -> Callable[[bytes], object]:
        """Take headers a second time: an error, unless the application gives the exception that it handles."""
        state, defers = self._state, self._plan.defers
        if exc_info is None:
            raise ApplicationError(
                "start_response must be called once, or again with exc_info (PEP 3333); it was called twice"
            )
        # Headers that wait for the body have some of it already, which cannot follow other headers.
        if self._sent or (defers and (state == HELD or COMMITTED <= state <= CHANGED or self._given)):
            raise cast("BaseException", exc_info[1])
        if defers:
            self._head = status, headers
        if defers or state in (REPLACED, CLOSED):
            return self.write
        return self.head(status, headers, exc_info if COMMITTED <= state <= CHANGED or self._given else None)

    def write(self, data: bytes) -> None:
        """PEP 3333's imperative way to send: the data passes as a chunk of the body; b"" sends the headers alone."""
        if not data and self._state == IDLE and self._head is not None:
            self.head(*self._head)
        if data:
            ready = [data] if self._state == COMMITTED else self.feed((data, False, False))
        else:
            # A server without `write` (granian) sends the headers when the application returns.
            ready = [b""] if COMMITTED <= self._state <= CHANGED and callable(self._write) else []
        for chunk in ready:
            try:
                self._write(chunk)
            except OSError:
                self.gone = True
                raise
            self._sent += len(chunk)

    def disconnected(self) -> bool | None:
        """Return whether the client is gone."""
        return self.gone or WsgiRequest.disconnected(self)

    # -- the response phase

    def head(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """Run the response phase for the application's headers; give them to the server if nothing holds them."""
        try:
            code, reason = status_lines[status]
        except KeyError:
            code, reason = parse_status_line(status)
        edited = BarePairs()
        edited._seen = -1
        pairs = edited._pairs = [*headers]
        response = BareHead()
        response.status = code
        response.headers = edited
        response.body = None
        response.reason = reason
        steps = self.outwards(response, iter(self._plan.outward))
        if steps is not None:
            self._steps = steps
            self._fields = headers
            self._exc_info = exc_info
            self.advance()
            return self.write
        if response.status != code or response.reason is not reason:
            status = status_line(response.status, response.reason)
        if response.headers is not edited:
            pairs = response.headers.wsgi()
        self._state = COMMITTED
        self._response = response
        if exc_info is None:
            write = self._write = self._server_start(status, pairs)
        else:
            write = self._write = self._server_start(status, pairs, exc_info)
        if not self._plan.watches:
            return write
        self.note(response)
        return self.write

    def advance(self, sent: object = None, error: BaseException | None = None) -> None:
        """Run the steps of the response phase until the headers are out, or wait for more of the body."""
        steps = cast("Steps[Response]", self._steps)
        before = self._state
        try:
            while True:
                try:
                    effect = cast("object", steps.send(cast("None", sent)) if error is None else steps.throw(error))
                except StopIteration as stop:
                    response = cast("Response", stop.value)
                    break
                sent = error = None
                if effect is PULL:
                    if self._pending is None:
                        self._state = HELD
                        return
                    sent, self._pending = self._pending, None
                    continue
                try:
                    sent = perform_plain(effect)
                except BaseException as raised:
                    error = raised
            self.commit(response)
        except BaseException as raised:
            self._given = self._given or COMMITTED <= before <= CHANGED
            self._state = FAILED
            self._failed = raised
            self.close_made()
            unanswered = self._unanswered
            if unanswered is not None and raised.__cause__ is unanswered:
                # A generator cannot raise a StopIteration (PEP 479). The server gets the application's own.
                raise unanswered from None
            raise

    def commit(self, response: Response) -> None:
        """Give the headers to the server."""
        self._state = CHANGED if self._made is None else REPLACED
        self._response = response
        if self._plan.watches:
            self.note(response)
        line = status_line(response.status, response.reason)
        headers = response.headers.wsgi()
        exc_info, self._exc_info = self._exc_info, None  # its traceback holds frames that hold this object
        if exc_info is not None:
            self._write = self._server_start(line, headers, exc_info)
        else:
            self._write = self._server_start(line, headers)

    def note(self, response: Response) -> None:
        """Note that the headers are out, unless nothing of them reaches anybody."""
        first = perf_counter() - self._began
        if first > client.LOOK_AFTER and self.disconnected():
            self.gone = True
        if not self.gone:
            self._status = response.status
            self._first = first

    def feed(self, part: Pulled) -> list[bytes]:
        """Take a part of the application's body; return the chunks to send."""
        state = self._state
        if state in (FAILED, BROKEN):
            raise cast("BaseException", self._failed)
        if state == REFUSED:
            self.send_refusal()
        elif state == IDLE:
            if self._head is None:
                raise ApplicationError("start_response must be called before the first chunk of the body (PEP 3333)")
            self._pending = part
            self.head(*self._head)
        elif state == HELD:
            self.advance(part)
        elif state <= CHANGED:
            self._pending = part
        if not COMMITTED <= self._state <= CHANGED:
            return []
        pending, self._pending = self._pending, None
        out = self._out
        if out is None:
            return [] if pending is None or not pending[0] else [pending[0]]
        ready, out.held = out.held, []
        return ready if pending is None else [*ready, *out.push(pending[0], pending[1])]

    def send_refusal(self) -> None:
        """Send the refusal of the request body in the place of the application's response."""
        self._early = True
        self._steps = settled(self.refuse())
        self.advance()

    # -- the body

    def adopt(self, source: Iterable[bytes]) -> Iterable[bytes]:
        """Return the iterable for the server, for that of the application."""
        plan = self._plan
        self._source = source
        try:
            if self._state == IDLE and plan.defers and self._head is not None and type(source) in (list, tuple):
                self.head(*self._head)
            if self._state == COMMITTED and not plan.reads:
                return source
            wrapper = self.environ.get("wsgi.file_wrapper")
            if isinstance(wrapper, type) and isinstance(source, wrapper) and self.is_file():
                return self.untouched(source)
            if self._state != COMMITTED:
                return self.settle(source)
        except BaseException as error:
            try:
                self.close_source()
            finally:
                self.end(error)
            raise
        body = _SizedBody() if hasattr(source, "__len__") else _Body()
        body._exchange = self
        body._chunks = self.counted(source)
        return body

    def settle(self, source: Iterable[bytes]) -> Iterable[bytes]:
        """Take of the application's body what lets the headers out: a server may want them when the call returns.

        PEP 3333 lets ``start_response`` come with the first chunk; granian takes what there is at the return.
        """
        parts = self.parts(source)
        early: list[bytes] = []
        while not COMMITTED <= self._state <= REPLACED and not self._upgraded:
            early.extend(next(parts))
        if self._upgraded:
            self._source = None  # the server closes it
            self.end(None)
            return source
        return self.body(self.chunks(early, parts))

    def body(self, chunks: Iterator[bytes]) -> _Body:
        """Return the body that the server iterates and closes."""
        body = _Body()
        body._exchange = self
        body._chunks = self.counted(chunks)
        return body

    def counted(self, chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
        """Yield chunks to the server and count their bytes; a refused request body cuts the response."""
        try:
            for chunk in chunks:
                if self._state == FAILED:
                    raise cast("BaseException", self._failed)
                self._sent += len(chunk)
                yield chunk
            self._exhausted = True
        except GeneratorExit:
            raise
        except BaseException as error:
            self.end(error)
            raise

    def chunks(self, early: list[bytes], parts: Iterator[list[bytes]]) -> Iterator[bytes]:
        """Yield the chunks of the application's body, or of the response that replaces it."""
        yield from early
        if self._state != REPLACED:
            for ready in parts:
                yield from ready
        if self._state == REPLACED:
            self.close_source()
            yield from self.made_chunks(self._response)

    def parts(self, source: Iterable[bytes]) -> Generator[list[bytes], None, None]:
        """Yield what each part of the application's body gives, through the group, until it ends or is replaced."""
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
                if self._state == IDLE and self._head is None and may_sign_off(self.environ):
                    self._upgraded = True
                    yield []
                    return
                chunk, last = b"", True
            except Exception as error:
                self.application_failed(error)
                yield []  # a middleware responds to it
                return
            if chunk or last:
                ready = self.feed((chunk, last, False))
                flows = COMMITTED <= self._state <= CHANGED
                yield ready if ready or last or known is not None or not flows else _NOTHING_YET
                if last or self._state == REPLACED:
                    return
            elif known is None and COMMITTED <= self._state <= CHANGED:
                yield _NOTHING_YET

    def is_file(self) -> bool:
        """Let the headers out for a file that the server may send by itself; tell if the application's is sent."""
        if self._state == IDLE and self._head is not None:
            self._out = ResponseBody(None, opaque=True)
            self.head(*self._head)
        elif self._state == HELD:
            self.advance((b"", True, True))
        if not COMMITTED <= self._state <= CHANGED:
            return False
        length = self._response.headers.get("content-length")
        known = length and length.isdigit() and has_body(self._method, self._status or 0)
        self._sent = int(length) if length and known else 0
        return True

    def made(self, response: Response) -> Iterable[bytes]:
        """Return the body of a middleware's response, whose headers are out."""
        wrapper = self.environ.get("wsgi.file_wrapper")
        if isinstance(response.body, FileBody) and wrapper is not None and has_body(self._method, response.status):
            opened = open_whole(response.body)
            if opened is not None:
                file, self._sent = opened
                # A large block would make room that a small file does not need.
                return self.untouched(wrapper(file, min(BLOCK, self._sent + 1)))
        return self.body(self.made_chunks(response))

    def made_chunks(self, response: Response) -> Iterator[bytes]:
        body, out = response.body, self._out
        if not has_body(self._method, response.status):
            return
        if out is None and isinstance(body, bytes):
            if body:
                yield body
            return
        if isinstance(body, FileBody):
            yield from blocks(body)
            return
        if out is None:
            out = ResponseBody(body)
        while True:
            ended = out.ended
            ready, out.held = out.held, []
            yield from ready
            if ended:
                return
            run_plain(out.pull())

    def untouched(self, source: Iterable[bytes]) -> Iterable[bytes]:
        """Return a file as the server knows it; its ``close()`` ends the exchange.

        A wrapper of ours would hide from the server that it can send the file by itself.
        """
        self._exhausted = True
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

    def close_source(self) -> None:
        """Close the application's iterable, once."""
        source, self._source = self._source, None
        close = getattr(source, "close", None)
        if close is not None:
            close()

    # -- the end

    def respond_early(self, entered: Response | Steps[Response | None]) -> Iterable[bytes] | None:
        """Run the rest of the request phase; return the body if it comes to a response."""
        response = entered if isinstance(entered, Response) else run_plain(entered)
        if response is None:
            return None
        self._early = True
        self.commit(response)
        content = response.body
        waits = self._out is not None or self._plan.finishing[self._entered] or can_drop(self.environ)
        if isinstance(content, bytes) and not waits:  # then nothing is left to do after the body
            return [content] if content and has_body(self._method, response.status) else []
        return self.made(response)

    def raised(self, error: BaseException) -> Iterable[bytes]:
        """Return the body of the response to an exception of the application, or raise it."""
        try:
            self._upgraded = self._state == IDLE and self._head is None and signs_off(self.environ, error)
            if self._upgraded or not isinstance(error, Exception):
                raise error
            self.application_failed(error)
            return self.made(self._response)
        except BaseException as final:
            self.end(final)
            raise

    def application_failed(self, error: Exception) -> None:
        """Respond to an exception of the application, or raise it."""
        state = self._state
        if state == REPLACED and self._body is not None and self._body.is_refusal(error):
            return  # the client has its response
        if state == IDLE:
            self._steps = self.fail(error, self._plan.size)
            self.advance()
        elif state == HELD:
            self.advance(None, error)
        elif state == REFUSED:
            self.send_refusal()
        else:
            raise error

    def close(self) -> None:
        """Close the application's iterable, then end the exchange."""
        error: BaseException | None = None
        try:
            self.close_source()
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.end(error)
            if self._early and can_drop(self.environ, began=self._body is not None and self._body.received > 0):
                drop(self.environ, self._input)

    def end(self, error: BaseException | None) -> None:
        """Run ``on_finish``, once."""
        if self._state >= DONE:
            return
        exhausted = self._exhausted
        finishing = self.over(completed=exhausted and error is None)
        if not finishing:
            return
        body = self._body
        outcome = judge(
            exhausted,
            error,
            self.gone or isinstance(error, ClientGone) or (error is None and not exhausted),
            self._status,
            0 if self._status is None else self._sent,
            0 if body is None else body.received,
            self._first,
            perf_counter() - self._began,
        )
        if self._upgraded:
            # The application has sent the 101 itself. The signal by which it left the server is not an error.
            outcome.kind, outcome.status, outcome.error, outcome.disconnected = "upgraded", 101, None, False
        steps = self.finish(outcome, iter(finishing))
        if steps is not None:
            run_plain(steps)


class _Body:
    """The iterable for the server; made bare.

    A class for ``close()``, and a generator for the chunks: a ``__next__`` of ours would cost ten times as much.
    """

    __slots__ = ("_chunks", "_exchange")

    _chunks: Generator[bytes, None, None]
    _exchange: WsgiExchange

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self._chunks.close()
        self._exchange.close()


class _SizedBody(_Body):
    """The same for a list or tuple: a server that finds one chunk sets Content-Length from it."""

    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        # As a list does, begin again: gevent adds up the lengths of all chunks when it has the first one.
        source = self._exchange._source
        begun = getgeneratorstate(self._chunks) != GEN_CREATED
        return iter(source) if begun and source is not None else self._chunks

    def __len__(self) -> int:
        return len(cast("Sized", self._exchange._source))  # it was made for one


def build(group: Group, app: WSGIApplication) -> WSGIApplication:
    """Return a WSGI application that runs the group around another."""
    process = ProcessHooks(group.http, "wsgi") if ProcessHooks.needed(group.http) else None
    plan = HookPlan(group.http)
    serve = app if plan.is_empty else _serve(plan, app)
    return serve if process is None else _started(process, serve)


def _serve(plan: HookPlan, app: WSGIApplication) -> WSGIApplication:
    inward, watches, reads, defers = plan.inward, plan.watches, plan.reads, plan.defers

    def serve(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        exchange = WsgiExchange()
        exchange.environ = environ
        exchange._headers = exchange._slots = None
        exchange._plan = plan
        exchange._method = environ.get("REQUEST_METHOD", "GET")
        exchange._server_start = start_response
        exchange._state = IDLE
        exchange._head = exchange._body = exchange._input = exchange._source = exchange._status = exchange._first = None
        exchange._exhausted = False
        exchange._sent = 0
        exchange._began = perf_counter() if watches else 0.0
        try:
            entered = exchange.enter(iter(inward)) if inward else None
            if entered is not None:
                body = exchange.respond_early(entered)
                if body is not None:
                    return body
            if reads and (environ.get("wsgi.input_terminated") or environ.get("CONTENT_LENGTH")):
                _read_through(exchange, environ)
        except BaseException as error:
            exchange.end(error)
            raise
        try:
            source = app(environ, exchange.defer if defers else exchange.start)
        except BaseException as error:
            return exchange.raised(error)
        return exchange.adopt(source)

    return serve


def _read_through(exchange: WsgiExchange, environ: Environ) -> None:
    """Put the transforms between the application and ``wsgi.input``, if the request can have a body."""
    if not has_input(environ):
        return
    exchange._input = environ["wsgi.input"]
    environ["wsgi.input"] = InputStream(environ["wsgi.input"], exchange, declared_length(environ))
    if not exchange._plan.keeps_length:
        environ.pop("CONTENT_LENGTH", None)
        environ["wsgi.input_terminated"] = True


def _started(process: ProcessHooks, serve: WSGIApplication) -> WSGIApplication:
    """Start the hooks before the first request."""

    def started(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not process.started:
            process.start_plain()
        return serve(environ, start_response)

    return started
