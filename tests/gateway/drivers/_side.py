"""A chain in either interface, and an application to put it around."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway import drivers
from gateway.contract import (
    Middleware,
    Refuse,
    as_middleware,
)
from gateway.exchange import Request, Response
from tests.gateway.drivers._scenario import App, Boom, Fault, Record, run_asgi, run_wsgi


class Side:
    """One interface."""

    def __init__(self, interface: str) -> None:
        self.interface = interface

    def __str__(self) -> str:
        return self.interface

    def run(self, middleware: list[Middleware], app: App | None = None, method: str = "GET", body: bytes = b"") -> Any:
        """Run one request; return the record."""
        return self.serve(middleware, app or App(), method, body)

    def serve(self, middleware: list[Middleware], app: App, method: str, body: bytes) -> Record:
        from tests.gateway.drivers import _scenario

        run = run_wsgi if self.interface == "wsgi" else run_asgi
        original = _scenario.build_chain
        _scenario.build_chain = lambda record, chain: middleware
        try:
            return run([], app, Fault(), request={"method": method, "body": body})
        finally:
            _scenario.build_chain = original


SIDES = [Side("wsgi"), Side("asgi")]


def logged(name: str, log: list[Any], **hooks: Any) -> Middleware:
    """Build a middleware that logs each defined hook before it does what is given."""

    def define(hook: str, act: Any) -> Any:
        def call(self: Any, *args: Any) -> Any:
            log.append((name, hook))
            return act(*args) if callable(act) else act

        return call

    return type(name, (Middleware,), {hook: define(hook, act) for hook, act in hooks.items()})()


ALL = {"on_request": None, "on_response": None, "on_error": None, "on_finish": None}


def scope(**more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/p", "headers": [], **more}


START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}


BODY: dict[str, Any] = {"type": "http.response.body", "body": b"hello"}


def converse(chain: list[Middleware], messages: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    """Let an application send the messages; return what the server gets."""
    got: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send({**message})

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        got.append(message)

    async def main() -> None:
        async with asyncio.timeout(20):
            await drivers.build_asgi(chain, app)(scope(**more), receive, send)

    asyncio.run(main())
    return got


class Limit:
    def __init__(self, left: int) -> None:
        self.left = left

    def push(self, chunk: bytes, /) -> bytes:
        self.left -= len(chunk)
        if self.left < 0:
            raise Refuse(413, "too large")
        return chunk

    def finish(self) -> bytes:
        return b""


class BodyLimit(Middleware):
    keeps_request_length = True

    def on_request_body(self, request: Request) -> Limit:
        return Limit(3)


def _flow() -> Middleware:
    @as_middleware
    def flow(request: Request) -> Any:
        yield

    return flow()


class Upper:
    def push(self, chunk: bytes, /) -> bytes:
        return chunk.upper()

    def finish(self) -> bytes:
        return b"!"


class Shout(Middleware):
    def on_body(self, request: Request, response: Response) -> Upper:
        return Upper()


def run_side(interface: str, chain: list[Middleware], app: App) -> Record:
    return Side(interface).serve(chain, app, "GET", b"")


async def fail_in_io_async() -> None:
    raise Boom("io")
