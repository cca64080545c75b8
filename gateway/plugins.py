"""Plug-ins: engines, middleware and servers of other distributions, found by entry point.

| kind | entry-point group | object that the entry point names |
|---|---|---|
| ``engine`` | ``gateway.adapters`` | an `Engine`, or a callable without arguments that makes one |
| ``middleware`` | ``gateway.middleware`` | a `Middleware` class, or a factory of one |
| ``server`` | ``gateway.servers`` | a server, as `gateway.servers` describes one |

The built-ins of this package are in static tables. So they need no search at import, and no installed metadata, which a
zipped or frozen application lacks. Engines are in the table below. Middleware has the names that
`gateway.middleware` exports (``request_id`` for ``RequestId``; a preset under its own name). Servers are in the table
of `gateway.servers`. A plug-in cannot take the name of a built-in. Entry points are read when a name is looked up,
never in a request.

Source: PyPA entry points specification.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from gateway.errors import ConfigurationError
from gateway.protocols import ASGIApplication, WSGIApplication

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "Engine",
    "Kind",
    "Plugin",
    "available",
    "did_you_mean",
    "import_path",
    "load",
    "reason",
]

#: Kind of a plug-in; each kind has an entry-point group of its own.
Kind: TypeAlias = Literal["engine", "middleware", "server"]

_GROUPS: Mapping[Kind, str] = {
    "engine": "gateway.adapters",
    "middleware": "gateway.middleware",
    "server": "gateway.servers",
}

_ENGINES: Mapping[str, str] = {
    "builtin": "gateway.chain._engines:BUILTIN",
    "a2wsgi": "gateway.chain._engines:A2WSGI",
    "asgiref": "gateway.chain._engines:ASGIREF",
}
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


@runtime_checkable
class Engine(Protocol):
    """An implementation of the adapters.

    An engine with one direction only omits the other method; a chain that needs that method raises when built.
    """

    def wsgi_to_asgi(self, app: WSGIApplication) -> ASGIApplication:
        """Make an ASGI application of a WSGI one."""
        ...

    def asgi_to_wsgi(self, app: ASGIApplication) -> WSGIApplication:
        """Make a WSGI application of an ASGI one."""
        ...


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A name that users can write, and its origin.

    Attributes:
        name: The name.
        path: Import path, ``module:attribute``.
        distribution: Name and version of the distribution that installs it; ``None`` for a built-in.
    """

    name: str
    path: str
    distribution: str | None = None

    def load(self) -> object:
        """Import the object at the path.

        Raises:
            ConfigurationError: The import fails.
        """
        try:
            return import_path(self.path)
        except ConfigurationError as error:
            if self.distribution is None:
                raise
            raise ConfigurationError(f"plug-in {self.name!r} of {self.distribution}: {error}") from error


def available(kind: Kind) -> dict[str, Plugin]:
    """List the names of a kind: built-ins first, then plug-ins in the order of their names.

    Raises:
        ConfigurationError: Two distributions provide different objects under the same name.
    """
    from importlib.metadata import entry_points  # slow to import, and most programs name built-ins only

    found = {name: Plugin(name=name, path=path) for name, path in _builtin(kind).items()}
    builtin = frozenset(found)
    for entry in sorted(entry_points(group=_GROUPS[kind]), key=lambda entry: entry.name):
        plugin = Plugin(name=entry.name, path=entry.value.replace(" ", ""), distribution=_distribution(entry))
        if entry.name in builtin:
            continue
        other = found.get(entry.name)
        if other is not None and other != plugin:
            raise ConfigurationError(
                f"two distributions provide the {kind} {entry.name!r}: {other.distribution} and "
                f"{plugin.distribution}; uninstall one, or write the import path {plugin.path!r} instead"
            )
        found[entry.name] = plugin
    return found


def load(kind: Kind, name: str) -> object:
    """Import the engine, middleware or server of that name.

    Args:
        kind: Kind of the object.
        name: Name of a built-in or a plug-in, or an import path ``module:attribute``.

    Raises:
        ConfigurationError: The name does not exist, or the import fails.
    """
    # Built-ins and import paths first, because reading entry points is slow.
    builtin = _builtin(kind).get(name)
    if builtin is not None:
        return import_path(builtin)
    if ":" in name:
        return import_path(name)
    plugins = available(kind)
    if name not in plugins:
        known = ", ".join(map(repr, plugins)) or "an import path, because no plug-in is installed"
        raise ConfigurationError(
            f"{kind} must be one of {known}, got {name!r}{did_you_mean(name, plugins)}; install a package "
            f"with an entry point in the group {_GROUPS[kind]!r}, or write an import path 'module:attribute'"
        )
    return plugins[name].load()


def import_path(path: str) -> object:
    """Import ``module:attribute``; the attribute may have dots.

    Raises:
        ConfigurationError: The path has another form, the import fails, or the attribute does not exist.
        SyntaxError: The module has a syntax error.
    """
    name, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in (*name.split("."), *attribute.split("."))):
        raise ConfigurationError(
            f"an import path must have the form 'module:attribute', two dotted names; got {path!r}"
        )
    try:
        target: object = import_module(name)
    except (ConfigurationError, SyntaxError):  # Gunicorn recovers from a SyntaxError at a reload
        raise
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{path!r}: no module named {error.name!r}; is it installed, and is its folder on the import path?"
        ) from error
    except Exception as error:
        raise ConfigurationError(f"{path!r}: importing {name!r} raised {reason(error)}") from error
    for part in attribute.split("."):
        try:
            target = getattr(target, part)
        except AttributeError as error:
            public = [each for each in dir(target) if not each.startswith("_")]
            raise ConfigurationError(
                f"{path!r}: {name!r} has no attribute {attribute!r}{did_you_mean(part, public)}"
            ) from error
    return target


def did_you_mean(name: str, possible: Iterable[str]) -> str:
    """Suggest the nearest name, as the middle of a sentence; empty if no name is near."""
    from difflib import get_close_matches  # only errors need it, so not imported with the module

    near = get_close_matches(name, list(possible), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def reason(error: BaseException) -> str:
    """Describe an exception in one line: its type and its message."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _builtin(kind: Kind) -> Mapping[str, str]:
    if kind == "engine":
        return _ENGINES
    if kind == "server":
        return {}
    exported: Iterable[str] = getattr(import_module("gateway.middleware"), "__all__", ())
    return {_CAPITAL.sub("_", name).lower(): f"gateway.middleware:{name}" for name in exported}


def _distribution(entry: EntryPoint) -> str:
    distribution = entry.dist
    return "an unknown distribution" if distribution is None else f"{distribution.name} {distribution.version}"
