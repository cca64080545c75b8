"""Many requests at once to a server of the project of chat rooms, over connections that stay open."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field


@dataclass
class Load:
    """What was sent and received.

    Attributes:
        seconds: The time of each request that was answered right, in the order of the responses.
        errors: What was wrong with the others.
    """

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Return the time that this share of the requests did not exceed."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(len(self.seconds) * share))]


async def ask_many(host: str, port: int, *, requests: int, at_once: int, timeout: float = 300) -> Load:
    """Send requests over ``at_once`` connections, each with one request at a time."""
    load = Load()
    numbers = iter(range(requests))
    async with asyncio.timeout(timeout), asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(_connection(host, port, numbers, load))
    return load


async def _connection(host: str, port: int, numbers: object, load: Load) -> None:
    reader = writer = None
    for number in numbers:  # type: ignore[attr-defined]  # an iterator that all connections share
        begin = time.perf_counter()
        try:
            if reader is None or writer is None:
                reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET /row/{number}/ HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            status, body, keeps = await _response(reader)
        except (OSError, EOFError, ValueError) as error:
            load.errors.append(f"{number}: {type(error).__name__}: {error}")
            if writer is not None:
                writer.close()
            reader = writer = None
            continue
        if (status, body) == (200, f"row {number} of 100".encode()):
            load.seconds.append(time.perf_counter() - begin)
        else:
            load.errors.append(f"{number}: {status} {body[:80]!r}")
        if not keeps:
            writer.close()
            reader = writer = None
    if writer is not None:
        writer.close()


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()
    return int(head[0].split()[1]), body, headers.get("connection") != "close"
