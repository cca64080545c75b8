"""Files of 4 KiB and 1 MiB: requests and megabytes a second of CPU time, in process, beside the packages named.

The server of WSGI takes a file wrapper, as Gunicorn's does without sendfile, and reads it in blocks of 8 KiB; that of
ASGI offers no extension, as uvicorn does not. What is counted is checked: a round whose bytes are not the files' fails.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from time import process_time
from typing import Any
from wsgiref.util import FileWrapper

from gateway import Gateway
from gateway.middleware import StaticFiles
from tests.evidence.bench._rivals import named, static_rival

__all__ = ["measure", "report"]

PREFIX = "/static"
SIZES = {"4 KiB": 4 * 1024, "1 MiB": 2**20}
COUNTS = {"4 KiB": 200, "1 MiB": 20}
#: Requests a second: first quartile, median, third quartile.
Rate = tuple[float, float, float]


async def asgi_missing(scope: Any, receive: Any, send: Any) -> None:
    raise LookupError(scope["path"])


def wsgi_missing(environ: Any, start_response: Any) -> Any:
    raise LookupError(environ["PATH_INFO"])


def asgi_round(app: Any, path: str, size: int) -> Callable[[int], float]:
    async def receive() -> dict[str, Any]:
        # Asked a second time it waits as a server does, for a client that stays.
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def run(count: int) -> float:
        taken = 0

        async def send(message: Any) -> None:
            nonlocal taken
            taken += len(message.get("body", b""))

        begun = process_time()
        for _ in range(count):
            scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.4"},
                "http_version": "1.1",
                "method": "GET",
                "scheme": "http",
                "path": path,
                "raw_path": path.encode(),
                "query_string": b"",
                "root_path": "",
                "headers": [(b"host", b"example.org"), (b"accept-encoding", b"gzip, br"), (b"user-agent", b"bench")],
                "client": ("127.0.0.1", 1),
                "server": ("127.0.0.1", 80),
            }
            await app(scope, receive, send)
        spent = process_time() - begun
        assert taken == count * size, (taken, count * size)
        return spent

    return lambda count: asyncio.run(run(count))


def wsgi_round(app: Any, path: str, size: int) -> Callable[[int], float]:
    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        assert status == "200 OK", status

    def run(count: int) -> float:
        taken = 0
        begun = process_time()
        for _ in range(count):
            environ = {
                "REQUEST_METHOD": "GET",
                "SCRIPT_NAME": "",
                "PATH_INFO": path,
                "QUERY_STRING": "",
                "SERVER_NAME": "127.0.0.1",
                "SERVER_PORT": "80",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "REMOTE_ADDR": "127.0.0.1",
                "wsgi.url_scheme": "http",
                "wsgi.file_wrapper": FileWrapper,
                "HTTP_HOST": "example.org",
                "HTTP_ACCEPT_ENCODING": "gzip, br",
                "HTTP_USER_AGENT": "bench",
            }
            result = app(environ, start_response)
            for chunk in result:
                taken += len(chunk)
            close = getattr(result, "close", None)
            if close is not None:
                close()
        spent = process_time() - begun
        assert taken == count * size, (taken, count * size)
        return spent

    return run


def _candidates(interface: str, folder: Path) -> Iterator[tuple[str, Any]]:
    asgi = interface == "asgi"
    missing = asgi_missing if asgi else wsgi_missing
    gateway = Gateway(missing, middleware=(StaticFiles(folders={PREFIX: folder}),))
    yield "ours", gateway.asgi if asgi else gateway.wsgi
    for name in named()["static"][interface]:
        yield name, static_rival(name, interface, missing, folder, PREFIX)


def measure(rounds: int) -> dict[str, dict[str, dict[str, Rate]]]:
    """Return requests a second by interface, size and package."""
    found: dict[str, dict[str, dict[str, Rate]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, size in SIZES.items():
            (folder / _file(title)).write_bytes(os.urandom(size))
        for interface in ("asgi", "wsgi"):
            apps = dict(_candidates(interface, folder))
            for title, size in SIZES.items():
                make = asgi_round if interface == "asgi" else wsgi_round
                runs = {who: make(app, f"{PREFIX}/{_file(title)}", size) for who, app in apps.items()}
                for run in runs.values():
                    run(2)
                times: dict[str, list[float]] = {who: [] for who in runs}
                for _ in range(rounds):
                    for who, run in runs.items():
                        times[who].append(COUNTS[title] / run(COUNTS[title]))
                found.setdefault(interface, {})[title] = {who: _rate(each) for who, each in times.items()}
    return found


def _file(title: str) -> str:
    return title.replace(" ", "") + ".bin"


def _rate(each: list[float]) -> Rate:
    first, _, third = quantiles(each, n=4, method="inclusive")
    return first, median(each), third


def report(found: dict[str, dict[str, dict[str, Rate]]]) -> None:
    """Print the rates."""
    for interface, by_size in found.items():
        print(f"\n{interface}: files, a second of CPU time, median [quartiles]")
        for title, by_name in by_size.items():
            for who, (first, middle, third) in by_name.items():
                megabytes = middle * SIZES[title] / 1e6
                ratio = "" if who == "ours" else f"  ours is {by_name['ours'][1] / middle:5.2f} times as fast"
                rate = f"{middle:9.0f} requests [{first:8.0f} {third:8.0f}]"
                print(f"  {title:6} {who:12} {rate} {megabytes:7.0f} MB{ratio}")
