"""Control signals through every chain and both adapters: who gets them, what is logged, what the client gets.

:func:`play` lets an application end by a signal, before its headers, and returns what came of it. ``TABLE`` has what
must come of it; ``test_signals.py`` compares, and ``docs/reference/endings.md`` has the same table.
"""

from __future__ import annotations

import asyncio
import io as streams
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gateway import drivers
from gateway.adapters import AsgiToWsgi, WsgiToAsgi
from gateway.contract import Middleware, Refuse, as_middleware, finished
from gateway.exchange import Outcome, Request, Response
from gateway.middleware import AccessLog, Errors
from gateway.middleware.access_log import Entry
from tests.gateway.drivers._side import BodyLimit, Shout

SIGNALS: Final[dict[str, Callable[[], BaseException]]] = {
    # By the name that the table gives it.
    "sign-off": lambda: StopIteration("the WebSocket has ended"),
    "StopIteration": lambda: StopIteration("next() found nothing"),
    "refused body": lambda: AssertionError("the read raises Refuse"),
    "Refuse": lambda: Refuse(403, "not for you"),
    "GeneratorExit": GeneratorExit,
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "CancelledError": asyncio.CancelledError,
}
#: What serves the application: a chain in its own interface, or one outside of an adapter.
PATHS: Final = ("wsgi", "asgi", "wsgi in WsgiToAsgi", "asgi in AsgiToWsgi")


@dataclass(unsafe_hash=True)
class Came:
    """What came of a signal.

    Attributes:
        client: The status that the client gets, "-" for no response.
        server: The exception that the server gets, "-" for none.
        outcome: Kind and status that ``on_finish`` sees; "" where the chain has none.
        logged: The loggers that reported it, but for the access log.
        line: Status and outcome in the access log; "" where the chain has none.
    """

    client: str = "-"
    server: str = "-"
    outcome: str = ""
    logged: str = "-"
    line: str = ""


@dataclass(frozen=True)
class Row:
    """What must come of a signal, in every chain without ``Errors``, and in every chain with it."""

    signal: str
    path: str
    plain: Came
    errors: Came


_ANSWERED: Final = Came("500", "-", "completed 500", "gateway.middleware.errors", "500 completed")


def _rows(signal: str, server: str, outcome: str, *paths: str, answer: Came | None = None) -> list[Row]:
    kind, status = outcome.split()
    line = f"{ {'aborted': 499, 'failed': 500}.get(kind, status) } {kind}"
    came = Came("-", server, outcome, line=line)
    return [Row(signal, path, came, answer or came) for path in paths or PATHS]


_REFUSED: Final = Came("413", "-", "completed 413", line="413 completed")
_NATIVE: Final = ("wsgi", "asgi")
_ADAPTED: Final = PATHS[2:]
TABLE: Final[tuple[Row, ...]] = (
    *_rows("sign-off", "StopIteration", "upgraded 101", "wsgi"),
    *_rows("StopIteration", "StopIteration", "failed -", "wsgi", answer=_ANSWERED),
    *_rows("StopIteration", "RuntimeError", "failed -", "asgi", "asgi in AsgiToWsgi", answer=_ANSWERED),
    *_rows("StopIteration", "ApplicationError", "failed -", "wsgi in WsgiToAsgi", answer=_ANSWERED),
    *(Row("refused body", path, _REFUSED, _REFUSED) for path in PATHS),
    *_rows("Refuse", "Refuse", "failed -", answer=Came("403", "-", "completed 403", line="403 completed")),
    *_rows("GeneratorExit", "GeneratorExit", "aborted -", *_NATIVE),
    *_rows("GeneratorExit", "ApplicationError", "failed -", *_ADAPTED, answer=_ANSWERED),
    *_rows("SystemExit", "SystemExit", "aborted -"),
    *_rows("KeyboardInterrupt", "KeyboardInterrupt", "aborted -"),
    *_rows("CancelledError", "CancelledError", "aborted -", *_NATIVE),
    *_rows("CancelledError", "ApplicationError", "failed -", *_ADAPTED, answer=_ANSWERED),
)
#: What each signal is, for the page.
MEANINGS: Final[dict[str, str]] = {
    "sign-off": "raises `StopIteration` after it took the socket of Gunicorn over (a request with `Upgrade`)",
    "StopIteration": "raises another `StopIteration`",
    "refused body": "lets the `Refuse` go on that a request transform raised into its read",
    "Refuse": "raises `Refuse(403)` itself",
    "GeneratorExit": "raises `GeneratorExit`",
    "SystemExit": "raises `SystemExit`",
    "KeyboardInterrupt": "raises `KeyboardInterrupt`",
    "CancelledError": "raises `asyncio.CancelledError`, or is cancelled",
}


