"""The state of one ASGI connection while it runs, which the checks read.

Stages, and the second argument of their checks, after the connection:

========================  =======================================================
``scope``                 the scope, before the application is called
``call``                  what calling the application returned
``receive``, ``send``     the message, before it is passed on
``sent``                  a `Sent`: the message and what the server's send raised
``return``                the exception that left the application, or None
``late``                  ``"receive"`` or ``"send"``, called after the application returned
========================  =======================================================

``scope:http``, ``send:http`` and ``send:http.response.start`` narrow a stage to one protocol or one message.
The connection changes only in `received` and `sent`, never in a check.

Sources: ASGI 3.0; ASGI HTTP & WebSocket 2.5; ASGI lifespan 2.0; ASGI extensions.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.errors import ProtocolViolation
from gateway.protocols import Message, Scope
from gateway.rules._narrow import is_collection, is_mapping, is_pair, number, size

__all__ = ["Connection", "LifespanState", "Sent", "chunk_framing", "header_pairs", "header_values", "is_collection"]

LifespanPhase = Literal["called", "starting", "started", "startup failed", "stopping", "stopped", "unsupported"]
Pairs = list[tuple[bytes, bytes]]

#: Messages that an extension adds, and the extension's name in ``scope["extensions"]``.
EXTENSION_MESSAGES = {
    "http.response.push": "http.response.push",
    "http.response.zerocopysend": "http.response.zerocopysend",
    "http.response.pathsend": "http.response.pathsend",
    "http.response.early_hint": "http.response.early_hint",
    "http.response.trailers": "http.response.trailers",
    "http.response.debug": "http.response.debug",
    "websocket.http.response.start": "websocket.http.response",
    "websocket.http.response.body": "websocket.http.response",
}
_NO_FILES: tuple[object, ...] = ()


def header_pairs(headers: object) -> Pairs:
    """Return the well-formed pairs of a header list, with lower-case names; skip the others."""
    pairs: Pairs = []
    if is_collection(headers):
        for item in headers:
            if is_pair(item):
                name, value = item
                if isinstance(name, bytes) and isinstance(value, bytes):
                    pairs.append((name.lower(), value))
    return pairs


def header_values(headers: object, name: bytes) -> list[bytes]:
    """Return the values of one header, in order."""
    return [value for key, value in header_pairs(headers) if key == name]


def chunk_framing(data: bytes) -> bool:
    """Tell whether all of ``data`` is a chunked body that was not decoded (RFC 9112 7.1)."""
    rest = data
    while True:
        line, crlf, rest = rest.partition(b"\r\n")
        size_text = line.partition(b";")[0].strip()
        if not crlf or not size_text or len(size_text) > 8:
            return False
        try:
            size = int(size_text, 16)
        except ValueError:
            return False
        if size == 0:
            return rest.endswith(b"\r\n")
        if rest[size : size + 2] != b"\r\n":
            return False
        rest = rest[size + 2 :]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was passed to the server, and the exception of the server's ``send``."""

    message: Message
    error: BaseException | None
    #: The rules of form that the message broke before it was passed on.
    broken: tuple[str, ...] = ()


@dataclass(slots=True)
class LifespanState:
    """The lifespan of one event loop."""

    phase: LifespanPhase = "called"
    #: ``scope["state"]`` of the lifespan, not a copy.
    state: object = None
    #: The thread and the event loop that it runs in.
    place: object = None
    #: The event loop, to recognise another one with the same id; None under trio.
    loop: weakref.ref[object] | None = None
    #: The calls for requests that run on this loop.
    _open: dict[int, Connection] = field(default_factory=dict[int, "Connection"])

    def enter(self, connection: Connection) -> None:
        """Add a call for a request."""
        self._open[id(connection)] = connection

    def leave(self, connection: Connection) -> None:
        """Remove a call that has ended."""
        self._open.pop(id(connection), None)

    def open_connections(self) -> list[Connection]:
        """Return the calls whose response is not complete, unless the application knows that the client has left."""
        return [connection for connection in list(self._open.values()) if not connection.over]


