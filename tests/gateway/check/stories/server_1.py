"""A new ASGI server, first version: python server_1.py PORT MODULE:APP."""

import asyncio
import importlib
import sys
import traceback
from typing import Any

ASGI = {"version": "3.0", "spec_version": "2.4"}


class Exchange:
    """One request and its response."""

    def __init__(self, scope: Any, body: bytes, reader: Any, writer: Any) -> None:
        self.scope, self.reader, self.writer = scope, reader, writer
        self.events = [{"type": "http.request", "body": body, "more_body": False}]
        self.head = scope["method"] == "HEAD"
        self.started = self.over = False
        self.held = b""

    async def receive(self) -> Any:
        if self.events:
            return self.events.pop()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            status: int = message["status"]
            lines = [b"%s: %s" % tuple(pair) for pair in message["headers"]]
            length = any(line.lower().startswith(b"content-length") for line in lines)
            self.chunked = status != 204 and not length
            lines += [b"transfer-encoding: chunked"] if self.chunked else []
            self.writer.write(b"HTTP/1.1 %d \r\n%s\r\n\r\n" % (status, b"\r\n".join(lines)))
        elif not self.over:
            data = message.get("body", b"")
            data = b"%x\r\n%s\r\n" % (len(data), data) if self.chunked and data else data
            self.over = not message.get("more_body")
            data += b"0\r\n\r\n" if self.over and self.chunked else b""
            self.held += b"" if self.head else data
            if self.over:
                self.writer.write(self.held)
        if self.over:
            await self.writer.drain()


class Server:
    """An application and its lifespan."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.state: dict[str, Any] = {}
        self.events, self.replies = asyncio.Queue[Any](), asyncio.Queue[Any]()

    async def event(self, name: str) -> str:
        self.events.put_nowait({"type": f"lifespan.{name}"})
        reply = asyncio.ensure_future(self.replies.get())
        await asyncio.wait([self.lifespan, reply], return_when=asyncio.FIRST_COMPLETED)
        return str(reply.result()["type"]) if reply.done() else "unsupported"

    async def serve(self, port: int) -> None:
        scope = {"type": "lifespan", "asgi": ASGI, "state": self.state}
        self.lifespan = asyncio.ensure_future(self.app(scope, self.events.get, self.replies.put))
        started = await self.event("startup")
        if started == "lifespan.startup.failed":
            return
        server = await asyncio.start_server(self.connection, "127.0.0.1", port)
        await server.serve_forever()

    async def connection(self, reader: Any, writer: Any) -> None:
        try:
            await self.request(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client has left
        finally:
            writer.close()

    async def request(self, reader: Any, writer: Any) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        method, target, version = head[0].decode().split()
        pairs = [line.partition(b":") for line in head[1:] if line]
        headers = [(name.lower(), value.strip()) for name, _, value in pairs]
        fields, body = dict(headers), b""
        if b"expect" in fields:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while b"transfer-encoding" in fields and (size := int(await reader.readline(), 16)):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline() if b"transfer-encoding" in fields else None
        body += await reader.readexactly(int(fields.get(b"content-length", b"0")))
        path, _, query = target.partition("?")
        scope = {"type": "http", "asgi": ASGI, "http_version": version[5:], "method": method, "scheme": "http"}
        scope |= {"path": path, "raw_path": path.encode(), "query_string": query.encode(), "headers": headers}
        exchange = Exchange({**scope, "state": self.state}, body, reader, writer)
        try:
            await self.app(exchange.scope, exchange.receive, exchange.send)
        except Exception:
            traceback.print_exc()
            if not exchange.started:
                await exchange.send({"type": "http.response.start", "status": 500, "headers": []})
            await exchange.send({"type": "http.response.body"})


if __name__ == "__main__":
    module, _, name = sys.argv[2].partition(":")
    asyncio.run(Server(getattr(importlib.import_module(module), name)).serve(int(sys.argv[1])))
