"""WSGI served as ASGI: files that are sent without being read, and early hints."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from gateway.errors import ApplicationError
from tests.adapters.driving import BACKENDS, Server, http_scope, run_on, serve

Environ = dict[str, Any]
CONTENT = bytes(range(256)) * 1000
PATHSEND = {"http.response.pathsend": {}}
ZEROCOPY = {"http.response.zerocopysend": {}}


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Spy(io.FileIO):
    """A file that tells whether it was read, and what was closed when."""

    def __init__(self, path: Path, events: list[str]) -> None:
        super().__init__(path)
        self.events = events

    def read(self, size: int | None = -1, /) -> bytes:  # type: ignore[override]
        self.events.append("read")
        return super().read(-1 if size is None else size)

    def close(self) -> None:
        if not self.closed:
            self.events.append("close")
        super().close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "content.bin"
    file.write_bytes(CONTENT)
    return file


def serving(path: Path, events: list[str], *, position: int = 0, length: int | None = None) -> Any:
    def app(environ: Environ, start_response: Any) -> Any:
        file = Spy(path, events)
        file.seek(position)
        headers = [] if length is None else [("content-length", str(length))]
        start_response("200 OK", headers)
        return environ["wsgi.file_wrapper"](file, 4096)

    return app


def test_A56_a_file_wrapper_is_offered_and_its_file_is_streamed_and_closed(path: Path, backend: str) -> None:
    events: list[str] = []
    server = serve(WsgiToAsgi(serving(path, events)), backend=backend)
    assert server.content == CONTENT
    assert events[-1] == "close"
    assert events.count("close") == 1
    assert len(events) <= len(CONTENT) // 65536 + 4  # larger blocks than were suggested


RANGES = [
    ("all", 0, None),
    ("declared", 0, len(CONTENT)),
    ("from", 1000, None),
    ("range", 1000, 5000),
    ("first", 0, 10),
]


@pytest.mark.parametrize(
    "extensions",
    [{}, PATHSEND, ZEROCOPY, {**PATHSEND, **ZEROCOPY}],
    ids=["A69-none", "A69-path", "A69-zerocopy", "A69-both"],
)
@pytest.mark.parametrize(("position", "length"), [case[1:] for case in RANGES], ids=[case[0] for case in RANGES])
def test_the_requested_part_of_a_file_is_sent(
    path: Path, position: int, length: int | None, extensions: dict[str, Any], backend: str
) -> None:
    events: list[str] = []
    body = bytearray()

    async def on_send(message: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()
        events.append(message["type"])
        if message["type"] == "http.response.body":
            body.extend(message["body"])
        elif message["type"] == "http.response.zerocopysend":
            assert "close" not in events  # the file is open while it is sent
            body.extend(os.pread(message["file"].fileno(), message["count"], message["offset"]))
        elif message["type"] == "http.response.pathsend":
            assert "close" not in events
            body.extend(Path(message["path"]).read_bytes())

    server = serve(
        WsgiToAsgi(serving(path, events, position=position, length=length)),
        lambda: Server(on_send=on_send),
        backend=backend,
        extensions=extensions,
    )
    expected = CONTENT[position:] if length is None else CONTENT[position : position + length]
    assert bytes(body) == expected
    assert events.count("close") == 1
    whole = position == 0 and length in (None, len(CONTENT))
    if ZEROCOPY.keys() <= extensions.keys():
        assert server.kinds == ["start", "zerocopysend"]
    elif extensions == PATHSEND and whole:
        assert server.kinds == ["start", "pathsend"]
        assert server.sent[1]["path"] == str(path)
    else:
        assert server.kinds[:2] == ["start", "body"]
        assert server.complete
    assert ("read" in events) == (server.kinds[1] == "body")


@pytest.mark.parametrize("extensions", [PATHSEND, ZEROCOPY], ids=["path", "zerocopy"])
@pytest.mark.parametrize("what", ["bytesio", "deleted", "replaced", "empty", "pipe", "head"])
def test_a_file_that_the_server_cannot_send_is_read(what: str, extensions: dict[str, Any], path: Path) -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        if what == "bytesio":
            file: Any = io.BytesIO(CONTENT)
        elif what == "pipe":
            reading, writing = os.pipe()
            os.write(writing, b"through a pipe")
            os.close(writing)
            file = os.fdopen(reading, "rb")
        else:
            if what == "empty":
                path.write_bytes(b"")
            file = path.open("rb")
        if what == "deleted":
            path.unlink()
        elif what == "replaced":
            path.unlink()
            path.write_bytes(b"another")
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](file)

    method = "HEAD" if what == "head" else "GET"
    server = serve(WsgiToAsgi(app), extensions=extensions, method=method)
    content = {"empty": b"", "head": b"", "pipe": b"through a pipe"}.get(what, CONTENT)
    if what in ("deleted", "replaced") and extensions == ZEROCOPY:
        assert server.kinds == ["start", "zerocopysend"]  # by its descriptor it is still the same file
    else:
        assert server.content == content
        assert server.complete


def test_a_file_shorter_than_its_content_length_never_looks_complete(path: Path) -> None:
    server = Server()

    async def main() -> None:
        app = WsgiToAsgi(serving(path, [], length=len(CONTENT) + 1))
        with pytest.raises(ApplicationError, match="Content-Length"):
            await app(http_scope(extensions=ZEROCOPY), server.receive, server.send)

    run_on("asyncio", main)
    assert not server.complete


def test_a_file_that_is_cancelled_while_it_is_sent_is_closed_afterwards(path: Path, backend: str) -> None:
    events: list[str] = []
    adapter = WsgiToAsgi(serving(path, events))

    async def main() -> None:
        sending = anyio.Event()

        async def on_send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.zerocopysend":
                sending.set()
                await anyio.sleep_forever()

        server = Server(on_send=on_send)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(adapter, http_scope(extensions=ZEROCOPY), server.receive, server.send)
            await sending.wait()
            await anyio.sleep(0.02)
            assert events == []
            tasks.cancel_scope.cancel()
        while events != ["close"]:  # noqa: ASYNC110  # what is waited for happens in other threads
            await anyio.sleep(0.005)

    run_on(backend, main)


def test_a_file_that_is_being_sent_holds_no_thread(path: Path) -> None:
    adapter = WsgiToAsgi(serving(path, []), threads=1)

    async def main() -> None:
        finish = anyio.Event()
        sending = anyio.Event()

        async def on_send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.zerocopysend":
                sending.set()
                await finish.wait()

        slow, quick = Server(on_send=on_send), Server()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(adapter, http_scope(extensions=ZEROCOPY), slow.receive, slow.send)
            await sending.wait()
            await adapter(http_scope(extensions=ZEROCOPY), quick.receive, quick.send)  # by the one thread
            finish.set()

    run_on("asyncio", main)


# ---------------------------------------------------------------------------------------------------- early hints


@pytest.mark.parametrize("shape", [list, iter], ids=["A71-list", "A71-iterable"])
def test_early_hints_go_before_the_head(shape: Any, backend: str) -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload"), ("X-Other", "no"), ("link", "</b.js>")])
        start_response("200 OK", [])
        return shape([b"body"])

    # A warning of rule X06, by the letter; after the head those of a WSGI application would no longer be early.
    server = serve(WsgiToAsgi(app), backend=backend, extensions={"http.response.early_hint": {}})
    assert server.kinds[:2] == ["early_hint", "start"]
    assert server.sent[0]["links"] == [b"</a.css>; rel=preload", b"</b.js>"]
    assert server.content == b"body"
    assert server.complete


@pytest.mark.parametrize("inline", [False, True], ids=["worker", "inline"])
def test_late_or_empty_early_hints_are_dropped(inline: bool) -> None:
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        environ["wsgi.early_hints"]([("X-Other", "no")])
        start_response("200 OK", [])
        yield b"body"
        environ["wsgi.early_hints"]([("Link", "</late>")])

    server = serve(WsgiToAsgi(app, inline=inline), extensions={"http.response.early_hint": {}})
    assert "early_hint" not in server.kinds


def test_early_hints_are_offered_only_where_the_server_has_them() -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [str("wsgi.early_hints" in environ).encode()]

    assert serve(WsgiToAsgi(app)).content == b"False"
