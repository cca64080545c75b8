"""Limits, metrics, and several applications behind one object."""

from __future__ import annotations

import asyncio
import functools
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gateway.middleware import BodyLimit, Metrics, RateLimit
from tests.evidence.anchors.model import Case, Peer, Probe, Side, is_status, shown, status
from tests.middleware.stacks import Answer, Call

HOST = ("Host", "example.org")
FORM = "X_FORWARDED_FOR"


def slowapi(configured: str, key: str, options: Callable[[], dict[str, Any]]) -> Peer:
    """Return it as documented: a limiter, its middleware, a route of Starlette."""

    def build(app: Any) -> Any:
        import slowapi.util
        from slowapi import Limiter
        from slowapi.middleware import SlowAPIASGIMiddleware
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route

        async def route(request: Any) -> Any:
            return PlainTextResponse("hello")

        site = Starlette(routes=[Route("/", route)])
        site.state.limiter = Limiter(key_func=getattr(slowapi.util, key), **options())
        site.add_middleware(SlowAPIASGIMiddleware)
        return site

    return Peer("slowapi", configured, build)


def body_limit(max_bytes: int) -> Peer:
    def build(app: Any) -> Any:
        from starlette.middleware.body_limit import RequestBodyLimitMiddleware

        return RequestBodyLimitMiddleware(app, max_body_size=max_bytes)

    return Peer("starlette", f"`RequestBodyLimitMiddleware(max_body_size={max_bytes})`", build)


def prometheus(registry: Callable[[], Any], side: Side = "asgi", *, named: bool = True) -> Peer:
    def build(app: Any) -> Any:
        import prometheus_client

        return getattr(prometheus_client, f"make_{side}_app")(registry=registry())

    return Peer("prometheus-client", f"`make_{side}_app()`", build, side=side, named=named)


def dispatchers(*named: str) -> list[Peer]:
    def theirs_werkzeug(app: Any) -> Any:
        from werkzeug.middleware.dispatcher import DispatcherMiddleware

        return DispatcherMiddleware(nothing_wsgi, {"/api": app})

    def theirs_starlette(app: Any) -> Any:
        from starlette.applications import Starlette
        from starlette.routing import Mount

        return Starlette(routes=[Mount("/api", app)])

    def theirs_hypercorn(app: Any) -> Any:
        from hypercorn.middleware.dispatcher import AsyncioDispatcherMiddleware

        return AsyncioDispatcherMiddleware({"/api": app})

    return [
        Peer("starlette", '`Mount("/api", app)`', theirs_starlette, named="starlette" in named),
        Peer("hypercorn", '`AsyncioDispatcherMiddleware({"/api": app})`', theirs_hypercorn, named="hypercorn" in named),
        Peer(
            "werkzeug",
            '`DispatcherMiddleware(nothing, {"/api": app})`',
            theirs_werkzeug,
            side="wsgi",
            named="werkzeug" in named,
        ),
    ]


def nothing_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b""]


def our_mount(app: Any, side: Side) -> Any:
    from gateway.mount import Mount

    mount = Mount({"/api": app})
    return mount.wsgi if side == "wsgi" else mount.asgi


@functools.cache
def silent_redis() -> int:
    """Return the port of a store that takes connections and never answers; it ends with the process."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                kept.append(listener.accept()[0])

    threading.Thread(target=accept, daemon=True, name="silent-redis").start()
    return int(listener.getsockname()[1])


def counting_ticks(app: Any) -> Any:
    """Say in ``X-Ticks`` how often the loop came to other work while a request was served."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        heads: list[Any] = []

        async def keep(message: Any) -> None:
            if message["type"] == "http.response.start":
                heads.append(message)

        ticker = asyncio.ensure_future(tick())
        await asyncio.sleep(0)
        with suppress(Exception):
            await app(scope, receive, keep)
        ticker.cancel()
        status = heads[0]["status"] if heads else 500
        await send({"type": "http.response.start", "status": status, "headers": [(b"x-ticks", b"%d" % ticks)]})
        await send({"type": "http.response.body", "body": b""})

    return call


def ticks(answer: Answer) -> int:
    return int(answer.get("x-ticks") or 0)


