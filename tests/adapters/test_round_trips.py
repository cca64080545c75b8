"""An application behind an adapter and its counter-adapter is indistinguishable from itself.

Applications are drawn as programs: steps of reading and answering in any order, with failures at any place. Each is
run natively by the smallest server of its interface and through both adapters, and everything that the application or
the server can observe is compared: what was read, head, body, whether it is complete, what was raised, how often
``close()`` was called.

Free is what the specifications leave to a server: how bodies are cut into chunks; whether a head leaves before the
first byte of its body (PEP 3333 forbids it, ASGI leaves it open); what happens after the last byte of a response, which
is the one that its Content-Length announces where it has one.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from tests.adapters.asgi_under_wsgi import MODES, make_environ
from tests.adapters.driving import Server, http_scope, run_on

EXAMPLES = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
#: A number stands for that many bytes, so that a failing example can be read.
CHUNK = st.one_of(st.binary(max_size=20), st.sampled_from([b"", b"line\nline\n", 70_000]))
BODY = st.lists(CHUNK, max_size=4)
HEADERS = [("Content-Type", "a/b"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Latin", "\xe9")]
STATUSES = ["200 OK", "207 Odd", "404 Not Found", "503 Busy"]


def spelled(chunks: Iterable[bytes | int]) -> list[bytes]:
    return [b"x" * chunk if isinstance(chunk, int) else chunk for chunk in chunks]


def with_bytes(steps: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Spell the chunks of those steps that have one."""
    return [(step[0], *spelled(step[1:])) if step[0] in ("write", "yield", "body", "end") else step for step in steps]


class Mistake(Exception):
    """What an application raises; it says where."""


@dataclass
class Seen:
    """All that can be observed of one request."""

    request: dict[str, Any] = field(default_factory=dict)
    read: list[Any] = field(default_factory=list)
    head: tuple[Any, ...] | None = None
    body: bytes = b""
    complete: bool = False
    raised: str | None = None
    closed: int = 0
    after: list[str] = field(default_factory=list)


# --------------------------------------------------------------------------------------------- WSGI -> ASGI -> WSGI

READ = st.tuples(
    st.just("read"),
    st.sampled_from(["read", "readline", "readlines"]),
    st.one_of(st.none(), st.sampled_from([0, 1, 7, 64 * 1024, 100_000])),
)
WSGI_STEP = st.one_of(READ, st.tuples(st.just("write"), CHUNK), st.tuples(st.just("yield"), CHUNK))