@dataclass(slots=True)
class Connection:
    """One call of an ASGI application."""

    scope: Scope
    #: The stage whose checks run now; it shows the side that a message comes from.
    step: str = ""
    #: The lifespan that the validator saw on this loop, if any.
    lifespan: LifespanState | None = None
    #: Another loop has a lifespan that has started, and this loop has none.
    foreign_lifespan: bool = False
    #: This is a lifespan, and another lifespan of this loop has not ended.
    second_lifespan: bool = False
    #: The scope is that of another request.
    reused: bool = False
    #: The connections of the outer and the inner validator, and a copy of the scope as this validator got it.
    outer: Connection | None = None
    inner: Connection | None = None
    snapshot: dict[str, object] = field(default_factory=dict[str, object])

    #: See `gateway.rules._engine.Observed`.
    broken: dict[str, ProtocolViolation] = field(default_factory=dict[str, ProtocolViolation])

    # the server's side
    request_complete: bool = False
    disconnected: bool = False
    body_received: int = 0
    #: The request body, kept only while it could be chunk framing that the server did not decode.
    undecoded: bytes | None = None

    # the application's side
    started: bool = False
    completed: bool = False
    status: int | None = None
    response_headers: Pairs = field(default_factory=list[tuple[bytes, bytes]])
    length: int | None = None
    body_sent: int = 0
    body_messages: int = 0
    pathsend: bool = False
    trailers_promised: bool = False
    trailers_done: bool = False
    debug_sent: bool = False
    sends_after_error: int = 0
    #: send raised OSError, so the client has left.
    send_failed: bool = False
    #: send raised any exception: the server refused a message, so the response cannot be complete.
    refused: bool = False
    returned: bool = False
    #: The application was cancelled while it waited in receive().
    cancelled: bool = False
    files: tuple[object, ...] = _NO_FILES

    # websocket
    connect_received: bool = False
    accepted: bool = False
    closed: bool = False
    denial_started: bool = False
    denial_completed: bool = False

    # lifespan
    #: The server changed ``scope["state"]``, or put another object in its place, before the startup event.
    state_touched: bool = False
    startup_received: bool = False
    startup_answered: bool = False
    shutdown_received: bool = False
    shutdown_answered: bool = False

    #: The protocol; empty if the scope has none.
    type: str = field(init=False)
    _pairs_of: object = field(init=False, default=None)
    _pairs: Pairs = field(init=False, default_factory=list[tuple[bytes, bytes]])

    def __post_init__(self) -> None:
        kind: object = self.scope.get("type") if isinstance(self.scope, dict) else None
        self.type = kind if isinstance(kind, str) else ""

    def begin(self, step: str) -> None:
        """Begin a stage, and drop the cached headers of the last stage."""
        self.step = step
        self._pairs_of = None

    def pairs(self, headers: object) -> Pairs:
        """Return `header_pairs`, cached per stage because most checks of a start read the headers."""
        if self._pairs_of is not headers or headers is None:
            self._pairs = header_pairs(headers)
            self._pairs_of = headers
        return self._pairs

    @property
    def around(self) -> Connection | None:
        """The connection of the outer validator."""
        return self.outer

    @property
    def inside(self) -> Connection | None:
        """The connection of the inner validator."""
        return self.inner

    @property
    def spec_version(self) -> tuple[int, ...]:
        """The version of the protocol's specification in the server's scope, or its default."""
        asgi: object = self.scope.get("asgi")
        text = asgi.get("spec_version", "2.0") if is_mapping(asgi) else "2.0"
        parts = text.split(".") if isinstance(text, str) else []
        return tuple(found for part in parts if (found := number(part)) is not None) or (2, 0)

    @property
    def extensions(self) -> Mapping[object, object]:
        """The extensions that the server offers."""
        extensions: object = self.scope.get("extensions")
        return extensions if is_mapping(extensions) else {}

    @property
    def head(self) -> bool:
        """Whether the request is a HEAD."""
        return self.scope.get("method") == "HEAD"

    @property
    def over(self) -> bool:
        """Whether the response is complete, or the client has left: the application may still run for a while."""
        if self.disconnected or self.refused:
            return True
        return self.closed or self.denial_completed if self.type == "websocket" else self.completed

    def received(self, message: Message) -> None:
        """Record a message of the server."""
        match message.get("type"):
            case "http.request":
                body = message.get("body", b"")
                if isinstance(body, bytes):
                    self.body_received += len(body)
                    if self.undecoded is not None and self.body_received <= 65536:
                        self.undecoded += body
                    else:
                        self.undecoded = None
                self.request_complete = self.request_complete or not message.get("more_body", False)
            case "http.disconnect" | "websocket.disconnect":
                self.disconnected = True
            case "websocket.connect":
                self.connect_received = True
            case "lifespan.startup":
                self.startup_received = True
                if self.lifespan is not None:
                    self.lifespan.phase = "starting"
            case "lifespan.shutdown":
                self.shutdown_received = True
                if self.lifespan is not None:
                    self.lifespan.phase = "stopping"
            case _:
                pass

    def sent(self, message: Message) -> None:
        """Record a message of the application, before it is passed on."""
        if self.send_failed:
            self.sends_after_error += 1
        match message.get("type"):
            case "http.response.start" | "websocket.http.response.start":
                self._start(message)
            case "http.response.body" | "http.response.zerocopysend":
                self._body(message)
            case "http.response.pathsend":
                self.pathsend = True
                self.completed = True
            case "websocket.http.response.body":
                self._body(message)
                self.denial_completed = self.completed
            case "http.response.trailers":
                self.trailers_done = not message.get("more_trailers", False)
            case "http.response.debug":
                self.debug_sent = True
            case "websocket.accept":
                self.accepted = True
            case "websocket.close":
                self.closed = True
            case "lifespan.startup.complete" | "lifespan.startup.failed":
                self.startup_answered = True
                if self.lifespan is not None:
                    self.lifespan.phase = "started" if message["type"].endswith("complete") else "startup failed"
            case "lifespan.shutdown.complete" | "lifespan.shutdown.failed":
                self.shutdown_answered = True
                if self.lifespan is not None:
                    self.lifespan.phase = "stopped"
            case _:
                pass

    def _start(self, message: Message) -> None:
        self.started = True
        self.denial_started = message["type"].startswith("websocket.")
        status = message.get("status")
        self.status = status if isinstance(status, int) else None
        self.response_headers = header_pairs(message.get("headers", ()))
        lengths = [value for name, value in self.response_headers if name == b"content-length"]
        self.length = number(lengths[0]) if len(lengths) == 1 else None
        self.trailers_promised = message.get("trailers") is True

    def _body(self, message: Message) -> None:
        self.body_messages += 1
        self.body_sent += size(message.get("body", b""))
        if message.get("type") == "http.response.zerocopysend":
            self.length = None  # the server copies the file, so the validator cannot count its bytes
            self.files += (message.get("file"),)
        self.completed = self.completed or not message.get("more_body", False)
