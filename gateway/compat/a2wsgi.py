"""``WSGIMiddleware`` and ``ASGIMiddleware``, as in ``a2wsgi``."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Literal

from gateway.adapters._options import whole
from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from gateway.compat._ignored import warn_ignored
from gateway.protocols import ASGIApplication, Environ, Scope, WSGIApplication

__all__ = ["ASGIMiddleware", "WSGIMiddleware"]


class WSGIMiddleware(WsgiToAsgi):
    """An ASGI application that runs a WSGI application in ``workers`` threads."""

    __gateway_inside__: ClassVar[Literal["wsgi"]] = "wsgi"

    def __init__(self, app: WSGIApplication, workers: int = 10, send_queue_size: int = 10) -> None:
        whole(workers, 1, "WSGIMiddleware(workers=...)")  # an error of `WsgiToAsgi` would name `threads`
        super().__init__(app, threads=workers)
        self.send_queue_size = send_queue_size
        if send_queue_size != 10:
            reason = "the queue of a response is limited in bytes, not in chunks; use WsgiToAsgi(app, buffer_bytes=...)"
            warn_ignored(f"WSGIMiddleware(send_queue_size={send_queue_size!r})", reason)

    def _environ(self, scope: Scope) -> Environ:
        environ = super()._environ(scope)
        environ["asgi.scope"] = scope
        return environ


class ASGIMiddleware(AsgiToWsgi):
    """A WSGI application that runs an ASGI application on ``loop``, or on a loop in a thread of its own."""

    __gateway_inside__: ClassVar[Literal["asgi"]] = "asgi"

    def __init__(
        self, app: ASGIApplication, wait_time: float | None = None, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        super().__init__(app, loop="shared" if loop is None else loop)
        self.wait_time = wait_time
        if wait_time is not None:
            reason = "a response ends with its last byte, and work after it continues without a limit"
            warn_ignored(f"ASGIMiddleware(wait_time={wait_time!r})", reason)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that runs the application; reading it starts the application in this process."""
        return self._started().runner.loop

    def _scope(self, environ: Environ) -> dict[str, Any]:
        scope = super()._scope(environ)
        scope["wsgi_environ"] = environ
        return scope
