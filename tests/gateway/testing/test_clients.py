"""`Client` and `AsyncClient` on raw applications of both interfaces: one surface, the same answers."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.errors import ApplicationError, ConfigurationError, ProtocolViolation
from gateway.lifespan import LifespanFailed
from gateway.protocols import ASGIReceive, ASGISend, Environ, Scope
from gateway.testing import AsyncClient, AsyncResponse, Client, Fault, NotClean, Unsupported
from tests.gateway.testing import apps

INTERFACES = ["wsgi", "asgi"]
BACKENDS = ["asyncio", "trio"]


@pytest.fixture(params=INTERFACES)
def interface(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(backend: str, test: Callable[[], Awaitable[None]]) -> None:
    anyio.run(test, backend=backend)


# -- requests


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_reaches_the_application(interface: str, method: str) -> None:
    with Client(apps.ECHO[interface]) as client:
        response = client.request(method, "/a/b")
        named = getattr(client, method.lower())("/a/b")
    assert (response.status_code, response.reason, response.json()["method"]) == (200, "OK", method)
    assert named.json() == response.json()


def test_a_head_request_has_headers_and_no_body(interface: str) -> None:
    with Client(apps.ECHO[interface]) as client:
        response = client.head("/")
    assert (response.content, response.chunks) == (b"", [])
    assert int(response.headers["content-length"]) > 0


def test_params_headers_and_cookies_are_sent(interface: str) -> None:
    with Client(apps.ECHO[interface], headers={"X-Always": "1"}, cookies={"a": "b"}) as client:
        seen = client.get("/é€", params={"q": ["1", "2"], "ü": "ö"}, headers=[("X-Once", "x"), ("X-Once", "ÿ")]).json()
        both = client.get("/", cookies={"c": "d"}).json()["headers"]["cookie"]
    assert seen["path"] == "/é€"
    assert seen["query"] == "q=1&q=2&%C3%BC=%C3%B6"
    assert seen["headers"]["x-always"] == "1"
    assert seen["headers"]["x-once"] == "x,ÿ"
    assert both == "a=b; c=d"
    assert seen["headers"]["cookie"] == "a=b"
    assert seen["headers"]["host"] == "testserver"


def test_json_forms_and_files_are_encoded(interface: str) -> None:
    with Client(apps.ECHO[interface]) as client:
        as_json = client.post("/", json={"a": [1]}).json()
        as_form = client.post("/", data={"a": "1", "b": ["2", "3"]}).json()
        as_files = client.post("/", data={"a": "1"}, files={"f": ("name.txt", io.BytesIO(b"inside"), "text/x")}).json()
    assert (as_json["headers"]["content-type"], as_json["body"]) == ("application/json", '{"a":[1]}')
    assert as_form["body"] == "a=1&b=2&b=3"
    assert as_files["headers"]["content-type"].startswith("multipart/form-data; boundary=")
    assert all(part in as_files["body"] for part in ('name="a"', 'filename="name.txt"', "text/x", "inside"))


def test_cookies_are_kept_and_redirects_followed(interface: str) -> None:
    with Client(apps.SESSION[interface]) as client:
        first = client.post("/login")
        assert first.status_code == 303
        assert first.headers.get_list("set-cookie") == ["user=ada; Path=/", "theme=dark; Path=/"]
        assert dict(client.cookies) == {"user": "ada", "theme": "dark"}
        page = client.post("/login", follow_redirects=True)
    assert (page.status_code, [step.status_code for step in page.history]) == (200, [303])
    assert page.text == "user=ada; theme=dark"


@pytest.mark.parametrize("version", ["1.0", "1.1", "2"])
def test_the_connection_is_as_the_test_wants_it(interface: str, version: str) -> None:
    settings: dict[str, Any] = {"root_path": "/app", "client": ("10.0.0.9", 1), "http_version": version}
    with Client(apps.ECHO[interface], base_url="https://example.test:8443", **settings) as client:
        seen = client.get("/x").json()
        assert client.get("/app/x").json()["path"] == "/app/x"
        assert client.get("/apple").json()["path"] == "/app/apple"
    assert (seen["path"], seen["root_path"], seen["client"]) == ("/app/x", "/app", "10.0.0.9")
    assert (seen["scheme"], seen["version"]) == ("https", version)
    assert seen["headers"]["host"] == "example.test:8443"


# -- streaming


def test_chunks_are_what_the_application_sent(interface: str) -> None:
    with Client(apps.CHUNKS[interface]) as client:
        response = client.get("/3/4")
        assert response.chunks == [b"0000", b"1111", b"2222"]
        assert response.content == b"000011112222"
        with client.stream("GET", "/3/4") as streamed:
            assert list(streamed.iter_chunks()) == [b"0000", b"1111", b"2222"]
            assert streamed.complete


async def _says_chunks(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await apps.reply(send, repr([len(chunk) for chunk in await apps.read_body(receive)]).encode())


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"abc", [3]),
        ([b"ab", b"", b"c"], [2, 0, 1]),
        ((b"ab", b"c"), [2, 1]),
        ([], [0]),
    ],
    ids=["bytes", "list-with-an-empty-chunk", "tuple", "nothing"],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_request_chunks_reach_an_asgi_application_uncut(
    content: bytes | Iterable[bytes], seen: list[int], backend: str
) -> None:
    with Client(_says_chunks, lifespan=False, backend=backend) as client:  # type: ignore[arg-type]
        assert client.post("/", content=content).text == repr(seen)

    async def asynchronous() -> None:
        async with AsyncClient(_says_chunks, lifespan=False) as client:
            assert (await client.post("/", content=content)).text == repr(seen)

    run(backend, asynchronous)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_generator_reaches_an_asgi_application_chunk_by_chunk(backend: str) -> None:
    async def asynchronous_content() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    async def asynchronous() -> None:
        async with AsyncClient(_says_chunks, lifespan=False) as client:
            assert (await client.post("/", content=asynchronous_content())).text == "[2, 1, 0]"
            assert (await client.post("/", content=iter([b"ab", b"c"]))).text == "[2, 1, 0]"

    run(backend, asynchronous)
    with Client(_says_chunks, lifespan=False) as client:
        assert client.post("/", content=iter([b"ab", b"c"])).text == "[2, 1, 0]"


def test_a_wsgi_application_reads_a_generator_as_it_comes() -> None:
    pulled: list[int] = []

    def content() -> Iterator[bytes]:
        for number in range(3):
            pulled.append(number)
            yield b"%d\n" % number

    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        first = environ["wsgi.input"].readline()
        seen = list(pulled)
        rest = environ["wsgi.input"].readlines()
        assert environ["wsgi.input"].read(10) == b""
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [repr((first, seen, rest)).encode()]

    with Client(app) as client:
        assert client.post("/", content=content()).text == repr((b"0\n", [0], [b"1\n", b"2\n"]))


def test_both_directions_stream_at_once() -> None:
    """The response begins while the request goes on: what the test sends next may depend on it."""
    answered = threading.Event()

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"].upper(), "more_body": more})

    def content() -> Iterator[bytes]:
        yield b"first"
        assert answered.wait(10)
        yield b"second"

    with Client(app, lifespan=False) as client, client.stream("POST", "/", content=content()) as response:
        chunks = response.iter_chunks()
        assert next(chunks) == b"FIRST"
        answered.set()
        assert list(chunks) == [b"SECOND"]


def test_send_waits_until_the_client_has_taken_the_chunk() -> None:
    sent: list[int] = []

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(5):
            await send({"type": "http.response.body", "body": b"x", "more_body": number < 4})
            sent.append(number)

    async def asynchronous() -> None:
        async with AsyncClient(app, lifespan=False) as client, client.stream("GET", "/") as response:
            chunks = response.iter_chunks()
            await anext(chunks)
            await anyio.wait_all_tasks_blocked()
            assert sent == [0]
            async for _ in chunks:
                pass
        assert sent == [0, 1, 2, 3, 4]

    for backend in BACKENDS:
        sent.clear()
        run(backend, asynchronous)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_early_close_is_told_by_an_event_and_not_by_a_cancellation(backend: str) -> None:
    async def asynchronous() -> None:
        async with AsyncClient(apps.events).stream("GET", "/events") as response:
            assert await anext(response.iter_chunks()) == b"data: 0\n\n"
        assert response.app_saw in ("http.disconnect", "OSError")
        assert response.disconnected
        assert not response.complete

    run(backend, asynchronous)
    with Client(apps.events, backend=backend) as client:  # type: ignore[arg-type]
        with client.stream("GET", "/events") as response:
            assert next(response.iter_chunks()) == b"data: 0\n\n"
        assert response.app_saw in ("http.disconnect", "OSError")
        assert not client.leaks()


def test_an_early_close_closes_the_iterable_once() -> None:
    closed: list[str] = []

    def app(environ: Environ, start_response: apps.StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            while True:
                yield b"x"
        finally:
            closed.append("closed")

    with Client(app) as client:
        with client.stream("GET", "/") as response:
            assert next(response.iter_chunks()) == b"x"
            assert closed == []
        assert (response.close_called, closed) == (1, ["closed"])


# -- what only a client inside the process sees


def test_write_comes_before_the_iterable() -> None:
    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"one")
        write(b"two")
        return [b"three"]

    with Client(app) as client:
        assert client.get("/").chunks == [b"one", b"two", b"three"]
        with client.stream("GET", "/") as response:
            assert list(response.iter_chunks()) == [b"one", b"two", b"three"]


def test_early_hints_of_a_wsgi_application_are_seen() -> None:
    """The way of gunicorn and granian: a callable in the environ."""

    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        if hints := environ.get("wsgi.early_hints"):
            hints([("Link", "</a.css>; rel=preload"), ("X-Other", "1")])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return []

    with Client(app) as client:
        assert client.get("/").early_hints == [b"</a.css>; rel=preload"]
    with Client(app, extensions=()) as client:
        assert client.get("/").early_hints == []


def test_exc_info_replaces_a_head_that_is_not_sent() -> None:
    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        import sys

        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            raise ValueError("replaced")
        except ValueError:
            start_response("500 Oops", [("Content-Type", "text/x")], sys.exc_info())
        return [b"sorry"]

    with Client(app) as client:
        response = client.get("/")
    assert (response.status_code, response.reason, response.headers["content-type"]) == (500, "Oops", "text/x")


def test_a_file_wrapper_is_seen_as_a_sent_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"0123456789")
    files: list[io.BufferedReader] = []

    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        file = path.open("rb")
        file.seek(4)
        files.append(file)
        start_response("200 OK", [("Content-Type", "text/plain")])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file, 2)
        return wrapped

    with Client(app) as client:
        response = client.get("/")
    assert response.content == b"456789"
    assert response.sent_file is not None
    assert (response.sent_file.how, response.sent_file.path, response.sent_file.offset) == (
        "file_wrapper",
        str(path),
        4,
    )
    assert response.close_called == 1
    assert files[0].closed


def test_pathsend_and_zerocopysend_are_seen_as_sent_files(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"0123456789")
    length = [(b"content-type", b"text/plain"), (b"content-length", b"10")]

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        assert {"http.response.pathsend", "http.response.zerocopysend"} <= set(scope["extensions"])
        if scope["path"] == "/path":
            await send({"type": "http.response.start", "status": 200, "headers": length})
            await send({"type": "http.response.pathsend", "path": str(path)})
            return
        await send({"type": "http.response.start", "status": 200, "headers": length[:1]})
        with path.open("rb") as file:
            await send({"type": "http.response.body", "body": b"[", "more_body": True})
            message = {"type": "http.response.zerocopysend", "file": file, "offset": 2, "count": 3, "more_body": True}
            await send(message)
            await send({"type": "http.response.body", "body": b"]"})

    with Client(app, lifespan=False) as client:
        sent = client.get("/path")
        assert (sent.content, sent.sent_file and sent.sent_file.how) == (b"0123456789", "pathsend")
        copied = client.get("/copy")
    assert copied.content == b"[234]"
    assert copied.sent_file is not None
    assert (copied.sent_file.offset, copied.sent_file.count, copied.sent_file.path) == (2, 3, str(path))


def test_trailers_early_hints_and_debug_are_seen() -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await send({"type": "http.response.debug", "info": {"template": "x.html"}})
        headers = [(b"content-type", b"text/plain"), (b"trailer", b"x-sum")]
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await send({"type": "http.response.body", "body": b"body"})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": True})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"2")]})

    with Client(app, lifespan=False) as client:
        response = client.get("/", headers={"TE": "trailers"})
    assert response.trailers.get_list("x-sum") == ["1", "2"]
    assert response.early_hints == [b"</a.css>; rel=preload"]
    assert response.debug == {"template": "x.html"}
    assert [message["type"].rpartition(".")[2] for message in response.messages][:2] == ["debug", "start"]


def test_only_the_extensions_asked_for_are_offered() -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await apps.reply(send, repr(sorted(scope["extensions"])).encode())

    with Client(app, lifespan=False, extensions=("trailers", "push")) as client:
        assert client.get("/").text == "['http.response.push', 'http.response.trailers']"
    with pytest.raises(ConfigurationError, match="teleport"):
        Client(app, extensions=("teleport",))


# -- errors


@pytest.mark.parametrize("path", ["/", "/late"])
def test_what_the_application_raises_is_raised(interface: str, path: str) -> None:
    with Client(apps.FAILS[interface]) as client, pytest.raises(ZeroDivisionError):
        client.get(path)


def test_a_streamed_response_raises_where_the_application_did(interface: str) -> None:
    with Client(apps.FAILS[interface]) as client:
        with pytest.raises(ZeroDivisionError, match="at once"), client.stream("GET", "/"):
            pass
        with client.stream("GET", "/late") as response:
            chunks = response.iter_chunks()
            assert next(chunks) == b"begun"
            with pytest.raises(ZeroDivisionError, match="late"):
                next(chunks)


def test_without_raising_the_answer_is_a_servers(interface: str) -> None:
    with Client(apps.FAILS[interface], raise_app_exceptions=False) as client:
        early, late = client.get("/"), client.get("/late")
    assert (early.status_code, early.content, type(early.app_error)) == (500, b"", ZeroDivisionError)
    assert (late.status_code, late.content, late.complete) == (200, b"begun", False)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_application_that_never_answers_is_ended(backend: str) -> None:
    with (
        Client(apps.never_answers, backend=backend, timeout=0.05) as client,  # type: ignore[arg-type]
        pytest.raises(ApplicationError, match=r"0\.05 seconds"),
    ):
        client.get("/")
    with (
        Client(apps.never_answers, backend=backend) as client,  # type: ignore[arg-type]
        pytest.raises(ApplicationError, match=r"http\.response\.start"),
        client.stream("GET", "/", timeout=0.05),
    ):
        pass


# -- lifespan


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_lifespan_surrounds_the_requests_and_its_state_is_copied(backend: str) -> None:
    order: list[str] = []
    states: list[object] = []

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        order.append(scope["type"])
        if scope["type"] == "lifespan":
            await apps.run_lifespan(scope, receive, send, pool=["shared"])
            order.append("stopped")
            return
        states.append(scope["state"])
        scope["state"]["own"] = True
        await apps.reply(send)

    with Client(app, backend=backend) as client:  # type: ignore[arg-type]
        client.get("/")
        client.get("/")
        assert client.lifespan_state == {"pool": ["shared"]}
    assert order == ["lifespan", "http", "http", "stopped"]
    assert states == [{"pool": ["shared"], "own": True}] * 2
    assert states[0] is not states[1]

    async def asynchronous() -> None:
        order.clear()
        async with AsyncClient(app) as client:
            await client.get("/")
            assert client.lifespan_state == {"pool": ["shared"]}
        assert order == ["lifespan", "http", "stopped"]
        order.clear()
        lazy = AsyncClient(app)
        await lazy.get("/")
        await lazy.aclose()
        assert order == ["lifespan", "http", "stopped"]

    run(backend, asynchronous)


@pytest.mark.parametrize("fault", ["no", "raise"])
def test_an_application_without_lifespan_is_served(fault: Any) -> None:
    with Client(apps.asgi_echo, fault=Fault(lifespan=fault)) as client:
        assert client.get("/").status_code == 200


@pytest.mark.parametrize("fault", ["fail", "hang"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_lifespan_that_fails_or_hangs_is_an_error(fault: Any, backend: str) -> None:
    client = Client(apps.asgi_echo, fault=Fault(lifespan=fault), timeout=0.05, backend=backend)  # type: ignore[arg-type]
    with pytest.raises(LifespanFailed):
        client.get("/")
    client.close()


def test_a_lifespan_can_be_left_out() -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        assert scope["type"] == "http"
        assert "state" not in scope
        await apps.reply(send)

    with Client(app, lifespan=False) as client:
        assert client.get("/").status_code == 200


# -- findings


def test_a_task_that_is_left_is_a_leak() -> None:
    with Client(apps.leaves_a_task) as client:
        assert client.get("/").text == "done"
        assert [task for task in client.leaks().tasks if "Event.wait" in task]
        with pytest.raises(AssertionError, match="task not ended"):
            client.assert_clean()
    apps.left.clear()


def test_a_thread_that_is_left_is_a_leak() -> None:
    release = threading.Event()

    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        threading.Thread(target=release.wait, name="left-behind").start()
        return apps.wsgi_echo(environ, start_response)

    with Client(app) as client:
        client.get("/")
        assert client.leaks().threads == ("left-behind",)
        release.set()


def test_a_response_that_is_left_open_is_a_leak() -> None:
    with Client(apps.wsgi_chunks) as client:
        stream = client.stream("GET", "/2/2")
        response = stream.__enter__()
        assert client.leaks().iterables == ("response of the wsgi application",)
        stream.__exit__(None, None, None)
        assert response.close_called == 1
        client.assert_clean()


def test_closing_ends_the_loop_and_its_thread() -> None:
    def ours() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "gateway-testing"]

    before = len(ours())
    client = Client(apps.asgi_echo)
    assert len(ours()) == before  # nothing starts before the first request
    client.get("/")
    assert len(ours()) == before + 1
    client.close()
    assert len(ours()) == before


def test_a_client_that_nobody_closed_ends_with_its_last_reference() -> None:
    client = Client(apps.asgi_echo)
    client.get("/")
    thread = client._loop.thread
    assert thread is not None
    del client
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_a_violation_is_told_to_the_exchange_that_made_it() -> None:
    both = asyncio.Event()
    waiting: list[str] = []

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        waiting.append(scope["path"])
        if len(waiting) == 2:
            both.set()
        await both.wait()
        bad = [(b"x-bad", b"a\r\nb")] if scope["path"] == "/bad" else []
        await apps.reply(send, headers=[(b"content-type", b"text/plain"), *bad])

    async def main() -> None:
        async with AsyncClient(app, lifespan=False) as client:
            good, bad = await asyncio.gather(client.get("/good"), client.get("/bad"), return_exceptions=True)
            assert isinstance(bad, ProtocolViolation)
            assert isinstance(good, AsyncResponse)
            assert good.violations == []

    asyncio.run(main())


def test_a_violation_that_the_application_swallows_is_raised_all_the_same() -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        try:
            await apps.reply(send, headers=[(b"x-bad", b"a\r\nb")])
        except ProtocolViolation:
            await apps.reply(send)

    with Client(app, lifespan=False) as client:
        with pytest.raises(ProtocolViolation, match="E12"):
            client.get("/")
        with pytest.raises(NotClean, match="E12"):
            client.assert_clean()
    with Client(app, lifespan=False, validate="collect") as client:
        assert [violation.rule for violation in client.get("/").violations][:1] == ["E12"]
    with Client(app, lifespan=False, validate="off") as client:
        assert client.get("/").violations == []


def test_httpx_serves_where_httpx2_is_missing() -> None:
    program = """
