"""Build a ``Gateway`` from a file: ``[tool.gateway]`` in ``pyproject.toml``, or ``gateway.toml``.

``gateway.toml`` has the same keys, without the table ``[tool.gateway]``::

    [tool.gateway]
    application = "shop.web:app"        # module, module:attribute, or module:factory("x")
    app_dir = "src"                     # folder to import from; the file's own folder by default
    interface = "wsgi"                  # only if detection fails
    engine = "builtin"
    max_adapters = 2
    websockets = false                  # serve WebSockets where the application needs a socket for them
    threads = 40                        # for a WSGI application under ASGI servers
    adapter = { queue = 100 }           # further options of the adapters, see gateway.AdapterOptions
    server = "gunicorn"                 # or { name = "gunicorn", bind = "127.0.0.1:8000", workers = 2 }

    [[tool.gateway.middleware]]         # outermost first
    use = "request_id"                  # name of a built-in or a plug-in, or an import path
    options = { header = "x-request-id" }

    [[tool.gateway.middleware]]
    use = "rate_limit"
    options = { limits = "100/minute", key = "shop.limits:by_user" }  # a function, by import string

    [[tool.gateway.middleware]]
    use = "whitenoise:WhiteNoise"       # third-party middleware needs its interface
    interface = "wsgi"
    safe_to_skip = true
    options = { root = "static" }
    unless = ["/api"]                   # path prefixes; or `when`

    [tool.gateway.deploy]               # numbers of the deployment, see gateway.hazards.Numbers
    hosts = ["example.com"]
    longest_request = 25                # seconds

Keys and types are checked before anything is imported, and the options of a middleware when it is imported. The error
for an unknown key names the file, the key, the value found and the possible values. The file does not support
environment variables, includes or interpolation, so that it shows exactly the configuration that runs.

(Above 400 lines: the keys, their checks and the objects made from them are read together.)

Sources: PEP 518 (``[tool]`` tables); TOML 1.0.
"""

from __future__ import annotations

import inspect
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeGuard, cast

from gateway._file_options import from_file
from gateway._load import load as load_target
from gateway.adapters._options import AdapterOptions
from gateway.application import Gateway
from gateway.chain import ChainItem, asgi_only, path_in, unless, when, wsgi_only
from gateway.chain._items import ThirdParty, checked
from gateway.contract import FlowFactory, Middleware
from gateway.errors import ConfigurationError
from gateway.plugins import did_you_mean, reason
from gateway.plugins import load as load_plugin
from gateway.protocols import Application, check_interface, detect, is_factory

__all__ = ["Config", "MiddlewareConfig", "ServerConfig", "find", "load", "read"]

FILES: Final = ("gateway.toml", "pyproject.toml")

