"""The numbers that an application's own chain gives: its limit, its hosts, its checks, its metrics."""

from __future__ import annotations

from gateway.middleware.body_limit import BodyLimit
from gateway.middleware.compression import Compression
from gateway.middleware.health import Health
from gateway.middleware.metrics import Metrics
from gateway.middleware.trusted_host import TrustedHost
from gateway.servers._reachable import gateways, middleware

__all__ = ["numbers_of"]


def numbers_of(app: object) -> dict[str, object]:
    """Return the numbers of an application's chains; a chain without a middleware leaves the default.

    Args:
        app: The application, imported.
    """
    found: dict[str, object] = {}
    counted = False
    for each in middleware(app):
        if isinstance(each, BodyLimit):
            found["max_bytes"] = each.max_bytes
        elif isinstance(each, TrustedHost):
            hosts = [host for host in each.allowed if _is_public(host)]
            if hosts:
                found["hosts"] = hosts
        elif isinstance(each, Health):
            paths = (
                ("live_path", each.live_path),
                ("ready_path", each.ready_path),
                ("startup_path", each.startup_path),
            )
            found |= {name: path for name, path in paths if path is not None}
            if each.drain_seconds is not None:
                found["drain"] = max(5, round(each.drain_seconds))
        elif isinstance(each, Metrics):
            counted = True
            if each.path is not None:
                found["metrics_path"] = each.path
        elif isinstance(each, Compression):
            found["compress"] = False
    chains = list(gateways(app))
    if chains and not counted:
        found["metrics_path"] = ""
    if chains:
        found["interface"] = "wsgi" if chains[-1].interface == "wsgi" else "asgi"
    return found


def _is_public(host: str) -> bool:
    """Return whether a host can be a name of the certificate: not a pattern for all, an address or a local name."""
    name = host.removeprefix("*.")
    return "." in name and not name.replace(".", "").isdecimal() and ":" not in name
