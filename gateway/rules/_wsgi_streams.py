"""The streams and the write callable that the validator gives a WSGI application, with the rules of each.

Attributes that the specification does not name are the server's own, so that an application works as it does without
the validator. Their use breaks a rule, unless the application has tested for the attribute (``hasattr``), because it
can then do without it. No test allows it to close a stream.

Sources: PEP 3333, "Input and Error Streams" and "The write() Callable".
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import IO, Protocol, cast

from gateway.errors import ProtocolViolation
from gateway.rules._engine import Findings, RuleEngine, Stages
from gateway.rules._narrow import is_list
from gateway.rules.tables import WSGI_TABLES
from gateway.rules.wsgi_state import Exchange, Input

__all__ = ["CheckedCall", "CheckedInput", "ErrorStream", "Write", "checked_input"]

_STAGES = Stages(WSGI_TABLES)
_WRITE, _WRITTEN, _INPUT, _STREAM, _ERRORS, _LOGGED = (
    _STAGES.rules(stage) for stage in ("write", "written", "input", "stream", "errors", "logged")
)

_Callable = Callable[..., object]


class CheckedCall(Protocol):
    """The call that the streams belong to, as far as they use it.

    Attributes:
        engine: Runs the checks.
        exchange: The state of the call.
        pending: A violation to raise to the server, or None.
    """

    engine: RuleEngine
    exchange: Exchange
    pending: ProtocolViolation | None

    def to_application(self, found: Findings) -> None:
        """Raise a violation into the application."""


class Write:
    """The write callable that the application gets."""

    __slots__ = ("_call", "_write")

    def __init__(self, call: CheckedCall, write: object) -> None:
        self._call = call
        self._write = cast(_Callable, write)  # P39 reports it if it is not callable

    def __call__(self, data: bytes) -> object:
        call = self._call
        call.to_application(call.engine.check(_WRITE, call.exchange, data))
        result = self._write(data)
        call.exchange.writes += 1
        call.exchange.output(data)
        found = call.engine.check(_WRITTEN, call.exchange, data)
        call.pending = call.pending or found.violation
        return result


class CheckedInput:
    """``wsgi.input`` as the application gets it."""

    label = "wsgi.input"

    def __init__(self, call: CheckedCall, stream: object) -> None:
        self.call = call
        self.original = stream
        self.tested: set[str] = set()

    def _use(self, method: str, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        result: object = None
        error: BaseException | None = None
        use: _Callable = getattr(self.original, method)
        try:
            result = use(*args, **kwargs)
        except BaseException as raised:
            error = raised
            raise
        finally:
            found = self._check(Input(method, (*args, *kwargs.values()), result, error))
            if error is not None:
                self.call.pending = self.call.pending or found.violation
        self.call.to_application(found)
        return result

    def _check(self, step: Input) -> Findings:
        exchange = self.call.exchange
        found = self.call.engine.check(_INPUT, exchange, step)
        exchange.input_ended = exchange.input_ended or (step.result == b"" and step.args[:1] != (0,))
        lines = step.result if is_list(step.result) else [step.result]
        data = b"".join(line for line in lines if isinstance(line, bytes))
        exchange.bytes_read += len(data)
        if exchange.undecoded is not None:
            exchange.undecoded = exchange.undecoded + data if exchange.bytes_read <= 65536 else None
        return found

    def read(self, *args: object, **kwargs: object) -> object:
        """Read bytes."""
        return self._use("read", args, kwargs)

    def readline(self, *args: object, **kwargs: object) -> object:
        """Read a line."""
        return self._use("readline", args, kwargs)

    def readlines(self, *args: object, **kwargs: object) -> object:
        """Read lines."""
        return self._use("readlines", args, kwargs)

    def __iter__(self) -> Iterator[object]:
        for line in cast(Iterable[object], self.original):  # V07 reports it if it is not iterable
            self.call.to_application(self._check(Input("__iter__", (), line)))
            yield line

    def __getattr__(self, name: str) -> object:
        return _other(self, name)


class _ContextInput(CheckedInput):
    """The same, if the server's stream is a context manager and an iterator: Python looks these up in the type."""

    def __enter__(self) -> object:
        cast(_Callable, _other(self, "__enter__"))()
        return self

    def __exit__(self, *error: object) -> object:
        return cast(_Callable, _other(self, "__exit__"))(*error)

    def __next__(self) -> object:
        return cast(_Callable, _other(self, "__next__"))()


def checked_input(call: CheckedCall, stream: object) -> CheckedInput:
    """Return ``wsgi.input`` as the application gets it."""
    context = all(hasattr(type(stream), name) for name in ("__enter__", "__exit__", "__next__"))
    return _ContextInput(call, stream) if context else CheckedInput(call, stream)


class ErrorStream:
    """``wsgi.errors`` as the application gets it."""

    label = "wsgi.errors"

    def __init__(self, call: CheckedCall, stream: object) -> None:
        self.call = call
        self.original = stream
        self.tested: set[str] = set()

    def write(self, text: str) -> object:
        """Write text."""
        found = self.call.engine.check(_ERRORS, self.call.exchange, text)
        self.call.to_application(found)
        try:
            return cast(IO[str], self.original).write(text)  # V08 reports a stream without write()
        except Exception as error:
            if not found.ids:  # the application's own fault is reported already
                judged = self.call.engine.check(_LOGGED, self.call.exchange, error)
                self.call.pending = self.call.pending or judged.violation
            raise

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> object:
        """Flush."""
        return cast(IO[str], self.original).flush()  # as above

    def __getattr__(self, name: str) -> object:
        return _other(self, name)


def _other(stream: CheckedInput | ErrorStream, name: str) -> object:
    """Return an attribute that the specification does not name, or raise AttributeError if it does not exist.

    Code that names the attribute, ``stream.closed``, breaks the rule; a method breaks it when it is called.
    ``hasattr``, ``getattr`` and functions written in C only test for the attribute.
    """
    call, label = stream.call, stream.label
    original = stream.original
    while isinstance(original, (CheckedInput, ErrorStream)):  # the stream of an outer validator
        original = original.original
    value: object = getattr(original, name)
    if not _is_attribute_access(sys._getframe(2)):
        stream.tested.add(name)
    allowed = name in stream.tested and name not in _CLOSING
    if callable(value):
        method: _Callable = value

        def use(*args: object, **kwargs: object) -> object:
            if not allowed:
                call.to_application(call.engine.check(_STREAM, call.exchange, f"{label}.{name}"))
            return method(*args, **kwargs)

        return use
    if not allowed:
        call.to_application(call.engine.check(_STREAM, call.exchange, f"{label}.{name}"))
    return value


_CLOSING = ("close", "__exit__")


def _is_attribute_access(frame: FrameType) -> bool:
    """Tell whether a frame's current instruction is ``x.name``, rather than a call of ``hasattr(x, "name")``."""
    code = frame.f_code.co_code
    return dis.opname[code[frame.f_lasti]] in ("LOAD_ATTR", "LOAD_METHOD")
