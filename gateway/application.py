"""``Gateway``: an application and its chain, as one callable that servers of every interface accept.

``Gateway`` keeps its arguments and composes one callable for WSGI and one for ASGI when it is built. It decides nothing
in a request. An application that already speaks the wanted interface is used without an adapter.

``wrap`` is the decorator form. ``as_wsgi`` and ``as_asgi`` return a callable of one interface, without a ``Gateway``.
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
from gateway.chain._explain import application_name
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

#: Attributes of a function that ``wrap`` keeps, besides ``__wrapped__``.
_KEPT: Final = ("__module__", "__name__", "__qualname__", "__doc__")


class Gateway(Dual, Generic[App]):
    """One application that servers of every interface accept, and the chain around it.

    Args:
        app: A WSGI or ASGI application, ASGI 2 classes included. If it is a ``Gateway``, its application is wrapped and
            its chain becomes the inner end of this chain. ``engine`` and ``max_adapters`` of the outer ``Gateway``
            count, and so do ``threads`` and ``adapter`` if the outer ``Gateway`` has them.
        interface: Interface of ``app``, if ``detect()`` cannot find it.
        middleware: The chain, outermost first.
        engine: Implementation of the adapters: ``"builtin"``, ``"a2wsgi"``, ``"asgiref"``, a plug-in's
            name, or an engine object.
        max_adapters: Maximum number of adapters in a chain with middleware of both interfaces.
        websockets: Serve WebSockets where the application needs a socket for them: those of an ASGI application under
            WSGI servers that hand over their socket (gunicorn with gthread workers, Werkzeug), and those of a WSGI
            application (flask-sock, simple-websocket, Flask-SocketIO) under ASGI servers.
        websocket_app: ASGI application for WebSockets, beside ``app`` for HTTP. The chain is around both. Both have
            their lifespan and their state; ``app`` starts first and stops last. It gets all WebSockets, also if ``app``
            could serve them itself.
        threads: Maximum number of requests that run at once, per event loop, when an ASGI server calls WSGI code;
            40 by default.
        adapter: Further options of the built-in adapters.

    Raises:
        ConfigurationError: The interface is not known, or the composition is wrong. Or an option of the adapters has no
            effect: the chain has no adapter that takes it, or ``engine`` is not the built-in engine.
        MissingExtraError: ``websockets=True`` without wsproto.

    Warns:
        ChainWarning: The chain breaks an order rule, or needs more than one adapter.

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
        websocket_app: Application | None = None,
        threads: int | None = None,
        adapter: AdapterOptions | None = None,
    ) -> None:
        if not isinstance(cast("object", interface), str | None):
            raise ConfigurationError(
                f"the argument after the application is interface=, such as 'wsgi'; got {interface!r}. Give "
                "middleware by its keyword: middleware=[...]"
            )
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
        self.websocket_app = websocket_app
        self.threads = threads
        self.adapter = adapter
        self._interface: Interface = detect(app, interface)
        if websocket_app is not None:
            _check_websocket_app(websocket_app)
        self._install()

    @property
    def interface(self) -> Interface:
        """Interface of the application."""
        return self._interface

    def _compose(self) -> tuple[WSGIApplication, ASGIApplication]:
        app, interface, middleware, websockets = self._flattened()
        #: The innermost application, whose lifespan is run.
        self._innermost: object = app
        self._chain = Chain(
            _views(app, interface),
            middleware,
            name=application_name(app),
            engine=self.engine,
            max_adapters=self.max_adapters,
            whole=isinstance(app, Dual) and not is_proxy(app) and app.interface != "wsgi",
            holds_more=isinstance(app, Dual),
            websockets=websockets,
            websocket_app=self._for_websockets(),
            options=given(*self._adapter_options()),
        )
        return self._chain.wsgi, self._chain.asgi

    def explain(self) -> Explanation:
        """Describe the chain under each kind of server: order, wrappers, adapters, WebSockets, cost.

        ``str()`` of the result is a text, ``as_dict()`` returns plain data.
        """
        return self._chain.explain()

    def _flattened(self) -> tuple[Application, Interface, tuple[object, ...], bool]:
        """Return the innermost application, its interface, all chains around it in order, and ``websockets``."""
        within: object = self.app
        if isinstance(within, Gateway) and not is_proxy(self.app):
            # A `Gateway` always holds an `Application`; the `isinstance` check loses that type.
            app, interface, inner, websockets = cast("Gateway[Application]", within)._flattened()
            return app, interface, (*self.middleware, *inner), self.websockets or websockets
        return self.app, self.interface, self.middleware, self.websockets

    def _for_websockets(self) -> ASGIApplication | None:
        """Return the application for WebSockets, from the outermost `Gateway` that has one."""
        within: object = self.app
        if self.websocket_app is not None:
            return to_asgi(self.websocket_app, detect(self.websocket_app))
        if isinstance(within, Gateway) and not is_proxy(self.app):
            return cast("Gateway[Application]", within)._for_websockets()
        return None

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
        # Unpickling plans and builds the chain again.
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
            f"{name}={value!r}"
            for name in ("websocket_app", "threads", "adapter")
            if (value := getattr(self, name)) is not None
        ]
        return f"{type(self).__name__}({', '.join(options)})"

    def __reduce_ex__(self, protocol: Any, /) -> str | tuple[Any, ...]:
        # A decorated function is pickled by name, as functions are. The name leads to this object, not to the function.
        name = self.__dict__.get("__qualname__")
        found: object = sys.modules.get(self.__module__)
        for part in name.split(".") if isinstance(name, str) else ():
            found = getattr(found, part, None)
        return name if isinstance(name, str) and found is self else super().__reduce_ex__(protocol)


