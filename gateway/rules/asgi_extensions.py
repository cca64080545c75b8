"""Rules of the ASGI extensions: trailers, files, early hints, push, debug, TLS, websocket denial.

Sources: ASGI extensions; ASGI TLS 0.2.
"""

from __future__ import annotations

from pathlib import Path

from gateway.protocols import Message, Scope
from gateway.rules._narrow import is_collection, is_mapping
from gateway.rules.asgi_events import lowercase, pseudo
from gateway.rules.asgi_http import wrong_pairs
from gateway.rules.asgi_state import EXTENSION_MESSAGES, Connection, header_pairs, header_values
from gateway.rules.table import Minor, Table

__all__ = ["RULES"]

RULES = Table("ASGI: extensions")
_EXT = "ASGI extensions, "
_PATHSEND = "send:http.response.pathsend"
_ZERO = "send:http.response.zerocopysend"
_TRAILERS = "send:http.response.trailers"
#: A recipient has to know these before the body (RFC 9110 6.5.1).
_NO_TRAILERS = (b"content-length", b"transfer-encoding", b"host", b"content-type", b"content-encoding", b"trailer")
_DENIAL = ("send:websocket.http.response.start", "send:websocket.http.response.body")


@RULES.rule(
    "X00",
    "An application sends an extension's message only if the scope offers the extension.",
    "ASGI 3.0, Extensions",
    "application",
    "send",
)
def extension_is_offered(connection: Connection, message: Message) -> str | None:
    extension = EXTENSION_MESSAGES.get(message["type"])
    if extension is None or extension in connection.extensions:
        return None
    return f"{message['type']}, which the scope does not offer"


@RULES.rule("X01", "`path` of pathsend is an absolute path, a str.", _EXT + "Path Send", "application", _PATHSEND)
def path_is_absolute(connection: Connection, message: Message) -> str | None:
    path: object = message.get("path")
    return None if isinstance(path, str) and Path(path).is_absolute() else f"path {path!r}"


@RULES.rule(
    "X02",
    "pathsend is sent once, after http.response.start, and is not mixed with http.response.body.",
    _EXT + "Path Send",
    "application",
    _PATHSEND,
    "send:http.response.body",
    _ZERO,
)
def pathsend_is_the_whole_body(connection: Connection, message: Message) -> str | None:
    if message["type"] != "http.response.pathsend":
        return f"{message['type']} after pathsend" if connection.pathsend else None
    if not connection.started:
        return "pathsend before http.response.start"
    if connection.pathsend:
        return "a second pathsend"
    return "pathsend after http.response.body" if connection.body_messages else None


@RULES.rule(
    "X03",
    "If it uses pathsend, the application sends the file's Content-Type and Content-Length itself.",
    _EXT + "Path Send",
    "application",
    _PATHSEND,
    severity="warning",
)
def file_has_its_headers(connection: Connection, message: Message) -> str | None:
    names = {name for name, _ in connection.response_headers}
    missing = [name.decode() for name in (b"content-type", b"content-length") if name not in names]
    return f"no {' and no '.join(missing)}" if connection.started and missing else None


@RULES.rule(
    "X04",
    "zerocopysend has a `file` with a file descriptor; `offset` and `count` are ints of 0 or more.",
    _EXT + "Zero Copy Send",
    "application",
    _ZERO,
)
def zerocopysend_has_a_descriptor(connection: Connection, message: Message) -> str | None:
    file: object = message.get("file")
    if type(file) is not int:
        fileno = getattr(file, "fileno", None)
        try:
            number = fileno() if callable(fileno) else None
        except Exception as error:  # io.UnsupportedOperation of a BytesIO, or whatever the object raises
            return f"a file without a descriptor ({type(error).__name__})"
        if type(number) is not int:
            return f"file of type {type(file).__name__}"
    for key in ("offset", "count"):
        value: object = message.get(key)
        if value is not None and (type(value) is not int or value < 0):
            return f"{key} {value!r}"
    return None


