"""Detect servers that read ``X-Forwarded-*`` before `ProxyHeaders` can.

Such a server takes the scheme from a header, removes headers, or replaces the peer. Then the chain lacks facts that it
needs. This module can restore the scheme, but nothing else. So the first affected request logs a warning that names the
server option to set. ``gateway run`` sets these options by itself.

Sources: waitress ``clear_untrusted_proxy_headers``, ``trusted_proxy``; uvicorn ``--proxy-headers``; daphne
``--proxy-headers``; uWSGI ``uwsgi_parse_vars``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from gateway.middleware._forwarded import last_elements, parse_address
from gateway.translate.endpoints import connection_scheme

if TYPE_CHECKING:
    from gateway.exchange import Request

__all__ = ["Habits"]

_log = logging.getLogger("gateway.middleware.proxy_headers")

_REMOVED = (
    "waitress removes X-Forwarded-* before ProxyHeaders can read them, so the client address is the proxy's "
    "and the scheme is that of the last hop (an HTTPS redirect never ends); start waitress with "
    "--no-clear-untrusted-proxy-headers, with serve(..., clear_untrusted_proxy_headers=False), or with "
    "gateway run"
)
_REPLACED_BY_WAITRESS = (
    "waitress has replaced the proxy's address (trusted_proxy=%r), so ProxyHeaders does not recognise the "
    "proxy and ignores its headers, including the request id; start waitress with "
    "--no-clear-untrusted-proxy-headers and without --trusted-proxy, or with gateway run"
)
_REPLACED = (
    "the server has replaced the proxy's address by one from X-Forwarded-For, so ProxyHeaders does not "
    "recognise the proxy and ignores its headers, including the request id; start uvicorn with "
    "--no-proxy-headers, daphne without --proxy-headers, or any server with gateway run"
)


class Habits:
    """The habits of the server that calls one chain. A process has one server, so the chain detects them once.

    Attributes:
        known: Whether a request has shown the habits.
        takes_scheme: Whether the server takes the scheme from a header that any client can send.
    """

    __slots__ = ("_believes", "_given", "known", "takes_scheme")

    def __init__(self, *, believes: bool) -> None:
        """Start without knowledge; only a chain that ``believes`` a proxy gets warnings, as only it loses facts."""
        self.known = False
        self.takes_scheme = False
        self._believes = believes
        self._given = False

    def look(self, request: Request) -> None:
        """Detect the server from the first request."""
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
        """Restore the scheme of the connection if a header may have changed it."""
        environ = _environ(request)
        if environ is not None and ("x-forwarded-proto" in request.headers or "x-forwarded-ssl" in request.headers):
            request.scheme = connection_scheme(environ)

    def untrusted(self, request: Request, peer: tuple[str, int] | None) -> None:
        """Warn if the peer is untrusted because the server has replaced it by an address of the header."""
        # A connection has a port, but X-Forwarded-For does not, so such a server writes 0. A client cannot forge that.
        # Some WSGI servers never give a port, but they do not have this habit.
        if peer is None or peer[1] != 0 or self._given or _environ(request) is not None:
            return
        for element in last_elements(request.headers.get("x-forwarded-for") or ""):
            if parse_address(element) == peer:
                self._give(_REPLACED)
                return

    def _give(self, message: str, *arguments: object) -> None:
        """Log a warning, only the first time."""
        if self._believes and not self._given:
            self._given = True
            _log.warning(message, *arguments)


def _environ(request: Request) -> Mapping[str, object] | None:
    """Return the environ of a WSGI server, even through an adapter; None under an ASGI server."""
    native = request.native
    if request.interface == "wsgi":
        return None if "gateway.scope" in native else native
    return cast("Mapping[str, object] | None", native.get("gateway.environ"))
