"""One request after the other through an application, without a server, and the CPU time that it takes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from time import process_time
from typing import Any

ORIGIN = "https://app.example"
FIELDS = [
    ("host", "example.org"),
    ("user-agent", "bench"),
    ("accept", "*/*"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("origin", ORIGIN),
    ("x-forwarded-for", "203.0.113.9"),
    ("x-forwarded-proto", "https"),
]
#: CPU seconds of so many requests.
Round = Callable[[int], float]


async def asgi_hello(scope: Any, receive: Any, send: Any) -> None:
    head = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": b"hello"})


def wsgi_hello(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


def asgi_round(app: Any, path: str = "/", **more: Any) -> Round:
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in FIELDS],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        **more,
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    async def run(count: int) -> float:
        begun = process_time()
        for _ in range(count):
            await app({**scope, "headers": [*scope["headers"]]}, receive, send)
        await asyncio.sleep(0.05)  # no CPU time, but that of a thread which still writes log lines
        return process_time() - begun

    return lambda count: asyncio.run(run(count))


def wsgi_round(app: Any, path: str = "/") -> Round:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": None,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **{"HTTP_" + name.upper().replace("-", "_"): value for name, value in FIELDS},
    }

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        pass

    def run(count: int) -> float:
        begun = process_time()
        for _ in range(count):
            result = app(dict(environ), start_response)
            for _chunk in result:
                pass
            close = getattr(result, "close", None)
            if close is not None:
                close()
        return process_time() - begun

    return run
