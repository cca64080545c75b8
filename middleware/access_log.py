"""Log one line for each request when it ends, after a complete response, an abort or an exception.

The line records the actual events: the bytes handed to the server, the time of the first byte, and the reason for the
end. On an event loop a separate thread formats and writes the line.

Sources: the combined log format of Apache httpd; NGINX's status 499 for a client that left.
"""

from __future__ import annotations

import logging
import os
import random
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, overload

from gateway._bounds import BOUNDS
from gateway.contract import BuildContext, Hooks, Middleware, Process, Slot
from gateway.errors import ConfigurationError
from gateway.middleware._forwarded import parse_address
from gateway.middleware._log_text import printable
from gateway.middleware._log_thread import LogThread, wants
from gateway.middleware._options import check_options, check_paths

if TYPE_CHECKING:
    from gateway.exchange import Outcome, Request

__all__ = ["CLIENT_LEFT", "AccessLog", "Entry", "combined", "json_line"]

#: Logged status of a request whose client left before the response headers were sent.
CLIENT_LEFT = 499
_STATE = "gateway.access_log"
_HIDDEN = "***"
_LONGEST = BOUNDS["log"].characters
_CUT = "..."
_USER_INFORMATION = re.compile("//[^/?#]*@")


class Entry(NamedTuple):
    """The facts of an ended request.

    Attributes:
        time: Start of the request, in seconds since the epoch.
        method: The method, ``"WEBSOCKET"`` for a WebSocket.
        path: The path as the client sent it, percent-encoded.
        query: The text after ``?``; None if it is not logged.
        status: The sent status; 499 if the client left before it, 500 if an exception came before it.
        outcome: ``completed``, ``aborted``, ``failed`` or ``upgraded``.
        bytes_sent: Body bytes handed to the server.
        bytes_received: Body bytes that the application read.
        first_byte: Seconds until the response headers, None if they were not sent.
        duration: Seconds until the end.
        client: The client's address, None for a unix socket.
        scheme: ``http``, ``https``, ``ws`` or ``wss``.
        host: The Host header.
        http_version: ``"1.1"``, ``"2"`` ...
        user_agent: The User-Agent header.
        referer: The Referer header.
        request_id: The id from ``RequestId``.
        trace_id: The id of the request's trace.
        route: The template that the application put into ``request.state["route"]``.
        error: The class of the exception that ended the request.
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
    """Format an entry as one JSON object. Leaves out unknown values; durations are in milliseconds."""
    # Formatted by hand, most of it at once, because a dict and an encoder take four times as long for twenty members.
    time, method, path, query, status, outcome, sent, received, first_byte, duration = entry[:10]
    client, scheme, host, version, user_agent, referer, request_id, trace_id, route, error, close_code = entry[10:]
    asked = "" if query is None else f', "query": {quote(query)}'
    began = "" if first_byte is None else f', "first_byte_ms": {first_byte * 1000:.3f}'
    came = "" if client is None else f', "client": {quote(client)}'
    to = "" if host is None else f', "host": {quote(host)}'
    by = "" if user_agent is None else f', "user_agent": {quote(user_agent)}'
    named = "" if request_id is None else f', "request_id": {quote(request_id)}'
    rest = ""
    if trace_id is not None:
        rest = f', "trace_id": {quote(trace_id)}'
    if route is not None:
        rest += f', "route": {quote(route)}'
    if error is not None:
        rest += f', "error": {quote(error)}'
    if close_code is not None:
        rest += f', "close_code": {close_code}'
    if referer is not None:
        by += f', "referer": {quote(referer)}'
    return (
        f'{{"time": "{_moment(time, _ISO)}", "method": {quote(method)}, "path": {quote(path)}{asked}, '
        f'"status": {status}, "outcome": {quote(outcome)}, "bytes_sent": {sent}, "bytes_received": {received}{began}, '
        f'"duration_ms": {duration * 1000:.3f}{came}, "scheme": {quote(scheme)}{to}, '
        f'"http_version": {quote(version)}{by}{named}{rest}}}'
    )


def combined(entry: Entry) -> str:
    r"""Format an entry in the combined log format. Escapes characters that could forge a line as ``\xNN``."""
    target = entry.path + (f"?{entry.query}" if entry.query else "")
    request = printable(f"{entry.method} {target} HTTP/{entry.http_version}")
    sent = str(entry.bytes_sent) if entry.bytes_sent else "-"
    return (
        f'{printable(entry.client or "-")} - - [{_moment(entry.time, _APACHE)}] "{request}" {entry.status} {sent} '
        f'"{printable(entry.referer or "-")}" "{printable(entry.user_agent or "-")}"'
    )


_ISO = "%Y-%m-%dT%H:%M:%S."
_APACHE = "%d/%b/%Y:%H:%M:%S +0000"
#: The last formatted second, by form, because a busy server writes thousands of lines in the same second.
_seconds: dict[str, tuple[int, str]] = {}


def _moment(time: float, form: str) -> str:
    """Format a time, with milliseconds if the form is `_ISO`."""
    milliseconds = int(time * 1000)
    second = milliseconds // 1000
    last = _seconds.get(form)
    if last is None or last[0] != second:
        last = _seconds[form] = second, datetime.fromtimestamp(second, UTC).strftime(form)
    return f"{last[1]}{milliseconds % 1000:03}+00:00" if form is _ISO else last[1]


_FORMATS: dict[str, Callable[[Entry], str]] = {"json": json_line, "combined": combined}


@dataclass(frozen=True, kw_only=True)
class AccessLog(Middleware):
    """Log exactly one line for each request, and for each WebSocket when it has ended.

    A second ``AccessLog`` in the same request logs nothing.

    Args:
        format: ``"json"``, ``"combined"``, or a function of an :class:`Entry` that returns the line.
        logger: Name of the logger. Lines have the level INFO, and are written at any level of the root logger,
            unless you set another level for this logger. If the logger and its parents have no handler, lines
            go unchanged to standard output. For your own formatter, the entry is ``record.entry``.
        skip: Paths below the mount point that are not logged, compared exactly.
        sample: Share of requests to log, from 0 to 1; failures and statuses of 500 and above are always logged.
        query: Log the query.
        redact: Names of parameters whose values are hidden in every logged value: path, query, Host, Referer
            and User-Agent. This includes percent-encoded names and parameters of a URL inside a value.
    """

    websocket: ClassVar[bool] = True
    after: ClassVar[tuple[str, ...]] = (
        "ProxyHeaders: before it, the client address is the proxy's",
        "RequestId: log lines contain the request id",
    )

    format: Literal["json", "combined"] | Callable[[Entry], str] = "json"
    logger: str = "gateway.access"
    skip: Sequence[str] = ()
    sample: float = 1.0
    query: bool = True
    redact: Sequence[str] = (
        "access_token",
        "api_key",
        "client_secret",
        "code",
        "id_token",
        "password",
        "refresh_token",
        "secret",
        "sig",
        "signature",
        "token",
        "x-amz-security-token",
        "x-amz-signature",
        "x-goog-signature",
    )

    def __post_init__(self) -> None:
        check_options(self)
        check_paths(self, "skip")
        if not callable(self.format) and self.format not in _FORMATS:
            raise ConfigurationError(
                f"AccessLog(format=...) must be one of {', '.join(_FORMATS)} or a function, got {self.format!r}"
            )
        if not 0 <= self.sample <= 1:
            raise ConfigurationError(f"AccessLog(sample=...) must be from 0 to 1, got {self.sample!r}")

    def build(self, context: BuildContext) -> Hooks:
        return _Logging(self, context)


class _Logging(Hooks):
    websocket: ClassVar[bool] = True

    def __init__(self, options: AccessLog, context: BuildContext) -> None:
        self._query = options.query
        self._sample = options.sample
        self._write = options.format if callable(options.format) else _FORMATS[options.format]
        self._skip = frozenset(options.skip)
        self._secrets = _Secrets(options.redact) if options.redact else None
        self._begun: Slot[tuple[float, str, str]] = context.slot(tuple)
        self._logger = logging.getLogger(options.logger)
        # An event loop must not wait for a disk. A worker thread may, so it writes the line itself at the end.
        self._thread = LogThread(self._put) if context.interface == "asgi" else None

    def on_request(self, request: Request) -> None:
        state = request.state
        if _STATE in state:
            return
        state[_STATE] = True
        method = "WEBSOCKET" if request.is_websocket else request.method
        self._begun[request] = (time.time(), method, request.raw_path.decode("latin-1"))

    def on_finish(self, request: Request, outcome: Outcome) -> None:
        begun = self._begun.get(request)
        if begun is None or (self._skip and request.local_path in self._skip) or not wants(self._logger):
            return
        entry = self._entry(request, outcome, begun)
        if self._sample < 1 and entry.status < 500 and entry.outcome != "failed" and random.random() >= self._sample:
            return
        if self._thread is not None:
            self._thread.put(entry)
        else:
            self._put(entry)

    def _put(self, entry: Entry) -> None:
        """Format the line and pass it to the logger's handlers, or to standard output if there are no handlers."""
        line, logger = self._write(entry), self._logger
        if logger.hasHandlers():
            logger.handle(_RECORDS.make(logger.name, line, entry))
        elif not logger.filters or logger.filter(_RECORDS.make(logger.name, line, entry)):  # filters count anyway
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def on_stop(self, process: Process) -> None:
        if self._thread is not None:
            self._thread.close()

    def _entry(self, request: Request, outcome: Outcome, begun: tuple[float, str, str]) -> Entry:
        moment, method, path = begun
        headers, state, client = request.headers, request.state, request.client
        status = outcome.status
        if status is None:
            status = CLIENT_LEFT if outcome.kind == "aborted" else 500
        query: str | None = None
        if self._query and (raw := request.query_string):
            query = self._hide(raw.decode("latin-1"))
        referer = headers.get("referer")
        if referer is not None and "@" in referer:
            referer = _USER_INFORMATION.sub(rf"//{_HIDDEN}@", referer)
        error = outcome.error
        return Entry(  # positional, in the order of the attributes, because keywords take a third longer
            moment,
            self._hide(method),
            self._hide(path),
            query,
            status,
            outcome.kind,
            outcome.bytes_sent,
            outcome.bytes_received,
            outcome.first_byte_at,
            outcome.duration,
            _address(client[0]) if client else None,
            request.scheme,
            self._hide(headers.get("host")),
            request.http_version,
            self._hide(headers.get("user-agent")),
            self._hide(referer),
            _text(state.get("request_id")),
            _text(state.get("trace_id")),
            _text(state.get("route")),
            None if error is None else type(error).__qualname__,
            outcome.websocket_close_code,
        )

    @overload
    def _hide(self, text: str) -> str: ...
    @overload
    def _hide(self, text: str | None) -> str | None: ...
    def _hide(self, text: str | None) -> str | None:
        """Cut a value from a client to its bound, and hide the values of the parameters in ``redact``."""
        if text is None:
            return None
        if len(text) > _LONGEST:
            return self._hide(text[:_LONGEST]) + _CUT
        if self._secrets is None or ("=" not in text and "%3" not in text):
            return text
        return self._secrets.hide(text)


