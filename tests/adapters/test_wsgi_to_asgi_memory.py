"""WSGI served as ASGI: large bodies in little memory, many slow clients, many requests."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from tests.adapters.driving import Server, http_scope, run_on

Environ = dict[str, Any]
MIB = 2**20
KB64 = b"x" * 65536

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc"),
]


def resident_mib() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


class Growth:
    """The most that resident memory grew over where it began."""

    def __init__(self) -> None:
        self.begin = resident_mib()
        self.most = 0.0

    def look(self) -> None:
        self.most = max(self.most, resident_mib() - self.begin)


async def upload(app: Any, size: int, growth: Growth) -> Server:
    """Send a body in pieces that are made when they are asked for."""
    left = size // len(KB64)
    count = 0

    async def receive() -> dict[str, Any]:
        nonlocal left, count
        if count % 256 == 0:
            growth.look()
        count += 1
        left -= 1
        if left >= 0:
            return {"type": "http.request", "body": bytes(bytearray(65536)), "more_body": left > 0}
        await anyio.sleep_forever()
        raise AssertionError

    server = Server()
    scope = http_scope(method="POST", headers=[(b"content-length", b"%d" % size)])
    await app(scope, receive, server.send)
    return server


async def download(app: Any, growth: Growth, pause: Callable[[], Any] = anyio.lowlevel.checkpoint) -> int:
    """Take a response and forget it."""
    total = count = 0

    async def send(message: dict[str, Any]) -> None:
        nonlocal total, count
        total += len(message.get("body", b""))
        if count % 128 == 0:
            growth.look()
        count += 1
        await pause()

    await app(http_scope(), Server().receive, send)
    return total


def reading(environ: Environ, start_response: Any) -> list[bytes]:
    size = 0
    while part := environ["wsgi.input"].read(65536):
        size += len(part)
    start_response("200 OK", [])
    return [b"%d" % size]


def producing(size: int) -> Any:
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(size // 65536):
            yield bytes(bytearray(65536))

    return app


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_A60_an_upload_of_64_mib_is_held_in_little_memory(backend: str) -> None:
    async def main() -> None:
        await upload(WsgiToAsgi(reading), MIB, Growth())
        growth = Growth()
        assert (await upload(WsgiToAsgi(reading), 64 * MIB, growth)).content == b"%d" % (64 * MIB)
        assert growth.most < 8

    run_on(backend, main, seconds=120)


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_A61_a_download_of_64_mib_by_a_slow_client_is_held_in_little_memory(backend: str) -> None:
    async def main() -> None:
        await download(WsgiToAsgi(producing(MIB)), Growth())
        growth = Growth()

        async def pause() -> None:
            await anyio.sleep(0.001)

        assert await download(WsgiToAsgi(producing(64 * MIB)), growth, pause) == 64 * MIB
        assert growth.most < 8

    run_on(backend, main, seconds=120)


def test_a_gibibyte_each_way_is_held_in_little_memory() -> None:
    async def main() -> None:
        await upload(WsgiToAsgi(reading), MIB, Growth())
        await download(WsgiToAsgi(producing(MIB)), Growth())
        growth = Growth()
        await upload(WsgiToAsgi(reading), 1024 * MIB, growth)
        assert await download(WsgiToAsgi(producing(1024 * MIB)), growth) == 1024 * MIB
        assert growth.most < 8

    run_on("asyncio", main, seconds=240)


def test_a_thousand_slow_clients_at_once_are_all_served() -> None:
    together = threading.Barrier(1000, timeout=120)

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"a"
        together.wait()
        yield b"b"

    adapter = WsgiToAsgi(app, threads=1000)
    answers: list[bytes] = []

    async def one() -> None:
        server = Server()
        await adapter(http_scope(), server.receive, server.send)
        answers.append(server.content)

    async def main() -> None:
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for _ in range(1000):
                    tasks.start_soon(one)
        assert adapter._ports.all[0].workers.size == 1000
        assert adapter._ports.all[0].workers.pending == 0

    run_on("asyncio", main, seconds=240)
    assert answers == [b"ab"] * 2000


def test_A67_two_hundred_thousand_requests_leave_nothing() -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"x"]

    adapter = WsgiToAsgi(app)

    async def one(number: int) -> None:
        for _ in range(number):
            server = Server()
            await adapter(http_scope(), server.receive, server.send)

    async def main() -> None:
        for number in (500, 12_000):
            growth = Growth()
            async with anyio.create_task_group() as tasks:
                for _ in range(16):
                    tasks.start_soon(one, number)
            growth.look()
        assert growth.most < 4
        assert adapter._ports.all[0].workers.size <= 40

    run_on("asyncio", main, seconds=400)
