"""A Django project as one object: its pages, its WebSockets and its static files, under every server.

Django's WSGI handler serves HTTP in threads that stay, so a database connection of a thread is used again. Django's own
ASGI handler makes a new thread for each request, and with it a new connection. The ASGI application of the project
serves WebSockets in the same process, and listed paths can use Django's ASGI handler.

Everything that Django decides per request is unchanged: signals, transactions, host checks, error pages. This package
only reads the settings, and compares them with the chain.

Sources: Django "How to deploy with WSGI", "How to deploy with ASGI", "Settings"; asgiref ``ThreadSensitiveContext``.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from django import conf  # not its lazy settings: a tool that looks into this module would load them
from django.apps import apps
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler, StaticFilesHandler
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIHandler
from django.core.wsgi import get_wsgi_application

from gateway._load import load
from gateway.adapters._options import whole
from gateway.application import Gateway
from gateway.chain import ChainWarning, _outside_of_package, path_in, when
from gateway.chain._items import listed
from gateway.django._agreement import allowed_hosts, check_agreement
from gateway.django._static import collected, static_files, without_folder
from gateway.django._threads import DjangoAsgi, ReusedThreads
from gateway.errors import ConfigurationError
from gateway.middleware.trusted_host import TrustedHost
from gateway.mount import Mount

if TYPE_CHECKING:
    from gateway.adapters._options import AdapterOptions
    from gateway.middleware.static_files import StaticFiles
    from gateway.protocols import Application, ASGIApplication, WSGIApplication

__all__ = ["get_application", "static_files"]


def get_application(
    settings_module: str | None = None,
    *,
    handler: Literal["wsgi", "asgi"] = "wsgi",
    async_paths: Sequence[str] = (),
    reuse_threads: bool = False,
    static: bool | None = None,
    middleware: Iterable[object] = (),
    websockets: bool = False,
    threads: int | None = None,
    adapter: AdapterOptions | None = None,
) -> Gateway[Any]:
    """Return the Django project as one object for servers of every interface; Django is set up if it is not yet.

    WebSockets go to the application that the setting ``ASGI_APPLICATION`` names, if there is one. WebSockets and static
    files are served for the hosts of ``ALLOWED_HOSTS`` only; Django checks the host of every other request itself.

    Args:
        settings_module: Name of the settings module, if the environment variable ``DJANGO_SETTINGS_MODULE`` is not set.
        handler: Django's handler for HTTP. ``"asgi"`` is for projects whose views are mostly ``async def``.
        async_paths: URL paths whose requests go to Django's ASGI handler, with everything below them, such as
            ``("/events",)``. Paths are compared by whole segments.
        reuse_threads: Lend threads that stay to the synchronous code of Django's ASGI handler. A task that a view
            starts must end before the response does if it calls synchronous code.
        static: Serve the static files. With None they are served if the settings allow it: with ``DEBUG`` from the
            apps, as ``runserver`` does, otherwise from ``STATIC_ROOT``. True makes a missing setting an error.
        middleware: Chain around everything, outermost first.
        websockets: Serve WebSockets also under WSGI servers that hand over their socket (gunicorn with gthread
            workers).
        threads: Maximum number of requests in Django's WSGI handler at once, 40 by default. With ``reuse_threads``,
            also the maximum number of requests in Django's ASGI handler at once; there the default is no limit.
        adapter: Further options of the adapters of ``handler``.

    Raises:
        ConfigurationError: The settings contradict the chain, or an option is wrong or has no effect.
        ImproperlyConfigured: Django refuses its settings.

    Warns:
        ChainWarning: The settings and the chain disagree, or the folder of ``STATIC_ROOT`` does not exist.
    """
    if handler not in ("wsgi", "asgi"):
        raise ConfigurationError(f'get_application(handler=...) must be "wsgi" or "asgi", got {handler!r}')
    _check_paths(async_paths, handler)
    uses_asgi = handler == "asgi" or bool(async_paths)
    if reuse_threads and not uses_asgi:
        raise ConfigurationError(
            'get_application(reuse_threads=True) is for Django\'s ASGI handler, and handler="wsgi" does not need it: '
            'its threads stay anyway. Remove it, or write handler="asgi"'
        )
    if threads is not None:
        whole(threads, 1, "threads=")
        if handler == "asgi" and not reuse_threads:
            raise ConfigurationError(
                f'get_application(threads={threads}) has no effect: with handler="asgi", Django makes a thread for '
                "each request. Write reuse_threads=True too"
            )
    if settings_module is not None:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings_module)
    chain = listed(middleware)
    wsgi: Any = get_wsgi_application() if handler == "wsgi" else None  # sets up Django
    asgi: Any = get_asgi_application() if uses_asgi else None
    installed: Any = apps  # Django has no types
    from_apps = static is not False and conf.settings.DEBUG and installed.is_installed("django.contrib.staticfiles")
    files = None if from_apps else _files(static)
    if from_apps and conf.settings.STATIC_URL:
        wsgi = None if wsgi is None else StaticFilesHandler(wsgi)
        asgi = None if asgi is None else ASGIStaticFilesHandler(asgi)
    websocket_app = _websocket_app()
    for message in check_agreement(chain):
        warnings.warn(message, ChainWarning, stacklevel=_outside_of_package())
    hosts = allowed_hosts(chain)
    if hosts is not None and websocket_app is not None:
        # Around the WebSockets only, so that other requests do not pay for it.
        websocket_app = Gateway(websocket_app, middleware=[TrustedHost(allowed=hosts)])
    if files is not None:
        chain = (*chain, *_for_files(files, hosts), files)
    asynchronous = DjangoAsgi(asgi, ReusedThreads(threads) if reuse_threads else None) if uses_asgi else None
    site: Application = cast("WSGIApplication", wsgi) if asynchronous is None else asynchronous
    if async_paths:
        # Each application of a Mount has its own adapter, so the options go there.
        inner: dict[str, Application] = {path: asynchronous for path in async_paths if asynchronous is not None}
        site = Mount({**inner, "/": Gateway(wsgi, threads=threads, adapter=adapter)}, keep_path=True)
        threads = adapter = None
    return Gateway(
        site,
        middleware=chain,
        websocket_app=websocket_app,
        websockets=websockets,
        threads=threads if handler == "wsgi" else None,
        adapter=adapter,
    )


def _check_paths(paths: Sequence[str], handler: str) -> None:
    given = cast("Sequence[object]", paths)
    if isinstance(paths, str) or not all(isinstance(path, str) and path.startswith("/") for path in given):
        raise ConfigurationError(
            f'get_application(async_paths=...) takes a tuple of paths such as ("/events",), got {paths!r}'
        )
    if paths and handler == "asgi":
        raise ConfigurationError(
            f'get_application(async_paths={paths!r}) has no effect, because handler="asgi" serves every path; '
            "remove one of them"
        )


def _files(static: bool | None) -> StaticFiles | None:
    """Return the middleware for the collected files; None if the settings or the option say not to serve them."""
    if static is False or (static is None and not conf.settings.STATIC_ROOT):
        return None
    if static is None and not collected():
        warnings.warn(without_folder(), ChainWarning, stacklevel=_outside_of_package())
        return None
    return static_files()


def _websocket_app() -> Application | None:
    """Import the application of the setting ``ASGI_APPLICATION``; None if it serves no WebSockets."""
    path: str | None = getattr(conf.settings, "ASGI_APPLICATION", None)
    if path is None:
        return None
    module, _, name = path.rpartition(".")
    app: Any
    try:
        _, app = load(f"{module}:{name}")
    except (ConfigurationError, ImportError) as error:
        raise ConfigurationError(
            f"the application of ASGI_APPLICATION = {path!r} cannot be imported: {error}. If its module calls "
            f"get_application(), call that in wsgi.py instead"
        ) from error
    # Django's own handler raises for a WebSocket, and so does a router of Channels without a route for them.
    routes: object = getattr(app, "application_mapping", None)
    if isinstance(app, ASGIHandler) or (isinstance(routes, Mapping) and "websocket" not in routes):
        return None
    return cast("ASGIApplication", app)


def _for_files(files: StaticFiles, hosts: tuple[str, ...] | None) -> list[Any]:
    """Return the host check of the static files, which Django never sees, in a list; an empty list without a check."""
    if hosts is None:
        return []
    prefixes = [prefix.rstrip("/") or "/" for prefix in files.folders]
    return [when(path_in(*prefixes), TrustedHost(allowed=hosts))]
