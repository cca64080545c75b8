"""An ASGI server's side of one WebSocket: a test sends the client's messages and sees what the application sends.

By hand, because tests hold the server's ``send`` back, break it, or cancel the scope; the validator is on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.rules import Validator

SECONDS = 20.0


def websocket_scope(**changes: Any) -> dict[str, Any]:
    scope: dict[str, Any] = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/",
        "raw_path": b"/",
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"host", b"example.org"),
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
        ],
        "server": ("example.org", 80),
        "client": ("9.9.9.9", 5),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
        "state": {},
    }
    scope.update(changes)
    return scope


class Client:
    """A client, and the server between it and the application."""

    def __init__(self, app: Callable[..., Awaitable[None]], *, validate: bool = True, **scope: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        #: Clear it to hold the server's ``send`` back, as for a client that does not read.
        self.reads = asyncio.Event()
        self.reads.set()
        #: Raised by the server's ``send``.
        self.error: Exception | None = None
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._news = asyncio.Event()
        self._seen = 0
        self._incoming.put_nowait({"type": "websocket.connect"})
        checked: Any = Validator(app, "asgi") if validate else app  # pyright: ignore[reportArgumentType]
        self.task = asyncio.ensure_future(checked(websocket_scope(**scope), self._incoming.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        await self.reads.wait()
        if self.error is not None:
            raise self.error
        self.sent.append(message)
        self._news.set()

    def text(self, text: str) -> None:
        self._incoming.put_nowait({"type": "websocket.receive", "text": text})

    def data(self, data: bytes) -> None:
        self._incoming.put_nowait({"type": "websocket.receive", "bytes": data})

    def leave(self, code: int = 1000, reason: str = "") -> None:
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    async def next(self) -> dict[str, Any]:
        """Return the next message of the application; raise its error if it ends without one."""
        while len(self.sent) <= self._seen:
            self._news.clear()
            news = asyncio.ensure_future(self._news.wait())
            await asyncio.wait([news, self.task], return_when=asyncio.FIRST_COMPLETED, timeout=SECONDS)
            news.cancel()
            if len(self.sent) <= self._seen:
                await asyncio.wait_for(self.task, 0 if not self.task.done() else SECONDS)
                raise AssertionError("the application ended")
        self._seen += 1
        return self.sent[self._seen - 1]

    async def accepted(self) -> Client:
        message = await self.next()
        assert message["type"] == "websocket.accept", message
        return self

    async def closed(self) -> tuple[int, str]:
        """Take the application's close, as a client does that answers it."""
        message = await self.next()
        assert message["type"] == "websocket.close", message
        self.leave(message.get("code", 1000), message.get("reason") or "")
        return message.get("code", 1000), message.get("reason") or ""

    async def end(self) -> None:
        """Wait for the end of the application's scope."""
        await asyncio.wait_for(self.task, SECONDS)
