"""Faults: the client leaves where the test wants it, and the application is told as the test wants it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigurationError
from gateway.protocols import ASGIReceive, ASGISend, Environ, Message, Scope
from gateway.testing import BytesPerSecond, Client, ClientDisconnected, Fault, Stop
from gateway.testing._body import cut
from tests.gateway.testing import apps


class Told:
    """An ASGI application that keeps what it is told, and goes on until it is told."""

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.errors: list[BaseException] = []
        self.spec_version = ""

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        self.spec_version = scope["asgi"]["spec_version"]
        try:
            while True:
                message = await receive()
                self.received.append(message)
                if message["type"] == "http.disconnect":
                    return
                if not message["more_body"]:
                    break
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(10):
                await send({"type": "http.response.body", "body": b"0123456789", "more_body": True})
            self.received.append(await receive())
        except OSError as error:
            self.errors.append(error)
            raise


def ask(fault: Fault, **options: Any) -> tuple[Told, Any]:
    app = Told()
    with Client(app, lifespan=False) as client:
        return app, client.post("/", fault=fault, **options)


@pytest.mark.parametrize("at", [0, 1, 10, 15, 89])
def test_after_bytes_cuts_the_body_there(at: int) -> None:
    app, response = ask(Fault(disconnect="after_bytes", at=at))
    assert (response.status_code, len(response.content)) == (200, at)
    assert response.disconnected
    assert not response.complete
    assert isinstance(app.errors[0], ClientDisconnected)
    assert response.app_saw == "OSError"


@pytest.mark.parametrize("at", [0, 1, 3])
def test_after_chunks_cuts_the_body_there(at: int) -> None:
    _, response = ask(Fault(disconnect="after_chunks", at=at))
    assert response.chunks == [b"0123456789"] * at


def test_by_event_alone_send_does_nothing_and_the_scope_says_so() -> None:
    app, response = ask(Fault(disconnect="after_bytes", at=5, how="event"))
    assert app.errors == []
    assert app.received[-1]["type"] == "http.disconnect"
    assert response.app_saw == "http.disconnect"
    assert app.spec_version == "2.3"


def test_by_error_alone_send_raises_and_the_scope_says_so() -> None:
    app, response = ask(Fault(disconnect="after_bytes", at=5, how="oserror"))
    assert isinstance(app.errors[0], ConnectionError)
    assert response.app_saw == "OSError"
    assert app.spec_version == "2.5"


@pytest.mark.parametrize("how", ["event", "oserror", "both"])
def test_before_headers_no_head_reaches_the_client(how: Any) -> None:
    app, response = ask(Fault(disconnect="before_headers", how=how), content=b"body")
    assert response.status_code == 499
    assert [message["type"] for message in app.received][:1] == ["http.request"]
    assert bool(app.errors) is (how != "event")


@pytest.mark.parametrize("at", [0, 1, 4, 5])
def test_mid_request_ends_the_request_there(at: int) -> None:
    app, response = ask(Fault(disconnect="mid_request", at=at), content=[b"ab", b"cde", b"fg"])
    *bodies, last = app.received
    assert b"".join(message["body"] for message in bodies) == b"abcdefg"[:at]
    assert all(message["more_body"] for message in bodies)
    assert last == {"type": "http.disconnect"}
    assert response.app_saw == "http.disconnect"


def test_a_fault_behind_the_end_does_nothing() -> None:
    with Client(apps.asgi_chunks) as client:
        response = client.get("/2/2", fault=Fault(disconnect="after_bytes", at=1000))
    assert (response.content, response.complete, response.disconnected) == (b"0011", True, False)


@pytest.mark.parametrize("at", [0, 1, 4095, 4096])
def test_close_is_called_when_a_wsgi_client_leaves(at: int) -> None:
    def big(environ: Environ, start_response: apps.StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        for _ in range(4):
            yield b"x" * 4096

    with Client(big) as client:
        response = client.get("/big", fault=Fault(disconnect="after_bytes", at=at))
    assert (response.close_called, len(response.content)) == (1, at)
    assert not response.complete


def test_a_wsgi_write_raises_when_the_client_has_left() -> None:
    seen: list[type[BaseException]] = []

    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            for _ in range(10):
                write(b"0123456789")
        except OSError as error:
            seen.append(type(error))
            raise
        return []

    with Client(app) as client:
        assert client.get("/", fault=Fault(disconnect="after_bytes", at=15)).content == b"012345678901234"
        assert seen == [ClientDisconnected]
        assert client.get("/", fault=Fault(disconnect="after_bytes", at=15, how="event")).content[10:] == b"01234"
        assert len(seen) == 1


def test_what_was_written_before_the_client_left_is_streamed() -> None:
    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        for _ in range(3):
            write(b"0123456789")
        return [b"end"]

    with Client(app) as client:
        with client.stream("GET", "/", fault=Fault(disconnect="after_bytes", at=15)) as response:
            assert list(response.iter_chunks()) == [b"0123456789", b"01234"]
        begun = time.perf_counter()
        assert len(client.get("/", fault=Fault(reader=BytesPerSecond(1000))).content) == 33
        assert time.perf_counter() - begun >= 0.033


@pytest.mark.parametrize("how", ["event", "oserror"])
def test_wsgi_input_ends_where_the_client_leaves(how: Any) -> None:
    seen: list[object] = []

    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"]
        try:
            seen.append(body.read(3))
            seen.append(body.read(3))
        except OSError as error:
            seen.append(type(error))
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return []

    with Client(app) as client:
        client.post("/", content=b"0123456789", fault=Fault(disconnect="mid_request", at=4, how=how))
    assert seen == [b"012", ClientDisconnected if how == "oserror" else b"3"]


def test_before_headers_closes_a_wsgi_response_unsent() -> None:
    with Client(apps.wsgi_chunks) as client:
        response = client.get("/2/2", fault=Fault(disconnect="before_headers"))
    assert (response.status_code, response.content, response.close_called) == (499, b"", 1)


@pytest.mark.parametrize("sizes", [[1, 1, 0, 7], Random(7), []], ids=["sizes", "random", "whole"])
def test_the_request_is_cut_as_chosen(sizes: Any) -> None:
    app, _ = ask(Fault(request_chunks=sizes, disconnect="before_headers"), content=b"0123456789abc")
    chunks = [message["body"] for message in app.received if message["type"] == "http.request"]
    assert b"".join(chunks) == b"0123456789abc"
    if isinstance(sizes, list):
        assert chunks[: len(sizes)] == [b"0", b"1", b"", b"2345678"][: len(sizes)]


def test_the_same_seed_cuts_the_same() -> None:
    assert cut(b"x" * 50, Random(3)) == cut(b"x" * 50, Random(3))


@given(st.binary(max_size=200), st.one_of(st.lists(st.integers(0, 50)), st.integers().map(Random)))
def test_a_cut_body_is_the_body(body: bytes, how: Any) -> None:
    assert b"".join(cut(body, how)) == body


def test_wsgi_input_is_read_in_the_chosen_chunks() -> None:
    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"|".join(iter(lambda: environ["wsgi.input"].read(100), b""))]

    with Client(app) as client:
        fault = Fault(request_chunks=[2, 0, 3], request_delay=0.001)
        assert client.post("/", content=b"abcdefg", fault=fault).content == b"ab|cde|fg"


def test_a_slow_reader_makes_send_wait() -> None:
    for app in (apps.asgi_chunks, apps.wsgi_chunks):
        with Client(app) as client:
            begun = time.perf_counter()
            response = client.get("/4/10", fault=Fault(reader=BytesPerSecond(1000)))
            assert time.perf_counter() - begun >= 0.04
            assert len(response.content) == 40


def test_a_stopped_reader_leaves_in_the_end() -> None:
    begun = time.perf_counter()
    app, response = ask(Fault(reader=Stop(after=25, seconds=0.05)))
    assert time.perf_counter() - begun >= 0.05
    assert len(response.content) == 25
    assert isinstance(app.errors[0], ClientDisconnected)
    with Client(apps.wsgi_chunks) as client:
        stopped = client.get("/9/10", fault=Fault(reader=Stop(after=25, seconds=0.01)))
    assert (len(stopped.content), stopped.close_called, stopped.complete) == (25, 1, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"disconnect": "sometimes"},
        {"how": "politely"},
        {"lifespan": "maybe"},
        {"at": -1},
        {"request_delay": -1},
        {"request_chunks": [1, -1]},
    ],
    ids=str,
)
def test_a_wrong_fault_is_refused_when_built(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Fault(**wrong)


def test_wrong_readers_are_refused_when_built() -> None:
    with pytest.raises(ConfigurationError):
        BytesPerSecond(0)
    with pytest.raises(ConfigurationError):
        Stop(after=-1)
