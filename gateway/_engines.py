"""Whose adapters carry the crossings of a chain: an engine, found by name.

``builtin``, ``a2wsgi`` and ``asgiref`` are what `gateway.adapters.crossing` knows; an engine of a plug-in has the shape
of `gateway.plugins.Engine`. Packages are imported when a crossing is built, not when an engine is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from gateway.adapters.crossing import to_asgi, to_wsgi
from gateway.errors import ConfigurationError
from gateway.plugins import Engine, load
from gateway.protocols import ASGIApplication, WSGIApplication

__all__ = ["A2WSGI", "ASGIREF", "BUILTIN", "Crossings", "find"]

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

    def wsgi_to_asgi(self, app: WSGIApplication) -> ASGIApplication:
        """Make an ASGI application of a WSGI one."""
        return cast("ASGIApplication", self._cross("wsgi_to_asgi", app))

    def asgi_to_wsgi(self, app: ASGIApplication) -> WSGIApplication:
        """Make a WSGI application of an ASGI one."""
        return cast("WSGIApplication", self._cross("asgi_to_wsgi", app))

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
        found = found()
    if not _is_engine(found):
        raise ConfigurationError(
            f"an engine has wsgi_to_asgi(app), asgi_to_wsgi(app) or both, got {found!r} for engine={engine!r}"
        )
    return Crossings(name=engine if isinstance(engine, str) else type(found).__name__, engine=found)


def _is_engine(found: object) -> bool:
    return any(callable(getattr(found, direction, None)) for direction in _DIRECTIONS)
