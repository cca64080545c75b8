"""The one object: an application, its chain, and a callable that servers of every interface accept.

``Gateway`` holds what was given to it and composes, when built, one callable for WSGI and one for ASGI. Nothing of that
is decided in a request. What already speaks the interface asked for is handed through untouched.

``wrap`` is the same as a decorator; ``as_wsgi`` and ``as_asgi`` give a callable of one interface and no object.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from gateway.adapters._options import AdapterOptions, given, whole
from gateway.adapters.crossing import adapts, cross, to_asgi, to_wsgi
from gateway.chain import Chain
from gateway.chain._items import listed
from gateway.dual import Dual
from gateway.errors import ConfigurationError
from gateway.protocols import detect, is_factory, is_proxy

if TYPE_CHECKING:
    from gateway.chain._explain import Explanation
    from gateway.chain._planner import Colour
    from gateway.plugins import Engine
    from gateway.protocols import Application, ASGIApplication, Interface, RSGIApplication, WSGIApplication

__all__ = ["Gateway", "as_asgi", "as_wsgi", "wrap"]

App = TypeVar("App", bound="Application")
P = ParamSpec("P")

#: What ``wrap`` keeps of a function, besides ``__wrapped__``.
_KEPT: Final = ("__module__", "__name__", "__qualname__", "__doc__")


class Gateway(Dual, Generic[App]):
    """One application that servers of every interface accept, and the chain around it.

    Args:
        app: A WSGI or ASGI application; ASGI 2 classes too. Another ``Gateway`` is taken for the application inside it,
            its chain innermost; ``engine`` and ``max_adapters`` are the outer one's, and so are ``threads`` and
            ``adapter`` if the outer one has them.
        interface: What ``app`` speaks, where ``detect()`` cannot tell.
        middleware: The chain, outermost first.
        engine: Implementation of the adapters: ``"builtin"``, ``"a2wsgi"``, ``"asgiref"``, a plug-in's
            name, or an engine itself.
        max_adapters: Maximum number of adapters in a chain with middleware of both interfaces.
        websockets: Serve the WebSockets of an ASGI application under WSGI servers that hand over their socket (gunicorn
            with gthread workers, Werkzeug). Under ASGI servers they are served anyway.
        threads: Maximum number of requests that run at once, per event loop, if an ASGI server calls a WSGI
            application or WSGI middleware; 40 by default.
        adapter: Further options of the built-in adapters.

    Raises:
        ConfigurationError: The interface is not known, the composition is wrong, or an option of the adapters has no
            effect, because the chain has no adapter that takes it or ``engine`` makes other ones.
        MissingExtraError: ``websockets=True`` without wsproto.

    Warns:
        ChainWarning: An order rule is broken, or a chain takes more than one adapter.

    >>> def app(environ, start_response):
    ...     start_response("204 No Content", [])
    ...     return []
    >>> Gateway(app).interface
    'wsgi'
    """

    app: App

    def __init__(
        self,
        app: App,
        interface: Interface | None = None,
        middleware: Iterable[object] = (),
        *,
        engine: str | Engine = "builtin",
        max_adapters: int = 2,
        websockets: bool = False,
        threads: int | None = None,
        adapter: AdapterOptions | None = None,
    ) -> None:
        whole(max_adapters, 0, "max_adapters=")
        if threads is not None:
            whole(threads, 1, "threads=")
        if not isinstance(cast("object", adapter), AdapterOptions | None):
            raise ConfigurationError(
                f"adapter= must be the options of the adapters, got {adapter!r}; write "
                f"adapter=AdapterOptions(queue=100)"
            )
        self.app = app
        self.middleware: tuple[object, ...] = listed(middleware)
        self.engine = engine
        self.max_adapters = max_adapters
        self.websockets = websockets
        self.threads = threads
        self.adapter = adapter
        self._interface: Interface = detect(app, interface)
        self._install()

    @property
    def interface(self) -> Interface:
        """The interface that the application speaks."""
        return self._interface

    def _compose(self) -> tuple[WSGIApplication, ASGIApplication]:
        app, interface, middleware, websockets = self._flattened()
        #: The innermost application, which has the lifespan.
        self._innermost: object = app
        self._chain = Chain(
            _views(app, interface),
            middleware,
            name=getattr(app, "__qualname__", type(app).__qualname__),
            engine=self.engine,
            max_adapters=self.max_adapters,
            whole=isinstance(app, Dual) and not is_proxy(app) and app.interface != "wsgi",
            holds_more=isinstance(app, Dual),
            websockets=websockets,
            options=given(*self._adapter_options()),
        )
        return self._chain.wsgi, self._chain.asgi

    def explain(self) -> Explanation:
        """Say what the chain does under each kind of server: order, wrappers, adapters, websockets, cost.

        ``str()`` of it is a text, ``as_dict()`` plain data.
        """
        return self._chain.explain()

    def _flattened(self) -> tuple[Application, Interface, tuple[object, ...], bool]:
        """Return the innermost application and its interface, all chains around it in order, who wants websockets."""
        within: object = self.app
        if isinstance(within, Gateway) and not is_proxy(self.app):
            # A Gateway holds nothing else.
            app, interface, inner, websockets = cast("Gateway[Application]", within)._flattened()
            return app, interface, (*self.middleware, *inner), self.websockets or websockets
        return self.app, self.interface, self.middleware, self.websockets

    def _adapter_options(self) -> tuple[int | None, AdapterOptions | None]:
        """Return ``threads`` and ``adapter``, each from the outermost `Gateway` that has it."""
        threads, adapter = self.threads, self.adapter
        within: object = self.app
        if isinstance(within, Gateway) and not is_proxy(self.app):
            inner_threads, inner_adapter = cast("Gateway[Application]", within)._adapter_options()
            threads, adapter = (inner_threads if threads is None else threads), adapter or inner_adapter
        return threads, adapter

    def _compose_rsgi(self) -> RSGIApplication:
        from gateway.adapters.asgi_to_rsgi import AsgiToRsgi

        return AsgiToRsgi(self.asgi)

    def __getstate__(self) -> dict[str, object]:
        # Planned and built anew wherever it is unpickled.
        return {name: value for name, value in super().__getstate__().items() if name not in ("_chain", "_innermost")}

    def __repr__(self) -> str:
        options = [f"{self.app!r}", f"interface={self.interface!r}"]
        if self.middleware:
            options.append(f"middleware={list(self.middleware)!r}")
        if self.engine != "builtin":
            options.append(f"engine={self.engine!r}")
        if self.websockets:
            options.append("websockets=True")
        options += [
            f"{name}={value!r}" for name in ("threads", "adapter") if (value := getattr(self, name)) is not None
        ]
        return f"{type(self).__name__}({', '.join(options)})"

    def __reduce_ex__(self, protocol: Any, /) -> str | tuple[Any, ...]:
        # What `wrap` decorated is found under its own name, as a function is; the function inside no longer is.
        name = self.__dict__.get("__qualname__")
        found: object = sys.modules.get(self.__module__)
        for part in name.split(".") if isinstance(name, str) else ():
            found = getattr(found, part, None)
        return name if isinstance(name, str) and found is self else super().__reduce_ex__(protocol)


def _views(app: Application, interface: Interface) -> Mapping[Colour, Application]:
    """Return the application for each interface that it speaks without an adapter of the chain's.

    A `Mount` has both. An adapter has both too: the other interface is that of the application inside it.
    """
    if isinstance(app, Dual) and not is_proxy(app):
        return {"wsgi": app.wsgi, "asgi": app.asgi}
    if interface == "wsgi":
        if adapts(app):
            return {"wsgi": app, "asgi": to_asgi(app, "wsgi")}
        return {"wsgi": app}
    if adapts(app):
        return {"wsgi": to_wsgi(app, "asgi"), "asgi": app}
    return {"asgi": cross(app, interface, "asgi")}


class _Decorator(Protocol):
    """What ``wrap`` with options returns: it takes an application, or a function that makes one."""

    @overload
    def __call__(self, app: App, /) -> Gateway[App]: ...
    @overload
    def __call__(self, app: Callable[P, App], /) -> Callable[P, Gateway[App]]: ...


@overload
def wrap(
    app: App,
    /,
    *,
    interface: Interface | None = None,
    middleware: Iterable[object] = (),
    engine: str | Engine = "builtin",
    max_adapters: int = 2,
    websockets: bool = False,
    threads: int | None = None,
    adapter: AdapterOptions | None = None,
) -> Gateway[App]: ...
@overload
def wrap(
    app: Callable[P, App],
    /,
    *,
    interface: Interface | None = None,
    middleware: Iterable[object] = (),
    engine: str | Engine = "builtin",
    max_adapters: int = 2,
    websockets: bool = False,
    threads: int | None = None,
    adapter: AdapterOptions | None = None,
) -> Callable[P, Gateway[App]]: ...
@overload
def wrap(
    *,
    interface: Interface | None = None,
    middleware: Iterable[object] = (),
    engine: str | Engine = "builtin",
    max_adapters: int = 2,
    websockets: bool = False,
    threads: int | None = None,
    adapter: AdapterOptions | None = None,
) -> _Decorator: ...
def wrap(
    app: Any = None,
    /,
    *,
    interface: Interface | None = None,
    middleware: Iterable[object] = (),
    engine: str | Engine = "builtin",
    max_adapters: int = 2,
    websockets: bool = False,
    threads: int | None = None,
    adapter: AdapterOptions | None = None,
) -> Any:
    """Make an application, or what a factory of applications returns, a ``Gateway``; with or without options.

    A function keeps its name, its docstring and itself as ``__wrapped__``. A function that can be called without
    arguments is a factory: it stays one, and returns a ``Gateway``.

    Args:
        app: The application or the factory; left out, a decorator with these options is returned.
        interface: What the application speaks, where ``detect()`` cannot tell.
        middleware: The chain, outermost first.
        engine: As for ``Gateway``.
        max_adapters: As for ``Gateway``.
        websockets: As for ``Gateway``.
        threads: As for ``Gateway``.
        adapter: As for ``Gateway``.

    Raises:
        ConfigurationError: As ``Gateway`` does, where the decorator stands.

    >>> @wrap(interface="wsgi")
    ... def app(environ, start_response):
    ...     start_response("204 No Content", [])
    ...     return []
    >>> app.__name__
    'app'
    """
    chain = listed(middleware)

    def build(inner: Application) -> Gateway[Any]:
        return Gateway(
            inner,
            interface,
            chain,
            engine=engine,
            max_adapters=max_adapters,
            websockets=websockets,
            threads=threads,
            adapter=adapter,
        )

    def decorate(inner: Any) -> Any:
        if is_factory(inner):

            @functools.wraps(inner)
            def create(*args: Any, **kwargs: Any) -> Gateway[Any]:
                return build(inner(*args, **kwargs))

            return create
        gateway = build(inner)
        keeps_names = inspect.isroutine(inner) or isinstance(inner, type)
        return functools.update_wrapper(gateway, inner, assigned=_KEPT if keeps_names else (), updated=())

    return decorate if app is None else decorate(app)


def as_wsgi(app: Application, interface: Interface | None = None) -> WSGIApplication:
    """Return the application as a WSGI callable: itself if it is one, what an adapter wraps, else an adapter.

    Raises:
        ConfigurationError: The interface is not known.
    """
    return to_wsgi(app, detect(app, interface))


def as_asgi(app: Application, interface: Interface | None = None) -> ASGIApplication:
    """Return the application as an ASGI callable: itself if it is one, what an adapter wraps, else an adapter.

    Raises:
        ConfigurationError: The interface is not known.
    """
    return to_asgi(app, detect(app, interface))
