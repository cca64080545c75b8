"""WSGI served as ASGI: clients that leave, tasks that are cancelled, applications that fail or never end."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from tests.adapters.driving import BACKENDS, Server, http_scope, run_on, serve

Environ = dict[str, Any]

KB64 = b"x" * 65536


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Body:
    """An iterable that tells how far it got and that it was closed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks = chunks
        self.produced = 0
        self.closed = 0
        self.closing = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.produced += 1
            yield chunk

    def close(self) -> None:
        self.closed += 1
        self.closing.set()


def answering(body: Any) -> Callable[..., Any]:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [])
        return body

    return app


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for happens in other threads
        await anyio.sleep(0.005)


async def workers_are_free(adapter: WsgiToAsgi) -> None:
    await until(lambda: all(port.workers.pending == 0 for port in adapter._ports.all))


class Gone(OSError):
    pass


# ------------------------------------------------------------------------------------------------------------ clients


def test_a_disconnect_with_the_last_byte_is_a_complete_response(backend: str) -> None:
    """The body is complete by its Content-Length, so its end is sent before the iterable's own: nothing is cut off."""
    watched, whole = threading.Event(), KB64 * 8

    def chunks() -> Iterator[bytes]:
        yield whole[:1]
        assert watched.wait(20)
        yield whole[1:]  # more than may wait: the worker sleeps until it is sent
        ended.append(True)

    ended: list[bool] = []
    body = Body(chunks())

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", str(len(whole)))])
        return body

    async def main() -> Server:
        async def before_receive(number: int) -> None:
            if number:
                watched.set()  # from now on a disconnect is noticed

        async def on_send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body" and not message["more_body"]:
                server.disconnect.set()  # the client has all, and leaves before the server says so
                await anyio.wait_all_tasks_blocked()

        server = Server(on_send=on_send, before_receive=before_receive)
        await WsgiToAsgi(app)(http_scope(), server.receive, server.send)
        return server

    server = run_on(backend, main)
    assert server.complete
    assert server.content == whole
    assert ended == [True]
    assert body.closed == 1


@pytest.mark.parametrize("at", [0, 1, 5], ids=["A36-head", "A36-first", "A36-later"])
def test_a_send_that_fails_stops_the_iteration_and_closes(at: int, backend: str) -> None:
    body = Body(itertools.repeat(b"x"))
    adapter = WsgiToAsgi(answering(body), coalesce=False)

    async def main() -> None:
        async def on_send(message: dict[str, Any]) -> None:
            if len(server.sent) > at:
                raise Gone("connection lost")

        server = Server(on_send=on_send)
        with pytest.raises(Gone):
            await adapter(http_scope(), server.receive, server.send)
        assert body.closed == 1
        await workers_are_free(adapter)

    run_on(backend, main)


def test_A37_a_disconnect_stops_the_iteration_though_send_says_nothing(backend: str) -> None:
    body = Body(itertools.repeat(b"x" * 1000))
    adapter = WsgiToAsgi(answering(body))

    async def main() -> None:
        async def on_send(message: dict[str, Any]) -> None:
            await anyio.lowlevel.checkpoint()
            if len(server.sent) == 4:
                server.disconnect.set()

        server = Server(on_send=on_send)
        await adapter(http_scope(), server.receive, server.send)
        assert body.closed == 1
        assert not server.complete
        await workers_are_free(adapter)

    run_on(backend, main)


def test_A37_a_worker_that_waits_for_room_learns_of_the_disconnect(backend: str) -> None:
    body = Body(itertools.repeat(KB64))
    adapter = WsgiToAsgi(answering(body))

    async def main() -> None:
        stuck = anyio.Event()

        async def on_send(message: dict[str, Any]) -> None:
            if len(server.sent) == 2:
                stuck.set()
                await server.disconnect.wait()

        server = Server(on_send=on_send)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(adapter, http_scope(), server.receive, server.send)
            await stuck.wait()
            await until(lambda: body.produced >= 4)
            server.disconnect.set()
        assert body.closed == 1

    run_on(backend, main)