class _Secrets:
    """Hide the values of some parameters in a query, or in a text that contains a URL.

    Names match in any case, and with any characters percent-encoded, because the application decodes them. Encoded
    separators match too: `next=%2Fcallback%3Ftoken%3Dabc` has a URL inside a value. A value ends only at "&" and "#",
    because some applications do not end it at ";".
    """

    def __init__(self, names: Sequence[str]) -> None:
        # Bytes from a client are decoded as latin-1, so the names must be too.
        octets = [name.encode().decode("latin-1").lower() for name in names]
        plain = "|".join(re.escape(name).replace(r"\ ", "[ +]") for name in octets)
        spelled = "|".join("".join(map(_spellings, name.encode())) for name in names)
        #: For lower-case text without "%", the usual case. It takes a tenth of the time of `_every`.
        self._plain = re.compile(rf"[?&;#](?:{plain})=")
        self._every = re.compile(rf"([?&;#%](?:(?<=%)(?:3[fb]|26|23))?(?:{spelled})(?:=|%3d))[^&#]*", re.IGNORECASE)

    def hide(self, text: str) -> str:
        # The patterns need a separator before each name, and a query begins with a name.
        separated = "&" + text
        if (self._every.search(separated) if "%" in text else self._plain.search(separated.lower())) is None:
            return text
        return self._every.sub(rf"\1{_HIDDEN}", separated)[1:]


