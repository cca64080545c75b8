"""A small ASGI server on a real socket, which breaks the rules that it is told to break.

``python socket_server.py PORT MODULE:APP FAULTS...`` runs it as a command, until SIGTERM.
"""

import asyncio
import base64
import hashlib
import importlib
import signal
import sys
import threading
from typing import Any


class SocketServer:
    """Serves an application in a thread until the block ends.

    Args:
        app: The application.
        faults: Ids of the rules that the server breaks.
    """

    def __init__(self, app: Any, *faults: str) -> None:
        self.app = app
        self.faults = set(faults)
        self.address: tuple[str, int] = ("127.0.0.1", 0)
        self.serving = False
        self._ready = threading.Event()

    def __enter__(self) -> "SocketServer":
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    async def _main(self, port: int = 0) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        events: asyncio.Queue[Any] = asyncio.Queue()
        replies: asyncio.Queue[Any] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}
        lifespan = asyncio.ensure_future(self.app(scope, events.get, replies.put))
        events.put_nowait({"type": "lifespan.startup"})
        reply = asyncio.ensure_future(replies.get())
        await asyncio.wait([lifespan, reply], return_when=asyncio.FIRST_COMPLETED)
        supported = reply.done()
        if not supported:
            reply.cancel()
            lifespan.exception()
        if supported or "L06" not in self.faults:
            server = await asyncio.start_server(self._connection, "127.0.0.1", port)
            self.address = server.sockets[0].getsockname()[:2]
            self.serving = True
            self._ready.set()
            await self._stop.wait()
            server.close()
            await server.wait_closed()
        else:
            self._ready.set()
            await self._stop.wait()
        if supported and "L13" not in self.faults:
            events.put_nowait({"type": "lifespan.shutdown"})
            await lifespan

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._last = b""
        try:
            while await self._request(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has left
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        method, target, version = head[0].split()
        if "505" in self.faults and version == b"HTTP/1.0":
            writer.write(b"HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n")
            return False
        asked, target = target, self._last if "N03" in self.faults and self._last else target
        self._last = asked
        pairs = [line.partition(b":") for line in head[1:] if line]
        headers = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
        fields = dict(headers)
        body = b""
        if fields.get(b"transfer-encoding") == b"chunked":
            while size := int(await reader.readline(), 16):
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        else:
            if b"expect" in fields and "P62" not in self.faults:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = 0 if b"expect" in fields and "P62" in self.faults else int(fields.get(b"content-length", b"0"))
            length = 0 if "N04" in self.faults and target == b"/unread" else length
            body = await reader.readexactly(length)
        body = body[:65536] if "E28" in self.faults else body
        path, mark, query = target.partition(b"?")
        from urllib.parse import unquote

        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1" if "H20" in self.faults else version[5:].decode(),
            "method": method.decode(),
            "path": path.decode() if "H19" in self.faults else unquote(path.decode()),
            "raw_path": path,
            "query_string": mark + query if "H06" in self.faults else query,
            "headers": list(dict(headers).items()) if "H17" in self.faults else headers,
            "client": writer.get_extra_info("peername")[:2],
            "server": self.address,
            "extensions": {name: {} for name in ("http.response.trailers", *self._debug())},
        }
        if b"sec-websocket-key" in fields:
            offered = [each.strip().decode() for each in fields.get(b"sec-websocket-protocol", b"").split(b",")]
            offered = offered[::-1] if "W26" in self.faults else offered
            changes = {"type": "websocket", "subprotocols": offered, "extensions": {"websocket.http.response": {}}}
            await self._websocket({**scope, **changes}, reader, writer, fields)
            return False
        keep = version == b"HTTP/1.1" and fields.get(b"connection", b"").lower() != b"close"
        keep = await self._http(scope, body, reader, writer, keep)
        return keep and "N02" not in self.faults

    def _debug(self) -> tuple[str, ...]:
        return ("http.response.debug",) if "X11" in self.faults else ()

    async def _http(self, scope: Any, body: bytes, reader: Any, writer: asyncio.StreamWriter, keep: bool) -> bool:
        exchange = _Http(self.faults, body, reader, writer, scope, keep)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except Exception:
            if not exchange.started and "N05" not in self.faults:
                writer.write(b"HTTP/1.1 500 Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return False
            if "C09" not in self.faults:
                writer.transport.abort()
                return False
        await exchange.end()
        return keep

    async def _websocket(
        self, scope: Any, reader: Any, writer: asyncio.StreamWriter, fields: dict[bytes, bytes]
    ) -> None:
        socket = _WebSocket(self.faults, reader, writer, fields)
        try:
            await self.app(scope, socket.receive, socket.send)
        except Exception:
            if "W23" in self.faults:
                await self._stop.wait()
        if socket.open:
            await socket.close(1000)


class _WebSocket:
    """Frames in both directions; a message of the application is one frame."""

    def __init__(self, faults: set[str], reader: Any, writer: asyncio.StreamWriter, fields: dict[bytes, bytes]) -> None:
        self.faults = faults
        self.reader = reader
        self.writer = writer
        self.key = fields[b"sec-websocket-key"]
        self.connected = self.open = self.gone = False
        self.code = 1005

    async def receive(self) -> Any:
        if not self.connected:
            self.connected = True
            return {"type": "websocket.connect"}
        data, kind = b"", 0
        while not self.gone:
            opcode, last, part = await self._frame()
            kind = kind or (opcode if opcode < 8 else 0)
            if opcode == 8:
                self.gone = True
                self.code = int.from_bytes(part[:2]) if part else self.code
            elif opcode == 9:
                if "W22" not in self.faults:
                    await self._write(10, part)
            else:
                data += part
                if last or "W21" in self.faults:
                    if kind == 1 and "W25" not in self.faults:
                        return {"type": "websocket.receive", "text": data.decode()}
                    return {"type": "websocket.receive", "bytes": data}
        if self.open:
            await self.close(1000)
        return {"type": "websocket.disconnect", "code": 1000 if "W24" in self.faults else self.code}

    async def _frame(self) -> tuple[int, bool, bytes]:
        try:
            head = await self.reader.readexactly(2)
            length = head[1] & 0x7F
            length = int.from_bytes(await self.reader.readexactly(length * 6 - 754)) if length > 125 else length
            key = await self.reader.readexactly(4)
            data = await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            self.code = 1006
            self.open = False
            return 8, True, b""
        mask = int.from_bytes((key * (length // 4 + 1))[:length])
        return head[0] & 0x0F, bool(head[0] & 0x80), (int.from_bytes(data) ^ mask).to_bytes(length)

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.accept":
            accept = base64.b64encode(hashlib.sha1(self.key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            pairs = [(b"sec-websocket-accept", accept), *message.get("headers", ())]
            if message.get("subprotocol") and "W20" not in self.faults:
                pairs.append((b"sec-websocket-protocol", message["subprotocol"].encode()))
            lines = b"".join(b"%s: %s\r\n" % pair for pair in pairs)
            upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            self.writer.write(b"HTTP/1.1 101 Switching Protocols\r\n%s%s\r\n" % (upgrade, lines))
            self.open = True
        elif message["type"] == "websocket.send":
            text = message.get("text")
            await self._write(2, message["bytes"]) if text is None else await self._write(1, text.encode())
        elif message["type"] == "websocket.http.response.start":
            status = 403 if "X17" in self.faults else message["status"]
            self.writer.write(b"HTTP/1.1 %d Denied\r\nConnection: close\r\n\r\n" % status)
        elif message["type"] == "websocket.http.response.body":
            self.writer.write(message["body"])
        elif self.open:
            await self.close(1000 if "W19" in self.faults else message.get("code", 1000))
        else:
            status = 400 if "W15" in self.faults else 403
            self.writer.write(b"HTTP/1.1 %d Denied\r\nContent-Length: 0\r\n\r\n" % status)
        await self.writer.drain()

    async def close(self, code: int) -> None:
        self.open = False
        await self._write(8, code.to_bytes(2, "big"))

    async def _write(self, opcode: int, data: bytes) -> None:
        size = bytes([len(data)]) if len(data) < 126 else b"\x7f" + len(data).to_bytes(8)
        self.writer.write(bytes([0x80 | opcode]) + size + data)
        await self.writer.drain()


class _Http:
    def __init__(
        self,
        faults: set[str],
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        scope: Any,
        keep: bool,
    ) -> None:
        self.faults = faults
        self.reader = reader
        self.keep = keep
        self.started = False
        self.chunked = scope["http_version"] == "1.1" or "N01" in faults
        self.events = [{"type": "http.request", "body": body, "more_body": False}]
        self.writer = writer
        self.head = scope["method"] == "HEAD" and "N06" not in faults
        self.te = dict(scope["headers"]).get(b"te") == b"trailers"
        self.completed = asyncio.Event()
        self.held: list[bytes] = []
        self.trailers: list[tuple[bytes, bytes]] = []
        self.ended = False

    async def receive(self) -> Any:
        if self.events:
            return self.events.pop(0)
        while not ("E05" in self.faults or self.completed.is_set() or self._left()):  # noqa: ASYNC110  # as below
            await asyncio.sleep(0.02)  # a stream has no event for a connection that broke
        return {"type": "http.disconnect"}

    def _left(self) -> bool:
        return "E29" not in self.faults and (self.reader.exception() is not None or self.reader.at_eof())

    async def send(self, message: Any) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self._start(message)
        elif kind == "http.response.body":
            data = message.get("body", b"")
            data = data.replace(b"\r\n", b"\n") if "P61" in self.faults else data
            data = b"" if self.head else b"%x\r\n%s\r\n" % (len(data), data) if data and self.chunked else data
            await self._write(data)
            if not message.get("more_body"):
                self.completed.set()
                if "E27" in self.faults:
                    await self.end()
        elif kind == "http.response.trailers":
            self.trailers = list(message["headers"])

    def _start(self, message: Any) -> None:
        status = message["status"]
        if not isinstance(status, int):
            if "C06" in self.faults:
                return
            raise TypeError("status must be an int")
        if "C07" in self.faults and set(message) - {"type", "status", "headers", "trailers"}:
            raise TypeError("unexpected key")
        self.started = True
        headers = list(message["headers"])
        if "E26" in self.faults:
            cookies = [value for name, value in headers if name == b"set-cookie"]
            headers = [pair for pair in headers if pair[0] != b"set-cookie"]
            headers += [(b"set-cookie", b", ".join(cookies))] if cookies else []
        if "E13" not in self.faults:
            headers = [pair for pair in headers if pair[0] != b"transfer-encoding"]
        if "P66" not in self.faults:
            headers.append((b"date", b"Sun, 06 Nov 1994 08:49:37 GMT"))
        lines = b"".join(b"%s: %s\r\n" % pair for pair in headers)
        if status == 204:
            self.chunked = False
            lines += b"Content-Length: 0\r\n" if "N07" in self.faults else b""
        lines += b"" if self.keep or "N02" in self.faults else b"Connection: close\r\n"
        lines += b"Transfer-Encoding: chunked\r\n" if self.chunked else b""
        self.held.append(b"HTTP/1.1 %d OK\r\n%s\r\n" % (status, lines))

    async def _write(self, data: bytes) -> None:
        self.held.append(data)
        if "E25" not in self.faults:
            await self._flush()

    async def _flush(self) -> None:
        self.writer.write(b"".join(self.held))
        self.held.clear()
        await self.writer.drain()

    async def end(self) -> None:
        if self.ended:
            return
        self.ended = True
        if not self.chunked or self.head:
            await self._flush()
            return
        trailers = self.trailers if self.te or "X09" in self.faults else []
        self.held.append(b"0\r\n" + b"".join(b"%s: %s\r\n" % pair for pair in trailers) + b"\r\n")
        await self._flush()


def main(port: str, target: str, *faults: str) -> None:
    module, _, name = target.partition(":")
    server = SocketServer(getattr(importlib.import_module(module), name), *faults)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: server._stop.set())
        await server._main(int(port))

    asyncio.run(run())


if __name__ == "__main__":
    main(*sys.argv[1:])
