"""The WSGI side of a segment, specialised when it is built.

Theory of operation. As on ASGI, the regular exchange takes a short way and everything irregular *leaves* for a
:class:`~gateway.drivers._wsgi_exchange.WsgiExchange`, which gets the state so far. Regular is: no middleware answers,
nothing fails, the body is not touched. Then the application's own iterable goes to the server, untouched where nobody
waits for the end.

When the head is made: a chain that only touches heads runs its hooks inside ``start_response``. One that may look at
the body, or answer an error, *defers* it: to the return of a list or tuple, whose chunks are all there, else to the
first chunk, which is the long way, and is made before the server gets the body.

Rules for changing it: the short way decides nothing that the long way decides too; it only notices that there is
something to decide. Every branch of it has a scenario in the property tests against the reference.

Tiers, by what the segment defines: nothing (the application itself), constants only (:func:`_constants`), heads only
(:mod:`~gateway.drivers._wsgi_heads`), all else (:mod:`~gateway.drivers._wsgi_full`).

Source: PEP 3333 "The start_response() Callable", "Handling the close() method".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gateway.contract import HOOKS
from gateway.drivers import _wsgi_full, _wsgi_heads
from gateway.drivers._plan import Plan
from gateway.drivers._process import ProcessHooks
from gateway.drivers.reference import ReferenceWsgi

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

    from _typeshed import OptExcInfo

    from gateway.drivers._build import Segment
    from gateway.protocols import Environ, WSGIApplication

__all__ = ["build"]


def build(segment: Segment, app: WSGIApplication, *, naive: bool) -> WSGIApplication:
    """Return a WSGI application that runs the segment around another."""
    process = ProcessHooks(segment.http, "wsgi") if ProcessHooks.needed(segment.http) else None
    serve: WSGIApplication
    if naive:
        serve = ReferenceWsgi(segment, app)
    elif any(segment.defines(name) for name in HOOKS if name not in ("on_start", "on_stop", "on_response")):
        serve = _wsgi_full.build(Plan(segment, app))
    elif segment.defines("on_response"):
        serve = _heads(Plan(segment, app))
    else:
        serve = app
    return serve if process is None else _started(process, serve)


def _started(process: ProcessHooks, serve: WSGIApplication) -> WSGIApplication:
    """Start the hooks before the first request."""

    def started(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not process.started:
            process.start_plain()
        return serve(environ, start_response)

    return started


def _heads(plan: Plan[WSGIApplication]) -> WSGIApplication:
    """Serve a chain that only touches heads of responses."""
    if plan.constants:
        return _constants([constant.wsgi for constant in plan.constants], plan.app)
    return _wsgi_full.build(plan) if plan.defers else _wsgi_heads.build(plan)


def _constants(pairs: list[tuple[str, str]], app: WSGIApplication) -> WSGIApplication:
    """Serve a chain that has constants and no hook: nothing is made, and nothing can fail."""

    def serve(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def start(
            status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
        ) -> Callable[[bytes], object]:
            if exc_info is None:
                return start_response(status, [*headers, *pairs])
            return start_response(status, [*headers, *pairs], exc_info)

        return app(environ, start)

    return serve
