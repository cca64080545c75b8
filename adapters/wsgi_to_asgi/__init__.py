"""A WSGI application served as ASGI 3.

Blocking code runs in worker threads, waiting code runs on the loop. One request changes sides twice, however many
messages it has:

1. On the loop: the scope becomes an environ, and a small body is awaited, so that a slow client holds no thread.
2. A worker runs the application, pushes the response, and calls ``close()``.
3. On the loop: the response is sent as fast as the client takes it.

Modules: `gateway.translate.scope_environ` translates the request, `gateway.adapters.hand_off` has the hand-offs. The
request body is in ``_input`` and ``_receiver``. The run of the application is in ``_run`` (worker) and ``_exchange``
(loop). ``_files`` sends files without reading them.

Sources: PEP 3333; ASGI 3.0, HTTP 2.4, WebSocket 2.4, Lifespan 2.0.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterable
from contextvars import copy_context
from typing import TYPE_CHECKING, ClassVar, Literal

from gateway._starting import Reached, Reaching
from gateway.adapters._options import check_wsgi_to_asgi, whole
from gateway.adapters._wrapped import wsgi_callable
from gateway.adapters.hand_off._ports import AsyncioPort, Port, PortsByLoop, SensitivePort, Spawn
from gateway.adapters.wsgi_to_asgi._exchange import RequestCycle
from gateway.adapters.wsgi_to_asgi._files import FileWrapper
from gateway.adapters.wsgi_to_asgi._input import LazyInput, WholeInput
from gateway.adapters.wsgi_to_asgi._run import Run
from gateway.adapters.wsgi_to_asgi._trailers import Trailers
from gateway.client.wsgi import KEY, unknown
from gateway.errors import ConfigurationError, ServerError
from gateway.protocols import ASGIReceive, ASGISend, Environ, Scope, WSGIApplication
from gateway.translate.scope_environ import scope_to_environ

if TYPE_CHECKING:
    from gateway.adapters.wsgi_to_asgi._handshake import WebSockets

__all__ = ["WsgiToAsgi"]

logger: logging.Logger = logging.getLogger("gateway.adapters")

#: Maximum size of a body message that joins waiting chunks.
JOIN_BYTES = 64 * 1024


class WsgiToAsgi(Reaching):
    """An ASGI application that runs a WSGI application in threads.

    You may build it anywhere, also before a fork: threads start with the first request of a loop, in its process.

    Attributes:
        app: The WSGI application.
    """

    __gateway_inside__: ClassVar[Literal["wsgi"]] = "wsgi"  # read by `gateway.adapters.crossing.adapts`

    def __init__(
        self,
        app: WSGIApplication,
        *,
        threads: int = 40,
        queue: int | None = None,
        coalesce: bool = True,
        inline: bool = False,
        thread_sensitive: bool = False,
        prefetch_bytes: int = 64 * 1024,
        buffer_bytes: int = 256 * 1024,
        websockets: bool = False,
        websocket_threads: int = 100,
    ) -> None:
        """Wrap a WSGI application.

        Args:
            app: The WSGI application.
            threads: Maximum number of requests that run at once, per event loop.
            queue: Maximum number of requests that wait for a thread; the next one gets a 503 with Retry-After. None:
                no limit.
            coalesce: Join chunks that wait to be sent. False: each chunk of the application is one message.
            inline: Run the application on the event loop, without a thread; only for an application that never blocks.
                A request with a body above ``prefetch_bytes`` still takes a thread, because reading it blocks.
            thread_sensitive: Run every request in the one thread that asgiref keeps for thread-sensitive code.
            prefetch_bytes: Maximum declared length of a request body that is read before the application starts.
            buffer_bytes: Maximum size of the buffer for a longer request body, and of the buffer for a response.
            websockets: Give the application a socket for each WebSocket, under the key ``gunicorn.socket``. Without it,
                a WebSocket gets a 403.
            websocket_threads: Maximum number of WebSockets at once, per event loop. Each holds a thread, beside those
                of ``threads``. The next one gets a 503, or a 403 if the server cannot send a response to a handshake.

        Raises:
            ConfigurationError: ``app`` is not a WSGI application, an option is out of range, or two exclude each other.
            MissingExtraError: ``websockets=True`` without wsproto.
        """
        whole(threads, 1, "WsgiToAsgi(threads=...)")
        check_wsgi_to_asgi(
            "WsgiToAsgi",
            queue=queue,
            coalesce=coalesce,
            inline=inline,
            thread_sensitive=thread_sensitive,
            prefetch_bytes=prefetch_bytes,
            buffer_bytes=buffer_bytes,
            websocket_threads=websocket_threads,
        )
        self.app: WSGIApplication = wsgi_callable(app, "WsgiToAsgi")
        self._threads = threads
        self._queue = queue
        self._join_bytes = JOIN_BYTES if coalesce else 0
        self._inline = inline
        self._thread_sensitive = thread_sensitive
        self._prefetch_bytes = prefetch_bytes
        self._high = buffer_bytes
        self._constants: Environ = {
            "wsgi.multithread": threads > 1 and not inline and not thread_sensitive,
            "wsgi.multiprocess": True,  # unknown here, and True is the safe value
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": FileWrapper,
        }
        self._ports = PortsByLoop()
        self._refused = False  # a WebSocket was refused, and the log says so
        self._websockets = self._sockets(websocket_threads) if websockets else None

    def _sockets(self, threads: int) -> WebSockets:
        if self._thread_sensitive:
            raise ConfigurationError(
                "websockets=True and thread_sensitive=True are contradictory, because an open WebSocket would hold the "
                "only thread; remove one of them"
            )
        from gateway.adapters.wsgi_to_asgi._handshake import WebSockets

        return WebSockets(self.app, threads=threads, high=self._high)

    def reached(self, interface: Literal["wsgi", "asgi"]) -> Iterable[Reached]:
        """Return the application, which is called as WSGI."""
        return [(self.app, "wsgi")]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.app!r})"

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Serve one ASGI scope: a request, the lifespan, or a WebSocket, which gets a 403 without ``websockets``."""
        if scope["type"] != "http":
            await self._serve_other(scope, receive, send)
            return
        try:
            environ = self._environ(scope)
        except ServerError as error:
            if error.status_hint >= 500:  # a mistake of the caller, not of the client
                raise
            await _refuse(send, error.status_hint, str(error))
            return
        body: WholeInput | list[bytes] | None
        if (
            "CONTENT_LENGTH" not in environ
            and "HTTP_TRANSFER_ENCODING" not in environ
            and (environ["SERVER_PROTOCOL"].startswith("HTTP/1") or environ["REQUEST_METHOD"] in ("GET", "HEAD"))
        ):  # a request that cannot have a body
            body = WholeInput() if self._inline else []
        else:
            body = await self._body(environ, receive)
            if body is None:
                return  # the client left while it sent its body, so a response would reach no client
        port = self._ports.current(self._new_port)
        if self._queue is not None and port.workers.pending >= self._threads + self._queue:
            await _refuse(send, 503, "too many requests are waiting", (b"retry-after", b"1"))
            return
        if isinstance(port, AsyncioPort):
            await self._exchange(scope, environ, body, port, receive, send, port.spawn)
        else:
            await port.run(lambda spawn: self._exchange(scope, environ, body, port, receive, send, spawn))

    async def _serve_other(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            if self._websockets is not None:
                await self._websockets.serve(scope, receive, send, self._environ)
                return
            await receive()  # websocket.connect; a server turns a close before the accept into a 403
            if not self._refused:
                self._refused = True
                logger.warning(
                    "a WebSocket was refused with 403, because the WSGI application %r is served without WebSockets; "
                    "if it has some (flask-sock, simple-websocket, Flask-SocketIO), write "
                    "Gateway(app, websockets=True)",
                    self.app,
                )
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        else:
            raise ServerError(
                f"a scope must be of type http, websocket or lifespan, got {kind!r}; a WSGI application "
                "cannot serve it (ASGI 3.0)"
            )

    # ------------------------------------------------------------------------------------------------- the request

    async def _exchange(
        self,
        scope: Scope,
        environ: Environ,
        body: WholeInput | list[bytes],
        port: Port,
        receive: ASGIReceive,
        send: ASGISend,
        spawn: Spawn,
    ) -> None:
        extensions: dict[str, object] = scope.get("extensions") or {}
        inline = self._inline and isinstance(body, WholeInput)
        run = Run(
            self.app,
            environ,
            copy_context(),
            port,
            extensions=extensions,
            coalesce_bytes=self._join_bytes,
            high=sys.maxsize if inline else self._high,
        )
        if "http.response.early_hint" in extensions:
            environ["wsgi.early_hints"] = run.early_hints
        if "http.response.trailers" in extensions:
            trailers = Trailers(send, head_only=environ["REQUEST_METHOD"] == "HEAD")
            environ["gunicorn.http2.send_trailers"] = trailers.give
            send = trailers.send
        length = environ.get("CONTENT_LENGTH")
        expects = "HTTP_EXPECT" in environ
        exchange = RequestCycle(
            run,
            port,
            spawn,
            receive,
            send,
            body_complete=isinstance(body, WholeInput) and length != "0",  # nobody has received the message of length 0
            expects=expects,
            join_bytes=self._join_bytes,
            high=self._high,
        )
        environ.setdefault(KEY, unknown if inline else exchange.disconnected)
        if isinstance(body, WholeInput):
            environ["wsgi.input"] = body
        elif body or (length is not None and not expects):
            environ["wsgi.input"] = exchange.streamed_input(body)
        else:
            environ["wsgi.input"] = LazyInput(exchange.unread_input)
        if inline:
            await exchange.serve_inline()
        else:
            await exchange.serve()

    def _environ(self, scope: Scope) -> Environ:
        environ = scope_to_environ(scope)
        environ.update(self._constants)
        if "gateway.environ" in scope:  # keep the error stream of the original environ, drop its offers
            environ.setdefault("wsgi.errors", sys.stderr)
            environ.pop("wsgi.early_hints", None)
            environ.pop("gunicorn.http2.send_trailers", None)
        else:
            environ["wsgi.errors"] = sys.stderr
        return environ

    async def _body(self, environ: Environ, receive: ASGIReceive) -> WholeInput | list[bytes] | None:
        """Await a small body.

        Returns:
            The whole body; the parts that were received of a longer body; or None if the client left.
        """
        length = environ.get("CONTENT_LENGTH")
        if length is None:
            limit = 0  # the length is unknown, and the first message may be the whole body
        elif length == "0":
            return WholeInput()
        elif len(length) < 20 and length.isascii() and length.isdecimal() and int(length) <= self._prefetch_bytes:
            limit = self._prefetch_bytes
        else:
            return []
        if "HTTP_EXPECT" in environ or not self._prefetch_bytes:
            return []  # receive() would send the 100 response, which the application may want to withhold
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            if part:
                parts.append(part)
                size += len(part)
            if not message.get("more_body", False):
                return WholeInput(parts[0] if len(parts) == 1 else b"".join(parts))
            if size >= limit:
                return parts

    def _new_port(self, loop: object) -> Port:
        if not isinstance(loop, asyncio.AbstractEventLoop):
            import trio

            from gateway.adapters.hand_off._ports_trio import TrioPort

            assert isinstance(loop, trio.lowlevel.TrioToken)
            return TrioPort(loop, 1 if self._thread_sensitive else self._threads)
        return SensitivePort(loop) if self._thread_sensitive else AsyncioPort(loop, self._threads)

    # ---------------------------------------------------------------------------------------------------- lifespan

    async def _live(self, receive: ASGIReceive, send: ASGISend) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self._ports.drop()
                if self._websockets is not None:
                    self._websockets.drop()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _refuse(send: ASGISend, status: int, reason: str, *headers: tuple[bytes, bytes]) -> None:
    body = f"{reason}\n".encode()
    fields = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body, "more_body": False})
