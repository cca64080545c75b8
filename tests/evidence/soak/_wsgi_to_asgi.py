"""The long runs of a WSGI application served as ASGI, driven in process."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from typing import Any

from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from tests.evidence.soak import _process
from tests.evidence.soak._process import Level

PIECE = b"x" * 65536


class Running:
    """Counts how many calls of an application run at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._now -= 1


def _application(pieces: int, running: Running) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes] | list[bytes]:
        if environ["PATH_INFO"] == "/hello":
            start_response("200 OK", [("Content-Length", "2")])
            return [b"ok"]
        return stream(environ, start_response)

    def stream(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        with running:
            size = 0
            while part := environ["wsgi.input"].read(65536):
                size += len(part)
            start_response("200 OK", [("X-Size", str(size))])
            for _ in range(pieces):
                yield PIECE

    return application


async def _call(
    app: Any, path: str, upload: int, *, pause: float = 0.0, leave_after: int | None = None
) -> tuple[int, int]:
    """Send one request; return how much the application got, and how much came back."""
    headers = [(b"host", b"h")]
    if upload:
        headers.append((b"content-length", str(upload).encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST" if upload else "GET",
        "path": path,
        "headers": headers,
    }
    left = upload
    complete = False
    gone = asyncio.Event()
    got = taken = messages = 0

    async def receive() -> dict[str, Any]:
        nonlocal left, complete
        if not complete:
            part = PIECE[:left]
            left -= len(part)
            complete = not left
            if pause:
                await asyncio.sleep(pause)
            return {"type": "http.request", "body": part, "more_body": not complete}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal got, taken, messages
        if message["type"] == "http.response.start":
            got = int(dict(message["headers"]).get(b"x-size", b"0"))
            return
        taken += len(message.get("body", b""))
        messages += 1
        if messages == leave_after:
            gone.set()
            raise OSError("the client is gone")
        if pause:
            await asyncio.sleep(pause)

    try:
        await app(scope, receive, send)
    except OSError:
        if leave_after is None:
            raise
    return got, taken


def volume(size: int) -> dict[str, Any]:
    """Send ``size`` bytes up and down; return by how much resident memory rose at its peak."""

    async def main() -> dict[str, Any]:
        async def both(size: int) -> None:
            running = Running()
            app = WsgiToAsgi(_application(size // len(PIECE), running))
            got, taken = await _call(app, "/", size)
            assert (got, taken) == (size, size), (got, taken)

        await both(32 * 2**20)
        before = _process.level(0)
        _process.forget_peak()
        await both(size)
        return {"errors": 0, "peak_growth_mib": round(_process.peak_mib() - before.mib, 2)}

    return asyncio.run(main())


def slow_clients(count: int) -> dict[str, Any]:
    """Serve many slow clients at once, wave after wave; return what is held more than after the warm-up."""

    async def main() -> dict[str, Any]:
        running = Running()
        app = WsgiToAsgi(_application(20, running), threads=count)

        async def wave() -> int:
            results = await asyncio.gather(
                *(_call(app, "/", 2 * len(PIECE), pause=0.2) for _ in range(count)), return_exceptions=True
            )
            return sum(result != (2 * len(PIECE), 20 * len(PIECE)) for result in results)

        errors = 0
        levels: list[Level] = []
        for _ in range(_process.WAVES):
            errors += await wave()
            levels.append(_process.level(len(asyncio.all_tasks())))
        return {"errors": errors, "at_once": running.most, **_process.growth(levels, _process.WARM_WAVES)}

    return asyncio.run(main())


def many(count: int) -> dict[str, Any]:
    """Serve many requests of mixed kinds, 16 at once; return what is held more than after the first fifth."""

    async def main() -> dict[str, Any]:
        app = WsgiToAsgi(_application(3, Running()))
        levels: list[Level] = []
        errors = 0
        numbers = itertools.count()

        async def client(until: int) -> None:
            nonlocal errors
            while (number := next(numbers)) < until:
                if number % 10 == 0:
                    errors += await _call(app, "/", 100_000) != (100_000, 3 * len(PIECE))
                elif number % 10 == 1:
                    await _call(app, "/", 0, leave_after=1)
                else:
                    errors += (await _call(app, "/hello", 0))[1] != 2

        for until in (count // 5, count):
            numbers = itertools.count(0 if not levels else until // 5)
            await asyncio.gather(*(client(until) for _ in range(16)))
            levels.append(_process.level(len(asyncio.all_tasks())))
        return {"errors": errors, **levels[1].growth(levels[0])}

    return asyncio.run(main())
