"""What stands where the parts of a chain meet: both paths in one object, the state of a request, a socket taken over.

A chain makes these when it is built, and only where it needs them; none of them knows the plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, cast

from gateway._starting import Reached, Reaching

if TYPE_CHECKING:
    from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
    from gateway.protocols import (
        ASGIApplication,
        ASGIReceive,
        ASGISend,
        Environ,
        Scope,
        StartResponse,
        WSGIApplication,
    )

__all__ = ["AsgiState", "Takeover", "WsgiState", "joined"]

#: Where the state of a request stands, in a scope and in an environ.
_STATE = "gateway.state"


class _Fork:
    """Where the planned path and the one of lifespan and websockets part."""

    def __init__(self, http: ASGIApplication, other: ASGIApplication) -> None:
        self.app = http
        self.other = other

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        app = self.app if scope["type"] == "http" else self.other
        await app(scope, receive, send)


def joined(http: object, other: ASGIApplication | None) -> ASGIApplication:
    """Make one ASGI application of both paths."""
    app = cast("ASGIApplication", http)
    return app if other is None or other is app else _Fork(app, other)


class WsgiState:
    """Where the state of a request begins, for a chain whose wrappers would each begin one of their own."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ.setdefault(_STATE, {})
        return self.app(environ, start_response)


class AsgiState:
    """The same under an ASGI server, whose own scope is not written."""

    def __init__(self, app: ASGIApplication) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] != "lifespan" and _STATE not in scope:
            scope = {**scope, _STATE: {}}
        await self.app(scope, receive, send)


class Takeover(Reaching):
    """Where websocket handshakes part from other requests under a WSGI server."""

    def __init__(self, http: WSGIApplication, crossing: AsgiToWsgi, other: ASGIApplication) -> None:
        from gateway.adapters.websocket._serve import is_handshake

        self.app = http
        self._crossing = crossing
        self._other = other
        self._is_handshake = is_handshake

    def reached(self, interface: Literal["wsgi", "asgi"]) -> Iterable[Reached]:
        """Return both paths. The adapter runs the lifespan of the application that serves the WebSockets."""
        return [(self.app, "wsgi"), (self._crossing, "wsgi")]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if "HTTP_UPGRADE" in environ and self._is_handshake(environ):
            return self._crossing.websocket(environ, start_response, self._other)
        return self.app(environ, start_response)
