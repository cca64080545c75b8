"""The response of a middleware: what the server gets, by kind of body, method, interface and who stands outside."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest

from gateway.contract import Middleware
from gateway.drivers import build_asgi, build_wsgi
from gateway.errors import ConfigurationError
from gateway.exchange import FileBody, Request, Response
from gateway.headers import Header


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


@dataclass(frozen=True)
class Case:
    """What a middleware answers with, and what comes of it to GET and to HEAD where nobody touches it."""

    make: Callable[[Path], Any]
    status: str
    headers: dict[str, str]
    body: bytes
    #: The headers of the response to HEAD, where they differ.
    head: dict[str, str] | None = None
    is_file: bool = False


PARTIAL = "206 Partial Content"
FIVE = {"content-length": "5"}
FOUR = {"content-length": "4"}
CASES = {
    "bytes": Case(lambda path: Response(200, [("X-A", "b")], b"hello"), "200 OK", {"x-a": "b", **FIVE}, b"hello"),
    "text": Case(lambda path: Response(404, body="none", reason="Not Here"), "404 Not Here", FOUR, b"none"),
    "unknown-status": Case(lambda path: Response(599, body="none"), "599 Unknown", FOUR, b"none"),
    "own-length": Case(lambda path: Response(200, [("Content-Length", "5")], b"hello"), "200 OK", FIVE, b"hello"),
    "empty": Case(lambda path: Response(200), "200 OK", {"content-length": "0"}, b"", head={}),
    "204": Case(lambda path: Response(204), "204 No Content", {}, b""),
    "304": Case(lambda path: Response(304, [("ETag", '"a"')], b"not sent"), "304 Not Modified", {"etag": '"a"'}, b""),
    "iterable": Case(lambda path: Response(200, body=[b"a", b"b"]), "200 OK", {}, b"ab"),
    "file-object": Case(lambda path: Response(200, body=io.BytesIO(b"abc")), "200 OK", {}, b"abc"),
    "file": Case(lambda path: Response(200, body=FileBody(str(path))), "200 OK", {}, b"0123456789", is_file=True),
    "whole": Case(lambda path: Response(200, FIVE, FileBody(str(path), 5, 5)), "200 OK", FIVE, b"56789", is_file=True),
    "end": Case(lambda path: Response(206, {}, FileBody(str(path), 7)), PARTIAL, {}, b"789", is_file=True),
    "part": Case(lambda path: Response(206, {}, FileBody(str(path), 2, 3)), PARTIAL, {}, b"234", is_file=True),
}  # fmt: skip
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


def expected(case: Case, around: str, method: str) -> tuple[str, dict[str, str], bytes]:
    """Return status line, headers and body that the server must get."""
    headers = dict(case.headers)
    body = case.body
    if method == "HEAD":
        headers, body = dict(headers if case.head is None else case.head), b""
    elif around == "inside-of-who-touches-bodies" and not case.is_file and case.status[:3] not in ("204", "304"):
        body = body.upper() + b"!"
        # A body in one part has a length that is known before it is sent.
        headers.pop("content-length", None)
        if case is not CASES["iterable"] and case is not CASES["file-object"]:
            headers["content-length"] = str(len(body))
    if around == "inside-of-who-touches-heads":
        headers["x-head"] = "1"
    if around == "inside-of-constants":
        headers["x-constant"] = "1"
    return case.status, headers, body


def unused_wsgi(environ: Any, start_response: Any) -> Any:
    raise AssertionError("not called")


async def unused_asgi(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("not called")


def ask_wsgi(chain: list[Middleware], method: str, *, wraps: bool) -> tuple[tuple[str, dict[str, str], bytes], Any]:
    """Return what the server got, and the state of the request; a file is to be handed over untouched."""
    seen: list[Any] = []
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": "/", "wsgi.url_scheme": "http"}
    if wraps:
        environ["wsgi.file_wrapper"] = FileWrapper

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        seen.append((status, {name.lower(): value for name, value in headers}))

    source: Any = build_wsgi(chain, unused_wsgi)(environ, start_response)
    body = b"".join(source)
    if not isinstance(source, list):  # nothing is left to do after bytes for which nobody waits
        source.close()
    ((status, headers),) = seen
    return (status, headers, body), (environ.get("gateway.state"), isinstance(source, FileWrapper))


def ask_asgi(
    chain: list[Middleware], method: str, extensions: dict[str, Any] | None = None
) -> tuple[tuple[int, dict[str, str], bytes], Any]:
    messages: list[Any] = []

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {"type": "http", "method": method, "path": "/", "headers": [], "gateway.state": {}}
    if extensions is not None:
        scope["extensions"] = extensions
    asyncio.run(asyncio.wait_for(build_asgi(chain, unused_asgi)(scope, receive, send), 20))
    start, *rest = messages
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert not rest[-1].get("more_body", False)
    assert all(message["more_body"] for message in rest[:-1])
    paths = [message["path"] for message in rest if message["type"] == "http.response.pathsend"]
    body = b"".join([*(Path(path).read_bytes() for path in paths), *(message.get("body", b"") for message in rest)])
    return (start["status"], headers, body), (scope["gateway.state"], bool(paths))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("around", CHAINS)
@pytest.mark.parametrize("case", CASES)
def test_the_server_gets_what_a_middleware_answers(case: str, around: str, method: str, path: Path) -> None:
    chain = [*CHAINS[around], Answers(make=lambda: CASES[case].make(path))]
    status, headers, body = expected(CASES[case], around, method)
    ended = {"ended": "completed"} if around == "inside-of-who-waits" else {}
    sent = method == "GET" and CASES[case].is_file and case != "part"
    for wraps in (True, False):
        got, (state, is_wrapper) = ask_wsgi(chain, method, wraps=wraps)
        assert got == (status, headers, body)
        assert (state or {}) == ended
        assert is_wrapper == (wraps and sent), "a file goes to the server as a file, as far as it can send it"
    for extensions in (None, {"http.response.pathsend": {}}):
        got_asgi, (state, is_path) = ask_asgi(chain, method, extensions)
        assert got_asgi == (int(status[:3]), headers, body)
        assert state == ended
        assert is_path == (extensions is not None and method == "GET" and case == "file")


@pytest.mark.parametrize("around", CHAINS)
@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda path: Response(200, body=FileBody(f"{path}.none")), FileNotFoundError),
        (lambda path: "hello", ConfigurationError),
    ],
    ids=["no-file", "no-response"],
)
def test_an_answer_that_cannot_be_sent_is_an_error(
    make: Callable[[Path], Any], error: type[Exception], around: str, path: Path
) -> None:
    chain = [*CHAINS[around], Answers(make=lambda: make(path))]
    for wraps in (True, False):
        with pytest.raises(error):
            ask_wsgi(chain, "GET", wraps=wraps)
    with pytest.raises(error):
        ask_asgi(chain, "GET")


def test_a_server_that_refuses_the_head_leaves_no_file_open(path: Path) -> None:
    def start_response(*args: Any) -> Any:
        raise RuntimeError("refused")

    serve = build_wsgi([Answers(make=lambda: Response(200, body=FileBody(str(path))))], unused_wsgi)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.file_wrapper": FileWrapper}
    # A file that is left open warns, which the suite takes for an error.
    with pytest.raises(RuntimeError, match="refused"):
        serve(environ, start_response)