def _check_websocket_app(app: Application) -> None:
    interface = detect(app)
    if interface == "wsgi":
        raise ConfigurationError(
            f"websocket_app= must be an ASGI application, got a WSGI one: {app!r}; if it serves WebSockets itself, "
            "write Gateway(app, websockets=True) with it as `app`"
        )


def _views(app: Application, interface: Interface) -> Mapping[Colour, Application]:
    """Return the application for each interface that it speaks without an adapter added by the chain.

    A `Mount` has both. An adapter has both too: the application inside it has the other interface.
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
    """Type of the decorator that ``wrap`` returns: it takes an application or a factory of applications."""

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
    websocket_app: Application | None = None,
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
    websocket_app: Application | None = None,
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
    websocket_app: Application | None = None,
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
    websocket_app: Application | None = None,
    threads: int | None = None,
    adapter: AdapterOptions | None = None,
) -> Any:
    """Wrap an application, or the results of an application factory, in a ``Gateway``; with or without options.

    The ``Gateway`` of a function has the name and docstring of the function, and the function as ``__wrapped__``. A
    function that can be called without arguments is a factory: it stays a function and returns a ``Gateway``.

    Args:
        app: The application or the factory. Without it, ``wrap`` returns a decorator with these options.
        interface: Interface of the application, if ``detect()`` cannot find it.
        middleware: The chain, outermost first.
        engine: As for ``Gateway``.
        max_adapters: As for ``Gateway``.
        websockets: As for ``Gateway``.
        websocket_app: As for ``Gateway``.
        threads: As for ``Gateway``.
        adapter: As for ``Gateway``.

    Raises:
        ConfigurationError: As ``Gateway`` does, at the line of the decorator.

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
            websocket_app=websocket_app,
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
    """Return the application as a WSGI callable, with an adapter only if one is needed.

    A WSGI application is returned as it is. If the application is an adapter around a WSGI application, that is
    returned.

    Raises:
        ConfigurationError: The interface is not known.
    """
    return to_wsgi(app, detect(app, interface))


def as_asgi(app: Application, interface: Interface | None = None) -> ASGIApplication:
    """Return the application as an ASGI callable, with an adapter only if one is needed.

    An ASGI application is returned as it is. If the application is an adapter around an ASGI application, that is
    returned.

    Raises:
        ConfigurationError: The interface is not known.
    """
    return to_asgi(app, detect(app, interface))
