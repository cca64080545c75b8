"""BodyLimit: a body too large is refused before the application runs, or where the limit is passed."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import ConfigurationError
from gateway.middleware.body_limit import BodyLimit
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Script, Stack
from tests.shows import shows

READS = Script(reads=True)


@shows("A body within the limit, and an application that does not read, are not disturbed")
@pytest.mark.parametrize("size", [0, 1, 99, 100])
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_a_body_within_the_limit_arrives_whole(stack: MakeStack, size: int, chunked: bool) -> None:
    body = b"x" * size
    answer = stack(BodyLimit(max_bytes=100), script=READS).request(method="POST", body=body, chunked=chunked)
    assert (answer.status, answer.seen[0].body) == (200, body)


@shows("A declared length above the limit is 413 before reading and before the application")
def test_a_declared_length_above_the_limit_is_refused_before_the_application_runs(stack: MakeStack) -> None:
    answer = stack(BodyLimit(max_bytes=100), script=READS).request(method="POST", body=b"x" * 101)
    assert (answer.status, answer.seen) == (413, [])
    assert b"100" in answer.body


@shows("A body without a length is counted: 413 while the head is not sent, also if the application swallows the error")
def test_a_chunked_body_is_refused_where_it_passes_the_limit(stack: MakeStack) -> None:
    answer = stack(BodyLimit(max_bytes=100), script=READS).request(method="POST", body=b"x" * 101, chunked=True)
    assert answer.status == 413


def test_a_length_beside_chunks_does_not_lift_the_limit(stack: MakeStack) -> None:
    """A server may let both pass: on ASGI the chunks come, whatever was declared; a WSGI stream ends at the length."""
    chain = stack(BodyLimit(max_bytes=10), script=Script(reads=True))
    answer = chain.request(method="POST", body=b"x" * 100, chunked=True, headers=[("Content-Length", "5")])
    assert answer.status == 413 or [len(seen.body) for seen in answer.seen] == [5]


@shows("A body without a length is counted: 413 while the head is not sent, also if the application swallows the error")
def test_the_refusal_is_sent_even_if_the_application_catches_it(stack: MakeStack) -> None:
    """Frameworks catch what their reads raise and answer something of their own."""
    swallowed: list[str] = []

    def wsgi(environ, start_response):  # type: ignore[no-untyped-def]
        try:
            environ["wsgi.input"].read()
        except Exception as error:
            swallowed.append(type(error).__name__)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"fine"]

    async def asgi(scope, receive, send):  # type: ignore[no-untyped-def]
        assert scope["type"] == "http"
        try:
            while (await receive()).get("more_body"):
                pass
        except Exception as error:
            swallowed.append(type(error).__name__)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    chain = stack(BodyLimit(max_bytes=10), applications=(wsgi, asgi))
    answer = chain.request(method="POST", body=b"x" * 50, chunked=True)
    assert (answer.status, swallowed) == (413, ["Refuse"])
    assert b"fine" not in answer.body


@shows("A negative, signed or listed Content-Length is 400")
@pytest.mark.parametrize("length", ["-5", "+5", "5, 6", "5,6", "0x5", "5.0", "\xb2"])
def test_an_invalid_length_gets_400(stack: MakeStack, length: str) -> None:
    answer = stack(BodyLimit(max_bytes=100)).request(method="POST", headers=[("Content-Length", length)])
    assert (answer.status, answer.seen) == (400, [])


@shows("A negative, signed or listed Content-Length is 400")
@pytest.mark.parametrize("length", ["9" * 5000, "0" * 5000 + "5"], ids=["nines", "zeros"])
def test_a_length_of_many_digits_is_refused_without_counting_them(stack: MakeStack, length: str) -> None:
    answer = stack(BodyLimit(max_bytes=100)).request(method="POST", headers=[("Content-Length", length)])
    assert (answer.status, answer.error) == (413, None)


@shows("Limits by path")
def test_paths_have_limits_of_their_own_by_whole_segments(stack: MakeStack) -> None:
    limit = BodyLimit(max_bytes=10, paths={"/upload": 100, "/upload/tiny": 1})
    for target, size, status in (
        ("/upload", 100, 200),
        ("/upload/a", 100, 200),
        ("/upload/a", 101, 413),
        ("/upload/tiny", 2, 413),
        ("/uploads", 11, 413),
        ("/", 11, 413),
        ("/", 10, 200),
    ):
        answer = stack(limit, script=READS).request(target, method="POST", body=b"x" * size)
        assert answer.status == status, target


@shows("A body that ends before its declared length is 400, not a shorter body")
@pytest.mark.parametrize("swallows", [False, True])
@pytest.mark.parametrize("kind", ["wsgi", "wsgi-under-asgi"])
def test_a_body_that_ends_before_its_length_is_400(kind: str, swallows: bool) -> None:
    """As a WSGI server shows it: the stream ends. An ASGI server says http.disconnect, or this."""
    read: list[bytes] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        try:
            read.append(environ["wsgi.input"].read())
        except Exception:
            if not swallows:
                raise
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"all of it"]

    chain = Stack(kind, [BodyLimit(max_bytes=1000)], applications=(app, None))
    for sent, status in ((b"hello", 400), (b"x" * 100, 200)):
        answer = chain.request(method="POST", headers=[("Content-Length", "100")], body=sent)
        assert (answer.status, answer.body == b"all of it") == (status, status == 200)
    chain.close()
    assert read == [b"x" * 100]


@shows("A body that ends before its declared length is 400, not a shorter body")
def test_a_body_that_ends_before_its_length_is_not_accepted(stack: MakeStack) -> None:
    chain = stack(BodyLimit(max_bytes=1000), script=READS)
    answer = chain.request(method="POST", headers=[("Content-Length", "100")], body=b"hello")
    # An adapter to WSGI tells the application that the client left; everywhere else it is refused here.
    assert answer.status == 400 or (stack.kind == "asgi-under-wsgi" and answer.error is not None)  # type: ignore[attr-defined]
    assert answer.seen == []


@shows("A body within the limit, and an application that does not read, are not disturbed")
def test_an_application_that_does_not_read_is_not_disturbed(stack: MakeStack) -> None:
    answer = stack(BodyLimit(max_bytes=10)).request(method="POST", body=b"x" * 50, chunked=True)
    assert (answer.status, answer.body) == (200, b"hello")


@shows("A body within the limit, and an application that does not read, are not disturbed")
def test_a_request_without_a_body_passes(stack: MakeStack) -> None:
    assert stack(BodyLimit(max_bytes=1)).request().body == b"hello"


@pytest.mark.parametrize(
    "options",
    [{"max_bytes": 0}, {"max_bytes": -1}, {"max_bytes": 1, "paths": {"a": 1}}, {"max_bytes": 1, "paths": {"/a": -1}}],
)
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="BodyLimit"):
        BodyLimit(**options)  # type: ignore[arg-type]
