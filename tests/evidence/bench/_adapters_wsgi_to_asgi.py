"""WSGI served as ASGI: the applications, the peers, and how an ASGI callable is driven."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.evidence.bench._adapters_sample import BODY_BYTES, NATIVE, Direction, Sample

KB = b"x" * 1024
KB64 = b"x" * 65536
UPLOAD_PARTS = 16  # of 64 KiB
DOWNLOAD_PARTS = 1600  # of 64 KiB: 100 MiB


# ------------------------------------------------------------------------------------------------- applications


def wsgi_hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", "13")])
    return [b"Hello, world!"]


def wsgi_chunks(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("content-type", "text/plain")])
    for _ in range(64):
        yield KB


def wsgi_upload(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    size = 0
    read = environ["wsgi.input"].read
    while part := read(65536):
        size += len(part)
    body = str(size).encode()
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", str(len(body)))])
    return [body]


def wsgi_download(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("content-length", str(DOWNLOAD_PARTS * len(KB64)))])
    for _ in range(DOWNLOAD_PARTS):
        yield KB64


async def asgi_hello(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Hello, world!"})


async def asgi_chunks(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for _ in range(64):
        await send({"type": "http.response.body", "body": KB, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def asgi_upload(scope: Any, receive: Any, send: Any) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = str(size).encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def asgi_download(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", str(DOWNLOAD_PARTS * len(KB64)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(DOWNLOAD_PARTS):
        await send({"type": "http.response.body", "body": KB64, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


WSGI: dict[str, Any] = {"hello": wsgi_hello, "chunks": wsgi_chunks, "upload": wsgi_upload, "download": wsgi_download}
ASGI: dict[str, Any] = {"hello": asgi_hello, "chunks": asgi_chunks, "upload": asgi_upload, "download": asgi_download}


# -------------------------------------------------------------------------------------------------------- peers


def ours(**options: Any) -> Callable[[Any], Any]:
    def build(app: Any) -> Any:
        from gateway.adapters.wsgi_to_asgi import WsgiToAsgi

        return WsgiToAsgi(app, **options)

    return build


def a2wsgi(app: Any) -> Any:
    from a2wsgi import WSGIMiddleware

    return WSGIMiddleware(app)


def asgiref(app: Any) -> Any:
    from asgiref.wsgi import WsgiToAsgi

    return WsgiToAsgi(app)


def starlette(app: Any) -> Any:
    from starlette.middleware.wsgi import WSGIMiddleware

    return WSGIMiddleware(app)


def uvicorn(app: Any) -> Any:
    from uvicorn.middleware.wsgi import WSGIMiddleware

    return WSGIMiddleware(app)


def hypercorn(app: Any) -> Any:
    from hypercorn.app_wrappers import WSGIWrapper

    wrapper = WSGIWrapper(app, 16 * 2**20)

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("none")
        loop = asyncio.get_running_loop()

        async def sync_spawn(function: Any, *args: Any) -> Any:
            return await loop.run_in_executor(None, function, *args)

        def call_soon(function: Any, *args: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(function(*args), loop).result()

        await wrapper(scope, receive, send, sync_spawn, call_soon)

    return serve


ENGINES: dict[str, Callable[[Any], Any]] = {
    "ours": ours(),
    "ours, coalesce=False": ours(coalesce=False),
    "ours, inline": ours(inline=True),
    "ours, inline, coalesce=False": ours(inline=True, coalesce=False),
    "ours, thread_sensitive": ours(thread_sensitive=True),
    "ours, uvloop": ours(),
    "a2wsgi": a2wsgi,
    "asgiref": asgiref,
    "starlette": starlette,
    "uvicorn": uvicorn,
    "hypercorn": hypercorn,
}


def build(engine: str, case: str) -> Any:
    """Return the ASGI application that is measured."""
    if engine == NATIVE:
        return ASGI[case]
    warnings.simplefilter("ignore")  # two of the peers are deprecated
    return ENGINES[engine](WSGI[case])


# --------------------------------------------------------------------------------------------------- in process


def drive(engine: str, case: str, concurrency: int, seconds: float) -> Sample:
    """Call the application for a while and return what it took."""
    main = _drive(build(engine, case), case, concurrency, seconds)
    if not engine.endswith("uvloop"):
        return asyncio.run(main)
    import uvloop

    return uvloop.run(main)


async def _drive(app: Any, case: str, concurrency: int, seconds: float) -> Sample:
    headers = [(b"host", b"127.0.0.1:8000"), (b"user-agent", b"bench"), (b"accept", b"*/*")]
    if case == "upload":
        headers.append((b"content-length", str(UPLOAD_PARTS * len(KB64)).encode()))
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST" if case == "upload" else "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "state": {},
    }
    parts = UPLOAD_PARTS if case == "upload" else 1
    part = KB64 if case == "upload" else b""
    count = wrong = 0
    end = 0.0

    async def client() -> None:
        nonlocal count, wrong
        mine = 0
        while not mine or time.perf_counter() < end:
            mine += 1
            received = taken = 0
            never = None

            async def receive() -> dict[str, Any]:
                nonlocal received, never
                received += 1
                if received <= parts:
                    return {"type": "http.request", "body": part, "more_body": received < parts}
                if never is None:
                    never = asyncio.get_running_loop().create_future()
                await never
                raise AssertionError

            async def send(message: dict[str, Any]) -> None:
                nonlocal taken
                if "body" in message:
                    taken += len(message["body"])

            await app(dict(scope), receive, send)
            count += 1
            wrong += taken != BODY_BYTES[case]

    end = time.perf_counter() + seconds / 4  # warm
    await asyncio.gather(*(client() for _ in range(concurrency)))
    count = wrong = 0
    cpu, begin = time.process_time(), time.perf_counter()
    end = begin + seconds
    await asyncio.gather(*(client() for _ in range(concurrency)))
    cpu, elapsed = time.process_time() - cpu, time.perf_counter() - begin
    return Sample(per_second=count / elapsed, cpu_us=cpu / count * 1e6, errors=wrong)


# ------------------------------------------------------------------------------------------------------ loopback


def command(server: str, engine: str, case: str, port: int) -> tuple[list[str], Mapping[str, str]]:
    """Serve `application` under uvicorn, one worker, no access log; on uvloop, which it takes where it is installed."""
    assert server == "uvicorn"
    line = [
        sys.executable,
        "-m",
        "uvicorn",
        "tests.evidence.bench._adapters_wsgi_to_asgi:application",
        "--port",
        str(port),
    ]
    line += ["--no-access-log", "--log-level", "critical", "--lifespan", "off"]
    return line, {"BENCH_ENGINE": engine, "BENCH_CASE": case}


DIRECTION = Direction(engines=(NATIVE, *ENGINES), drive=drive, servers=("uvicorn",), command=command)

if "BENCH_ENGINE" in os.environ:
    application = build(os.environ["BENCH_ENGINE"], os.environ["BENCH_CASE"])
