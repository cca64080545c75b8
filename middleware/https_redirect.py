"""Redirect clients to https, and make browsers use https by themselves (HSTS).

Behind a proxy list ``ProxyHeaders`` before it, so that the scheme is the client's. The redirect never uses an unchecked
host of the request: it uses ``host=``, or a host that ``TrustedHost`` has accepted.

Sources: RFC 9110 sections 15.4.9 (308), 10.2.2 (Location); RFC 6797 (HSTS); hstspreload.org for ``preload``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from gateway.contract import BuildContext, Hooks, Middleware
from gateway.errors import ConfigurationError
from gateway.exchange import Response
from gateway.headers import Header
from gateway.middleware._host import Host, parse_host
from gateway.middleware._location import location_part
from gateway.middleware._options import check_options
from gateway.problems import problem

if TYPE_CHECKING:
    from gateway.exchange import Request

__all__ = ["HttpsRedirect"]

_YEAR = 31_536_000


@dataclass(frozen=True, kw_only=True)
class HttpsRedirect(Middleware):
    """Redirect http to https, path and query byte for byte; add Strict-Transport-Security to responses over https.

    A WebSocket handshake without TLS gets 403, because WebSocket clients do not follow redirects.

    Args:
        host: Host to redirect to, with or without a port. None: the request's own host, which ``TrustedHost``
            must have allowed; otherwise the request is refused with 400, because a redirect to any host would
            be an open redirect.
        status: 308 and 307 keep the method; 301 and 302 are for old clients.
        exempt: Regular expressions that match the whole path below the mount point: health checks,
            ``/\\.well-known/acme-challenge/.*``.
        hsts_seconds: ``max-age`` of HSTS in seconds; with 0, HSTS is not sent. Begin with a small value,
            because browsers remember it.
        hsts_include_subdomains: Apply HSTS to all subdomains too.
        hsts_preload: Ask for the preload list of browsers; this needs a year and the subdomains.
    """

    websocket: ClassVar[bool] = True
    after: ClassVar[tuple[str, ...]] = (
        "ProxyHeaders: before it, the scheme is that of the last hop, and the redirect never ends",
        "TrustedHost: without a check of Host, this would be an open redirect",
        "Health: probes are not redirected",
    )

    host: str | None = None
    status: Literal[301, 302, 307, 308] = 308
    exempt: tuple[str, ...] = ()
    hsts_seconds: int = 0
    hsts_include_subdomains: bool = False
    hsts_preload: bool = False

    def __post_init__(self) -> None:
        check_options(self)
        if self.host is not None and parse_host(self.host) is None:
            raise ConfigurationError(
                f'HttpsRedirect(host=...) takes a host, with or without a port: "example.com", got {self.host!r}'
            )
        if self.status not in (301, 302, 307, 308):
            raise ConfigurationError(f"HttpsRedirect(status=...) must be 301, 302, 307 or 308, got {self.status!r}")
        if self.hsts_seconds < 0:
            raise ConfigurationError(f"HttpsRedirect(hsts_seconds=...) must be at least 0, got {self.hsts_seconds!r}")
        if self.hsts_preload and not (self.hsts_include_subdomains and self.hsts_seconds >= _YEAR):
            raise ConfigurationError(
                "HttpsRedirect(hsts_preload=True) needs hsts_include_subdomains=True and hsts_seconds of at "
                f"least {_YEAR} (a year), got {self.hsts_seconds!r}; browsers' preload lists require this"
            )
        for pattern in self.exempt:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ConfigurationError(
                    f"HttpsRedirect(exempt=...) takes regular expressions, got {pattern!r}: {error}"
                ) from error

    def build(self, context: BuildContext) -> Hooks:
        return _Redirecting(self) if not self.hsts_seconds else _RedirectingWithHsts(self)


class _Redirecting(Hooks):
    websocket: ClassVar[bool] = True

    def __init__(self, options: HttpsRedirect) -> None:
        self._host = parse_host(options.host) if options.host is not None else None
        self._status = options.status
        self._exempt = re.compile("|".join(f"(?:{pattern})" for pattern in options.exempt)) if options.exempt else None

    def on_request(self, request: Request) -> Response | None:
        if request.scheme in ("https", "wss"):
            return None
        if self._exempt is not None and self._exempt.fullmatch(request.local_path):
            return None
        if request.is_websocket:
            return problem(request, 403, "This WebSocket must be opened over TLS (wss).")
        host = self._host
        if host is None:
            checked = request.state.get("gateway.trusted_host")
            if not isinstance(checked, Host):
                return problem(request, 400, "The request came without TLS, and its host is not one of this server's.")
            host = Host(checked.name)  # without the port, because it is the port of http
        path = "/" + location_part(request.raw_path).lstrip("/")
        query = location_part(request.query_string)
        location = f"https://{host}{path}" + (f"?{query}" if query else "")
        return Response(self._status, [("Location", location)])


class _RedirectingWithHsts(_Redirecting):
    def __init__(self, options: HttpsRedirect) -> None:
        super().__init__(options)
        value = f"max-age={options.hsts_seconds}"
        value += "; includeSubDomains" if options.hsts_include_subdomains else ""
        value += "; preload" if options.hsts_preload else ""
        self._hsts = Header("Strict-Transport-Security", value)

    def on_response(self, request: Request, response: Response) -> None:
        if request.scheme in ("https", "wss"):  # RFC 6797 section 7.2: never over http
            response.headers.setdefault(self._hsts)
