"""Adapters between the interfaces: WSGI to ASGI, ASGI to WSGI, ASGI to RSGI.

Each adapter is imported when its name is first used, so that a chain without an adapter imports none of them.
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
