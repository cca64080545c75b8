"""Facts of a deployment that ``gateway check`` reads: from the chain, the server's settings and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from gateway.dual import Dual
from gateway.hazards.server import ServedDeployment
from gateway.middleware.health import Health
from gateway.middleware.metrics import Metrics
from gateway.middleware.proxy_headers import ProxyHeaders
from gateway.middleware.security_headers import SecurityHeaders
from gateway.servers import Server, gunicorn
from gateway.servers._reachable import gateways, middleware

__all__ = ["metrics_folder", "settings", "version", "with_chain"]


def with_chain(deployment: ServedDeployment, app: object) -> ServedDeployment:
    """Add the requirements of an application's chains to a deployment."""
    chain = list(middleware(app))
    return replace(
        deployment,
        reads_forwarded=any(isinstance(each, ProxyHeaders) and each.mode != "off" for each in chain),
        strips_server=any(
            isinstance(each, SecurityHeaders) and "server" in map(str.lower, each.strip) for each in chain
        ),
        drains_by_signal=any(
            isinstance(each, Health) and (each.drain_seconds is not None or each.drain_signal) for each in chain
        ),
        counts=any(isinstance(each, Metrics) for each in chain),
        has_lifespan=any(each.interface == "asgi" and not isinstance(each.app, Dual) for each in gateways(app)),
    )


def settings(server: Server, arguments: Sequence[str], app_dir: str | None) -> Mapping[str, str]:
    """Return the settings that the server reads from its arguments and its file; empty if it is not Gunicorn."""
    if server.family != "gunicorn":
        return {}
    own = list(arguments)
    if own[:2] == ["-m", "gunicorn"]:  # the whole command, as `gateway run` builds it
        own = own[2:-1]
    return gunicorn.settings(own, app_dir=app_dir)


def metrics_folder() -> str:
    """Return the fault of the folder in PROMETHEUS_MULTIPROC_DIR; empty if it has none, or the variable is not set.

    A missing folder is not a fault if `Metrics` can create it.
    """
    named = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not named:
        return ""
    folder = Path(named)
    if folder.is_dir():
        return "" if os.access(folder, os.W_OK | os.X_OK) else "cannot be written"
    if os.path.lexists(folder):
        return "is not a folder"
    above = next(each for each in folder.absolute().parents if each.is_dir())
    return "" if os.access(above, os.W_OK | os.X_OK) else "does not exist and cannot be created"


def version(server: Server) -> str:
    try:
        return metadata.version(server.family)
    except metadata.PackageNotFoundError:
        return ""
