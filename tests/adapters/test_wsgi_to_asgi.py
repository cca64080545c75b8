"""WSGI served as ASGI: the request, the response, and the rules of PEP 3333. Test ids name the rows they show."""

from __future__ import annotations

import contextvars
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from gateway.adapters.wsgi_to_asgi import WsgiToAsgi, _run
from gateway.errors import ApplicationError, ConfigurationError, ServerError
from tests.adapters.driving import BACKENDS, Server, http_scope, run_on, serve

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def environ_of(**scope: Any) -> Environ:
    seen: list[Environ] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    serve(WsgiToAsgi(app), **scope)
    return seen[0]


def answering(body: Any, headers: Iterable[tuple[str, str]] = (), status: str = "200 OK") -> Application:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response(status, list(headers))
        return body

    return app


class Body:
    """An iterable that counts how often it is closed, and in which thread."""

    def __init__(self, chunks: Iterable[bytes], error: Exception | None = None) -> None:
        self.chunks = chunks
        self.error = error
        self.produced = 0
        self.closed = 0
        self.close_thread: threading.Thread | None = None
        self.closing = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.produced += 1
            yield chunk
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed += 1
        self.close_thread = threading.current_thread()
        self.closing.set()


# ------------------------------------------------------------------------------------------------- A01-A18: environ

ENVIRON: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("A02", {"path": "/app/x", "root_path": "/app"}, {"SCRIPT_NAME": "/app", "PATH_INFO": "/x"}),
    ("A03", {"path": "/appfoo", "root_path": "/app"}, {"PATH_INFO": "/appfoo"}),
    ("A04", {"path": "/app/x", "root_path": "/app/"}, {"SCRIPT_NAME": "/app", "PATH_INFO": "/x"}),
    ("A05", {"path": "/caf\ufffd", "raw_path": b"/caf%E9"}, {"PATH_INFO": "/caf\xe9"}),
    ("A06", {"path": "/café", "raw_path": b"/caf%C3%A9"}, {"PATH_INFO": "/caf\xc3\xa9"}),
    ("A06b", {"path": "/caf\udce9", "raw_path": b""}, {"PATH_INFO": "/caf\xe9"}),
    (
        "A07",
        {"path": "/a/b", "raw_path": b"/a%2Fb", "query_string": b"q"},
        {"RAW_URI": "/a%2Fb?q", "REQUEST_URI": "/a%2Fb?q"},
    ),
    ("A08", {"query_string": b"q=\xe9"}, {"QUERY_STRING": "q=\xe9"}),
    ("A09", {"server": None}, {"SERVER_NAME": "localhost", "SERVER_PORT": "80"}),
    ("A10", {"server": ("/s.sock", None)}, {"SERVER_NAME": "localhost", "SERVER_PORT": "80"}),
    ("A11", {"client": ("9.9.9.9", 5)}, {"REMOTE_ADDR": "9.9.9.9", "REMOTE_PORT": "5"}),
    ("A12", {"http_version": "2"}, {"SERVER_PROTOCOL": "HTTP/2"}),
    ("A13", {"scheme": "https"}, {"wsgi.url_scheme": "https", "HTTPS": "on"}),
    ("A14", {"headers": [(b"x", b"1"), (b"x", b"2")]}, {"HTTP_X": "1,2"}),
    ("A15", {"headers": [(b"cookie", b"a=1"), (b"cookie", b"b=2")]}, {"HTTP_COOKIE": "a=1; b=2"}),
    ("A16", {"headers": [(b"x-user", b"good"), (b"x_user", b"evil")]}, {"HTTP_X_USER": "good"}),
    ("A17", {"headers": [(b"content-length", b"0"), (b"content-length", b"0")]}, {"CONTENT_LENGTH": "0"}),
    (
        "A18",
        {"headers": [(b"Content-Type", b"a/b"), (b"CONTENT-LENGTH", b"0")]},
        {"CONTENT_TYPE": "a/b", "CONTENT_LENGTH": "0", "HTTP_CONTENT_TYPE": None, "HTTP_CONTENT_LENGTH": None},
    ),
    ("A18b", {"headers": [(b"proxy", b"http://evil")]}, {"HTTP_PROXY": None}),
    ("A19", {"headers": [(b"transfer-encoding", b"chunked")]}, {"wsgi.input_terminated": True}),
]


