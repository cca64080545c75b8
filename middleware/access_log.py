"""One line for each request, when it has ended, however it ended.

The line is made of what really happened: bytes that were handed to the server, the time of the first of them, the end
by the client or by an exception. On an event loop the line is written by a thread of its own.

Sources: the combined log format of Apache httpd; NGINX's status 499 for a client that left.
"""

from __future__ import annotations

import json
import logging
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Literal

from gateway.contract import BuildContext, Hooks, Middleware, Process, Slot
from gateway.errors import ConfigurationError
from gateway.middleware._log_thread import LogThread, handle, wants

if TYPE_CHECKING:
    from gateway.exchange import Outcome, Request

__all__ = ["CLIENT_LEFT", "AccessLog", "Entry", "combined", "json_line"]

#: The status that is logged for a client that left before a head was sent.
CLIENT_LEFT = 499
_STATE = "gateway.access_log"
_HIDDEN = "***"
_UNSAFE = re.compile(r'[^\x20-\x7e]|["\\]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of a request that has ended.

    Attributes:
        time: When it began, in seconds since the epoch.
        method: The method, ``"WEBSOCKET"`` for a socket.
        path: The path as it came, percent-encoded.
        query: What followed ``?``, hidden values replaced; None where it is not logged.
        status: The status that was sent; 499 for a client that left before it, 500 for an exception before it.
        outcome: ``completed``, ``aborted`` or ``failed``.
        bytes_sent: Body bytes handed to the server.
        bytes_received: Body bytes that the application read.
        first_byte: Seconds to the head, None without one.
        duration: Seconds to the end.
        client: The client's address, None for a unix socket.
        scheme: ``http``, ``https``, ``ws`` or ``wss``.
        host: The Host field.
        http_version: ``"1.1"``, ``"2"`` ...
        user_agent: The User-Agent field.
        referer: The Referer field.
        request_id: The id that ``RequestId`` gave.
        trace_id: The trace that the request belongs to.
        route: The template that the application put into ``request.state["route"]``.
        error: The class of the exception that ended it.
        close_code: The close code of a WebSocket.
    """

    time: float
    method: str
    path: str
    query: str | None
    status: int
    outcome: str
    bytes_sent: int
    bytes_received: int
    first_byte: float | None
    duration: float
    client: str | None
    scheme: str
    host: str | None
    http_version: str
    user_agent: str | None
    referer: str | None
    request_id: str | None
    trace_id: str | None
    route: str | None
    error: str | None
    close_code: int | None


def json_line(entry: Entry) -> str:
    """Write an entry as one JSON object; what is not known is left out, times are milliseconds."""
    members: dict[str, object] = {"time": datetime.fromtimestamp(entry.time, UTC).isoformat(timespec="milliseconds")}
    for name in Entry.__slots__:
        value = getattr(entry, name)
        if value is None or name == "time":
            continue
        if name in ("first_byte", "duration"):
            members[f"{name}_ms"] = round(value * 1000, 3)
        else:
            members[name] = value
    return json.dumps(members)


def combined(entry: Entry) -> str:
    r"""Write an entry in the combined log format; what could forge a line is written as ``\xNN``."""
    target = entry.path + (f"?{entry.query}" if entry.query else "")
    moment = datetime.fromtimestamp(entry.time, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    request = _escape(f"{entry.method} {target} HTTP/{entry.http_version}")
    sent = str(entry.bytes_sent) if entry.bytes_sent else "-"
    return (
        f'{_escape(entry.client or "-")} - - [{moment}] "{request}" {entry.status} {sent} '
        f'"{_escape(entry.referer or "-")}" "{_escape(entry.user_agent or "-")}"'
    )


def _escape(text: str) -> str:
    return _UNSAFE.sub(lambda match: "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "replace")), text)


_FORMATS: dict[str, Callable[[Entry], str]] = {"json": json_line, "combined": combined}


@dataclass(frozen=True, kw_only=True)
class AccessLog(Middleware):
    """Log exactly one line a request; also a WebSocket, when it has ended.

    A second one in the same request logs nothing.

    Args:
        format: ``"json"``, ``"combined"``, or a function of an :class:`Entry` that returns the line.
        logger: Name of the logger. Lines have the level INFO, and are written unless it was given another, whatever the
            root's is. Where nobody has given it or its parents a handler, they go to standard output as they are.
            The entry is ``record.entry``, for a formatter of one's own.
        skip: Paths that are not logged, compared exactly.
        sample: Share of requests to log, 0 to 1; what failed or has a status from 500 on is always logged.
        query: Log the query.
        redact: Names of query parameters whose values are hidden.
    """

    websocket: ClassVar[bool] = True
    after: ClassVar[tuple[str, ...]] = (
        "ProxyHeaders: the client is the proxy until then",
        "RequestId: a line names the request",
    )

    format: Literal["json", "combined"] | Callable[[Entry], str] = "json"
    logger: str = "gateway.access"
    skip: Sequence[str] = ()
    sample: float = 1.0
    query: bool = True
    redact: Sequence[str] = ("access_token", "api_key", "code", "password", "secret", "signature", "token")

    def __post_init__(self) -> None:
        if not callable(self.format) and self.format not in _FORMATS:
            raise ConfigurationError(
                f"AccessLog(format=...) must be one of {', '.join(_FORMATS)} or a function, got {self.format!r}"
            )
        if not 0 <= self.sample <= 1:
            raise ConfigurationError(f"AccessLog(sample=...) must be from 0 to 1, got {self.sample!r}")
        for option in ("skip", "redact"):
            if isinstance(getattr(self, option), str):
                raise ConfigurationError(f"AccessLog({option}=...) takes a tuple, got {getattr(self, option)!r}")

    def build(self, context: BuildContext) -> Hooks:
        return _Logging(self, context)


class _Logging(Hooks):
    websocket: ClassVar[bool] = True

    def __init__(self, options: AccessLog, context: BuildContext) -> None:
        self._options = options
        self._write = options.format if callable(options.format) else _FORMATS[options.format]
        self._skip = frozenset(options.skip)
        names = "|".join(re.escape(name) for name in options.redact)
        self._redact = re.compile(rf"((?:^|[&;])(?:{names})=)[^&;]*", re.IGNORECASE) if names else None
        self._begun: Slot[tuple[float, str, str]] = context.slot(tuple)
        self._logger = logging.getLogger(options.logger)
        # A loop must not wait for a disk; a worker thread may, and its line is then written when its request ends.
        self._thread = LogThread(self._logger) if context.interface == "asgi" else None

    def on_request(self, request: Request) -> None:
        state = request.state
        if _STATE in state:
            return
        state[_STATE] = True
        method = "WEBSOCKET" if request.is_websocket else request.method
        self._begun[request] = (time.time(), method, request.raw_path.decode("latin-1"))

    def on_finish(self, request: Request, outcome: Outcome) -> None:
        begun = self._begun.get(request)
        if begun is None or (self._skip and request.path in self._skip) or not wants(self._logger):
            return
        entry = self._entry(request, outcome, begun)
        always = entry.status >= 500 or entry.outcome == "failed"
        if self._options.sample < 1 and not always and random.random() >= self._options.sample:
            return
        name = self._logger.name
        record = logging.LogRecord(name, logging.INFO, __file__, 0, "%s", (self._write(entry),), None)
        record.entry = entry
        if self._thread is not None:
            self._thread.put(record)
        else:
            handle(self._logger, record)

    def on_stop(self, process: Process) -> None:
        if self._thread is not None:
            self._thread.close()

    def _entry(self, request: Request, outcome: Outcome, begun: tuple[float, str, str]) -> Entry:
        moment, method, path = begun
        headers, state, client = request.headers, request.state, request.client
        status = outcome.status
        if status is None:
            status = CLIENT_LEFT if outcome.kind == "aborted" else 500
        query = request.query_string.decode("latin-1") if self._options.query else None
        if query and self._redact is not None:
            query = self._redact.sub(rf"\1{_HIDDEN}", query)
        return Entry(
            time=moment,
            method=method,
            path=path,
            query=query or None,
            status=status,
            outcome=outcome.kind,
            bytes_sent=outcome.bytes_sent,
            bytes_received=outcome.bytes_received,
            first_byte=outcome.first_byte_at,
            duration=outcome.duration,
            client=client[0] if client else None,
            scheme=request.scheme,
            host=headers.get("host"),
            http_version=request.http_version,
            user_agent=headers.get("user-agent"),
            referer=headers.get("referer"),
            request_id=_text(state.get("request_id")),
            trace_id=_text(state.get("trace_id")),
            route=_text(state.get("route")),
            error=type(outcome.error).__qualname__ if outcome.error is not None else None,
            close_code=outcome.websocket_close_code,
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
