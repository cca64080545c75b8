"""The naive drivers: every request takes the long way, and nothing is chosen when a chain is built.

They are the oracle of the specialised ones, which must make the same calls with the same arguments and send the same
bytes, and they serve when ``GATEWAY_REFERENCE=1`` is set, to tell a fault of a middleware from one of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gateway._requests import AsgiRequest, WsgiRequest
from gateway.drivers._asgi_exchange import AsgiExchange
from gateway.drivers._wsgi_exchange import WsgiExchange

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

    from gateway.drivers._build import Segment
    from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Environ, Scope, WSGIApplication

__all__ = ["ReferenceAsgi", "ReferenceWsgi"]


class ReferenceWsgi:
    """A WSGI application that runs a segment around another, naively."""

    def __init__(self, segment: Segment, app: WSGIApplication) -> None:
        self.segment = segment
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return WsgiExchange(self.segment, self.app, WsgiRequest(environ), start_response).respond()


class ReferenceAsgi:
    """An ASGI application that runs a segment around another, naively; ``other`` serves every scope but HTTP."""

    def __init__(self, segment: Segment, app: ASGIApplication, other: ASGIApplication) -> None:
        self.segment = segment
        self.app = app
        self.other = other

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "http":
            await AsgiExchange(self.segment, self.app, AsgiRequest(scope), receive, send).run()
        else:
            await self.other(scope, receive, send)
