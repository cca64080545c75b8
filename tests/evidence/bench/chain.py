"""What a chain costs beside hand-written nested middleware and what frameworks offer.

Printed is what is *added* over the bare application, in microseconds a request, and its ratio to the hand-written
form of the same run. In process, no server. Rounds are interleaved and the fastest counts: it is the one that
nothing disturbed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

from gateway import drivers
from gateway.contract import Middleware, as_middleware
from gateway.exchange import Outcome, Request, Response
from gateway.headers import Header
from tests.evidence.bench import baseline

CONSTANT = Header("X-Bench", "1")


@dataclass(frozen=True, kw_only=True)
class Heads(Middleware):
    """A hook that appends a constant."""

    def on_response(self, request: Request, response: Response) -> None:
        response.headers.append(CONSTANT)


@dataclass(frozen=True, kw_only=True)
class Constants(Middleware):
    """The constant declared."""

    constant_headers = (CONSTANT,)


@dataclass(frozen=True, kw_only=True)
class Dynamic(Middleware):
    """A hook that appends what it has just made."""

    def on_response(self, request: Request, response: Response) -> None:
        response.headers.append("x-bench", f"{response.status}")


@dataclass(frozen=True, kw_only=True)
class Counts(Middleware):
    """A hook for the head and one for the end."""

    def on_response(self, request: Request, response: Response) -> None:
        response.headers.append(CONSTANT)

    def on_finish(self, request: Request, outcome: Outcome) -> None:
        baseline.log(outcome.status, outcome.bytes_sent, outcome.duration)


@as_middleware
def flow(request: Request) -> Any:
    """The generator form."""
    response = yield
    response.headers.append(CONSTANT)


def asgi_app(chunks: int) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        for _ in range(chunks - 1):
            await send({"type": "http.response.body", "body": b"hello", "more_body": True})
        await send({"type": "http.response.body", "body": b"hello"})

    return app


def wsgi_app(chunks: int) -> Any:
    body = [b"hello"] * chunks

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body

    return app


def mutable_headers(app: Any) -> Any:
    """Append as Starlette's own middleware does."""
    from starlette.datastructures import MutableHeaders

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        async def wrapped(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("x-bench", "1")
            await send(message)

        await app(scope, receive, wrapped)

    return middleware


def base_http(app: Any) -> Any:
    from starlette.middleware.base import BaseHTTPMiddleware

    async def dispatch(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-bench"] = "1"
        return response

    return BaseHTTPMiddleware(app, dispatch)


def falcon_app(count: int) -> Any:
    import falcon.asgi

    class Bench:
        async def process_response(self, req: Any, resp: Any, resource: Any, req_succeeded: bool) -> None:
            resp.append_header("x-bench", "1")

    class Hello:
        async def on_get(self, req: Any, resp: Any) -> None:
            resp.text = "hello"

    app: Any = falcon.asgi.App(middleware=[Bench() for _ in range(count)])
    app.add_route("/", Hello())
    return app


def litestar_app(count: int) -> Any:
    from litestar import Litestar, get
    from litestar.middleware import AbstractMiddleware

    class Bench(AbstractMiddleware):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def wrapped(message: Any) -> None:
                if message["type"] == "http.response.start":
                    message["headers"].append(baseline.PAIR)
                await send(message)

            await self.app(scope, receive, wrapped)

    @get("/", sync_to_thread=False)
    def hello() -> str:
        return "hello"

    return Litestar([hello], middleware=[Bench] * count, openapi_config=None)


SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"localhost")],
    "client": ("127.0.0.1", 1),
    "server": ("127.0.0.1", 80),
}


async def _send(message: Any) -> None:
    pass


async def _receive() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _asgi_round(app: Any, count: int) -> float:
    began = perf_counter()
    for _ in range(count):
        await app(dict(SCOPE), _receive, _send)
    return (perf_counter() - began) / count * 1e6


def _start(status: str, headers: Any, exc_info: Any = None) -> Any:
    return None


