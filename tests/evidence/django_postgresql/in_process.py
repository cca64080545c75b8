"""Call the application of the environment as ASGI in this process, and print the CPU time of a request as JSON.

Arguments: the number of requests, and how many run at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

__all__ = ["main"]

_WARM = 100


async def _request(application: Any, number: int) -> bool:
    sent: list[Any] = []
    waiting = [{"type": "http.request", "body": b"", "more_body": False}]
    path = f"/row/{number}/"

    async def receive() -> Any:
        if waiting:
            return waiting.pop()
        return await asyncio.get_running_loop().create_future()  # the client stays

    async def send(message: Any) -> None:
        sent.append(message)

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
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }
    await application(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"] == 200 and body == f"row {number} of 100".encode()


async def _several(application: Any, requests: int, at_once: int) -> int:
    """Return the number of right responses."""
    numbers = iter(range(requests))

    async def one() -> int:
        return sum([await _request(application, number) for number in numbers])

    return sum(await asyncio.gather(*(one() for _ in range(at_once))))


async def _measure(requests: int, at_once: int) -> dict[str, float]:
    from tests.gateway.django.rooms.served import application

    await _several(application, _WARM, at_once)
    begin = time.process_time()
    right = await _several(application, requests, at_once)
    return {"cpu_us": (time.process_time() - begin) / requests * 1e6, "errors": requests - right}


def main(requests: str, at_once: str) -> None:
    """Measure, and print the result."""
    print(json.dumps(asyncio.run(_measure(int(requests), int(at_once)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
