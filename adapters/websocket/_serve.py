"""Detect a WebSocket handshake under a WSGI server, respond to it, and serve the WebSocket to its end.

This module is imported only if an adapter was built with ``websockets=True``.

Sources: RFC 6455 section 4.2; RFC 9110 section 15.6.2 (501 Not Implemented).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import copy_context
from http import HTTPStatus
from typing import Any

from gateway._bounds import BOUNDS
from gateway.adapters.asgi_to_wsgi._call import AsgiCall
from gateway.adapters.asgi_to_wsgi._response import respond
from gateway.adapters.asgi_to_wsgi._service import Service
from gateway.adapters.websocket._protocol import HandshakeError, Session
from gateway.adapters.websocket._sockets import SERVERS, take
from gateway.adapters.websocket._upgrade import MAX_MESSAGE_BYTES, TakenOver, Upgrade
from gateway.protocols import ASGIApplication, Environ

_NOT_HERE = (
    "This server does not give access to a request's socket, so WebSockets do not work under it. Run the "
    f"application under {', '.join(SERVERS)}, or under an ASGI server."
)


def is_handshake(environ: Environ) -> bool:
    """Tell whether a request is a WebSocket handshake (RFC 6455 section 4.2.1): over HTTP/1.1, with ``Upgrade``.

    >>> is_handshake({"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_UPGRADE": "WebSocket",
    ...               "HTTP_CONNECTION": "keep-alive, Upgrade"})
    True
    """
    return (
        "HTTP_UPGRADE" in environ
        and environ["REQUEST_METHOD"] == "GET"
        # Over HTTP/2 the connection carries other requests too, and ``Upgrade`` is not defined.
        and environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
        and "websocket" in _tokens(environ["HTTP_UPGRADE"])
        and "upgrade" in _tokens(environ.get("HTTP_CONNECTION", ""))
    )


_LONGEST_TOKENS = BOUNDS["connection"].characters


def _tokens(value: str) -> list[str]:
    if len(value) > _LONGEST_TOKENS:
        return []
    return [token.strip().lower() for token in value.split(",")]


def serve(
    app: ASGIApplication,
    environ: Environ,
    start_response: Callable[..., object],
    scope: dict[str, Any],
    service: Service,
) -> Iterable[bytes]:
    """Respond to one handshake, in the WSGI thread that received it.

    Args:
        app: The WebSocket application.
        environ: The request.
        start_response: The server's.
        scope: The request as a scope of type ``http``, with the state of the lifespan.
        service: The service that runs the application.

    Returns:
        The response without a WebSocket: the handshake is invalid, the server cannot hand over its socket, or the
        application denied it.

    Raises:
        Exception: After the WebSocket, the exception that makes the server leave the connection alone. Before it, an
            error that the application raised before it responded.
    """
    try:
        session = Session(environ, MAX_MESSAGE_BYTES)
    except HandshakeError as error:
        return _answer(start_response, error.status_hint, str(error), error.headers)
    taken = take(environ)
    if taken is None:
        return _answer(start_response, 501, _NOT_HERE)
    upgrade = Upgrade(app, session, taken, service.sockets)
    call = AsgiCall(upgrade, scope, None, service.runner, service, copy_context(), frozenset())
    upgrade.end = call.end
    service.runner.start(call)
    try:
        # Do not join the messages of a denial, because a client may read each of them while it waits.
        return respond(call, environ, start_response, False)
    except TakenOver:
        pass
    raise taken.leave()


def _answer(
    start_response: Callable[..., object], status: int, sentence: str, headers: Iterable[tuple[str, str]] = ()
) -> list[bytes]:
    body = f"{sentence}\n".encode()
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *headers]
    start_response(f"{status} {HTTPStatus(status).phrase}", fields)
    return [body]