@RULES.rule(
    "X05",
    "The application closes the file that it gave to zerocopysend.",
    _EXT + "Zero Copy Send",
    "application",
    "return:http",
    severity="warning",
)
def files_are_closed(connection: Connection, error: BaseException | None) -> str | None:
    left = sum(1 for file in connection.files if getattr(file, "closed", True) is False)
    return f"{left} file(s) open at the end" if left else None


@RULES.rule(
    "X06",
    "`links` of early_hint is an iterable of bytes; the message is sent after http.response.start and before "
    "the body ends.",
    _EXT + "Early Hints",
    "application",
    "send:http.response.early_hint",
)
def early_hint(connection: Connection, message: Message) -> str | None:
    links: object = message.get("links")
    if not is_collection(links) or not all(isinstance(link, bytes) for link in links):
        return f"links {links!r}"
    if not connection.started:
        # The specification has "after". Hypercorn, the only server with the extension, accepts it only before.
        return Minor("an early hint before http.response.start")
    return "an early hint after the body ended" if connection.completed else None


@RULES.rule(
    "X07",
    "An application that sends trailers sets `trailers: True` in http.response.start, then sends them after "
    "the last body message: lowercased names, no pseudo headers, no Content-Length and the like, `more_trailers` a "
    "bool.",
    _EXT + "HTTP Trailers; RFC 9110 6.5.1",
    "application",
    _TRAILERS,
    "return:http",
)
def trailers(connection: Connection, step: object) -> str | None:
    if not is_mapping(step):
        missing = connection.trailers_promised and connection.completed and not connection.trailers_done
        broken = missing and step is None and not connection.disconnected and not connection.refused
        return "the application returned without the trailers that http.response.start announced" if broken else None
    if not connection.trailers_promised:
        return "trailers that http.response.start does not announce"
    if not connection.completed:
        return "trailers before the body ended"
    if connection.trailers_done:
        return "trailers after the last trailers"
    headers = step.get("headers", ())
    more = step.get("more_trailers", False)
    if not isinstance(more, bool):
        return f"more_trailers {more!r}"
    framing = next((name for name, _ in header_pairs(headers) if name in _NO_TRAILERS), None)
    found = f"the trailer {framing.decode()}" if framing is not None else None
    return wrong_pairs(headers) or lowercase(headers) or pseudo(headers) or found


@RULES.rule(
    "X08",
    "A `trailer` header announces the trailers.",
    _EXT + "HTTP Trailers",
    "application",
    "send:http.response.start",
    severity="warning",
)
def trailers_are_announced(connection: Connection, message: Message) -> str | None:
    if message.get("trailers") is not True:
        return None
    return (
        None if header_values(message.get("headers", ()), b"trailer") else "`trailers: True` without a trailer header"
    )


@RULES.rule(
    "X09",
    "A server sends trailers only to a client that sent `TE: trailers`.",
    _EXT + "HTTP Trailers",
    "server",
    "trailers",
    seen="client",
)
def trailers_are_asked_for(te: bool, trailers: bool) -> str | None:
    return "trailers, without `TE: trailers` in the request" if trailers and not te else None


@RULES.rule(
    "X10",
    "push is sent between http.response.start and the end of the body; its `path` is a str, its `headers` "
    "are lowercased bytes pairs.",
    _EXT + "HTTP/2 Server Push",
    "application",
    "send:http.response.push",
)
def push(connection: Connection, message: Message) -> str | None:
    path: object = message.get("path")
    headers: object = message.get("headers", ())
    if not connection.started:
        return Minor("push before http.response.start")  # hypercorn, the only server with push, accepts it
    if connection.completed:
        return "push after the body ended"
    if not isinstance(path, str):
        return f"path {path!r}"
    return wrong_pairs(headers) or lowercase(headers) or pseudo(headers)


