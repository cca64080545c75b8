"""Find the rules that a running server keeps: an application with rare behaviour, and a client that observes.

The application runs inside the server under a `Validator` that collects. The client speaks raw HTTP/1.1 and WebSocket
over a socket. It fetches the validator's findings and adds those that only a client can see. ``gateway check --server``
starts the server.

One worker process has to serve the application: ``gateway.check.probe:asgi`` or ``gateway.check.probe:wsgi``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from gateway.check.applications import (
    ACCEPTED,
    BYTES,
    CODING,
    HEADERS,
    LIFESPAN,
    Broken,
    asgi,
    found,
    wsgi,
)
from gateway.check.wire import HANDSHAKE, Address, ProbeResponse, WebSocketProbe, fetch, request
from gateway.errors import ConfigurationError
from gateway.rules.observer import ClientObserver

__all__ = ["LIFESPAN", "Broken", "Examined", "asgi", "probe", "watch", "wsgi"]

#: Seconds that a probe waits for a response; the slowest correct response takes one second.
_PATIENCE = 8.0
#: Seconds that a probe waits for an event that a server may never send: 100 Continue, the end of a connection.
_SHORT = 1.5
_ECHO_HEADERS = [("x-two", "1"), ("x-two", "2"), ("x-empty", ""), ("x-one", "a, b")]

Get = Callable[..., ProbeResponse]


@dataclass(frozen=True)
class Examined:
    """The result of a probe.

    Attributes:
        broken: The violations of the server, sorted, one for each rule.
        exercised: Ids of the rules that the probe has exercised.
        offered: The extensions that the server offers.
    """

    broken: list[Broken]
    exercised: frozenset[str]
    offered: frozenset[str]


def probe(address: Address, interface: str) -> Examined:
    """Test a server that serves the probe application.

    Args:
        address: Host and port, or the path of a unix socket.
        interface: Interface in which the server calls the application.

    Raises:
        ConfigurationError: The server does not serve the probe application.
    """
    observer = ClientObserver()

    def get(path: str, *lines: str) -> ProbeResponse:
        # After an application's error, for example, a server may neither respond nor close: do not wait long.
        return fetch(address, request("GET", path, b"", *lines), timeout=_PATIENCE)

    extra: list[Broken] = []
    echoed = get("/echo?x=1&y=%C3%A9")
    query = _echo(echoed).get("query")
    if query not in ("x=1&y=%C3%A9", None):
        extra.append(Broken("P37" if interface == "wsgi" else "H06", f"{query!r} for ?x=1&y=%C3%A9", "error"))
    watch(observer, address, interface)
    report = _echo(get("/report"))
    if "found" not in report:
        raise ConfigurationError(
            f"the server at {address} does not serve the probe application; start it with "
            f"gateway.check.probe:{interface}"
        )
    extra += [Broken(*each) for each in cast("list[tuple[str, str, str]]", report["found"])]
    extra += found(observer)
    offered: object = _echo(get("/extensions")).get("extensions", []) if interface != "wsgi" else []
    return Examined(
        sorted({broken.rule: broken for broken in sorted(extra, reverse=True)}.values()),
        frozenset(observer.exercised) | frozenset(cast("list[str]", report["exercised"])),
        frozenset(cast("list[str]", offered)),
    )


def watch(observer: ClientObserver, address: Address, interface: str) -> None:
    """Send every request of the probe, and let an observer judge the responses."""

    def get(path: str, *lines: str) -> ProbeResponse:
        return fetch(address, request("GET", path, b"", *lines), timeout=_PATIENCE)

    get("/a%20b/%C3%A9?x", "X-Two: 1", "X-Two: 2", "Cookie: a=1")
    fetch(address, request("POST", "/echo", b"0123456789", "Content-Length: 10"))
    fetch(address, request("POST", "/echo", b"3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
    fetch(address, request("HEAD", "/echo"))
    echoed = get("/echo", *(f"{name}: {value}" for name, value in _ECHO_HEADERS))
    observer.sees("P66", echoed.headers)
    seen = _echo(echoed).get("headers", [])
    if interface == "wsgi":
        observer.sees("P63", {name for name, _ in _ECHO_HEADERS}, seen)
    else:
        observer.sees("H17", _ECHO_HEADERS, seen)
    observer.sees("P61", BYTES, get("/bytes").body)
    _watch_flush(observer, interface, get("/flush"))
    expecting = request("POST", "/echo", b"", "Content-Length: 3", "Expect: 100-continue")
    expected = fetch(address, expecting, _PATIENCE, rest=b"abc", after=_SHORT)
    observer.sees("P62", expected.status, _echo(expected).get("size", 0), 3)
    if interface == "wsgi":
        _watch_wsgi(observer, address, get)
    else:
        _watch_asgi(observer, get)
        _watch_websocket(observer, address, get)


def _echo(response: ProbeResponse) -> dict[str, object]:
    """Return what the application has seen of a request; empty if its response did not arrive."""
    try:
        value: object = json.loads(response.body)
    except ValueError:
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _watch_flush(observer: ClientObserver, interface: str, response: ProbeResponse) -> None:
    _, _, moment = response.body.partition(b" ")
    if response.body.startswith(b"first") and moment:
        seen = 5 if response.first and response.first < float(moment) else 0
        observer.flushed(interface, sent=5, seen=seen)


def _watch_wsgi(observer: ClientObserver, address: Address, get: Get) -> None:
    lazy = get("/lazy")
    observer.sees("P64", lazy.status, lazy.body)
    observer.sees("P60", get("/replaced").status)
    waiting = get("/waits")
    if waiting.body.startswith(b" "):
        observer.sees("P69", waiting.began < float(waiting.body))
    kept = "Connection: keep-alive"
    long = fetch(address, request("GET", "/long", b"", kept), timeout=_SHORT, drain=True)
    observer.sees("P70", 10, len(long.body))
    short = fetch(address, request("GET", "/short", b"", kept), timeout=_SHORT, drain=True)
    observer.sees("P71", short.closed)


def _watch_asgi(observer: ClientObserver, get: Get) -> None:
    if get("/idle").body == b"http.disconnect":
        observer.disconnect_given(client_left=False, complete=False)
    observer.headers_delivered(HEADERS, get("/headers").headers)
    coding = get("/coding")
    observer.sees("E13", CODING, coding.headers, coding.status)
    cut = get("/cut")
    if cut.body == b"begun":
        observer.response_cut(complete=cut.complete)
    get("/additional")
    get("/invalid")
    offered = cast("list[str]", _echo(get("/extensions")).get("extensions", []))  # the probe application wrote it
    observer.extensions_offered(offered)
    observer.trailers_delivered(te=False, trailers=get("/trailers").trailers)
    if "http.response.trailers" in offered:
        asked = get("/trailers", "TE: trailers")
        observer.sees("E27", asked.complete, asked.trailers)


def _watch_websocket(observer: ClientObserver, address: Address, get: Get) -> None:
    denied = get("/deny", "Upgrade: websocket", *HANDSHAKE)
    if denied.status not in (0, 200, 426):  # else the server does not support WebSockets
        observer.handshake_denied(denied.status)
    with WebSocketProbe(address, "/ws", _SHORT) as socket:
        if socket.response.status != 101:
            return
        observer.sees("W20", ACCEPTED, socket.response.headers)
        socket.send(1, b"ab", last=False)
        socket.send(9, b"ping")
        socket.send(0, b"cd")
        frames = [socket.receive(), socket.receive()]
        observer.sees("W22", (10, b"ping") in frames)
        observer.sees("W21", b"abcd", next((frame[1] for frame in frames if frame and frame[0] in (1, 2)), None))
        socket.send(8, (1000).to_bytes(2))
        socket.ended()
    with WebSocketProbe(address, "/ws-close", _SHORT) as socket:
        frame = socket.receive()
        code = int.from_bytes(frame[1][:2]) if frame is not None and frame[0] == 8 else None
        observer.sees("W19", 4001, code)
    with WebSocketProbe(address, "/ws-dies", _SHORT) as socket:
        observer.sees("W23", socket.ended())