@pytest.mark.parametrize("chunk", [b"x", KB64], ids=["A38-small", "A38-blocked"])
def test_a_cancelled_request_stops_the_iteration_and_closes(chunk: bytes, backend: str) -> None:
    body = Body(itertools.repeat(chunk))
    adapter = WsgiToAsgi(answering(body))

    async def main() -> None:
        started = anyio.Event()

        async def on_send(message: dict[str, Any]) -> None:
            if len(server.sent) == 2:
                started.set()
                await anyio.sleep_forever()

        server = Server(on_send=on_send)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(adapter, http_scope(), server.receive, server.send)
            await started.wait()
            tasks.cancel_scope.cancel()
        assert await anyio.to_thread.run_sync(body.closing.wait, 20)
        await workers_are_free(adapter)
        assert body.closed == 1

    run_on(backend, main)


def test_a_request_cancelled_before_its_answer_frees_its_worker(backend: str) -> None:
    go_on = threading.Event()
    entered = threading.Event()
    body = Body([b"x"])

    def app(environ: Environ, start_response: Any) -> Any:
        entered.set()
        assert go_on.wait(20)
        start_response("200 OK", [])
        return body

    adapter = WsgiToAsgi(app)

    async def main() -> None:
        server = Server()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(adapter, http_scope(), server.receive, server.send)
            await anyio.to_thread.run_sync(entered.wait, 20)
            tasks.cancel_scope.cancel()
        go_on.set()
        assert await anyio.to_thread.run_sync(body.closing.wait, 20)
        await workers_are_free(adapter)
        assert not server.sent

    run_on(backend, main)


def test_a_cancelled_request_wakes_a_worker_that_waits_for_its_body(backend: str) -> None:
    waiting = threading.Event()
    raised: list[Exception] = []
    ended = threading.Event()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        waiting.set()
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            raised.append(error)
        ended.set()
        start_response("200 OK", [])
        return []

    adapter = WsgiToAsgi(app)

    async def main() -> None:
        server = Server([b"part"], cut=True)
        scope = http_scope(headers=[(b"content-length", b"1000000")], method="POST")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(adapter, scope, server.receive, server.send)
            await anyio.to_thread.run_sync(waiting.wait, 20)
            tasks.cancel_scope.cancel()
        assert await anyio.to_thread.run_sync(ended.wait, 20)
        await workers_are_free(adapter)

    run_on(backend, main)
    assert len(raised) == 1


def test_A38b_aborted_streams_do_not_use_up_the_threads(backend: str) -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["gateway.scope"]["body"]

    adapter = WsgiToAsgi(app, threads=2)

    async def main() -> None:
        for _ in range(10):

            async def on_send(message: dict[str, Any]) -> None:
                raise Gone("lost")

            server = Server(on_send=on_send)
            body = Body(itertools.repeat(KB64))
            with pytest.raises(Gone):
                await adapter(http_scope(body=body), server.receive, server.send)
            assert body.closed == 1
        server = Server()
        await adapter(http_scope(body=[b"eleventh"]), server.receive, server.send)
        assert server.content == b"eleventh"

    run_on(backend, main)


def test_write_raises_an_oserror_once_the_client_has_gone(backend: str) -> None:
    raised: list[OSError] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        try:
            while True:
                write(KB64)
        except OSError as error:
            raised.append(error)
            raise

    async def main() -> None:
        async def on_send(message: dict[str, Any]) -> None:
            await anyio.lowlevel.checkpoint()
            if len(server.sent) == 4:
                server.disconnect.set()

        server = Server(on_send=on_send)
        await WsgiToAsgi(app)(http_scope(), server.receive, server.send)  # a client that left is no error
        assert not server.complete

    run_on(backend, main)
    assert len(raised) == 1


def test_a_receive_that_repeats_its_last_message_is_not_called_for_ever(backend: str) -> None:
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(3):
            yield KB64 * 5

    server = serve(WsgiToAsgi(app), lambda: Server(after="repeat"), backend=backend, validate=False)
    assert len(server.content) == 15 * len(KB64)
    assert server.received <= 2