_TOP: Final[Mapping[str, str]] = {
    "application": "string",
    "app_dir": "string",
    "interface": "string",
    "engine": "string",
    "max_adapters": "number",
    "websockets": "true or false",
    "websocket_app": "string",
    "threads": "number",
    "adapter": "table",
    "server": "string or table",
    "middleware": "list of tables",
    "deploy": "table",
}
_ADAPTER: Final[Mapping[str, str]] = {
    "queue": "number",
    "inline": "true or false",
    "thread_sensitive": "true or false",
    "prefetch_bytes": "number",
    "buffer_bytes": "number",
    "websocket_threads": "number",
    "coalesce": "true or false",
    "loop": "string",
    "lifespan": "string",
    "startup_timeout": "number or fraction",
    "shutdown_timeout": "number or fraction",
    "drain_timeout": "number or fraction",
}
_SERVER: Final[Mapping[str, str]] = {
    "name": "string",
    "bind": "string",
    "workers": "number",
    "threads": "number",
    "arguments": "list of strings",
}
_MIDDLEWARE: Final[Mapping[str, str]] = {
    "use": "string",
    "interface": "string",
    "options": "table",
    "safe_to_skip": "true or false",
    "when": "list of strings",
    "unless": "list of strings",
}


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """The server that ``gateway run`` starts; None leaves a choice to ``gateway run``."""

    name: str | None = None
    bind: str | None = None
    workers: int | None = None
    threads: int | None = None
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MiddlewareConfig:
    """One entry of the chain, as written in the file."""

    use: str
    interface: str | None = None
    options: Mapping[str, object] = field(default_factory=dict[str, object])
    safe_to_skip: bool = False
    when: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Config:
    """Content of a file, read and checked; nothing is imported yet.

    Attributes:
        file: Path of the file.
        application: Import string of the application.
        app_dir: Folder to import from.
        interface: Interface of the application; None to detect it.
        engine: The engine that makes the adapters.
        max_adapters: Maximum number of adapters in the chain.
        websockets: Whether WebSockets are served where the application needs a socket for them.
        websocket_app: Import string of the application for WebSockets, if it is another one.
        threads: Maximum number of requests that a WSGI application runs at once under ASGI servers.
        adapter: Further options of the adapters.
        server: The server to start.
        middleware: The chain, outermost first.
        deploy: Numbers of the deployment, for ``gateway generate`` and ``gateway check``.
    """

    file: Path
    application: str
    app_dir: Path
    interface: str | None = None
    engine: str = "builtin"
    max_adapters: int = 2
    websockets: bool = False
    websocket_app: str | None = None
    threads: int | None = None
    adapter: AdapterOptions | None = None
    server: ServerConfig = ServerConfig()
    middleware: tuple[MiddlewareConfig, ...] = ()
    deploy: Mapping[str, object] = field(default_factory=dict[str, object])

    def at(self, key: str) -> AbstractContextManager[None]:
        """Return a context manager that adds this file and key to each ConfigurationError raised inside."""
        return _Place(self.file, key)

    def build(self) -> Gateway[Application]:
        """Import application and chain, and compose them.

        The application's folder is inserted at the front of ``sys.path`` and stays there, because applications import
        lazily.

        Raises:
            ConfigurationError: An import fails, an option does not exist, or the chain is not valid.
        """
        folder = str(self.app_dir)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        with _Place(self.file, "application"):
            app = _application(self.application, self.interface)
        websocket_app = None
        if self.websocket_app is not None:
            with _Place(self.file, "websocket_app"):
                websocket_app = _application(self.websocket_app, None)
        items: list[object] = []
        for index, entry in enumerate(self.middleware):
            place = f"middleware[{index}]"
            with _Place(self.file, place):
                items += _items(entry, place)
        with _Place(self.file, ""):
            interface = None if self.interface is None else check_interface(self.interface)
            return Gateway(
                app,
                interface,
                items,
                engine=self.engine,
                max_adapters=self.max_adapters,
                websockets=self.websockets,
                websocket_app=websocket_app,
                threads=self.threads,
                adapter=self.adapter,
            )


def find(start: Path | None = None) -> Path | None:
    """Find the configuration file of a folder: ``gateway.toml``, or a ``pyproject.toml`` that has ``[tool.gateway]``.

    Args:
        start: The folder; the current folder by default. Its parents are not searched.
    """
    folder = Path.cwd() if start is None else start
    for name in FILES:
        file = folder / name
        if file.is_file() and (name == "gateway.toml" or _table(file) is not None):
            return file
    return None


def load(file: Path | str | None = None) -> Gateway[Application]:
    """Read a file and build its gateway.

    Args:
        file: Path of the file; found in the current folder by default.

    Raises:
        ConfigurationError: The file does not exist, or is wrong.
    """
    found = find() if file is None else Path(file)
    if found is None:
        raise ConfigurationError(
            f"no configuration found: {Path.cwd()} has neither gateway.toml nor a pyproject.toml with [tool.gateway]"
        )
    return read(found).build()


