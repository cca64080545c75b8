"""Bodies of requests on their way inwards: when they are asked for, and the input that an application reads."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from gateway import drivers
from gateway.contract import (
    Middleware,
)
from gateway.exchange import Outcome, Request
from tests.gateway.drivers._scenario import App
from tests.gateway.drivers._side import BodyLimit, Limit, Side, logged
from tests.shows import shows


class Trimmed(Middleware):
    def on_request_body(self, request: Request) -> Limit:
        return Limit(100)


@pytest.mark.parametrize("method", ["on_request_body", "on_body"])
def test_what_changes_a_body_is_a_transform(side: Side, method: str) -> None:
    record = side.run([logged("a", [], **{method: object()})], App(reads=True), "POST", b"abc")
    assert record.raised is not None
    assert f"{method} must return a Transform (push and finish) or None, got <object" in record.raised


@shows("A request transform drops CONTENT_LENGTH and sets wsgi.input_terminated")
def test_a_request_transform_drops_the_length_unless_it_keeps_it(side: Side) -> None:
    kept = side.run([BodyLimit()], App(reads=True), "POST", b"abc")
    assert kept.events[:2] == [("app", None, "3" if side.interface == "wsgi" else b"3"), ("read", b"abc")]
    dropped = side.run([Trimmed()], App(reads=True), "POST", b"abc")
    assert dropped.events[:2] == [("app", None, None), ("read", b"abc")]


@shows("A request transform drops CONTENT_LENGTH and sets wsgi.input_terminated")
def test_input_of_a_transform_ends_by_itself() -> None:
    import io as streams

    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.append((environ["wsgi.input_terminated"], environ["wsgi.input"].read(), environ["wsgi.input"].read()))
        start_response("200 OK", [])
        return []

    environ = {"CONTENT_LENGTH": "3", "wsgi.input": streams.BytesIO(b"abcNEXT REQUEST"), "REQUEST_METHOD": "POST"}
    list(drivers.build_wsgi([Trimmed()], app)(environ, lambda *args: lambda data: None))
    assert seen == [(True, b"abc", b"")]


@shows("Nothing is read ahead")
@pytest.mark.parametrize("chain", [[Trimmed()], [logged("a", [], on_finish=None)]], ids=["transforms", "counts"])
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "ends-by-itself"])
def test_nothing_is_read_ahead_of_the_application(chain: list[Middleware], declared: bool) -> None:
    class Interactive:
        """A client that sends its next line when the one before was taken."""

        lines = (b"a\n", b"b\n", b"c\n")

        def __init__(self) -> None:
            self.at = 0
            self.rest = b""

        def take(self, size: int, *, line: bool) -> bytes:
            taken = b""
            while size > len(taken):
                if not self.rest:
                    if self.at == len(self.lines):
                        break
                    assert self.at <= answered, "read before the line was answered: this would wait for ever"
                    self.rest, self.at = self.lines[self.at], self.at + 1
                part, self.rest = self.rest[: size - len(taken)], self.rest[size - len(taken) :]
                taken += part
                if line and taken.endswith(b"\n"):
                    break
            return taken

        def read(self, size: int) -> bytes:
            return self.take(size, line=False)

        def readline(self, size: int) -> bytes:
            return self.take(size, line=True)

    answered = 0
    got: list[bytes] = []

    def app(environ: Any, start_response: Any) -> Any:
        nonlocal answered
        assert source.at == 0, "read before the application does"
        stream = environ["wsgi.input"]
        for read in (lambda: stream.readline(), lambda: stream.read(2), lambda: stream.readline(9)):
            got.append(read())
            answered += 1
        start_response("200 OK", [])
        return []

    source = Interactive()
    environ: dict[str, Any] = {"wsgi.input": source, "REQUEST_METHOD": "POST"}
    environ.update({"CONTENT_LENGTH": "6"} if declared else {"wsgi.input_terminated": True})
    list(drivers.build_wsgi(chain, app)(environ, lambda *args: lambda data: None))
    assert got == list(Interactive.lines)


@shows("on_request_body is asked when the application first reads")
def test_a_body_is_not_asked_for_before_the_application_reads(side: Side) -> None:
    log: list[Any] = []
    side.run([logged("a", log, on_request_body=None)], App(reads=False), "POST", b"abc")
    assert log == []


@shows("on_request_body is asked when the application first reads")
@pytest.mark.parametrize(("method", "body", "asked"), [("GET", b"", 0), ("POST", b"", 0), ("POST", b"abc", 1)])
def test_a_body_that_is_not_there_is_not_asked_for(side: Side, method: str, body: bytes, asked: int) -> None:
    log: list[Any] = []
    side.run([logged("a", log, on_request_body=None)], App(reads=True), method, body)
    assert len(log) == asked


def test_an_input_under_a_transform_reads_as_pep_3333_says() -> None:
    import io as streams
    from types import SimpleNamespace

    from gateway.drivers._request_body import InputStream, RequestBody

    text = b"one\ntwo\n\nlast"

    def stream(length: int | None = len(text), source: bytes = text + b"NEXT") -> InputStream:
        exchange: Any = SimpleNamespace(body_refused=None)
        body = RequestBody([], exchange)
        exchange.request_body = lambda: body
        return InputStream(streams.BytesIO(source), exchange, length)

    assert stream().read() == text
    assert stream().read(None) == text
    assert stream(None, text).read(-1) == text
    assert [stream().read(0), stream().read(3), stream().read(1000)] == [b"", b"one", text]
    lines = [b"one\n", b"two\n", b"\n", b"last"]
    assert list(stream()) == lines
    assert stream().readlines() == lines
    assert list(stream(None, text)) == lines
    assert stream().readlines(5) == lines[:2]
    assert stream().readlines(None) == lines
    limited = stream()
    assert [limited.readline(2), limited.readline(5), limited.readline(0), limited.readline()] == [
        b"on",
        b"e\n",
        b"",
        b"two\n",
    ]
    assert stream(0, b"").readline() == b""


def test_an_input_without_a_body_stays_as_it_is() -> None:
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.append(environ["wsgi.input"])
        start_response("200 OK", [])
        return []

    source = object()
    serve = drivers.build_wsgi([Trimmed()], app)
    for more in ({}, {"CONTENT_LENGTH": "0"}, {"CONTENT_LENGTH": ""}):
        list(serve({"wsgi.input": source, "REQUEST_METHOD": "GET", **more}, lambda *args: lambda data: None))
    assert seen == [source] * 3


def test_a_chunked_body_is_wrapped_on_wsgi_too() -> None:
    import io as streams

    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return []

    environ = {
        "wsgi.input": streams.BytesIO(b"abc"),
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
    }
    serve = drivers.build_wsgi([BodyLimit()], app)
    list(serve(environ, lambda *args: lambda data: None))
    assert type(environ["wsgi.input"]) is not streams.BytesIO
    assert seen == [b"abc"]


class _Cut:
    """An input whose client went away after some bytes: it raises, or it ends."""

    def __init__(self, *, raises: bool) -> None:
        self.raises = raises
        self.begun = False

    def read(self, size: int = -1) -> bytes:
        if not self.begun:
            self.begun = True
            return b"pay"
        if self.raises:
            raise OSError("unexpected end of file")
        return b""

    readline = read


@pytest.mark.parametrize("form", ["list", "generator"])
@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize("defers", [True, False])
def test_a_client_that_leaves_in_its_request_body_is_an_abort_without_a_status(
    defers: bool, raises: bool, form: str
) -> None:
    outcomes: list[Outcome] = []
    lines: list[str] = []

    def app(environ: Any, start_response: Any) -> Any:
        with contextlib.suppress(OSError):
            environ["wsgi.input"].read()
        start_response("400 Bad Request", [])
        return [b"oops"] if form == "list" else iter([b"oops"])

    kept = logged("a", [], on_finish=lambda request, outcome: outcomes.append(outcome))
    chain = [kept, *([logged("b", [], on_error=None)] if defers else [])]
    environ = {"CONTENT_LENGTH": "7", "wsgi.input": _Cut(raises=raises), "REQUEST_METHOD": "POST"}
    serve = drivers.build_wsgi(chain, app)
    body: Any = serve(environ, lambda line, *args: lines.append(line) or (lambda data: None))
    assert list(body) == [b"oops"]
    body.close()
    assert lines == ["400 Bad Request"]
    assert [(o.kind, o.status, o.bytes_sent, o.bytes_received, o.disconnected) for o in outcomes] == [
        ("aborted", None, 0, 3, True)
    ]


def test_a_client_that_leaves_in_its_request_body_after_the_headers_is_an_abort() -> None:
    outcomes: list[Outcome] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"begun"
        environ["wsgi.input"].read()
        yield b"ended"

    kept = logged("a", [], on_finish=lambda request, outcome: outcomes.append(outcome))
    environ = {"CONTENT_LENGTH": "7", "wsgi.input": _Cut(raises=False), "REQUEST_METHOD": "POST"}
    body: Any = drivers.build_wsgi([kept], app)(environ, lambda *args: lambda data: None)
    assert list(body) == [b"begun", b"ended"]
    body.close()
    assert [(o.kind, o.status, o.bytes_sent, o.disconnected) for o in outcomes] == [("aborted", 200, 10, True)]
