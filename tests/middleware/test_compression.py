"""Compression: RFC 9110's rules of content codings, on every kind of response."""

from __future__ import annotations

import asyncio
import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import brotli
import pytest
import zstandard

from gateway.drivers import build_asgi, build_wsgi
from gateway.errors import ConfigurationError
from gateway.middleware._codings import Encoder, encoder_factory
from gateway.middleware.compression import Compression
from gateway.middleware.conditional_get import ConditionalGet
from gateway.middleware.static_files import StaticFiles
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Answer, Pairs, Script, Stack
from tests.shows import shows

TEXT = b"a word and a word and another word, " * 60
DECODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


def script(*extra: tuple[str, str], status: int = 200, kind: str = "text/plain", length: bool = True) -> Script:
    """Return an application that sends the text whole, or in three chunks without a declared length."""
    fields = (("Content-Type", kind), *extra)
    if length:
        return Script(status, (*fields, ("Content-Length", str(len(TEXT)))), (TEXT,))
    return Script(status, fields, (TEXT[:700], TEXT[700:701], TEXT[701:]))


def fetch(chain: Stack, accept: str = "gzip", **changes: object) -> Answer:
    return chain.request(headers=[("Accept-Encoding", accept)], **changes)


def decoded(answer: Answer) -> bytes:
    coding = answer.get("content-encoding")
    return DECODE[coding](answer.body) if coding else answer.body


@shows("gzip, br and zstd decode to what the application sent, whole and streamed")
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("length", [True, False], ids=["whole", "stream"])
def test_the_body_decodes_to_what_the_application_sent(stack: MakeStack, coding: str, length: bool) -> None:
    answer = fetch(stack(Compression(), script=script(length=length)), coding)
    assert answer.get("content-encoding") == coding
    assert decoded(answer) == TEXT
    assert len(answer.body) < len(TEXT)


@shows("A one-shot body has a correct Content-Length; a stream has none")
def test_a_whole_body_keeps_a_true_content_length(stack: MakeStack) -> None:
    answer = fetch(stack(Compression(), script=script()))
    assert answer.get("content-length") == str(len(answer.body))


@shows("A one-shot body has a correct Content-Length; a stream has none")
def test_a_stream_loses_its_content_length(stack: MakeStack) -> None:
    large = TEXT * 100
    app = Script(
        headers=(("Content-Type", "text/plain"), ("Content-Length", str(len(large)))), chunks=(large[:9], large[9:])
    )
    answer = fetch(stack(Compression(), script=app))
    assert answer.get("content-length") is None
    assert decoded(answer) == large


@shows("Qualities are parsed, tokens match whole, * and x-gzip count, q=0 refuses, identity is the fallback, never 406")
@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip;q=0", None),
        ("gzip;q=0, br;q=0.1", "br"),
        ("br;q=0", None),
        ("gzipped", None),
        ("*", "zstd"),
        ("*;q=0", None),
        ("x-gzip", "gzip"),
        ("gzip;q=0.9, br;q=0.8", "gzip"),
        ("identity", None),
        ("", None),
    ],
)
def test_qualities_are_parsed_and_tokens_compared_whole(stack: MakeStack, accept: str, coding: str | None) -> None:
    answer = fetch(stack(Compression(), script=script()), accept)
    assert (answer.status, answer.get("content-encoding")) == (200, coding)
    assert decoded(answer) == TEXT


@shows("The server's preference decides among the highest quality")
def test_the_servers_preference_decides_among_equals(stack: MakeStack) -> None:
    answer = fetch(stack(Compression(codings=("br", "gzip")), script=script()), "gzip, br, zstd")
    assert answer.get("content-encoding") == "br"


@shows("Vary: Accept-Encoding is on every response that could have been compressed, merged, not overwritten")
@pytest.mark.parametrize("accept", ["gzip", "identity", None])
def test_vary_is_on_every_response_that_could_have_been_compressed(stack: MakeStack, accept: str | None) -> None:
    fields = [("Accept-Encoding", accept)] if accept else []
    answer = stack(Compression(), script=script()).request(headers=fields)
    assert answer.get("vary") == "Accept-Encoding"


