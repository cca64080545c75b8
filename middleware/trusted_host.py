"""Refuse requests whose Host is missing, repeated, malformed, or not in the list of allowed hosts.

A client can write any Host. Without this check, applications use it to build links, and caches use it as a key.

Sources: RFC 9112 section 3.2 (400 for a missing, repeated or invalid Host); RFC 9110 sections 7.2, 15.5.20 (421).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

from gateway.contract import BuildContext, Hooks, Middleware
from gateway.errors import ConfigurationError
from gateway.middleware._host import LONGEST_HOST, Host, HostPattern, parse_host
from gateway.middleware._options import check_options, check_paths
from gateway.problems import problem

if TYPE_CHECKING:
    from gateway.exchange import Request, Response

__all__ = ["TrustedHost"]


@dataclass(frozen=True, kw_only=True)
class TrustedHost(Middleware):
    """Accept only requests and WebSocket handshakes for the allowed hosts.

    Names compare without case and without a final dot. A Host outside the grammar always gets 400. It is never repaired
    and never redirected.

    Args:
        allowed: ``"example.com"``, ``"*.example.com"`` (subdomains only), each with or without ``":port"``;
            ``"*"`` for any valid host.
        status: Status for a host that is not allowed: 400, or 421 (Misdirected Request), which tells an HTTP/2
            client to open another connection.
        exempt: Paths below the mount point that are not checked, compared exactly, because health checks use
            the server's address as host.
    """

    websocket: ClassVar[bool] = True
    after: ClassVar[tuple[str, ...]] = (
        "ProxyHeaders: the host may come from the proxy's headers",
        "Health: probes use the server's address as host",
    )

    allowed: Sequence[str]
    status: Literal[400, 421] = 400
    exempt: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_options(self)
        check_paths(self, "exempt")
        if not self.allowed:
            raise ConfigurationError(
                f'TrustedHost(allowed=...) takes a tuple of at least one host: ("example.com",), got {self.allowed!r}'
            )
        for pattern in self.allowed:
            if HostPattern.parse(pattern) is None:
                raise ConfigurationError(
                    'TrustedHost(allowed=...) takes "example.com", "*.example.com" or "*", with or without a '
                    f"port, got {pattern!r}; remove scheme and path (RFC 9110 section 7.2)"
                )
        if self.status not in (400, 421):
            raise ConfigurationError(f"TrustedHost(status=...) must be 400 or 421, got {self.status!r}")

    def build(self, context: BuildContext) -> Hooks:
        patterns = tuple(pattern for pattern in map(HostPattern.parse, self.allowed) if pattern is not None)
        return _Checking(patterns, self.status, frozenset(self.exempt))


class _Checking(Hooks):
    websocket: ClassVar[bool] = True

    def __init__(self, patterns: tuple[HostPattern, ...], status: int, exempt: frozenset[str]) -> None:
        self._patterns = patterns
        self._status = status
        self._exempt = exempt
        #: An LRU cache: the few hosts of a site stay in it while clients send others. Long values skip it.
        self._known = lru_cache(maxsize=512)(self._judge)

    def _judge(self, value: str) -> tuple[Host | None, bool]:
        """Return the host (None if it is outside the grammar), and whether it is allowed."""
        host = parse_host(value)
        return host, host is not None and any(pattern.matches(host) for pattern in self._patterns)

    def on_request(self, request: Request) -> Response | None:
        # Repeated lines come joined by ", ", which is outside the grammar of a host.
        value = request.headers.get("host")
        host, ours = (None, False) if value is None or len(value) > LONGEST_HOST else self._known(value)
        if ours:
            request.state["gateway.trusted_host"] = host
            return None
        if self._exempt and request.local_path in self._exempt:
            return None
        if host is None:
            return problem(request, 400, "The request needs exactly one valid Host header.")
        return problem(request, self._status, "This server does not serve the requested host.")
