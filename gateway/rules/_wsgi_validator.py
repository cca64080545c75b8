"""The validator around a WSGI application.

What the application does wrong in its call, in ``start_response``, ``write`` and the streams is raised there; what its
iterable does wrong is raised to the server, which is who runs it. A violation that the application swallows is raised
again at the next step that the server takes.

The environ is the server's own, with ``wsgi.input`` and ``wsgi.errors`` replaced. A file that the server's
``wsgi.file_wrapper`` made is handed back as it is, since servers know it by its type.
"""

from __future__ import annotations

import dis
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sized
from types import FrameType
from typing import IO, cast

from gateway.errors import ProtocolViolation
from gateway.protocols import Environ, WSGIApplication
from gateway.rules._engine import Engine, Found, Stages
from gateway.rules._narrow import is_environ, is_list, is_tuple
from gateway.rules.table import Rule
from gateway.rules.tables import WSGI_TABLES
from gateway.rules.wsgi_application import END
from gateway.rules.wsgi_state import Call, Exchange, Input, Started

__all__ = ["Running", "WsgiCall"]

_STAGES = Stages(WSGI_TABLES)
_CALL, _ENVIRON, _START, _STARTED, _RETURNED, _NEXT, _BLOCK, _WRITE, _END, _CLOSE, _AFTER, _FORGOTTEN = (
    _STAGES.rules(stage)
    for stage in (
        "call",
        "environ",
        "start",
        "started",
        "returned",
        "next",
        "block",
        "write",
        "end",
        "close",
        "after",
        "forgotten",
    )
)
_INPUT, _STREAM, _ERRORS = (_STAGES.rules(stage) for stage in ("input", "stream", "errors"))
_DICT = tuple(rule for rule in _ENVIRON if rule.id == "V02")

_Callable = Callable[..., object]
_Application = Callable[..., Iterable[bytes]]


def _greenlets() -> bool:
    """Tell whether ``threading`` is patched: two greenlets are two "threads" then, and one thread all the same."""
    return not (threading.get_ident.__module__ or "_thread").startswith(("_thread", "threading"))


class Running:
    """Which threads are in the application."""

    def __init__(self) -> None:
        self._threads: dict[int, int] = {}
        self._lock = threading.Lock()

    def enter(self) -> tuple[int, bool]:
        """Enter this thread; return it, and whether another one is inside."""
        me = threading.get_ident()
        with self._lock:
            others = any(count for thread, count in self._threads.items() if thread != me)
            self._threads[me] = self._threads.get(me, 0) + 1
        return me, others and not _greenlets()

    def leave(self, thread: int) -> None:
        """Take one call of a thread out."""
        with self._lock:
            count = self._threads.get(thread, 0) - 1
            if count > 0:
                self._threads[thread] = count
            else:
                self._threads.pop(thread, None)