@pytest.mark.parametrize(("scope", "expected"), [row[1:] for row in ENVIRON], ids=[row[0] for row in ENVIRON])
def test_environ_and_scope_have_the_same_facts(scope: dict[str, Any], expected: Environ) -> None:
    environ = environ_of(**scope)
    assert {key: environ.get(key) for key in expected} == expected


def test_A01_every_required_variable_is_there_and_native_text() -> None:
    environ = environ_of()
    required = ["REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "SERVER_NAME", "SERVER_PORT"]
    assert all(type(environ[key]) is str for key in required)
    assert all(type(value) is str for key, value in environ.items() if key.isupper())
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.multithread"] is True
    assert environ["wsgi.multiprocess"] is True
    assert environ["wsgi.run_once"] is False
    assert {"wsgi.url_scheme", "wsgi.input", "wsgi.errors"} <= environ.keys()
    assert type(environ) is dict


def test_A10b_a_scope_without_optional_keys_is_served() -> None:
    scope = http_scope()
    for key in ("server", "client", "root_path", "raw_path", "query_string", "scheme", "state"):
        del scope[key]
    seen: list[Environ] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    async def main() -> None:
        server = Server()
        await WsgiToAsgi(app)(scope, server.receive, server.send)

    run_on("asyncio", main)
    assert (seen[0]["SERVER_NAME"], seen[0]["SERVER_PORT"], seen[0]["REMOTE_ADDR"]) == ("localhost", "80", "")


def test_contradicting_lengths_get_400() -> None:
    server = serve(WsgiToAsgi(answering([b"never"])), headers=[(b"content-length", b"1"), (b"content-length", b"2")])
    assert server.status == 400
    assert server.complete


# --------------------------------------------------------------------------------------------------- A19-A29: input

BODY = [b"ab\ncd", b"", b"ef\n", b"gh"]
READS: list[tuple[str, list[bytes], Callable[[Any], Any], Any]] = [
    ("A20-read-n", BODY, lambda i: [i.read(3), i.read(0), i.read(100), i.read(1)], [b"ab\n", b"", b"cdef\ngh", b""]),
    ("A20-read-all", BODY, lambda i: [i.read(), i.read(), i.read(5)], [b"ab\ncdef\ngh", b"", b""]),
    ("A20-empty", [], lambda i: [i.read(), i.read(1), i.readline()], [b"", b"", b""]),
    ("A21", BODY, lambda i: [i.readline() for _ in range(4)], [b"ab\n", b"cdef\n", b"gh", b""]),
    ("A22", BODY, lambda i: [i.readline(2), i.readline(2), i.readline(1 << 16)], [b"ab", b"\n", b"cdef\n"]),
    ("A23", BODY, lambda i: i.readlines(), [b"ab\n", b"cdef\n", b"gh"]),
    ("A23-empty", [], lambda i: i.readlines(), []),
    ("A24", [b"a\nb\nc\nd\n"], lambda i: i.readlines(3), [b"a\n", b"b\n"]),
    ("A25", BODY, lambda i: list(i), [b"ab\n", b"cdef\n", b"gh"]),
    ("A25-next", BODY, lambda i: next(i), b"ab\n"),
    ("A26", BODY, lambda i: i.read(None), b"ab\ncdef\ngh"),
    ("A26-lines", BODY, lambda i: [i.readline(None), i.readlines(None)], [b"ab\n", [b"cdef\n", b"gh"]]),
    ("readinto", [b"abcd"], lambda i: (i.readinto(buffer := bytearray(3)), bytes(buffer)), (3, b"abc")),
    ("read1", [b"abcd"], lambda i: i.read1(100), b"abcd"),
    ("text", [b"\xc3\xa9\n"], lambda i: io.TextIOWrapper(i, "utf-8").read(), "é\n"),
]
#: How the body may have been announced: each takes another way through the adapter.
ANNOUNCED: dict[str, Callable[[int], dict[str, Any]]] = {
    "length": lambda size: {"headers": [(b"content-length", b"%d" % size)]},
    "chunked": lambda size: {"headers": [(b"transfer-encoding", b"chunked")]},
    "streamed": lambda size: {"headers": [(b"content-length", b"%d" % size)]},
    "unannounced": lambda size: {"headers": []},
    "http2": lambda size: {"headers": [], "http_version": "2"},
    "expect": lambda size: {"headers": [(b"content-length", b"%d" % size), (b"expect", b"100-continue")]},
}


@pytest.mark.parametrize("announced", ANNOUNCED)
@pytest.mark.parametrize(("body", "read", "expected"), [row[1:] for row in READS], ids=[row[0] for row in READS])
def test_input_reads_as_a_file(body: list[bytes], read: Callable[[Any], Any], expected: Any, announced: str) -> None:
    seen: list[Any] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        seen.append(read(environ["wsgi.input"]))
        start_response("200 OK", [])
        return []

    adapter = WsgiToAsgi(app, prefetch_bytes=0 if announced == "streamed" else 65536)
    size = sum(map(len, body))
    serve(adapter, lambda: Server(body), method="POST", **ANNOUNCED[announced](size))
    assert seen == [expected]


def test_A19_a_chunked_body_is_read_to_its_end(backend: str) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read(), str(environ["wsgi.input_terminated"]).encode()]

    headers = [(b"transfer-encoding", b"chunked")]
    server = serve(WsgiToAsgi(app), lambda: Server([b"ab", b"cd"]), backend=backend, method="POST", headers=headers)
    assert server.content == b"abcdTrue"


