"""The tiers of one process: what stands between a client and the application under test.

``direct``: nothing. ``adapted``: one adapter, so a WSGI application is driven as ASGI and the reverse. ``roundtrip``:
an adapter and its counter-adapter. Each boundary gets its own check, so a violation is found on the side that made it.
Server tiers are the pytest plugin's.
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
    """The tier, the interface or the server under test cannot do what the test asks for, and says why.

    The pytest plugin turns it into a skip with that reason.
    """


@dataclass(frozen=True)
class Crossed:
    """An application behind the adapters of a tier, and what to call when it is not needed any more."""

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
    """Put an application behind the adapters of a tier, which keep its chunks; ``check`` wraps it at every boundary.

    Args:
        app: The application.
        interface: ``wsgi`` or ``asgi``: what it speaks.
        tier: Which tier.
        check: Gets an application and its interface, returns what is to be called instead.
        lifespan: Whether an ASGI application's lifespan is run by the adapter before it.
        timeout: Seconds that its startup may take.

    Raises:
        ConfigurationError: There is no such tier.
    """
    if tier not in get_args(Tier):
        raise ConfigurationError(f"tier must be one of {', '.join(get_args(Tier))}; got {tier!r}")
    app = check(app, interface)
    close: Callable[[], None] | None = None
    for _ in range({"direct": 0, "adapted": 1, "roundtrip": 2}[tier]):
        # `interface` says which kind of application it is, which a type cannot.
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