class WsgiCall:
    """One call of the application: the exchange, and everything that the application and the server are given."""

    def __init__(self, app: WSGIApplication, engine: Engine, running: Running) -> None:
        self.app = app
        self.engine = engine
        self.running = running
        self.pending: ProtocolViolation | None = None
        self.made: list[object] = []
        self._thread: int | None = None

    def run(self, args: tuple[object, ...], kwargs: dict[str, object]) -> Iterable[bytes]:
        """Call the application and check both sides."""
        exchange = self.exchange = Exchange({})
        if len(args) != 2 or kwargs:
            self._to_server(self.engine.check(_CALL, exchange, Call(args, kwargs)))
        if len(args) != 2 or kwargs:
            return cast(_Application, self.app)(*args, **kwargs)  # as the server called us
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
            self._server_start = cast(_Callable, start_response)  # a server that gives none finds out
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
        if isinstance(stream, InputStream):
            other = stream.call
            exchange.reused = other.engine is self.engine and other.exchange.ended and other.exchange.environ is environ
            if other.engine is not self.engine and not other.exchange.ended:
                exchange.outer = other.exchange
                other.exchange.inner = exchange
        if "chunked" in str(environ.get("HTTP_TRANSFER_ENCODING", "")).lower():
            exchange.undecoded = b""

    def _replace_streams(self, environ: Environ) -> None:
        if "wsgi.input" in environ:
            environ["wsgi.input"] = InputStream(self, environ["wsgi.input"])
        if "wsgi.errors" in environ:
            environ["wsgi.errors"] = ErrorStream(self, environ["wsgi.errors"])
        wrapper: object = environ.get("wsgi.file_wrapper")
        if callable(wrapper) and not isinstance(wrapper, type):
            # Not a class: what it makes cannot be told by isinstance, so we remember it.
            def file_wrapper(*args: object) -> object:
                file = wrapper(*args)
                self.made.append(file)
                return file

            environ["wsgi.file_wrapper"] = file_wrapper

    def _answer(self, iterable: object) -> Iterable[bytes]:
        exchange = self.exchange
        exchange.returned = True
        exchange.iterable = iterable
        found = self.engine.check(_RETURNED, exchange, iterable)
        violation = found.violation or self.pending
        if violation is not None:
            self._ended()
            close = getattr(iterable, "close", None)
            if callable(close):
                close()
            raise violation
        wrapper: object = exchange.environ.get("wsgi.file_wrapper")
        served = isinstance(wrapper, type) and isinstance(iterable, wrapper)
        if served or any(iterable is file for file in self.made) or found.ids:
            self._ended()
            return cast(Iterable[bytes], iterable)  # the server's own file, or what V24 was said of
        return SizedResponse(self, iterable) if isinstance(iterable, Sized) else ResponseIterable(self, iterable)

    def _to_server(self, found: Found) -> None:
        if found.violation is not None:
            raise found.violation

    def to_application(self, found: Found) -> None:
        """Raise a violation into the application, and remember it in case that swallows it."""
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
        """Check what the application starts its response with, and pass it on."""
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
            passed[1] = list(headers)
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
            refused = isinstance(raised, TypeError) and not found.ids and trace is not None and trace.tb_next is None
            exchange.start_failed = exchange.start_failed or not call.exc_info
            if exc_info and not isinstance(raised, ProtocolViolation):
                exchange.raised_back = raised
            raise
        finally:
            kept = _references(exc_info, value) - before if error is None else 0
            judged = self.engine.check(_STARTED, exchange, Started(call, write, error, refused, kept))
            self.pending = self.pending or judged.violation
        return Write(self, write)

    def __repr__(self) -> str:
        return f"<exchange of {self.app!r}>"


def _references(*values: object) -> int:
    count = getattr(sys, "getrefcount", None)  # CPython's
    return sum(count(value) for value in values if value is not None) if count is not None else 0


class Write:
    """The write callable that the application is given."""

    __slots__ = ("_call", "_write")

    def __init__(self, call: WsgiCall, write: object) -> None:
        self._call = call
        self._write = cast(_Callable, write)  # P39 says so if it is not callable

    def __call__(self, data: bytes) -> object:
        call = self._call
        call.to_application(call.engine.check(_WRITE, call.exchange, data))
        result = self._write(data)
        call.exchange.writes += 1
        call.exchange.output(data)
        return result


