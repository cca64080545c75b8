"""The ASGI side of a segment, specialised when it is built.

Theory of operation. Almost every exchange is regular: no middleware answers, nothing fails, the body is not touched.
For those a short way calls exactly the hooks that are defined and hands the server's own awaitable back to the
application. Whatever is irregular (an answer, an error, a transform, a generator in the response phase, trailers, a
refusal) *leaves* for an :class:`~gateway.drivers._asgi_exchange.AsgiExchange`, which is given the state so far and
takes the long way from there.

Rules for changing it: the short way decides nothing that the long way decides too; it only notices that there is
something to decide. Every branch of it has a scenario in the property tests against the reference.

Tiers, by what the segment defines: nothing (the application itself), constants only (:func:`_constants`), heads only
(:mod:`~gateway.drivers._asgi_heads`), all else (:mod:`~gateway.drivers._asgi_full`).
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from gateway.drivers import _asgi_full, _asgi_heads
from gateway.drivers._plan import Plan
from gateway.drivers._process import ProcessHooks
from gateway.drivers.reference import ReferenceAsgi
from gateway.drivers.websocket import WebsocketExchange

if TYPE_CHECKING:
    from gateway.drivers._build import Segment
    from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Message, Scope

__all__ = ["build"]


def build(segment: Segment, app: ASGIApplication, *, naive: bool) -> ASGIApplication:
    """Return an ASGI application that runs the segment around another."""
    process = ProcessHooks(segment.http, "asgi") if ProcessHooks.needed(segment.http) else None
    other = _other(segment, app, process)
    if naive:
        http: ASGIApplication = ReferenceAsgi(segment, app, other)
    elif any(segment.defines(name) for name in ("on_request", "on_request_body", "on_error", "on_finish", "on_body")):
        http = _asgi_full.build(Plan(segment, app), other)
    elif segment.defines("on_response"):
        http = _heads(Plan(segment, app), other)
    elif segment.websocket or segment.startup is not None or process is not None:
        http = _rest(app, other)
    else:
        return app
    return http if process is None else _started(process, http)


def _other(segment: Segment, app: ASGIApplication, process: ProcessHooks | None) -> ASGIApplication:
    """Return what serves every scope but HTTP: WebSocket handshakes, the lifespan, what is not known."""
    chain = segment.websocket
    starts = app if segment.startup is None else segment.startup.watch(app)

    async def other(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "websocket" and chain:
            await WebsocketExchange(chain, app, scope, receive, send).run()
        elif scope["type"] == "lifespan" and process is not None:
            await process.lifespan(starts, scope, receive, send)
        elif scope["type"] == "lifespan":
            await starts(scope, receive, send)
        else:
            await app(scope, receive, send)

    return other


def _rest(app: ASGIApplication, other: ASGIApplication) -> ASGIApplication:
    """Serve a chain without a hook for HTTP."""

    async def http(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await (app if scope["type"] == "http" else other)(scope, receive, send)

    return http


def _started(process: ProcessHooks, serve: ASGIApplication) -> ASGIApplication:
    """Start the hooks before the first request where no lifespan did."""

    async def started(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if not process.started and scope["type"] in ("http", "websocket"):
            await process.start_async()
        await serve(scope, receive, send)

    return started


def _heads(plan: Plan[ASGIApplication], other: ASGIApplication) -> ASGIApplication:
    """Serve a chain that only touches heads of responses."""
    if plan.constants:
        return _constants([constant.asgi for constant in plan.constants], plan.app, other)
    return _asgi_heads.build(plan, other)


def _constants(pairs: list[tuple[bytes, bytes]], app: ASGIApplication, other: ASGIApplication) -> ASGIApplication:
    """Serve a chain that has constants and no hook: nothing is made, and nothing can fail."""

    async def http(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] != "http":
            await other(scope, receive, send)
            return

        def passing(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                return send({**message, "headers": [*message.get("headers", ()), *pairs]})
            return send(message)

        await app(scope, receive, passing)

    return http
