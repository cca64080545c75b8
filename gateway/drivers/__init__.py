"""Run one segment, consecutive middleware of ours, around an application, as one wrapper.

:func:`build_wsgi` and :func:`build_asgi` choose what runs when they are called, and nothing in a request. With
``GATEWAY_REFERENCE=1`` in the environment they build the naive driver.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gateway.drivers import asgi, wsgi
from gateway.drivers._build import build_segment

if TYPE_CHECKING:
    from gateway.contract import Middleware
    from gateway.protocols import ASGIApplication, WSGIApplication

__all__ = ["build_asgi", "build_wsgi"]


def build_wsgi(
    middleware: Iterable[Middleware],
    app: WSGIApplication,
    *,
    reference: bool | None = None,
    shared: Sequence[dict[str, object]] | None = None,
) -> WSGIApplication:
    """Return a WSGI application that runs the middleware, outermost first, around another.

    Args:
        middleware: Outermost first; an empty chain returns ``app`` itself.
        app: A WSGI application.
        reference: Whether to run the naive driver; ``None``: where ``GATEWAY_REFERENCE=1`` is set.
        shared: For each middleware, what its place shares with other builds of it; ``None``: nothing.

    Raises:
        ConfigurationError: An item is no middleware of ours.
    """
    segment = build_segment(middleware, "wsgi", shared, app)
    return wsgi.build(segment, app, naive=_naive(reference)) if segment.http else app


def build_asgi(
    middleware: Iterable[Middleware],
    app: ASGIApplication,
    *,
    reference: bool | None = None,
    shared: Sequence[dict[str, object]] | None = None,
) -> ASGIApplication:
    """Return an ASGI application that runs the middleware, outermost first, around another.

    HTTP runs the hooks of all, a WebSocket handshake those of the middleware that declare ``websocket``, a lifespan
    ``on_start`` and ``on_stop``; other scopes pass.

    Args:
        middleware: Outermost first; an empty chain returns ``app`` itself.
        app: An ASGI 3 application.
        reference: Whether to run the naive driver; ``None``: where ``GATEWAY_REFERENCE=1`` is set.
        shared: For each middleware, what its place shares with other builds of it; ``None``: nothing.

    Raises:
        ConfigurationError: An item is no middleware of ours.
    """
    segment = build_segment(middleware, "asgi", shared, app)
    return asgi.build(segment, app, naive=_naive(reference)) if segment.http else app


def _naive(reference: bool | None) -> bool:
    return os.environ.get("GATEWAY_REFERENCE") == "1" if reference is None else reference