@RULES.rule(
    "X11",
    "debug is sent once, before http.response.start; its `info` is a dict, and servers offer it only for tests.",
    _EXT + "Debug",
    "application",
    "send:http.response.debug",
)
def debug(connection: Connection, message: Message) -> str | None:
    if connection.started:
        return "debug after http.response.start"
    if connection.debug_sent:
        return "a second debug"
    info: object = message.get("info")
    return None if is_mapping(info) else f"info {info!r}"


def _tls(scope: Scope) -> object:
    extensions: object = scope.get("extensions")
    return extensions.get("tls") if is_mapping(extensions) else None


@RULES.rule(
    "X12",
    "The scope has the tls extension only if the connection uses TLS.",
    "ASGI TLS 0.2, When to use this extension",
    "server",
    "scope:http",
    "scope:websocket",
)
def tls_only_on_tls(connection: Connection, scope: Scope) -> str | None:
    scheme: object = scope.get("scheme", "ws" if connection.type == "websocket" else "http")
    return f"tls with the scheme {scheme!r}" if _tls(scope) is not None and scheme not in ("https", "wss") else None


@RULES.rule(
    "X13",
    "tls has `server_cert`, `tls_version` and `cipher_suite`.",
    "ASGI TLS 0.2, TLS Connection Scope",
    "server",
    "scope:http",
    "scope:websocket",
)
def tls_is_complete(connection: Connection, scope: Scope) -> str | None:
    tls = _tls(scope)
    if not is_mapping(tls):
        return None
    missing = [key for key in ("server_cert", "tls_version", "cipher_suite") if key not in tls]
    return f"no {', '.join(missing)}" if missing else None


@RULES.rule(
    "X14",
    "The values of tls have the specified types: PEM strings, unsigned ints, a 16-bit cipher suite; a "
    "client's certificate chain comes with the client's name.",
    "ASGI TLS 0.2, TLS Connection Scope",
    "server",
    "scope:http",
    "scope:websocket",
)
def tls_values(connection: Connection, scope: Scope) -> str | None:
    tls = _tls(scope)
    if not is_mapping(tls):
        return None
    for key in ("server_cert", "client_cert_name", "client_cert_error"):
        if not isinstance(tls.get(key), (str, type(None))):
            return f"{key} {tls[key]!r}"
    for key in ("tls_version", "cipher_suite"):
        value = tls.get(key)
        if value is not None and (type(value) is not int or not 0 <= value <= 0xFFFF):
            return f"{key} {value!r}"
    chain = tls.get("client_cert_chain", ())
    if not is_collection(chain) or not all(isinstance(certificate, str) for certificate in chain):
        return f"client_cert_chain {chain!r}"
    return "client_cert_chain without client_cert_name" if list(chain) and not tls.get("client_cert_name") else None


@RULES.rule(
    "X15",
    "A denial response is sent instead of accept, first its start, then its body, and no other websocket "
    "message follows it.",
    _EXT + "Websocket Denial Response",
    "application",
    *_DENIAL,
    "send:websocket.accept",
    "send:websocket.send",
    "send:websocket.close",
)
def denial_stands_alone(connection: Connection, message: Message) -> str | None:
    kind = message["type"]
    if kind.startswith("websocket.http.response"):
        return f"{kind} after accept" if connection.accepted else f"{kind} after close" if connection.closed else None
    return f"{kind} after a denial response" if connection.denial_started else None


@RULES.rule(
    "X16",
    "Middleware that changes bodies removes pathsend and zerocopysend from the scope, or handles them.",
    _EXT + "Path Send; Zero Copy Send",
    "middleware",
    _PATHSEND,
    _ZERO,
    severity="warning",
)
def body_middleware_hides_files(connection: Connection, message: Message) -> str | None:
    if connection.inner is None:
        return None
    before = header_values(connection.inner.response_headers, b"content-encoding")
    after = header_values(connection.response_headers, b"content-encoding")
    return f"Content-Encoding {after} for a file that is sent unchanged" if before != after else None
