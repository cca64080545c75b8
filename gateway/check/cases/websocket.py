"""Cases for WebSockets: the handshake, messages of every kind and size, and every end of a connection.

A server without WebSockets answers a handshake as a request; then no case reports anything.

Sources: ASGI WebSocket 2.5; ASGI extensions, Websocket Denial Response; RFC 6455.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from gateway.check.cases.visit import PATIENCE, SHORT, Cases, Visit
from gateway.check.expected import ACCEPTED, LARGE, LEAVING, OFFERED
from gateway.check.wire import HANDSHAKE, ProbeResponse, WebSocketProbe

__all__ = ["CASES"]

CASES = Cases()


@contextmanager
def _opened(visit: Visit, path: str, timeout: float | None = None) -> Generator[WebSocketProbe | None]:
    with WebSocketProbe(visit.address, path, timeout or SHORT) as socket:
        yield socket if socket.response.status == 101 else None


def _refused(visit: Visit, path: str) -> ProbeResponse | None:
    response = visit.get(path, "Upgrade: websocket", *HANDSHAKE)
    # Without support for WebSockets the server answers the request, or says that it cannot.
    return None if response.status in (0, 200, 426) else response


@CASES.case("websocket-refused", "asgi")
def refused(visit: Visit) -> None:
    response = _refused(visit, "/deny")
    if response is not None:
        visit.observer.handshake_denied(response.status)


@CASES.case("websocket-denied-with-a-response", "asgi")
def denied(visit: Visit) -> None:
    response = _refused(visit, "/ws-denied")
    if response is not None and visit.seen("denied", 0.0):  # the server offers the extension
        visit.sees("X17", response.status, response.body)


@CASES.case("websocket-accepted", "asgi")
def accepted(visit: Visit) -> None:
    with _opened(visit, "/ws") as socket:
        if socket is None:
            return
        visit.sees("W20", ACCEPTED, socket.response.headers)
        visit.sees("W26", OFFERED, visit.seen("subprotocols", 0.0) or [])
        socket.send(8, (1000).to_bytes(2))
        socket.ended()


@CASES.case("websocket-fragments", "asgi")
def fragments(visit: Visit) -> None:
    with _opened(visit, "/ws") as socket:
        if socket is None:
            return
        socket.send(1, b"ab", last=False)
        socket.send(9, b"ping")
        socket.send(0, b"cd")
        frames = [socket.receive(), socket.receive()]
        visit.sees("W22", (10, b"ping") in frames)
        visit.sees("W21", b"abcd", next((frame[1] for frame in frames if frame and frame[0] in (1, 2)), None))
        socket.send(8, (1000).to_bytes(2))
        socket.ended()


@CASES.case("websocket-messages", "asgi")
def messages(visit: Visit) -> None:
    with _opened(visit, "/ws", PATIENCE) as socket:
        if socket is None:
            return
        for kind, data in ((1, "h\xe9llo".encode()), (2, b"\0\xff"), (2, LARGE[: 256 * 1024])):
            socket.send(kind, data)
            visit.sees("W25", (kind, data), socket.message())
        socket.send(8, (1000).to_bytes(2))
        socket.ended()


@CASES.case("websocket-closed-by-the-application", "asgi")
def closed_by_the_application(visit: Visit) -> None:
    with _opened(visit, "/ws-close") as socket:
        if socket is None:
            return
        frame = socket.receive()
        code = int.from_bytes(frame[1][:2]) if frame is not None and frame[0] == 8 else None
        visit.sees("W19", 4001, code)


def _closed_by_the_client(visit: Visit, code: int) -> None:
    with _opened(visit, f"/ws?{code}") as socket:
        if socket is None:
            return
        if code == 1005:
            socket.reset()
        else:
            socket.send(8, code.to_bytes(2))
            socket.ended()
        visit.sees("W24", code, visit.seen(f"code {code}", LEAVING))


@CASES.case("websocket-closed-by-the-client", "asgi")
def closed_by_the_client(visit: Visit) -> None:
    _closed_by_the_client(visit, 4002)


@CASES.case("websocket-lost", "asgi")
def lost(visit: Visit) -> None:
    _closed_by_the_client(visit, 1005)


@CASES.case("websocket-application-raises", "asgi")
def application_raises(visit: Visit) -> None:
    with _opened(visit, "/ws-dies") as socket:
        if socket is not None:
            visit.sees("W23", socket.ended())
