"""Serve an ASGI application under a WSGI server.

    application = AsgiToWsgi(asgi_application)

The application runs on one event loop per process, from the startup of its lifespan to the shutdown. A WSGI thread
hands a request over and sleeps; the application wakes it when there is something to send. The number of wake-ups does
not grow with the number of messages that the application sends.

Nothing starts before the first request (or `start`), so a server may fork after the import. To stop, call `close` or
use a server's hook. Otherwise the adapter stops at the exit of the interpreter.

Other modules: `gateway.translate` translates requests, ``_call`` connects the loop and the WSGI thread.

Sources: PEP 3333; ASGI 3.0, HTTP 2.4, Lifespan 2.0.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import os
import weakref
from collections.abc import Callable, Iterable
from contextvars import copy_context
from http import HTTPStatus
from typing import Any, ClassVar, Literal

from gateway._starting import LazyPart, Reached, Reaching, lazy_parts
from gateway.adapters._options import LoopKind, check_asgi_to_wsgi
from gateway.adapters._wrapped import asgi_callable
from gateway.adapters.asgi_to_wsgi import _service
from gateway.adapters.asgi_to_wsgi._call import AsgiCall
from gateway.adapters.asgi_to_wsgi._ending import Ending
from gateway.adapters.asgi_to_wsgi._input import open_body
from gateway.adapters.asgi_to_wsgi._patched_threads import refuse_greenlet_server, refuse_patched_threads
from gateway.adapters.asgi_to_wsgi._response import respond
from gateway.adapters.asgi_to_wsgi._service import Service
from gateway.adapters.websocket import _open
from gateway.errors import ServerError
from gateway.lifespan import Lifespan, LifespanMode
from gateway.protocols import ASGIApplication, Environ
from gateway.translate.scope_environ import environ_to_scope

__all__ = ["AsgiToWsgi", "close_all", "close_websockets", "start_all"]

_adapters: weakref.WeakSet[AsgiToWsgi] = weakref.WeakSet()


class AsgiToWsgi(LazyPart, Reaching):
    """A WSGI application that runs an ASGI application.

    Args:
        app: The application, ASGI 3; ASGI 2 goes through ``asgiref.compatibility``.
        loop: Where the application runs.
            ``"shared"``: in one thread of its own per process, shared with all other adapters.
            ``"lend"``: in the WSGI thread that serves the request if the loop is free, otherwise as with ``"shared"``.
            A free loop needs no hand-off. But the loop runs in different threads at different times, which breaks code
            that keeps thread-local data. It needs Python 3.12 and asyncio's own loop; elsewhere it is ``"shared"``.
            ``"auto"``: ``"shared"``, until the process is known to serve in one thread (`start_all`), then ``"lend"``.
            An event loop: a loop that your code runs in another thread.
        coalesce: Join body messages that wait to be sent, up to 64 KiB. ``False`` keeps each message a chunk.
        lifespan: ``"auto"``, ``"on"`` (an application without lifespan is refused) or ``"off"``.
        startup_timeout: Seconds for the startup; None waits for ever.
        shutdown_timeout: Seconds for the shutdown; None waits for ever.
        drain_timeout: Seconds that tasks may run on at the end (requests, work after a response) before they are
            cancelled.
        websockets: Serve WebSockets on servers that hand over the socket: gunicorn (gthread) and Werkzeug. Each
            WebSocket holds a thread while it is open. Other servers get a 501 for a handshake. With ``False``, the
            application receives a handshake as an ordinary HTTP request.

    Raises:
        ConfigurationError: ``app`` is not an ASGI application, an option is not one of the above, or a gevent server
            has loaded this module. In a process that patches threads later, `start` or the first request raises it.
        MissingExtraError: ``websockets=True`` without wsproto.
    """

    __gateway_inside__: ClassVar[Literal["asgi"]] = "asgi"  # read by `gateway.adapters.crossing.adapts`

    def __init__(
        self,
        app: ASGIApplication,
        *,
        loop: LoopKind | asyncio.AbstractEventLoop = "auto",
        coalesce: bool = True,
        lifespan: LifespanMode = "auto",
        startup_timeout: float | None = 60.0,
        shutdown_timeout: float | None = 30.0,
        drain_timeout: float = 10.0,
        websockets: bool = False,
    ) -> None:
        refuse_greenlet_server()
        check_asgi_to_wsgi(
            "AsgiToWsgi",
            loop=loop,
            coalesce=coalesce,
            lifespan=lifespan,
            startup_timeout=startup_timeout,
            shutdown_timeout=shutdown_timeout,
            drain_timeout=drain_timeout,
        )
        if websockets:
            _require_wsproto()
        self.app = app
        self.websockets = websockets
        self._application = asgi_callable(app, "AsgiToWsgi")
        self._loop: str | asyncio.AbstractEventLoop = loop
        self._forget: weakref.finalize[..., AsgiToWsgi] | None = None
        self._coalesce = coalesce
        self._lifespan: LifespanMode = lifespan
        self._startup_timeout = startup_timeout
        self._shutdown_timeout = shutdown_timeout
        self._drain_timeout = drain_timeout
        self._service: Service | None = None
        _adapters.add(self)

    def __call__(self, environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
        """Respond to one request (PEP 3333).

        Raises:
            LifespanFailed: The application did not start.
            Exception: The application raised it before it sent any of its body.
        """
        if self.websockets and "HTTP_UPGRADE" in environ:
            from gateway.adapters.websocket._serve import is_handshake

            if is_handshake(environ):
                return self.websocket(environ, start_response)
        service = self._service
        if service is None or not service.serving or service.pid != os.getpid():
            service = self._started()
        try:
            scope = self._scope(environ)
            body = open_body(environ)
        except ServerError as error:
            if error.status_hint >= 500:  # a mistake of the caller, not of the client
                raise
            return _refuse(start_response, error)  # HTTP forbids this request, but the server passed it on
        offers = _offer(environ, scope)
        _put_state(scope, service)
        call = AsgiCall(self._application, scope, body, service.runner, service, copy_context(), offers)
        service.runner.start(call)
        return respond(call, environ, start_response, self._coalesce)

    def websocket(
        self, environ: Environ, start_response: Callable[..., object], app: ASGIApplication | None = None
    ) -> Iterable[bytes]:
        """Respond to a WebSocket handshake. If it is accepted, take over the server's socket until the WebSocket ends.

        Args:
            environ: A request for which ``gateway.adapters.websocket._serve.is_handshake`` holds.
            start_response: The server's.
            app: The ASGI application that serves the WebSocket, on the adapter's loop and with its lifespan. None is
                the adapter's own application.

        Returns:
            The response if the handshake was denied.

        Raises:
            Exception: An error that makes the server leave the connection alone; no code on its way may catch it.
        """
        from gateway.adapters.websocket import _serve

        service = self._service
        if service is None or not service.serving or service.pid != os.getpid():
            service = self._started()
        scope = self._scope(environ)
        _put_state(scope, service)
        return _serve.serve(self._application if app is None else app, environ, start_response, scope, service)

    def reached(self, interface: Literal["wsgi", "asgi"]) -> Iterable[Reached]:
        """Return the application, which is called as ASGI."""
        return [(self._application, "asgi")]

    def start(self) -> None:
        """Start the loop and the application now, in this process: for a server's hook. A second call does nothing.

        Raises:
            LifespanFailed: The application did not start; the server should not serve.
        """
        self._started()

    def close(self) -> None:
        """Stop the application in this process, after its tasks. A second call does nothing.

        The last adapter that uses the loop stops it.

        Raises:
            LifespanFailed: The application's shutdown failed.
        """
        service, self._service = self._service, None
        if service is not None:
            if self._forget is not None:
                self._forget.detach()
            service.close()

    def __enter__(self) -> AsgiToWsgi:
        """Start."""
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        """Show the application and where it runs."""
        return f"{type(self).__name__}({self.app!r}, loop={self._loop!r})"

    def _scope(self, environ: Environ) -> dict[str, Any]:
        return environ_to_scope(environ)

    def _new_lifespan(self) -> Lifespan:
        return Lifespan(
            self._application,
            mode=self._lifespan,
            startup_timeout=self._startup_timeout,
            shutdown_timeout=self._shutdown_timeout,
        )

    def _started(self) -> Service:
        refuse_patched_threads()
        with _service.lock():
            service = self._service
            if service is None or service.closed or service.pid != os.getpid():
                service = self._service = _service.serve(self._loop, self._new_lifespan(), self._drain_timeout)
                # If the adapter is dropped without a close, its service ends too.
                self._forget = weakref.finalize(self, service.forget)
                self._forget.atexit = False
        if not service.serving:
            service.start()
        return service


def _require_wsproto() -> None:
    """Check at construction that WebSockets can be served.

    Raises:
        MissingExtraError: wsproto is not installed.
    """
    importlib.import_module("gateway.adapters.websocket._serve")


def start_all(
    served: object = None,
    *,
    interface: Literal["wsgi", "asgi"] = "wsgi",
    single_threaded: bool = False,
    stopping: Callable[[], bool] | None = None,
    patience: float | None = None,
) -> None:
    """Start everything that the served object reaches, in this process: for a server's worker hook.

    These are the ASGI applications inside it, and the ``on_start`` of its middleware. Under an ASGI server, the server
    starts the applications that have a lifespan.

    Args:
        served: The object that the server calls. If it is None, every adapter of the process starts, including those
            that no server calls.
        interface: The interface in which the server calls it.
        single_threaded: The server calls the application from one thread only, so that ``loop="auto"`` may lend it.
        stopping: Tells whether the server has begun to stop and waits for its requests. WebSockets are then closed.
        patience: Seconds that responses may take from then on, if the server kills the process later. After that,
            ``receive()`` returns ``http.disconnect``, so that streams without an end leave time for the shutdown.

    Raises:
        LifespanFailed: An application did not start; the worker should not serve.
        Exception: The ``on_start`` of a middleware failed; the worker should not serve.
    """
    _service.single_threaded = single_threaded
    _service.ending = Ending(stopping, patience, single_threaded=single_threaded)
    _open.stopping = stopping
    for part in tuple(_adapters) if served is None else lazy_parts(served, interface):
        part.start()


def close_all() -> None:
    """Close every adapter of this process: for a server's worker hook. Errors are logged."""
    _service.close_services()