@st.composite
def wsgi_programs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an application: before the head, after it, while it is iterated; and where it fails, if it does."""
    iterated = draw(st.lists(st.one_of(READ, st.tuples(st.just("yield"), CHUNK)), max_size=5))
    declared = draw(st.booleans())
    if declared:  # behind the last byte the response is over, and the request with it
        while iterated and not (iterated[-1][0] == "yield" and iterated[-1][1]):
            iterated.pop()
    return {
        "status": draw(st.sampled_from(STATUSES)),
        "shape": draw(st.sampled_from(["list", "tuple", "iterator", "generator", "lazy"])),
        "before": draw(st.lists(READ, max_size=2)),
        "written": draw(st.lists(st.tuples(st.just("write"), CHUNK), max_size=2)),
        "iterated": iterated,
        "declared": declared,
        "restart": draw(st.sampled_from([None, None, "head"] if declared else [None, None, "head", "late"])),
        "fails": draw(st.sampled_from([None, None, "at once", "after the head", "iterating", "closing"])),
        "fails_at": draw(st.integers(0, 5)),
    }


class WsgiProgram:
    """A WSGI application that does what was drawn, and notes what it sees."""

    def __init__(self, program: dict[str, Any], seen: Seen) -> None:
        self.program = {
            **program,
            "written": with_bytes(program["written"]),
            "iterated": with_bytes(program["iterated"]),
        }
        self.seen = seen

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.seen.request = {
            key: value for key, value in environ.items() if not key.startswith(("wsgi.", "gateway.", "gunicorn."))
        }
        if self.program["shape"] == "lazy":  # a generator function: nothing happens before it is iterated
            return self.lazy(environ, start_response)
        return self.begun(environ, start_response)

    def lazy(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        yield from self.begun(environ, start_response, generator=True)

    def begun(self, environ: dict[str, Any], start_response: Any, *, generator: bool = False) -> Iterable[bytes]:
        program, seen = self.program, self.seen
        for step in program["before"]:
            self.reads(environ, step)
        if program["fails"] == "at once":
            raise Mistake("at once")
        chunks = [step[1] for step in (*program["written"], *program["iterated"]) if step[0] != "read"]
        headers = list(HEADERS)
        if program["declared"]:
            headers.append(("Content-Length", str(sum(map(len, chunks)))))
        write = start_response(program["status"], headers)
        if program["restart"] == "head":
            try:
                raise Mistake("restart")
            except Mistake:
                write = start_response("500 Again", headers, sys.exc_info())
        if program["fails"] == "after the head":
            raise Mistake("after the head")
        for step in program["written"]:
            write(step[1])
        if program["restart"] == "late":
            try:
                try:
                    raise Mistake("late")
                except Mistake:
                    start_response("500 Again", headers, sys.exc_info())
                seen.after.append("restarted")
            except Mistake:  # something was sent
                seen.after.append("too late")
                raise
        shape = program["shape"]
        if shape in ("list", "tuple") and program["fails"] not in ("iterating", "closing"):
            for step in program["iterated"]:
                if step[0] == "read":
                    self.reads(environ, step)
            body = [step[1] for step in program["iterated"] if step[0] == "yield"]
            return body if shape == "list" else tuple(body)
        if shape == "generator" or generator:
            return self.steps(environ)
        return Closing(self, environ)

    def steps(self, environ: dict[str, Any]) -> Generator[bytes, None, None]:
        program = self.program
        try:
            for number, step in enumerate(program["iterated"]):
                if program["fails"] == "iterating" and number == program["fails_at"]:
                    raise Mistake(f"iterating, at {number}")
                if step[0] == "read":
                    self.reads(environ, step)
                else:
                    yield step[1]
            if program["fails"] == "iterating" and program["fails_at"] >= len(program["iterated"]):
                raise Mistake("iterating, at the end")
        finally:
            self.seen.closed += 1

    def reads(self, environ: dict[str, Any], step: tuple[str, str, int | None]) -> None:
        _, method, size = step
        read = getattr(environ["wsgi.input"], method)
        self.seen.read.append(read() if size is None else read(size))


class Closing:
    """An iterable with a ``close()``, which may fail."""

    def __init__(self, program: WsgiProgram, environ: dict[str, Any]) -> None:
        self._program = program
        self._steps = program.steps(environ)

    def __iter__(self) -> Iterator[bytes]:
        return self._steps

    def close(self) -> None:
        self._steps.close()
        self._program.seen.after.append("close")
        if self._program.program["fails"] == "closing":
            raise Mistake("closing")


def serve_wsgi(app: Any, environ: dict[str, Any], seen: Seen) -> None:
    """Be the smallest server of PEP 3333."""
    told: list[Any] = []
    sent: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if exc_info is not None:
            if seen.head is not None:
                raise exc_info[1].with_traceback(exc_info[2])
        elif told:
            raise AssertionError("start_response was called twice")
        told[:] = [status, headers]
        return send

    def send(chunk: bytes) -> None:
        if chunk:
            seen.head = tuple(told)
            sent.append(chunk)

    try:
        result = app(environ, start_response)
        try:
            for chunk in result:
                send(chunk)
            assert told
            seen.head = tuple(told)
            seen.complete = True
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
    except Mistake as error:
        seen.raised = str(error)
    seen.body = b"".join(sent)
    if seen.head is not None:
        status, headers = seen.head
        # The reason phrase is not carried by ASGI; names of fields come back in lower case, as they compare anyway.
        seen.head = (status[:3], [(name.lower(), value) for name, value in headers])


class Pieces(io.RawIOBase):
    """An input that gives what it has in pieces, as a socket does."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._pieces:
            return 0
        piece = self._pieces.pop(0)
        size = min(len(piece), len(buffer))
        buffer[:size] = piece[:size]
        if piece[size:]:
            self._pieces.insert(0, piece[size:])
        return size