def read(file: Path) -> Config:
    """Read and check a file, without importing anything that it names.

    Raises:
        ConfigurationError: The file cannot be read, is not valid TOML, or has a key or a value that is not allowed.
    """
    table = _table(file)
    if table is None:
        raise ConfigurationError(f"{file}: has no table [tool.gateway]; add it")
    with _Place(file, ""):
        top = _checked(table, _TOP, "")
        application = top.get("application")
        if not isinstance(application, str):
            raise ConfigurationError("the key application is missing; write for example application = 'module:app'")
        entries = cast("list[Mapping[str, object]]", top.get("middleware", []))  # checked: a list of tables
        return Config(
            file=file,
            application=application,
            app_dir=_folder(file, str(top.get("app_dir", "."))),
            interface=_interface(top),
            engine=str(top.get("engine", "builtin")),
            max_adapters=cast("int", _least(top, "max_adapters", 0, 2)),  # it has a default
            websockets=bool(top.get("websockets", False)),
            websocket_app=cast("str | None", top.get("websocket_app")),  # checked: a string
            threads=_least(top, "threads", 1, None),
            adapter=_adapter(top),
            server=_server(top.get("server", {})),
            middleware=tuple(_entry(entry, f"middleware[{index}]") for index, entry in enumerate(entries)),
            deploy=cast("Mapping[str, object]", top.get("deploy", {})),  # checked: a table
        )


class _Place(AbstractContextManager[None]):
    """Add the file and the key to an error raised inside."""

    def __init__(self, file: Path, key: str) -> None:
        self.place = f"{file}: {key}: " if key else f"{file}: "

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, ConfigurationError):
            raise ConfigurationError(f"{self.place}{error}") from error
        if error is not None:  # raised by the user's code: keep its type, because servers act on it
            error.add_note(self.place.removesuffix(": "))


class _Key(_Place):
    """Add the key to an error; an outer ``_Place`` adds the file."""

    def __init__(self, key: str) -> None:
        self.place = f"{key}: "


def _table(file: Path) -> Mapping[str, object] | None:
    """Return the table of the gateway; None if a ``pyproject.toml`` does not have it."""
    try:
        whole: Mapping[str, object] = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read: {reason(error)}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file}: is not valid TOML: {error}") from error
    if file.name != "pyproject.toml":
        return whole
    tool = whole.get("tool")
    table = tool.get("gateway") if _is_table(tool) else None
    if table is not None and not _is_table(table):
        raise ConfigurationError(f"{file}: tool.gateway must be a table, found {table!r}")
    return table


def _checked(table: Mapping[str, object], schema: Mapping[str, str], place: str) -> Mapping[str, object]:
    """Check keys and types against a schema."""
    prefix = f"{place}." if place else ""
    for key, value in table.items():
        if key not in schema:
            hint = " (only pyproject.toml has the table [tool.gateway])" if prefix + key == "tool" else ""
            raise ConfigurationError(
                f"unknown key {prefix}{key}{did_you_mean(key, schema)}{hint}; possible keys: {', '.join(schema)}"
            )
        if not _TYPES[schema[key]](value):
            raise ConfigurationError(f"{prefix}{key} must be {_ARTICLES[schema[key]]}, found {value!r}")
    return table


def _interface(top: Mapping[str, object]) -> str | None:
    interface = top.get("interface")
    if interface not in (None, "wsgi", "asgi", "asgi2"):  # Gateway does not wrap RSGI applications
        raise ConfigurationError(f"interface must be 'wsgi', 'asgi' or 'asgi2', found {interface!r}")
    return None if interface is None else str(interface)


def _folder(file: Path, name: str) -> Path:
    folder = (file.parent / name).resolve()
    if not folder.is_dir():
        raise ConfigurationError(
            f"app_dir must be a folder, relative to the file, found {name!r}, which does not exist"
        )
    return folder


def _least(table: Mapping[str, object], key: str, least: int, default: int | None, place: str = "") -> int | None:
    value = cast("int | None", table.get(key, default))  # checked: a number
    if value is not None and value < least:
        raise ConfigurationError(f"{place}{key} must be {least} or more, found {value!r}")
    return value


def _adapter(top: Mapping[str, object]) -> AdapterOptions | None:
    if "adapter" not in top:
        return None
    table = _checked(cast("Mapping[str, object]", top["adapter"]), _ADAPTER, "adapter")  # checked: a table
    with _Key("adapter"):
        return AdapterOptions(**cast("dict[str, Any]", table))  # the types are checked


