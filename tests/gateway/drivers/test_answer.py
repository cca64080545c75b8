"""Answers that nobody outside looks at: sent at once, and what is sent is what the long way sends."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest

from gateway.contract import BuildContext, Hooks, Middleware
from gateway.drivers import build_asgi, build_wsgi
from gateway.drivers._answer import unseen
from gateway.drivers._asgi_exchange import AsgiExchange
from gateway.drivers._wsgi_exchange import WsgiExchange
from gateway.exchange import FileBody, Request, Response
from gateway.headers import Header

Make = Callable[[Path], Any]


@dataclass(frozen=True, kw_only=True)
class Answers(Middleware):
    """Answers each request with what it was given."""

    make: Callable[[], Any]

    def on_request(self, request: Request) -> Any:
        return self.make()


@dataclass(frozen=True, kw_only=True)
class Reads(Middleware):
    """Looks at requests only."""

    def on_request(self, request: Request) -> None:
        request.headers.set("x-seen", "1")


class Heads(Reads):
    def on_response(self, request: Request, response: Response) -> None:
        response.headers.append("x-head", "1")


class Bodies(Reads):
    def on_body(self, request: Request, response: Response) -> Any:
        class Upper:
            def push(self, chunk: bytes) -> bytes:
                return chunk.upper()

            def finish(self) -> bytes:
                return b"!"

        return Upper()


class Ends(Reads):
    def on_finish(self, request: Request, outcome: Any) -> None:
        request.state["ended"] = outcome.kind


class Constant(Reads):
    constant_headers = (Header("X-Constant", "1"),)


CASES: dict[str, Make] = {
    "bytes": lambda path: Response(200, [("Content-Type", "text/plain")], b"hello"),
    "text-and-reason": lambda path: Response(404, body="none", reason="Not Here"),
    "an-unknown-status": lambda path: Response(599, body="none"),
    "its-own-length": lambda path: Response(200, [("Content-Length", "5")], b"hello"),
    "empty": lambda path: Response(200),
    "204": lambda path: Response(204),
    "304": lambda path: Response(304, [("ETag", '"a"')], b"not sent"),
    "iterable": lambda path: Response(200, body=[b"a", b"b"]),
    "file-object": lambda path: Response(200, body=io.BytesIO(b"abc")),
    "file": lambda path: Response(200, body=FileBody(str(path))),
    "whole-file": lambda path: Response(200, [("Content-Length", "10")], FileBody(str(path), 0, 10)),
    "end-of-a-file": lambda path: Response(206, body=FileBody(str(path), 7)),
    "part-of-a-file": lambda path: Response(206, body=FileBody(str(path), 2, 3)),
    "no-file": lambda path: Response(200, body=FileBody(str(path) + ".none")),
    "no-response": lambda path: "hello",
}
CHAINS: dict[str, list[Middleware]] = {
    "alone": [],
    "inside-of-who-reads": [Reads()],
    "inside-of-who-touches-heads": [Heads()],
    "inside-of-who-touches-bodies": [Bodies()],
    "inside-of-who-waits": [Ends()],
    "inside-of-constants": [Constant()],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a file of ten bytes."""
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    return file


def ask_wsgi(chain: list[Middleware], method: str, wraps: bool, *, reference: bool) -> Any:
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        raise AssertionError("not called")

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        seen.append((status, sorted(headers)))

    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": "/", "wsgi.url_scheme": "http"}
    if wraps:
        environ["wsgi.file_wrapper"] = FileWrapper
    try:
        body = build_wsgi(chain, app, reference=reference)(environ, start_response)
        seen.append(isinstance(body, FileWrapper))
        seen.append(b"".join(body))
        close = getattr(body, "close", None)
        if close is not None:
            close()
    except Exception as error:
        seen.append(type(error))
    return seen, environ.get("gateway.state")


def ask_asgi(chain: list[Middleware], method: str, *, reference: bool) -> Any:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("not called")

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        headers = message.get("headers")
        seen.append({**message, "headers": sorted(headers)} if headers is not None else dict(message))

    state: dict[str, object] = {}
    scope = {"type": "http", "method": method, "path": "/", "headers": [], "gateway.state": state}
    try:
        asyncio.run(build_asgi(chain, app, reference=reference)(scope, receive, send))
    except Exception as error:
        seen.append(type(error))
    return seen, state


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("around", CHAINS)
@pytest.mark.parametrize("case", CASES)
def test_an_answer_is_the_one_of_the_long_way(case: str, around: str, method: str, path: Path) -> None:
    chain = [*CHAINS[around], Answers(make=lambda: CASES[case](path))]
    assert ask_asgi(chain, method, reference=False) == ask_asgi(chain, method, reference=True)
    for wraps in (True, False):
        assert ask_wsgi(chain, method, wraps, reference=False) == ask_wsgi(chain, method, wraps, reference=True)


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_what_nobody_sees_takes_the_short_way(interface: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def left(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the long way")

    monkeypatch.setattr(WsgiExchange if interface == "wsgi" else AsgiExchange, "__init__", left)
    chain = [Reads(), Answers(make=lambda: Response(200, body=b"hello"))]
    if interface == "wsgi":
        seen, _ = ask_wsgi(chain, "GET", True, reference=False)
        assert seen == [("200 OK", [("content-length", "5")]), False, b"hello"]
        chain[-1] = Answers(make=lambda: Response(200, body=FileBody(str(path))))
        seen, _ = ask_wsgi(chain, "GET", True, reference=False)
        assert seen == [("200 OK", []), True, b"0123456789"]
    else:
        seen, _ = ask_asgi(chain, "GET", reference=False)
        assert [message["type"] for message in seen] == ["http.response.start", "http.response.body"]
        assert seen[1] == {"type": "http.response.body", "body": b"hello", "more_body": False}


def test_a_server_that_refuses_the_head_leaves_no_file_open(path: Path) -> None:
    def start_response(*args: Any) -> Any:
        raise RuntimeError("refused")

    def app(environ: Any, start_response: Any) -> Any:
        raise AssertionError("not called")

    serve = build_wsgi([Answers(make=lambda: Response(200, body=FileBody(str(path))))], app)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.file_wrapper": FileWrapper}
    # A file that is left open warns, which the suite takes for an error.
    with pytest.raises(RuntimeError, match="refused"):
        serve(environ, start_response)


def test_who_waits_for_the_end_makes_its_own_answer_and_those_inside_seen() -> None:
    def built(*chain: Middleware) -> list[Hooks]:
        return [each.build(BuildContext("wsgi")) for each in chain]

    assert unseen(built(Reads(), Reads())) == (True, True)
    assert unseen(built(Reads(), Heads(), Reads())) == (True, True, False)
    assert unseen(built(Bodies(), Reads())) == (True, False)
    assert unseen(built(Constant(), Reads())) == (True, False)
    assert unseen(built(Reads(), Ends(), Reads())) == (True, False, False)