def _wsgi_round(app: Any, count: int) -> float:
    began = perf_counter()
    for _ in range(count):
        body = app({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, _start)
        for _part in body:
            pass
        close = getattr(body, "close", None)
        if close is not None:
            close()
    return (perf_counter() - began) / count * 1e6


def _added(apps: dict[str, Any], bare: dict[str, Any], *, wsgi: bool, count: int, rounds: int) -> dict[str, float]:
    """Return what each adds over its bare application."""

    async def main() -> dict[str, float]:
        best = dict.fromkeys([*apps, *(f"bare {name}" for name in bare)], float("inf"))
        for _ in range(rounds):
            for name, app in [*apps.items(), *((f"bare {name}", app) for name, app in bare.items())]:
                # What costs a hundred times as much needs fewer repetitions.
                fewer = max(count // 50, 2) if name == "BaseHTTPMiddleware" else count
                took = _wsgi_round(app, count) if wsgi else await _asgi_round(app, fewer)
                best[name] = min(best[name], took)
        return best

    best = asyncio.run(main())
    return {name: best[name] - best[f"bare {name if name in bare else ''}"] for name in apps}


def cases(lengths: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return every table: what is built, around what, how often."""
    tables: list[dict[str, Any]] = []
    kinds: tuple[tuple[str, Any, Any, tuple[tuple[str, Any], ...]], ...] = (
        (
            "heads, constant",
            baseline.asgi_heads,
            baseline.wsgi_heads,
            (("hooks", Heads), ("declared", Constants), ("generators", flow)),
        ),
        ("heads, dynamic", baseline.asgi_dynamic, baseline.wsgi_dynamic, (("hooks", Dynamic),)),
        ("completion and bytes", baseline.asgi_counts, baseline.wsgi_counts, (("hooks", Counts),)),
    )
    for kind, asgi_nested, wsgi_nested, forms in kinds:
        for chunks in (1, 100):
            for length in lengths:
                for wsgi in (False, True):
                    app = wsgi_app(chunks) if wsgi else asgi_app(chunks)
                    build: Callable[[Any, Any], Any] = drivers.build_wsgi if wsgi else drivers.build_asgi
                    apps = {"hand-written": baseline.nest(wsgi_nested if wsgi else asgi_nested, length, app)}
                    apps |= {name: build([make() for _ in range(length)], app) for name, make in forms}
                    bare = {"": app}
                    if kind == "heads, constant" and chunks == 1 and not wsgi:
                        if find_spec("starlette"):
                            apps["MutableHeaders"] = baseline.nest(mutable_headers, length, app)
                            apps["BaseHTTPMiddleware"] = baseline.nest(base_http, length, app)
                        if find_spec("falcon"):
                            apps["falcon"], bare["falcon"] = falcon_app(length), falcon_app(0)
                        if find_spec("litestar"):
                            apps["litestar"], bare["litestar"] = litestar_app(length), litestar_app(0)
                    tables.append(
                        {
                            "interface": "wsgi" if wsgi else "asgi",
                            "kind": kind,
                            "chunks": chunks,
                            "length": length,
                            "apps": apps,
                            "bare": bare,
                        }
                    )
    return tables


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.bench chain", description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--lengths", type=int, nargs="+", default=[1, 3, 10, 20])
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args(argv)
    figures: list[dict[str, Any]] = []
    print(f"Python {sys.version.split()[0]}; added microseconds a request, and the ratio to hand-written\n")
    for table in cases(tuple(options.lengths)):
        apps, bare = table.pop("apps"), table.pop("bare")
        added = _added(
            apps,
            bare,
            wsgi=table["interface"] == "wsgi",
            count=150 if table["chunks"] == 1 else 10,
            rounds=options.rounds,
        )
        hand = added["hand-written"]
        cells = [f"{name} {value:.2f} ({value / hand:.2f})" for name, value in added.items()]
        label = f"{table['interface']} {table['kind']}, {table['length']} x, {table['chunks']} chunk(s)"
        print(f"{label:52} " + "  ".join(cells), flush=True)
        figures.append({**table, "added_microseconds": added, "ratio": {k: v / hand for k, v in added.items()}})
    if options.json is not None:
        options.json.write_text(json.dumps({"python": sys.version, "figures": figures}, indent=2))
    return 0
