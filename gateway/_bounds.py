"""Upper bounds for the request headers that this package parses, in one table.

Servers limit the size of a request differently, and some do not limit it. These bounds hold on every server, so a
header never costs more time than its bound allows, even with a slow parser. A value above its bound never raises an
error of this package. The parser ignores it, refuses the request, or reads a part, whichever is safe for that header.

Lengths are characters of the whole value, with repeated lines joined. Constants only; the parsers compare.

Sources: RFC 9110 sections 2.3 (a recipient may limit its parsing), 5.4 (limits), 13.1 and 14.2 (conditions and
ranges may be ignored), 15.5 (refusals).
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["BOUNDS", "Bound"]


class Bound(NamedTuple):
    """One bound.

    Attributes:
        headers: Names of the headers, as the documentation writes them.
        characters: Maximum length of a value that is parsed.
        elements: Maximum number of list elements that are parsed; None if only the length counts.
        beyond: Result for a longer value.
    """

    headers: tuple[str, ...]
    characters: int
    elements: int | None
    beyond: str


#: The longest lists that browsers and caches send have a tenth of these lengths.
BOUNDS: Final = {
    "accept": Bound(("Accept",), 4096, None, "ignored: the response has the default media type"),
    "accept-encoding": Bound(("Accept-Encoding",), 1024, None, "ignored: the response is not compressed"),
    "authorization": Bound(
        ("the header of `by_header(...)`",), 128, None, "`RateLimit` counts by the value's SHA-256 digest instead"
    ),
    "connection": Bound(("Connection", "Upgrade"), 1024, None, "the request is not a WebSocket handshake"),
    "content-length": Bound(("Content-Length",), 32, None, "`BodyLimit` sends 413, other middleware ignores it"),
    "date": Bound(("If-Modified-Since", "If-Unmodified-Since"), 64, None, "ignored, like an invalid date"),
    "forwarded": Bound(("Forwarded",), 4096, 64, "`ProxyHeaders` sends 400, like for a malformed value"),
    "host": Bound(
        ("Host", "X-Forwarded-Host"), 260, None, "not a host: `TrustedHost` sends 400, other middleware ignores it"
    ),
    "if-match": Bound(("If-Match",), 8192, 256, "nothing matches: 412"),
    "if-none-match": Bound(("If-None-Match",), 8192, 256, "nothing matches: the whole response"),
    "if-range": Bound(("If-Range",), 512, None, "nothing matches: the whole file, not a range"),
    "log": Bound(
        ("User-Agent", "Referer", "the method", "the path", "the query"),
        2048,
        None,
        "`AccessLog` writes the beginning and `...`; `Errors` cuts method and path too",
    ),
    "origin": Bound(("Origin",), 512, None, "not an allowed origin"),
    "preflight": Bound(("Access-Control-Request-Headers",), 4096, 256, "the preflight allows no header"),
    "range": Bound(("Range",), 1024, None, "ignored: the whole file"),
    "request-id": Bound(("X-Request-ID", "`also=` of `RequestId`"), 1024, None, "not taken as an id"),
    "subprotocols": Bound(("Sec-WebSocket-Protocol",), 4096, 64, "the handshake gets 400"),
    "traceparent": Bound(("traceparent",), 512, None, "removed with `tracestate`, like an invalid value"),
    "websocket-key": Bound(("Sec-WebSocket-Key",), 24, None, "the handshake gets 400"),
    "x-forwarded": Bound(
        ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port"),
        128,
        64,
        "only the last 64 elements are read; an element above 128 characters is not an address",
    ),
    "x-forwarded-prefix": Bound(("X-Forwarded-Prefix",), 1024, None, "ignored"),
}
