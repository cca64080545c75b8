"""A plug-in: an engine that counts its crossings, and a middleware, each found by the name of its entry point."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from gateway.contract import Middleware
from gateway.exchange import Request, Response
from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Environ, Scope, StartResponse, WSGIApplication

__all__ = ["ExampleEngine", "Greeting"]


class ExampleEngine:
    """The built-in adapters, with a count of the requests that crossed."""

    def __init__(self) -> None:
        self.crossed = 0

    def wsgi_to_asgi(self, app: WSGIApplication) -> ASGIApplication:
        """Make an ASGI application of a WSGI one."""
        adapter = WsgiToAsgi(app)

        async def counted(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
            self.crossed += scope["type"] == "http"
            await adapter(scope, receive, send)

        return counted

    def asgi_to_wsgi(self, app: ASGIApplication) -> WSGIApplication:
        """Make a WSGI application of an ASGI one."""
        adapter = AsgiToWsgi(app)

        def counted(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            self.crossed += 1
            return adapter(environ, start_response)

        return counted


@dataclass(frozen=True, kw_only=True)
class Greeting(Middleware):
    """Greet in a response header."""

    name: str = "world"
    short_circuits = False

    def on_response(self, request: Request, response: Response) -> None:
        """Append the greeting."""
        response.headers.append("x-greeting", f"hello {self.name}, in {request.interface}")
