"""What the chain's tests are made of: small middleware of each kind, applications, and an engine that counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gateway.chain import _engines
from gateway.contract import Middleware
from gateway.exchange import Request, Response
from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Environ, Scope, StartResponse, WSGIApplication

CROSSINGS = "tests.crossings"


@dataclass(frozen=True, kw_only=True)
class Mark(Middleware):
    """Appends its name and the interface it runs in to ``x-mark``."""

    name: str = "mark"
    short_circuits = False

    def on_request(self, request: Request) -> None:
        request.headers.append("x-seen", self.name)

    def on_response(self, request: Request, response: Response) -> None:
        response.headers.append("x-mark", f"{self.name}:{request.interface}")


@dataclass(frozen=True, kw_only=True)
class Squeeze(Mark):
    """As `Mark`; it says that it spends CPU on bodies."""

    name: str = "squeeze"
    body_cpu = True


@dataclass(frozen=True, kw_only=True)
class Guard(Mark):
    """As `Mark`; it takes part in websockets, and refuses who says so."""

    name: str = "guard"
    websocket = True
    short_circuits = True

    def on_request(self, request: Request) -> Response | None:  # type: ignore[override]  # Mark's returns nothing
        request.headers.append("x-seen", self.name)
        return Response(403) if "x-refuse" in request.headers else None


@dataclass(frozen=True, kw_only=True)
class CountCrossings(Middleware):
    """Tells in ``x-crossings`` how many adapters the request passed that `Counting` made."""

    short_circuits = False

    def on_request(self, request: Request) -> None:
        request.state[CROSSINGS] = 0

    def on_response(self, request: Request, response: Response) -> None:
        response.headers.append("x-crossings", str(request.state[CROSSINGS]))


class Counting:
    """The built-in engine; each of its adapters counts itself in the request's state."""

    def wsgi_to_asgi(self, app: WSGIApplication) -> ASGIApplication:
        crossed = _engines.BUILTIN.wsgi_to_asgi(app)

        async def counted(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
            _count(scope)
            await crossed(scope, receive, send)

        return counted

    def asgi_to_wsgi(self, app: ASGIApplication) -> WSGIApplication:
        crossed = _engines.BUILTIN.asgi_to_wsgi(app)

        def counted(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            _count(environ)
            return crossed(environ, start_response)

        return counted


def _count(native: Any) -> None:
    state = native.get("gateway.state")
    if state is not None:
        state[CROSSINGS] = state.get(CROSSINGS, 0) + 1


def wsgi_mark(app: WSGIApplication, name: str = "w") -> WSGIApplication:
    """A third party's WSGI middleware: appends to ``x-mark``."""

    def middleware(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
            return start_response(status, [*headers, ("x-mark", f"{name}:wsgi")], *exc_info)

        return app(environ, start)

    return middleware


def asgi_mark(app: ASGIApplication, name: str = "a") -> ASGIApplication:
    """A third party's ASGI middleware: appends to ``x-mark``, also of a websocket's accept."""

    async def middleware(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        async def marked(message: Any) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                mark = (b"x-mark", f"{name}:asgi".encode())
                message = {**message, "headers": [*message.get("headers", ()), mark]}
            await send(message)

        await app(scope, receive, marked)

    return middleware


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answers with the marks that the request carries."""
    body = environ.get("HTTP_X_SEEN", "").replace(", ", ",").encode()
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", str(len(body)))])
    return [body]


async def asgi_app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """As `wsgi_app`; it has a lifespan and a websocket that tells the marks."""
    if scope["type"] == "lifespan":
        await receive()
        scope.get("state", {})["started"] = "yes"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    seen = b",".join(value for name, value in scope["headers"] if name == b"x-seen").replace(b", ", b",")
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": seen.decode()})
        await receive()
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(seen)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": seen})
