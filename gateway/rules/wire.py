"""Rules of servers that only a client sees, because they are about the bytes on a connection.

Each check gets what the client sent or expected, and what arrived. `gateway.check` has the client, and the application
that runs in the server.

Sources: PEP 3333; ASGI HTTP & WebSocket 2.5; RFC 9110.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.rules.table import Table

__all__ = ["RULES"]

RULES = Table("Servers, as a client sees them")
_PEP = "PEP 3333, "
_HTTP = "ASGI HTTP 2.5, "
_WS = "ASGI WebSocket 2.5, "


@RULES.rule(
    "P60",
    "If start_response is called with exc_info before any output, the new status and headers replace the old ones.",
    _PEP + "The start_response() Callable",
    "server",
    "replaced",
    severity="warning",
    seen="client",
)
def headers_are_replaced(status: int) -> str | None:
    return None if status == 503 else f"HTTP {status} after 200 was replaced by 503"


@RULES.rule(
    "P61",
    "The body reaches the client unchanged, line ends included.",
    _PEP + "Specification Details",
    "server",
    "body",
    severity="warning",
    seen="client",
)
def body_is_unchanged(given: bytes, seen: bytes) -> str | None:
    if given == seen:
        return None
    place = next((i for i, (a, b) in enumerate(zip(given, seen, strict=False)) if a != b), min(len(given), len(seen)))
    return f"{seen[place : place + 10]!r} instead of {given[place : place + 10]!r} at byte {place}"


@RULES.rule(
    "P62",
    "A request with Expect: 100-continue gets 100 Continue, or its body is read when the client sends it.",
    _PEP + "HTTP 1.1 Expect/Continue",
    "server",
    "expect",
    seen="client",
)
def expectation_is_met(status: int, received: int, sent: int) -> str | None:
    if status == 200 and received == sent:
        return None
    return f"HTTP {status}, and the application read {received} of {sent} bytes" if status else "no response"


@RULES.rule(
    "P63",
    "The environ has an HTTP_ variable for each header of the request.",
    _PEP + "environ Variables",
    "server",
    "request headers",
    severity="warning",
    seen="client",
)
def variables_correspond_to_headers(given: Collection[str], seen: Collection[str]) -> str | None:
    missing = sorted(set(given) - set(seen))
    return f"no HTTP_ variable for the header {missing[0]}" if missing else None


@RULES.rule(
    "P64",
    "An application can call start_response in the first iteration of its iterable.",
    _PEP + "Specification Details",
    "server",
    "lazy",
    seen="client",
)
def start_may_come_with_the_first_block(status: int, body: bytes) -> str | None:
    return None if (status, body) == (200, b"lazy") else f"HTTP {status} with the body {body[:40]!r}"


@RULES.rule(
    "P66",
    "The server adds the headers that HTTP requires, such as Date.",
    _PEP + "The start_response() Callable; RFC 9110 6.6.1",
    "server",
    "date",
    seen="client",
)
def date_is_added(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    count = sum(name.lower() == b"date" for name, _ in headers)
    return None if count == 1 else f"{count or 'no'} Date header{'s' * (count > 1)}"


@RULES.rule(
    "P69",
    "The headers are not sent before the first non-empty block.",
    _PEP + "The start_response() Callable",
    "server",
    "waiting",
    seen="client",
)
def headers_wait_for_the_body(early: bool) -> str | None:
    return "the client has the headers after an empty block" if early else None


@RULES.rule(
    "P70",
    "The client gets no more bytes than Content-Length says.",
    _PEP + "Handling the Content-Length Header",
    "server",
    "too long",
    severity="warning",
    seen="client",
)
def surplus_is_not_sent(declared: int, seen: int) -> str | None:
    return f"{seen} bytes for Content-Length {declared}" if seen > declared else None


@RULES.rule(
    "P71",
    "If the body is shorter than Content-Length, the server closes the connection.",
    _PEP + "Handling the Content-Length Header; RFC 9112 8",
    "server",
    "too short",
    severity="warning",
    seen="client",
)
def short_response_ends_the_connection(closed: bool) -> str | None:
    return None if closed else "the connection stays open, so the client waits for the rest"


@RULES.rule(
    "H17",
    "The headers of a request reach the application: all of them, with repeated ones in order.",
    _HTTP + "HTTP Connection Scope",
    "server",
    "request headers",
    seen="client",
)
def request_headers_are_kept(given: Sequence[tuple[str, str]], seen: Sequence[tuple[str, str]]) -> str | None:
    for name in dict.fromkeys(name for name, _ in given):
        sent, got = ([value for key, value in headers if key.lower() == name] for headers in (given, seen))
        if sent != got:
            return f"{name}: {got} for {sent}"
    return None


@RULES.rule(
    "E27",
    "After `trailers: True` the server waits for http.response.trailers before it ends the response.",
    _HTTP + "Response Start",
    "server",
    "trailers wait",
    seen="client",
)
def server_waits_for_trailers(complete: bool, trailers: bool) -> str | None:
    return "a complete response without the trailers that the client asked for" if complete and not trailers else None


_UNCHANGED = "method, path and query"


def _changed(given: Sequence[str], seen: Sequence[str]) -> str | None:
    for sent, got in zip(given, seen, strict=True):
        if sent != got:
            return f"{got!r} for {sent!r}"
    return None


@RULES.rule(
    "H19",
    "`method`, `path` and `query_string` are those of the client's request.",
    _HTTP + "HTTP Connection Scope",
    "server",
    _UNCHANGED,
    seen="client",
)
def scope_describes_the_request(given: Sequence[str], seen: Sequence[str]) -> str | None:
    return _changed(given, seen)


@RULES.rule(
    "P72",
    "REQUEST_METHOD, PATH_INFO and QUERY_STRING are those of the client's request.",
    _PEP + "environ Variables",
    "server",
    _UNCHANGED,
    seen="client",
)
def environ_describes_the_request(given: Sequence[str], seen: Sequence[str]) -> str | None:
    return _changed(given, seen)


@RULES.rule(
    "P73",
    "SERVER_PROTOCOL is the version of the client's request.",
    _PEP + "environ Variables",
    "server",
    "version",
    seen="client",
)
def protocol_is_the_clients(given: str, seen: str) -> str | None:
    return None if seen == given else f"{seen!r} for a request of {given}"


@RULES.rule(
    "H20",
    "`http_version` is the version of the client's request.",
    _HTTP + "HTTP Connection Scope",
    "server",
    "version",
    severity="warning",
    seen="client",
)
def version_is_the_clients(given: str, seen: str) -> str | None:
    return None if seen == given else f"{seen!r} for a request of HTTP/{given}"


def _body(given: tuple[int, str], seen: tuple[int, str]) -> str | None:
    if given == seen:
        return None
    return f"{seen[0]} of {given[0]} bytes" if seen[0] != given[0] else "as many bytes, but others"


@RULES.rule(
    "E28",
    "The body of a request of any size reaches the application whole and unchanged.",
    _HTTP + "Request",
    "server",
    "request body",
    seen="client",
)
def request_body_arrives(given: tuple[int, str], seen: tuple[int, str]) -> str | None:
    return _body(given, seen)


@RULES.rule(
    "P74",
    "The body of a request of any size can be read from wsgi.input, whole and unchanged.",
    _PEP + "environ Variables",
    "server",
    "request body",
    seen="client",
)
def request_body_can_be_read(given: tuple[int, str], seen: tuple[int, str]) -> str | None:
    return _body(given, seen)


@RULES.rule(
    "E29",
    "If the client leaves, receive() returns http.disconnect.",
    _HTTP + "Disconnect",
    "server",
    "left",
    seen="client",
)
def client_that_leaves_is_told(seen: str) -> str | None:
    return None if seen == "http.disconnect" else f"{seen} after the client has left"


@RULES.rule(
    "P75",
    "If the client leaves early, the server calls close() of the iterable.",
    _PEP + "Specification Details",
    "server",
    "left",
    seen="client",
)
def iterable_is_closed_early(closed: bool) -> str | None:
    return None if closed else "no call of close() after the client has left"


@RULES.rule(
    "P76",
    "If the application raises in its response, the response does not look complete.",
    "RFC 9112 8",
    "server",
    "cut",
    seen="client",
)
def failed_response_is_cut(complete: bool) -> str | None:
    return "a response that looks complete after the application raised" if complete else None


@RULES.rule(
    "L13",
    "A server that has stopped accepting connections sends lifespan.shutdown.",
    "ASGI lifespan 2.0, Shutdown",
    "server",
    "stopped",
    seen="live",
)
def shutdown_is_sent(received: bool) -> str | None:
    return None if received else "no lifespan.shutdown before the server ended"