@shows("Vary: Accept-Encoding is on every response that could have been compressed, merged, not overwritten")
def test_vary_is_merged_not_overwritten_or_doubled(stack: MakeStack) -> None:
    assert fetch(stack(Compression(), script=script(("Vary", "Cookie")))).get("vary") == "Cookie, Accept-Encoding"
    assert fetch(stack(Compression(), script=script(("Vary", "accept-encoding")))).get("vary") == "accept-encoding"
    assert fetch(stack(Compression(), script=script(("Vary", "*")))).get("vary") == "*"


LEFT_ALONE = [
    ("coded-already", script(("Content-Encoding", "br"))),
    ("content-range", script(("Content-Range", "bytes 0-1/2"))),
    ("no-transform", script(("Cache-Control", "public, no-transform"))),
    ("206", script(status=206)),
    ("205", Script(205, (("Content-Type", "text/plain"), ("Content-Length", "0")), ())),
    ("204", Script(204, (("Content-Type", "text/plain"),), ())),
    ("image", script(kind="image/png")),
    ("no-type", Script(headers=(("Content-Length", str(len(TEXT))),), chunks=(TEXT,))),
    ("event-stream", script(kind="text/event-stream", length=False)),
]


@shows(
    "Left alone: 1xx, 204, 205, 206, 304, HEAD's body, Content-Encoding, Content-Range, no-transform, types not listed"
)
@shows("An event stream is compressed only if opted in")
@pytest.mark.parametrize("app", [case[1] for case in LEFT_ALONE], ids=[case[0] for case in LEFT_ALONE])
def test_responses_that_must_not_be_compressed_stay_unchanged(stack: MakeStack, app: Script) -> None:
    answer = fetch(stack(Compression(), script=app))
    assert answer.status == app.status
    assert answer.get("content-encoding") == dict(app.headers).get("Content-Encoding")
    assert answer.body == b"".join(app.chunks)
    assert answer.get("vary") is None


@shows("Left alone: content of a declared length below the minimum")
def test_content_below_the_minimum_is_not_compressed_but_has_vary(stack: MakeStack) -> None:
    app = Script(headers=(("Content-Type", "text/plain"), ("Content-Length", "499")), chunks=(b"x" * 499,))
    answer = fetch(stack(Compression(), script=app))
    assert (answer.get("content-encoding"), answer.get("vary")) == (None, "Accept-Encoding")


@shows("A pattern of media types matches without case, and *+json, text/* and */* are patterns")
@shows("Types match exactly, by type/*, by suffix, without case")
@pytest.mark.parametrize("kind", ["application/vnd.api+json", "image/svg+xml", "TEXT/HTML; charset=utf-8", "text/css"])
def test_types_match_without_case_by_suffix_and_by_top_level(stack: MakeStack, kind: str) -> None:
    assert fetch(stack(Compression(), script=script(kind=kind))).get("content-encoding") == "gzip"


@shows("A pattern of media types matches without case, and *+json, text/* and */* are patterns")
@pytest.mark.parametrize("pattern", ["Application/X-Mine", "*/*", "APPLICATION/*", "application/x-mine"])
def test_media_type_patterns_ignore_case_and_may_match_all(stack: MakeStack, pattern: str) -> None:
    chain = stack(Compression(types=(pattern,)), script=script(kind="application/X-mine; v=1"))
    assert fetch(chain).get("content-encoding") == "gzip"
    other = fetch(stack(Compression(types=(pattern,)), script=script(kind="image/png")))
    assert other.get("content-encoding") == ("gzip" if pattern == "*/*" else None)


@pytest.mark.parametrize("etag", ["weaken", "suffix"])
def test_an_invalid_entity_tag_is_left_as_it_is(stack: MakeStack, etag: str) -> None:
    answer = fetch(stack(Compression(etag=etag), script=script(("ETag", "unquoted"))))
    assert (answer.get("content-encoding"), answer.get("etag")) == ("gzip", "unquoted")


@shows(
    "Left alone: 1xx, 204, 205, 206, 304, HEAD's body, Content-Encoding, Content-Range, no-transform, types not listed"
)
def test_a_head_has_the_fields_of_the_get(stack: MakeStack) -> None:
    chain = stack(Compression(), script=script(("ETag", '"v1"')))
    head, get = fetch(chain, method="HEAD"), fetch(chain)
    assert head.body == b""
    for name in ("content-encoding", "etag", "vary", "content-type"):
        assert head.get(name) == get.get(name)


