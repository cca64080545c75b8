"""One request in both spellings: ASGI's ``scope`` and WSGI's ``environ``.

`scope_to_environ` and `environ_to_scope` are inverses. Each applies the same pairs of rules (paths, headers,
endpoints). Each also restores the values that the other spelling cannot hold:

- An environ made here carries the scope as ``environ["gateway.scope"]``. A scope carries the environ as
  ``scope["gateway.environ"]``. The request's state (``"gateway.state"``) is passed on as the same object.
- The way back starts from that original. A value comes from the newer spelling only if it differs from the original's
  value. So changes made in between are kept, and nothing else is lost: order and repetition of headers, ``raw_path``,
  ``extensions``, keys of servers and frameworks.
- If the mount point moved along the path in between, a router dispatched the request to another application. That
  application gets only the keys of the original that a server sets. An outer framework's keys (its router, its cached
  request) describe the outer mount point. A proxy's prefix before the whole path does not count as a dispatch.

No IO, no state. The adapters add bodies, ``wsgi.errors``, ``wsgi.multithread`` and similar keys.

Sources: PEP 3333 "environ Variables"; ASGI HTTP 2.4 "HTTP Connection Scope"; RFC 3875 section 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from gateway.errors import ServerError
from gateway.protocols import Environ, Scope
from gateway.translate.endpoints import http_version, peer, server_address, server_name, server_protocol
from gateway.translate.fields import add_request_headers, environ_key, field_name, request_headers
from gateway.translate.paths import asgi_path, latin1_octets, scope_path, scope_raw_path, wsgi_path

__all__ = ["environ_to_scope", "scope_to_environ"]

#: Pairs of scope keys and environ keys with the same meaning, except headers. The way back compares them.
_FIELDS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("method",), ("REQUEST_METHOD",)),
    (("path", "root_path", "raw_path"), ("SCRIPT_NAME", "PATH_INFO", "RAW_URI", "REQUEST_URI")),
    (("query_string",), ("QUERY_STRING",)),
    (("scheme",), ("wsgi.url_scheme",)),
    (("http_version",), ("SERVER_PROTOCOL",)),
    (("server",), ("SERVER_NAME", "SERVER_PORT")),
    (("client",), ("REMOTE_ADDR", "REMOTE_PORT")),
)


#: Keys of an HTTP scope that a server sets for every application. ``state`` is missing, because an application at
#: another mount point has its own lifespan, and so its own state.
_SERVER_KEYS = frozenset(
    {
        *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path"),
        *("headers", "client", "server", "extensions"),
    }
)
#: Prefixes of environ keys of servers that are not CGI variables. Werkzeug is a framework too, so only its server's one
#: key is listed.
_SERVER_PREFIXES = (
    *("wsgi.", "gateway.", "gunicorn.", "uwsgi.", "mod_wsgi.", "waitress.", "cheroot.", "gevent.", "granian."),
    "werkzeug.socket",
)


def scope_to_environ(scope: Scope) -> Environ:
    """Return the environ of an HTTP scope, without keys that belong to one server: streams and ``wsgi.multithread``.

    Args:
        scope: A scope of type ``http``; keys that servers leave out are tolerated.

    Returns:
        A new dict, which holds ``scope``, unchanged, as ``gateway.scope``.

    Raises:
        ServerError: The request's framing contradicts itself; ``status_hint`` is then 400. Or the scope has no method
            or path, which every server sets.
    """
    try:
        environ = _spell_environ(scope)
    except KeyError as error:
        raise _incomplete("an HTTP scope", "method and path", scope, "ASGI HTTP, HTTP Connection Scope") from error
    if "gateway.environ" in scope:
        environ = _restore_environ(scope["gateway.environ"], environ)
    environ["gateway.scope"] = scope
    if "gateway.state" in scope:
        environ["gateway.state"] = scope["gateway.state"]
    return environ


def environ_to_scope(environ: Environ) -> dict[str, Any]:
    """Return the HTTP scope of an environ, without ``state`` and ``extensions`` unless they came from a scope.

    Args:
        environ: An environ of PEP 3333; keys that servers leave out or leave empty are tolerated.

    Returns:
        A new dict, which holds ``environ``, unchanged, as ``gateway.environ``.

    Raises:
        ServerError: The environ has no ``REQUEST_METHOD``, which every server sets.
    """
    try:
        scope = _spell_scope(environ)
    except KeyError as error:
        raise _incomplete("an environ", "REQUEST_METHOD", environ, "PEP 3333, environ Variables") from error
    if "gateway.scope" in environ:
        scope = _restore_scope(environ["gateway.scope"], environ, scope)
    scope["gateway.environ"] = environ
    if "gateway.state" in environ:
        scope["gateway.state"] = environ["gateway.state"]
    return scope


def _incomplete(what: str, keys: str, got: Mapping[str, object], source: str) -> ServerError:
    return ServerError(
        f"{what} must have {keys}, got only {sorted(got)}; a server sets them for each request ({source})"
    )


def _spell_environ(scope: Scope) -> Environ:
    get = scope.get
    scheme = get("scheme") or "http"
    raw_path = get("raw_path")
    path, root_path = scope["path"], get("root_path")
    # `wsgi_path` inline for an ASCII path without a mount point, which nearly every path is.
    script_name, path_info = (
        wsgi_path(path, root_path or "", raw_path) if root_path or not path.isascii() else ("", path)
    )
    name, port = server_name(get("server"), scheme)
    client = get("client")
    query = get("query_string")
    query_string = query.decode("latin-1") if query else ""
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path_info,
        "QUERY_STRING": query_string,
        "SERVER_NAME": name,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": server_protocol(get("http_version", "1.1")),
        "REMOTE_ADDR": "",  # stays empty for the client of a unix socket, which has no address
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
    }
    if client and client[0]:
        environ["REMOTE_ADDR"] = str(client[0])
        environ["REMOTE_PORT"] = str(client[1] or 0)
    if scheme == "https":
        environ["HTTPS"] = "on"
    if raw_path:
        if root_path and scope_path(path, root_path) != path:  # the server's path lacks the mount point
            raw_path = scope_raw_path(path, root_path, raw_path)
        target = raw_path.decode("latin-1")
        if query_string:
            target = f"{target}?{query_string}"
        # Both names of the request target: gunicorn's, and that of Apache, uWSGI and Werkzeug.
        environ["RAW_URI"] = environ["REQUEST_URI"] = target
    add_request_headers(environ, get("headers") or ())
    return environ


#: Keys that nearly every server sets; some servers leave a key out.
_USUAL = (
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "wsgi.url_scheme",
)
_usual_values = itemgetter(*_USUAL)  # one call for all keys


def _spell_scope(environ: Environ) -> dict[str, Any]:
    get = environ.get
    try:
        script_name, path_info, query, name, port, protocol, scheme = _usual_values(environ)
    except KeyError:
        script_name, path_info, query, name, port, protocol, scheme = map(get, _USUAL)
    path, root_path, raw_path = asgi_path(
        script_name or "", path_info or "", get("RAW_URI") or get("REQUEST_URI") or ""
    )
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": http_version(protocol or ""),
        "method": environ["REQUEST_METHOD"].upper(),
        "scheme": scheme or "http",
        "path": path,
        "raw_path": raw_path,
        "query_string": latin1_octets(query) if query else b"",
        "root_path": root_path,
        "headers": request_headers(environ),
        "server": server_address(name or "", str(port or "")),
        "client": peer(environ),
    }


def _restore_environ(original: Environ, spelled: Environ) -> Environ:
    """Return the original environ, with the changes that were made to the scope that came from it."""
    untouched = _spell_environ(environ_to_scope(original))
    environ = dict(original)
    if _is_dispatched(spelled, untouched):
        environ = {key: value for key, value in original.items() if _is_of_server(key)}
    for key in spelled.keys() | untouched.keys():
        if spelled.get(key) == untouched.get(key):
            continue
        if key in spelled:
            environ[key] = spelled[key]
        else:
            environ.pop(key, None)
    return environ


def _is_dispatched(environ: Environ, outer: Environ) -> bool:
    """Tell whether the mount point took segments of the path: ``/a`` + ``/b/c`` became ``/a/b`` + ``/c``."""
    script_name, outer_name = environ.get("SCRIPT_NAME") or "", outer["SCRIPT_NAME"]
    return bool(
        script_name != outer_name and script_name + (environ.get("PATH_INFO") or "") == outer_name + outer["PATH_INFO"]
    )


def _is_of_server(key: str) -> bool:
    """Tell whether an environ key is a server's: a CGI variable, or a key with the prefix of a server."""
    return key.isupper() or key.startswith(_SERVER_PREFIXES)