class InputStream:
    """``wsgi.input`` as the application is given it."""

    def __init__(self, call: WsgiCall, stream: object) -> None:
        self.call = call
        self._stream = stream

    def _use(self, method: str, args: tuple[object, ...]) -> object:
        result: object = None
        error: BaseException | None = None
        use: _Callable = getattr(self._stream, method)
        try:
            result = use(*args)
        except BaseException as raised:
            error = raised
            raise
        finally:
            found = self._check(Input(method, args, result, error))
            if error is not None:
                self.call.pending = self.call.pending or found.violation
        self.call.to_application(found)
        return result

    def _check(self, step: Input) -> Found:
        exchange = self.call.exchange
        found = self.call.engine.check(_INPUT, exchange, step)
        lines = step.result if is_list(step.result) else [step.result]
        data = b"".join(line for line in lines if isinstance(line, bytes))
        exchange.bytes_read += len(data)
        if exchange.undecoded is not None:
            exchange.undecoded = exchange.undecoded + data if exchange.bytes_read <= 65536 else None
        return found

    def read(self, *args: object) -> object:
        """Read bytes."""
        return self._use("read", args)

    def readline(self, *args: object) -> object:
        """Read a line."""
        return self._use("readline", args)

    def readlines(self, *args: object) -> object:
        """Read lines."""
        return self._use("readlines", args)

    def __iter__(self) -> Iterator[object]:
        for line in cast(Iterable[object], self._stream):  # V07 says so if it is not iterable
            self.call.to_application(self._check(Input("__iter__", (), line)))
            yield line

    def __getattr__(self, name: str) -> object:
        return _other(self.call, "wsgi.input", self._stream, name)


class ErrorStream:
    """``wsgi.errors`` as the application is given it."""

    def __init__(self, call: WsgiCall, stream: object) -> None:
        self.call = call
        self._stream = stream

    def write(self, text: str) -> object:
        """Write text."""
        self.call.to_application(self.call.engine.check(_ERRORS, self.call.exchange, text))
        return cast(IO[str], self._stream).write(text)  # V08 says so if it is not one

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> object:
        """Flush."""
        return cast(IO[str], self._stream).flush()  # as above

    def __getattr__(self, name: str) -> object:
        return _other(self.call, "wsgi.errors", self._stream, name)


def _other(call: WsgiCall, stream: str, original: object, name: str) -> object:
    """Return an attribute that the specification does not name, or say that it is not there.

    To ask whether a stream has ``readinto``, and to do without if it has not, keeps the rule; so ``hasattr`` and
    ``getattr`` are told that the streams of the specification have nothing more. ``stream.readinto`` gets what it asks
    for, and breaks the rule.
    """
    if not _is_attribute_access(sys._getframe(2)):
        raise AttributeError(f"{stream} has the attributes that PEP 3333 names, and no {name!r}")
    while isinstance(original, (InputStream, ErrorStream)):  # of a validator further out
        original = original._stream
    value: object = getattr(original, name)
    call.to_application(call.engine.check(_STREAM, call.exchange, f"{stream}.{name}"))
    return value


def _is_attribute_access(frame: FrameType) -> bool:
    """Tell whether the instruction that a frame runs is ``x.name``, rather than a call of ``hasattr(x, "name")``."""
    code = frame.f_code.co_code
    return dis.opname[code[frame.f_lasti]] in ("LOAD_ATTR", "LOAD_METHOD")


class ResponseIterable:
    """What the server iterates."""

    def __init__(self, call: WsgiCall, iterable: object) -> None:
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
                self._iterator = iter(cast(Iterable[bytes], self._original))  # V24 and V25 say so if it is not
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
        # Before it has started its response middleware cannot yield (V26), and what stands in a list is not waited for.
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
            close()
        if found.violation is not None:
            raise found.violation

    def __getattr__(self, name: str) -> object:
        value: object = getattr(self._original, name)  # what is not there was only asked for
        self._raise(_AFTER, name)
        return value

    def __del__(self) -> None:
        call = self._call
        if call.exchange.closed:
            return
        call.ended()
        if hasattr(self._original, "close"):
            found = call.engine.check(_FORGOTTEN, call.exchange, END)
            if found.violation is not None:
                warnings.warn(str(found.violation), ResourceWarning, source=self, stacklevel=1)


class SizedResponse(ResponseIterable):
    """The same, where the application's iterable has a length."""

    def __len__(self) -> int:
        return len(cast(Sized, self._original))  # which is why this class was chosen
