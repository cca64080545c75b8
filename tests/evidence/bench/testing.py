"""Requests a second of the test clients: ours, with validation and without, and those that people use today.

    python -m tests.evidence.bench testing [--json FILE] [--requests N] [--rounds N]

Every client sends ``GET /`` to the same two hello applications, one after the other, interleaved round by round.
A ratio is against Starlette's TestClient (which drives ASGI only), used as its documentation has it: within ``with``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import time
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import httpx
import httpx2
import webtest
import werkzeug.test
from starlette.testclient import TestClient

from gateway.protocols import ASGIReceive, ASGISend, Environ, Scope
from gateway.testing import AsyncClient, Client
from gateway.testing.forms import webtest_app
from gateway.testing.transports import ASGITransport, WSGITransport

BODY = b"Hello, world!"
BASE = "http://testserver"


def wsgi_hello(environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]


async def asgi_hello(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


#: Runs a number of requests, and says how many seconds they took.
Run = Callable[[int], float]


def timed(ask: Callable[[], object]) -> Run:
    def run(count: int) -> float:
        begun = time.perf_counter()
        for _ in range(count):
            ask()
        return time.perf_counter() - begun

    return run


def timed_async(loop: asyncio.AbstractEventLoop, ask: Callable[[], Awaitable[object]]) -> Run:
    async def within(count: int) -> float:
        begun = time.perf_counter()
        for _ in range(count):
            await ask()
        return time.perf_counter() - begun

    return lambda count: loop.run_until_complete(within(count))


@contextmanager
def contenders() -> Iterator[dict[tuple[str, str], Run]]:
    """Every client on the application of each interface that it can drive, by interface and name."""
    loop = asyncio.new_event_loop()
    runs: dict[tuple[str, str], Run] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for interface, app in (("asgi", asgi_hello), ("wsgi", wsgi_hello)):
            for validate in ("raise", "off"):
                note = "validated" if validate == "raise" else "not validated"
                client = Client(app, validate=validate)  # type: ignore[arg-type]
                runs[interface, f"Client, {note}"] = timed(lambda client=client: client.get("/"))  # type: ignore[misc]
                aclient = AsyncClient(app, validate=validate)  # type: ignore[arg-type]
                runs[interface, f"AsyncClient, {note}"] = timed_async(loop, lambda client=aclient: client.get("/"))  # type: ignore[misc]
                site = webtest_app(app, validate=validate)  # type: ignore[arg-type]
                runs[interface, f"webtest_app, {note}"] = timed(lambda site=site: site.get("/"))  # type: ignore[misc]
        with TestClient(asgi_hello_with_lifespan) as starlette:
            runs["asgi", "Starlette TestClient"] = timed(lambda: starlette.get("/"))
            for library in (httpx2, httpx):
                name = library.__name__
                theirs = library.AsyncClient(transport=library.ASGITransport(asgi_hello), base_url=BASE)
                ours = library.AsyncClient(transport=ASGITransport(asgi_hello), base_url=BASE)
                runs["asgi", f"{name}.ASGITransport"] = timed_async(loop, lambda client=theirs: client.get("/"))  # type: ignore[misc]
                runs["asgi", f"{name} + our ASGITransport"] = timed_async(loop, lambda client=ours: client.get("/"))  # type: ignore[misc]
                sync_theirs = library.Client(transport=library.WSGITransport(wsgi_hello), base_url=BASE)
                sync_ours = library.Client(transport=WSGITransport(wsgi_hello), base_url=BASE)
                runs["wsgi", f"{name}.WSGITransport"] = timed(lambda client=sync_theirs: client.get("/"))  # type: ignore[misc]
                runs["wsgi", f"{name} + our WSGITransport"] = timed(lambda client=sync_ours: client.get("/"))  # type: ignore[misc]
            test_app = webtest.TestApp(wsgi_hello)
            runs["wsgi", "WebTest"] = timed(lambda: test_app.get("/"))
            werkzeugs = werkzeug.test.Client(wsgi_hello)
            runs["wsgi", "Werkzeug Client"] = timed(lambda: werkzeugs.get("/").data)
            yield runs
    loop.close()


async def asgi_hello_with_lifespan(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """The same for Starlette's client, which within ``with`` insists on a lifespan."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await asgi_hello(scope, receive, send)


def measure(requests: int, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Requests a second, one figure for each client and round."""
    rates: dict[tuple[str, str], list[float]] = {}
    with contenders() as runs:
        for run in runs.values():
            run(20)
        for _ in range(rounds):
            for key, run in runs.items():
                rates.setdefault(key, []).append(requests / run(requests))
    return rates


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.bench testing", description=__doc__)
    parser.add_argument("--json", type=Path, default=None, help="write the figures to this file")
    parser.add_argument("--requests", type=int, default=300, help="requests in one round (default: 300)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds (default: 7)")
    options = parser.parse_args(argv)
    rates = measure(options.requests, options.rounds)
    base = statistics.median(rates["asgi", "Starlette TestClient"])
    table = [
        {
            "interface": interface,
            "client": name,
            "requests_per_second": round(statistics.median(figures)),
            "quartiles": [round(figure) for figure in statistics.quantiles(figures, n=4)[::2]],
            "against_starlette": round(statistics.median(figures) / base, 2),
        }
        for (interface, name), figures in rates.items()
    ]
    packages = {name: version(name) for name in ("httpx2", "httpx", "starlette", "webtest", "werkzeug")}
    print(f"Python {platform.python_version()}, " + ", ".join(f"{name} {at}" for name, at in packages.items()))
    print(f"{'':5} {'client':32} {'requests/s':>10} {'quartiles':>16} {'x Starlette':>12}")
    for row in sorted(table, key=lambda row: (str(row["interface"]), -float(str(row["requests_per_second"])))):
        low, high = row["quartiles"]  # type: ignore[misc]
        print(
            f"{row['interface']:5} {row['client']:32} {row['requests_per_second']:>10} {f'{low} to {high}':>16} "
            f"{row['against_starlette']:>12}"
        )
    if options.json is not None:
        result = {"python": platform.python_version(), "packages": packages, "rows": table}
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0
