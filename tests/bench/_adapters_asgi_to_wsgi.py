"""ASGI served as WSGI: the modes, the peer, and how a WSGI callable is driven."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.bench._adapters_wsgi_to_asgi import ASGI, KB64, UPLOAD_PARTS, WSGI
from tests.bench.adapters import NATIVE, Direction, Sample

BODY = KB64 * UPLOAD_PARTS


def ours(**options: Any) -> Callable[[Any], Any]:
    def build(app: Any) -> Any:
        from gateway.adapters.asgi_to_wsgi import AsgiToWsgi

        return AsgiToWsgi(app, lifespan="off", **options)

    return build


def uvloop(app: Any) -> Any:
    import uvloop as library

    from gateway.adapters.asgi_to_wsgi import AsgiToWsgi

    loop = library.new_event_loop()
    running = threading.Event()
    loop.call_soon(running.set)
    threading.Thread(target=loop.run_forever, daemon=True).start()
    running.wait(10)
    return AsgiToWsgi(app, lifespan="off", loop=loop)


def a2wsgi(app: Any) -> Any:
    from a2wsgi import ASGIMiddleware

    return ASGIMiddleware(app)


ENGINES: dict[str, Callable[[Any], Any]] = {
    "ours, shared": ours(loop="shared"),
    # On Python 3.11 lending falls back to the shared loop; the row is then the same as the one above.
    "ours, lend" if sys.version_info >= (3, 12) else "ours, lend (as shared)": ours(loop="lend"),
    "ours, shared, coalesce=False": ours(loop="shared", coalesce=False),
    "ours, uvloop": uvloop,
    "a2wsgi": a2wsgi,
}


def build(engine: str, case: str) -> Any:
    """Return the WSGI application that is measured."""
    return WSGI[case] if engine == NATIVE else ENGINES[engine](ASGI[case])


def drive(engine: str, case: str, concurrency: int, seconds: float) -> Sample:
    """Call the application for a while, from as many threads as there are requests at once."""
    app = build(engine, case)
    ran = _run(app, case, concurrency, seconds / 4)  # warm
    cpu, begin = time.process_time(), time.perf_counter()
    ran = _run(app, case, concurrency, seconds)
    cpu, elapsed = time.process_time() - cpu, time.perf_counter() - begin
    return Sample(per_second=ran / elapsed, cpu_us=cpu / ran * 1e6)


def _run(app: Any, case: str, concurrency: int, seconds: float) -> int:
    end = time.perf_counter() + seconds
    counts: list[int] = []

    def client() -> None:
        count = 0
        while time.perf_counter() < end:
            _one(app, case)
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=client) for _ in range(concurrency - 1)]
    for thread in threads:
        thread.start()
    client()
    for thread in threads:
        thread.join()
    return sum(counts)


def _start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
    pass


def _one(app: Any, case: str) -> None:
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
    for _ in body:
        pass
    close = getattr(body, "close", None)
    if close is not None:
        close()


def command(server: str, engine: str, case: str, port: int) -> tuple[list[str], Mapping[str, str]]:
    """Serve `application` with eight threads in one process."""
    target = "tests.bench._adapters_asgi_to_wsgi:application"
    if server == "waitress":
        line = ["-m", "waitress", f"--listen=127.0.0.1:{port}", "--threads=8", target]
    else:
        line = ["-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-k", "gthread", "-w", "1", "--threads", "8", target]
    return [sys.executable, *line], {"BENCH_ENGINE_WSGI": engine, "BENCH_CASE": case}


DIRECTION = Direction(
    engines=(NATIVE, *ENGINES), drive=drive, servers=("gunicorn-gthread", "waitress"), command=command
)

if "BENCH_ENGINE_WSGI" in os.environ:
    application = build(os.environ["BENCH_ENGINE_WSGI"], os.environ["BENCH_CASE"])
