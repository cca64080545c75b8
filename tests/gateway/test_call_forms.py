"""Each callable that an application receives takes every call form that at least two servers accept.

PEP 3333 makes an application call `start_response` with positional arguments, and the validator holds it to that. But
servers written in Python take keywords too, so applications use them and run. Such an application must also run behind
an adapter, a chain and a test client.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from wsgiref.handlers import BaseHandler
from wsgiref.util import FileWrapper

import a2wsgi.wsgi
import cheroot.server
import cheroot.wsgi
import gevent.pywsgi
import gunicorn.http.body
import gunicorn.http.wsgi
import pytest

from gateway import Gateway
from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from gateway.contract import Flow, Middleware, as_middleware
from gateway.exchange import Outcome, Request, Response
from gateway.rules import Validator
from gateway.testing import Client
from tests.adapters.driving import Server, http_scope

BODY = b"one\ntwo\nthree"
Form = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
TEXT = [("Content-Type", "text/plain")]


def _error() -> Any:
    try:
        raise LookupError("of the application")
    except LookupError:
        return sys.exc_info()


def start_with_exc_info(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    start_response("500 Internal Server Error", TEXT, exc_info=_error())
    return [b"done"]


def start_by_names(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response(status="200 OK", headers=TEXT, exc_info=None)
    return [b"done"]


def start_again_by_names(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    start_response(headers=TEXT, status="500 Internal Server Error", exc_info=_error())
    return [b"done"]


def write_data(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    write = start_response("200 OK", TEXT)
    write(data=b"do")
    return [b"ne"]


def wrap_with_blksize(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    wrapper = environ.get("wsgi.file_wrapper", FileWrapper)
    return wrapper(filelike=io.BytesIO(b"done"), blksize=2)  # type: ignore[no-any-return]  # of the server


FORMS: list[Form] = [start_with_exc_info, start_by_names, start_again_by_names, write_data, wrap_with_blksize]

#: Calls of `wsgi.input`, and the part of the body that each returns.
READS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "read(size=5)": (lambda stream: stream.read(size=5), b"one\nt"),
    "read(size=-1)": (lambda stream: stream.read(size=-1), BODY),
    "read(size=None)": (lambda stream: stream.read(size=None), BODY),
    "read(None)": (lambda stream: stream.read(None), BODY),
    "readline(size=2)": (lambda stream: stream.readline(size=2), b"on"),
    "readline(size=None)": (lambda stream: stream.readline(size=None), b"one\n"),
    "readline(None)": (lambda stream: stream.readline(None), b"one\n"),
    "readlines(hint=1)": (lambda stream: stream.readlines(hint=1), [b"one\n"]),
    "readlines(hint=None)": (lambda stream: stream.readlines(hint=None), [b"one\n", b"two\n", b"three"]),
    "readlines(None)": (lambda stream: stream.readlines(None), [b"one\n", b"two\n", b"three"]),
}


@dataclass(frozen=True, kw_only=True)
class Heads(Middleware):
    def on_response(self, request: Request, response: Response) -> None:
        response.headers.set("x-seen", "1")


class _Same:
    def push(self, chunk: bytes, /) -> bytes:
        return chunk

    def finish(self) -> bytes:
        return b""


@dataclass(frozen=True, kw_only=True)
class Ends(Heads):
    def on_finish(self, request: Request, outcome: Outcome) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Bodies(Heads):
    def on_body(self, request: Request, response: Response) -> _Same:
        return _Same()


@dataclass(frozen=True, kw_only=True)
class RequestBodies(Heads):
    def on_request_body(self, request: Request) -> _Same:
        return _Same()


@as_middleware
def flow(request: Request) -> Flow:
    response = yield
    response.headers.set("x-seen", "1")


CHAINS = {"heads": Heads(), "ends": Ends(), "bodies": Bodies(), "request bodies": RequestBodies(), "flow": flow()}


def _serve_asgi(app: Any, scope: dict[str, Any]) -> bytes:
    server = Server([BODY])
    asyncio.run(app(scope, server.receive, server.send))
    return b"".join(message.get("body", b"") for message in server.sent)


def _post(**changes: Any) -> dict[str, Any]:
    headers = [(b"host", b"h"), (b"content-length", str(len(BODY)).encode())]
    return http_scope(**{"method": "POST", "headers": headers, **changes})


def _under_wsgi_to_asgi(app: Any, scope: dict[str, Any], **options: Any) -> bytes:
    return _serve_asgi(WsgiToAsgi(app, **options), scope)


def _under_wsgi(app: Any) -> bytes:
    """Call a WSGI application as wsgiref does, with a server's callables that take keywords."""
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[..., object]:
        def write(data: bytes) -> None:
            written.append(data)

        return write

    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "h",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(BODY)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(BODY),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    result = app(environ, start_response)
    try:
        written.extend(result)
    finally:
        getattr(result, "close", lambda: None)()
    return b"".join(written)


def _in_client(app: Any, **options: Any) -> bytes:
    with Client(app, validate="off", **options) as client:
        return client.post("/", content=BODY).content


