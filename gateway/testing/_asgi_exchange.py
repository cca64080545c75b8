"""One ASGI HTTP request as a state machine: messages of the application fill a `Record`. No IO.

Four phases: ``idle`` (no headers yet), ``started``, ``trailers`` (the body is complete, trailers are promised) and
``complete``. It refuses only messages that no client can interpret. The validator finds other violations.

Sources: ASGI HTTP 2.5 "Response Start", "Response Body"; ASGI "Extensions".
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Literal

from gateway.errors import ApplicationError
from gateway.protocols import Message
from gateway.testing._record import Record, SentFile

__all__ = ["AsgiResponse", "bodyless", "reason_of"]

Phase = Literal["idle", "started", "trailers", "complete"]

_REASONS = {status.value: status.phrase for status in HTTPStatus}


def reason_of(status: int) -> str:
    """Return the standard reason phrase, for a status that came without a phrase."""
    return _REASONS.get(status, "")


def bodyless(method: str, status: int) -> bool:
    """Whether a server drops any body that the application sends (RFC 9110 section 6.4.1)."""
    return method == "HEAD" or status in (204, 304) or 100 <= status < 200


class AsgiResponse:
    """The response side of one request."""

    def __init__(self, record: Record, method: str) -> None:
        self.record = record
        self.phase: Phase = "idle"
        self._method = method
        self._promised_trailers = False

    def feed(self, message: Message) -> Iterable[bytes]:
        """Take one message; return its pieces of the body for the client.

        Raises:
            ApplicationError: The message is not valid in this phase.
        """
        kind = message.get("type")
        if kind == "http.response.body":
            return self._body(message)
        if kind == "http.response.start":
            self._start(message)
        elif kind in ("http.response.pathsend", "http.response.zerocopysend"):
            return self._file(message, kind)
        elif kind == "http.response.trailers":
            self._trailers(message)
        elif kind == "http.response.early_hint":
            self.record.early_hints.extend(bytes(link) for link in message["links"])
        elif kind == "http.response.debug":
            self.record.debug = message.get("info")
        elif kind != "http.response.push":
            raise ApplicationError(
                f"a message type must be one that the scope offers, got {kind!r}; see scope['extensions'] (ASGI HTTP)"
            )
        return ()

    def _start(self, message: Message) -> None:
        if self.phase != "idle":
            raise ApplicationError(
                "http.response.start must be sent once, and was sent again; send one start, then bodies (ASGI HTTP)"
            )
        self.phase = "started"
        status = message["status"]
        if not isinstance(status, int):
            raise ApplicationError(f"status must be an int, got {status!r} (ASGI HTTP: Response Start)")
        self.record.status = status
        self.record.reason = reason_of(status)
        self.record.headers.extend((bytes(name), bytes(value)) for name, value in message.get("headers") or ())
        self._promised_trailers = bool(message.get("trailers", False))

    def _body(self, message: Message) -> Iterable[bytes]:
        self._needs_started("http.response.body")
        body = message.get("body", b"")
        if not message.get("more_body", False):
            self._end_body()
        if not body or bodyless(self._method, self.record.status):
            return ()
        return (bytes(body),)

    def _file(self, message: Message, kind: str) -> Iterable[bytes]:
        self._needs_started(kind)
        if kind == "http.response.pathsend":
            sent = SentFile("pathsend", str(message["path"]))
            pieces = sent.read_path()
            ends = True
        else:
            file = message["file"]
            name = getattr(file, "name", None)
            path = name if isinstance(name, str) else None
            sent = SentFile("zerocopysend", path, message.get("offset"), message.get("count"))
            pieces = sent.read_descriptor(file if isinstance(file, int) else file.fileno())
            ends = not message.get("more_body", False)
        self.record.sent_file = sent
        if ends:
            self._end_body()
        return () if bodyless(self._method, self.record.status) else pieces

    def _trailers(self, message: Message) -> None:
        if self.phase != "trailers":
            raise ApplicationError(
                "http.response.trailers must follow a complete body whose start promised trailers, "
                f"got them while {self.phase} (ASGI Extensions: HTTP Trailers)"
            )
        self.record.trailers.extend((bytes(name), bytes(value)) for name, value in message.get("headers") or ())
        if not message.get("more_trailers", False):
            self._complete()

    def _needs_started(self, kind: str) -> None:
        if self.phase == "idle":
            raise ApplicationError(f"{kind} was sent before http.response.start (ASGI HTTP: Response Body)")
        if self.phase != "started":
            raise ApplicationError(f"{kind} must not follow a complete body (ASGI HTTP: Response Body)")

    def _end_body(self) -> None:
        if self._promised_trailers:
            self.phase = "trailers"
        else:
            self._complete()

    def _complete(self) -> None:
        self.phase = "complete"
        self.record.complete = True
