"""Bodies of responses on their way outwards: peeks, transforms, lengths, what replaces them."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import flask
import pytest

from gateway import Gateway, drivers
from gateway.contract import (
    Middleware,
    peek,
)
from gateway.drivers._response_body import has_body
from gateway.errors import ApplicationError
from gateway.exchange import FileBody, Request, Response
from gateway.middleware import AccessLog, Compression
from gateway.rules import Validator
from gateway.testing import Client
from tests.gateway.drivers._scenario import App, Boom, Record, wsgi_app
from tests.gateway.drivers._side import ALL, BODY, START, Shout, Side, Upper, converse, logged, run_side, scope
from tests.shows import shows


@shows("peek(n) holds the head until n bytes or the end, None for a file body")
def test_a_peek_holds_the_head_and_leaves_the_bytes_in_the_body(side: Side) -> None:
    seen: list[Any] = []

    class Peeks(Middleware):
        def on_response(self, request: Request, response: Response) -> Any:
            data = yield from peek(4)
            seen.append(data)
            response.headers.append("x-start", repr(data))

    record = side.run([Peeks()], App(shape="chunks", chunks=(b"ab", b"cd", b"ef")))
    assert seen == [b"abcd"]
    assert record.body == b"abcdef"
    assert ("x-start", "b'abcd'") in record.headers


@shows("While peek holds a head, the error is raised into the peeking one first")
def test_an_error_while_a_head_is_held_is_raised_into_the_peeking_one_first(side: Side) -> None:
    log: list[Any] = []

    class Peeks(Middleware):
        def on_response(self, request: Request, response: Response) -> Any:
            try:
                yield from peek(100)
            except Exception as error:
                log.append(("peek", repr(error)))
                raise

    chain = [
        logged("a", log, on_error=lambda request, error: Response(500, body="answer")),
        Peeks(),
        logged("z", log, **ALL),
    ]
    record = side.run(chain, App(shape="chunks", chunks=(b"ab",), fails="end"))
    assert [entry for entry in log if entry[1] != "on_request"] == [
        ("z", "on_response"),
        ("peek", "Boom('end')"),
        ("a", "on_error"),
        ("z", "on_finish"),
    ]
    assert record.body == b"answer"


@shows("on_body is not asked for HEAD, 1xx, 204, 304")
@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("status", [200, 204, 304])
def test_on_body_is_asked_where_there_is_a_body_only(side: Side, method: str, status: int) -> None:
    log: list[Any] = []
    side.run([logged("a", log, on_body=None)], App(status=status), method)
    assert log == ([("a", "on_body")] if (method, status) == ("GET", 200) else [])


@shows("on_body returns a transform")
def test_a_body_in_one_part_has_its_new_length(side: Side) -> None:
    record = side.run([Shout()])
    assert record.body == b"HELLO!"
    assert ("content-length", "6") in record.headers


@shows("on_body returns a transform")
def test_a_streamed_body_loses_its_length(side: Side) -> None:
    record = side.run([Shout()], App(shape="chunks", chunks=(b"a", b"b")))
    assert record.body == b"AB!"
    assert not [value for name, value in record.headers if name == "content-length"]


@shows("The driver moves large pushes off the loop, one at a time")
def test_large_pushes_leave_the_event_loop() -> None:
    import threading

    threads: list[bool] = []

    class Notes:
        def push(self, chunk: bytes, /) -> bytes:
            threads.append(threading.current_thread() is threading.main_thread())
            return chunk

        def finish(self) -> bytes:
            return b""

    chain = [logged("a", [], on_body=lambda request, response: Notes())]
    large = b"x" * 200_000
    record = run_side("asgi", chain, App(shape="chunks", chunks=(large, b"small", large)))
    assert record.body == large + b"small" + large
    assert threads == [False, True, False]


@shows("The driver moves large pushes off the loop, one at a time")
def test_large_pushes_of_a_body_run_one_at_a_time_and_in_order() -> None:
    import threading

    inside = threading.Lock()
    sizes: list[int] = []

    class Exclusive:
        def push(self, chunk: bytes, /) -> bytes:
            assert inside.acquire(blocking=False), "two pushes at once"
            sizes.append(len(chunk))
            inside.release()
            return chunk

        def finish(self) -> bytes:
            return b"."

    chain = [logged("a", [], on_body=lambda request, response: Exclusive())]
    chunks = [bytes([number]) * (200_000 - number) for number in range(8)]
    messages = [{**BODY, "body": chunk, "more_body": True} for chunk in chunks]
    got = converse(chain, [START, *messages, {**BODY, "body": b""}])
    assert b"".join(message.get("body", b"") for message in got) == b"".join(chunks) + b"."
    assert sizes == [len(chunk) for chunk in chunks]


@shows("on_body is not asked for HEAD, 1xx, 204, 304")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", [100, 101, 103, 199, 204, 304])
def test_no_body_belongs_to_these(method: str, status: int) -> None:
    assert not has_body(method, status)
    assert has_body(method, 200) is (method != "HEAD")


@shows("on_response sees the head ready and not sent: it mutates it or returns another")
@shows("A replaced response's body is closed or its sends swallowed; its length, encoding, trailers go")
def test_a_replaced_response_takes_the_place_of_all_of_it(side: Side) -> None:
    replacing = logged("a", [], on_response=lambda request, response: Response(299, [("x-new", "1")], b"new"))
    record = side.run([replacing], App(shape="chunks", chunks=(b"old", b"old")))
    assert record.body == b"new"
    assert record.headers == [("x-new", "1"), ("content-length", "3")]
    if side.interface == "wsgi":
        assert record.closed == 1


def test_a_replacement_does_not_pass_the_transforms_of_what_it_replaces(side: Side) -> None:
    replaces = logged("a", [], on_response=lambda request, response: Response(299, body=b"new"))
    record = side.run([replaces, logged("z", [], on_body=lambda request, response: Upper())])
    assert record.body == b"new"
    assert record.headers == [("content-length", "3")]


def test_an_error_that_a_peek_catches_and_answers_with_nothing_goes_on_outwards(side: Side) -> None:
    class Swallows(Middleware):
        def on_response(self, request: Request, response: Response) -> Any:
            with contextlib.suppress(Boom):
                yield from peek(100)

    log: list[Any] = []
    chain = [logged("a", log, on_response=None, on_error=None), Swallows()]
    record = side.run(chain, App(shape="chunks", chunks=(b"ab",), fails="end"))
    assert record.raised == "Boom('end')"
    assert (record.starts, log) == (0, [("a", "on_error")])


def test_what_is_answered_out_of_a_peek_that_failed_is_a_response_like_another(side: Side) -> None:
    class Catches(Middleware):
        def on_response(self, request: Request, response: Response) -> Any:
            try:
                yield from peek(100)
            except Boom:
                return Response(520, body=b"caught")

    log: list[Any] = []
    chain = [logged("a", log, on_response=None, on_error=None), Catches()]
    record = side.run(chain, App(shape="chunks", chunks=(b"ab",), fails="end"))
    assert (str(record.status)[:3], record.body) == ("520", b"caught")
    assert log == [("a", "on_response")]


@shows("A replaced response's body is closed or its sends swallowed; its length, encoding, trailers go")
def test_the_body_of_a_middleware_that_another_replaces_is_closed_once(side: Side) -> None:
    class Parts:
        closed = 0

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> bytes:
            raise AssertionError("read, though nobody sends it")

        def close(self) -> None:
            Parts.closed += 1

    made = logged("m", [], on_request=lambda request: Response(200, body=Parts()))
    replaces = logged("r", [], on_response=lambda request, response: Response(299, body="new"))
    assert side.run([replaces, made]).body == b"new"
    assert Parts.closed == 1
    again = logged("a", [], on_response=lambda request, response: Response(200, body=Parts()))
    assert side.run([replaces, again]).body == b"new"
    assert Parts.closed == 2


@shows("A replaced response's body is closed or its sends swallowed; its length, encoding, trailers go")
def test_the_sends_of_a_replaced_response_are_swallowed() -> None:
    replacing = logged("a", [], on_response=lambda request, response: Response(299, [("x-new", "1")], b"new"))
    coded = {
        **START,
        "headers": [(b"content-length", b"10"), (b"content-encoding", b"gzip"), (b"trailer", b"x-t")],
        "trailers": True,
    }
    trailers = {"type": "http.response.trailers", "headers": [(b"x-t", b"1")]}
    messages = [coded, {**BODY, "more_body": True}, {"type": "http.response.debug"}, BODY, trailers]
    assert converse([replacing], messages) == [
        {"type": "http.response.start", "status": 299, "headers": [(b"x-new", b"1"), (b"content-length", b"3")]},
        {"type": "http.response.body", "body": b"new", "more_body": False},
    ]


def test_a_replacement_that_is_transformed_has_its_length_though_the_first_body_was_peeked_at(side: Side) -> None:
    class Peeks(Middleware):
        def on_response(self, request: Request, response: Response) -> Any:
            yield from peek(2)

    replaces = logged("r", [], on_response=lambda *args: Response(299, body="instead"))
    record = side.run([Shout(), replaces, Peeks()])
    assert record.body == b"INSTEAD!"
    assert dict(record.headers)["content-length"] == "8"


def test_a_server_sees_how_long_a_list_is() -> None:
    chain = [logged("a", [], on_finish=None)]
    body: Any = drivers.build_wsgi(chain, wsgi_app(Record(), App(chunks=(b"a",))))(
        {"REQUEST_METHOD": "GET"}, lambda *args: lambda data: None
    )
    assert len(body) == 1
    assert list(body) == [b"a"]
    body.close()
    body.close()


@pytest.mark.parametrize("shape", ["list", "eager", "lazy"])
@pytest.mark.parametrize("hook", ["on_finish", "on_error", "on_request_body"])
def test_a_body_that_is_iterated_twice_goes_on_unless_it_is_a_list_which_begins_again(hook: str, shape: str) -> None:
    app = wsgi_app(Record(), App(shape=shape, chunks=(b"a", b"b", b"c")))
    body: Any = drivers.build_wsgi([logged("m", [], **{hook: None})], app)(
        {"REQUEST_METHOD": "GET"}, lambda *args: lambda data: None
    )
    if isinstance(body, list):  # the application's own
        return
    assert next(iter(body)) == b"a"
    assert b"".join(body) == (b"abc" if shape == "list" else b"bc")
    body.close()


def test_a_file_object_and_an_iterable_are_bodies_and_are_closed() -> None:
    import io as streams

    class Parts:
        closed = 0

        def __iter__(self) -> Any:
            return iter([b"one", b"two"])

        def close(self) -> None:
            Parts.closed += 1

    for interface in ("wsgi", "asgi"):
        file = streams.BytesIO(b"content")
        record = run_side(interface, [logged("a", [], on_request=Response(200, body=file))], App())
        assert record.body == b"content"
        assert file.closed
        record = run_side(interface, [logged("a", [], on_request=Response(200, body=Parts()))], App())
        assert record.body == b"onetwo"
    assert Parts.closed == 2


class Holding:
    """A transform that keeps everything back, unless it is flushed."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.kept = b""

    def push(self, chunk: bytes, /) -> bytes:
        self.kept += chunk
        return b""

    def flush(self) -> bytes:
        self.log.append("flush")
        kept, self.kept = self.kept, b""
        return kept

    def finish(self) -> bytes:
        return self.kept + b"."


