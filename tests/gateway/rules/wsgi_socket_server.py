"""A small WSGI server on a real socket, which breaks the rules that it is told to break."""

import io
import socketserver
import sys
import threading
from typing import Any
from urllib.parse import unquote_to_bytes


class WsgiSocketServer:
    """Serves an application in threads until the block ends; one request per connection.

    Args:
        app: The application.
        faults: Ids of the rules that the server breaks.
    """

    def __init__(self, app: Any, *faults: str) -> None:
        class Handler(_Handler):
            application = staticmethod(app)
            broken = frozenset(faults)

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.address: tuple[str, int] = self._server.server_address[:2]  # type: ignore[assignment]

    def __enter__(self) -> "WsgiSocketServer":
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: applications raise on purpose, and clients leave."""


class _Handler(socketserver.StreamRequestHandler):
    application: Any
    broken: frozenset[str]

    def handle(self) -> None:
        method, target, version = self.rfile.readline().decode("latin-1").split()
        fields: dict[str, str] = {}
        while line := self.rfile.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            name = name.lower()
            fields[name] = f"{fields[name]},{value.strip()}" if name in fields else value.strip()
        if "expect" in fields and "P62" not in self.broken:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._body(fields)
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path if "P72" in self.broken else unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1" if "P73" in self.broken else version,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body[:65536] if "P74" in self.broken else body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
        }
        for name, value in fields.items():
            if name in ("content-type", "content-length"):
                environ[name.upper().replace("-", "_")] = value
            elif name not in ("transfer-encoding", *(("x-empty",) if "P63" in self.broken else ())):
                environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        self.head_only = method == "HEAD"
        self.version = version
        try:
            self._respond(environ)
        except RuntimeError:
            if not self.sent:
                self.wfile.write(b"HTTP/1.1 500 Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def _body(self, fields: dict[str, str]) -> bytes:
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        if "expect" in fields and "P62" in self.broken:
            fields.pop("content-length")
            return b""
        return self.rfile.read(int(fields.get("content-length", 0)))

    def _respond(self, environ: dict[str, Any]) -> None:
        head: list[Any] = []
        self.sent = False
        self.left: int | None = None

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            try:
                if exc_info and self.sent:
                    raise exc_info[1].with_traceback(exc_info[2])
                if not (head and "P60" in self.broken):
                    head[:] = [status, headers]
            finally:
                exc_info = None
            return lambda data: self._send(head, data)

        iterable = self.application(environ, start_response)
        if "P64" in self.broken and not head:
            self.wfile.write(b"HTTP/1.1 500 Error\r\nContent-Length: 0\r\nDate: now\r\n\r\n")
            iterable.close()
            return
        held = b""
        try:
            for block in iterable:
                if "P43" in self.broken:
                    held += block
                elif block or "P69" in self.broken:
                    self._send(head, block)
                if self.left == 0 and "P70" not in self.broken:
                    break
            self._send(head, held)
            self._end()
        except RuntimeError:
            if "P76" in self.broken:
                self._end()
            raise
        except OSError:
            if "P75" in self.broken:
                return
            raise
        finally:
            if hasattr(iterable, "close") and "P75" not in self.broken:
                iterable.close()
        if self.left and "P71" in self.broken:
            self.rfile.read()

    def _send(self, head: list[Any], data: bytes) -> None:
        if not self.sent:
            status, headers = head
            self.left = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
            self.chunked = self.left is None and self.version == "HTTP/1.1" and not status.startswith("204")
            headers = [*headers, ("Transfer-Encoding", "chunked")] if self.chunked else headers
            date = [] if "P66" in self.broken else [("Date", "Sun, 06 Nov 1994 08:49:37 GMT")]
            lines = "".join(f"{name}: {value}\r\n" for name, value in [*headers, ("Connection", "close"), *date])
            self.wfile.write(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1"))
            self.sent = True
        if "P61" in self.broken:
            data = data.replace(b"\r\n", b"\n")
        if self.left is not None:
            data = data if "P70" in self.broken else data[: self.left]
            self.left = max(0, self.left - len(data))
        if self.head_only:
            return
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked and data else data)

    def _end(self) -> None:
        if self.chunked and not self.head_only:
            self.wfile.write(b"0\r\n\r\n")
