"""Respond with 304 if the client already has the representation, and with 412 if its precondition fails.

The application makes its response and its validators as usual; only the transfer of the body is saved. Put it inside
:class:`~gateway.middleware.Compression`, so that a body that is not sent is not compressed either.

Sources: RFC 9110 sections 13.1, 13.2.2 (order of evaluation), 15.4.5 (304), 15.5.13 (412).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gateway.contract import BuildContext, Hooks, Middleware, Slot, Steps, peek
from gateway.errors import ConfigurationError
from gateway.exchange import Response
from gateway.headers import HeaderNames
from gateway.middleware._options import check_options
from gateway.middleware._validators import Preconditions, evaluate, parse_etag, parse_http_date
from gateway.problems import problem

if TYPE_CHECKING:
    from gateway.exchange import Request

__all__ = ["ConditionalGet"]

#: Headers of the content that a 304 does not carry. ``Last-Modified`` is dropped too if there is an entity tag.
_CONTENT_FIELDS = HeaderNames(
    "content-type",
    "content-length",
    "content-encoding",
    "content-language",
    "content-range",
    "content-md5",
    "content-digest",
    "digest",
    "repr-digest",
    "accept-ranges",
    "transfer-encoding",
    "trailer",
)
_POLICIES = ("content-security-policy", "content-security-policy-report-only")


@dataclass(frozen=True, kw_only=True)
class ConditionalGet(Middleware):
    """Evaluate the preconditions of GET and HEAD against the application's 200 response.

    ``If-None-Match`` and ``If-Modified-Since`` lead to 304, ``If-Match`` and ``If-Unmodified-Since`` to 412. Other
    methods pass unchanged, because the application has already acted when this middleware sees the response.

    Args:
        auto_etag: Create an entity tag from the content of a GET response that declares a Content-Length of at
            most ``max_bytes``, has no entity tag and is not ``no-store``. Such a response waits until it is
            complete. A response without a declared length never waits.
        max_bytes: Maximum size of content for ``auto_etag``, in bytes.
    """

    after: ClassVar[tuple[str, ...]] = ("Compression: entity tags are compared as the application sent them",)

    auto_etag: bool = False
    max_bytes: int = 256 * 1024

    def __post_init__(self) -> None:
        check_options(self)
        if self.max_bytes < 1:
            raise ConfigurationError(f"ConditionalGet(max_bytes=...) must be at least 1, got {self.max_bytes!r}")

    def build(self, context: BuildContext) -> Hooks:
        slot = context.slot(Preconditions)
        return _Tagging(slot, self.max_bytes) if self.auto_etag else _Evaluating(slot)


def _conditions(request: Request) -> Preconditions | None:
    """Read the conditional headers; return None if there are none, or if the method is not GET or HEAD."""
    headers = request.headers
    if not headers.has_any(_CONDITIONS) or request.method not in ("GET", "HEAD"):
        return None
    return Preconditions(*map(headers.get, _CONDITIONS.names))


#: In the order of :class:`Preconditions`.
_CONDITIONS = HeaderNames("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


def _decide(request: Request, response: Response, conditions: Preconditions) -> Response | None:
    """Return the 304 or 412 that replaces a 200, or None to keep the 200."""
    tag, date = response.headers.get("etag"), response.headers.get("last-modified")
    verdict = evaluate(
        conditions,
        method=request.method,
        etag=parse_etag(tag) if tag else None,
        last_modified=parse_http_date(date) if date else None,
    )
    if verdict == 200:
        return None
    if verdict == 412:
        return problem(request, 412, "A precondition of the request is not true for the current representation.")
    headers = response.headers.copy()
    headers.delete_all(_CONTENT_FIELDS)
    for name in _POLICIES:
        # A cache would update the stored policy, but the stored content has another nonce (RFC 9111 section 4.3.4).
        if "'nonce-" in (headers.get(name) or ""):
            headers.delete(name)
    if tag:
        headers.delete("last-modified")
    return Response(304, headers)


class _Evaluating(Hooks):
    """Evaluate the preconditions against the validators of the application."""

    def __init__(self, slot: Slot[Preconditions]) -> None:
        self._slot = slot

    def on_request(self, request: Request) -> None:
        conditions = _conditions(request)
        if conditions is not None:
            self._slot[request] = conditions

    def on_response(self, request: Request, response: Response) -> Response | None:
        conditions = self._slot.get(request)
        if conditions is None or response.status != 200:
            return None
        return _decide(request, response, conditions)


class _Tagging(Hooks):
    """Add an entity tag to content of known, small size, then evaluate the preconditions."""

    def __init__(self, slot: Slot[Preconditions], max_bytes: int) -> None:
        self._slot = slot
        self._max_bytes = max_bytes

    def on_request(self, request: Request) -> None:
        conditions = _conditions(request)
        if conditions is not None:
            self._slot[request] = conditions

    def on_response(self, request: Request, response: Response) -> Steps[Response | None]:
        if response.status != 200:
            return None
        if self._wants_tag(request, response):
            content = yield from peek(None)
            if content is not None:
                response.headers.set("etag", _tag(content))
        conditions = self._slot.get(request)
        return None if conditions is None else _decide(request, response, conditions)

    def _wants_tag(self, request: Request, response: Response) -> bool:
        headers = response.headers
        length = headers.get("content-length") or ""
        return (
            request.method == "GET"
            and length.isascii()
            and length.isdigit()
            and int(length) <= self._max_bytes
            and "etag" not in headers
            and "no-store" not in (headers.get("cache-control") or "").lower()
        )


_digest: Callable[..., hashlib._Hash] = hashlib.sha1


def _tag(content: bytes) -> str:
    """Make a strong entity tag of the content. SHA-1 only distinguishes contents; it does not protect anything."""
    return f'"{_digest(content, usedforsecurity=False).hexdigest()}"'
