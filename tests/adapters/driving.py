"""A server's side of ASGI, as small as it can be: feeds messages, records what is sent, fails where a test wants.

By hand and not `gateway.testing`, whose clients stand on the adapters that are tested here, and because rows ask for
scopes, orders and faults that no client would make; the validator is on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel

from gateway.rules import Validator

BACKENDS: dict[str, dict[str, Any]] = {
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}


def run_on(backend: str, function: Callable[[], Awaitable[Any]], *, seconds: float = 30) -> Any:
    """Run an async test function on a backend; the limit only catches a hang."""

    async def limited() -> Any:
        with anyio.fail_after(seconds):
            return await function()

    return anyio.run(limited, **BACKENDS[backend])


def http_scope(**changes: Any) -> dict[str, Any]:
    """Return a scope; `headers` may be given as text."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"h")],
        "server": ("h", 80),
        "client": ("9.9.9.9", 5),
        "state": {},
    }
    scope.update(changes)
    return scope


@dataclass
class Server:
    """One request as a server holds it."""

    body: Iterable[bytes] = ()
    #: After the body: "wait" for ever, as a server whose client stays; "disconnect"; "repeat" the last message.
    after: str = "wait"
    #: Sent before the body is complete.
    cut: bool = False
    sent: list[dict[str, Any]] = field(default_factory=list)
    received: int = 0
    on_send: Callable[[dict[str, Any]], Awaitable[None]] | None = None
    before_receive: Callable[[int], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        self.disconnect = anyio.Event()
        parts = list(self.body)
        self._messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": part, "more_body": self.cut or number < len(parts) - 1}
            for number, part in enumerate(parts)
        ] or [{"type": "http.request", "body": b"", "more_body": self.cut}]

    async def receive(self) -> dict[str, Any]:
        number = self.received
        self.received += 1
        if self.before_receive is not None:
            await self.before_receive(number)
        if number < len(self._messages):
            return self._messages[number]
        if self.after == "repeat":
            return self._messages[-1]
        if self.after == "wait":
            await self.disconnect.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if self.on_send is not None:
            await self.on_send(message)
        else:
            await anyio.lowlevel.checkpoint()

    @property
    def kinds(self) -> list[str]:
        return [message["type"].rpartition(".")[2] for message in self.sent]

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return list(self.sent[0]["headers"])

    @property
    def chunks(self) -> list[bytes]:
        return [message["body"] for message in self.sent if message["type"] == "http.response.body"]

    @property
    def content(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def complete(self) -> bool:
        return bool(self.sent) and self.sent[-1]["type"] == "http.response.body" and not self.sent[-1]["more_body"]


def serve(
    app: Any,
    make: Callable[[], Server] = Server,
    /,
    *,
    backend: str = "asyncio",
    validate: bool = True,
    **scope: Any,
) -> Server:
    """Serve one request on a loop of its own and return what the server saw; both sides must keep the rules."""

    async def main() -> Server:
        holder = make()
        checked = Validator(app, "asgi") if validate else app
        await checked(http_scope(**scope), holder.receive, holder.send)
        return holder

    result: Server = run_on(backend, main)
    return result