def environ_of(pieces: list[bytes], *, known_length: bool) -> dict[str, Any]:
    environ = make_environ(
        b"",
        PATH_INFO="/caf\xc3\xa9",
        SCRIPT_NAME="/app",
        QUERY_STRING="a=%20&b=\xe9",
        RAW_URI="/app/caf%C3%A9?a=%20&b=\xe9",
        HTTP_COOKIE="a=1; b=2",
        CONTENT_TYPE="text/plain",
    )
    environ["wsgi.input"] = io.BufferedReader(Pieces(pieces))
    if known_length:
        environ["CONTENT_LENGTH"] = str(sum(map(len, pieces)))
    else:
        del environ["CONTENT_LENGTH"]
        environ.update({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True})
    environ["framework.key"] = environ
    return environ


def comparable_wsgi(seen: Seen, program: dict[str, Any]) -> Seen:
    steps = with_bytes((*program["written"], *program["iterated"]))
    chunks = [step[1] for step in steps if step[0] != "read"]
    over = program["declared"] and seen.body and len(seen.body) == sum(map(len, chunks))
    if over or seen.raised == "closing" or (program["fails"] == "closing" and seen.complete):
        seen.complete, seen.raised = True, None
    assert seen.request.pop("framework.key") is not None
    return seen


@EXAMPLES
@given(
    program=wsgi_programs(),
    pieces=BODY,
    known_length=st.booleans(),
    coalesce=st.booleans(),
    buffer_bytes=st.sampled_from([1, 1000, 262144]),
    prefetch_bytes=st.sampled_from([0, 10, 65536]),
)
@pytest.mark.parametrize("mode", MODES)
def test_a_wsgi_application_is_itself_behind_both_adapters(
    mode: Any,
    program: dict[str, Any],
    pieces: list[bytes | int],
    known_length: bool,
    coalesce: bool,
    buffer_bytes: int,
    prefetch_bytes: int,
) -> None:
    body = spelled(pieces)
    native, crossed = Seen(), Seen()
    serve_wsgi(WsgiProgram(program, native), environ_of(body, known_length=known_length), native)
    inner = WsgiToAsgi(
        WsgiProgram(program, crossed), coalesce=coalesce, buffer_bytes=buffer_bytes, prefetch_bytes=prefetch_bytes
    )
    with AsgiToWsgi(inner, loop=mode, coalesce=coalesce) as wsgi:
        serve_wsgi(wsgi, environ_of(body, known_length=known_length), crossed)
    assert comparable_wsgi(crossed, program) == comparable_wsgi(native, program)


# --------------------------------------------------------------------------------------------- ASGI -> WSGI -> ASGI

ASGI_STEP = st.one_of(
    st.just(("receive",)),
    st.just(("read",)),
    st.just(("pause",)),
    st.tuples(st.just("body"), CHUNK),
)


@st.composite
def asgi_programs(draw: st.DrawFn) -> dict[str, Any]:
    steps: list[tuple[Any, ...]] = draw(st.lists(ASGI_STEP, max_size=7))
    steps.insert(draw(st.integers(0, len(steps))), ("start",))
    begun = steps.index(("start",))
    # Nothing of a body before the head; what fails for that reason is the rules' business.
    steps = [step for number, step in enumerate(steps) if number >= begun or step[0] != "body"]
    return {
        "status": draw(st.sampled_from([200, 207, 404, 503])),
        "steps": [
            *steps,
            ("end", draw(CHUNK)),
            *draw(st.lists(st.sampled_from([("pause",), ("leave",)]), max_size=2)),
        ],
        "fails_at": draw(st.one_of(st.none(), st.none(), st.integers(0, 9))),
        "declared": draw(st.booleans()),
    }


