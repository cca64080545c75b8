"""Rules of the HTTP connection scope, which describes a request.

Sources: ASGI HTTP & WebSocket 2.5, HTTP Connection Scope and WSGI Compatibility; ASGI lifespan 2.0, Lifespan State.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from gateway.protocols import Message, Scope
from gateway.rules._fields import SCHEME, invalid_field
from gateway.rules._narrow import is_collection, is_mapping, is_pair, number, type_name
from gateway.rules.asgi_state import Connection, chunk_framing, header_values
from gateway.rules.table import Minor, Table

__all__ = ["RULES", "is_pair", "wrong_pairs"]

RULES = Table("ASGI: HTTP scope")
SCOPE = "ASGI HTTP 2.5, HTTP Connection Scope"
BOTH = ("scope:http", "scope:websocket")
_NOT_ENCODED = re.compile(rb"[\x00-\x20\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")


def wrong_pairs(headers: object) -> str | None:
    """Describe a fault in the form of a header list, or return None."""
    if not is_collection(headers):
        return f"headers of type {type_name(headers)}"
    for item in headers:
        if hasattr(item, "__next__"):
            continue  # a two-item iterable that a check must not consume
        if not is_pair(item):
            return f"the header {item!r}"
        if not isinstance(item[0], bytes) or not isinstance(item[1], bytes):
            return f"the header {tuple(item)!r}"
    return None


def _address(value: object, *, path: bool) -> bool:
    if value is None or hasattr(value, "__next__"):
        return True  # an iterator is an iterable, and a check must not consume it
    if not is_pair(value):
        return False
    host, port = value
    return isinstance(host, str) and ((type(port) is int) or (path and port is None))


@RULES.rule("H01", "`http_version` is '1.0', '1.1' or '2'.", SCOPE, "server", "scope:http")
def http_version(connection: Connection, scope: Scope) -> str | None:
    version: object = scope.get("http_version")
    if version in ("1.0", "1.1", "2"):
        return None
    return Minor("'3', which the specification does not list yet") if version == "3" else f"http_version {version!r}"


@RULES.rule("H02", "`method` is a str, uppercased.", SCOPE, "server", "scope:http")
def method(connection: Connection, scope: Scope) -> str | None:
    value: object = scope.get("method")
    good = isinstance(value, str) and value == value.upper() and _TOKEN.fullmatch(value)
    return None if good else f"method {value!r}"


@RULES.rule(
    "H03",
    "`scheme`, if present, is a str, not empty, without '://'.",
    SCOPE + "; RFC 3986 3.1",
    "server",
    *BOTH,
)
def scheme(connection: Connection, scope: Scope) -> str | None:
    value: object = scope.get("scheme", "http")
    return None if isinstance(value, str) and SCHEME.fullmatch(value) else f"scheme {value!r}"


@RULES.rule(
    "H04",
    "`path` is a str, percent-decoded, without the query string.",
    SCOPE,
    "server",
    "scope:http",
    "scope:websocket",
)
def path_is_decoded(connection: Connection, scope: Scope) -> str | None:
    path: object = scope.get("path")
    raw: object = scope.get("raw_path")
    if not isinstance(path, str):
        return f"path {path!r}"
    if not path.startswith("/") and path not in ("", "*") and scope.get("method") != "CONNECT":
        return Minor(f"path {path!r}, which does not start with '/'")
    if not isinstance(raw, bytes):
        query: object = scope.get("query_string")
        both = isinstance(query, bytes) and query and path.endswith(f"?{query.decode('latin-1')}")
        return f"path {path!r}, which has the query string" if both else None
    if _ESCAPE.search(raw) and path.encode("utf-8", "surrogatepass") == raw and unquote_to_bytes(raw) != raw:
        return f"path {path!r}, which is not decoded"
    decoded = unquote_to_bytes(raw)
    if _ESCAPE.search(decoded) and path.encode("utf-8", "surrogatepass") == unquote_to_bytes(decoded):
        return f"path {path!r} for the raw path {raw!r}, which is decoded twice"
    if "?" in path and b"?" not in unquote_to_bytes(raw.partition(b"?")[0]):
        return f"path {path!r} for the raw path {raw!r}"
    return None


@RULES.rule(
    "H05", "`raw_path` is bytes without the query string, or None.", SCOPE, "server", "scope:http", "scope:websocket"
)
def raw_path(connection: Connection, scope: Scope) -> str | None:
    raw: object = scope.get("raw_path")
    return None if raw is None or (isinstance(raw, bytes) and b"?" not in raw) else f"raw_path {raw!r}"


@RULES.rule(
    "H06",
    "`query_string` is the part of the URL after the '?', as percent-encoded bytes.",
    SCOPE,
    "server",
    "scope:http",
    "scope:websocket",
)
def query_string(connection: Connection, scope: Scope) -> str | None:
    query: object = scope.get("query_string")
    if query is None and (connection.type == "websocket" or "query_string" not in scope):
        return None if connection.type == "websocket" else "no query_string"
    if not isinstance(query, bytes):
        return f"query_string {query!r}"
    if _NOT_ENCODED.search(query):
        return f"query_string {query!r}, which is not percent-encoded"
    return None


@RULES.rule(
    "H07",
    "`root_path`, if present, is a str, and `path` starts with it.",
    "ASGI HTTP 2.5, HTTP Connection Scope; WSGI Compatibility",
    "server",
    "scope:http",
    "scope:websocket",
)
def root_path(connection: Connection, scope: Scope) -> str | None:
    root: object = scope.get("root_path", "")
    path: object = scope.get("path")
    if not isinstance(root, str):
        return f"root_path {root!r}"
    if root and not root.startswith("/"):
        return Minor(f"root_path {root!r}, which does not start with '/'")
    if isinstance(path, str) and not path.startswith(root):
        return Minor(f"root_path {root!r} for the path {path!r}")
    return None


@RULES.rule(
    "H08",
    "`headers` is an iterable of two-item iterables of bytes, and can be iterated more than once.",
    SCOPE,
    "server",
    "scope:http",
    "scope:websocket",
)
def headers_are_pairs(connection: Connection, scope: Scope) -> str | None:
    headers: object = scope.get("headers")
    if "headers" not in scope and connection.type == "websocket":
        return None  # W01
    if not is_collection(headers) and hasattr(headers, "__next__"):
        return Minor("headers that can be iterated once only")
    return wrong_pairs(headers)


@RULES.rule("H09", "Header names are lowercased.", SCOPE, "server", *BOTH, severity="warning")
def header_names_are_lowercased(connection: Connection, scope: Scope) -> str | None:
    headers: object = scope.get("headers")
    if is_collection(headers):
        for item in headers:
            if is_pair(item) and isinstance(item[0], bytes) and item[0] != item[0].lower():
                return f"the name {item[0]!r}"
    return None


@RULES.rule(
    "H10",
    "Pseudo headers are removed; the value of `:authority` becomes the header `host`, and there is no second `host`.",
    SCOPE,
    "server",
    "scope:http",
    "scope:websocket",
)
def no_pseudo_headers(connection: Connection, scope: Scope) -> str | None:
    for name, _ in connection.pairs(scope.get("headers")):
        if name.startswith(b":"):
            return f"the header {name!r}"
    hosts = header_values(scope.get("headers"), b"host")
    both = scope.get("http_version") in ("2", "3") and len(hosts) > 1
    return f"{len(hosts)} host headers in HTTP/{scope['http_version']}" if both else None


@RULES.rule("H11", "`client` is [host: str, port: int], or None.", SCOPE, "server", *BOTH, severity="warning")
def client(connection: Connection, scope: Scope) -> str | None:
    value: object = scope.get("client")
    return None if _address(value, path=False) else f"client {value!r}"


@RULES.rule(
    "H12",
    "`server` is [host: str, port: int], or [path: str, None], or None.",
    SCOPE,
    "server",
    *BOTH,
    severity="warning",
)
def server(connection: Connection, scope: Scope) -> str | None:
    value: object = scope.get("server")
    return None if _address(value, path=True) else f"server {value!r}"


@RULES.rule(
    "H13",
    "`state` is a shallow copy of the state of this loop's lifespan, if the server has one, without other keys.",
    "ASGI lifespan 2.0, Lifespan State",
    "server",
    "scope:http",
    "scope:websocket",
)
def state_is_a_shallow_copy(connection: Connection, scope: Scope) -> str | None:
    original = connection.lifespan.state if connection.lifespan is not None else None
    if "state" not in scope:
        return "no state, although the lifespan has one" if is_mapping(original) else None
    state: object = scope["state"]
    if not is_mapping(state):
        return f"state {state!r}"
    if not is_mapping(original):
        return None
    if state is original:
        return "the lifespan's own dict, not a copy"
    for key, value in original.items():
        if key not in state or state[key] is not value:
            return f"a state in which {key!r} differs from the lifespan's state"
    # Middleware around the validator may add keys, too.
    added = [key for key in state if key not in original]
    return Minor(f"a state with the key {added[0]!r}, which the lifespan's state does not have") if added else None


@RULES.rule(
    "H14",
    "`extensions` is a dict of dicts with str keys.",
    "ASGI 3.0, Extensions",
    "server",
    "scope:http",
    "scope:websocket",
)
def extensions_are_dicts(connection: Connection, scope: Scope) -> str | None:
    extensions: object = scope.get("extensions")
    if extensions is None:
        return None
    if not is_mapping(extensions):
        return f"extensions of type {type_name(extensions)}"
    for name, value in extensions.items():
        if not isinstance(name, str):
            return f"the extension {name!r}"
        if not isinstance(value, dict):
            return Minor(f"extensions[{name!r}] = {value!r}")
    return None


@RULES.rule("H15", "The server decodes a chunked request body.", SCOPE, "server", "receive:http.request")
def body_is_dechunked(connection: Connection, message: Message) -> str | None:
    body: object = message.get("body", b"")
    if connection.undecoded is None or message.get("more_body", False) or not isinstance(body, bytes):
        return None
    whole = connection.undecoded + body
    return f"chunk framing in the body: {whole[:20]!r}" if whole and chunk_framing(whole) else None


@RULES.rule(
    "H16",
    "The request body is as long as its Content-Length says.",
    "ASGI HTTP 2.5, Request; RFC 9110 8.6",
    "server",
    "receive:http.request",
    severity="warning",
)
def body_matches_content_length(connection: Connection, message: Message) -> str | None:
    body: object = message.get("body", b"")
    lengths = header_values(connection.scope.get("headers"), b"content-length")
    declared = number(lengths[0]) if len(lengths) == 1 else None
    if declared is None or not isinstance(body, bytes):
        return None
    total = connection.body_received + len(body)
    if total > declared or (total < declared and not message.get("more_body", False)):
        return f"{total} bytes for Content-Length {declared}"
    return None


@RULES.rule(
    "H18",
    "Every request has its own scope.",
    "ASGI HTTP 2.5, HTTP",
    "server",
    "scope:http",
    "scope:websocket",
    severity="warning",
)
def scope_is_new(connection: Connection, scope: Scope) -> str | None:
    return "the scope of another request" if connection.reused else None


@RULES.rule(
    "H21",
    "A header of a request has a token as its name, and a value without CR, LF and NUL.",
    "RFC 9110 5.1, 5.5",
    "server",
    *BOTH,
)
def request_headers_are_valid(connection: Connection, scope: Scope) -> str | None:
    for name, value in connection.pairs(scope.get("headers")):
        found = None if name.startswith(b":") else invalid_field(name.decode("latin-1"), value.decode("latin-1"))
        if found is not None:
            return found
    return None
