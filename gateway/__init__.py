"""One Python web application, WSGI or ASGI, under any server.

The names are loaded when they are first used: ``import gateway`` loads no server, no framework and no event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway._version import __version__

if TYPE_CHECKING:
    from gateway.application import Gateway, as_asgi, as_wsgi, wrap
    from gateway.errors import (
        ApplicationError,
        ConfigurationError,
        GatewayError,
        MissingExtraError,
        ProtocolViolation,
        ServerError,
    )
    from gateway.protocols import detect

__all__ = [
    "ApplicationError",
    "ConfigurationError",
    "Gateway",
    "GatewayError",
    "MissingExtraError",
    "ProtocolViolation",
    "ServerError",
    "__version__",
    "as_asgi",
    "as_wsgi",
    "detect",
    "wrap",
]

#: Where each name is defined. The imports above say the same to type checkers; a test compares the two.
_MODULES = {
    "ApplicationError": "gateway.errors",
    "ConfigurationError": "gateway.errors",
    "Gateway": "gateway.application",
    "GatewayError": "gateway.errors",
    "MissingExtraError": "gateway.errors",
    "ProtocolViolation": "gateway.errors",
    "ServerError": "gateway.errors",
    "as_asgi": "gateway.application",
    "as_wsgi": "gateway.application",
    "detect": "gateway.protocols",
    "wrap": "gateway.application",
}


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
