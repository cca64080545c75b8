"""Crossings between the interfaces: an application of one becomes an application of another.

The names are loaded when they are first used, so that a chain with no crossing loads no adapter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway._lazy import lazy

if TYPE_CHECKING:
    from gateway.adapters.asgi_to_rsgi import AsgiToRsgi
    from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
    from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "gateway.adapters.asgi_to_rsgi": ("AsgiToRsgi",),
            "gateway.adapters.asgi_to_wsgi": ("AsgiToWsgi",),
            "gateway.adapters.wsgi_to_asgi": ("WsgiToAsgi",),
        },
    )

__all__ = ["AsgiToRsgi", "AsgiToWsgi", "WsgiToAsgi"]
