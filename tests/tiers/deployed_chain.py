"""What the applications behind generated files share: their chains, their notes, and a stream of events.

The applications are `deployed_flask`, `deployed_django` and `deployed_fastapi`, so that a server imports one framework.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway import Gateway
from gateway.middleware import BodyLimit, Health, behind_load_balancer, behind_nginx

HOST = "shop.example.com"
MAX_BYTES = 100_000
FOLDER = Path(os.environ.get("DEPLOYED_FOLDER", "."))
LOCAL = ("unix:", "127.0.0.1", "::1")
HEADERS = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Forwarded-Port", "Forwarded", "X-Request-ID")


def note(what: str) -> None:
    with (FOLDER / "notes").open("a") as file:
        file.write(f"{what}\n")


def events(release: str) -> Iterator[bytes]:
    yield b"data: first\n\n"
    until = time.monotonic() + 10
    while not (FOLDER / release).exists() and time.monotonic() < until:
        time.sleep(0.01)
    yield b"data: second\n\n"


def proxied(app: Any) -> Gateway[Any]:
    """Put an application behind one proxy of this machine."""
    chain = behind_nginx(hosts=(HOST,), body_limit=BodyLimit(max_bytes=MAX_BYTES))
    return Gateway(app, middleware=chain)


def balanced(app: Any) -> Gateway[Any]:
    """Put an application behind a load balancer of this machine."""
    chain = behind_load_balancer(
        hosts=(HOST,),
        trust=LOCAL,
        max_bytes=MAX_BYTES,
        https_redirect=None,
        compression=None,
        health=Health(drain_seconds=float(os.environ.get("DRAIN", "1")), cache=0.0),
    )
    return Gateway(app, middleware=chain)


def distant(app: Any) -> Gateway[Any]:
    """Put an application behind a load balancer of another machine, so that no address of this one is trusted."""
    chain = behind_load_balancer(
        hosts=(HOST,), trust=("10.0.0.0/8",), max_bytes=MAX_BYTES, https_redirect=None, compression=None
    )
    return Gateway(app, middleware=chain)
