"""Habits of servers that come before `ProxyHeaders`: a scheme taken from a header, headers removed, a peer replaced.

A server that reads ``X-Forwarded-*`` itself leaves the chain without the facts that it needs. The scheme can be put
right here. What is lost is lost, so the first request that shows it logs a warning, which names the option to set.
``gateway run`` sets these options by itself.

Sources: waitress ``clear_untrusted_proxy_headers``, ``trusted_proxy``; uvicorn ``--proxy-headers``; daphne
``--proxy-headers``; uWSGI ``uwsgi_parse_vars``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from gateway.middleware._forwarded import last_elements, parse_address
from gateway.translate.peer import connection_scheme

if TYPE_CHECKING:
    from gateway.exchange import Request

__all__ = ["Habits"]

_log = logging.getLogger("gateway.middleware.proxy_headers")

_REMOVED = (
    "waitress removes X-Forwarded-* before ProxyHeaders can read them, so the client is the proxy and the scheme is "
    "that of the last hop (an https redirect never ends); start waitress with --no-clear-untrusted-proxy-headers, or "
    "serve(..., clear_untrusted_proxy_headers=False), or by gateway run"
)
_REPLACED_BY_WAITRESS = (
    "waitress has replaced the address of its peer (trusted_proxy=%r), so ProxyHeaders does not know the proxy and "
    "drops what it says, its request id too; start waitress with --no-clear-untrusted-proxy-headers and without "
    "--trusted-proxy, or by gateway run"
)
_REPLACED = (
    "the server has replaced the address of its peer by one of X-Forwarded-For, so ProxyHeaders does not know the "
    "proxy and drops what it says, its request id too; start uvicorn with --no-proxy-headers, daphne without "
    "--proxy-headers, or the server by gateway run"
)


class Habits:
    """The habits of the server that calls one chain. A process has one server, so they are looked up once.

    Attributes:
        known: Whether a request has shown them.
        takes_scheme: The server takes the scheme from a header that any client can send.
    """

    __slots__ = ("_believes", "_given", "known", "takes_scheme")

    def __init__(self, *, believes: bool) -> None:
        """Begin without knowledge; only a chain that ``believes`` a proxy can lose anything by a habit."""
        self.known = False
        self.takes_scheme = False
        self._believes = believes
        self._given = False

    def look(self, request: Request) -> None:
        """Find out what server it is, at the first request."""
        self.known = True
        environ = _environ(request) or {}
        self.takes_scheme = "uwsgi.version" in environ
        channel = getattr(environ.get("waitress.client_disconnected"), "__self__", None)
        settings = getattr(getattr(channel, "server", None), "adj", None)
        if trusted := getattr(settings, "trusted_proxy", None):
            self._give(_REPLACED_BY_WAITRESS, trusted)
        elif getattr(settings, "clear_untrusted_proxy_headers", False):
            self._give(_REMOVED)

    def restore_scheme(self, request: Request) -> None:
        """Give the request the scheme of its connection, if a header may have changed it."""
        environ = _environ(request)
        if environ is not None and ("x-forwarded-proto" in request.headers or "x-forwarded-ssl" in request.headers):
            request.scheme = connection_scheme(environ)

    def untrusted(self, request: Request, peer: tuple[str, int] | None) -> None:
        """Look at a request whose peer is not trusted: did the server put an address of the header there?"""
        # A connection has a port, and a server that reads X-Forwarded-For has no port to write: 0 cannot be forged.
        # Some WSGI servers tell no port at all, and none of them has this habit.
        if peer is None or peer[1] != 0 or self._given or _environ(request) is not None:
            return
        for element in last_elements(request.headers.get("x-forwarded-for") or ""):
            if parse_address(element) == peer:
                self._give(_REPLACED)
                return

    def _give(self, message: str, *arguments: object) -> None:
        """Log a warning, the first time."""
        if self._believes and not self._given:
            self._given = True
            _log.warning(message, *arguments)


def _environ(request: Request) -> Mapping[str, object] | None:
    """Return the environ that a WSGI server gave, before an adapter too; None under a server of another interface."""
    native = request.native
    if request.interface == "wsgi":
        return None if "gateway.scope" in native else native
    return cast("Mapping[str, object] | None", native.get("gateway.environ"))