@pytest.mark.parametrize(
    "headers",
    [[(b"content-length", b"200000")], [(b"transfer-encoding", b"chunked")]],
    ids=["A27-length", "A27-chunked"],
)
def test_a_long_body_is_read_while_it_arrives(headers: Any, backend: str) -> None:
    first_read = threading.Event()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        first = environ["wsgi.input"].read1(100_000)
        first_read.set()
        start_response("200 OK", [])
        return [b"%d" % (len(first) + len(environ["wsgi.input"].read()))]

    async def before_receive(number: int) -> None:
        if number == 1:  # the second half is sent when the application has the first
            assert await anyio.to_thread.run_sync(first_read.wait, 20)

    def server() -> Server:
        return Server([b"x" * 100_000] * 2, before_receive=before_receive)

    assert serve(WsgiToAsgi(app), server, backend=backend, method="POST", headers=headers).content == b"200000"


def test_a_small_body_takes_no_thread_until_it_is_complete() -> None:
    called: list[bool] = []
    adapter = WsgiToAsgi(lambda environ, start_response: called.append(True) or [])  # type: ignore[func-returns-value]

    async def before_receive(number: int) -> None:
        assert not called
        assert not adapter._ports.all

    server = Server([b"a", b"b"], before_receive=before_receive)

    async def main() -> None:
        with pytest.raises(ApplicationError):  # it never calls start_response
            await adapter(http_scope(headers=[(b"content-length", b"2")]), server.receive, server.send)

    run_on("asyncio", main)
    assert called


def test_A28_an_application_that_never_reads_completes(backend: str) -> None:
    server = serve(
        WsgiToAsgi(answering([b"ok"])),
        lambda: Server([b"x" * 100_000] * 10),
        backend=backend,
        method="POST",
        headers=[(b"content-length", b"1000000")],
    )
    assert server.content == b"ok"
    assert server.complete


