"""Connecting objects of a chain: the fork of both paths, the start of the request state, the takeover of a socket.

A chain makes these when it is built, and only if it needs them. They do not use the plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, cast

from gateway._starting import Reached, Reaching
from gateway.lifespan import serve_together

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

__all__ = ["AsgiState", "Takeover", "WithWebsockets", "WsgiState", "joined"]

#: Key of the request state, in a scope and in an environ.
_STATE = "gateway.state"
#: Key of the state of an application for WebSockets, in the state that the server keeps.
_WEBSOCKET_STATE = "gateway.websocket_app"


class _Fork:
    """Send HTTP to the planned path, and lifespan and WebSockets to the other path."""

    def __init__(self, http: ASGIApplication, other: ASGIApplication) -> None:
        self.app = http
        self.other = other

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        app = self.app if scope["type"] == "http" else self.other
        await app(scope, receive, send)


class WithWebsockets:
    """An application, and another one for its WebSockets; both have their lifespan and their state.

    HTTP never comes here: it takes the path of its own application.
    """

    def __init__(self, app: ASGIApplication, websocket_app: ASGIApplication) -> None:
        self.app = app
        self.websocket_app = websocket_app
        # The state of the last startup, for a server that passes no state with a handshake.
        self._state: dict[str, object] | None = None

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "lifespan":
            await self._run_lifespans(scope, receive, send)
        elif scope["type"] == "websocket":
            shared: dict[str, Any] = scope.get("state") or {}
            state: dict[str, object] | None = shared.get(_WEBSOCKET_STATE, self._state)
            inner: Scope = scope if state is None else {**scope, "state": dict(state)}
            await self.websocket_app(inner, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _run_lifespans(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        shared: dict[str, object] = scope.get("state", {})
        state = dict(shared)

        def started() -> None:
            if "state" in scope:
                shared[_WEBSOCKET_STATE] = state
            else:
                self._state = state

        await serve_together([(self.app, shared), (self.websocket_app, state)], started, receive, send)


def joined(http: object, other: ASGIApplication | None) -> ASGIApplication:
    """Make one ASGI application of both paths."""
    app = cast("ASGIApplication", http)
    return app if other is None or other is app else _Fork(app, other)


class WsgiState:
    """Create the state of a request outside a chain whose wrappers would otherwise each create a separate state."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ.setdefault(_STATE, {})  # keep the state of an outer chain
        return self.app(environ, start_response)


class AsgiState:
    """The same under an ASGI server; it copies the scope, which belongs to the server."""

    def __init__(self, app: ASGIApplication) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] != "lifespan" and _STATE not in scope:
            scope = {**scope, _STATE: {}}
        await self.app(scope, receive, send)


class Takeover(Reaching):
    """Send WebSocket handshakes to the adapter and other requests to the chain, under a WSGI server."""

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
        # Hot path: the key check spares ordinary requests the call.
        if "HTTP_UPGRADE" in environ and self._is_handshake(environ):
            return self._crossing.websocket(environ, start_response, self._other)
        return self.app(environ, start_response)