def holds(log: list[str]) -> Middleware:
    class Holds(Middleware):
        def on_body(self, request: Request, response: Response) -> Holding:
            return Holding(log)

    return Holds()


class Looks(Middleware):
    """Waits for two bytes of the body."""

    def on_response(self, request: Request, response: Response) -> Any:
        yield from peek(2)


def streamed(interface: str, chain: list[Middleware]) -> tuple[list[bytes], list[int]]:
    """Serve three parts; return what the client has, and how many parts were made when each of it came."""
    made: list[int] = [0]
    got: list[tuple[bytes, int]] = []
    parts = (b"one", b"two", b"three")

    def wsgi(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        for part in parts:
            made[0] += 1
            yield part

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({**START})
        for part in parts:
            made[0] += 1
            await send({**BODY, "body": part, "more_body": True})
        await send({**BODY, "body": b""})

    async def send(message: Any) -> None:
        if message.get("body"):
            got.append((message["body"], made[0]))

    if interface == "wsgi":
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        body = drivers.build_wsgi(chain, wsgi)(environ, lambda *head: lambda data: None)
        got.extend((chunk, made[0]) for chunk in body if chunk)
        body.close()  # type: ignore[attr-defined]  # it has one
    else:
        asyncio.run(drivers.build_asgi(chain, asgi)(scope(), receive_nothing, send))
    return [chunk for chunk, _ in got], [count for _, count in got]


async def receive_nothing() -> Any:
    return await asyncio.Event().wait()


@shows("A stream is never held back: a transform is flushed before the next part is made")
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
@pytest.mark.parametrize("twice", [False, True], ids=["alone", "behind-another"])
def test_a_transform_is_flushed_before_the_next_part_of_a_stream_is_made(interface: str, twice: bool) -> None:
    log: list[str] = []
    chunks, made = streamed(interface, [holds(log)] * (2 if twice else 1))
    assert b"".join(chunks) == b"onetwothree" + b"." * (2 if twice else 1)
    assert made[:3] == [1, 2, 3], "a part waits in a transform while the next one is made"


@shows("A stream is never held back: a transform is flushed before the next part is made")
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_transform_does_not_keep_what_a_peek_has_held(interface: str) -> None:
    chunks, made = streamed(interface, [holds([]), Looks()])
    assert chunks[0] == b"one"
    assert made[:3] == [1, 2, 3]


@shows("A stream is never held back: a transform is flushed before the next part is made")
def test_data_that_is_written_by_write_is_flushed() -> None:
    sent: list[bytes] = []
    seen: list[int] = []

    def wsgi(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        for part in (b"one", b"two"):
            write(part)
            seen.append(len(sent))
        return []

    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    body = drivers.build_wsgi([holds([])], wsgi)(environ, lambda *head: sent.append)
    sent.extend(body)
    body.close()  # type: ignore[attr-defined]  # it has one
    assert seen == [1, 2], "PEP 3333: write() hands its data on before it returns"
    assert b"".join(sent) == b"onetwo."


@pytest.mark.parametrize("shape", ["list", "eager", "lazy", "chunks"])
def test_a_transformed_body_in_one_part_keeps_a_content_length(side: Side, shape: str) -> None:
    """An iterator of one part, as Flask's, is known by the length that the application declares."""
    if side.interface == "asgi" and shape not in ("list", "chunks"):
        shape = "chunks"
    record = side.run([Shout()], App(shape=shape, chunks=(b"hello",)))
    assert record.body == b"HELLO!"
    lengths = [value for name, value in record.headers if name == "content-length"]
    assert lengths == ["6"]
    assert record.raised is None


@pytest.mark.parametrize("shape", ["eager", "chunks"])
def test_a_transformed_body_in_several_parts_loses_its_content_length(side: Side, shape: str) -> None:
    record = side.run([Shout()], App(shape=shape, chunks=(b"hello ", b"world")))
    assert record.body == b"HELLO WORLD!"
    assert "content-length" not in dict(record.headers)


def test_a_transformed_body_without_a_declared_length_is_not_held_back(side: Side) -> None:
    record = side.run([Shout()], App(shape="chunks", chunks=(b"hello",), length=False))
    assert record.body == b"HELLO!"
    assert "content-length" not in dict(record.headers)


def test_a_part_as_long_as_the_whole_body_is_sent_before_the_next_is_asked_for() -> None:
    log: list[str] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "5")])
        yield b"hello"
        log.append("went on")

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "", "wsgi.url_scheme": "http"}
    body: Any = iter(drivers.build_wsgi([Shout()], app)(environ, lambda *args: lambda data: None))
    assert next(body) == b"HELLO!"
    assert log == []
    assert list(body) == []
    assert log == ["went on"]


