"""Find the applications that an application object may call, and the middleware of their chains.

A command that starts or judges a server looks here for middleware that the server has to make room for. The walk of
:func:`reachable` finds the objects. It does not see the middleware of a chain, because a chain is compiled. So this
module reads the middleware of each ``Gateway``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from gateway._starting import reachable
from gateway.application import Gateway
from gateway.chain._conditions import unconditional
from gateway.contract import Middleware
from gateway.middleware.proxy_headers import ProxyHeaders

if TYPE_CHECKING:
    from gateway.protocols import Application

__all__ = ["applications", "gateways", "middleware", "reads_forwarded"]


def applications(app: object) -> Iterator[object]:
    """Yield the application and each object that it may call in either interface, the outer ones first."""
    waiting, seen, kept = [app], set[int](), list[object]()
    for outer in waiting:
        for interface in ("wsgi", "asgi"):
            for found in reachable(outer, interface):
                if id(found) in seen:
                    continue
                seen.add(id(found))
                kept.append(found)  # a freed object could give its id to another one, which would look seen
                yield found
                # Use the real type, because reading a proxy's `__class__` may create the object that it wraps.
                if issubclass(type(found), Gateway):
                    waiting.append(cast("Gateway[Application]", found).app)


def gateways(app: object) -> Iterator[Gateway[Application]]:
    """Yield every ``Gateway`` among the `applications`."""
    for found in applications(app):
        if issubclass(type(found), Gateway):
            yield cast("Gateway[Application]", found)


def middleware(app: object) -> Iterator[Middleware]:
    """Yield every middleware of the chains inside, without the conditions around them."""
    for gateway in gateways(app):
        for item in gateway.middleware:
            inner = unconditional(item)
            if isinstance(inner, Middleware):
                yield inner


def reads_forwarded(app: object) -> bool:
    """Tell whether a chain inside has `ProxyHeaders`: a server that reads the headers first would hide the proxy."""
    return any(isinstance(each, ProxyHeaders) for each in middleware(app))