def test_an_error_of_receive_is_raised(backend: str) -> None:
    async def before_receive(number: int) -> None:
        raise RuntimeError("server bug")

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    async def main() -> None:
        server = Server(before_receive=before_receive)
        scope = http_scope(headers=[(b"content-length", b"1000000")])
        with pytest.raises(RuntimeError, match="server bug"):
            await WsgiToAsgi(app)(scope, server.receive, server.send)
        assert not server.sent

    run_on(backend, main)


# -------------------------------------------------------------------------------------- a fault at every point


def as_list(body: Body, environ: Environ, start_response: Any) -> Any:
    start_response("200 OK", [])
    return [b"a", b"b"]


def as_iterable(body: Body, environ: Environ, start_response: Any) -> Any:
    start_response("200 OK", [])
    body.chunks = [b"a", b"b", b"c"]
    return body


def as_generator(body: Body, environ: Environ, start_response: Any) -> Any:
    try:
        start_response("200 OK", [])
        yield from (b"a", b"b", b"c")
    finally:
        body.close()


def as_writer(body: Body, environ: Environ, start_response: Any) -> Any:
    write = start_response("200 OK", [])
    try:
        write(b"a")
        write(b"b")
    except BaseException:
        body.close()  # the server never gets the iterable
        raise
    body.chunks = [b"c"]
    return body


def as_file(body: Body, environ: Environ, start_response: Any) -> Any:
    start_response("200 OK", [])
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115  # closed by the server's side, which is what is tested
    file.write(b"content")
    file.flush()
    file.seek(0)
    close = file.close

    def closing() -> None:
        close()
        body.close()

    file.close = closing  # type: ignore[method-assign]
    return environ["wsgi.file_wrapper"](file)


