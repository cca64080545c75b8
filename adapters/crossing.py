"""Choose the adapter from one interface to another, or none if the application has the target interface already.

Everything that composes a chain uses `cross`. An adapter around an adapter of the opposite direction is folded away:
`cross` returns the application inside. asgiref converts ASGI 2, which needs neither a thread nor a loop.

The adapters are imported when they are first built, so that a chain without an adapter imports none of them.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from gateway.dual import Dual
from gateway.errors import ConfigurationError, MissingExtraError
from gateway.protocols import Interface, is_proxy

if TYPE_CHECKING:
    from gateway.protocols import Application, ASGIApplication, WSGIApplication

__all__ = ["ENGINES", "adapts", "cross", "to_asgi", "to_wsgi"]

#: Names of the adapter implementations that ``engine=`` accepts.
ENGINES: Final = ("builtin", "a2wsgi", "asgiref")


def to_wsgi(app: Application, interface: Interface, *, engine: str = "builtin", **options: Any) -> WSGIApplication:
    """Return the application as a WSGI callable, which is the application itself if it is WSGI.

    Raises:
        ConfigurationError: The engine has no such adapter, or no adapter from that interface exists.
    """
    found = cross(app, interface, "wsgi", engine=engine, **options)
    return cast("WSGIApplication", found)  # cross() returns a callable of the requested interface


def to_asgi(app: Application, interface: Interface, *, engine: str = "builtin", **options: Any) -> ASGIApplication:
    """Return the application as an ASGI callable, which is the application itself if it is ASGI.

    Raises:
        ConfigurationError: The engine has no such adapter, or no adapter from that interface exists.
    """
    found = cross(app, interface, "asgi", engine=engine, **options)
    return cast("ASGIApplication", found)  # cross() returns a callable of the requested interface


def cross(
    app: Application, source: Interface, target: Interface, *, engine: str = "builtin", **options: Any
) -> Application:
    """Return a callable of the interface ``target`` for an application of the interface ``source``.

    Args:
        app: The application.
        source: Interface of the application.
        target: ``"wsgi"`` or ``"asgi"``.
        engine: Implementation of the adapter: ``"builtin"``, ``"a2wsgi"`` or ``"asgiref"``.
        options: Options of the built-in adapter; other engines ignore them.

    Returns:
        The application itself if its interface is ``target``. The application inside if ``app`` is an adapter from
        ``target``. Otherwise an adapter around it.

    Raises:
        ConfigurationError: The engine has no such adapter, or no adapter between these interfaces exists.
    """
    if engine not in ENGINES:
        raise ConfigurationError(f"engine= must be one of {', '.join(map(repr, ENGINES))}, got {engine!r}")
    if isinstance(app, Dual) and not is_proxy(app):
        return app.wsgi if target == "wsgi" else app.asgi
    if source == target:
        return app
    if source == "asgi2":
        import asgiref.compatibility

        # asgiref's functions have no types.
        made = asgiref.compatibility.double_to_single_callable(app)  # type: ignore[no-untyped-call]
        single = cast("ASGIApplication", made)
        return cross(single, "asgi", target, engine=engine, **options)
    if (source, target) == ("wsgi", "asgi"):
        return _wsgi_to_asgi(app, engine, options)
    if (source, target) == ("asgi", "wsgi"):
        return _asgi_to_wsgi(app, engine, options)
    if source == "rsgi":
        raise ConfigurationError(
            f"there is no adapter from RSGI to {target.upper()}, because only granian serves RSGI "
            f"applications; got {app!r}. Give the object itself to granian, or use its ASGI or WSGI callable"
        )
    raise ConfigurationError(f"there is no adapter from {source!r} to {target!r}")


def _wsgi_to_asgi(app: Any, engine: str, options: dict[str, Any]) -> Application:
    if adapts(app) == "asgi":
        return _inside(app)
    if engine == "builtin":
        from gateway.adapters.wsgi_to_asgi import WsgiToAsgi

        return WsgiToAsgi(app, **options)
    if engine == "a2wsgi":
        with _needs("a2wsgi"):
            from a2wsgi import WSGIMiddleware

            return WSGIMiddleware(app)
    import asgiref.wsgi

    reference: ASGIApplication = asgiref.wsgi.WsgiToAsgi(app)  # type: ignore[no-untyped-call]  # asgiref's are not typed
    return reference


def _asgi_to_wsgi(app: Any, engine: str, options: dict[str, Any]) -> Application:
    if adapts(app) == "wsgi":
        return _inside(app)
    if engine == "builtin":
        from gateway.adapters.asgi_to_wsgi import AsgiToWsgi

        return AsgiToWsgi(app, **options)
    if engine == "a2wsgi":
        # a2wsgi's adapter would run, but Django's ORM refuses to run in a thread that runs a loop, and patched threads
        # are greenlets of the thread that runs a2wsgi's loop.
        from gateway.adapters.asgi_to_wsgi._patched_threads import refuse_greenlet_server

        refuse_greenlet_server()
        with _needs("a2wsgi"):
            from a2wsgi import ASGIMiddleware

            adapter: Any = ASGIMiddleware(app)  # typed for environs of its own
            return cast("WSGIApplication", adapter)
    raise ConfigurationError(
        "engine='asgiref' can run WSGI applications under ASGI servers only; for an ASGI application under a "
        "WSGI server write engine='builtin' or engine='a2wsgi'"
    )


def adapts(app: object) -> Interface | None:
    """Return the interface of the application inside an adapter of this package; None for any other object.

    The class of an adapter declares it in ``__gateway_inside__``, so that this function imports no adapter. The
    attribute of a base class does not count, because a subclass may do more than adapt and must not be folded away.

    >>> adapts(to_asgi(lambda environ, start_response: [], "wsgi"))
    'wsgi'
    """
    inside: Interface | None = vars(type(app)).get("__gateway_inside__")
    return inside


def _inside(adapter: Any) -> Application:
    inner: Application = adapter.app
    return inner


@contextmanager
def _needs(package: str) -> Generator[None, None, None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingExtraError(f"engine={package!r}", "engines", package=package) from error
