"""Crossings between the interfaces: an application of one becomes an application of another.

The names are loaded when they are first used, so that a chain with no crossing loads no adapter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.adapters.asgi_to_rsgi import AsgiToRsgi
    from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
    from gateway.adapters.wsgi_to_asgi import WsgiToAsgi

__all__ = ["AsgiToRsgi", "AsgiToWsgi", "WsgiToAsgi"]

_MODULES = {
    "AsgiToRsgi": "gateway.adapters.asgi_to_rsgi",
    "AsgiToWsgi": "gateway.adapters.asgi_to_wsgi",
    "WsgiToAsgi": "gateway.adapters.wsgi_to_asgi",
}


if not TYPE_CHECKING:  # a type checker would believe that every name exists

    def __getattr__(name: str) -> object:
        module = _MODULES.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
