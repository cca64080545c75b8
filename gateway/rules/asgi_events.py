"""Rules of the HTTP messages: of the server's messages, and of the application's response.

(Above 400 lines: one table, with a function for each rule.)

Sources: ASGI HTTP & WebSocket 2.5; RFC 9110.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gateway.protocols import Message
from gateway.rules._fields import metadata_in_304, repeated, wrong_etag
from gateway.rules._narrow import is_buffer, is_collection, is_pair, size, type_name
from gateway.rules.asgi_http import wrong_pairs
from gateway.rules.asgi_state import Connection, Sent, header_pairs, header_values
from gateway.rules.table import Minor, Table

__all__ = ["HOP_BY_HOP", "RULES", "TOKEN", "lowercase", "no_body_status", "pseudo", "wrong_lengths"]

RULES = Table("ASGI: HTTP messages")
_HTTP = "ASGI HTTP 2.5, "
START = ("send:http.response.start", "send:websocket.http.response.start")
BODY = ("send:http.response.body", "send:websocket.http.response.body")
#: Messages with headers that are not the headers of a response.
OTHER_HEADERS = ("send:websocket.accept", "send:http.response.push", "send:http.response.trailers")
CONTENT = (*BODY, "send:http.response.zerocopysend", "send:http.response.pathsend")
#: RFC 9110 5.6.2.
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
#: RFC 9113 8.2.2; E13 checks transfer-encoding.
HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade"})
#: Number of messages that an application may still send after `send` raised OSError.
SENDS_AFTER_ERROR = 3


def no_body_status(status: int | None) -> bool:
    """Tell whether a response of this status has no content (RFC 9110 6.4.1)."""
    return status is not None and (100 <= status < 200 or status in (204, 304))


@RULES.rule("E01", "The first message is http.request or http.disconnect.", _HTTP + "Request", "server", "receive:http")
def first_message(connection: Connection, message: Message) -> str | None:
    if connection.body_received or connection.request_complete or connection.disconnected:
        return None
    return None if message["type"] in ("http.request", "http.disconnect") else f"{message['type']!r} first"


@RULES.rule(
    "E02",
    "`body` of http.request is bytes and `more_body` a bool.",
    _HTTP + "Request",
    "server",
    "receive:http.request",
)
def request_body_is_bytes(connection: Connection, message: Message) -> str | None:
    body: object = message.get("body", b"")
    more: object = message.get("more_body", False)
    if not isinstance(body, bytes):
        return f"body of type {type_name(body)}"
    return None if isinstance(more, bool) else f"more_body {more!r}"


@RULES.rule(
    "E03",
    "No http.request follows the one whose `more_body` is False.",
    _HTTP + "Request; Disconnect",
    "server",
    "receive:http.request",
)
def no_request_after_the_last(connection: Connection, message: Message) -> str | None:
    return "another http.request" if connection.request_complete else None


@RULES.rule(
    "E04",
    "After http.disconnect, receive() returns only http.disconnect.",
    _HTTP + "Disconnect",
    "server",
    "receive:http",
)
def disconnect_is_final(connection: Connection, message: Message) -> str | None:
    return repr(message["type"]) if connection.disconnected and message["type"] != "http.disconnect" else None


@RULES.rule(
    "E05",
    "After the whole request was received, receive() blocks until the response ends or the client disconnects.",
    _HTTP + "Disconnect",
    "server",
    "idle",
    seen="client",
)
def no_disconnect_while_connected(client_left: bool, complete: bool) -> str | None:
    return None if client_left or complete else "http.disconnect, although the client is connected and waiting"


@RULES.rule(
    "E06",
    "The application sends http.response.start exactly once, before any body.",
    _HTTP + "Response Start",
    "application",
    *START,
    *CONTENT,
)
def one_start_before_any_body(connection: Connection, message: Message) -> str | None:
    if message["type"].endswith("start"):
        if connection.completed:
            return Minor("a second start, which the server ignores, because the response is complete")
        return "a second start" if connection.started else None
    return None if connection.started else f"{message['type']} before http.response.start"


@RULES.rule(
    "E07",
    "`status` is an int, the final status of the response: 200 to 599.",
    _HTTP + "Response Start; RFC 9110 15",
    "application",
    *START,
)
def status_is_final(connection: Connection, message: Message) -> str | None:
    status: object = message.get("status")
    if type(status) is not int and not (isinstance(status, int) and not isinstance(status, bool)):
        return f"status {status!r}"
    if 599 < status < 1000:
        return Minor(f"status {status}, which no class of RFC 9110 covers")
    return None if 200 <= status <= 599 else f"status {status}"


@RULES.rule(
    "E08",
    "`headers` is an iterable of two-item iterables of bytes.",
    _HTTP + "Response Start",
    "application",
    *START,
)
def headers_are_pairs(connection: Connection, message: Message) -> str | None:
    return wrong_pairs(message.get("headers", ()))


def lowercase(headers: object) -> str | None:
    """Describe the first header name that is not lower-case."""
    if is_collection(headers):
        for item in headers:
            if is_pair(item) and isinstance(item[0], bytes) and item[0] != item[0].lower():
                return f"the name {item[0]!r}"
    return None


def pseudo(headers: object) -> str | None:
    """Describe the first pseudo header."""
    return _pseudo(header_pairs(headers))


def _pseudo(pairs: Sequence[tuple[bytes, bytes]]) -> str | None:
    for name, _ in pairs:
        if name[:1] == b":":
            return f"the header {name!r}"
    return None


#: The specification has "must". It is a warning because Django keeps the case of names, and every server copes.
@RULES.rule(
    "E09",
    "Response header names are lowercased.",
    _HTTP + "Response Start",
    "application",
    *START,
    severity="warning",
)
def names_are_lowercased(connection: Connection, message: Message) -> str | None:
    return lowercase(message.get("headers", ()))


@RULES.rule("E10", "A response has no pseudo headers.", _HTTP + "Response Start", "application", *START)
def no_pseudo_headers(connection: Connection, message: Message) -> str | None:
    return _pseudo(connection.pairs(message.get("headers", ())))


@RULES.rule("E11", "A header name is a token.", "RFC 9110 5.1, 5.6.2", "application", *START, *OTHER_HEADERS)
def names_are_tokens(connection: Connection, message: Message) -> str | None:
    for name, _ in connection.pairs(message.get("headers", ())):
        if not TOKEN.fullmatch(name.removeprefix(b":")):
            return f"the name {name!r}"
    return None


@RULES.rule(
    "E12",
    "A header value has no CR, LF or NUL.",
    "RFC 9110 5.5",
    "application",
    *START,
    *OTHER_HEADERS,
    "send:http.response.early_hint",
)
def values_have_no_line_ends(connection: Connection, message: Message) -> str | None:
    minor = None
    links: object = message.get("links", ())
    hints = [(b"link", link) for link in links if isinstance(link, bytes)] if is_collection(links) else []
    for name, value in [*connection.pairs(message.get("headers", ())), *hints]:
        if not _CONTROL.search(value):
            continue
        if b"\r" in value or b"\n" in value or b"\0" in value:
            return f"{name!r}: {value!r}"
        minor = Minor(f"a control character in {name!r}: {value!r}")
    return minor


@RULES.rule(
    "E13",
    "A server ignores the Transfer-Encoding of an application.",
    _HTTP + "Response Start",
    "server",
    "delivered",
    seen="client",
)
def transfer_encoding_is_ignored(
    given: Sequence[tuple[bytes, bytes]], seen: Sequence[tuple[bytes, bytes]], status: int = 200
) -> str | None:
    sent, delivered = (
        [value.lower() for name, value in headers if name.lower() == b"transfer-encoding"] for headers in (given, seen)
    )
    if sent and status != 200:
        return f"{f'HTTP {status}' if status else 'no response'} for a Transfer-Encoding of the application"
    passed = [value for value in sent if value in delivered and value != b"chunked"]
    return f"Transfer-Encoding {passed[0]!r} from the application" if passed else None


@RULES.rule(
    "E13b",
    "A response over HTTP/2 has no connection headers: Connection, Keep-Alive, Proxy-Connection, TE, Upgrade.",
    "RFC 9113 8.2.2",
    "application",
    *START,
    severity="warning",
)
def no_connection_headers(connection: Connection, message: Message) -> str | None:
    if connection.scope.get("http_version") not in ("2", "3"):
        return None  # servers of HTTP/1.1 send them: a Connection: close, an Upgrade with 426
    found = [name.decode() for name, _ in connection.pairs(message.get("headers", ())) if name in HOP_BY_HOP]
    return f"the header {found[0]}" if found else None


def wrong_lengths(values: Sequence[bytes]) -> str | None:
    """Describe a fault in the Content-Length values of a response, or return None."""
    if len(values) > 1:
        return f"{len(values)} Content-Length headers"
    return f"Content-Length {values[0]!r}" if values and not values[0].isdigit() else None


@RULES.rule(
    "E14", "A response has at most one Content-Length, and it has only digits.", "RFC 9110 8.6", "application", *START
)
def one_content_length(connection: Connection, message: Message) -> str | None:
    return wrong_lengths([v for name, v in connection.pairs(message.get("headers", ())) if name == b"content-length"])


@RULES.rule(
    "E15",
    "The body is as long as Content-Length says, except that a response to HEAD and a 304 response have no body.",
    "RFC 9110 8.6",
    "application",
    *BODY,
)
def body_matches_content_length(connection: Connection, message: Message) -> str | None:
    body: object = message.get("body", b"")
    if connection.length is None or connection.completed or not is_buffer(body):
        return None
    total = connection.body_sent + size(body)
    if total > connection.length and not no_body_status(connection.status):
        return f"{total} bytes for Content-Length {connection.length}"
    last = not message.get("more_body", False)
    if (
        last
        and total < connection.length
        and not connection.head
        and connection.status != 304
        and not connection.pathsend
    ):
        return f"{total} bytes for Content-Length {connection.length}"
    return None


@RULES.rule("E16", "`body` is bytes.", _HTTP + "Response Body", "application", *BODY)
def body_is_bytes(connection: Connection, message: Message) -> str | None:
    body: object = message.get("body", b"")
    if isinstance(body, bytes):
        return None
    found = f"body of type {type_name(body)}"
    return Minor(found) if is_buffer(body) else found


@RULES.rule(
    "E17",
    "`more_body` is a bool.",
    _HTTP + "Response Body",
    "application",
    *BODY,
    "send:http.response.zerocopysend",
)
def more_body_is_a_bool(connection: Connection, message: Message) -> str | None:
    more: object = message.get("more_body", False)
    return None if isinstance(more, bool) else f"more_body {more!r}"


@RULES.rule(
    "E18",
    "No body message follows the one that ends the body; servers ignore it.",
    _HTTP + "Response Body",
    "application",
    *CONTENT,
    severity="warning",
)
def no_body_after_the_end(connection: Connection, message: Message) -> str | None:
    if connection.completed and not connection.pathsend:
        return f"{message['type']} after the body ended"
    return None


@RULES.rule(
    "E19",
    "An application that returns has completed its response.",
    _HTTP + "Response Start; Response Body",
    "application",
    "return:http",
)
def response_is_completed(connection: Connection, error: BaseException | None) -> str | None:
    if error is not None or connection.disconnected or connection.refused:
        return None
    if not connection.started:
        return "the application returned without a response"
    return None if connection.completed else "the application returned before the body ended"


@RULES.rule(
    "E20", "A 1xx, 204 or 304 response, and one to HEAD, has no body.", "RFC 9110 6.4.1", "application", *CONTENT
)
def no_body_where_none_is_allowed(connection: Connection, message: Message) -> str | None:
    count = size(message.get("body", b""))
    if message["type"].endswith("send"):
        count = count or 1  # the server reads the file
    if not count or not connection.started:
        return None
    if no_body_status(connection.status):
        return f"a body for {connection.status}"
    if connection.head and not message["type"].endswith("send"):
        return Minor("a body for HEAD, which the server drops")
    return None


@RULES.rule("E21", "`trailers` is a bool.", _HTTP + "Response Start", "application", *START)
def trailers_is_a_bool(connection: Connection, message: Message) -> str | None:
    value: object = message.get("trailers", False)
    return None if isinstance(value, bool) else f"trailers {value!r}"


@RULES.rule(
    "E23",
    "send() on a closed connection raises a subclass of OSError, or does nothing.",
    _HTTP + "Disconnected Client; ASGI 3.0, Error Handling",
    "server",
    "sent:http",
    severity="warning",
)
def send_after_disconnect(connection: Connection, sent: Sent) -> str | None:
    if not connection.disconnected or sent.broken or not isinstance(sent.error, Exception):
        return None
    return None if isinstance(sent.error, OSError) else f"{type(sent.error).__name__} raised"


@RULES.rule(
    "E24",
    f"An application stops after send() raised OSError: it sends at most {SENDS_AFTER_ERROR} more messages.",
    _HTTP + "Disconnected Client",
    "application",
    "send:http",
    severity="warning",
)
def application_stops_after_an_error(connection: Connection, message: Message) -> str | None:
    count = connection.sends_after_error + 1
    return f"message {count} after the error" if connection.send_failed and count == SENDS_AFTER_ERROR + 1 else None


@RULES.rule(
    "E25",
    "When send() returns, the server has flushed its data: the client receives it before the next message is sent.",
    _HTTP + "Response Body",
    "server",
    "flushed",
    seen="client",
)
def bytes_are_flushed(sent: int, seen: int) -> str | None:
    return f"the client has {seen} of {sent} bytes while the application waits" if seen < sent else None


def _ordered(headers: Sequence[tuple[bytes, bytes]], names: frozenset[bytes]) -> dict[bytes, list[bytes]]:
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name.lower() in names:
            values.setdefault(name.lower(), []).append(value)
    return values


@RULES.rule(
    "E26",
    "Response headers reach the client as the application sent them: in order, with repeated headers not joined.",
    _HTTP + "HTTP; Response Start",
    "server",
    "delivered",
    seen="client",
)
def headers_are_kept(given: Sequence[tuple[bytes, bytes]], seen: Sequence[tuple[bytes, bytes]]) -> str | None:
    names = frozenset(name.lower() for name, _ in given) - HOP_BY_HOP - {b"transfer-encoding", b"date", b"server"}
    before, after = _ordered(given, names), _ordered(seen, names)
    for name, values in before.items():
        if after.get(name, []) != values:
            return f"{name.decode()}: {after.get(name, [])} for {values}"
    return None


def _names(connection: Connection, message: Message) -> Iterator[str]:
    return (name.decode("latin-1") for name, _ in connection.pairs(message.get("headers", ())))


@RULES.rule("E30", "A 204 response has no Content-Length.", "RFC 9110 8.6", "application", *START)
def no_length_with_204(connection: Connection, message: Message) -> str | None:
    lengths = header_values(message.get("headers", ()), b"content-length") if message.get("status") == 204 else []
    if not lengths:
        return None
    found = f"Content-Length {lengths[0].decode('latin-1')} with 204"
    return Minor(found) if lengths == [b"0"] else found


@RULES.rule(
    "E31",
    "A 304 response has no headers about the representation except Cache-Control, Content-Location, Date, ETag, "
    "Expires and Vary.",
    "RFC 9110 15.4.5",
    "application",
    *START,
    severity="warning",
)
def no_metadata_in_304(connection: Connection, message: Message) -> str | None:
    return metadata_in_304(_names(connection, message)) if message.get("status") == 304 else None


@RULES.rule(
    "E32",
    "An ETag is quoted; a weak ETag starts with W/.",
    "RFC 9110 8.8.3",
    "application",
    *START,
    severity="warning",
)
def etag_has_its_form(connection: Connection, message: Message) -> str | None:
    values = header_values(message.get("headers", ()), b"etag")
    return next((wrong_etag(value.decode("latin-1")) for value in values), None)


@RULES.rule(
    "E33",
    "A header that is no list comes once: Content-Type, ETag, Location and others.",
    "RFC 9110 5.3",
    "application",
    *START,
)
def single_headers_come_once(connection: Connection, message: Message) -> str | None:
    return repeated(_names(connection, message))
