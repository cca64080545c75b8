"""What a driver is built from: the middleware of a segment, asked once for its hooks.

No IO. Everything that can be decided before the first request is decided here.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway._starting import Startup
from gateway.contract import BuildContext, FlowHooks, Hooks, hook, require_hooks, require_middleware

__all__ = ["Segment", "build_segment"]


@dataclass(frozen=True)
class Segment:
    """The hooks of a segment, outermost first.

    Attributes:
        http: The hooks of every middleware.
        websocket: The hooks of those that take part in WebSocket handshakes.
        keeps_length: Whether no request transform changes how long a request body is.
        startup: Start of everything further in, if a middleware asked for it.
        touches_bodies: Whether a response body may be transformed; a generator that asks for nothing does not.
    """

    http: tuple[Hooks, ...]
    websocket: tuple[Hooks, ...]
    keeps_length: bool
    startup: Startup | None
    touches_bodies: bool

    def defines(self, name: str) -> bool:
        """Return whether any of the hooks is defined; constant headers count as ``on_response``."""
        if name == "on_response" and any(hooks.constant_headers for hooks in self.http):
            return True
        return any(hook(hooks, name) is not None for hooks in self.http)

    @property
    def defers(self) -> bool:
        """Whether a WSGI head waits for the first chunk: a generator may look at the body, an error may replace it."""
        return any(_defers(hooks) for hooks in self.http)


def _defers(hooks: Hooks) -> bool:
    if any(hook(hooks, name) is not None for name in ("on_body", "on_error", "on_request_body")):
        return True
    response = hook(hooks, "on_response")
    return response is not None and inspect.isgeneratorfunction(response)


def is_simple_flow(hooks: Hooks) -> bool:
    """Return whether hooks are a generator whose only effects are bare yields: it does no IO, no peek, no reply.

    ``yield from`` is the only way to ask for anything else, so its absence in the code says so.
    """
    if type(hooks) is not FlowHooks:
        return False
    code = getattr(hooks.function, "__code__", None)
    return code is not None and all(step.opname != "GET_YIELD_FROM_ITER" for step in dis.get_instructions(code))


def build_segment(
    middleware: Iterable[object],
    interface: Literal["wsgi", "asgi"],
    shared: Sequence[dict[str, object]] | None = None,
    app: object = None,
) -> Segment:
    """Ask each middleware for its hooks.

    Args:
        middleware: Outermost first.
        interface: Which interface the segment runs in.
        shared: For each middleware, what its place in the chain shares with other builds of it.
        app: The application further in.

    Raises:
        ConfigurationError: An item is no middleware, or its hooks cannot be called.
    """
    built: list[tuple[Hooks, bool]] = []
    items = tuple(middleware)
    startup = Startup(app, interface)
    for item, place in zip(items, shared or [{} for _ in items], strict=True):
        part = require_middleware(item)
        hooks = require_hooks(part.build(BuildContext(interface, place, startup)), type(part).__name__)
        built.append((hooks, part.websocket))
    return Segment(
        http=tuple(hooks for hooks, _ in built),
        websocket=tuple(hooks for hooks, takes_part in built if takes_part),
        startup=startup if startup.wanted else None,
        touches_bodies=any(hook(hooks, "on_body") is not None and not is_simple_flow(hooks) for hooks, _ in built),
        keeps_length=all(hook(hooks, "on_request_body") is None or hooks.keeps_request_length for hooks, _ in built),
    )