class AsgiProgram:
    """An ASGI application that does what was drawn, and notes what it sees."""

    def __init__(self, program: dict[str, Any], seen: Seen) -> None:
        self.program = {**program, "steps": with_bytes(program["steps"])}
        self.seen = seen
        self.read = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        program, seen = self.program, self.seen
        seen.request = {key: value for key, value in scope.items() if not key.startswith("gateway.")}
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in HEADERS]
        if program["declared"]:
            size = sum(len(step[1]) for step in program["steps"] if step[0] in ("body", "end"))
            headers.append((b"content-length", str(size).encode()))
        ended = False
        for number, step in enumerate(program["steps"]):
            if number == program["fails_at"]:
                raise Mistake(f"at {number}" if not ended else "after the end")
            if step[0] == "start":
                await send({"type": "http.response.start", "status": program["status"], "headers": headers})
            elif step[0] == "body":
                await send({"type": "http.response.body", "body": step[1], "more_body": True})
            elif step[0] == "end":
                await send({"type": "http.response.body", "body": step[1]})
                ended = True
            elif step[0] == "pause":
                await asyncio.sleep(0)
            elif step[0] == "leave":  # wait until the server says that it is over
                while (await receive())["type"] != "http.disconnect":
                    pass
                seen.after.append("disconnect")
            else:
                await self.reads(receive, whole=step[0] == "read")

    async def reads(self, receive: Any, *, whole: bool) -> None:
        """Receive one message, or all; nothing behind the last, where one would wait for a client that stays."""
        while not self.read:
            message = await receive()
            self.seen.read.append(message["body"])
            self.read = not message["more_body"]
            if not whole:
                return
        if whole:
            self.seen.after.append("read")


def serve_asgi(app: Any, seen: Seen, pieces: list[bytes], scope: dict[str, Any]) -> None:
    """Be the smallest ASGI server; its client goes away when it has the response."""
    server = Server(pieces)

    async def on_send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            server.disconnect.set()
        await asyncio.sleep(0)

    server.on_send = on_send

    async def main() -> None:
        try:
            await app(scope, server.receive, server.send)
        except Mistake as error:
            seen.raised = str(error)

    run_on("asyncio", main)
    if server.sent:
        seen.head = (server.status, server.headers)
        seen.body = server.content
        last = server.sent[-1]
        seen.complete = last["type"] == "http.response.body" and not last.get("more_body", False)


def comparable_asgi(seen: Seen, program: dict[str, Any]) -> Seen:
    seen.read = [b"".join(seen.read)] if "read" in seen.after else []  # one message is as much as a server likes
    size = sum(len(step[1]) for step in with_bytes(program["steps"]) if step[0] in ("body", "end"))
    if seen.raised == "after the end" or (program["declared"] and seen.body and len(seen.body) == size):
        seen.complete, seen.raised = True, None
    if seen.raised and not seen.body:
        seen.head = None
    return seen


@EXAMPLES
@given(program=asgi_programs(), pieces=BODY, known_length=st.booleans(), coalesce=st.booleans())
@example(
    program={
        "status": 200,
        "steps": [("start",), ("body", b"a"), ("read",), ("body", b"b"), ("end", b"c"), ("leave",)],
        "fails_at": None,
        "declared": False,
    },
    pieces=[b"x"],
    known_length=True,
    coalesce=True,
)
@pytest.mark.parametrize("mode", MODES)
def test_an_asgi_application_is_itself_behind_both_adapters(
    mode: Any, program: dict[str, Any], pieces: list[bytes | int], known_length: bool, coalesce: bool
) -> None:
    body = spelled(pieces)
    scope = http_scope(
        method="POST",
        path="/app/caf\xe9",
        raw_path=b"/app/caf%C3%A9",
        root_path="/app",
        query_string=b"a=%20&b=\xe9",
        http_version="2" if not known_length else "1.1",
        headers=[(b"host", b"h"), (b"x-a", b"1"), (b"x-a", b"2"), (b"x_under", b"3"), (b"cookie", b"a=1")],
        extensions={"tls": {"version": 0x304}},
    )
    if known_length:
        scope["headers"].append((b"content-length", str(sum(map(len, body))).encode()))
    native, crossed = Seen(), Seen()
    serve_asgi(AsgiProgram(program, native), native, body, scope)
    with AsgiToWsgi(AsgiProgram(program, crossed), loop=mode, coalesce=coalesce, lifespan="off") as wsgi:
        serve_asgi(WsgiToAsgi(wsgi, coalesce=coalesce), crossed, body, scope)
    offered = crossed.request["extensions"]
    assert offered.pop("http.response.pathsend", {}) == offered.pop("http.response.zerocopysend", {}) == {}
    assert comparable_asgi(crossed, program) == comparable_asgi(native, program)
