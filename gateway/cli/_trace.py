"""The time line of ``gateway fetch --trace``: what happens in a request, when, and in which thread.

A marker before each middleware writes a line when the request goes in and when the response comes out. A wrapper around
the application writes its events. A marker is a WSGI+ASGI middleware, so it adds no adapter to the chain.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from gateway.application import Gateway
from gateway.chain import ChainWarning
from gateway.contract import Middleware
from gateway.dual import Dual
from gateway.exchange import Outcome, Request, Response
from gateway.protocols import Application, ASGIReceive, ASGISend, Environ, Interface, Scope, StartResponse, is_proxy

__all__ = ["Trace", "TraceEntry", "traced"]


@dataclass(frozen=True)
class TraceEntry:
    """One line.

    Attributes:
        seconds: Time since the request began.
        thread: Name of the thread.
        text: The event.
    """

    seconds: float
    thread: str
    text: str


@dataclass
class Trace:
    """The lines of one request, in order."""

    entries: list[TraceEntry] = field(default_factory=list[TraceEntry])
    began: float = field(default_factory=time.perf_counter)

    def restart(self) -> None:
        """Begin again, with the request that follows."""
        self.entries.clear()
        self.began = time.perf_counter()

    def add(self, text: str) -> None:
        """Write a line."""
        name = threading.current_thread().name
        # Python names a thread like this if it did not start it as a `Thread`: here the one of the adapters' loop.
        thread = "the event loop's thread" if name.startswith("Dummy-") else name
        self.entries.append(TraceEntry(time.perf_counter() - self.began, thread, text))

    def lines(self) -> Iterator[str]:
        """Yield the lines as text; a change of the thread is a line of its own."""
        previous = ""
        for entry in self.entries:
            if previous and entry.thread != previous:
                yield f"{'':>9}  hand-off: {previous} to {entry.thread}"
            previous = entry.thread
            yield f"{entry.seconds * 1e3:6.2f} ms  {entry.text}"


@dataclass(frozen=True, kw_only=True)
class _Marker(Middleware):
    """Write when a request enters and leaves a middleware."""

    of: str
    trace: Trace

    def on_request(self, request: Request) -> None:
        self.trace.add(f"> {self.of}")

    def on_response(self, request: Request, response: Response) -> None:
        self.trace.add(f"< {self.of}: {response.status}")

    def on_error(self, request: Request, error: Exception) -> None:
        self.trace.add(f"< {self.of}: raises {type(error).__name__}")

    def on_finish(self, request: Request, outcome: Outcome) -> None:
        self.trace.add(f"  {self.of}: {outcome.kind}")


def traced(app: object, interface: Interface, trace: Trace) -> Gateway[Application]:
    """Build the same chain again, with the markers and with the application's events.

    A `Mount` and a plain application have no chain here; only their events are written.
    """
    inside, spoken, websockets = cast("Application", app), interface, False
    middleware: tuple[object, ...] = ()
    options: dict[str, Any] = {}
    if isinstance(app, Gateway) and not is_proxy(cast("object", app)):
        gateway = cast("Gateway[Application]", app)
        inside, spoken, middleware, websockets = gateway._flattened()
        threads, adapter = gateway._adapter_options()
        options = {"engine": gateway.engine, "max_adapters": gateway.max_adapters, "threads": threads}
        options |= {"adapter": adapter, "websocket_app": gateway._for_websockets()}
    parts: list[object] = []
    if not isinstance(inside, Dual):
        inside = _wsgi(inside, trace) if spoken == "wsgi" else _asgi(inside, trace) if spoken == "asgi" else inside
    for item in middleware:
        name = getattr(item, "name", None) or type(item).__name__
        parts += [_Marker(of=str(name), trace=trace), item]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChainWarning)  # the application's own chain has already raised it
        return Gateway(inside, spoken, parts, websockets=websockets, **options)


def _wsgi(app: Any, trace: Trace) -> Application:
    def traced_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        trace.add("application: called (WSGI)")

        def started(status: str, headers: Any, *rest: Any) -> Any:
            trace.add(f"application: start_response({status!r}, {len(headers)} headers)")
            return start_response(status, headers, *rest)

        body: Iterable[bytes] = app(environ, started)
        try:
            for chunk in body:
                trace.add(f"application: yields {len(chunk)} bytes")
                yield chunk
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                trace.add("application: close()")
                close()

    # A generator would call start_response only when it is iterated, which an application may do as well.
    return cast("Application", traced_app)


def _asgi(app: Any, trace: Trace) -> Application:
    async def traced_app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        trace.add("application: called (ASGI)")

        async def receives() -> Any:
            message = await receive()
            size = f", {len(message['body'])} bytes" if message.get("body") else ""
            trace.add(f"application: receives {message['type']}{size}")
            return message

        async def sends(message: Any) -> None:
            what = f" {message['status']}" if "status" in message else ""
            size = f", {len(message['body'])} bytes" if "body" in message else ""
            trace.add(f"application: sends {message['type']}{what}{size}")
            await send(message)

        await app(scope, receives, sends)
        trace.add("application: returns")

    return traced_app