@shows("HEAD of a file has the headers of GET, and a length only if it is that of GET")
@pytest.mark.parametrize("size", [2000, 2_000_000], ids=["in-memory", "sent-by-the-server"])
def test_a_head_of_a_file_has_the_fields_of_the_get(stack: MakeStack, size: int, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_bytes((b"some words " * size)[:size])
    chain = stack(Compression(), StaticFiles(folders={"/s": tmp_path}))
    got = chain.request("/s/file.txt", headers=[("Accept-Encoding", "gzip")])
    asked = chain.request("/s/file.txt", headers=[("Accept-Encoding", "gzip")], method="HEAD")
    coded = got.get("content-encoding") is not None
    assert coded is (size == 2000)
    for name in ("content-encoding", "etag", "vary", "accept-ranges", "last-modified"):
        assert asked.get(name) == got.get(name), name
    # The length of coded content is not known without the content.
    assert asked.get("content-length") == (None if coded else got.get("content-length"))


@shows(
    "A strong entity tag is weakened, or suffixed by option; Content-Length, Accept-Ranges and digests of the "
    "plain bytes go"
)
def test_a_strong_entity_tag_is_weakened_and_stale_fields_go(stack: MakeStack) -> None:
    app = script(
        ("ETag", '"v1"'), ("Accept-Ranges", "bytes"), ("Content-MD5", "x"), ("Content-Digest", "x"), ("Digest", "x")
    )
    answer = fetch(stack(Compression(), script=app))
    assert answer.get("etag") == 'W/"v1"'
    assert not {"accept-ranges", "content-md5", "content-digest", "digest"} & {n.lower() for n, _ in answer.headers}


@shows(
    "A strong entity tag is weakened, or suffixed by option; Content-Length, Accept-Ranges and digests of the "
    "plain bytes go"
)
def test_a_weak_entity_tag_stays(stack: MakeStack) -> None:
    assert fetch(stack(Compression(), script=script(("ETag", 'W/"v1"')))).get("etag") == 'W/"v1"'


@shows(
    "A strong entity tag is weakened, or suffixed by option; Content-Length, Accept-Ranges and digests of the "
    "plain bytes go"
)
def test_uncompressed_answers_keep_their_entity_tag(stack: MakeStack) -> None:
    assert fetch(stack(Compression(), script=script(("ETag", '"v1"'))), "identity").get("etag") == '"v1"'


@shows(
    "A strong entity tag is weakened, or suffixed by option; Content-Length, Accept-Ranges and digests of the "
    "plain bytes go"
)
def test_a_suffixed_entity_tag_comes_back_to_the_application_without_it(stack: MakeStack) -> None:
    chain = stack(Compression(etag="suffix"), ConditionalGet(), script=script(("ETag", '"v1"')))
    tag = fetch(chain).get("etag")
    assert tag == '"v1-gzip"'
    again = chain.request(headers=[("Accept-Encoding", "gzip"), ("If-None-Match", tag)])
    assert (again.status, again.get("etag"), again.get("vary")) == (304, '"v1-gzip"', "Accept-Encoding")
    plain = chain.request(headers=[("If-None-Match", '"v1"')])
    assert (plain.status, plain.get("etag")) == (304, '"v1"')


@shows("A 304 has the weak entity tag that its compressed 200 had")
@pytest.mark.parametrize(
    ("asked", "given"),
    [('W/"v1"', 'W/"v1"'), ('"v0", W/"v1"', 'W/"v1"'), ('"v1"', '"v1"'), ("*", '"v1"')],
    ids=["weak", "in-a-list", "strong", "star"],
)
def test_a_304_has_the_tag_that_the_client_holds(stack: MakeStack, asked: str, given: str) -> None:
    chain = stack(Compression(), script=Script(status=304, headers=(("ETag", '"v1"'),), chunks=()))
    answer = chain.request(headers=[("Accept-Encoding", "gzip"), ("If-None-Match", asked)])
    assert (answer.status, answer.get("etag")) == (304, given)


@shows("Vary: Accept-Encoding is on every response that could have been compressed, merged, not overwritten")
def test_a_304_varies_as_the_200_does(stack: MakeStack) -> None:
    chain = stack(Compression(), ConditionalGet(), script=script(("ETag", '"v1"')))
    answer = chain.request(headers=[("Accept-Encoding", "gzip"), ("If-None-Match", 'W/"v1"')])
    assert (answer.status, answer.get("vary"), answer.get("content-encoding")) == (304, "Accept-Encoding", None)


@shows("An event stream is compressed only if opted in")
def test_an_event_stream_is_compressed_only_if_opted_in(stack: MakeStack) -> None:
    events = Script(headers=(("Content-Type", "text/event-stream"),), chunks=[b"data: 1\n\n", b"data: 2\n\n"])
    assert fetch(stack(Compression(), script=events)).get("content-encoding") is None
    answer = fetch(stack(Compression(event_stream=True), script=events))
    assert answer.get("content-encoding") == "gzip"
    assert decoded(answer) == b"data: 1\n\ndata: 2\n\n"


LINES = [b'{"line": %d, "text": "some text of a line"}\n' % number for number in range(4)]
MEDIA_TYPES = ("text/plain", "application/x-ndjson", "application/jsonl", "application/json", "text/event-stream")


class Incremental:
    """A decoder of each coding that gives what can be decoded so far."""

    def __init__(self, coding: str | None) -> None:
        self.feed: Callable[[bytes], bytes]
        if coding == "gzip":
            self.feed = zlib.decompressobj(31).decompress
        elif coding == "br":
            self.feed = brotli.Decompressor().process
        elif coding == "zstd":
            self.feed = zstandard.ZstdDecompressor().decompressobj().decompress
        else:
            self.feed = bytes


def live(
    interface: str, accept: str, chain: list[Any], fields: Pairs, parts: list[bytes]
) -> tuple[bytes, list[tuple[int, int]]]:
    """Serve a stream whose every part is made when it is asked for.

    Returns the text, and pairs: how much of it the client could read, and how many parts were made by then.
    """
    made = 0
    text = b""
    decoder = Incremental(None)
    read: list[tuple[int, int]] = []

    def take(chunk: bytes) -> None:
        nonlocal text
        text += decoder.feed(chunk)
        read.append((len(text), made))

    def wsgi(environ: Any, start_response: Any) -> Iterator[bytes]:
        nonlocal made
        start_response("200 OK", list(fields))
        for part in parts:
            made += 1
            yield part

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        nonlocal made
        head = [(name.lower().encode(), value.encode()) for name, value in fields]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for part in parts:
            made += 1
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], None]:
        nonlocal decoder
        decoder = Incremental(dict(headers).get("content-encoding"))
        return take

    async def send(message: Any) -> None:
        nonlocal decoder
        if message["type"] == "http.response.start":
            decoder = Incremental(dict(message["headers"]).get(b"content-encoding", b"").decode())
        elif message["body"]:
            take(message["body"])

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async def serve() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"accept-encoding", accept.encode())]}
        await build_asgi(chain, asgi)(scope, receive, send)

    if interface == "wsgi":
        environ: dict[str, Any] = {"HTTP_ACCEPT_ENCODING": accept}
        setup_testing_defaults(environ)
        body = build_wsgi(chain, wsgi)(environ, start)
        for chunk in body:
            take(chunk)
        body.close()  # type: ignore[attr-defined]  # it has one
    else:
        asyncio.run(serve())
    return text, read


