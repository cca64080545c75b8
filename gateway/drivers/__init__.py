"""Run a group of middleware around an application, as one wrapper.

:func:`build_wsgi` and :func:`build_asgi` choose what runs when they are called, and nothing in a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gateway.drivers import asgi, wsgi
from gateway.drivers._group import build_group

if TYPE_CHECKING:
    from gateway.contract import Middleware
    from gateway.protocols import ASGIApplication, WSGIApplication

__all__ = ["build_asgi", "build_wsgi"]


def build_wsgi(
    middleware: Iterable[Middleware],
    app: WSGIApplication,
    *,
    shared: Sequence[dict[str, object]] | None = None,
) -> WSGIApplication:
    """Return a WSGI application that runs the middleware, outermost first, around another.

    Args:
        middleware: Outermost first; an empty chain returns ``app`` itself.
        app: A WSGI application.
        shared: For each middleware, what its place shares with other builds of it; ``None``: nothing.

    Raises:
        ConfigurationError: An item is not a WSGI+ASGI middleware.
    """
    group = build_group(middleware, "wsgi", shared, app)
    return wsgi.build(group, app) if group.http else app


def build_asgi(
    middleware: Iterable[Middleware],
    app: ASGIApplication,
    *,
    shared: Sequence[dict[str, object]] | None = None,
) -> ASGIApplication:
    """Return an ASGI application that runs the middleware, outermost first, around another.

    HTTP runs the hooks of all, a WebSocket handshake those of the middleware that declare ``websocket``, a lifespan
    ``on_start`` and ``on_stop``; other scopes pass.

    Args:
        middleware: Outermost first; an empty chain returns ``app`` itself.
        app: An ASGI 3 application.
        shared: For each middleware, what its place shares with other builds of it; ``None``: nothing.

    Raises:
        ConfigurationError: An item is not a WSGI+ASGI middleware.
    """
    group = build_group(middleware, "asgi", shared, app)
    return asgi.build(group, app) if group.http else app