class _Registry:
    """A registry of the library with one collector that says in which thread it is asked."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    @functools.cached_property
    def registry(self) -> Any:
        from prometheus_client import CollectorRegistry

        registry = CollectorRegistry()
        registry.register(self)  # type: ignore[arg-type]  # it needs collect() alone
        self.threads.clear()
        return registry

    def collect(self) -> Iterator[Any]:
        self.threads.append(threading.current_thread())
        return iter(())

    def on_the_loop(self) -> bool:
        """Tell whether the last scrape was written in the thread that runs the harness's loop."""
        return self.threads[-1] is threading.main_thread() or self.threads[-1] is threading.current_thread()


_THEIRS, _OURS = _Registry(), _Registry()
_ASKED: list[_Registry] = []


def _asking(which: _Registry) -> Any:
    _ASKED.append(which)
    return which.registry


def _where(answer: Answer) -> str:
    return "on the loop's thread" if _ASKED[-1].on_the_loop() else "in another thread"


def scraped(**more: Any) -> tuple[Call]:
    return (Call(target="/metrics", headers=(HOST,), client=("127.0.0.1", 1), **more),)


#: Two workers of Gunicorn that counted one request each and died; the count, and the files left.
_DEAD_WORKERS = """
import os, subprocess, sys, pathlib
folder = pathlib.Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
count = "from prometheus_client import Counter; Counter('requests', 'x').inc()"
for _ in range(2):
    child = subprocess.Popen([sys.executable, "-c", count])
    child.wait()
    {dead}
from prometheus_client import CollectorRegistry, multiprocess
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
print(int(registry.get_sample_value("requests_total")), "requests,", len(list(folder.glob("counter*.db"))), "files")
"""
_DEAD = {
    "ours": "from gateway.middleware import _multiprocess; _multiprocess.fold(folder, child.pid)",
    "prometheus-client": "from prometheus_client import multiprocess; multiprocess.mark_process_dead(child.pid)",
}


def dead_workers(who: str) -> str:
    with TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", _DEAD_WORKERS.format(dead=_DEAD[who])],
            env={"PROMETHEUS_MULTIPROC_DIR": folder, "PATH": "/usr/bin:/bin"},
            cwd=Path(__file__).resolve().parent.parent.parent.parent,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    return done.stdout.strip()


def _ran(answer: Answer) -> str:
    return f"{answer.status}, the application {'ran' if answer.seen else 'did not run'}"


def _place(answer: Answer) -> str:
    if not answer.seen:
        return str(answer.status)
    return f"path {answer.seen[-1].path!r}, mount point {answer.seen[-1].root_path!r}"


