"""Turn exceptions into responses: problem details, text or HTML, as the client prefers.

An exception becomes a response only before the response headers are sent. Later it propagates to the server, which cuts
the connection, so that half a response never looks complete. A client sees the text of an exception only if the
exception was made for clients, or with ``debug`` on the same machine.

Sources: RFC 9457 (problem details); RFC 9110 section 15 (status codes).
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from gateway._bounds import BOUNDS
from gateway.contract import BuildContext, Hooks, Middleware, Refuse
from gateway.errors import ConfigurationError
from gateway.exchange import Response
from gateway.middleware._forwarded import parse_peer
from gateway.middleware._log_text import printable
from gateway.middleware._options import check_options
from gateway.middleware.proxy_headers import PROXY_HEADERS, ForwardedFrom
from gateway.problems import preferred_media_type, problem, refusal

if TYPE_CHECKING:
    from gateway.exchange import Request

__all__ = ["KNOWN", "ErrorClass", "Errors"]

_log = logging.getLogger("gateway.middleware.errors")
_LONGEST = BOUNDS["log"].characters


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """How to read the status and the text of an exception that is made for clients.

    Attributes:
        status: The attribute that holds the status, or the status itself.
        detail: The attribute that holds the text, or None.
        headers: The attribute that holds further headers, or None.
    """

    status: str | int
    detail: str | None = None
    headers: str | None = None


#: Exceptions of frameworks by the full name of their class, so that this module need not import a framework.
KNOWN: Mapping[str, ErrorClass] = {
    "werkzeug.exceptions.HTTPException": ErrorClass("code", "description"),
    "starlette.exceptions.HTTPException": ErrorClass("status_code", "detail", "headers"),
    "litestar.exceptions.http_exceptions.HTTPException": ErrorClass("status_code", "detail", "headers"),
    "falcon.http_error.HTTPError": ErrorClass("status", "description", "headers"),
    "quart.exceptions.HTTPException": ErrorClass("code", "description"),
    "django.http.response.Http404": ErrorClass(404),
    "django.core.exceptions.PermissionDenied": ErrorClass(403),
    "django.core.exceptions.BadRequest": ErrorClass(400),
    "django.core.exceptions.SuspiciousOperation": ErrorClass(400),
    "pyramid.httpexceptions.HTTPException": ErrorClass("code", "detail"),
    "bottle.HTTPError": ErrorClass("status_code", "body"),
}

#: A value of the option ``answers``.
Answer = int | Callable[["Request", Exception], Response]


@dataclass(frozen=True, kw_only=True)
class Errors(Middleware):
    """Turn exceptions of inner middleware and the application into responses, and log unexpected exceptions.

    An exception that a framework made for clients (see :data:`KNOWN`) keeps its status and text. Any other exception
    gives 500 and is logged with its traceback. The client gets only the request id.

    Args:
        answers: Responses for your own exceptions: a status, or a function of request and exception that
            returns the response. The nearest class in the inheritance of the exception counts.
        debug: Show the traceback, but only to a client on the same machine.
        log: Log unexpected exceptions to the logger ``gateway.middleware.errors``.
    """

    after: ClassVar[tuple[str, ...]] = (
        "AccessLog: error responses are logged with their status",
        "RequestId: error responses contain the request id",
        "Cors: pages of other origins can read the error",
        "SecurityHeaders: error responses need them too",
        "Metrics: error responses are counted with their status",
        "Compression: error responses are compressed too",
    )

    answers: Mapping[type[Exception], Answer] = field(default_factory=dict)
    debug: bool = False
    log: bool = True

    def __post_init__(self) -> None:
        check_options(self)
        for kind, answer in self.answers.items():
            key: object = kind
            if not (isinstance(key, type) and issubclass(key, Exception)):
                raise ConfigurationError(f"the keys of Errors(answers=...) must be exception classes, got {key!r}")
            if not callable(answer) and not 400 <= answer <= 599:
                raise ConfigurationError(
                    f"Errors(answers=...) must map {kind.__name__} to a status from 400 to 599 or a function, "
                    f"got {answer!r}"
                )

    def build(self, context: BuildContext) -> Hooks:
        return _AnsweringErrors(self)


class _AnsweringErrors(Hooks):
    def __init__(self, options: Errors) -> None:
        self._options = options

    def on_error(self, request: Request, error: Exception) -> Response | None:
        for kind in type(error).__mro__:
            answer = self._options.answers.get(kind)
            if callable(answer):
                return answer(request, error)
            if answer is not None:
                return problem(request, answer)
        if isinstance(error, Refuse):
            return refusal(request, error)
        return _expected(request, error) or self._unexpected(request, error)

    def _unexpected(self, request: Request, error: Exception) -> Response:
        name = request.state.get("request_id")
        if self._options.log:
            _log.error(
                "%s %s: %s",
                printable(request.method[:_LONGEST]),
                printable(request.raw_path[:_LONGEST].decode("latin-1")),
                type(error).__qualname__,
                exc_info=error,
                extra={"request_id": name},
            )
        if self._options.debug and _is_here(request):
            return _debug_page(request, error)
        extensions = {"request_id": name} if isinstance(name, str) else None
        return problem(request, 500, "The server had an unexpected error.", extensions=extensions)


def _expected(request: Request, error: Exception) -> Response | None:
    """Return the response for an exception that a framework made for clients; None for any other exception."""
    for kind in type(error).__mro__:
        known = KNOWN.get(f"{kind.__module__}.{kind.__qualname__}")
        if known is None:
            continue
        status = known.status if isinstance(known.status, int) else _status(getattr(error, known.status, None))
        if status is None:
            return None
        detail = getattr(error, known.detail, None) if known.detail else None
        headers = getattr(error, known.headers, None) if known.headers else None
        pairs = [(str(name), str(value)) for name, value in (headers or {}).items()] if headers else []
        return problem(request, status, detail if isinstance(detail, str) else None, headers=pairs)
    return None


def _status(value: object) -> int | None:
    """Parse a status in the forms of frameworks: 404, or "404 Not Found"; return None if it is not an error status."""
    digits = value.partition(" ")[0] if isinstance(value, str) else str(value)
    status = int(digits) if digits.isascii() and digits.isdigit() else 0
    return status if 400 <= status <= 599 else None


def _is_here(request: Request) -> bool:
    """Return whether the client is on this machine, by the connection and by the headers of proxies."""
    peers = [request.client]
    connection = request.state.get("gateway.proxy_headers")
    if isinstance(connection, ForwardedFrom):
        peers.append(connection.client)
    elif request.headers.has_any(PROXY_HEADERS):
        return False  # a proxy on this machine without ProxyHeaders: every client seems to have the proxy's address
    addresses = [parse_peer(peer[0]) if peer is not None else None for peer in peers]
    return all(address is not None and address.is_loopback for address in addresses)


def _debug_page(request: Request, error: Exception) -> Response:
    text = "".join(traceback.format_exception(error))
    if preferred_media_type(request.headers.get("accept")) == "application/problem+json":
        return problem(request, 500, str(error), extensions={"traceback": text.splitlines()})
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
    return Response(500, [*fields, ("X-Content-Type-Options", "nosniff")], text)
