"""Rules of HTTP/1.1 that bind every server, whichever interface it calls: connections, framing, failures.

Sources: RFC 9110; RFC 9112.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.rules.table import Minor, Table

__all__ = ["RULES"]

RULES = Table("HTTP/1.1, as a client sees it")


def _has(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bool:
    return any(key == name for key, _ in headers)


@RULES.rule(
    "N01",
    "A response to an HTTP/1.0 request is complete, and has no Transfer-Encoding.",
    "RFC 9112 6.1",
    "server",
    "http/1.0",
    seen="client",
)
def old_clients_get_no_chunks(status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> str | None:
    if _has(headers, b"transfer-encoding"):
        return "a Transfer-Encoding for HTTP/1.0"
    if status == 200 and body:
        return None
    # A server may refuse the version (RFC 9110 15.6.6).
    return Minor(f"HTTP {status} for HTTP/1.0") if status else "no response for HTTP/1.0"


@RULES.rule(
    "N02",
    "A connection stays open after a response, unless the response has `Connection: close` or the version 1.0.",
    "RFC 9112 9.3",
    "server",
    "kept",
    seen="client",
)
def connection_is_kept(closing: bool, second: int) -> str | None:
    if second == 200 or closing:
        return None
    return f"{f'HTTP {second}' if second else 'no response'} for a second request on the connection"


@RULES.rule(
    "N03",
    "Requests that come together get their responses in order.",
    "RFC 9112 9.3.2",
    "server",
    "pipelined",
    seen="client",
)
def responses_are_in_order(sent: Sequence[str], seen: Sequence[str], closed: bool) -> str | None:
    if list(seen) == list(sent) or (closed and seen and list(seen) == list(sent)[: len(seen)]):
        return None
    return f"responses {list(seen)} for the requests {list(sent)}"


@RULES.rule(
    "N04",
    "The server reads the whole body of a request, or closes the connection: it takes no body for the next request.",
    "RFC 9112 9.3",
    "server",
    "unread",
    seen="client",
)
def body_is_no_request(second: int, seen: str) -> str | None:
    if not second or (second == 200 and seen == "/second"):
        return None
    return f"HTTP {second}{f' for {seen}' if seen else ''} after a body that the application did not read"


@RULES.rule(
    "N05",
    "If the application raises before its response, the client gets 500.",
    "RFC 9110 15.6.1",
    "server",
    "raised",
    severity="warning",
    seen="client",
)
def failure_is_500(status: int) -> str | None:
    return None if status == 500 else f"{f'HTTP {status}' if status else 'no response'}"


@RULES.rule(
    "N06",
    "A response to HEAD has no content.",
    "RFC 9110 9.3.2",
    "server",
    "head",
    severity="warning",
    seen="client",
)
def head_has_no_content(body: bytes) -> str | None:
    return f"{len(body)} bytes after the headers: {body[:20]!r}" if body else None


@RULES.rule(
    "N07",
    "A 204 response has no Transfer-Encoding, no Content-Length and no content.",
    "RFC 9112 6.1; RFC 9110 8.6, 15.3.5",
    "server",
    "no content",
    seen="client",
)
def no_framing_with_204(headers: Sequence[tuple[bytes, bytes]], body: bytes) -> str | None:
    for name in (b"transfer-encoding", b"content-length"):
        if _has(headers, name):
            return f"the header {name.decode()} with 204"
    return f"{len(body)} bytes for 204" if body else None
