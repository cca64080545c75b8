"""Find the engine that makes the adapters of a chain, by name.

An engine is the implementation of the adapters. ``builtin``, ``a2wsgi`` and ``asgiref`` call
`gateway.adapters.crossing`; an engine of a plug-in implements `gateway.plugins.Engine`. Packages are imported when an
adapter is built, not when an engine is found.

An adapter *back* to ASGI is a special case: an ASGI server has called WSGI middleware through another adapter. The
inner application must run on the server's loop, which ran its lifespan, and the lifespan must not run twice. So the
adapter into WSGI stores the loop in the scope, and the adapter back reads it there.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from gateway._starting import Reached, Reaching
from gateway.adapters._options import ADAPTERS, NO_OPTIONS, Direction, spelled
from gateway.adapters.crossing import to_asgi, to_wsgi
from gateway.chain._planner import Colour
from gateway.errors import ConfigurationError
from gateway.plugins import Engine, load, reason
from gateway.protocols import (
    ASGIApplication,
    ASGIReceive,
    ASGISend,
    Environ,
    Scope,
    StartResponse,
    WSGIApplication,
)

if TYPE_CHECKING:
    from gateway.adapters.asgi_to_wsgi import AsgiToWsgi

__all__ = ["A2WSGI", "ASGIREF", "BUILTIN", "Crossings", "find"]

_LOOP: Final = "gateway.loop"

_DIRECTIONS: Final[tuple[Direction, ...]] = tuple(ADAPTERS)


@dataclass(frozen=True)
class _Known:
    """A bundled engine. `gateway.adapters.crossing` raises for directions that it does not support."""

    name: str

    def wsgi_to_asgi(self, app: WSGIApplication, **options: Any) -> ASGIApplication:
        return to_asgi(app, "wsgi", engine=self.name, **options)

    def asgi_to_wsgi(self, app: ASGIApplication, **options: Any) -> WSGIApplication:
        return to_wsgi(app, "asgi", engine=self.name, **options)


BUILTIN: Final = _Known("builtin")
A2WSGI: Final = _Known("a2wsgi")
ASGIREF: Final = _Known("asgiref")


@dataclass(frozen=True, kw_only=True)
class Crossings:
    """An engine, its name and its options.

    Attributes:
        name: Name in the explanation.
        engine: The engine; it may lack a direction.
        options: Options of the adapters, by name; empty unless the engine is the built-in one.
    """

    name: str
    engine: object
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def wsgi_to_asgi(
        self, app: WSGIApplication, *, comes_back: bool = False, gives_socket: bool = False
    ) -> ASGIApplication:
        """Make an ASGI application of a WSGI one.

        Args:
            app: The application.
            comes_back: Whether there is an adapter back to ASGI inside.
            gives_socket: Whether the application serves WebSockets itself; only for the built-in engine.
        """
        sockets = {"websockets": True} if gives_socket else {}
        crossed = cast("ASGIApplication", self._cross("wsgi_to_asgi", app, **sockets))
        return _NoteLoop(crossed) if comes_back else crossed

    def asgi_to_wsgi(self, app: ASGIApplication, *, back: bool = False) -> WSGIApplication:
        """Make a WSGI application of an ASGI one.

        Args:
            app: The application.
            back: Whether an ASGI part outside runs the application's lifespan.
        """
        if not back:
            return cast("WSGIApplication", self._cross("asgi_to_wsgi", app))
        if self.engine is BUILTIN:
            return _Back(app, self._options("asgi_to_wsgi"))
        return cast("WSGIApplication", self._cross("asgi_to_wsgi", _WithoutLifespan(app)))

    def check(self, lines: Iterable[Sequence[Colour]], *, holds_more: bool) -> None:
        """Check that each option has an adapter that takes it.

        Args:
            lines: For each kind of server, the interfaces from the server to the application.
            holds_more: Whether the application may contain further adapters.

        Raises:
            ConfigurationError: No line has an adapter for one of the options.
        """
        used = {f"{inner}_to_{outer}" for line in lines for outer, inner in pairwise(line) if outer != inner}
        for name, value in self.options.items():
            takers = {direction: adapter for direction, (adapter, names) in ADAPTERS.items() if name in names}
            if used.isdisjoint(takers):
                place = "; inside a Mount, set it on the Gateway of each application" if holds_more else ""
                raise ConfigurationError(
                    f"{spelled({name: value})} has no effect: it configures {' and '.join(takers.values())}, "
                    "and this chain needs no such adapter, neither under WSGI nor under ASGI servers; remove "
                    f"it{place}"
                )

    def _options(self, direction: Direction) -> dict[str, Any]:
        _, names = ADAPTERS[direction]
        return {name: value for name, value in self.options.items() if name in names}

    def _cross(self, direction: Direction, app: object, **more: Any) -> object:
        cross: Callable[..., object] | None = getattr(self.engine, direction, None)
        if cross is None:
            raise ConfigurationError(
                f"engine={self.name!r} has no {direction}, and this chain needs it under one kind of server; "
                "choose another engine, or use middleware of the application's own interface"
            )
        made = cross(app, **self._options(direction), **more)
        if not callable(made):
            raise ConfigurationError(f"engine={self.name!r}: {direction}(app) must return an application, got {made!r}")
        return made


def find(engine: str | Engine, options: Mapping[str, Any] = NO_OPTIONS) -> Crossings:
    """Find an engine.

    Args:
        engine: ``builtin``, ``a2wsgi``, ``asgiref``, a plug-in's name, an import path, or an engine object. A plug-in
            or a path may name an engine, or a class or function without arguments that makes an engine.
        options: Options of the built-in adapters.

    Raises:
        ConfigurationError: The name does not exist, the engine has neither direction, or options are given for an
            engine other than the built-in engine.
    """
    found: object = load("engine", engine) if isinstance(engine, str) else engine
    if callable(found) and (isinstance(found, type) or not _is_engine(found)):
        try:
            found = found()
        except Exception as error:
            raise ConfigurationError(
                f"engine={engine!r} could not be created: {reason(error)}; an engine is created without arguments"
            ) from error
    if not _is_engine(found):
        raise ConfigurationError(
            f"an engine must have wsgi_to_asgi(app), asgi_to_wsgi(app) or both, got {found!r} for engine={engine!r}"
        )
    name = engine if isinstance(engine, str) else type(found).__name__
    if options and found is not BUILTIN:
        raise ConfigurationError(
            f"{spelled(options)} needs engine='builtin', because it is an option of the built-in adapters; got "
            f"{name!r}: remove the option, or configure that engine itself"
        )
    return Crossings(name=name, engine=found, options=options)


def _is_engine(found: object) -> bool:
    return any(callable(getattr(found, direction, None)) for direction in _DIRECTIONS)


class _NoteLoop:
    """An adapter into WSGI that stores the running asyncio loop in the scope."""

    def __init__(self, app: ASGIApplication) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # trio
            await self.app(scope, receive, send)
            return
        await self.app({**scope, _LOOP: loop}, receive, send)


class _Back(Reaching):
    """The built-in adapter back to ASGI: it uses the loop that the request came from, and runs no lifespan."""

    def __init__(self, app: ASGIApplication, options: Mapping[str, Any]) -> None:
        from gateway.adapters.asgi_to_wsgi import AsgiToWsgi

        self.app = app
        self._adapter = AsgiToWsgi
        self._options: dict[str, Any] = {**options, "lifespan": "off"}
        # For requests without an asyncio loop (trio): this adapter uses the process's own loop.
        self._elsewhere = AsgiToWsgi(app, **self._options)
        self._on: dict[asyncio.AbstractEventLoop, AsgiToWsgi] = {}
        self._lock = threading.Lock()

    def reached(self, interface: Literal["wsgi", "asgi"]) -> Iterable[Reached]:
        """Return the application, not the adapters around it: the loop outside runs its lifespan."""
        return [(self.app, "asgi")]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        loop: asyncio.AbstractEventLoop | None = environ.get("gateway.scope", {}).get(_LOOP)
        if loop is None:
            return self._elsewhere(environ, start_response)
        # Hot path without the lock: reading a dict is atomic, and `_added` takes the lock for a new loop.
        adapter = self._on.get(loop) or self._added(loop)
        return adapter(environ, start_response)

    def _added(self, loop: asyncio.AbstractEventLoop) -> AsgiToWsgi:
        """Add an adapter for a new loop, and close the adapters of closed loops."""
        with self._lock:
            ended = [self._on.pop(known) for known in tuple(self._on) if known.is_closed()]
            options: dict[str, Any] = {**self._options, "loop": loop}
            adapter = self._on.setdefault(loop, self._adapter(self.app, **options))
        for each in ended:
            each.close()
        return adapter


class _WithoutLifespan:
    """An application whose lifespan other code runs."""

    def __init__(self, app: ASGIApplication) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "lifespan":
            # An application without lifespan support raises (ASGI Lifespan 2.0 "Scope").
            raise NotImplementedError("this application's lifespan is run by the server, not by an adapter")
        await self.app(scope, receive, send)
