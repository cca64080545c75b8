"""The ASGI side of a segment: HTTP by the segment's driver, everything else passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.drivers.reference import ReferenceAsgi

if TYPE_CHECKING:
    from gateway.drivers._build import Segment
    from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Scope

__all__ = ["AsgiDriver"]


class AsgiDriver:
    """An ASGI application that runs a segment around another."""

    def __init__(self, segment: Segment, app: ASGIApplication) -> None:
        self.segment = segment
        self.app = app
        self._http = ReferenceAsgi(segment, app)

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self.app(scope, receive, send)
