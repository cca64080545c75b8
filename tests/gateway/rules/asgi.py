"""A server for the tests: it calls an ASGI application in process, as well or as badly as a case says."""

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import ProtocolViolation
from gateway.rules import Validator

Message = Any
App = Callable[[Any, Any, Any], Awaitable[None]]


def http(**changes: Any) -> dict[str, Any]:
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"x=%C3%A9",
        "root_path": "",
        "headers": [(b"host", b"testserver")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
        "extensions": {},
    }
    scope.update(changes)
    return {key: value for key, value in scope.items() if value is not ABSENT}


def websocket(**changes: Any) -> dict[str, Any]:
    return http(
        **{"type": "websocket", "scheme": "ws", "method": ABSENT, "subprotocols": ["chat"], **changes},
    )


def lifespan(**changes: Any) -> dict[str, Any]:
    return {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, **changes}


ABSENT: Any = object()
REQUEST = {"type": "http.request", "body": b"", "more_body": False}
DISCONNECT = {"type": "http.disconnect"}
CONNECT = {"type": "websocket.connect"}
WS_DISCONNECT = {"type": "websocket.disconnect", "code": 1005}
STARTUP = {"type": "lifespan.startup"}
SHUTDOWN = {"type": "lifespan.shutdown"}
PLAIN = [(b"content-type", b"text/plain")]


def start(status: Any = 200, headers: Any = PLAIN, **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers, **more}


def body(data: Any = b"ok", more: Any = False, **keys: Any) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more, **keys}


def msg(kind: str, **keys: Any) -> dict[str, Any]:
    return {"type": kind, **keys}


def sends(*messages: Any, receives: int = 1) -> App:
    """An application that receives so many messages, sends these and returns. An exception in the list is raised."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(receives):
            await receive()
        for message in messages:
            if isinstance(message, Exception):
                raise message
            if callable(message):
                await message(receive, send)
            else:
                await send(message)

    return app


async def then_receive(receive: Any, send: Any) -> None:
    """A step of `sends`: one more receive."""
    await receive()


def swallowing(app: App) -> App:
    """The same application, with a framework around it that lets no exception out."""

    async def framework(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Exception):
            await app(scope, receive, send)

    return framework


ANSWERS = sends(start(), body())
CHAT = sends(msg("websocket.accept"), msg("websocket.send", text="hi"), msg("websocket.close"))
STARTS = sends(msg("lifespan.startup.complete"), then_receive, msg("lifespan.shutdown.complete"))


@dataclass
class Serve:
    """One call: what the server gives, and what it does with what it is sent."""

    app: App = ANSWERS
    scope: Any = field(default_factory=http)
    events: Iterable[Any] = (REQUEST,)
    #: Raised by the server's send at the n-th message, from 0.
    fails: dict[int, BaseException] = field(default_factory=dict)


class Server:
    """Calls a validated application, once or several times, on one loop."""

    def __init__(self, validator: Any) -> None:
        self.validator = validator
        self.sent: list[Any] = []
        self.errors: list[BaseException] = []

    async def call(self, serve: Serve) -> None:
        events = iter(serve.events)
        count = 0

        async def receive() -> Any:
            for event in events:
                return await event() if callable(event) else event
            raise RuntimeError("the case has no more events")

        async def send(message: Any) -> None:
            nonlocal count
            number, count = count, count + 1
            self.sent.append(message)
            if number in serve.fails:
                raise serve.fails[number]

        try:
            await self.validator(serve.scope, receive, send)
        except Exception as error:
            self.errors.append(error)


@dataclass
class Result:
    validator: Any
    sent: list[Any]
    #: What came out of the calls, to the server.
    errors: list[BaseException]
    #: What was raised into the application by receive or send.
    inside: list[BaseException]

    @property
    def found(self) -> list[ProtocolViolation]:
        return [*self.validator.violations, *self.validator.warnings]

    @property
    def ids(self) -> set[str]:
        return {violation.rule for violation in self.found}


async def apart(call: Any) -> None:
    """Run a call of the server in a context of its own, as a server runs the calls of two connections."""
    await asyncio.create_task(call, context=contextvars.Context())


def serve(*calls: Serve, mode: str = "collect", app: App | None = None, **options: Any) -> Result:
    """Serve calls, one after the other, under a validator; `app` answers all of them, else each has its own."""
    inside: list[BaseException] = []
    current = calls[0].app

    async def whole(scope: Any, receive: Any, send: Any) -> None:
        async def watched_receive() -> Any:
            try:
                return await receive()
            except ProtocolViolation as error:
                inside.append(error)
                raise

        async def watched_send(message: Any) -> None:
            try:
                await send(message)
            except ProtocolViolation as error:
                inside.append(error)
                raise

        await (app or current)(scope, watched_receive, watched_send)

    server = Server(Validator(whole, "asgi", mode, **options))  # type: ignore[arg-type]

    async def main() -> None:
        nonlocal current
        for call in calls:
            current = call.app
            await server.call(call)

    asyncio.run(main())
    return Result(server.validator, server.sent, server.errors, inside)


def bare(call: Serve, mode: str = "collect") -> Result:
    """Serve a call of an application that is not even a coroutine function."""
    server = Server(Validator(call.app, "asgi", mode))  # type: ignore[arg-type]
    asyncio.run(server.call(call))
    return Result(server.validator, server.sent, server.errors, [])


def nested(call: Serve, middleware: Callable[[App], App], mode: str = "collect") -> Result:
    """Serve a call of an application in a middleware, a validator on either side of that."""
    inner = Validator(call.app, "asgi", mode)  # type: ignore[arg-type]
    outer = Validator(middleware(inner), "asgi", mode)  # type: ignore[arg-type]
    server = Server(outer)
    asyncio.run(server.call(call))
    outer.violations.extend(inner.violations)
    outer.warnings.extend(inner.warnings)
    return Result(outer, server.sent, server.errors, [])
