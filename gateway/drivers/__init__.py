"""Run one segment, consecutive middleware of ours, around an application, as one wrapper.

:func:`build_wsgi` and :func:`build_asgi` choose what runs when they are called, and nothing in a request. With
``GATEWAY_REFERENCE=1`` in the environment they build the naive driver.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gateway.drivers._build import build_segment
from gateway.drivers.asgi import AsgiDriver
from gateway.drivers.reference import ReferenceWsgi

if TYPE_CHECKING:
    from gateway.contract import Middleware
    from gateway.protocols import ASGIApplication, WSGIApplication

__all__ = ["build_asgi", "build_wsgi"]


def build_wsgi(middleware: Iterable[Middleware], app: WSGIApplication) -> WSGIApplication:
    """Return a WSGI application that runs the middleware, outermost first, around another.

    Raises:
        ConfigurationError: An item is no middleware of ours.
    """
    segment = build_segment(middleware, "wsgi")
    return ReferenceWsgi(segment, app) if segment.http else app


def build_asgi(middleware: Iterable[Middleware], app: ASGIApplication) -> ASGIApplication:
    """Return an ASGI application that runs the middleware, outermost first, around another.

    HTTP runs the hooks of all, a WebSocket handshake those of the middleware that declare ``websocket``, a lifespan
    ``on_start`` and ``on_stop``; other scopes pass.

    Raises:
        ConfigurationError: An item is no middleware of ours.
    """
    segment = build_segment(middleware, "asgi")
    return AsgiDriver(segment, app) if segment.http else app
