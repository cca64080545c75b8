"""The streams and the write callable that the validator gives a WSGI application, with the rules of each.

The use of an attribute that the specification does not name is passed through and breaks a rule. A test for such an
attribute (``hasattr``) does not break a rule.

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

__all__ = ["CheckedCall", "CheckedInput", "ErrorStream", "Write"]

_STAGES = Stages(WSGI_TABLES)
_WRITE, _INPUT, _STREAM, _ERRORS = (_STAGES.rules(stage) for stage in ("write", "input", "stream", "errors"))

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
        return result


class CheckedInput:
    """``wsgi.input`` as the application gets it."""

    def __init__(self, call: CheckedCall, stream: object) -> None:
        self.call = call
        self._stream = stream

    def _use(self, method: str, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        result: object = None
        error: BaseException | None = None
        use: _Callable = getattr(self._stream, method)
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
        for line in cast(Iterable[object], self._stream):  # V07 reports it if it is not iterable
            self.call.to_application(self._check(Input("__iter__", (), line)))
            yield line

    def __getattr__(self, name: str) -> object:
        return _other(self.call, "wsgi.input", self._stream, name)


class ErrorStream:
    """``wsgi.errors`` as the application gets it."""

    def __init__(self, call: CheckedCall, stream: object) -> None:
        self.call = call
        self._stream = stream

    def write(self, text: str) -> object:
        """Write text."""
        self.call.to_application(self.call.engine.check(_ERRORS, self.call.exchange, text))
        return cast(IO[str], self._stream).write(text)  # V08 reports a stream without write()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> object:
        """Flush."""
        return cast(IO[str], self._stream).flush()  # as above

    def __getattr__(self, name: str) -> object:
        return _other(self.call, "wsgi.errors", self._stream, name)


def _other(call: CheckedCall, stream: str, original: object, name: str) -> object:
    """Return an attribute that the specification does not name, or raise AttributeError for a mere test.

    An application may test whether a stream has ``readinto`` and do without it. So ``hasattr`` and ``getattr`` find
    only the attributes of the specification. ``stream.readinto`` returns the attribute, and breaks the rule.
    """
    if not _is_attribute_access(sys._getframe(2)):
        raise AttributeError(f"{stream} has only the attributes that PEP 3333 names, and {name!r} is not one of them")
    while isinstance(original, (CheckedInput, ErrorStream)):  # the stream of an outer validator
        original = original._stream
    value: object = getattr(original, name)
    call.to_application(call.engine.check(_STREAM, call.exchange, f"{stream}.{name}"))
    return value


def _is_attribute_access(frame: FrameType) -> bool:
    """Tell whether a frame's current instruction is ``x.name``, rather than a call of ``hasattr(x, "name")``."""
    code = frame.f_code.co_code
    return dis.opname[code[frame.f_lasti]] in ("LOAD_ATTR", "LOAD_METHOD")
