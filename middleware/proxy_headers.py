"""Find the real client behind proxies, which are trusted by address and counted from the right.

The headers of proxies count only if the peer of the connection is trusted. Each proxy appends the address that it saw,
so the list is read from the right, and the first untrusted address is the client. The client may have written
everything to the left of it, so that is ignored. The middleware reads one family of headers and removes the other.

Sources: RFC 7239 (Forwarded); the ``X-Forwarded-*`` conventions; RFC 3986 section 3.2.2 for hosts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypedDict

from gateway._bounds import BOUNDS
from gateway.contract import BuildContext, Hooks, Middleware
from gateway.errors import ConfigurationError
from gateway.headers import HeaderNames
from gateway.middleware._forwarded import MOST_HOPS, Trust, last_elements, parse_address, parse_forwarded
from gateway.middleware._host import parse_host, parse_port
from gateway.middleware._options import check_options
from gateway.middleware._server_habits import Habits
from gateway.problems import problem

if TYPE_CHECKING:
    from gateway.exchange import Request, Response

__all__ = ["PLATFORMS", "PROXY_HEADERS", "ForwardedFrom", "ProxyHeaders"]

_log = logging.getLogger("gateway.middleware.proxy_headers")
_X_FORWARDED = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix")
#: Other headers that some applications read. This module never trusts them.
_OTHERS = ("x-forwarded", "x-forwarded-scheme", "x-forwarded-protocol", "x-forwarded-ssl", "x-url-scheme", "x-real-ip")
#: Headers for the client's address that some networks set, but a client could set them too. A trusted proxy may belong
#: to such a network, so they are removed only from untrusted peers.
_ADDRESSES = (
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-ip",
    "do-connecting-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "forwarded-for",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-original-forwarded-for",
)
_FAMILIES = HeaderNames("forwarded", *_X_FORWARDED, *_OTHERS)
#: Every header by which a proxy names its client.
PROXY_HEADERS = HeaderNames(*_FAMILIES.names, *_ADDRESSES)
_STATE = "gateway.proxy_headers"
_SECURE = {"http": False, "https": True, "ws": False, "wss": True}
_LONGEST_PREFIX = BOUNDS["x-forwarded-prefix"].characters
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")


class _Platform(TypedDict):
    trust: tuple[str, ...]
    hops: int


_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
#: Networks from which the load balancers of some platforms connect, and the number of values that they append.
PLATFORMS: Mapping[str, _Platform] = {
    "aws-alb": {"trust": _PRIVATE, "hops": 1},
    "gcp": {"trust": ("130.211.0.0/22", "35.191.0.0/16"), "hops": 2},  # appends "client, balancer"
    "heroku": {"trust": _PRIVATE, "hops": 1},
    "cloudflare": {
        "trust": (
            "173.245.48.0/20",
            "103.21.244.0/22",
            "103.22.200.0/22",
            "103.31.4.0/22",
            "141.101.64.0/18",
            "108.162.192.0/18",
            "190.93.240.0/20",
            "188.114.96.0/20",
            "197.234.240.0/22",
            "198.41.128.0/17",
            "162.158.0.0/15",
            "104.16.0.0/13",
            "104.24.0.0/14",
            "172.64.0.0/13",
            "131.0.72.0/22",
            "2400:cb00::/32",
            "2606:4700::/32",
            "2803:f800::/32",
            "2405:b500::/32",
            "2405:8100::/32",
            "2a06:98c0::/29",
            "2c0f:f248::/32",
        ),
        "hops": 1,
    },
}


class ForwardedFrom(NamedTuple):
    """The original values of the connection, in ``request.state["gateway.proxy_headers"]``.

    Attributes:
        trusted: Whether the peer is a trusted proxy.
        client: The peer of the connection; None for a unix socket.
        scheme: The scheme of the connection.
        host: The original Host header.
    """

    trusted: bool
    client: tuple[str, int] | None
    scheme: str
    host: str | None


@dataclass(frozen=True, kw_only=True)
class ProxyHeaders(Middleware):
    """Take the client's address and scheme, and optionally host, port and prefix, from the proxies in front.

    A second ``ProxyHeaders`` in the same request does nothing, so that a hop is never counted twice.

    Args:
        trust: Networks (CIDR) or addresses of the proxies, ``"unix:"`` for the peer of a unix socket, ``"*"`` for any
            peer, which needs ``hops``.
        hops: Number of proxies that append to the list, 1 to 64, including the peer; with None, the list is
            read from the right, using ``trust``. If the list is shorter, its leftmost value is used.
        mode: Headers to read: ``"x-forwarded"``, ``"forwarded"`` (RFC 7239), or ``"off"`` to trust none.
        host: Use the host that the proxy sends.
        port: Use ``X-Forwarded-Port``.
        prefix: Use ``X-Forwarded-Prefix``: the path that the proxy removed is added to the mount point again.
            If the server's root path already has this prefix, it is not added twice.
        untrusted: Action for all these headers if the peer is not trusted: ``"strip"`` removes them, so that
            inner code cannot use forged values; ``"keep"`` keeps them.
    """

    websocket: ClassVar[bool] = True
    before: ClassVar[tuple[str, ...]] = (
        "RequestId: whether an id is accepted depends on the peer being a trusted proxy",
        "AccessLog: before it, the client address is the proxy's",
        "TrustedHost: the host may come from the proxy's headers",
        "HttpsRedirect: before it, the scheme is that of the last hop, and the redirect never ends",
        "Cors: the server's own origin has the scheme and host that the client used",
        "RateLimit: requests are counted by the client's address, and before it the address is the proxy's",
        "Metrics: the client's address decides about scraping, and before it the address is the proxy's",
    )

    trust: Sequence[str]
    hops: int | None = None
    mode: Literal["x-forwarded", "forwarded", "off"] = "x-forwarded"
    host: bool = False
    port: bool = False
    prefix: bool = False
    untrusted: Literal["strip", "keep"] = "strip"

    def __post_init__(self) -> None:
        check_options(self)
        if self.mode not in ("x-forwarded", "forwarded", "off"):
            raise ConfigurationError(
                f'ProxyHeaders(mode=...) must be "x-forwarded", "forwarded" or "off", got {self.mode!r}'
            )
        if self.untrusted not in ("strip", "keep"):
            raise ConfigurationError(f'ProxyHeaders(untrusted=...) must be "strip" or "keep", got {self.untrusted!r}')
        if self.hops is not None and not 1 <= self.hops <= MOST_HOPS:
            raise ConfigurationError(
                f"ProxyHeaders(hops=...) must be from 1 to {MOST_HOPS}, or None, got {self.hops!r}"
            )
        if self.mode != "off" and not self.trust:
            raise ConfigurationError(
                'ProxyHeaders(trust=...) is empty, so no proxy would be trusted; name networks or "unix:", '
                'or set mode="off" to only remove the headers'
            )
        if "*" in self.trust and self.hops is None:
            raise ConfigurationError(
                'ProxyHeaders(trust=("*",)) trusts every peer, so the client could forge its address; write '
                "how many proxies add to the list: hops=1"
            )
        if self.mode == "forwarded" and (self.port or self.prefix):
            raise ConfigurationError(
                'ProxyHeaders(mode="forwarded") takes neither port nor prefix, because Forwarded has none '
                "(RFC 7239 section 5); the port is part of host="
            )
        try:
            Trust.parse(self.trust)
        except ValueError as error:
            raise ConfigurationError(
                f'ProxyHeaders(trust=...) takes networks such as 10.0.0.0/8, addresses, "unix:" or "*"; {error}'
            ) from error

    @classmethod
    def for_platform(cls, name: str, *, host: bool = False, port: bool = False) -> ProxyHeaders:
        """Return the settings for the load balancer of a platform: one of :data:`PLATFORMS`.

        Raises:
            ConfigurationError: The platform is not known.
        """
        if name not in PLATFORMS:
            raise ConfigurationError(f"unknown platform {name!r}; possible platforms: {', '.join(sorted(PLATFORMS))}")
        return replace(cls(**PLATFORMS[name]), host=host, port=port)

    def build(self, context: BuildContext) -> Hooks:
        return _Believing(self, Trust.parse(self.trust))


class _Believing(Hooks):
    websocket: ClassVar[bool] = True

    def __init__(self, options: ProxyHeaders, trust: Trust) -> None:
        self._options = options
        self._trust = trust
        family = {"x-forwarded": set(_X_FORWARDED), "forwarded": {"forwarded"}, "off": set()}[options.mode]
        self._never = HeaderNames(*(name for name in _FAMILIES.names if name not in family))
        self._believes = options.mode != "off"
        self._strips = options.untrusted == "strip"
        self._warned = False
        self._more = options.host or options.port or options.prefix
        self._habits = Habits(believes=self._believes)

    def on_request(self, request: Request) -> Response | None:
        state = request.state
        if _STATE in state:
            return None
        habits = self._habits
        if not habits.known:
            habits.look(request)
        if habits.takes_scheme:
            habits.restore_scheme(request)
        peer, headers = request.client, request.headers
        trusted = self._believes and self._trust.holds(peer[0] if peer else None)
        state[_STATE] = ForwardedFrom(trusted, peer, request.scheme, headers.get("host"))
        if trusted:
            headers.delete_all(self._never)
            if self._options.mode == "forwarded":
                return self._read_forwarded(request)
            self._read_x_forwarded(request)
            return None
        habits.untrusted(request, peer)
        if self._strips:
            headers.delete_all(PROXY_HEADERS)
        return None

    def _read_x_forwarded(self, request: Request) -> None:
        options, get = self._options, request.headers.get
        value = get("x-forwarded-for") or ""
        # Each hop appends to all lists, so the same index from the right selects the matching element of each.
        from_right = 1
        if "," not in value:  # the usual case: one proxy and one address
            node = parse_address(value)
            if node is not None:
                request.client = node
        else:
            nodes = [parse_address(each) for each in last_elements(value)]
            index = self._trust.client_index([node[0] if node else None for node in nodes], options.hops)
            if index is not None:
                from_right = len(nodes) - index
                request.client = nodes[index]
        scheme = _pick(get("x-forwarded-proto"), from_right)
        if scheme is not None:
            _set_scheme(request, scheme)
        if self._more:
            self._read_more(request, from_right)

    def _read_more(self, request: Request, from_right: int) -> None:
        """Read host, port and prefix, each only if its option is set."""
        options, get = self._options, request.headers.get
        host = _pick(get("x-forwarded-host"), from_right) if options.host else None
        port = _pick(get("x-forwarded-port"), from_right) if options.port else None
        _set_host(request, host, port)
        prefix = _pick(get("x-forwarded-prefix"), from_right) if options.prefix else None
        if prefix is not None:
            _set_prefix(request, prefix)

    def _read_forwarded(self, request: Request) -> Response | None:
        hops = parse_forwarded(request.headers.get("forwarded") or "")
        if hops is None:
            # The proxy appended to a value that the client has broken. Ignoring the header would give the client the
            # proxy's address, which may have more rights than a client.
            self._warn_once(request)
            return problem(request, 400, "The Forwarded header is malformed.")
        if not hops:
            return None
        nodes = [parse_address(hop.node) for hop in hops]
        index = self._trust.client_index([node[0] if node else None for node in nodes], self._options.hops)
        if index is not None:
            request.client = nodes[index]
        hop = hops[-1 if index is None else index]
        _set_scheme(request, hop.proto)
        if self._options.host:
            _set_host(request, hop.host, None)
        return None

    def _warn_once(self, request: Request) -> None:
        """Log the first refusal, because AccessLog does not see it, and the fault may be the proxy's."""
        if not self._warned:
            self._warned = True
            peer = request.client
            _log.warning(
                "the trusted proxy %s passed on a malformed Forwarded header; requests with such a header get 400",
                peer[0] if peer else "at the unix socket",
            )


