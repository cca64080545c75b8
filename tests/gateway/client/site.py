"""Synchronous code that asks whether its client is gone, below a chain and without one.

``/app?said=FILE`` asks once, makes ``FILE.waits``, and asks again until the answer is True or not known. It writes both
answers to ``FILE``, as JSON. A reader never sees half of them. Below ``/middleware`` a transform does the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from gateway import Gateway
from gateway.contract import Middleware
from gateway.exchange import Request, Response

SECONDS = 20.0


def note(query: str, disconnected: Callable[[], bool | None]) -> None:
    """Ask, and write the first and the last answer to the file that the query names."""
    said = Path(parse_qs(query)["said"][0])
    first = disconnected()
    said.with_suffix(".waits").touch()
    last = first
    deadline = time.monotonic() + SECONDS
    while last is False and time.monotonic() < deadline:
        time.sleep(0.02)
        last = disconnected()
    answer(query, [first, last])


def answer(query: str, answers: list[bool | None]) -> None:
    said = Path(parse_qs(query)["said"][0])
    half = said.with_suffix(".half")
    half.write_text(json.dumps(answers))
    half.rename(said)


def stream(said: Path) -> Iterator[bytes]:
    deadline = time.monotonic() + SECONDS
    while not said.exists() and time.monotonic() < deadline:
        yield b"part"
        said.with_suffix(".waits").touch()
        time.sleep(0.02)


def app(environ: Any, start_response: Any) -> Any:
    if environ["PATH_INFO"].startswith("/app"):
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        note(environ["QUERY_STRING"], environ["gateway.disconnected"])
    if environ["PATH_INFO"] == "/middleware":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return stream(Path(parse_qs(environ["QUERY_STRING"])["said"][0]))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


class _Asking:
    """A transform that asks with each part of the body."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.answers: list[bool | None] = []

    def push(self, chunk: bytes) -> bytes:
        self.answers.append(self.request.disconnected())
        if self.answers[-1] is not False:
            answer(self.request.query_string.decode(), [self.answers[0], self.answers[-1]])
        return chunk

    def finish(self) -> bytes:
        return b""


class Asks(Middleware):
    """Asks while the body is sent, which under an ASGI server is on the loop."""

    def on_body(self, request: Request, response: Response) -> _Asking | None:
        return _Asking(request) if request.path == "/middleware" else None


bare = Gateway(app)
chained = Gateway(app, middleware=[Asks()])
