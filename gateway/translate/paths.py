"""Where an application is mounted and what was asked for.

``SCRIPT_NAME`` and ``PATH_INFO`` on one side; ``path``, ``root_path`` and ``raw_path`` on the other. WSGI splits the
percent-decoded path in mount point and rest and spells bytes as latin-1; ASGI keeps one Unicode path that includes the
mount point, and the bytes as they came beside it. The rule stands here once, for both directions.
No IO, no state.

Sources: PEP 3333 "environ Variables", "Unicode Issues"; ASGI HTTP 2.4 ``path``, ``raw_path``, ``root_path``.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

__all__ = ["asgi_path", "latin1_octets", "path_octets", "raw_target_path", "split_mount", "wsgi_path"]

#: What RFC 3986 section 3.3 allows unescaped in a path, beside letters and digits.
_PATH_SAFE = "/;:@&=+$,!*'()~-._"
_UNESCAPED = "/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
_SLASHES = re.compile(rb"/{2,}")


def split_mount(path: str, root_path: str) -> tuple[str, str]:
    """Split a path that includes its mount point into mount point and rest.

    Args:
        path: The full path, starting with "/" (or "*", or empty).
        root_path: The mount point as a server gave it; a missing first or a surplus last "/" is mended.

    Returns:
        ``(mount, rest)``. A path that does not lie under the mount point is the rest as it stands: servers of the
        older convention (hypercorn) give ``root_path`` and a path without it.

    >>> split_mount("/app/x", "/app/")
    ('/app', '/x')
    >>> split_mount("/appfoo", "/app")
    ('/app', '/appfoo')
    """
    mount = root_path.strip("/")
    if not mount:
        return "", path
    mount = "/" + mount
    if path == mount or path.startswith(mount + "/"):
        return mount, path[len(mount) :]
    return mount, path


def path_octets(path: str, raw_path: bytes | None) -> bytes:
    """Return the percent-decoded bytes of a path.

    A path that was not UTF-8 on the wire has lost bytes in ``path`` (servers decode with replacement); ``raw_path``
    still has them, and is used where it says the same as ``path``: a middleware may have rewritten ``path`` alone.
    """
    if raw_path:
        octets = unquote_to_bytes(raw_path)
        if octets.decode("utf-8", "replace") == path or octets.decode("utf-8", "surrogateescape") == path:
            return octets
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that no decoder made
        return path.encode("utf-8", "replace")


def wsgi_path(path: str, root_path: str, raw_path: bytes | None) -> tuple[str, str]:
    """Return ``(SCRIPT_NAME, PATH_INFO)`` of an ASGI path, bytes spelled as latin-1."""
    if not path.isascii():
        path = path_octets(path, raw_path).decode("latin-1")
    if not root_path:
        return "", path
    if not root_path.isascii():
        root_path = path_octets(root_path, None).decode("latin-1")
    return split_mount(path, root_path)


def asgi_path(script_name: str, path_info: str, raw_uri: str) -> tuple[str, str, bytes]:
    """Return ``(path, root_path, raw_path)`` of a WSGI path, the inverse of `wsgi_path`.

    Args:
        script_name: ``SCRIPT_NAME``.
        path_info: ``PATH_INFO``.
        raw_uri: The request target as the server received it (``RAW_URI`` or ``REQUEST_URI``), or "". It becomes
            ``raw_path`` where it decodes to the same path; otherwise ``raw_path`` is the path, quoted.
    """
    script_name = script_name.rstrip("/")
    path = script_name + path_info
    if path.isascii() and not path.strip(_UNESCAPED) and (not raw_uri or raw_uri.partition("?")[0] == path):
        return path, script_name, path.encode("ascii")  # spelled the same everywhere, as most are
    octets = latin1_octets(path)
    raw_path = raw_target_path(raw_uri)
    if raw_path:
        decoded = unquote_to_bytes(raw_path)
        # Several servers collapse "//" in PATH_INFO; the target is the same, and still the truth about "%2F".
        if decoded != octets and _SLASHES.sub(b"/", decoded) != octets:
            raw_path = b""
    if not raw_path:
        raw_path = quote(octets, safe=_PATH_SAFE).encode("ascii")
    # Replacement as uvicorn does it: a path that can be encoded again. The bytes are in raw_path.
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
    """Return the bytes that a WSGI string stands for; text beyond latin-1 (a server's error) becomes UTF-8."""
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