@shows(
    "A stream of any media type is let out chunk by chunk, unless the application declares its length",
    once="both drivers; an adapter may join chunks, and the tests of whole deployments look at those",
)
@pytest.mark.parametrize("kind", MEDIA_TYPES)
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "identity"])
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_each_line_of_a_stream_can_be_read_before_the_next_is_made(interface: str, coding: str, kind: str) -> None:
    chain = [Compression(event_stream=True)]
    text, read = live(interface, coding, chain, [("Content-Type", kind)], LINES)
    assert text == b"".join(LINES)
    for number in range(1, len(LINES) + 1):
        length = len(b"".join(LINES[:number]))
        assert next(made for size, made in read if size >= length) == number, f"line {number} is held back"


@shows("A stream of any media type is let out chunk by chunk, unless the application declares its length")
def test_a_stream_of_declared_length_may_be_held_together() -> None:
    whole = b"".join(LINES)
    fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(whole)))]
    for interface in ("wsgi", "asgi"):
        text, read = live(interface, "gzip", [Compression(min_bytes=0)], fields, LINES)
        assert text == whole
        assert max(made for _, made in read) == len(LINES)
        assert next(made for size, made in read if size) == len(LINES), "a download compresses best unflushed"


@shows("Levels are options")
def test_levels_are_options(stack: MakeStack) -> None:
    text = b"".join(b"%d squared is %d; " % (number, number * number) for number in range(3000))
    sizes = []
    for level in (1, 9):
        app = Script(headers=(("Content-Type", "text/plain"), ("Content-Length", str(len(text)))), chunks=(text,))
        answer = fetch(stack(Compression(levels={"gzip": level}, padding=0), script=app))
        assert gzip.decompress(answer.body) == text
        sizes.append(len(answer.body))
    assert sizes[1] < sizes[0]


