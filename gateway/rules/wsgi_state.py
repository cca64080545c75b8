"""The state of one WSGI request while it runs, which the checks read.

Stages, and the second argument of their checks, after the exchange:

===================  ============================================================
``call``             the `Call` with which the server called the application
``environ``          the environ
``start``            the `Call` of start_response, before it is passed on
``started``          a `Started`: the result of the server's start_response
``returned``         the object that the application returned
``next``             None: the server asks for the next block
``block``            the block that the iterable yielded
``write``            the data given to write()
``written``          the data given to write(), which the server accepted
``wrapped``          a `Wrapped`: the result of a wsgi.file_wrapper that is a function
``end``              None: the iterable is exhausted, the application did not raise
``close``            None: the server calls close()
``after``            ``"next"``: the server uses the iterable after close(); or the attribute that it uses
``forgotten``        None: the iterable was collected and never closed
``input``            an `Input`: a method of wsgi.input that the application called, and its result
``stream``           the name of an attribute of wsgi.input or wsgi.errors that is not one of theirs
``errors``           the value given to wsgi.errors
``logged``           the exception that wsgi.errors raised for a str
===================  ============================================================

Sources: PEP 3333.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.errors import ProtocolViolation
from gateway.protocols import Environ
from gateway.rules._narrow import is_pair, is_sequence, number, size

__all__ = ["Call", "Exchange", "Input", "Started", "Wrapped", "header_items"]

Items = list[tuple[str, str]]


def header_items(headers: object) -> Items:
    """Return the well-formed items of a header list, with lower-case names; skip the others."""
    items: Items = []
    if is_sequence(headers):
        for item in headers:
            if is_pair(item) and isinstance(item[0], str) and isinstance(item[1], str):
                items.append((item[0].lower(), item[1]))
    return items


class Call:
    """The arguments of a call."""

    __slots__ = ("args", "code", "exc_info", "headers", "items", "kwargs", "status")

    def __init__(self, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        self.args: tuple[object, ...] = args
        self.kwargs: dict[str, object] = kwargs
        #: The first argument of start_response.
        self.status: object = args[0] if args else kwargs.get("status")
        #: The second argument.
        self.headers: object = args[1] if len(args) > 1 else kwargs.get("response_headers", kwargs.get("headers"))
        #: The third argument.
        self.exc_info: object = args[2] if len(args) > 2 else kwargs.get("exc_info")
        #: The headers that are well-formed.
        self.items: Items = header_items(self.headers)
        text = self.status[:3] if isinstance(self.status, str) else ""
        #: The status code, if the status has a valid code.
        self.code: int | None = int(text) if len(text) == 3 and text.isascii() and text.isdigit() else None


@dataclass(frozen=True, slots=True)
class Started:
    """The result of the server's start_response."""

    call: Call
    #: Its return value, if it returned.
    write: object = None
    error: BaseException | None = None
    #: It raised because of the form of the call, not because of its values.
    refused: bool = False
    #: Number of additional references to the exception after the call.
    kept: int = 0
    #: The rules that the call broke, before it was passed on.
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A file that the application gave to wsgi.file_wrapper, and the object that it got."""

    file: object
    result: object


@dataclass(frozen=True, slots=True)
class Input:
    """A method of wsgi.input that the application called, and its result."""

    method: str
    args: tuple[object, ...]
    result: object = None
    error: BaseException | None = None


@dataclass(slots=True)
class Exchange:
    """One call of a WSGI application."""

    environ: Environ
    #: The exchange of the outer validator.
    outer: Exchange | None = None
    inner: Exchange | None = None
    #: Another exchange ran in another thread when this exchange began.
    overlaps: bool = False
    #: The environ was already used by an exchange that has ended.
    reused: bool = False

    start_called: bool = False
    start_failed: bool = False
    status: str = ""
    code: int | None = None
    headers: Items = field(default_factory=list[tuple[str, str]])
    #: The list that the application gave, to detect later changes.
    given: list[object] | None = None
    given_then: list[object] | None = None
    length: int | None = None
    #: The exception of start_response when it was called with exc_info.
    raised_back: BaseException | None = None

    returned: bool = False
    iterable: object = None
    #: The application returned an object of the server's wsgi.file_wrapper.
    servers_own: bool = False
    iterating: bool = False
    blocks: int = 0
    bytes_sent: int = 0
    non_empty: bool = False
    writes: int = 0
    #: Number of blocks that the inner application yielded since the server last asked this one for a block.
    pulled: int = 0
    exhausted: bool = False
    closed: bool = False
    ended: bool = False

    #: See `gateway.rules._engine.Observed`.
    broken: dict[str, ProtocolViolation] = field(default_factory=dict[str, ProtocolViolation])

    bytes_read: int = 0
    #: A read of wsgi.input returned b"" at the end of the body.
    input_ended: bool = False
    #: The request body, kept only while it could be chunk framing that the server did not decode.
    undecoded: bytes | None = None

    @property
    def around(self) -> Exchange | None:
        """The exchange of the outer validator."""
        return self.outer

    @property
    def inside(self) -> Exchange | None:
        """The exchange of the inner validator."""
        return self.inner

    @property
    def head(self) -> bool:
        """Whether the request is a HEAD."""
        return self.environ.get("REQUEST_METHOD") == "HEAD"

    @property
    def content_length(self) -> int | None:
        """The declared length of the request body."""
        text: object = self.environ.get("CONTENT_LENGTH")
        return number(text) if isinstance(text, str) else None

    @property
    def declares_nothing(self) -> bool:
        """Whether the response declares an empty body, so that a server may send its headers at once."""
        return self.length == 0

    def started(self, call: Call) -> None:
        """Record a start_response that is passed on."""
        self.start_called = True
        self.status = call.status if isinstance(call.status, str) else ""
        self.code = call.code
        self.headers = call.items
        lengths = [value for name, value in self.headers if name == "content-length"]
        self.length = number(lengths[0]) if len(lengths) == 1 else None

    def output(self, data: object) -> None:
        """Record a block or written data."""
        count = size(data)
        self.bytes_sent += count
        self.non_empty = self.non_empty or count > 0
