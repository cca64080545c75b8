"""Give each request an id for logs, the application, the proxy and the client, and read its trace id.

Sources: the ``X-Request-ID`` convention; W3C Trace Context level 1 sections 3.2 (traceparent), 3.3 (tracestate);
RFC 9562 section 5.7 (UUID version 7).
"""

from __future__ import annotations

import logging
import os
import re
import time
import uuid
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from gateway._bounds import BOUNDS
from gateway.contract import BuildContext, Hooks, Middleware
from gateway.errors import ConfigurationError
from gateway.headers import Header, Headers
from gateway.middleware._options import check_options
from gateway.middleware.proxy_headers import ForwardedFrom

if TYPE_CHECKING:
    from gateway.exchange import Outcome, Request, Response

__all__ = ["RequestId", "RequestIdFilter", "current_request_id", "current_trace_id"]

_ID: ContextVar[str | None] = ContextVar("gateway_request_id", default=None)
_TRACE: ContextVar[str | None] = ContextVar("gateway_trace_id", default=None)
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_LONGEST_ID = BOUNDS["request-id"].characters
_LONGEST_TRACE = BOUNDS["traceparent"].characters
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def current_request_id() -> str | None:
    """Return the id of the request that this task or thread serves, or None outside of a request."""
    return _ID.get()


def current_trace_id() -> str | None:
    """Return the trace id of the request (32 hexadecimal digits), or None if it has none."""
    return _TRACE.get()