def test_a_transformed_body_that_is_longer_than_it_declares_is_an_error() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "5")])
        yield b"hello"
        yield b" and more"

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "", "wsgi.url_scheme": "http"}
    body: Any = iter(drivers.build_wsgi([Shout()], app)(environ, lambda *args: lambda data: None))
    assert next(body) == b"HELLO!"
    with pytest.raises(ApplicationError, match=r"got b' and more' after 5 bytes"):
        next(body)


def test_a_compressed_page_of_flask_has_a_content_length_on_both_interfaces() -> None:
    app = flask.Flask(__name__)
    app.add_url_rule("/", "page", lambda: "hello " * 500)
    gateway = Gateway(app, middleware=[Compression()])
    for application in (gateway.wsgi, gateway.asgi):
        with Client(application) as client:
            response = client.get("/", headers={"Accept-Encoding": "gzip"})
            assert response.text == "hello " * 500
            assert response.headers["content-encoding"] == "gzip"
            assert int(response.headers["content-length"]) < 200


@pytest.mark.parametrize("waits", [False, True], ids=["short", "long"])
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
@pytest.mark.parametrize(("method", "body", "length"), [("HEAD", b"", None), ("HEAD", b"four", "4"), ("GET", b"", "0")])
def test_a_head_has_no_length_that_its_get_might_not_have(
    method: str, body: bytes, length: str | None, interface: str, waits: bool
) -> None:
    class Answers(Middleware):
        def on_request(self, request: Request) -> Response:
            return Response(200, body=body)

    chain: list[Middleware] = [logged("a", [], **ALL)] if waits else []
    record = Side(interface).serve([*chain, Answers()], App(), method, b"")
    assert [value for name, value in record.headers if name.lower() == "content-length"] == ([length] if length else [])
    assert record.body == (body if method == "GET" else b"")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_peek_tells_a_file_from_bytes_for_head_as_for_get(side: Side, method: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    seen: list[Any] = []

    class Peeks(Middleware):
        def on_response(self, request: Request, response: Response) -> Any:
            seen.append((yield from peek(0)))

    class Answers(Middleware):
        def on_request(self, request: Request) -> Response:
            return Response(200, {"content-length": "7"}, FileBody(str(file)))

    record = side.serve([Peeks(), Answers()], App(), method, b"")
    assert seen == [None]
    assert record.body == (b"content" if method == "GET" else b"")


@pytest.mark.parametrize("checked", [False, True], ids=["driver", "driver and validator"])
def test_a_server_may_iterate_twice_over_a_body_that_has_a_length(checked: bool) -> None:
    outcomes: list[Any] = []

    class Watches(Middleware):
        def on_finish(self, request: Request, outcome: Any) -> None:
            outcomes.append((outcome.kind, outcome.bytes_sent))

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"one", b"two"]

    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ |= {"SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": ""}
    chain: Any = Gateway(Validator(app) if checked else app, middleware=[Watches()])
    body = chain(environ, lambda status, headers, exc_info=None: print)
    assert len(body) == 2
    chunks = iter(body)
    assert iter(chunks) is chunks
    sent = [next(chunks)]
    assert sum(len(chunk) for chunk in body) == 6  # as gevent does for a Content-Length
    assert [*sent, *chunks] == [b"one", b"two"]
    body.close()
    assert outcomes == [("completed", 6)]


def counted_list(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"one", b"two"]


counted_list_app = Gateway(counted_list, middleware=[AccessLog()])


@pytest.mark.tiers("gevent")
def test_a_list_without_a_length_reaches_the_client_of_gevent(web: Any) -> None:
    response = web(counted_list_app).get("/")
    assert (response.text, response.headers["content-length"]) == ("onetwo", "6")