@shows(
    "Chunks from 128 KiB on are compressed off the event loop, in order",
    once="only an event loop has something to be kept off",
)
def test_large_chunks_are_compressed_off_the_loop_and_in_order(
    socket_stack: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[tuple[int, bool]] = []

    def watched(coding: str, level: int | None, *, padding: int = 0) -> Callable[[], Encoder]:
        class Watched:
            def __init__(self) -> None:
                self.encoder = encoder_factory(coding, level, padding=padding)()

            def push(self, data: bytes) -> bytes:
                threads.append((len(data), threading.current_thread() is threading.main_thread()))
                return self.encoder.push(data)

            def flush(self) -> bytes:
                return self.encoder.flush()

            def finish(self) -> bytes:
                return self.encoder.finish()

        return Watched

    monkeypatch.setattr("gateway.middleware.compression.encoder_factory", watched)
    chunks = [bytes([65 + index]) * size for index, size in enumerate((10, 128 * 1024, 20, 256 * 1024))]
    answer = fetch(socket_stack(Compression(), script=Script(chunks=chunks)))
    assert gzip.decompress(answer.body) == b"".join(chunks)
    assert threads == [(10, True), (128 * 1024, False), (20, True), (256 * 1024, False)]


@shows("BREACH: a gzip header carries random padding; skip_if leaves a response alone")
def test_padding_makes_the_length_of_equal_answers_differ(stack: MakeStack) -> None:
    chain = stack(Compression(), script=script())
    answers = [fetch(chain) for _ in range(12)]
    assert len({len(answer.body) for answer in answers}) > 1
    assert {decoded(answer) for answer in answers} == {TEXT}


@shows("BREACH: a gzip header carries random padding; skip_if leaves a response alone")
def test_skip_if_leaves_a_response_alone(stack: MakeStack) -> None:
    chain = stack(Compression(skip_if=lambda request, response: "set-cookie" in response.headers), script=script())
    assert fetch(chain).get("content-encoding") == "gzip"
    secret = stack(
        Compression(skip_if=lambda request, response: "set-cookie" in response.headers),
        script=script(("Set-Cookie", "session=1")),
    )
    assert fetch(secret).get("content-encoding") is None


@shows("A body that fails is cut; a client that leaves ends the stream")
def test_an_application_that_fails_in_its_body_is_cut_not_completed(stack: MakeStack) -> None:
    app = Script(
        headers=(("Content-Type", "text/plain"),), chunks=(TEXT, TEXT), raises=RuntimeError("late"), raises_after=1
    )
    answer = fetch(stack(Compression(), script=app))
    assert isinstance(answer.error, RuntimeError | OSError)


@shows("A body that fails is cut; a client that leaves ends the stream")
def test_a_client_that_leaves_ends_the_stream(stack: MakeStack) -> None:
    app = Script(headers=(("Content-Type", "text/event-stream"),), chunks=[b"data: x\n\n"] * 50)
    answer = fetch(stack(Compression(event_stream=True), script=app), leave_after=2)
    assert len(answer.chunks) < 50


@pytest.mark.parametrize(
    "options",
    [
        {"codings": ()},
        {"codings": ("deflate",)},
        {"min_bytes": -1},
        {"padding": -1},
        {"etag": "strong"},
        {"types": ("html",)},
        {"types": ("application/*+json",)},
        {"types": ("text/html; charset=utf-8",)},
        {"types": ("*/html",)},
        {"levels": {"gzip": 11}},
        {"levels": {"lzma": 1}},
    ],
)
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Compression(**options)  # type: ignore[arg-type]
