"""The client whose requests ``gateway check`` sends, and whether these requests reach the application.

A chain may refuse a request before the application sees it. ``TrustedHost`` does so for an unknown host, and
``HttpsRedirect`` for plain HTTP. A check of that refusal finds nothing about the application. So the check uses a host
that the chain allows, and https if the chain demands it. It also records the paths that reach the application.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import cast

from gateway.application import Gateway
from gateway.chain import ChainWarning
from gateway.chain._conditions import Conditional
from gateway.dual import Dual
from gateway.middleware.https_redirect import HttpsRedirect
from gateway.middleware.trusted_host import TrustedHost
from gateway.protocols import Application, ASGIReceive, ASGISend, Environ, Interface, Scope, StartResponse, is_proxy

__all__ = ["host_for", "scheme_for", "watched"]

_HOST = "localhost"


def host_for(app: object) -> str:
    """Return a host that the chain of an application allows; ``localhost`` if it allows any."""
    for item in _chain(app):
        if isinstance(item, TrustedHost) and _HOST not in item.allowed and "*" not in item.allowed:
            return item.allowed[0].replace("*.", "www.")
    return _HOST


def scheme_for(app: object) -> str:
    """Return ``https`` if the chain of an application redirects plain HTTP, else ``http``."""
    return "https" if any(isinstance(item, HttpsRedirect) for item in _chain(app)) else "http"


def watched(app: Application, interface: Interface) -> tuple[Application, set[str] | None]:
    """Return a new `Gateway` around the application of this one, with a function that records each path.

    Args:
        app: The application of the check.
        interface: Its interface.

    Returns:
        The application to check, and the set of the paths that reach the application inside. The set is None for a
        plain application, which every request reaches, and for a `Mount`, whose own 404 is a correct response.
    """
    given: object = app
    if not isinstance(given, Gateway) or is_proxy(cast("object", given)):
        return app, None
    gateway = cast("Gateway[Application]", given)
    inside, _, middleware, websockets = gateway._flattened()
    threads, adapter = gateway._adapter_options()
    if not middleware or isinstance(inside, Dual) or interface not in ("wsgi", "asgi"):
        return gateway, None
    reached: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChainWarning)  # the application's own chain has already raised it
        around = Gateway(
            _noting(inside, interface, reached),
            interface,
            middleware,
            engine=gateway.engine,
            max_adapters=gateway.max_adapters,
            websockets=websockets,
            websocket_app=gateway._for_websockets(),
            threads=threads,
            adapter=adapter,
        )
    return around, reached


def _noting(app: Application, interface: Interface, reached: set[str]) -> Application:
    if interface == "wsgi":

        def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
            reached.add(path.encode("latin-1").decode("utf-8", "replace"))
            return app(environ, start_response)  # type: ignore[call-arg, return-value]

        return wsgi

    async def asgi(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "http":
            reached.add(scope["path"])
        await app(scope, receive, send)  # type: ignore[call-arg, arg-type, misc]

    return asgi


def _chain(app: object) -> Iterator[object]:
    """Find the middleware of a `Gateway`, outermost first, without the conditions around them."""
    if isinstance(app, Gateway):
        for item in cast("Gateway[Application]", app)._flattened()[2]:
            while isinstance(item, Conditional):
                item = item.inner
            yield item
