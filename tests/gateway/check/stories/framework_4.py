"""A new framework, which keeps every rule: routes, and handlers that return text or an object for JSON."""

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
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
            return
        if scope["type"] != "http":
            raise NotImplementedError(f"no support for {scope['type']}")
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
        result = "not found" if handler is None else handler(body)
        kind = "text/plain; charset=utf-8" if isinstance(result, str) else "application/json"
        data = (result if isinstance(result, str) else json.dumps(result)).encode()
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": 404 if handler is None else 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else data})


app = Framework()


@app.route("GET", "/hello")
def hello(body: bytes) -> str:
    return "h\xe9llo"


@app.route("POST", "/hello")
def count(body: bytes) -> dict[str, int]:
    return {"bytes": len(body)}