def _server(value: object) -> ServerConfig:
    if isinstance(value, str):
        return ServerConfig(name=value)
    table = _checked(cast("Mapping[str, object]", value), _SERVER, "server")  # checked: a table
    return ServerConfig(
        name=cast("str | None", table.get("name")),  # checked, like the values below
        bind=cast("str | None", table.get("bind")),
        workers=_least(table, "workers", 1, None, "server."),
        threads=_least(table, "threads", 1, None, "server."),
        arguments=tuple(cast("list[str]", table.get("arguments", []))),
    )


def _entry(entry: Mapping[str, object], place: str) -> MiddlewareConfig:
    table = _checked(entry, _MIDDLEWARE, place)
    use = table.get("use")
    if not isinstance(use, str):
        raise ConfigurationError(f"the key {place}.use is missing; it names the middleware")
    if "when" in table and "unless" in table:
        raise ConfigurationError(
            f"{place} has both when and unless; it may have only one of them. Put the second condition into "
            "another entry"
        )
    interface = table.get("interface")
    if interface not in (None, "wsgi", "asgi"):
        raise ConfigurationError(f"{place}.interface must be 'wsgi' or 'asgi', found {interface!r}")
    if interface != "wsgi" and "safe_to_skip" in table:
        raise ConfigurationError(f"{place}.safe_to_skip only applies to third-party middleware with interface = 'wsgi'")
    return MiddlewareConfig(
        use=use,
        interface=None if interface is None else str(interface),
        options=cast("Mapping[str, object]", table.get("options", {})),  # checked: a table
        safe_to_skip=bool(table.get("safe_to_skip", False)),
        when=_prefixes(table, "when", place),
        unless=_prefixes(table, "unless", place),
    )


def _prefixes(table: Mapping[str, object], key: str, place: str) -> tuple[str, ...]:
    if key not in table:
        return ()
    prefixes = tuple(cast("list[str]", table[key]))  # checked: a list of strings
    with _Key(f"{place}.{key}"):
        path_in(*prefixes)
    return prefixes


def _application(text: str, interface: str | None) -> Application:
    """Import the application that an import string names."""
    target, made = load_target(text)
    if not callable(made):
        raise ConfigurationError(f"{target} must be an application, found {made!r}")
    if interface is None and not target.call and is_factory(made):
        raise ConfigurationError(f"{target} is a function that makes the application; write '{target}()'")
    detect(made, interface)
    return cast("Application", made)  # checked by `detect`


def _is_ours(factory: object) -> bool:
    """Return whether a factory makes WSGI+ASGI middleware."""
    if isinstance(factory, type):
        return issubclass(factory, Middleware)
    preset = getattr(factory, "__module__", None) == "gateway.middleware.presets"
    return preset or isinstance(factory, FlowFactory)


def _items(entry: MiddlewareConfig, place: str) -> list[ChainItem]:
    """Make the middleware of an entry: a single middleware, or the whole chain of a preset."""
    factory = load_plugin("middleware", entry.use)
    if not callable(factory):
        raise ConfigurationError(f"use must name a middleware, but {entry.use!r} is {factory!r}")
    ours = _is_ours(factory)
    if ours and entry.interface is not None:
        raise ConfigurationError(
            f"remove interface = {entry.interface!r}: the key only applies to third-party middleware, and "
            f"{entry.use!r} runs under WSGI and ASGI"
        )
    options = _options(factory, entry, ours=ours)
    if entry.interface == "wsgi":
        made: object = replace(wsgi_only(factory, safe_to_skip=entry.safe_to_skip, **options), place=place)
    elif entry.interface == "asgi":
        made = replace(asgi_only(factory, **options), place=place)
    else:
        made = _made(factory, entry.use, options, ours=ours)
    several = cast("Sequence[object]", made) if isinstance(made, tuple | list) else [made]
    return [_conditional(checked(each), entry) for each in several]


def _conditional(middleware: ChainItem, entry: MiddlewareConfig) -> ChainItem:
    if entry.when:
        return when(path_in(*entry.when), middleware)
    if entry.unless:
        return unless(path_in(*entry.unless), middleware)
    return middleware


