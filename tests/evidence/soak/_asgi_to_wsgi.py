"""The long runs of an ASGI application served as WSGI, driven in process."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import time
from typing import Any

from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from tests.evidence.soak import _process
from tests.evidence.soak._process import Level
from tests.evidence.soak._wsgi_to_asgi import PIECE, Running


def _application(pieces: int, running: Running) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        with running:
            size, more = 0, True
            while more:
                message = await receive()
                size += len(message.get("body", b""))
                more = message.get("more_body", False)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x-size", str(size).encode())]})
            for _ in range(0 if scope["path"] == "/hello" else pieces):
                await send({"type": "http.response.body", "body": PIECE, "more_body": True})
            await send({"type": "http.response.body", "body": b"ok" if scope["path"] == "/hello" else b""})

    return application


class _Upload:
    """A ``wsgi.input`` that makes its bytes as they are read."""

    def __init__(self, size: int, pause: float) -> None:
        self._left = size
        self._pause = pause

    def read(self, size: int = -1) -> bytes:
        if self._pause:
            time.sleep(self._pause)
        part = PIECE[: min(self._left, len(PIECE) if size < 0 else size)]
        self._left -= len(part)
        return part


def _call(app: Any, path: str, upload: int, *, pause: float = 0.0, leave_after: int | None = None) -> tuple[int, int]:
    """Send one request; return how much the application got, and how much came back."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST" if upload else "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "h",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": _Upload(upload, pause),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if upload:
        environ["CONTENT_LENGTH"] = str(upload)
    got = taken = 0

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        nonlocal got
        got = int(dict(headers)["x-size"])

    body = app(environ, start_response)
    try:
        for number, part in enumerate(body, 1):
            taken += len(part)
            if number == leave_after:
                break
            if pause:
                time.sleep(pause)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    return got, taken


def _tasks(app: AsgiToWsgi) -> int:
    service = app._service
    assert service is not None
    return len(asyncio.all_tasks(service.runner.loop))


def _settled(app: AsgiToWsgi) -> Level:
    """Return what is held once the tasks of closed responses have ended, which takes a turn of the loop."""
    deadline = time.monotonic() + 5
    while _tasks(app) and time.monotonic() < deadline:
        time.sleep(0.01)
    return _process.level(_tasks(app))


def volume(size: int) -> dict[str, Any]:
    """Send ``size`` bytes up and down; return by how much resident memory rose at its peak."""

    def both(size: int) -> None:
        with AsgiToWsgi(_application(size // len(PIECE), Running()), lifespan="off") as app:
            assert _call(app, "/", size) == (size, size)

    both(32 * 2**20)
    before = _process.level(0)
    _process.forget_peak()
    both(size)
    return {"errors": 0, "peak_growth_mib": round(_process.peak_mib() - before.mib, 2)}


def slow_clients(count: int) -> dict[str, Any]:
    """Serve many slow clients at once, wave after wave; return what is held more than after the warm-up."""
    running = Running()
    errors = 0
    with AsgiToWsgi(_application(20, running), lifespan="off") as app:

        def client() -> None:
            nonlocal errors
            try:
                correct = _call(app, "/", 2 * len(PIECE), pause=0.2) == (2 * len(PIECE), 20 * len(PIECE))
            except Exception:
                correct = False
            errors += not correct

        def wave() -> Level:
            threads = [threading.Thread(target=client) for _ in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return _settled(app)

        levels = [wave() for _ in range(_process.WAVES)]
    return {"errors": errors, "at_once": running.most, **_process.growth(levels, _process.WARM_WAVES)}


def many(count: int) -> dict[str, Any]:
    """Serve many requests of mixed kinds, 16 at once; return what is held more than after the first fifth."""
    errors = 0
    with AsgiToWsgi(_application(3, Running()), lifespan="off") as app:

        def client(numbers: Any) -> None:
            nonlocal errors
            for number in numbers:
                if number % 10 == 0:
                    errors += _call(app, "/", 100_000) != (100_000, 3 * len(PIECE))
                elif number % 10 == 1:
                    _call(app, "/", 0, leave_after=1)
                else:
                    errors += _call(app, "/hello", 0)[1] != 2

        levels: list[Level] = []
        for total in (count // 5, count - count // 5):
            threads = [
                threading.Thread(target=client, args=(itertools.islice(range(total), index, None, 16),))
                for index in range(16)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            levels.append(_settled(app))
    return {"errors": errors, **levels[1].growth(levels[0])}
