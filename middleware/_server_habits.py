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

__all__ = ["Notice", "restore_scheme"]

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


def restore_scheme(request: Request) -> None:
    """Give the request the scheme of its connection, if the server took it from a header that anybody can send."""
    environ = _environ(request)
    if environ is None or "uwsgi.version" not in environ:
        return
    headers = request.headers
    if "x-forwarded-proto" in headers or "x-forwarded-ssl" in headers:
        request.scheme = connection_scheme(environ)


class Notice:
    """Says once for each chain that a server keeps from `ProxyHeaders` what it needs."""

    __slots__ = ("_given", "_looked")

    def __init__(self) -> None:
        self._looked = False
        self._given = False

    def trusted(self, request: Request) -> None:
        """Look at a request whose peer is a trusted proxy: were its headers removed?"""
        if not self._looked:
            self._look(request)

    def untrusted(self, request: Request, peer: tuple[str, int] | None) -> None:
        """Look at a request whose peer is not trusted: did the server put an address of the header there?"""
        if self._given:
            return
        if not self._looked:
            self._look(request)
        # A connection has a port, and a server that reads X-Forwarded-For has no port to write: 0 cannot be forged.
        if peer is not None and peer[1] == 0 and _environ(request) is None:
            for element in last_elements(request.headers.get("x-forwarded-for") or ""):
                if parse_address(element) == peer:
                    self._give(_REPLACED)
                    return

    def _look(self, request: Request) -> None:
        """Read waitress's settings, at the first request: they hold for the whole process."""
        self._looked = True
        environ = _environ(request)
        channel = getattr((environ or {}).get("waitress.client_disconnected"), "__self__", None)
        settings = getattr(getattr(channel, "server", None), "adj", None)
        if trusted := getattr(settings, "trusted_proxy", None):
            self._give(_REPLACED_BY_WAITRESS, trusted)
        elif getattr(settings, "clear_untrusted_proxy_headers", False):
            self._give(_REMOVED)

    def _give(self, message: str, *arguments: object) -> None:
        if not self._given:
            self._given = True
            _log.warning(message, *arguments)


def _environ(request: Request) -> Mapping[str, object] | None:
    """Return the environ that a WSGI server gave, before an adapter too; None under a server of another interface."""
    native = request.native
    if request.interface == "wsgi":
        return None if "gateway.scope" in native else native
    return cast("Mapping[str, object] | None", native.get("gateway.environ"))