def test_a_request_without_a_body_does_not_read_from_the_server(backend: str) -> None:
    assert serve(WsgiToAsgi(answering([b"ok"])), backend=backend).received == 0


def test_an_unread_body_with_expect_100_continue_is_not_received() -> None:
    headers = [(b"content-length", b"5"), (b"expect", b"100-continue")]
    assert serve(WsgiToAsgi(answering([b"no"], status="403 No")), headers=headers, method="PUT").received == 0


@pytest.mark.parametrize("size", [b"10", b"1000000"], ids=["A29-small", "A29-long"])
def test_a_disconnect_within_the_body_is_not_a_short_body(size: bytes, backend: str) -> None:
    read: list[bytes] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        read.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return [b"stored"]

    server = serve(
        WsgiToAsgi(app),
        lambda: Server([b"a"], cut=True, after="disconnect"),
        backend=backend,
        headers=[(b"content-length", size)],
        method="POST",
    )
    assert not read
    assert not server.sent


def test_A29_the_read_raises_an_oserror_that_the_application_may_handle() -> None:
    caught: list[OSError] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            caught.append(error)
        start_response("400 Bad Request", [])
        return [b"too late"]

    headers = [(b"transfer-encoding", b"chunked")]
    server = serve(WsgiToAsgi(app), lambda: Server([b"a"], cut=True, after="disconnect"), headers=headers)
    assert len(caught) == 1
    assert isinstance(caught[0], ConnectionError)
    assert not server.sent


# ------------------------------------------------------------------------------------------- A30-A33: start_response


def test_A30_data_of_write_is_sent_before_the_iterable(backend: str) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("x", "y")])
        write(b"a")
        write(b"")
        write(b"b")
        return [b"c", b"d"]

    server = serve(WsgiToAsgi(app), backend=backend)
    assert server.content == b"abcd"
    assert server.headers == [(b"x", b"y")]
    assert server.complete


def test_A31_an_error_before_the_first_chunk_replaces_the_head() -> None:
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("x", "first")])
        yield b""
        try:
            raise ValueError("e")
        except ValueError:
            start_response("500 Oops", [("x", "second")], sys.exc_info())
        yield b"sorry"

    server = serve(WsgiToAsgi(app))
    assert server.status == 500
    assert server.headers == [(b"x", b"second")]
    assert server.content == b"sorry"


def test_A32_a_second_start_response_without_exc_info_raises_in_the_application() -> None:
    raised: list[Exception] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        try:
            start_response("201 Created", [])
        except ApplicationError as error:
            raised.append(error)
        return [b"ok"]

    assert serve(WsgiToAsgi(app)).status == 200
    assert "start_response may be called only once" in str(raised[0])


def test_A33_exc_info_after_the_head_was_sent_is_raised_in_the_application() -> None:
    raised: list[BaseException] = []

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        try:
            try:
                raise ValueError("late")
            except ValueError:
                start_response("500 Oops", [], sys.exc_info())
        except ValueError as error:
            raised.append(error)
        yield b"b"

    server = serve(WsgiToAsgi(app))
    assert str(raised[0]) == "late"
    assert server.status == 200
    assert server.content == b"ab"


@pytest.mark.parametrize("status", ["204", "200", "200 "], ids=["A42-204", "A42-200", "A42-space"])
def test_a_status_without_a_reason_is_accepted(status: str) -> None:
    assert serve(WsgiToAsgi(answering([], status=status))).status == int(status)


def test_A41_A43_A59_response_headers_cross_exactly() -> None:
    headers = [
        ("Set-Cookie", "a=1"),
        ("X", "caf\xe9"),
        ("Set-Cookie", "b=2"),
        ("Connection", "close"),
        ("Transfer-Encoding", "chunked"),
    ]
    server = serve(WsgiToAsgi(answering([b"x"], headers)))
    assert server.headers == [(b"set-cookie", b"a=1"), (b"x", b"caf\xe9"), (b"set-cookie", b"b=2")]


