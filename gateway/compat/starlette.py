"""``WSGIMiddleware``, as in ``starlette.middleware.wsgi`` and ``fastapi.middleware.wsgi``."""

from __future__ import annotations

from typing import ClassVar, Literal

from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from gateway.protocols import WSGIApplication

__all__ = ["WSGIMiddleware"]


class WSGIMiddleware(WsgiToAsgi):
    """An ASGI application that runs a WSGI application in up to 40 threads, which is also Starlette's limit."""

    __gateway_inside__: ClassVar[Literal["wsgi"]] = "wsgi"

    def __init__(self, app: WSGIApplication) -> None:
        super().__init__(app)
