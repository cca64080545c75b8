"""What each middleware adds to a request, beside the package that does the same on that interface.

Microseconds of CPU time that are *added* over the bare application, in process, no server. Rounds of all candidates
are interleaved, and the median of their differences counts. Who is a rival stands in ``rivals.toml``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

from gateway import Gateway
from gateway.contract import Middleware
from gateway.middleware import (
    BodyLimit,
    Compression,
    ConditionalGet,
    Cors,
    Errors,
    Health,
    HttpsRedirect,
    ProxyHeaders,
    RequestId,
    SecurityHeaders,
    TrustedHost,
    behind_load_balancer,
)

RIVALS = Path(__file__).with_name("rivals.toml")
ORIGIN = "https://app.example"
OURS: dict[str, Callable[[], Middleware]] = {
    "body_limit": lambda: BodyLimit(max_bytes=2**20),
    "compression": Compression,
    "conditional_get": ConditionalGet,
    "cors": lambda: Cors(origins=(ORIGIN,)),
    "errors": Errors,
    "health": Health,
    "https_redirect": lambda: HttpsRedirect(host="example.org"),
    "proxy_headers": lambda: ProxyHeaders(trust=("127.0.0.1",)),
    "request_id": RequestId,
    "security_headers": SecurityHeaders,
    "trusted_host": lambda: TrustedHost(allowed=("example.org",)),
}
FIELDS = [
    ("host", "example.org"),
    ("user-agent", "bench"),
    ("accept-encoding", "gzip"),
    ("origin", ORIGIN),
    ("x-forwarded-for", "203.0.113.9"),
    ("x-forwarded-proto", "https"),
]
Round = Callable[[int], float]


async def asgi_hello(scope: Any, receive: Any, send: Any) -> None:
    head = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": b"hello"})


def wsgi_hello(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


def asgi_rival(part: str, app: Any) -> Any:
    """Put the rival around an application."""
    if part == "compression":
        from starlette.middleware.gzip import GZipMiddleware

        return GZipMiddleware(app)
    if part == "cors":
        from starlette.middleware.cors import CORSMiddleware

        return CORSMiddleware(app, allow_origins=[ORIGIN])
    if part == "https_redirect":
        from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware

        return HTTPSRedirectMiddleware(app)
    if part == "proxy_headers":
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

        return ProxyHeadersMiddleware(app, trusted_hosts="127.0.0.1")
    if part == "request_id":
        from asgi_correlation_id import CorrelationIdMiddleware

        return CorrelationIdMiddleware(app)
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    return TrustedHostMiddleware(app, allowed_hosts=["example.org"])


def wsgi_rival(part: str, app: Any) -> Any:
    """Put the rival around an application; ProxyFix is the only one."""
    from werkzeug.middleware.proxy_fix import ProxyFix

    return ProxyFix(app)


def asgi_round(app: Any) -> Round:
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in FIELDS],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    async def run(count: int) -> float:
        begun = process_time()
        for _ in range(count):
            await app(dict(scope), receive, send)
        return process_time() - begun

    return lambda count: asyncio.run(run(count))


def wsgi_round(app: Any) -> Round:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
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


def added(candidates: dict[str, Round], rounds: int, count: int) -> dict[str, float]:
    """Measure what each adds over ``bare``, in microseconds: the median of interleaved rounds."""
    for round_ in candidates.values():
        round_(count // 10 + 1)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, round_ in candidates.items():
            times[name].append(round_(count) / count * 1e6)
    bare = times.pop("bare")
    return {name: median(t - b for t, b in zip(each, bare, strict=True)) for name, each in times.items()}


def candidates(interface: str, rivals: dict[str, str]) -> dict[str, Round]:
    """Make everything that is measured on an interface."""
    asgi = interface == "asgi"
    hello, round_, rival = (asgi_hello, asgi_round, asgi_rival) if asgi else (wsgi_hello, wsgi_round, wsgi_rival)

    def ours(*middleware: Middleware) -> Any:
        gateway = Gateway(hello, middleware=middleware)
        return gateway.asgi if asgi else gateway.wsgi

    found: dict[str, Round] = {"bare": round_(hello)}
    stack: Any = hello
    for part, make in OURS.items():
        found[f"ours {part}"] = round_(ours(make()))
        if rivals[part] != "none":
            found[f"rival {part}"] = round_(rival(part, hello))
            stack = rival(part, stack)
    # The rivals' stack has fewer parts than the preset: what has a rival is compared with ours of the same parts.
    found["ours same parts"] = round_(ours(*(make() for part, make in OURS.items() if rivals[part] != "none")))
    found["rival same parts"] = round_(stack)
    preset = behind_load_balancer(hosts=("example.org",), trust=("127.0.0.1",), origins=(ORIGIN,), access_log=None)
    found["ours behind_load_balancer"] = round_(ours(*preset))
    return found


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench middleware", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--count", type=int, default=500)
    options = parser.parse_args(argv)
    named = tomllib.loads(RIVALS.read_text(encoding="utf-8"))
    figures: dict[str, dict[str, float]] = {}
    for interface in ("asgi", "wsgi"):
        figures[interface] = added(candidates(interface, named[interface]), options.rounds, options.count)
        print(f"\n{interface}: microseconds added, ours / rival")
        for name, cost in figures[interface].items():
            who, _, part = name.partition(" ")
            if who == "ours":
                other = figures[interface].get(f"rival {part}")
                beside = "" if other is None else f" / {other:7.2f}  {named[interface].get(part, 'all of them')}"
                print(f"  {part:22} {cost:7.2f}{beside}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0
