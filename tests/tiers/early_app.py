"""Chains that answer without reading the request's body, each in its own way, around an application that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway import Gateway, Mount
from gateway.contract import Flow, Middleware, Refuse, as_middleware, reply
from gateway.exchange import Request, Response
from gateway.middleware import AccessLog, BodyLimit, Cors, Errors, RateLimit, TrustedHost

PLAIN = {"content-type": "text/plain"}


class Token(Middleware):
    """Refuses whoever brings no token."""

    def on_request(self, request: Request) -> Response | None:
        return None if "authorization" in request.headers else Response(401, PLAIN, "a token is missing")


class Raises(Middleware):
    def on_request(self, request: Request) -> None:
        raise Refuse(403, "nobody may do this")


@as_middleware
def replies(request: Request) -> Flow:
    """The generator form of a refusal."""
    yield from reply(Response(401, PLAIN, "a token is missing"))


#: The name of each chain, with the status of its refusal.
CHAINS: dict[str, tuple[int, tuple[Middleware, ...]]] = {
    "limit": (413, (BodyLimit(max_bytes=1000),)),
    "limit-logged": (413, (AccessLog(), Cors(origins=("https://a.example",)), BodyLimit(max_bytes=1000), Errors())),
    "rate": (429, (RateLimit(limits="1/day", key=lambda request: "all"),)),
    "host": (400, (TrustedHost(allowed=("another.example",)),)),
    "token": (401, (Token(),)),
    "raises": (403, (Raises(),)),
    "replies": (401, (replies(),)),
}


def wsgi_reads(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    size = 0
    while chunk := environ["wsgi.input"].read(65536):
        size += len(chunk)
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield str(size).encode()


async def asgi_reads(scope: Any, receive: Any, send: Any) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(size).encode()})


def site(application: Any) -> Mount:
    mounted: dict[str, Any] = {
        f"/{name}": Gateway(application, middleware=chain) for name, (_, chain) in CHAINS.items()
    }
    return Mount({**mounted, "/": Gateway(application)})


wsgi = site(wsgi_reads)
asgi = site(asgi_reads)
