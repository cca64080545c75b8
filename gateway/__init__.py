"""Run one Python web application, WSGI or ASGI, under any server.

The names are loaded at their first use: ``import gateway`` loads no server, no framework and no event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway._lazy import lazy

if TYPE_CHECKING:
    from gateway._version import __version__
    from gateway.adapters._options import AdapterOptions
    from gateway.application import Gateway, as_asgi, as_wsgi, wrap
    from gateway.chain import asgi_only, either, path_in, unless, when, wsgi_only
    from gateway.contract import Flow, Middleware, as_middleware
    from gateway.errors import (
        ApplicationError,
        ConfigurationError,
        GatewayError,
        MissingExtraError,
        ProtocolViolation,
        ServerError,
    )
    from gateway.exchange import Request, Response
    from gateway.mount import Mount
    from gateway.protocols import detect
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "gateway._version": ("__version__",),
            "gateway.adapters._options": ("AdapterOptions",),
            "gateway.application": ("Gateway", "as_asgi", "as_wsgi", "wrap"),
            "gateway.chain": ("asgi_only", "either", "path_in", "unless", "when", "wsgi_only"),
            "gateway.contract": ("Flow", "Middleware", "as_middleware"),
            "gateway.errors": (
                "ApplicationError",
                "ConfigurationError",
                "GatewayError",
                "MissingExtraError",
                "ProtocolViolation",
                "ServerError",
            ),
            "gateway.exchange": ("Request", "Response"),
            "gateway.mount": ("Mount",),
            "gateway.protocols": ("detect",),
        },
    )

__all__ = [
    "AdapterOptions",
    "ApplicationError",
    "ConfigurationError",
    "Flow",
    "Gateway",
    "GatewayError",
    "Middleware",
    "MissingExtraError",
    "Mount",
    "ProtocolViolation",
    "Request",
    "Response",
    "ServerError",
    "__version__",
    "as_asgi",
    "as_middleware",
    "as_wsgi",
    "asgi_only",
    "detect",
    "either",
    "path_in",
    "unless",
    "when",
    "wrap",
    "wsgi_only",
]
