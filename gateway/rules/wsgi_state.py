"""What is known of one WSGI exchange while it runs: the state that the checks read.

Stages, and what their checks are called with besides the exchange:

===================  ============================================================
``call``             the `Call` with which the server called the application
``environ``          the environ
``start``            the `Call` of start_response, before it is passed on
``started``          a `Started`: what the server's start_response did
``returned``         the object that the application returned
``next``             None: the server asks for the next block
``block``            the block that the iterable yielded
``write``            the data given to write()
``end``              None: the iterable is exhausted, the application did not raise
``close``            None: the server calls close()
``after``            ``"next"``: the server uses the iterable after close(); or the attribute that it uses
``forgotten``        None: the iterable was collected and never closed
``input``            an `Input`: a method of wsgi.input called by the application, and what it gave
``stream``           the name of an attribute of wsgi.input or wsgi.errors that is not one of theirs
``errors``           the value given to wsgi.errors
===================  ============================================================

Sources: PEP 3333.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.protocols import Environ
from gateway.rules._narrow import is_pair, is_sequence, number, size

__all__ = ["Call", "Exchange", "Input", "Started", "header_items"]

Items = list[tuple[str, str]]


def header_items(headers: object) -> Items:
    """Return the well-formed items of a header list, lower-cased names; what is not well-formed is left out."""
    items: Items = []
    if is_sequence(headers):
        for item in headers:
            if is_pair(item) and isinstance(item[0], str) and isinstance(item[1], str):
                items.append((item[0].lower(), item[1]))
    return items


class Call:
    """How something was called."""

    __slots__ = ("args", "code", "exc_info", "headers", "items", "kwargs", "status")

    def __init__(self, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        self.args: tuple[object, ...] = args
        self.kwargs: dict[str, object] = kwargs
        #: The first argument of start_response.
        self.status: object = args[0] if args else kwargs.get("status")
        #: The second one.
        self.headers: object = args[1] if len(args) > 1 else kwargs.get("response_headers", kwargs.get("headers"))
        #: The third one.
        self.exc_info: object = args[2] if len(args) > 2 else kwargs.get("exc_info")
        #: The headers that are well-formed.
        self.items: Items = header_items(self.headers)
        text = self.status[:3] if isinstance(self.status, str) else ""
        #: The status code, where the status has one.
        self.code: int | None = int(text) if len(text) == 3 and text.isascii() and text.isdigit() else None


@dataclass(frozen=True, slots=True)
class Started:
    """What the server's start_response did."""

    call: Call
    #: What it returned, where it returned.
    write: object = None
    error: BaseException | None = None
    #: It raised because of how it was called, not because of what it was given.
    refused: bool = False
    #: How many more references to the exception are held than before.
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Input:
    """A method of wsgi.input called by the application, and what it gave."""

    method: str
    args: tuple[object, ...]
    result: object = None
    error: BaseException | None = None


@dataclass(slots=True)
class Exchange:
    """One call of a WSGI application."""

    environ: Environ
    #: The exchange of the validator further out.
    outer: Exchange | None = None
    inner: Exchange | None = None
    #: Another exchange ran in another thread when this one began.
    overlaps: bool = False
    #: The same environ was given to an exchange that has ended.
    reused: bool = False

    start_called: bool = False
    start_failed: bool = False
    status: str = ""
    code: int | None = None
    headers: Items = field(default_factory=list[tuple[str, str]])
    #: The list that the application gave, to see whether it changes it afterwards.
    given: list[object] | None = None
    given_then: list[object] | None = None
    length: int | None = None
    #: start_response raised although, or because, it was given exc_info.
    raised_back: BaseException | None = None

    returned: bool = False
    iterable: object = None
    iterating: bool = False
    blocks: int = 0
    bytes_sent: int = 0
    non_empty: bool = False
    writes: int = 0
    asked_after_output: bool = False
    #: Blocks that the application inside gave since this one was last asked for one.
    pulled: int = 0
    exhausted: bool = False
    closed: bool = False
    ended: bool = False

    bytes_read: int = 0
    #: The request body, kept only while it could be chunk framing that the server did not decode.
    undecoded: bytes | None = None

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
        """Whether the response declares a body of no bytes, so that its head may be sent at once."""
        return self.length == 0

    def started(self, call: Call) -> None:
        """Take note of a start_response that is passed on."""
        self.start_called = True
        self.status = call.status if isinstance(call.status, str) else ""
        self.code = call.code
        self.headers = call.items
        lengths = [value for name, value in self.headers if name == "content-length"]
        self.length = number(lengths[0]) if len(lengths) == 1 else None

    def output(self, data: object) -> None:
        """Take note of a block or of written data."""
        count = size(data)
        self.bytes_sent += count
        self.non_empty = self.non_empty or count > 0
