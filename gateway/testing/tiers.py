"""The tiers in one process: the adapters between a client and the application under test.

``direct``: no adapter. ``adapted``: one adapter, so a client drives a WSGI application as ASGI, and an ASGI application
as WSGI. ``roundtrip``: an adapter and its counterpart. Each boundary has its own check, so a check finds a violation on
the side that made it. The pytest plugin has the tiers with servers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast, get_args

from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from gateway.errors import ConfigurationError
from gateway.protocols import Application, ASGIApplication, Interface, WSGIApplication

__all__ = ["Crossed", "Tier", "Unsupported", "cross"]

Tier = Literal["direct", "adapted", "roundtrip"]


class Unsupported(ConfigurationError):
    """The tier, the interface or the server under test does not support the test; the message has the reason.

    The pytest plugin turns it into a skip with that reason.
    """


@dataclass(frozen=True)
class Crossed:
    """An application behind the adapters of a tier, and a function that closes them."""

    app: Application
    interface: Interface
    close: Callable[[], None] | None = None


def cross(
    app: Application,
    interface: Interface,
    tier: Tier,
    check: Callable[[Application, Interface], Application] = lambda app, interface: app,
    *,
    lifespan: bool = True,
    timeout: float | None = None,
) -> Crossed:
    """Wrap an application in the adapters of a tier, which keep its chunks; ``check`` wraps it at every boundary.

    Args:
        app: The application.
        interface: Interface of the application, ``wsgi`` or ``asgi``.
        tier: Name of the tier.
        check: Function that takes an application and its interface, and returns the application to call instead.
        lifespan: Whether the adapter runs an ASGI application's lifespan.
        timeout: Seconds that the startup may take.

    Raises:
        ConfigurationError: The tier does not exist.
    """
    if tier not in get_args(Tier):
        raise ConfigurationError(f"tier must be one of {', '.join(get_args(Tier))}; got {tier!r}")
    app = check(app, interface)
    close: Callable[[], None] | None = None
    for _ in range({"direct": 0, "adapted": 1, "roundtrip": 2}[tier]):
        # `interface` is the kind of the application, which its type does not show.
        if interface == "wsgi":
            outer: Application = WsgiToAsgi(cast(WSGIApplication, app), coalesce=False)
            interface = "asgi"
        else:
            to_wsgi = AsgiToWsgi(
                cast(ASGIApplication, app),
                coalesce=False,
                lifespan="auto" if lifespan else "off",
                startup_timeout=timeout,
                shutdown_timeout=timeout,
            )
            outer, close, interface = to_wsgi, to_wsgi.close, "wsgi"
        app = check(outer, interface)
    return Crossed(app, interface, close)