def close_websockets() -> None:
    """Begin to close every WebSocket of this process: for a server that waits for its threads. May be called again."""
    _service.close_sockets()


def _put_state(scope: dict[str, Any], service: Service) -> None:
    state = service.lifespan.state
    # A scope that came from an ASGI server, through a WSGI middleware, may have a state already.
    scope["state"] = {**scope["state"], **state} if "state" in scope else state.copy()


def _offer(environ: Environ, scope: dict[str, Any]) -> frozenset[str]:
    """Put the extensions that this server supports into ``scope["extensions"]``, and return their names."""
    offers = _OFFERS["wsgi.file_wrapper" in environ, "wsgi.early_hints" in environ, _SENDS_TRAILERS in environ]
    if "extensions" in scope:
        # They come from an ASGI server two adapters away. Extensions that inform (tls) stay. Those that act on the
        # response go, because its server is out of reach.
        known: dict[str, Any] = scope["extensions"] or {}
        kept = {name: value for name, value in known.items() if not name.startswith("http.response.")}
        scope["extensions"] = {**kept, **{name: {} for name in offers}}
    elif offers:
        scope["extensions"] = {name: {} for name in offers}
    return offers


_SENDS_TRAILERS = "gunicorn.http2.send_trailers"
_EXTENSIONS = (
    ("http.response.pathsend", "http.response.zerocopysend"),
    ("http.response.early_hint",),
    ("http.response.trailers",),
)
#: Extensions by the abilities that a server's environ keys show: sends files, sends early hints, sends trailers.
_OFFERS = {
    keys: frozenset(name for key, names in zip(keys, _EXTENSIONS, strict=True) if key for name in names)
    for keys in itertools.product((False, True), repeat=3)
}


def _refuse(start_response: Callable[..., object], error: ServerError) -> list[bytes]:
    body = f"{error}\n".encode()
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(f"{error.status_hint} {HTTPStatus(error.status_hint).phrase}", fields)
    return [body]