def _made(factory: Callable[..., object], use: str, options: Mapping[str, object], *, ours: bool) -> object:
    hint = "" if ours else "; if it is third-party middleware, write interface = 'wsgi' or 'asgi'"
    try:
        made = factory(**options)
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"{use!r} could not be created with options {dict(options)!r}: {reason(error)}{hint}"
        ) from error
    several = cast("Sequence[object]", made) if isinstance(made, tuple | list) else (made,)
    if not several or not all(isinstance(each, Middleware | ThirdParty) for each in several):
        raise ConfigurationError(f"{use!r} must return a middleware, found {made!r}{hint}")
    return made  # pyright: ignore[reportUnknownVariableType]  # checked above


def _options(factory: Callable[..., object], entry: MiddlewareConfig, *, ours: bool) -> dict[str, object]:
    """Check names and types of the options, and return the values that the middleware takes.

    Raises:
        ConfigurationError: An option is unknown, missing, or of the wrong type.
    """
    options = dict(entry.options)
    try:
        signature = factory.signature if isinstance(factory, FlowFactory) else inspect.signature(factory)
    except (TypeError, ValueError):
        return options
    parameters = list(signature.parameters.values())
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return options
    if entry.interface is not None:
        parameters = parameters[1:]  # the application
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
    known = {parameter.name: parameter for parameter in parameters if parameter.kind not in positional}
    names = vars(sys.modules[factory.__module__]) if factory.__module__ in sys.modules else {}
    for option, value in entry.options.items():
        if option not in known:
            raise ConfigurationError(
                f"options: {entry.use!r} has no option {option!r}{did_you_mean(option, known)}; possible "
                f"options: {', '.join(known) or 'none'}"
            )
        annotation: object = known[option].annotation
        expected = _expected(annotation)
        if expected is not None and not _TYPES[expected](value):
            raise ConfigurationError(f"options.{option} must be {_ARTICLES[expected]}, found {value!r}")
        with _Key(f"options.{option}"):
            options[option] = _part(option, value) if annotation == "Part" else from_file(value, annotation, names)
    missing = [name for name, parameter in known.items() if parameter.default is parameter.empty]
    for option in missing:
        if ours and option not in entry.options:
            raise ConfigurationError(
                f"options: {entry.use!r} needs the option {option!r}, which is missing; possible options: "
                f"{', '.join(known)}"
            )
    return options


def _part(name: str, value: object) -> object:
    """Make a part of a preset: false omits it, a table has the options of the middleware of that name."""
    if value is False:
        return None
    if isinstance(value, str) and value != "default":
        return load_target(value)[1]
    if not _is_table(value):
        return value
    entry = MiddlewareConfig(use=name, options=value)
    [made] = _items(entry, "")
    return made


def _expected(annotation: object) -> str | None:
    """Return the kind of value that an option takes, or None if its annotation cannot be checked here."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return _ANNOTATIONS.get(text.removesuffix(" | None"))


def _is_table(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict)


def _is_list_of(value: object, check: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and all(check(each) for each in cast("Sequence[object]", value))


def _is_string(value: object) -> bool:
    return isinstance(value, str)


_TYPES: Final[Mapping[str, Callable[[object], bool]]] = {
    "string": _is_string,
    "number": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number or fraction": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "true or false": lambda value: isinstance(value, bool),
    "table": _is_table,
    "string or table": lambda value: _is_string(value) or _is_table(value),
    "list of strings": lambda value: _is_list_of(value, _is_string),
    "list of tables": lambda value: _is_list_of(value, _is_table),
}
#: Names of the kinds in error messages.
_ARTICLES: Final[Mapping[str, str]] = {
    **{kind: f"a {kind}" for kind in _TYPES},
    "true or false": "true or false",
    "number": "a whole number",
    "number or fraction": "a number",
    "string or table": "a string or a table",
}
#: Annotations that can be checked, and the kind of value that each takes.
_ANNOTATIONS: Final[Mapping[str, str]] = {
    "int": "number",
    "float": "number or fraction",
    "str": "string",
    "bool": "true or false",
}
