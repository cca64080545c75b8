"""The middleware of this package: what stands between a load balancer and an application.

Each is one module of the same name; a name is imported when it is first used, so that an extra that one of them needs
is needed by nobody else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.middleware.access_log import AccessLog
    from gateway.middleware.body_limit import BodyLimit
    from gateway.middleware.compression import Compression
    from gateway.middleware.conditional_get import ConditionalGet
    from gateway.middleware.cors import Cors
    from gateway.middleware.errors import Errors
    from gateway.middleware.health import Health
    from gateway.middleware.https_redirect import HttpsRedirect
    from gateway.middleware.metrics import Metrics
    from gateway.middleware.presets import behind_load_balancer, behind_nginx, edge
    from gateway.middleware.proxy_headers import ProxyHeaders
    from gateway.middleware.rate_limit import RateLimit
    from gateway.middleware.request_id import RequestId
    from gateway.middleware.security_headers import SecurityHeaders
    from gateway.middleware.static_files import StaticFiles
    from gateway.middleware.trusted_host import TrustedHost
    from gateway.middleware.unbuffered import Unbuffered

__all__ = [
    "AccessLog",
    "BodyLimit",
    "Compression",
    "ConditionalGet",
    "Cors",
    "Errors",
    "Health",
    "HttpsRedirect",
    "Metrics",
    "ProxyHeaders",
    "RateLimit",
    "RequestId",
    "SecurityHeaders",
    "StaticFiles",
    "TrustedHost",
    "Unbuffered",
    "behind_load_balancer",
    "behind_nginx",
    "edge",
]

_MODULES = {
    "AccessLog": "access_log",
    "BodyLimit": "body_limit",
    "Compression": "compression",
    "ConditionalGet": "conditional_get",
    "Cors": "cors",
    "Errors": "errors",
    "Health": "health",
    "HttpsRedirect": "https_redirect",
    "Metrics": "metrics",
    "ProxyHeaders": "proxy_headers",
    "RateLimit": "rate_limit",
    "RequestId": "request_id",
    "SecurityHeaders": "security_headers",
    "StaticFiles": "static_files",
    "TrustedHost": "trusted_host",
    "Unbuffered": "unbuffered",
    "behind_load_balancer": "presets",
    "behind_nginx": "presets",
    "edge": "presets",
}


if not TYPE_CHECKING:  # a type checker would believe that every name exists

    def __getattr__(name: str) -> object:
        module = _MODULES.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
