"""What the tests of `AsgiToWsgi` share: environs, a small WSGI server in one function, applications, the modes.

By hand and not `gateway.testing`, whose clients stand on the adapter that is tested here, and because rows ask for
environs that no client would make; the validator is on.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from gateway.rules import Validator

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

#: Every mode that this interpreter has: ``lend`` needs eager tasks.
MODES = ["shared", "lend"] if sys.version_info >= (3, 12) else ["shared"]


def make_environ(body: bytes | None = None, **changes: Any) -> dict[str, Any]:
    """Return an environ as a server makes it; a value of None takes the key away."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET" if body is None else "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "example.org",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "4321",
        "HTTP_HOST": "example.org",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body or b""),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    environ.update({key.replace("__", "."): value for key, value in changes.items()})
    return {key: value for key, value in environ.items() if value is not None}


@dataclass
class Started:
    """A response under way, as a server sees it."""

    body: Iterable[bytes]
    status: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.body)

    def close(self) -> None:
        close = getattr(self.body, "close", None)
        if close is not None:
            close()


@dataclass
class Answer:
    """A whole response."""

    status: str
    headers: list[tuple[str, str]]
    chunks: list[bytes]

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)


def begin(wsgi: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> Started:
    """Call a WSGI application as a server does, up to the iterable."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        assert exc_info is not None or not started, "start_response was called twice"
        assert type(status) is str
        assert type(headers) is list
        assert all(type(name) is str and type(value) is str for name, value in headers)
        started.append((status, headers))
        return lambda data: None

    body = wsgi(environ, start_response)
    assert started, "no start_response before the iterable was returned"
    return Started(body, *started[-1])


def call(
    wsgi: Callable[..., Iterable[bytes]], environ: dict[str, Any] | None = None, *, validate: bool = True
) -> Answer:
    """Call a WSGI application as a server does, to the end; both sides must keep the rules."""
    response = begin(Validator(wsgi, "wsgi") if validate else wsgi, make_environ() if environ is None else environ)
    chunks = []
    try:
        for chunk in response:
            assert type(chunk) is bytes
            chunks.append(chunk)
    finally:
        response.close()
    return Answer(response.status, response.headers, chunks)


@contextmanager
def adapted(app: App, **options: Any) -> Iterator[AsgiToWsgi]:
    """Give the adapter around an application, closed at the end."""
    wsgi = AsgiToWsgi(app, **options)
    try:
        yield wsgi
    finally:
        wsgi.close()


def http_only(app: App) -> App:
    """Return the application without lifespan, as its author may have written it."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await app(scope, receive, send)

    return wrapped


async def start(send: Send, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def body(send: Send, data: bytes = b"", *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


@http_only
async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send, 200, [(b"content-type", b"text/plain")])
    await body(send, b"Hello, world!")