def _restore_scope(original: Scope, environ: Environ, spelled: dict[str, Any]) -> dict[str, Any]:
    """Return the original scope, with the changes that were made to the environ that came from it."""
    untouched = scope_to_environ(original)
    scope: dict[str, Any] = dict(original)
    if _is_dispatched(environ, untouched):
        scope = {key: original[key] for key in original if key in _SERVER_KEYS or key.startswith("gateway.")}
    for names, keys in _FIELDS:
        if any(environ.get(key) != untouched.get(key) for key in keys):
            scope.update((name, spelled[name]) for name in names)
    scope["headers"] = _restore_headers(scope.get("headers") or (), environ, untouched)
    return scope


def _restore_headers(original: Any, environ: Environ, untouched: Environ) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    written: set[str] = set()
    for name, value in original:
        key = environ_key(name)
        if key is None or (key in environ and environ[key] == untouched.get(key)):
            headers.append((name, value))
        elif _present(environ, key) and key not in written:
            written.add(key)
            headers.append((name, latin1_octets(environ[key])))
    for key, value in environ.items():
        if key not in untouched and (name := field_name(key)) is not None and _present(environ, key):
            headers.append((name, latin1_octets(value)))
    return headers


def _present(environ: Environ, key: str) -> bool:
    return key in environ and bool(environ[key] or key.startswith("HTTP_"))
