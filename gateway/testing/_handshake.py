"""The opening of a WebSocket: the request of a browser, and the client's end for it.

Sources: RFC 6455 section 4.1; ASGI WebSocket 2.5 "WebSocket Connection Scope".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.testing._http import http
from gateway.testing._request import build_websocket_scope
from gateway.testing._stage import Stage, head_of
from gateway.testing._verbs import HeaderItems, Params, add_cookies, encoded
from gateway.testing.tiers import Unsupported
from gateway.testing.websocket import AsyncWebSocket

__all__ = ["handshake", "keep_cookies", "opened"]


def handshake(
    client: http.Client | http.AsyncClient,
    url: str,
    subprotocols: Sequence[str],
    headers: HeaderItems | None,
    params: Params | None,
    cookies: dict[str, str] | None,
    scope: Mapping[str, object] | None,
) -> http.Request:
    """Return the request that opens a WebSocket, with the headers of a browser's (RFC 6455, 4.1)."""
    given = encoded(headers)
    names = {name.lower() for name, _ in given}
    own = [
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        (b"sec-websocket-version", b"13"),
    ]
    if subprotocols:
        own.append((b"sec-websocket-protocol", ", ".join(subprotocols).encode("latin-1")))
    lines = [*given, *(line for line in own if line[0] not in names)]
    extensions = {"gateway.cookies": cookies or {}, "gateway.scope": scope or {}}
    request = client.build_request("GET", url, headers=lines, params=params, extensions=extensions)
    add_cookies(request)
    return request


def opened(stage: Stage, request: http.Request, subprotocols: Sequence[str], timeout: float | None) -> AsyncWebSocket:
    """Return the client's end of a WebSocket that this request opens. The lifespan must have started.

    Raises:
        Unsupported: The application is called as WSGI.
    """
    if stage.interface != "asgi":
        raise Unsupported(
            "WSGI has no WebSockets; run the application as ASGI, or run this test in the ASGI tiers only"
        )
    state = stage.lifespan.state if stage.lifespan is not None and stage.lifespan.supported else None
    scope = build_websocket_scope(head_of(request), stage.options, subprotocols, state)
    stage.add_to_scope(scope, request.extensions)
    record = stage.record(request.extensions)
    return AsyncWebSocket(stage.asgi, scope, stage.timeout if timeout is None else timeout, record=record)


def keep_cookies(client: http.Client | http.AsyncClient, request: http.Request, core: AsyncWebSocket) -> None:
    """Keep the cookies of an accepted handshake in the client."""
    client.cookies.extract_cookies(http.Response(101, headers=core.accept_headers, request=request))
