"""The validator around a WSGI application.

If the application breaks a rule in its call, in ``start_response``, ``write`` or a stream, the validator raises there.
If the iterable breaks a rule, the validator raises to the server, because the server runs the iterable. If the
application swallows a violation, the validator raises it again at the server's next step.

The environ is the server's own, with ``wsgi.input`` and ``wsgi.errors`` replaced. The validator returns a file of the
server's ``wsgi.file_wrapper`` unchanged, because servers recognise it by its type.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import cast

from gateway.errors import ProtocolViolation
from gateway.protocols import Environ, WSGIApplication
from gateway.rules._engine import Findings, RuleEngine, Stages
from gateway.rules._narrow import is_environ, is_list, is_tuple
from gateway.rules._wsgi_streams import CheckedInput, ErrorStream, Write, checked_input
from gateway.rules.table import Rule
from gateway.rules.tables import WSGI_TABLES
from gateway.rules.wsgi_application import END
from gateway.rules.wsgi_state import Call, Exchange, Started, Wrapped

__all__ = ["ApplicationThreads", "CheckedWsgiCall"]

_STAGES = Stages(WSGI_TABLES)
_CALL, _ENVIRON, _START, _STARTED, _RETURNED, _NEXT, _BLOCK, _END, _CLOSE, _AFTER, _FORGOTTEN, _WRAPPED = (
    _STAGES.rules(stage)
    for stage in (
        "call",
        "environ",
        "start",
        "started",
        "returned",
        "next",
        "block",
        "end",
        "close",
        "after",
        "forgotten",
        "wrapped",
    )
)
_DICT = tuple(rule for rule in _ENVIRON if rule.id == "V02")

_Callable = Callable[..., object]
_Application = Callable[..., Iterable[bytes]]


def _greenlets() -> bool:
    """Tell whether ``threading`` is patched: two greenlets then look like two threads, but run in one."""
    return not (threading.get_ident.__module__ or "_thread").startswith(("_thread", "threading"))


class ApplicationThreads:
    """The threads that are in the application."""

    def __init__(self) -> None:
        self._threads: dict[int, int] = {}
        # The garbage collector may run in `enter` and close a forgotten iterable, which calls `leave`.
        self._lock = threading.RLock()

    def enter(self) -> tuple[int, bool]:
        """Enter this thread; return its id, and whether another thread is inside."""
        me = threading.get_ident()
        with self._lock:
            others = len(self._threads) > (me in self._threads)
            self._threads[me] = self._threads.get(me, 0) + 1
        return me, others and not _greenlets()

    def leave(self, thread: int) -> None:
        """Remove one call of a thread."""
        with self._lock:
            count = self._threads.get(thread, 0) - 1
            if count > 0:
                self._threads[thread] = count
            else:
                self._threads.pop(thread, None)


class CheckedWsgiCall:
    """One call of the application: the request, and the objects that the application and the server get."""

    def __init__(self, app: WSGIApplication, engine: RuleEngine, running: ApplicationThreads) -> None:
        self.app = app
        self.engine = engine
        self.running = running
        self.pending: ProtocolViolation | None = None
        self.made: list[object] = []
        self._thread: int | None = None

    def run(self, args: tuple[object, ...], kwargs: dict[str, object]) -> Iterable[bytes]:
        """Call the application and check both sides."""
        exchange = self.exchange = Exchange({})
        self.engine.ran(_CALL)
        if len(args) != 2 or kwargs:
            self._to_server(self.engine.check(_CALL, exchange, Call(args, kwargs)))
        if len(args) != 2 or kwargs:
            return cast(_Application, self.app)(*args, **kwargs)  # with the server's own arguments
        environ, start_response = args
        if not is_environ(environ):
            self._to_server(self.engine.check(_DICT, exchange, environ))
            return cast(_Application, self.app)(environ, start_response)  # as above
        exchange.environ = environ
        self._prepare(environ)
        self._thread, exchange.overlaps = self.running.enter()
        try:
            self._to_server(self.engine.check(_ENVIRON, exchange, environ))
            self._replace_streams(environ)
            self._server_start = cast(_Callable, start_response)  # if it is not callable, its first call raises
            iterable: object = self.app(environ, self.start_response)
        except BaseException as error:
            self._ended()
            if self.pending is not None and error is not self.pending and isinstance(error, Exception):
                raise self.pending from error
            raise
        return self._answer(iterable)

    def _prepare(self, environ: Environ) -> None:
        exchange = self.exchange
        stream: object = environ.get("wsgi.input")
        if isinstance(stream, CheckedInput):
            other = stream.call
            exchange.reused = other.engine is self.engine and other.exchange.ended and other.exchange.environ is environ
            # The other call is around this one if it runs now; else the environ was used again, by a test for example.
            runs = not other.exchange.returned or other.exchange.iterating
            if other.engine is not self.engine and runs and not other.exchange.ended:
                exchange.outer = other.exchange
                other.exchange.inner = exchange
        if "chunked" in str(environ.get("HTTP_TRANSFER_ENCODING", "")).lower():
            exchange.undecoded = b""

    def _replace_streams(self, environ: Environ) -> None:
        if "wsgi.input" in environ:
            environ["wsgi.input"] = checked_input(self, environ["wsgi.input"])
        if "wsgi.errors" in environ:
            environ["wsgi.errors"] = ErrorStream(self, environ["wsgi.errors"])
        wrapper: object = environ.get("wsgi.file_wrapper")
        if callable(wrapper) and not isinstance(wrapper, type):
            # Remember the files, because isinstance needs a class and this wrapper is not a class.
            def file_wrapper(*args: object, **kwargs: object) -> object:
                file = wrapper(*args, **kwargs)
                self.made.append(file)
                found = self.engine.check(_WRAPPED, self.exchange, Wrapped(args[0] if args else None, file))
                self.pending = self.pending or found.violation
                return file

            environ["wsgi.file_wrapper"] = file_wrapper

    def _answer(self, iterable: object) -> Iterable[bytes]:
        exchange = self.exchange
        exchange.returned = True
        exchange.iterable = iterable
        wrapper: object = exchange.environ.get("wsgi.file_wrapper")
        made = isinstance(wrapper, type) and isinstance(iterable, wrapper)
        exchange.servers_own = made or any(iterable is file for file in self.made)
        found = self.engine.check(_RETURNED, exchange, iterable)
        violation = found.violation or self.pending
        if violation is not None:
            self._ended()
            close = getattr(iterable, "close", None)
            if callable(close):
                close()
            raise violation
        if exchange.servers_own or found.ids:
            self._ended()
            return cast(Iterable[bytes], iterable)  # the server's own file, or an object that breaks V24
        return SizedResponse(self, iterable) if isinstance(iterable, Sized) else ResponseIterable(self, iterable)

    def _to_server(self, found: Findings) -> None:
        if found.violation is not None:
            raise found.violation

    def to_application(self, found: Findings) -> None:
        """Raise a violation into the application, and remember it in case the application swallows it."""
        if found.violation is not None:
            self.pending = self.pending or found.violation
            raise found.violation

    def _ended(self) -> None:
        self.exchange.ended = True
        if self._thread is not None:
            self.running.leave(self._thread)
            self._thread = None

    ended = _ended

    def start_response(self, *args: object, **kwargs: object) -> Callable[[bytes], object]:
        """Check the start of the application's response, and pass it on."""
        exchange = self.exchange
        call = Call(args, kwargs)
        found = self.engine.check(_START, exchange, call)
        self.to_application(found)
        exchange.started(call)
        passed = list(args)
        headers = call.headers
        if len(passed) > 1 and is_list(headers):
            exchange.given = headers
            exchange.given_then = list(headers)
            passed[1] = list(headers)  # a copy, so that only the application can change `given` (P25)
        exc_info = call.exc_info
        value = exc_info[1] if is_tuple(exc_info) and len(exc_info) == 3 else None
        before = _references(exc_info, value)
        write: object = None
        error: BaseException | None = None
        refused = False
        try:
            write = self._server_start(*passed, **kwargs)
        except BaseException as raised:
            error = raised
            trace = raised.__traceback__
            # Without a deeper frame, the call itself failed: start_response does not accept these arguments (P50).
            refused = isinstance(raised, TypeError) and not found.ids and trace is not None and trace.tb_next is None
            exchange.start_failed = exchange.start_failed or not call.exc_info
            if exc_info and not isinstance(raised, ProtocolViolation):
                exchange.raised_back = raised
            raise
        finally:
            kept = _references(exc_info, value) - before if error is None else 0
            judged = self.engine.check(_STARTED, exchange, Started(call, write, error, refused, kept, found.ids))
            self.pending = self.pending or judged.violation
        return Write(self, write)

    def __repr__(self) -> str:
        return f"<exchange of {self.app!r}>"