class Hooked(Middleware):
    def __init__(self, outcomes: list[Outcome]) -> None:
        object.__setattr__(self, "outcomes", outcomes)

    def on_request(self, request: Request) -> None: ...

    def on_response(self, request: Request, response: Response) -> None: ...

    def on_finish(self, request: Request, outcome: Outcome) -> None:
        self.outcomes.append(outcome)  # type: ignore[attr-defined]  # set above


def _generator(outcomes: list[Outcome]) -> Middleware:
    @as_middleware
    def waits(request: Request) -> Any:
        try:
            yield
        finally:
            outcomes.append((yield from finished()))

    return waits()


@dataclass
class Kept:
    """What a chain keeps of the end: outcomes, and entries of the access log, which a thread of its own makes."""

    outcomes: list[Outcome] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def log(self) -> AccessLog:
        return AccessLog(format=self._line)

    def _line(self, entry: Entry) -> str:
        self.entries.append(entry)
        return ""


#: The chains, each with where it puts what it sees of the end.
CHAINS: Final[dict[str, Callable[[Kept], list[Middleware]]]] = {
    "no middleware": lambda kept: [],
    "hooks": lambda kept: [Hooked(kept.outcomes)],
    "body transform": lambda kept: [Shout()],
    "generator": lambda kept: [_generator(kept.outcomes)],
    "AccessLog": lambda kept: [kept.log()],
    "Errors": lambda kept: [Errors()],
    "AccessLog, Errors": lambda kept: [Hooked(kept.outcomes), kept.log(), Errors()],
}


def play(signal: str, path: str, chain: str) -> Came:
    """Serve one request whose application ends by a signal."""
    came, kept = Came(), Kept()
    middleware = CHAINS[chain](kept)
    if signal == "refused body":
        middleware = [*middleware, BodyLimit()]
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append  # type: ignore[method-assign]  # all that it is for
    logging.getLogger().addHandler(handler)
    try:
        (_wsgi if path in ("wsgi", "asgi in AsgiToWsgi") else _asgi)(came, signal, path, middleware)
    finally:
        logging.getLogger().removeHandler(handler)
    if kept.outcomes:
        came.outcome = f"{kept.outcomes[0].kind} {kept.outcomes[0].status or '-'}"
    if "AccessLog" in chain:
        deadline = time.monotonic() + 20
        while not kept.entries and time.monotonic() < deadline:
            time.sleep(0.001)
        came.line = f"{kept.entries[0].status} {kept.entries[0].outcome}"
    came.logged = ", ".join(sorted({record.name for record in records})) or "-"
    return came


def _wsgi_app(signal: str) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        if signal == "refused body":
            environ["wsgi.input"].read()
        raise SIGNALS[signal]()

    return app


def _asgi_app(signal: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan")
        if signal == "refused body":
            while (await receive())["type"] == "http.request":
                pass
        raise SIGNALS[signal]()

    return app


def _wsgi(came: Came, signal: str, path: str, middleware: list[Middleware]) -> None:
    app = _wsgi_app(signal) if path == "wsgi" else AsgiToWsgi(_asgi_app(signal), lifespan="off")
    environ = {
        "REQUEST_METHOD": "POST" if signal == "refused body" else "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": streams.BytesIO(b"payload"),
    }
    if signal == "refused body":
        environ["CONTENT_LENGTH"] = "7"
    if signal == "sign-off":
        environ |= {"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade", "gunicorn.socket": object()}

    def start_response(line: str, *args: Any) -> Any:
        came.client = line[:3]
        return lambda data: None

    body: Any = None
    try:
        body = drivers.build_wsgi(middleware, app)(environ, start_response)
        b"".join(body)
    except BaseException as error:
        came.server = type(error).__name__
    finally:
        if hasattr(body, "close"):
            body.close()
        if isinstance(app, AsgiToWsgi):
            app.close()


def _asgi(came: Came, signal: str, path: str, middleware: list[Middleware]) -> None:
    app: Any = _asgi_app(signal) if path == "asgi" else WsgiToAsgi(_wsgi_app(signal))
    refused = signal == "refused body"
    headers = [(b"content-length", b"7")] if refused else []
    if signal == "sign-off":
        headers = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST" if refused else "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    messages = [{"type": "http.request", "body": b"payload" if refused else b"", "more_body": False}]

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            came.client = str(message["status"])

    async def main() -> None:
        try:
            async with asyncio.timeout(20):
                await drivers.build_asgi(middleware, app)(scope, receive, send)
        except BaseException as error:
            came.server = type(error).__name__

    asyncio.run(main())
