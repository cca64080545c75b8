"""One Python web application, WSGI or ASGI, under any server.

The names are loaded when they are first used: ``import gateway`` loads no server, no framework and no event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway._version import __version__

if TYPE_CHECKING:
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

__all__ = [
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

#: Where each name is defined. The imports above say the same to type checkers; a test compares the two.
_MODULES = {
    "ApplicationError": "gateway.errors",
    "ConfigurationError": "gateway.errors",
    "Flow": "gateway.contract",
    "Gateway": "gateway.application",
    "GatewayError": "gateway.errors",
    "Middleware": "gateway.contract",
    "MissingExtraError": "gateway.errors",
    "Mount": "gateway.mount",
    "ProtocolViolation": "gateway.errors",
    "Request": "gateway.exchange",
    "Response": "gateway.exchange",
    "ServerError": "gateway.errors",
    "as_asgi": "gateway.application",
    "as_middleware": "gateway.contract",
    "as_wsgi": "gateway.application",
    "asgi_only": "gateway.chain",
    "detect": "gateway.protocols",
    "either": "gateway.chain",
    "path_in": "gateway.chain",
    "unless": "gateway.chain",
    "when": "gateway.chain",
    "wrap": "gateway.application",
    "wsgi_only": "gateway.chain",
}


if not TYPE_CHECKING:  # a type checker would believe that every name exists

    def __getattr__(name: str) -> object:
        module = _MODULES.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value: object = getattr(import_module(module), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