RUNS: dict[str, Callable[[Any], bytes]] = {
    "WsgiToAsgi, body received first": lambda app: _under_wsgi_to_asgi(app, _post()),
    "WsgiToAsgi, body streamed": lambda app: _under_wsgi_to_asgi(app, _post(), prefetch_bytes=0),
    "WsgiToAsgi, body of unknown length": lambda app: _under_wsgi_to_asgi(
        app, _post(http_version="2", headers=[(b"host", b"h")]), prefetch_bytes=0
    ),
    "WsgiToAsgi, inline": lambda app: _under_wsgi_to_asgi(app, _post(), inline=True),
    "test client, WSGI": lambda app: _in_client(app, interface="wsgi"),
    "test client, adapted": lambda app: _in_client(app, interface="wsgi", tier="adapted"),
    "round trip": lambda app: _under_wsgi(AsgiToWsgi(WsgiToAsgi(app))),
    "validator that collects": lambda app: _under_wsgi_to_asgi(Validator(app, "wsgi", "collect"), _post()),
    **{
        f"chain, {name}, WSGI": lambda app, middleware=middleware: _under_wsgi(
            Gateway(app, middleware=[middleware]).wsgi
        )
        for name, middleware in CHAINS.items()
    },
    **{
        f"chain, {name}, ASGI": lambda app, middleware=middleware: _serve_asgi(
            Gateway(app, middleware=[middleware]).asgi, _post()
        )
        for name, middleware in CHAINS.items()
    },
}
#: In these the stream is the server's own, here an `io.BytesIO`, which takes no keywords.
SERVERS_OWN_INPUT = {f"chain, {name}, WSGI" for name in CHAINS if name != "request bodies"}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_an_application_may_call_by_keyword(run: str, form: Form) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return form(environ, start_response)

    assert RUNS[run](app) == b"done"


@pytest.mark.parametrize("run", sorted(RUNS.keys() - SERVERS_OWN_INPUT))
@pytest.mark.parametrize("call", READS)
def test_an_application_may_read_by_keyword(run: str, call: str) -> None:
    read, expected = READS[call]
    seen: list[object] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        seen.append(read(environ["wsgi.input"]))
        start_response("200 OK", TEXT)
        return [b"done"]

    assert (RUNS[run](app), seen) == (b"done", [expected])


async def _asgi_app(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    if scope["type"] == "http":
        await receive()
        await send(message={"type": "http.response.start", "status": 200, "headers": []})
        await send(message={"type": "http.response.body", "body": b"done"})
    elif scope["type"] == "websocket":
        await receive()
        await send(message={"type": "websocket.accept"})
        await send(message={"type": "websocket.send", "text": "done"})
        await send(message={"type": "websocket.close"})
    else:
        await receive()
        await send(message={"type": "lifespan.startup.complete"})
        await receive()
        await send(message={"type": "lifespan.shutdown.complete"})


ASGI_RUNS: dict[str, Callable[[Any], bytes]] = {
    "AsgiToWsgi": lambda app: _under_wsgi(AsgiToWsgi(app)),
    "test client, ASGI": lambda app: _in_client(app),
    "test client, adapted": lambda app: _in_client(app, tier="adapted"),
    "round trip": lambda app: _serve_asgi(WsgiToAsgi(AsgiToWsgi(app)), _post()),
    "validator": lambda app: _in_client(Validator(app, "asgi")),
    **{
        f"chain, {name}, ASGI": lambda app, middleware=middleware: _serve_asgi(
            Gateway(app, middleware=[middleware]).asgi, _post()
        )
        for name, middleware in CHAINS.items()
    },
    **{
        f"chain, {name}, WSGI": lambda app, middleware=middleware: _under_wsgi(
            Gateway(app, middleware=[middleware]).wsgi
        )
        for name, middleware in CHAINS.items()
    },
}


@pytest.mark.parametrize("run", ASGI_RUNS)
def test_an_asgi_application_may_send_by_keyword(run: str) -> None:
    assert ASGI_RUNS[run](_asgi_app) == b"done"


@dataclass(frozen=True, kw_only=True)
class Guards(Heads):
    websocket = True


@pytest.mark.parametrize("chain", [[], [Guards()]], ids=["without a chain", "through a chain"])
def test_an_asgi_application_may_send_to_a_websocket_by_keyword(chain: list[Middleware]) -> None:
    with Client(Gateway(_asgi_app, middleware=chain)) as client, client.websocket("/") as socket:
        assert socket.receive_text() == "done"


def _names(function: Any) -> Iterator[str]:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name != "self" and parameter.kind is not inspect.Parameter.POSITIONAL_ONLY:
            yield parameter.name


#: The callables of servers, and the keywords that this page takes for granted.
SERVERS: dict[str, list[Any]] = {
    "start_response(status, headers, exc_info)": [
        gunicorn.http.wsgi.Response.start_response,
        cheroot.wsgi.Gateway.start_response,
        gevent.pywsgi.WSGIHandler.start_response,
        BaseHandler.start_response,
    ],
    "write(data)": [gevent.pywsgi.WSGIHandler.write, BaseHandler.write],
    "read(size)": [gunicorn.http.body.Body.read, cheroot.server.KnownLengthRFile.read, a2wsgi.wsgi.Body.read],
    "readline(size)": [
        gunicorn.http.body.Body.readline,
        cheroot.server.KnownLengthRFile.readline,
        gevent.pywsgi.Input.readline,
    ],
    "readlines(hint)": [gevent.pywsgi.Input.readlines, a2wsgi.wsgi.Body.readlines],
    "file_wrapper(filelike, blksize)": [gunicorn.http.wsgi.FileWrapper.__init__, FileWrapper.__init__],
}


@pytest.mark.parametrize("form", SERVERS)
def test_at_least_two_servers_take_these_keywords(form: str) -> None:
    expected = form.partition("(")[2].rstrip(")").split(", ")
    taken = [list(_names(function)) for function in SERVERS[form]]
    assert taken == [expected] * len(SERVERS[form])
    assert len(SERVERS[form]) >= 2
