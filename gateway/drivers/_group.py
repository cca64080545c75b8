"""A group of middleware, asked once for its hooks. No IO."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway._starting import Startup
from gateway.contract import BuildContext, Hooks, require_hooks, require_middleware

__all__ = ["Group", "build_group"]


@dataclass(frozen=True)
class Group:
    """The hooks of a group, outermost first.

    Attributes:
        http: The hooks of every middleware.
        websocket: The hooks of those that take part in WebSocket handshakes.
        startup: Startup of everything further in, if a middleware asked for it.
    """

    http: tuple[Hooks, ...]
    websocket: tuple[Hooks, ...]
    startup: Startup | None


def build_group(
    middleware: Iterable[object],
    interface: Literal["wsgi", "asgi"],
    shared: Sequence[dict[str, object]] | None = None,
    app: object = None,
) -> Group:
    """Ask each middleware for its hooks.

    Args:
        middleware: Outermost first.
        interface: Which interface the group runs in.
        shared: For each middleware, what its place in the chain shares with other builds of it.
        app: The application further in.

    Raises:
        ConfigurationError: An item is not a middleware, or its hooks cannot be called.
    """
    built: list[tuple[Hooks, bool]] = []
    items = tuple(middleware)
    startup = Startup(app, interface)
    for item, place in zip(items, shared or [{} for _ in items], strict=True):
        part = require_middleware(item)
        hooks = require_hooks(part.build(BuildContext(interface, place, startup)), type(part).__name__)
        built.append((hooks, part.websocket))
    return Group(
        http=tuple(hooks for hooks, _ in built),
        websocket=tuple(hooks for hooks, takes_part in built if takes_part),
        startup=startup if startup.wanted else None,
    )
