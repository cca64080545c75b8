"""Streams of every kind, whose second line is made only after the client has read the first, in several chains."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from gateway import Gateway, Mount
from gateway.contract import Middleware
from gateway.middleware import Compression, Unbuffered, behind_load_balancer, behind_nginx, edge

#: The media type, the first part and the second.
KINDS: dict[str, tuple[str, bytes, bytes]] = {
    "text": ("text/plain; charset=utf-8", b"first line\n", b"second line\n"),
    "ndjson": ("application/x-ndjson", b'{"line": 1}\n', b'{"line": 2}\n'),
    "jsonl": ("application/jsonl", b'{"line": 1}\n', b'{"line": 2}\n'),
    "events": ("text/event-stream", b"data: first\n\n", b"data: second\n\n"),
    "array": ("application/json", b'[{"item": 1}', b',{"item": 2}]'),
}
LATE = b"nobody has read the first line\n"
WAIT_SECONDS = 20.0
HOSTS = ("localhost",)


def _asked(path: str, query: str) -> tuple[str, bytes, bytes, Path]:
    kind, first, second = KINDS[path.rpartition("/")[2]]
    return kind, first, second, Path(parse_qs(query)["release"][0])


def wsgi_stream(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    kind, first, second, release = _asked(environ["PATH_INFO"], environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", kind)])
    yield first
    until = time.monotonic() + WAIT_SECONDS
    while not release.exists():
        if time.monotonic() > until:
            yield LATE
            return
        time.sleep(0.005)
    yield second


async def asgi_stream(scope: Any, receive: Any, send: Any) -> None:
    kind, first, second, release = _asked(scope["path"], scope["query_string"].decode())
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
    await send({"type": "http.response.body", "body": first, "more_body": True})
    until = time.monotonic() + WAIT_SECONDS
    while not release.exists() and time.monotonic() < until:  # noqa: ASYNC110  # another process makes it
        await asyncio.sleep(0.005)
    second = second if release.exists() else LATE
    await send({"type": "http.response.body", "body": second, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


COMPRESSION = Compression(event_stream=True)
CHAINS: dict[str, tuple[Middleware, ...]] = {
    "bare": (),
    "compressed": (COMPRESSION, Unbuffered()),
    "nginx": behind_nginx(hosts=HOSTS),
    "nginx-compressed": behind_nginx(hosts=HOSTS, compression=COMPRESSION),
    "balancer": behind_load_balancer(
        hosts=HOSTS, trust=("unix:",), https_redirect=None, rate="10000/second", compression=COMPRESSION
    ),
    "edge": edge(hosts=HOSTS, https_redirect=None, compression=COMPRESSION),
}


def site(application: Any) -> Mount:
    """Return one application in every chain: below the chain's name, the kind of stream."""
    return Mount({f"/{name}": Gateway(application, middleware=chain) for name, chain in CHAINS.items()})


wsgi = site(wsgi_stream)
asgi = site(asgi_stream)