# ---------------------------------------------------------------------------------------------- A34-A40: ends, errors


def test_A34_A74_close_is_called_once_in_the_worker_that_ran_the_application(backend: str) -> None:
    body = Body([b"a", b"b"])
    threads: list[threading.Thread] = []

    def app(environ: Environ, start_response: Any) -> Body:
        threads.append(threading.current_thread())
        start_response("200 OK", [])
        return body

    server = serve(WsgiToAsgi(app), backend=backend)
    assert server.content == b"ab"
    assert body.closed == 1
    assert body.close_thread is threads[0]
    assert threads[0] is not threading.main_thread()


@pytest.mark.parametrize("chunks", [[], [b"a"]], ids=["A35-before", "A35-after"])
def test_close_is_called_when_the_iteration_raises(chunks: list[bytes], backend: str) -> None:
    body = Body(chunks, error=ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        serve(WsgiToAsgi(answering(body)), backend=backend)
    assert body.closed == 1


def test_an_error_in_close_is_raised_after_the_whole_response() -> None:
    class Bad(Body):
        def close(self) -> None:
            super().close()
            raise ValueError("close")

    body = Bad([b"a"])
    server = Server()

    async def main() -> None:
        with pytest.raises(ValueError, match="close"):
            await WsgiToAsgi(answering(body))(http_scope(), server.receive, server.send)

    run_on("asyncio", main)
    assert server.complete
    assert body.closed == 1


def test_A39_an_error_before_start_response_is_raised_to_the_server(backend: str) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        raise ValueError("early")

    server = Server()

    async def main() -> None:
        with pytest.raises(ValueError, match="early") as caught:
            await WsgiToAsgi(app)(http_scope(), server.receive, server.send)
        assert "in app" in str(caught.getrepr(style="native"))  # the traceback reaches into the application

    run_on(backend, main)
    assert not server.sent


def test_A40_an_error_after_the_first_chunk_never_looks_complete(backend: str) -> None:
    server = Server()

    async def main() -> None:
        with pytest.raises(ValueError, match="mid"):
            await WsgiToAsgi(answering(Body([b"a"], ValueError("mid"))))(http_scope(), server.receive, server.send)

    run_on(backend, main)
    assert server.content == b"a"
    assert not server.complete


@pytest.mark.parametrize("error", [GeneratorExit, StopIteration], ids=str)
def test_an_exception_that_a_coroutine_cannot_raise_is_an_application_error(error: type[BaseException]) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        raise error

    with pytest.raises(ApplicationError) as caught:
        serve(WsgiToAsgi(app))
    assert isinstance(caught.value.__cause__, error)


# ----------------------------------------------------------------------------------------------- A44-A58: response


def test_A44_the_first_chunk_is_sent_before_the_second_is_made(backend: str) -> None:
    first_sent = threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        assert first_sent.wait(20)
        yield b"second"

    async def on_send(message: dict[str, Any]) -> None:
        if message.get("body") == b"first":
            assert message["more_body"]
            first_sent.set()

    server = serve(WsgiToAsgi(app), lambda: Server(on_send=on_send), backend=backend)
    assert server.content == b"firstsecond"


#: The ways in which a WSGI application runs under an ASGI server.
CONTEXT_MODES: list[Any] = [
    pytest.param({}, id="pool"),
    pytest.param({"inline": True}, id="inline"),
    pytest.param({"thread_sensitive": True}, id="thread-sensitive"),
]


@pytest.mark.parametrize("options", CONTEXT_MODES)
def test_A47_context_variables_of_the_caller_are_seen_by_application_iterator_and_close(
    options: dict[str, Any], backend: str
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []

    class Watching(Body):
        def close(self) -> None:
            seen.append(variable.get())
            super().close()

    def produce() -> Iterator[bytes]:
        seen.append(variable.get())
        variable.set("set inside")
        yield b"x"

    def app(environ: Environ, start_response: Any) -> Body:
        seen.append(variable.get())
        start_response("200 OK", [])
        return Watching(produce())

    async def main() -> None:
        variable.set("caller's")
        server = Server()
        await WsgiToAsgi(app, **options)(http_scope(), server.receive, server.send)
        assert variable.get() == "caller's"

    run_on(backend, main)
    assert seen == ["caller's", "caller's", "set inside"]


def test_A49_the_adapter_answers_the_lifespan(backend: str) -> None:
    sent: list[str] = []
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def main() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": next(messages)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message["type"])

        await WsgiToAsgi(answering([]))({"type": "lifespan"}, receive, send)

    run_on(backend, main)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_A50_a_websocket_is_closed_before_it_is_accepted(backend: str) -> None:
    sent: list[dict[str, Any]] = []

    async def main() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await WsgiToAsgi(answering([]))({"type": "websocket", "path": "/"}, receive, send)

    run_on(backend, main)
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_an_unknown_scope_is_the_servers_error() -> None:
    with pytest.raises(ServerError, match="mqtt"):
        serve(WsgiToAsgi(answering([])), type="mqtt")


@pytest.mark.parametrize(
    "body", [[], (), iter([]), [b""], iter([b"", b""])], ids=lambda body: f"A51-{type(body).__name__}"
)
def test_an_empty_body_is_a_head_and_an_end(body: Any) -> None:
    server = serve(WsgiToAsgi(answering(body)))
    assert server.kinds == ["start", "body"]
    assert server.content == b""
    assert server.complete


@pytest.mark.parametrize(
    "body", [[b"x"], iter([b"x"]), [], iter([])], ids=["A52-list", "A52-iter", "A52-empty", "A52-none"]
)
def test_an_application_that_never_calls_start_response_is_an_error(body: Any) -> None:
    server = Server()

    async def main() -> None:
        with pytest.raises(ApplicationError, match="start_response"):
            await WsgiToAsgi(lambda environ, start_response: body)(http_scope(), server.receive, server.send)

    run_on("asyncio", main)
    assert not server.sent


def test_A53_a_generator_calls_start_response_with_its_first_step() -> None:
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("201 Created", [])
        yield b"x"

    assert serve(WsgiToAsgi(app)).status == 201


@pytest.mark.parametrize(
    "body", [[b"whole"], (b"who", b"le"), [b"", b"whole"]], ids=["A54-list", "A54-tuple", "A54-empty"]
)
def test_a_list_is_sent_in_two_messages(body: Any, backend: str) -> None:
    server = serve(WsgiToAsgi(answering(body)), backend=backend)
    assert server.kinds == ["start", "body"]
    assert server.content == b"whole"
    assert server.complete


def test_a_body_of_the_declared_length_ends_with_its_last_chunk() -> None:
    """Most frameworks return an iterable that is no list, with a Content-Length: two messages all the same."""
    body = Body([b"whole"])
    server = serve(WsgiToAsgi(answering(body, [("content-length", "5")])))
    assert server.kinds == ["start", "body"]
    assert body.closed == 1


def test_A54b_empty_chunks_send_neither_headers_nor_messages() -> None:
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        yield b""
        start_response("200 OK", [])
        yield b""
        yield b"x"
        yield b""

    server = serve(WsgiToAsgi(app))
    assert server.status == 200
    assert server.content == b"x"
    assert b"" not in server.chunks[:-1]


@pytest.mark.parametrize(
    "body",
    [[b"abcdef"], [b"ab", b"cdef"], iter([b"ab", b"cd", b"ef"]), iter([b"abc", b"def"])],
    ids=["A55-list", "A55-two", "A55-over", "A55-exact"],
)
def test_nothing_is_sent_past_the_content_length(body: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, _run.__name__):
        server = serve(WsgiToAsgi(answering(body, [("content-length", "3")])))
    assert server.content == b"abc"
    assert server.complete
    assert "longer than its Content-Length" in caplog.text


@pytest.mark.parametrize("body", [[b"ab"], iter([b"a", b"b"]), []], ids=["list", "iterable", "empty"])
def test_a_body_shorter_than_its_content_length_never_looks_complete(body: Any) -> None:
    server = Server()

    async def main() -> None:
        app = WsgiToAsgi(answering(body, [("content-length", "3")]))
        with pytest.raises(ApplicationError, match="as long as its Content-Length"):
            await app(http_scope(), server.receive, server.send)

    run_on("asyncio", main)
    assert not server.complete


def test_A57_wsgi_errors_is_the_standard_error_stream() -> None:
    assert environ_of()["wsgi.errors"] is sys.stderr


@pytest.mark.parametrize("chunk", ["text", bytearray(b"x"), 5, None], ids=lambda chunk: f"A64-{type(chunk).__name__}")
@pytest.mark.parametrize("shape", [list, iter], ids=["list", "iterable"])
def test_a_chunk_that_is_not_bytes_is_an_error(chunk: Any, shape: Any) -> None:
    with pytest.raises(ApplicationError, match="must consist of bytes"):
        serve(WsgiToAsgi(answering(shape([chunk]))))


@pytest.mark.parametrize("body", [[b"body"], iter([b"bo", b"dy"])], ids=["list", "iterable"])
@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")],
    ids=["A68-HEAD", "A68-204", "A68-304"],
)
def test_a_response_without_content_sends_no_body(method: str, status: str, body: Any) -> None:
    held = Body(body)
    adapter = WsgiToAsgi(answering(held, [("content-length", "4")], status))
    server = serve(adapter, method=method, validate=False)  # the application is wrong
    assert server.kinds == ["start", "body"]
    assert server.content == b""
    assert ((b"content-length", b"4") in server.headers) is not status.startswith("204")  # RFC 9110, 8.6
    assert held.closed == 1


# ------------------------------------------------------------------------------------------------------ the options


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 0},
        {"threads": "4"},
        {"queue": -1},
        {"buffer_bytes": 0},
        {"prefetch_bytes": -1},
        {"inline": True, "thread_sensitive": True},
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_when_built(options: Any) -> None:
    with pytest.raises(ConfigurationError, match="WsgiToAsgi"):
        WsgiToAsgi(answering([]), **options)


