"""Check the application when an adapter is built, so that a wrong one is refused at once and not at each request.

The check looks at the arguments, because a call with wrong arguments fails. If the arguments fit both interfaces, the
user's choice of the adapter decides.
Sources: PEP 3333; ASGI 3.0 "Applications", "Legacy Applications".
"""

from __future__ import annotations

from typing import cast

import asgiref.compatibility

from gateway.dual import Dual
from gateway.errors import ConfigurationError
from gateway.protocols import (
    Application,
    ASGIApplication,
    WSGIApplication,
    accepts_arguments,
    detect,
    gives_coroutine,
)

__all__ = ["asgi_callable", "wsgi_callable"]


def wsgi_callable(app: WSGIApplication, adapter: str) -> WSGIApplication:
    """Return the WSGI application that an adapter wraps.

    Raises:
        ConfigurationError: It cannot be called with ``(environ, start_response)``, or it returns a coroutine.
    """
    if isinstance(app, Dual) or (accepts_arguments(app, 2) and not gives_coroutine(app)):
        return app
    raise ConfigurationError(
        f"{adapter} wraps a WSGI application, a plain callable of (environ, start_response); got {app!r}. An "
        "ASGI application needs no adapter under ASGI servers, and AsgiToWsgi under WSGI servers (PEP 3333)"
    )


def asgi_callable(app: ASGIApplication, adapter: str) -> ASGIApplication:
    """Return the ASGI 3 application that an adapter wraps; ``asgiref.compatibility`` converts an ASGI 2 application.

    Raises:
        ConfigurationError: It can be called neither with ``(scope, receive, send)`` nor as ASGI 2.
    """
    if isinstance(app, Dual):
        return app
    if _is_legacy(app):
        # asgiref's functions have no types.
        made = asgiref.compatibility.double_to_single_callable(app)  # type: ignore[no-untyped-call]
        return cast("ASGIApplication", made)
    if accepts_arguments(app, 3):
        return app
    raise ConfigurationError(
        f"{adapter} wraps an ASGI application, an async callable of (scope, receive, send); got {app!r}. A "
        "WSGI application needs no adapter under WSGI servers, and WsgiToAsgi under ASGI servers (ASGI 3.0, "
        "Applications)"
    )


def _is_legacy(app: Application) -> bool:
    try:
        return detect(app) == "asgi2"
    except ConfigurationError:
        return False
