"""The engine that makes the adapters of a chain, found by name.

``builtin``, ``a2wsgi`` and ``asgiref`` are what `gateway.adapters.crossing` knows; an engine of a plug-in has the shape
of `gateway.plugins.Engine`. Packages are imported when an adapter is built, not when an engine is named.

An adapter *back* to ASGI, from a WSGI part that an ASGI server reached by another adapter, is a case of its own. The
application inside must run on the loop that ran its lifespan, the server's, and that lifespan must not be run twice. So
the adapter into WSGI notes the loop in the scope, and the one back finds it there.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

from gateway._starting import Reached, Reaching
from gateway.adapters.crossing import to_asgi, to_wsgi
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

_Direction: TypeAlias = Literal["wsgi_to_asgi", "asgi_to_wsgi"]
_DIRECTIONS: Final[tuple[_Direction, _Direction]] = ("wsgi_to_asgi", "asgi_to_wsgi")


@dataclass(frozen=True)
class _Known:
    """An engine that comes with the package; what it lacks, `gateway.adapters.crossing` says."""

    name: str

    def wsgi_to_asgi(self, app: WSGIApplication) -> ASGIApplication:
        return to_asgi(app, "wsgi", engine=self.name)

    def asgi_to_wsgi(self, app: ASGIApplication) -> WSGIApplication:
        return to_wsgi(app, "asgi", engine=self.name)


BUILTIN: Final = _Known("builtin")
A2WSGI: Final = _Known("a2wsgi")
ASGIREF: Final = _Known("asgiref")


@dataclass(frozen=True, kw_only=True)
class Crossings:
    """An engine under its name.

    Attributes:
        name: What the explanation calls it.
        engine: The engine; it may lack a direction.
    """

    name: str
    engine: object

    def wsgi_to_asgi(self, app: WSGIApplication, *, comes_back: bool = False) -> ASGIApplication:
        """Make an ASGI application of a WSGI one.

        Args:
            app: The application.
            comes_back: Further in there is an adapter back.
        """
        crossed = cast("ASGIApplication", self._cross("wsgi_to_asgi", app))
        return _NoteLoop(crossed) if comes_back else crossed

    def asgi_to_wsgi(self, app: ASGIApplication, *, back: bool = False) -> WSGIApplication:
        """Make a WSGI application of an ASGI one.

        Args:
            app: The application.
            back: An ASGI part stands outside, which runs the application's lifespan.
        """
        if not back:
            return cast("WSGIApplication", self._cross("asgi_to_wsgi", app))
        if self.engine is BUILTIN:
            return _Back(app)
        return cast("WSGIApplication", self._cross("asgi_to_wsgi", _WithoutLifespan(app)))

    def _cross(self, direction: _Direction, app: object) -> object:
        cross: Callable[[object], object] | None = getattr(self.engine, direction, None)
        if cross is None:
            raise ConfigurationError(
                f"engine={self.name!r} has no {direction}, which this chain needs under one kind of server; take "
                f"another engine, or middleware of the application's own interface"
            )
        made = cross(app)
        if not callable(made):
            raise ConfigurationError(f"engine={self.name!r}: {direction}(app) must give an application, got {made!r}")
        return made


def find(engine: str | Engine) -> Crossings:
    """Find an engine.

    Args:
        engine: ``builtin``, ``a2wsgi``, ``asgiref``, a plug-in's name, an import path, or an engine itself. What a
            plug-in or a path names may be an engine, or a class or function without arguments that makes one.

    Raises:
        ConfigurationError: There is none of that name, or it has neither direction.
    """
    found: object = load("engine", engine) if isinstance(engine, str) else engine
    if callable(found) and (isinstance(found, type) or not _is_engine(found)):
        try:
            found = found()
        except Exception as error:
            raise ConfigurationError(
                f"engine={engine!r} cannot be made: {reason(error)}; what makes an engine takes no arguments"
            ) from error
    if not _is_engine(found):
        raise ConfigurationError(
            f"an engine has wsgi_to_asgi(app), asgi_to_wsgi(app) or both, got {found!r} for engine={engine!r}"
        )
    return Crossings(name=engine if isinstance(engine, str) else type(found).__name__, engine=found)


def _is_engine(found: object) -> bool:
    return any(callable(getattr(found, direction, None)) for direction in _DIRECTIONS)


class _NoteLoop:
    """An adapter into WSGI that notes in the scope which loop it came from."""

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
    """The built-in adapter back to ASGI: on the loop that a request came from, without a lifespan."""

    def __init__(self, app: ASGIApplication) -> None:
        from gateway.adapters.asgi_to_wsgi import AsgiToWsgi

        self.app = app
        self._adapter = AsgiToWsgi
        # Where the loop is not asyncio's, the process's own one.
        self._elsewhere = AsgiToWsgi(app, lifespan="off")
        self._on: dict[asyncio.AbstractEventLoop, AsgiToWsgi] = {}
        self._lock = threading.Lock()

    def reached(self, interface: Literal["wsgi", "asgi"]) -> Iterable[Reached]:
        """Return the application, not the adapters around it: the loop outside runs its lifespan."""
        return [(self.app, "asgi")]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        loop: asyncio.AbstractEventLoop | None = environ.get("gateway.scope", {}).get(_LOOP)
        if loop is None:
            return self._elsewhere(environ, start_response)
        adapter = self._on.get(loop) or self._added(loop)
        return adapter(environ, start_response)

    def _added(self, loop: asyncio.AbstractEventLoop) -> AsgiToWsgi:
        """Take in a loop that was not seen before, and let go of those that have ended."""
        with self._lock:
            ended = [self._on.pop(known) for known in tuple(self._on) if known.is_closed()]
            adapter = self._on.setdefault(loop, self._adapter(self.app, loop=loop, lifespan="off"))
        for each in ended:
            each.close()
        return adapter


class _WithoutLifespan:
    """An application whose lifespan somebody else runs."""

    def __init__(self, app: ASGIApplication) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "lifespan":
            # What an application does that does not support the protocol (ASGI Lifespan 2.0).
            raise NotImplementedError("the lifespan of this application is run by the server, not by an adapter")
        await self.app(scope, receive, send)