def test_an_application_that_is_not_callable_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="callable"):
        WsgiToAsgi("app")  # type: ignore[arg-type]


def test_the_wrapped_application_is_available_and_named() -> None:
    app = answering([])
    assert WsgiToAsgi(app).app is app
    assert repr(WsgiToAsgi(app)) == f"WsgiToAsgi({app!r})"


@pytest.mark.parametrize("name", ["trio", "uvloop"], ids=["A65-trio", "A66-uvloop"])
def test_a_request_with_both_bodies_is_served_on_other_loops(name: str) -> None:
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield environ["wsgi.input"].read()
        yield b"!"

    headers = [(b"content-length", b"200000")]
    server = serve(WsgiToAsgi(app), lambda: Server([b"x" * 100_000] * 2), backend=name, method="POST", headers=headers)
    assert server.content == b"x" * 200_000 + b"!"
    assert server.complete


@pytest.mark.parametrize("options", CONTEXT_MODES)
def test_A48_context_variables_of_the_application_stay_in_its_context(options: dict[str, Any]) -> None:
    """Informative in the table; a copy is what keeps one request's context out of another's."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("A48", default="unset")

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        variable.set("inner")
        start_response("200 OK", [])
        return [variable.get().encode()]

    async def main() -> None:
        server = Server()
        await WsgiToAsgi(app, **options)(http_scope(), server.receive, server.send)
        assert server.content == b"inner"
        assert variable.get() == "unset"

    run_on("asyncio", main)
