"""Compression: every peer on every question."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from gateway.middleware import Compression, ConditionalGet
from tests.evidence.anchors.django_peer import django
from tests.evidence.anchors.model import Case, Peer, shown
from tests.middleware.stacks import Answer, Call, Script

TEXT = b"The same sentence again and again. " * 60
ETAG = ("ETag", '"e"')


def _starlette(app: Any) -> Any:
    from starlette.middleware.gzip import GZipMiddleware

    return GZipMiddleware(app)


def _starlette_compress(app: Any) -> Any:
    from starlette_compress import CompressMiddleware

    return CompressMiddleware(app)


def _brotli_asgi(app: Any) -> Any:
    from brotli_asgi import BrotliMiddleware

    return BrotliMiddleware(app)


def _starlette_cramjam(app: Any) -> Any:
    from starlette_cramjam.middleware import CompressionMiddleware

    return CompressionMiddleware(app)


def peers(*named: str) -> list[Peer]:
    """Return all of them; ``named`` are those that the case was written for."""
    return [
        Peer("starlette", "`GZipMiddleware()`", _starlette, named="starlette" in named),
        Peer("starlette-compress", "`CompressMiddleware()`", _starlette_compress, named="starlette-compress" in named),
        Peer("brotli-asgi", "`BrotliMiddleware()`", _brotli_asgi, named="brotli-asgi" in named),
        Peer("starlette-cramjam", "`CompressionMiddleware()`", _starlette_cramjam, named="starlette-cramjam" in named),
        django("gzip", named="django" in named),
    ]


def asked(accept: str | None = "gzip, br, zstd", **more: Any) -> tuple[Call]:
    fields = [("Host", "example.org")] + ([("Accept-Encoding", accept)] if accept is not None else [])
    return (Call(headers=fields, **more),)


def answers(*fields: tuple[str, str], kind: str = "text/plain", **more: Any) -> Script:
    own = [("Content-Type", kind), ("Content-Length", str(len(TEXT))), *fields]
    return Script(headers=own, chunks=(TEXT,), **more)


def coding(answer: Answer) -> str:
    return answer.get("content-encoding") or "identity"


def is_coding(*codings: str) -> Callable[[Answer], bool]:
    return lambda answer: answer.status < 300 and coding(answer) in codings


def vary(answer: Answer) -> list[str]:
    return [name.strip().lower() for line in answer.all("vary") for name in line.split(",")]


def ours() -> list[Any]:
    return [Compression()]


def _weak(answer: Answer) -> bool:
    tag = answer.get("etag")
    return coding(answer) != "identity" and (tag is None or tag.startswith("W/"))


CASES = [
    Case(
        id="refused-by-q",
        part="Compression",
        asks="`Accept-Encoding: gzip;q=0`",
        rule="a quality of 0 means not acceptable: identity",
        source="RFC 9110 section 12.4.2",
        peers=peers("starlette", "brotli-asgi", "django"),
        ours=ours,
        steps=asked("gzip;q=0"),
        script=answers(),
        shows=coding,
        judge=is_coding("identity"),
    ),
    Case(
        id="refused-br-by-q",
        part="Compression",
        asks="`Accept-Encoding: br;q=0, gzip;q=0`",
        rule="neither coding is acceptable: identity",
        source="RFC 9110 section 12.4.2",
        peers=peers("brotli-asgi"),
        ours=ours,
        steps=asked("br;q=0, gzip;q=0"),
        script=answers(),
        shows=coding,
        judge=is_coding("identity"),
    ),
    Case(
        id="token-inside-another",
        part="Compression",
        asks="`Accept-Encoding: notgzip`",
        rule="codings are tokens, not substrings: identity",
        source="RFC 9110 section 12.5.3",
        peers=peers(),
        ours=ours,
        steps=asked("notgzip"),
        script=answers(),
        shows=coding,
        judge=is_coding("identity"),
    ),
    Case(
        id="star",
        part="Compression",
        asks="`Accept-Encoding: *`",
        rule="`*` stands for every coding that is not named: a coding or identity may be chosen",
        source="RFC 9110 section 12.5.3",
        peers=peers(),
        ours=ours,
        steps=asked("*"),
        script=answers(),
        shows=coding,
        judge=is_coding("identity", "gzip", "br", "zstd"),
    ),
    Case(
        id="part",
        part="Compression",
        asks="a 206 with Content-Range",
        rule="a range of the plain bytes is not compressed",
        source="RFC 9110 sections 14.4, 15.3.7",
        peers=peers("brotli-asgi", "starlette-cramjam", "django"),
        ours=ours,
        steps=asked(),
        script=answers(("Content-Range", f"bytes 0-{len(TEXT) - 1}/9999"), status=206),
        shows=coding,
        judge=is_coding("identity"),
    ),
    Case(
        id="no-transform",
        part="Compression",
        asks="`Cache-Control: no-transform`",
        rule="the content must not be transformed",
        source="RFC 9111 section 5.2.2.6",
        peers=peers("starlette", "starlette-compress", "brotli-asgi", "starlette-cramjam", "django"),
        ours=ours,
        steps=asked(),
        script=answers(("Cache-Control", "no-transform")),
        shows=coding,
        judge=is_coding("identity"),
    ),
    Case(
        id="image",
        part="Compression",
        asks="`Content-Type: image/png`",
        rule="a format that is already compressed is not compressed again",
        source="RFC 9110 section 8.4.1 (a coding makes the content smaller)",
        peers=peers("brotli-asgi", "starlette-cramjam", "django"),
        ours=ours,
        steps=asked(),
        script=answers(kind="image/png"),
        shows=coding,
        judge=is_coding("identity"),
    ),
    Case(
        id="vary-on-identity",
        part="Compression",
        asks="no `Accept-Encoding`, for a text that other clients would get compressed",
        rule="`Vary: Accept-Encoding`: a cache must not give one form to all clients",
        source="RFC 9110 section 12.5.5",
        peers=peers("brotli-asgi", "starlette-cramjam"),
        ours=ours,
        steps=asked(None),
        script=answers(),
        shows=shown("vary"),
        judge=lambda answer: vary(answer) == ["accept-encoding"],
    ),
    Case(
        id="strong-tag",
        part="Compression",
        asks='`ETag: "e"` on compressed text',
        rule="a strong tag identifies bytes, and compression changes them: a weak tag, or none",
        source="RFC 9110 section 8.8.1",
        peers=peers("starlette", "starlette-compress", "brotli-asgi", "starlette-cramjam"),
        ours=ours,
        steps=asked(),
        script=answers(ETAG),
        shows=lambda answer: f"{coding(answer)}, ETag {answer.get('etag')}",
        judge=_weak,
    ),
    Case(
        id="events",
        part="Compression",
        asks="`Content-Type: text/event-stream`, in two events",
        rule="the client can read the first event before the second is sent",
        source="HTML, server-sent events; RFC 9110 section 8.4",
        peers=peers(),
        ours=ours,
        steps=asked(),
        script=Script(headers=(("Content-Type", "text/event-stream"),), chunks=(b"data: 1\n\n", b"data: 2\n\n")),
        shows=lambda answer: (
            f"{coding(answer)}, the first event {'leaves alone' if _first_leaves_alone(answer) else 'waits'}"
        ),
        judge=lambda answer: _first_leaves_alone(answer),
    ),
    Case(
        id="ranges-of-coded",
        part="Compression",
        asks="`Accept-Ranges: bytes` on compressed text",
        rule="ranges of the plain bytes are not ranges of the compressed bytes: the header is removed",
        source="RFC 9110 section 14.3",
        peers=peers(),
        ours=ours,
        steps=asked(),
        script=answers(("Accept-Ranges", "bytes")),
        shows=lambda answer: f"{coding(answer)}, Accept-Ranges {answer.get('accept-ranges')}",
        judge=lambda answer: coding(answer) != "identity" and answer.get("accept-ranges") is None,
    ),
    Case(
        id="length-of-coded",
        part="Compression",
        asks="`Content-Length` of a complete text that is compressed",
        rule="the length of the compressed bytes, or no header",
        source="RFC 9110 section 8.6",
        peers=peers(),
        ours=ours,
        steps=asked(),
        script=answers(),
        shows=lambda answer: f"{coding(answer)}, {_length(answer)}",
        judge=lambda answer: coding(answer) != "identity" and answer.get("content-length") in (None, _sent(answer)),
    ),
    Case(
        id="head-304",
        part="ConditionalGet",
        asks="HEAD with `If-None-Match` of the current tag",
        rule="304, as for GET",
        source="RFC 9110 section 13.1.2",
        peers=[django("conditional")],
        ours=lambda: [ConditionalGet()],
        steps=(Call(method="HEAD", headers=(("Host", "example.org"), ("If-None-Match", '"e"'))),),
        script=answers(ETAG),
        shows=lambda answer: str(answer.status),
        judge=lambda answer: answer.status == 304,
    ),
    Case(
        id="list-of-tags",
        part="ConditionalGet",
        asks='`If-None-Match: "x", W/"e"`; the current tag is `"e"`',
        rule="304: any tag of the list matches, compared weakly",
        source="RFC 9110 sections 8.8.3.2, 13.1.2",
        peers=[django("conditional", named=False)],
        ours=lambda: [ConditionalGet()],
        steps=(Call(headers=(("Host", "example.org"), ("If-None-Match", '"x", W/"e"'))),),
        script=answers(ETAG),
        shows=lambda answer: str(answer.status),
        judge=lambda answer: answer.status == 304,
    ),
    Case(
        id="fields-of-a-304",
        part="ConditionalGet",
        asks="a 304 for a response with Cache-Control, Content-Location, ETag, Expires and Vary",
        rule="it keeps all five headers",
        source="RFC 9110 section 15.4.5",
        peers=[django("conditional", named=False)],
        ours=lambda: [ConditionalGet()],
        steps=(Call(headers=(("Host", "example.org"), ("If-None-Match", '"e"'))),),
        script=answers(
            ETAG,
            ("Cache-Control", "max-age=1"),
            ("Content-Location", "/x"),
            ("Expires", "Thu, 01 Dec 1994 16:00:00 GMT"),
            ("Vary", "Accept"),
        ),
        shows=lambda answer: f"{answer.status}, {len(_kept(answer))} of 5",
        judge=lambda answer: answer.status == 304 and len(_kept(answer)) == 5,
    ),
    Case(
        id="large-content-is-held",
        part="ConditionalGet",
        asks="entity tags are made from content; this response has 1 MiB and no tag",
        rule="content is not held and hashed without a limit: it is sent as it comes",
        source="by design: memory and the first byte",
        peers=[django("conditional")],
        ours=lambda: [ConditionalGet(auto_etag=True)],
        steps=(Call(headers=(("Host", "example.org"),)),),
        script=Script(headers=(("Content-Type", "text/plain"), ("Content-Length", str(2**20))), chunks=(b"x" * 2**20,)),
        shows=lambda answer: "hashed" if answer.get("etag") else "let through",
        judge=lambda answer: answer.get("etag") is None and len(answer.body) == 2**20,
    ),
]


def _first_leaves_alone(answer: Answer) -> bool:
    """Tell whether a client can read the first event before the second was sent."""
    import brotli
    import zstandard

    read: Callable[[bytes], bytes] = {
        "identity": bytes,
        "gzip": zlib.decompressobj(31).decompress,
        "br": brotli.Decompressor().process,
        "zstd": zstandard.ZstdDecompressor().decompressobj().decompress,
    }[coding(answer)]
    seen = b""
    for chunk in answer.chunks:
        seen += read(chunk)
        if seen == b"data: 1\n\n":
            return True
    return False


def _sent(answer: Answer) -> str:
    return str(len(answer.body))


def _length(answer: Answer) -> str:
    declared = answer.get("content-length")
    return "no length" if declared is None else "the length sent" if declared == _sent(answer) else "another length"


def _kept(answer: Answer) -> list[str]:
    names = ("cache-control", "content-location", "etag", "expires", "vary")
    return [name for name in names if answer.all(name)]