CASES: list[Case | Probe] = [
    Case(
        id="key-of-the-client",
        part="RateLimit",
        asks=f"one request a minute for each address; a client sends another `{FORM}` each time",
        rule="the client is counted by its address: the second request gets 429",
        source="RFC 6585 section 4; CWE-348",
        peers=[
            slowapi(
                '`Limiter(key_func=get_ipaddr, default_limits=["1/minute"])`',
                "get_ipaddr",
                lambda: {"default_limits": ["1/minute"]},
            )
        ],
        ours=lambda: [RateLimit(limits="1/minute")],
        steps=(Call(headers=(HOST, (FORM, "6.6.6.1"))), Call(headers=(HOST, (FORM, "6.6.6.2")))),
        shows=status,
        judge=is_status(429),
    ),
    Case(
        id="store-that-is-silent",
        part="RateLimit",
        asks="the store accepts the connection and does not answer; the timeout is half a second",
        rule="the event loop serves other requests meanwhile",
        source="asyncio, developing: running blocking code",
        peers=[
            slowapi(
                '`Limiter(storage_uri="redis://...", storage_options={"socket_timeout": 0.5})`',
                "get_remote_address",
                lambda: {
                    "default_limits": ["1/minute"],
                    "storage_uri": f"redis://127.0.0.1:{silent_redis()}",
                    "storage_options": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5},
                },
            )
        ],
        ours=lambda: [RateLimit(limits="1/minute", store=f"redis://127.0.0.1:{silent_redis()}", timeout=0.5)],
        steps=(Call(headers=(HOST,)),),
        around=counting_ticks,
        shows=lambda answer: "the loop goes on" if ticks(answer) >= 5 else "the loop stands still",
        judge=lambda answer: ticks(answer) >= 5,
    ),
    Case(
        id="negative-length",
        part="BodyLimit",
        asks="`Content-Length: -5`",
        rule="400: a length has only digits",
        source="RFC 9110 section 8.6; RFC 9112 section 6.3",
        peers=[body_limit(10)],
        ours=lambda: [BodyLimit(max_bytes=10)],
        steps=(Call(method="POST", headers=(HOST, ("Content-Length", "-5"))),),
        shows=_ran,
        judge=lambda answer: answer.status == 400 and not answer.seen,
    ),
    Case(
        id="before-the-application",
        part="BodyLimit",
        asks="a declared length above the limit; the application acts before it reads",
        rule="413 before the application acts",
        source="RFC 9110 section 15.5.14",
        peers=[body_limit(10)],
        ours=lambda: [BodyLimit(max_bytes=10)],
        steps=(Call(method="POST", headers=(HOST,), body=b"x" * 20),),
        shows=_ran,
        judge=lambda answer: answer.status == 413 and not answer.seen,
    ),
    Case(
        id="post-to-the-metrics",
        part="Metrics",
        asks="`POST /metrics`",
        rule="405 with Allow",
        source="RFC 9110 section 15.5.6",
        peers=[
            prometheus(lambda: _asking(_THEIRS)),
            prometheus(lambda: _asking(_THEIRS), "wsgi", named=False),
        ],
        ours=lambda: [Metrics(registry=_asking(_OURS))],
        steps=scraped(method="POST"),
        shows=shown("allow"),
        judge=lambda answer: answer.status == 405 and "GET" in (answer.get("allow") or ""),
    ),
    Case(
        id="websocket-to-the-metrics",
        part="Metrics",
        asks="a WebSocket is opened at `/metrics`",
        rule="no exception: the WebSocket is refused, or reaches the application",
        source="ASGI, websocket scope",
        peers=[prometheus(lambda: _asking(_THEIRS))],
        ours=lambda: [Metrics(registry=_asking(_OURS))],
        steps=scraped(),
        handshake=True,
        shows=status,
        judge=is_status(101, 403, 404),
    ),
    Case(
        id="scrape-on-the-loop",
        part="Metrics",
        asks="a scrape of a large registry",
        rule="the series are written in a thread, not on the event loop",
        source="asyncio, developing: running blocking code",
        peers=[prometheus(lambda: _asking(_THEIRS))],
        ours=lambda: [Metrics(registry=_asking(_OURS))],
        steps=scraped(),
        shows=_where,
        judge=lambda answer: _where(answer) == "in another thread",
    ),
    Probe(
        id="dead-workers",
        part="Metrics",
        asks="two workers counted one request each and died, and the hook was called",
        rule="the total stays, and the number of files does not grow with each worker",
        source="prometheus_client, multiprocess mode",
        peers=[Peer("prometheus-client", "`mark_process_dead(pid)`", lambda app: app)],
        measure=dead_workers,
        judge=lambda said: said == "2 requests, 1 files",
    ),
    Case(
        id="segments",
        part="Mount",
        asks="an application at `/api`; `GET /apix`",
        rule="a mount point consists of whole segments: the application is not called",
        source="RFC 3986 section 3.3; PEP 3333 `SCRIPT_NAME`",
        peers=dispatchers("hypercorn"),
        mounted=our_mount,
        steps=(Call(target="/apix", headers=(HOST,)),),
        shows=_ran,
        judge=lambda answer: answer.status == 404 and not answer.seen,
    ),
    Case(
        id="mount-point",
        part="Mount",
        asks="an application at `/api`; `GET /api/x`",
        rule="the mount point is `/api`, the full path `/api/x`",
        source="ASGI HTTP `path`, `root_path`; PEP 3333 `SCRIPT_NAME`",
        peers=dispatchers(),
        mounted=our_mount,
        steps=(Call(target="/api/x", headers=(HOST,)),),
        shows=_place,
        judge=lambda answer: (
            bool(answer.seen) and answer.seen[-1].path == "/api/x" and answer.seen[-1].root_path == "/api"
        ),
    ),
]
