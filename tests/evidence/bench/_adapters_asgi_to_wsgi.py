"""ASGI served as WSGI: the modes, the peer, and how a WSGI callable is driven."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.evidence.bench._adapters_floors import LEND, SHARED, WSGI_SERVERS
from tests.evidence.bench._adapters_sample import BODY_BYTES, NATIVE, Direction, Sample
from tests.evidence.bench._adapters_wsgi_to_asgi import ASGI, KB64, UPLOAD_PARTS, WSGI

BODY = KB64 * UPLOAD_PARTS


def ours(**options: Any) -> Callable[[Any], Any]:
    def build(app: Any) -> Any:
        from gateway.adapters.asgi_to_wsgi import AsgiToWsgi

        return AsgiToWsgi(app, lifespan="off", **options)

    return build


def elsewhere(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> Callable[[Any], Any]:
    """Return what runs an application on a loop of the user's, in a thread of the user's."""

    def build(app: Any) -> Any:
        from gateway.adapters.asgi_to_wsgi import AsgiToWsgi

        loop = new_loop()
        running = threading.Event()
        loop.call_soon(running.set)
        threading.Thread(target=loop.run_forever, daemon=True).start()
        running.wait(10)
        return AsgiToWsgi(app, lifespan="off", loop=loop)

    return build


def uvloop() -> asyncio.AbstractEventLoop:
    import uvloop as library

    loop: asyncio.AbstractEventLoop = library.new_event_loop()
    return loop


def a2wsgi(app: Any) -> Any:
    from a2wsgi import ASGIMiddleware

    return ASGIMiddleware(app)


ENGINES: dict[str, Callable[[Any], Any]] = {
    SHARED: ours(loop="shared"),
    f"{SHARED}, coalesce=False": ours(loop="shared", coalesce=False),
    LEND: ours(loop="lend"),
    f"{LEND}, coalesce=False": ours(loop="lend", coalesce=False),
    "ours, a loop elsewhere": elsewhere(asyncio.new_event_loop),
    "ours, uvloop": elsewhere(uvloop),
    "a2wsgi": a2wsgi,
}


def build(engine: str, case: str) -> Any:
    """Return the WSGI application that is measured."""
    return WSGI[case] if engine == NATIVE else ENGINES[engine](ASGI[case])


def drive(engine: str, case: str, concurrency: int, seconds: float) -> Sample:
    """Call the application for a while, from as many threads as there are requests at once."""
    app = build(engine, case)
    _run(app, case, concurrency, seconds / 4)  # warm
    cpu, begin = time.process_time(), time.perf_counter()
    ran, wrong = _run(app, case, concurrency, seconds)
    cpu, elapsed = time.process_time() - cpu, time.perf_counter() - begin
    return Sample(per_second=ran / elapsed, cpu_us=cpu / ran * 1e6, errors=wrong)


def _run(app: Any, case: str, concurrency: int, seconds: float) -> tuple[int, int]:
    end = time.perf_counter() + seconds
    counts: list[tuple[int, int]] = []

    def client() -> None:
        count = wrong = 0
        while not count or time.perf_counter() < end:
            wrong += _one(app, case) != BODY_BYTES[case]
            count += 1
        counts.append((count, wrong))

    threads = [threading.Thread(target=client) for _ in range(concurrency - 1)]
    for thread in threads:
        thread.start()
    client()
    for thread in threads:
        thread.join()
    return sum(count for count, _ in counts), sum(wrong for _, wrong in counts)


def _start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
    pass


def _one(app: Any, case: str) -> int:
    upload = case == "upload"
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST" if upload else "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "RAW_URI": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "HTTP_HOST": "127.0.0.1:8000",
        "HTTP_USER_AGENT": "bench",
        "HTTP_ACCEPT": "*/*",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(BODY if upload else b""),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if upload:
        environ["CONTENT_LENGTH"] = str(len(BODY))
    body = app(environ, _start_response)
    taken = 0
    for part in body:
        taken += len(part)
    close = getattr(body, "close", None)
    if close is not None:
        close()
    return taken


def command(server: str, engine: str, case: str, port: int) -> tuple[list[str], Mapping[str, str]]:
    """Serve `application` with eight threads in one process."""
    target = "tests.evidence.bench._adapters_asgi_to_wsgi:application"
    if server == "waitress":
        line = ["-m", "waitress", f"--listen=127.0.0.1:{port}", "--threads=8", target]
    else:
        line = ["-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-k", "gthread", "-w", "1", "--threads", "8", target]
    return [sys.executable, *line], {"BENCH_ENGINE_WSGI": engine, "BENCH_CASE": case}


DIRECTION = Direction(engines=(NATIVE, *ENGINES), drive=drive, servers=WSGI_SERVERS, command=command)

if "BENCH_ENGINE_WSGI" in os.environ:
    application = build(os.environ["BENCH_ENGINE_WSGI"], os.environ["BENCH_CASE"])
