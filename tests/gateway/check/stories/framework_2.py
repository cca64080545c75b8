"""A new framework, second version: its headers are bytes."""

import json
from collections.abc import Callable
from typing import Any


class Framework:
    """An ASGI application with routes."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], Callable[[bytes], Any]] = {}

    def route(self, method: str, path: str) -> Callable[[Callable[[bytes], Any]], Callable[[bytes], Any]]:
        def enter(handler: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
            self.routes[method, path] = handler
            return handler

        return enter

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await self.respond(scope, send, body)

    async def respond(self, scope: Any, send: Any, body: bytes) -> None:
        method = scope["method"]
        handler = self.routes.get(("GET" if method == "HEAD" else method, scope["path"]))
        if handler is None:
            return
        result = handler(body)
        kind = "text/plain; charset=utf-8" if isinstance(result, str) else "application/json"
        text = result if isinstance(result, str) else json.dumps(result)
        headers = [(b"Content-Type", kind.encode()), (b"Content-Length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode()})


app = Framework()


@app.route("GET", "/hello")
def hello(body: bytes) -> str:
    return "h\xe9llo"


@app.route("POST", "/hello")
def count(body: bytes) -> dict[str, int]:
    return {"bytes": len(body)}