class RequestIdFilter(logging.Filter):
    """Add ``request_id`` and ``trace_id`` to every log record; "-" outside of a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _ID.get() or "-"
        record.trace_id = _TRACE.get() or "-"
        return True


def _uuid4() -> str:
    # Same as uuid.uuid4().hex, without the object: four bits of version, two of variant, the rest random.
    digits = os.urandom(16).hex()
    return f"{digits[:12]}4{digits[13:16]}{_VARIANT[digits[16]]}{digits[17:]}"


def _uuid7() -> str:
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return uuid.UUID(int=value).hex


def _ulid() -> str:
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))


_GENERATORS: dict[str, Callable[[], str]] = {"uuid4": _uuid4, "uuid7": _uuid7, "ulid": _ulid}


@dataclass(frozen=True, kw_only=True)
class RequestId(Middleware):
    """Take the id from a trusted proxy, or make an id; put it on request, state, context and response.

    ``request.state`` holds ``request_id``, and ``trace_id`` if the request has a valid ``traceparent``. The middleware
    removes a malformed ``traceparent``, and ``tracestate`` with it.

    Args:
        header: Header that carries the id, in requests and responses.
        also: Further headers that may contain an id, in this order, if ``header`` has no accepted id.
        accept: Clients whose id is accepted: ``"trusted-peer"``, if ``ProxyHeaders`` recognised the peer as a
            trusted proxy; ``"valid"``, every client; ``"never"``.
        valid: Regular expression that must match a whole accepted id.
        generate: Way to create an id: ``"uuid4"``, ``"uuid7"`` (sorts by time), ``"ulid"``, or a function.
        keep: Request header in which the application finds an id that came in ``header`` and was not accepted,
            if it matches ``valid``; ``request.state["client_request_id"]`` has it too. With None, such an id is
            dropped.
    """

    websocket: ClassVar[bool] = True
    after: ClassVar[tuple[str, ...]] = (
        "ProxyHeaders: whether an id is accepted depends on the peer being a trusted proxy",
    )
    before: ClassVar[tuple[str, ...]] = (
        "AccessLog: log lines contain the request id",
        "Errors: error responses contain the request id",
    )

    header: str = "X-Request-ID"
    also: Sequence[str] = ()
    accept: Literal["never", "trusted-peer", "valid"] = "trusted-peer"
    valid: str = r"[A-Za-z0-9._-]{8,128}"
    generate: Literal["uuid4", "uuid7", "ulid"] | Callable[[], str] = "uuid4"
    keep: str | None = None

    def __post_init__(self) -> None:
        check_options(self)
        for name in (self.header, *self.also, *([] if self.keep is None else [self.keep])):
            Header(name, "x")
        if self.keep is not None and self.keep.lower() in {name.lower() for name in (self.header, *self.also)}:
            raise ConfigurationError(
                f"RequestId(keep=...) must differ from header= and also=, got {self.keep!r}; write "
                'keep="X-Client-Request-ID"'
            )
        if self.accept not in ("never", "trusted-peer", "valid"):
            raise ConfigurationError(
                f'RequestId(accept=...) must be "never", "trusted-peer" or "valid", got {self.accept!r}'
            )
        try:
            re.compile(self.valid)
        except re.error as error:
            raise ConfigurationError(
                f"RequestId(valid=...) is not a valid regular expression: {self.valid!r}: {error}"
            ) from error
        if not callable(self.generate) and self.generate not in _GENERATORS:
            raise ConfigurationError(
                f"RequestId(generate=...) must be one of {', '.join(_GENERATORS)} or a function, got {self.generate!r}"
            )

    def build(self, context: BuildContext) -> Hooks:
        return _Naming(self, context)


class _Naming(Hooks):
    websocket: ClassVar[bool] = True

    def __init__(self, options: RequestId, context: BuildContext) -> None:
        self._header = options.header
        self._given = (options.header, *options.also)
        self._accept = options.accept
        self._valid = re.compile(options.valid)
        self._generate = options.generate if callable(options.generate) else _GENERATORS[options.generate]
        self._slot = context.slot(str)
        self._keep = options.keep

    def on_request(self, request: Request) -> None:
        state, headers = request.state, request.headers
        name = state.get("request_id")
        if not isinstance(name, str):
            name = self._accepted(state, headers) or self._generate()
            state["request_id"] = name
            if self._keep is not None:
                self._keep_given(state, headers, self._keep, name)
            headers.set(self._header, name)
        self._slot[request] = name
        _ID.set(name)
        _TRACE.set(self._trace(state, headers))

    def on_response(self, request: Request, response: Response) -> None:
        response.headers.set(self._header, self._slot[request])

    def on_finish(self, request: Request, outcome: Outcome) -> None:
        # A worker thread serves other requests afterwards, and they must not find this id. On ASGI each request has its
        # own context. Background tasks of the application continue in it, and their log records need the id.
        if request.interface == "wsgi":
            _ID.set(None)
            _TRACE.set(None)

    def _accepted(self, state: dict[str, object], headers: Headers) -> str | None:
        if self._accept == "never":
            return None
        if self._accept == "trusted-peer":
            peer = state.get("gateway.proxy_headers")
            if not (isinstance(peer, ForwardedFrom) and peer.trusted):
                return None
        for name in self._given:
            value = headers.get(name)
            if value is not None and self._is_valid(value):
                return value
        return None

    def _is_valid(self, value: str) -> bool:
        return len(value) <= _LONGEST_ID and self._valid.fullmatch(value) is not None

    def _keep_given(self, state: dict[str, object], headers: Headers, keep: str, name: str) -> None:
        """Move an id that was not accepted to the ``keep`` header; otherwise delete a ``keep`` header of the client."""
        given = headers.get(self._header)
        if given is not None and given != name and self._is_valid(given):
            headers.set(keep, given)
            state["client_request_id"] = given
        else:
            headers.delete(keep)

    @staticmethod
    def _trace(state: dict[str, object], headers: Headers) -> str | None:
        value = headers.get("traceparent")
        if value is None:
            return None
        match = _TRACEPARENT.fullmatch(value) if len(value) <= _LONGEST_TRACE else None
        version = match[1] if match else "ff"
        if (
            match is None
            or version == "ff"
            or (version == "00" and match[4] is not None)
            or match[2] == "0" * 32
            or match[3] == "0" * 16
        ):
            headers.delete("traceparent")
            headers.delete("tracestate")
            return None
        state["trace_id"] = match[2]
        return match[2]
