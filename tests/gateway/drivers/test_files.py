"""Files, which a server sends by its own means where it can."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest

from gateway import drivers
from gateway.contract import (
    Middleware,
    peek,
)
from gateway.exchange import FileBody, Outcome, Request, Response
from tests.gateway.drivers._scenario import App, Record, asgi_app, wsgi_app
from tests.gateway.drivers._side import BODY, START, Side, Upper, converse, logged, run_side, scope
from tests.shows import shows


@shows("peek(n) holds the head until n bytes or the end, None for a file body")
@shows("Nor for file bodies")
@shows("file_wrapper and pathsend pass through chains that only touch heads")
def test_the_server_s_own_file_wrapper_passes_a_chain_untouched(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    outcomes: list[Outcome] = []
    peeked: list[Any] = []
    closed: list[bool] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "7")])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    def check(request: Request, response: Response) -> Any:
        peeked.append((yield from peek(1)))

    for extra in ({}, {"on_response": check}, {"on_body": lambda request, response: pytest.fail("asked for a file")}):
        chain = [logged("a", [], on_finish=lambda request, outcome: outcomes.append(outcome), **extra)]
        body = drivers.build_wsgi(chain, app)(
            {"wsgi.file_wrapper": FileWrapper, "REQUEST_METHOD": "GET"}, lambda *args: lambda data: None
        )
        assert type(body) is FileWrapper
        file = body.filelike
        assert b"".join(body) == b"content"
        body.close()
        closed.append(file.closed)
    assert closed == [True] * 3
    assert [(outcome.kind, outcome.bytes_sent) for outcome in outcomes] == [("completed", 7)] * 3
    assert peeked == [None]


@shows("file_wrapper and pathsend pass through chains that only touch heads")
def test_pathsend_passes_chains_that_touch_heads_and_is_hidden_from_those_that_transform() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        offered.append("http.response.pathsend" in scope["extensions"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"7")]})
        await send({"type": "http.response.pathsend", "path": "/f"})

    offered: list[bool] = []
    outcomes: list[Any] = []
    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def nothing() -> Any: ...

    def finish(request: Request, outcome: Outcome) -> None:
        outcomes.append((outcome.kind, outcome.bytes_sent))

    for extra in ({"on_response": None}, {"on_body": None}):
        own = {"http.response.pathsend": {}}
        serve = drivers.build_asgi([logged("a", [], on_finish=finish, **extra)], app)
        asyncio.run(serve(scope(extensions=own), nothing, send))
        assert own == {"http.response.pathsend": {}}
    assert offered == [True, False]
    assert outcomes == [("completed", 7)] * 2


@pytest.mark.parametrize("kind", ["pathsend", "zerocopysend"])
def test_a_peek_at_a_file_that_an_asgi_server_sends_is_none(kind: str) -> None:
    seen: list[Any] = []

    def look(request: Request, response: Response) -> Any:
        seen.append((yield from peek(1)))

    messages = [START, {"type": f"http.response.{kind}", "path": "/f"}]
    got = converse([logged("a", [], on_response=look)], messages)
    assert got == messages
    assert seen == [None]


@shows("Who transforms never sees a half-supported extension")
@pytest.mark.parametrize("transforms", [True, False])
def test_no_file_extension_is_offered_to_who_stands_inside_a_transform(transforms: bool) -> None:
    names = ("http.response.pathsend", "http.response.zerocopysend", "http.response.trailers")
    offered: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        offered.append(tuple(scope["extensions"]))
        await send({**START})
        await send({**BODY})

    async def channel(message: Any = None) -> Any: ...

    chain = [logged("a", [], **({"on_body": None} if transforms else {"on_response": None}))]
    serve = drivers.build_asgi(chain, app)
    asyncio.run(serve(scope(extensions=dict.fromkeys(names)), channel, channel))
    assert offered == [names[2:] if transforms else names]


def test_a_middleware_s_file_is_sent_as_the_server_can(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    def answer(body: FileBody) -> list[Middleware]:
        return [logged("a", [], on_request=lambda request: Response(200, body=body))]

    whole, part = FileBody(str(path)), FileBody(str(path), 2, 3)
    environ = {"wsgi.file_wrapper": FileWrapper, "REQUEST_METHOD": "GET"}
    sent = drivers.build_wsgi(answer(whole), wsgi_app(Record(), App()))(dict(environ), lambda *args: lambda data: None)
    assert isinstance(sent, FileWrapper)
    assert b"".join(sent) == b"0123456789"
    sent.close()
    assert run_side("wsgi", answer(part), App()).body == b"234"
    assert run_side("asgi", answer(whole), App()).body == b"0123456789"
    assert run_side("asgi", answer(part), App()).body == b"234"

    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def nothing() -> Any: ...

    serve = drivers.build_asgi(answer(whole), asgi_app(Record(), App()))
    asyncio.run(serve(scope(extensions={"http.response.pathsend": {}}), nothing, send))
    assert messages[-1] == {"type": "http.response.pathsend", "path": str(path)}


def test_a_middleware_s_file_is_counted_where_the_server_sends_it(side: Side, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    outcomes: list[Any] = []
    sent: list[str] = []

    def end(request: Request, outcome: Outcome) -> None:
        outcomes.append((outcome.kind, outcome.status, outcome.bytes_sent))

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def nothing() -> Any: ...

    chain = [logged("a", [], on_request=lambda request: Response(200, body=FileBody(str(path))), on_finish=end)]
    if side.interface == "wsgi":
        serve = drivers.build_wsgi(chain, wsgi_app(Record(), App()))
        environ = {"wsgi.file_wrapper": FileWrapper, "REQUEST_METHOD": "GET"}
        body: Any = serve(environ, lambda *args: lambda data: None)
        assert type(body) is FileWrapper
        body.close()
    else:
        pathsend = scope(extensions={"http.response.pathsend": {}})
        serving = drivers.build_asgi(chain, asgi_app(Record(), App()))
        asyncio.run(serving(pathsend, nothing, send))
        assert sent == ["http.response.start", "http.response.pathsend"]
    assert outcomes == [("completed", 200, 10)]


def test_a_middleware_s_file_is_the_server_s_to_send_though_others_transform(tmp_path: Path) -> None:
    """The extension is hidden from the application alone."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["extensions"] == {}
        await send({**START})
        await send({**BODY})

    async def channel(message: Any = None) -> Any:
        got.append(message["type"].rpartition(".")[2])

    replaces = logged("a", [], on_response=lambda request, response: Response(200, body=FileBody(str(path))))
    serve = drivers.build_asgi([replaces, logged("z", [], on_body=None)], app)
    asyncio.run(serve(scope(extensions={"http.response.pathsend": {}}), channel, channel))
    assert got == ["start", "pathsend"]


