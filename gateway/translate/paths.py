"""The mount point of an application and the path of the request.

WSGI has ``SCRIPT_NAME`` and ``PATH_INFO``; ASGI has ``path``, ``root_path`` and ``raw_path``. WSGI splits the
percent-decoded path into mount point and rest, and spells bytes as latin-1. ASGI keeps one Unicode path that includes
the mount point, and the original bytes beside it. This module holds the rule once, for both directions. It does no IO
and keeps no state.

Sources: PEP 3333 "environ Variables", "Unicode Issues"; ASGI HTTP 2.4 ``path``, ``raw_path``, ``root_path``.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

__all__ = [
    "asgi_path",
    "encoded_path",
    "environ_path",
    "environ_raw_path",
    "is_below",
    "latin1_octets",
    "mount_point",
    "path_octets",
    "raw_target_path",
    "scope_local_path",
    "scope_path",
    "scope_raw_path",
    "split_mount",
    "wsgi_path",
]

#: Characters that RFC 3986 section 3.3 allows unescaped in a path, beside letters and digits.
_PATH_SAFE = "/;:@&=+$,!*'()~-._"
_UNESCAPED = "/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
_SLASHES = re.compile(rb"/{2,}")


def mount_point(name: str) -> str:
    """Return a mount point as ``""`` or ``"/a/b"``, from a server's ``root_path`` or ``SCRIPT_NAME``.

    >>> mount_point("/app/"), mount_point("/"), mount_point("")
    ('/app', '', '')
    """
    name = name.strip("/")
    return "/" + name if name else ""


def is_below(path: str, mount: str) -> bool:
    """Tell whether a path is at or below a mount point, by whole segments.

    >>> is_below("/app/x", "/app"), is_below("/apple", "/app")
    (True, False)
    """
    return path.startswith(mount) and path[len(mount) : len(mount) + 1] in ("", "/")


def split_mount(path: str, root_path: str) -> tuple[str, str]:
    """Split a path into mount point and rest.

    Args:
        path: The full path, percent-decoded, starting with "/" (or "*", or empty).
        root_path: The mount point as a server gave it. Servers pass on the operator's text, so a missing first or a
            surplus final "/" is corrected.

    Returns:
        ``(mount, rest)``. If the path is not below the mount point by whole segments, the rest is the whole path. Some
        servers (Hypercorn, Daphne, Granian) give a ``root_path`` with a path from which a proxy has removed it.

    >>> split_mount("/app/x", "/app/")
    ('/app', '/x')
    >>> split_mount("/appfoo", "/app")
    ('/app', '/appfoo')
    """
    mount = mount_point(root_path)
    if not mount:
        return "", path
    # uvicorn joins the operator's text and the path without correction: "/app/" gives "/app//x".
    if root_path != mount and is_below(path, root_path):
        return mount, path[len(root_path) :]
    if is_below(path, mount):
        return mount, path[len(mount) :]
    return mount, path


def scope_path(path: str, root_path: str) -> str:
    """Return the whole path of a scope, with its mount point, as text that UTF-8 can encode.

    >>> scope_path("/app/x", "/app"), scope_path("/x", "/app")
    ('/app/x', '/app/x')
    """
    path = _encodable(path)
    # "*" addresses the server as a whole (RFC 9110 section 7.1), so it gets no mount point.
    return "".join(split_mount(path, root_path)) if root_path and path != "*" else path


def scope_local_path(path: str, root_path: str) -> str:
    """Return the path of a scope below its mount point.

    >>> scope_local_path("/app/x", "/app"), scope_local_path("/x", "/app")
    ('/x', '/x')
    """
    path = _encodable(path)
    return split_mount(path, root_path)[1] if root_path else path


def _encodable(path: str) -> str:
    return path if path.isascii() else path_octets(path, None).decode("utf-8", "replace")


def scope_raw_path(path: str, root_path: str, raw_path: bytes | None) -> bytes:
    """Return the whole path of a scope, percent-encoded, and as the client sent it if that is known.

    >>> scope_raw_path("/a/b", "/app", b"/a%2Fb?q")
    b'/app/a%2Fb'
    """
    raw = raw_path.partition(b"?")[0] if raw_path else b""
    mount, rest = split_mount(path, root_path)
    if mount + rest != path != "*":  # the server's path lacks the mount point, or spells it with a final "/"
        given = _quoted(path_octets(path[: len(path) - len(rest)], None))
        raw = raw[len(given) :] if raw.startswith(given) else b""
        return _quoted(path_octets(mount, None)) + encoded_path(path_octets(rest, raw), raw)
    return encoded_path(path_octets(path, raw), raw)


def environ_path(script_name: str, path_info: str) -> str:
    """Return the whole path of an environ, percent-decoded.

    >>> environ_path("/app/", "/x")
    '/app/x'
    """
    path = mount_point(script_name) + path_info if path_info != "*" else path_info
    return path if path.isascii() else latin1_octets(path).decode("utf-8", "replace")


def environ_raw_path(script_name: str, path_info: str, raw_uri: str) -> bytes:
    """Return the whole path of an environ, percent-encoded.

    Args:
        script_name: ``SCRIPT_NAME``.
        path_info: ``PATH_INFO``.
        raw_uri: ``RAW_URI`` or ``REQUEST_URI``, or "". It may lack the mount point: waitress adds ``--url-prefix`` to
            ``SCRIPT_NAME``, although the client did not send it.

    >>> environ_raw_path("/app", "/a/b", "/app/a%2Fb"), environ_raw_path("/app", "/a/b", "/a%2Fb")
    (b'/app/a%2Fb', b'/app/a%2Fb')
    """
    target = raw_target_path(raw_uri)
    if path_info == "*":
        return encoded_path(b"*", target)
    mount = latin1_octets(mount_point(script_name))
    octets = mount + latin1_octets(path_info)
    if mount and target and not _is_same_path(octets, target):
        before = octets.removesuffix(unquote_to_bytes(target))
        if len(before) <= len(mount):
            return _quoted(before) + target
    return encoded_path(octets, target)


def encoded_path(octets: bytes, target: bytes) -> bytes:
    """Return a path percent-encoded: as the client sent it if that is the same path, otherwise encoded anew.

    Args:
        octets: The decoded path, which a middleware may have rewritten.
        target: The path of the request target, or ``b""``.
    """
    return target if target and _is_same_path(octets, target) else _quoted(octets)


def _is_same_path(octets: bytes, target: bytes) -> bool:
    decoded = unquote_to_bytes(target) if b"%" in target else target
    # Several servers reduce "//" to "/" in PATH_INFO. The target is still the same path, and is needed for "%2F".
    return decoded == octets or _SLASHES.sub(b"/", decoded) == octets


def _quoted(octets: bytes) -> bytes:
    return quote(octets, safe=_PATH_SAFE).encode("ascii")


def path_octets(path: str, raw_path: bytes | None) -> bytes:
    """Return the percent-decoded bytes of a path.

    If a path was not UTF-8 on the wire, ``path`` has lost bytes (servers decode with replacement) and ``raw_path`` has
    them. ``raw_path`` is used only if it decodes to ``path``, because a middleware may have rewritten ``path`` alone.
    """
    if path.isascii():
        return path.encode("ascii")
    if raw_path:
        octets = unquote_to_bytes(raw_path)
        if octets.decode("utf-8", "replace") == path or octets.decode("utf-8", "surrogateescape") == path:
            return octets
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that did not come from decoding bytes
        return path.encode("utf-8", "replace")


def wsgi_path(path: str, root_path: str, raw_path: bytes | None) -> tuple[str, str]:
    """Return ``(SCRIPT_NAME, PATH_INFO)`` for an ASGI path, with bytes spelled as latin-1."""
    if not path.isascii():
        path = path_octets(path, raw_path).decode("latin-1")
    if not root_path:
        return "", path
    if not root_path.isascii():
        root_path = path_octets(root_path, None).decode("latin-1")
    return split_mount(path, root_path)


def asgi_path(script_name: str, path_info: str, raw_uri: str) -> tuple[str, str, bytes]:
    """Return ``(path, root_path, raw_path)`` for a WSGI path, the inverse of `wsgi_path`.

    Args:
        script_name: ``SCRIPT_NAME``.
        path_info: ``PATH_INFO``.
        raw_uri: The request target as the server received it (``RAW_URI`` or ``REQUEST_URI``), or "". It becomes
            ``raw_path`` if it decodes to the same path. Otherwise ``raw_path`` is the quoted path.
    """
    script_name = mount_point(script_name)
    path = script_name + path_info
    if path.isascii() and not path.strip(_UNESCAPED) and (not raw_uri or raw_uri.partition("?")[0] == path):
        return path, script_name, path.encode("ascii")  # fast path: most paths are the same in every spelling
    if path_info == "*":
        path = path_info
    octets = latin1_octets(path)
    raw_path = environ_raw_path(script_name, path_info, raw_uri)
    # Decode with replacement, as uvicorn does, so that the path can be encoded again. raw_path keeps the bytes.
    return octets.decode("utf-8", "replace"), latin1_octets(script_name).decode("utf-8", "replace"), raw_path


def raw_target_path(raw_uri: str) -> bytes:
    """Return the path of a request target: without query, scheme and authority.

    >>> raw_target_path("http://h/a%2Fb?x=1")
    b'/a%2Fb'
    """
    target = raw_uri.partition("?")[0]
    if target and not target.startswith("/"):
        scheme, separator, rest = target.partition("://")
        if separator and scheme.isalpha():
            target = "/" + rest.partition("/")[2]
    return latin1_octets(target)


def latin1_octets(text: str) -> bytes:
    """Return the bytes of a WSGI string. Text beyond latin-1, which is a server's mistake, becomes UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape" if _escaped(text) else "replace")


def _escaped(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