import sys
sys.modules["httpx2"] = None
from gateway.testing import Client, webtest_app
from tests.gateway.testing import apps
for app in (apps.asgi_echo, apps.wsgi_echo):
    with Client(app) as client:
        response = client.post("/é", content=[b"a", b"", b"b"], cookies={"c": "d"})
        assert response.json()["body"] == "ab" and response.json()["headers"]["cookie"] == "c=d"
        with client.stream("GET", "/") as response:
            assert b"".join(response.iter_chunks())
assert "httpx" in sys.modules
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("own", BACKENDS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_client_may_be_used_within_a_running_loop(backend: str, own: Any) -> None:
    async def main() -> None:
        with Client(apps.asgi_echo, backend=own) as client:
            assert client.get("/").status_code == 200

    run(backend, main)


def test_an_asynchronous_body_needs_an_asynchronous_application() -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"x"

    async def asynchronous() -> None:
        async with AsyncClient(apps.wsgi_echo) as client:
            with pytest.raises(Unsupported):
                await client.post("/", content=content())

    asyncio.run(asynchronous())


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_async_client_speaks_to_either_interface(interface: str, backend: str) -> None:
    async def asynchronous() -> None:
        async with AsyncClient(apps.ECHO[interface]) as client:
            for method in ("get", "post", "put", "patch", "delete", "options"):
                response = await getattr(client, method)("/é", params={"a": "1"})
                assert response.json()["method"] == method.upper()
                assert (response.json()["path"], response.json()["query"]) == ("/é", "a=1")
            assert (await client.head("/")).content == b""
            assert (await client.post("/", data={"a": "b"})).json()["body"] == "a=b"
            files = await client.post("/", files={"f": ("n", b"inside")})
            assert "inside" in files.json()["body"]
            client.assert_clean()
        async with AsyncClient(apps.SESSION[interface], follow_redirects=True) as client:
            assert (await client.post("/login")).text == "user=ada; theme=dark"
        async with AsyncClient(apps.FAILS[interface]) as client:
            with pytest.raises(ZeroDivisionError):
                await client.get("/")
            async with client.stream("GET", "/late") as streamed:
                chunks = streamed.iter_chunks()
                assert await anext(chunks) == b"begun"
                with pytest.raises(ZeroDivisionError):
                    await anext(chunks)
        async with AsyncClient(apps.CHUNKS[interface]) as client:
            async with client.stream("GET", "/3/1") as streamed:
                assert [chunk async for chunk in streamed.iter_chunks()] == [b"0", b"1", b"2"]
            async with client.stream("GET", "/3/1") as streamed:
                assert await anext(streamed.iter_chunks()) == b"0"
            assert streamed.disconnected

    run(backend, asynchronous)


def test_context_variables_reach_the_application() -> None:
    from contextvars import ContextVar

    variable: ContextVar[str] = ContextVar("variable", default="unset")

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await apps.reply(send, variable.get().encode())

    variable.set("seen")
    with Client(app, lifespan=False) as client:
        assert client.get("/").text == "seen"

    def wsgi(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [variable.get().encode()]

    async def asynchronous() -> None:
        async with AsyncClient(wsgi) as client:
            assert (await client.get("/")).text == "seen"

    asyncio.run(asynchronous())


# -- applications that do not know when to stop, or to start


async def _ignores_its_client(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    await anyio.sleep_forever()


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_application_that_sends_no_further_chunk_is_named(backend: str) -> None:
    with Client(_ignores_its_client, lifespan=False, backend=backend, timeout=0.1) as client:  # type: ignore[arg-type]
        with (
            pytest.raises(ApplicationError, match="send the next chunk"),
            client.stream("GET", "/") as response,
        ):
            list(response.iter_chunks())


MESSAGES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "body-first": ([{"type": "http.response.body"}], "was sent before http.response.start"),
    "no-status": ([{"type": "http.response.start", "status": "200"}], "status must be an int"),
    "unknown-type": ([{"type": "http.response.tea"}], "tea"),
    "body-after-the-end": (
        [
            {"type": "http.response.start", "status": 200},
            {"type": "http.response.body"},
            {"type": "http.response.body"},
        ],
        "must not follow a complete body",
    ),
    "trailers-not-promised": (
        [{"type": "http.response.start", "status": 200}, {"type": "http.response.trailers"}],
        "promised trailers",
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_what_no_client_can_understand_is_refused_also_without_validation(name: str) -> None:
    messages, said = MESSAGES[name]

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        for message in messages:
            await send(message)

    with Client(app, lifespan=False, validate="off") as client, pytest.raises(ApplicationError, match=said):
        client.get("/")


def test_a_wsgi_application_that_no_client_can_understand_is_refused_also_without_validation() -> None:
    def no_head(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        return [b"x"]

    def odd_status(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        start_response("fine", [])
        return []

    def twice(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    for app, said in ((no_head, "before the first block"), (odd_status, "three digits"), (twice, "exc_info")):
        with Client(app, validate="off") as client, pytest.raises(ApplicationError, match=said):
            client.get("/")


@pytest.mark.parametrize(
    "wrong", [{"validate": "loudly"}, {"timeout": 0}, {"backend": "curio"}, {"root_path": "app"}], ids=str
)
def test_wrong_options_are_refused_when_built(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Client(apps.asgi_echo, **wrong)


def test_an_asgi2_application_is_driven_too() -> None:
    class Application:
        def __init__(self, scope: Scope) -> None:
            self.scope = scope

        async def __call__(self, receive: ASGIReceive, send: ASGISend) -> None:
            if self.scope["type"] != "http":
                raise NotImplementedError(self.scope["type"])
            await apps.reply(send, self.scope["path"].encode())

    with Client(Application) as client:  # type: ignore[arg-type]  # a class is none of the callables
        assert client.get("/two").text == "/two"


def test_responses_that_are_open_are_closed_with_the_client() -> None:
    client = Client(apps.events)
    stream = client.stream("GET", "/")
    response = stream.__enter__()
    client.close()
    assert response.disconnected
    stream.__exit__(None, None, None)