SHAPES = [as_list, as_iterable, as_generator, as_writer, as_file]


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("fault", ["error", "disconnect", "cancel"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_end_at_every_message_closes_once_and_frees_the_worker(
    shape: Callable[..., Any], fault: str, at: int, backend: str
) -> None:
    body = Body([])
    adapter = WsgiToAsgi(lambda environ, start_response: shape(body, environ, start_response), coalesce=False)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:

            async def on_send(message: dict[str, Any]) -> None:
                await anyio.lowlevel.checkpoint()
                if len(server.sent) == at + 1:
                    if fault == "error":
                        raise Gone("lost")
                    if fault == "disconnect":
                        server.disconnect.set()
                    else:
                        tasks.cancel_scope.cancel()
                        await anyio.lowlevel.checkpoint()

            server = Server(on_send=on_send)
            try:
                await adapter(http_scope(extensions={"http.response.zerocopysend": {}}), server.receive, server.send)
            except Gone:
                assert fault == "error"
        with anyio.CancelScope(shield=True):
            await workers_are_free(adapter)

    run_on(backend, main)
    assert body.closed == (0 if shape is as_list else 1)


@pytest.mark.parametrize("place", ["call", "start", "first", "later", "close", "read"])
def test_an_error_anywhere_in_the_application_reaches_the_server_and_frees_the_worker(place: str, backend: str) -> None:
    class Failing(Body):
        def __iter__(self) -> Iterator[bytes]:
            if place == "first":
                raise ZeroDivisionError
            yield b"a"
            if place == "later":
                raise ZeroDivisionError

        def close(self) -> None:
            super().close()
            if place == "close":
                raise ZeroDivisionError

    body = Failing([])

    def app(environ: Environ, start_response: Any) -> Any:
        if place == "call":
            raise ZeroDivisionError
        if place == "read":
            environ["wsgi.input"].read(10)
            raise ZeroDivisionError
        start_response("200 OK", [])
        if place == "start":
            raise ZeroDivisionError
        return body

    adapter = WsgiToAsgi(app)

    async def main() -> None:
        server = Server([KB64] * 3)
        with pytest.raises(ZeroDivisionError):
            await adapter(
                http_scope(method="POST", headers=[(b"content-length", b"196608")]), server.receive, server.send
            )
        assert server.complete == (place == "close")
        await workers_are_free(adapter)

    run_on(backend, main)
    assert body.closed == (1 if place in ("first", "later", "close") else 0)


# ---------------------------------------------------------------------------------------------------- back-pressure


def test_A45_a_slow_client_bounds_how_far_the_application_runs_ahead(backend: str) -> None:
    body = Body([KB64] * 200)
    adapter = WsgiToAsgi(answering(body))

    async def main() -> None:
        read_on = anyio.Event()

        async def on_send(message: dict[str, Any]) -> None:
            if len(server.sent) > 1:
                await read_on.wait()

        server = Server(on_send=on_send)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(adapter, http_scope(), server.receive, server.send)
            await until(lambda: body.produced >= 4)
            await anyio.sleep(0.1)  # a longer time could only show more
            assert body.produced <= 8
            read_on.set()
        assert len(server.content) == 200 * len(KB64)

    run_on(backend, main)


def test_a_slow_application_bounds_how_far_its_body_is_read_ahead(backend: str) -> None:
    go_on = threading.Event()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        assert go_on.wait(20)
        start_response("200 OK", [])
        return [b"%d" % len(environ["wsgi.input"].read())]

    adapter = WsgiToAsgi(app)

    async def main() -> None:
        server = Server([KB64] * 100)
        scope = http_scope(method="POST", headers=[(b"content-length", b"6553600")])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(adapter, scope, server.receive, server.send)
            await until(lambda: server.received >= 4)
            await anyio.sleep(0.05)
            assert server.received <= 5
            go_on.set()
        assert server.content == b"6553600"

    run_on(backend, main)


def test_waiting_chunks_are_joined_and_never_delayed(backend: str) -> None:
    sent_first = threading.Event()
    all_made = threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        assert sent_first.wait(20)
        for _ in range(50):
            yield b"x"
        all_made.set()

    async def on_send(message: dict[str, Any]) -> None:
        if message.get("body") == b"first":
            sent_first.set()
            await anyio.to_thread.run_sync(all_made.wait, 20)

    server = serve(WsgiToAsgi(app), lambda: Server(on_send=on_send), backend=backend)
    assert server.chunks[0] == b"first"
    assert b"".join(server.chunks[1:]) == b"x" * 50
    assert len(server.chunks) <= 4


@pytest.mark.parametrize("shape", [list, iter], ids=["list", "iterable"])
def test_without_coalescing_every_chunk_is_one_message(shape: Any, backend: str) -> None:
    chunks = [b"a", b"", b"bc", b"d" * 200_000, b"e"]
    server = serve(WsgiToAsgi(answering(shape(chunks)), coalesce=False), backend=backend)
    assert [chunk for chunk in server.chunks if chunk] == [chunk for chunk in chunks if chunk]
    assert server.complete
    assert b"" not in server.chunks[:-1]


def test_a_large_list_is_not_copied_into_one_message(backend: str) -> None:
    server = serve(WsgiToAsgi(answering([KB64] * 8)), backend=backend)
    assert server.content == KB64 * 8
    assert max(map(len, server.chunks)) <= len(KB64)


def test_a_disconnect_after_a_complete_response_does_not_raise_in_write() -> None:
    """The server says http.disconnect when the response is over, which is no reason to fail in ``write()``."""
    watched, gone = threading.Event(), threading.Event()
    reached: list[str] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "2")])
        write(b"a")
        assert watched.wait(20)
        write(b"b")
        assert gone.wait(20)
        write(b"beyond")
        reached.append("end")
        return []

    async def main() -> None:
        async def on_send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body" and not message["more_body"]:
                server.disconnect.set()
            await anyio.lowlevel.checkpoint()

        async def receive() -> dict[str, Any]:
            watched.set()
            message = await server.receive()
            if message["type"] == "http.disconnect":
                asyncio.get_running_loop().call_soon(gone.set)  # behind the step that tells the application
            return message

        server = Server(on_send=on_send)
        await WsgiToAsgi(app)(http_scope(headers=[]), receive, server.send)
        assert server.content == b"ab"
        assert server.complete

    run_on("asyncio", main)
    assert reached == ["end"]