@pytest.mark.parametrize(
    ("body", "offset", "count"), [((0, None), 0, 10), ((2, 3), 2, 3), ((7, None), 7, 3), ((7, 9), 7, 3)]
)
def test_a_part_of_a_file_is_sent_from_its_descriptor_where_the_server_can(
    body: tuple[int, int | None], offset: int, count: int, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    sent: list[tuple[str, int, int, bytes]] = []
    files: list[Any] = []
    outcomes: list[Any] = []

    async def send(message: Any) -> None:
        if message["type"] != "http.response.start":
            descriptor = message["file"].fileno()
            part = os.pread(descriptor, message["count"], message["offset"])
            files.append(message["file"])
            sent.append((message["type"], message["offset"], message["count"], part))

    async def nothing() -> Any: ...

    chain = [
        logged(
            "a",
            [],
            on_request=lambda request: Response(200, body=FileBody(str(path), *body)),
            on_finish=lambda request, outcome: outcomes.append((outcome.kind, outcome.bytes_sent)),
        )
    ]
    serve = drivers.build_asgi(chain, asgi_app(Record(), App()))
    asyncio.run(serve(scope(extensions={"http.response.zerocopysend": {}}), nothing, send))
    assert sent == [("http.response.zerocopysend", offset, count, b"0123456789"[offset : offset + count])]
    assert files[0].closed
    assert outcomes == [("completed", count)]


def test_a_file_that_a_middleware_answers_with_is_not_transformed(side: Side, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"as it is")
    log: list[Any] = []
    transforms = logged("t", log, on_response=None, on_body=lambda *args: Upper())
    answers = logged("f", [], on_request=lambda request: Response(200, body=FileBody(str(path))))
    assert side.run([transforms, answers]).body == b"as it is"
    assert log == [("t", "on_response")], "a file is not asked about"


def opened(path: Path, *part: int) -> FileBody:
    """Open a file as a body, then let its path name another."""
    path.write_bytes(b"0123456789")
    body = FileBody(str(path), *part, file=io.FileIO(path))
    path.unlink()
    path.write_bytes(b"another one that is longer")
    return body


@pytest.mark.parametrize(("part", "sent"), [((), b"0123456789"), ((0, 10), b"0123456789"), ((2, 3), b"234")])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_that_came_open_is_sent_and_closed_whatever_its_path_names(
    side: Side, tmp_path: Path, part: tuple[int, ...], sent: bytes, method: str
) -> None:
    body = opened(tmp_path / "file", *part)
    answers = logged("f", [], on_request=lambda request: Response(200, body=body))
    assert side.run([answers], method=method).body == (sent if method == "GET" else b"")
    assert body.file is not None
    assert body.file.closed


@pytest.mark.parametrize(("part", "wrapped"), [((), True), ((2, 3), False)])
def test_an_open_file_goes_to_the_server_s_file_wrapper(tmp_path: Path, part: tuple[int, ...], wrapped: bool) -> None:
    body = opened(tmp_path / "file", *part)
    chain = [logged("f", [], on_request=lambda request: Response(200, body=body))]
    environ = {"wsgi.file_wrapper": FileWrapper, "REQUEST_METHOD": "GET"}
    serve = drivers.build_wsgi(chain, wsgi_app(Record(), App()))
    sent: Any = serve(environ, lambda *args: lambda data: None)
    assert isinstance(sent, FileWrapper) is wrapped
    assert b"".join(sent) == (b"0123456789" if wrapped else b"234")
    sent.close()
    assert body.file is not None
    assert body.file.closed


@pytest.mark.parametrize(
    ("offered", "replaced", "kind"),
    [
        ("http.response.pathsend", False, "http.response.pathsend"),
        ("http.response.pathsend", True, "http.response.body"),
        ("http.response.pathsend", None, "http.response.body"),
        ("http.response.zerocopysend", True, "http.response.zerocopysend"),
    ],
)
def test_a_path_is_sent_only_if_it_names_the_file_that_came_open(
    tmp_path: Path, offered: str, replaced: bool | None, kind: str
) -> None:
    path = tmp_path / "file"
    body = opened(path)
    if replaced is None:
        path.unlink()
    elif not replaced:
        body.close()
        body = FileBody(str(path), file=io.FileIO(path))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.zerocopysend":
            message = {**message, "body": os.pread(message["file"].fileno(), message["count"], message["offset"])}
        sent.append(message)

    async def nothing() -> Any: ...

    chain = [logged("f", [], on_request=lambda request: Response(200, body=body))]
    serve = drivers.build_asgi(chain, asgi_app(Record(), App()))
    asyncio.run(serve(scope(extensions={offered: {}}), nothing, send))
    assert sent[1]["type"] == kind
    if kind != "http.response.pathsend":
        assert b"".join(message["body"] for message in sent[1:]) == b"0123456789"
    assert body.file is not None
    assert body.file.closed


def test_an_open_file_is_closed_where_another_response_takes_its_place(side: Side, tmp_path: Path) -> None:
    body = opened(tmp_path / "file")
    replaces = logged("r", [], on_response=lambda request, response: Response(200, body=b"instead"))
    answers = logged("f", [], on_request=lambda request: Response(200, body=body))
    assert side.run([replaces, answers]).body == b"instead"
    assert body.file is not None
    assert body.file.closed


@pytest.mark.parametrize("plain", [False, True], ids=["FileBody", "file"])
def test_a_hook_may_return_the_response_that_it_was_given(side: Side, tmp_path: Path, plain: bool) -> None:
    body: Any = opened(tmp_path / "file")
    body = body.file if plain else body
    same = logged("s", [], on_response=lambda request, response: response)
    answers = logged("f", [], on_request=lambda request: Response(200, body=body))
    assert side.run([same, answers]).body == b"0123456789"