def _references(*values: object) -> int:
    count = getattr(sys, "getrefcount", None)  # only CPython has it
    return sum(count(value) for value in values if value is not None) if count is not None else 0


class ResponseIterable:
    """The iterable that the server gets."""

    def __init__(self, call: CheckedWsgiCall, iterable: object) -> None:
        self._call = call
        self._original = iterable
        self._iterator: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        call, exchange = self._call, self._call.exchange
        if exchange.closed:
            self._raise(_AFTER, "next")
        self._raise(_NEXT, None)
        if exchange.blocks:
            exchange.pulled = 0
        exchange.iterating = True
        try:
            if self._iterator is None:
                self._iterator = iter(cast(Iterable[bytes], self._original))  # V24 or V25 reports wrong types
            iterator = self._iterator
            block = next(iterator)
        except StopIteration:
            exchange.exhausted = True
            self._raise(_END, END)
            raise
        except BaseException as error:
            exchange.raised_back = None
            if call.pending is not None and error is not call.pending and isinstance(error, Exception):
                raise call.pending from error
            raise
        finally:
            exchange.iterating = False
        exchange.blocks += 1
        outer = exchange.outer
        # Middleware cannot yield before it starts its response (V26). A list has all its blocks at once, so nothing
        # waits for a block of it.
        if outer is not None and outer.start_called and not isinstance(self._original, (list, tuple)):
            outer.pulled += 1
        self._raise(_BLOCK, block)
        exchange.output(block)
        return block

    def _raise(self, rules: tuple[Rule, ...], subject: object) -> None:
        found = self._call.engine.check(rules, self._call.exchange, subject)
        violation = self._call.pending or found.violation
        if violation is not None:
            self._call.pending = None
            raise violation

    def close(self) -> None:
        """Close the application's iterable."""
        call = self._call
        found = call.engine.check(_CLOSE, call.exchange, END)
        call.exchange.closed = True
        call.ended()
        close = getattr(self._original, "close", None)
        if callable(close):
            call.exchange.iterating = True  # close() runs code of the iterable, a generator's `finally` for one
            try:
                close()
            finally:
                call.exchange.iterating = False
        if found.violation is not None:
            raise found.violation

    def __getattr__(self, name: str) -> object:
        value: object = getattr(self._original, name)  # raises if it does not exist: a mere test breaks no rule
        self._raise(_AFTER, name)
        return value

    def __del__(self) -> None:
        call = self._call
        if call.exchange.closed:
            return
        call.ended()
        outer = call.exchange.outer
        if outer is not None and outer.returned and not outer.iterating and not outer.closed:
            call.exchange.outer = None  # the server did not close the middleware's iterable either
        if hasattr(self._original, "close"):
            found = call.engine.check(_FORGOTTEN, call.exchange, END)
            if found.violation is not None:
                warnings.warn(str(found.violation), ResourceWarning, source=self, stacklevel=1)


class _Blocks:
    """The iterator of a response that has a length. Unlike the response, it goes on if `iter` is called again."""

    def __init__(self, response: ResponseIterable) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._response)


class SizedResponse(ResponseIterable):
    """The same, if the application's iterable has a length."""

    def __iter__(self) -> Iterator[bytes]:
        # As a list does, begin again: gevent adds up the lengths of all blocks when it has the first one.
        if self._iterator is not None and not self._call.exchange.closed:
            return iter(cast(Iterable[bytes], self._original))
        return _Blocks(self)

    def __len__(self) -> int:
        return len(cast(Sized, self._original))  # this class is only used for Sized iterables