def _spellings(byte: int) -> str:
    """Return a pattern for a byte, plain or percent-encoded. A letter matches in either case, a blank also as "+"."""
    codes = "|".join(sorted({f"{ord(case):02x}" for case in (chr(byte), chr(byte).swapcase()) if ord(case) < 256}))
    blank = r"\+|" if byte == 0x20 else ""
    return f"(?:{blank}{re.escape(chr(byte))}|%(?:{codes}))"


def _address(value: str) -> str:
    """Normalise a client's address, because a dual-stack server gives an IPv4 client as "::ffff:192.0.2.1"."""
    if not value.startswith("::"):
        return value
    node = parse_address(value)
    return value if node is None else node[0]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


class _Records(threading.local):
    """Make log records as copies of the first record of this thread, because `LogRecord()` takes four times as long."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Drop the first record, because it holds the id of the parent process after a fork."""
        self._first: dict[str, object] = {}
        self._created = self._relative = 0.0

    def make(self, name: str, line: str, entry: Entry) -> logging.LogRecord:
        if not self._first:
            first = logging.LogRecord(name, logging.INFO, __file__, 0, "%s", (), None)
            self._first, self._created, self._relative = vars(first), first.created, first.relativeCreated
        record = logging.LogRecord.__new__(logging.LogRecord)
        now = time.time()
        attributes = record.__dict__ = self._first.copy()
        attributes["name"] = name
        attributes["args"] = (line,)
        attributes["created"] = now
        attributes["msecs"] = now % 1 * 1000 // 1
        attributes["relativeCreated"] = (now - self._created) * 1000 + self._relative
        attributes["entry"] = entry
        return record


_RECORDS = _Records()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_RECORDS.forget)
