"""The middleware of this package, for an application behind a load balancer, behind NGINX or at the edge.

Each middleware has a module of the same name. The package imports a module when its class is first used. So an extra
is needed only if you use the middleware that depends on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway._lazy import lazy

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
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "gateway.middleware.access_log": ("AccessLog",),
            "gateway.middleware.body_limit": ("BodyLimit",),
            "gateway.middleware.compression": ("Compression",),
            "gateway.middleware.conditional_get": ("ConditionalGet",),
            "gateway.middleware.cors": ("Cors",),
            "gateway.middleware.errors": ("Errors",),
            "gateway.middleware.health": ("Health",),
            "gateway.middleware.https_redirect": ("HttpsRedirect",),
            "gateway.middleware.metrics": ("Metrics",),
            "gateway.middleware.presets": ("behind_load_balancer", "behind_nginx", "edge"),
            "gateway.middleware.proxy_headers": ("ProxyHeaders",),
            "gateway.middleware.rate_limit": ("RateLimit",),
            "gateway.middleware.request_id": ("RequestId",),
            "gateway.middleware.security_headers": ("SecurityHeaders",),
            "gateway.middleware.static_files": ("StaticFiles",),
            "gateway.middleware.trusted_host": ("TrustedHost",),
            "gateway.middleware.unbuffered": ("Unbuffered",),
        },
    )

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
