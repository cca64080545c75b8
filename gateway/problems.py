"""Render the error responses of middleware.

``problem()`` makes the response in the form that ``Accept`` prefers: problem details, text or HTML. It shows only its
arguments, never the text of an exception, because that may be private.

Sources: RFC 9457 (problem details); RFC 9110 sections 12.5.1 (Accept), 15.5, 15.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway._bounds import BOUNDS
from gateway.exchange import Response
from gateway.headers import Headers
from gateway.translate.status import reason_phrase

if TYPE_CHECKING:
    from gateway.contract import Refuse
    from gateway.exchange import Request
    from gateway.headers import HeaderSource

__all__ = ["MEDIA_TYPES", "preferred_media_type", "problem", "refusal"]

#: Media types that can be rendered; the first is the default if Accept does not decide.
MEDIA_TYPES = ("application/problem+json", "text/html", "text/plain")

_LONGEST_ACCEPT = BOUNDS["accept"].characters
_RESERVED = frozenset({"type", "title", "status", "detail", "instance"})


def preferred_media_type(accept: str | None, offered: tuple[str, ...] = MEDIA_TYPES) -> str:
    """Return the offered media type that the client prefers (RFC 9110 section 12.5.1).

    The most specific range that matches decides the quality of a type; ``q=0`` refuses it. ``application/json``
    matches problem details too. Without ``Accept``, or if nothing is acceptable, the first offered type is returned,
    because the error must be sent anyway.

    >>> preferred_media_type("text/html;q=0.8, application/json;q=0.9")
    'application/problem+json'
    """
    if accept is None or len(accept) > _LONGEST_ACCEPT:
        return offered[0]
    ranges = [_media_range(part) for part in accept.split(",") if part.strip()]
    best, best_quality = offered[0], 0.0
    for media_type in offered:
        quality = _quality(media_type, ranges)
        if quality > best_quality:
            best, best_quality = media_type, quality
    return best


def _media_range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip() for piece in part.lower().split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                quality = float(value.strip())
            except ValueError:
                quality = 0.0
            if not 0.0 <= quality <= 1.0:  # NaN and infinity too
                quality = 0.0
    return name, quality


def _quality(media_type: str, ranges: list[tuple[str, float]]) -> float:
    names = {media_type: 3}
    if media_type == "application/problem+json":
        names["application/json"] = 2
    names[f"{media_type.partition('/')[0]}/*"] = 1
    names["*/*"] = 0
    # The pairs compare by specificity first, so `max` takes the most specific range.
    found = [(names[name], quality) for name, quality in ranges if name in names]
    return max(found)[1] if found else 0.0


def problem(
    request: Request | None,
    status: int,
    detail: str | None = None,
    *,
    title: str | None = None,
    type: str = "about:blank",
    instance: str | None = None,
    extensions: Mapping[str, object] | None = None,
    headers: HeaderSource = (),
) -> Response:
    """Render an error as a response.

    Args:
        request: Request whose ``Accept`` decides the form; ``None`` for problem details.
        status: 400 to 599.
        detail: One sentence for the client.
        title: Short name; the reason phrase by default.
        type: URI of the kind of problem.
        instance: URI of this occurrence.
        extensions: Further members of the problem details, JSON values; text and HTML do not show them.
        headers: Further headers, for example ``Retry-After`` or ``Allow``.

    Returns:
        A response with Content-Type, Content-Length, ``Cache-Control: no-store`` (unless ``headers`` has its own) and
        ``Vary: Accept``.

    Raises:
        ValueError: The status is not from 400 to 599, or an extension has a reserved name.
    """
    if not 400 <= status <= 599:
        raise ValueError(f"a problem has a status from 400 to 599, got {status!r} (RFC 9457)")
    reserved = _RESERVED & set(extensions or ())
    if reserved:
        raise ValueError(f"extensions must not be named {sorted(reserved)} (RFC 9457 section 3.2)")
    title = title or reason_phrase(status)
    media_type = preferred_media_type(request.headers.get("accept") if request is not None else None)
    if media_type == "text/html":
        body = _html(status, title, detail)
    elif media_type == "text/plain":
        body = f"{status} {title}\n" + (f"{detail}\n" if detail else "")
    else:
        members: dict[str, object] = {"type": type, "title": title, "status": status}
        if detail is not None:
            members["detail"] = detail
        if instance is not None:
            members["instance"] = instance
        from json import dumps  # only this form needs it, so not imported with the module

        body = dumps({**members, **(extensions or {})}, ensure_ascii=False)
    content = body.encode()
    fields = Headers(headers)
    fields.set("content-type", media_type if media_type == MEDIA_TYPES[0] else f"{media_type}; charset=utf-8")
    fields.set("content-length", str(len(content)))
    fields.setdefault("cache-control", "no-store")
    fields.add_vary("Accept")
    return Response(status, fields, content)


def _html(status: int, title: str, detail: str | None) -> str:
    from html import escape  # only this form needs it, so not imported with the module

    text = f"<p>{escape(detail)}</p>" if detail else ""
    name = escape(f"{status} {title}")
    return f'<!doctype html><html lang="en"><title>{name}</title><h1>{name}</h1>{text}</html>\n'


def refusal(request: Request | None, refuse: Refuse) -> Response:
    """Return the response of a :class:`~gateway.contract.Refuse`: the given response, or a rendered one."""
    if refuse.response is not None:
        return refuse.response
    return problem(request, refuse.status, refuse.detail, headers=refuse.headers)