def _pick(value: str | None, from_right: int) -> str | None:
    """Return the list element of the chosen hop, or the leftmost element if the list is shorter."""
    if not value:
        return None
    if "," not in value:
        return value.strip(" \t")
    elements = last_elements(value)
    return elements[max(len(elements) - from_right, 0)]


def _set_scheme(request: Request, scheme: str) -> None:
    secure = _SECURE.get(scheme.lower())
    if secure is not None:
        names = ("ws", "wss") if request.is_websocket else ("http", "https")
        request.scheme = names[secure]


def _set_host(request: Request, value: str | None, port_value: str | None) -> None:
    """Replace host and port by the proxy's values, unless they are outside the grammar."""
    if value is None and port_value is None:
        return
    host = parse_host(value if value is not None else request.headers.get("host") or "")
    if host is None:
        return
    port = parse_port(port_value) if port_value is not None else None
    default = 443 if request.scheme in ("https", "wss") else 80
    if port is not None and host.port is None:
        host = replace(host, port=None if port == default else port)
    request.headers.set("host", str(host))
    request.server = (host.name, host.port or default)


def _set_prefix(request: Request, value: str) -> None:
    """Put the prefix that the proxy has removed back in front of the mount point and the path."""
    if len(value) > _LONGEST_PREFIX:
        return
    prefix = value.rstrip("/")
    segments = prefix.split("/")
    if not _PREFIX.fullmatch(prefix) or ".." in segments or "." in segments:
        return
    # The server may already have this prefix as its root path (uvicorn --root-path), so do not add it twice.
    if request.root_path != prefix:
        request.mount_below(prefix)
