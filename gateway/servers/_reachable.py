"""What is reachable from an application object: its chain, mounted applications, and what those wrap.

Whoever starts or judges a server looks here for middleware that the server has to make room for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from gateway._conditions import Conditional
from gateway.application import Gateway
from gateway.contract import Middleware
from gateway.middleware.proxy_headers import ProxyHeaders
from gateway.mount import Mount

if TYPE_CHECKING:
    from gateway.protocols import Application

__all__ = ["applications", "middleware", "reads_forwarded"]


def applications(app: object) -> Iterator[object]:
    """Return the application and every one inside it, outermost first.

    ``Gateway`` and the adapters hold theirs as ``app``, Flask as ``wsgi_app``, a `Mount` has several.
    """
    waiting, seen = [app], set[int]()
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen or found is None:
            continue
        seen.add(id(found))
        yield found
        if isinstance(found, Mount):
            # Not `gateways`, which has one application once: at another place it may have another chain.
            waiting += [*(entry.gateway for entry in found._entries), found.default]
        elif not isinstance(found, type):  # an ASGI 2 application is a class
            waiting += [vars(found)[name] for name in ("app", "wsgi_app") if name in getattr(found, "__dict__", ())]


def middleware(app: object) -> Iterator[Middleware]:
    """Return every middleware of the chains inside, without the conditions around them."""
    for found in applications(app):
        for item in cast("Gateway[Application]", found).middleware if isinstance(found, Gateway) else ():
            inner = item
            while isinstance(inner, Conditional):
                inner = inner.inner
            if isinstance(inner, Middleware):
                yield inner


def reads_forwarded(app: object) -> bool:
    """Tell whether a chain inside has `ProxyHeaders`; a server that read the headers first would hide the proxy."""
    return any(isinstance(each, ProxyHeaders) for each in middleware(app))
