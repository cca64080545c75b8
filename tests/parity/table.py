"""Every middleware of the project, and the requests that make it act; every story that an application can tell it.

A new middleware enters by one line of :data:`MIDDLEWARE`: how it is made, and requests by name, each a sequence that
one instance is asked in order.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gateway.contract import Middleware
from gateway.middleware import (
    AccessLog,
    BodyLimit,
    Compression,
    ConditionalGet,
    Cors,
    Errors,
    Health,
    HttpsRedirect,
    Metrics,
    ProxyHeaders,
    RateLimit,
    RequestId,
    SecurityHeaders,
    StaticFiles,
    TrustedHost,
    Unbuffered,
)
from tests.middleware.stacks import Call
from tests.parity.stories import Story

Make = Callable[[], Middleware]
Requests = dict[str, tuple[Call, ...]]

HERE = Path(__file__).parent
ORIGIN = ("Origin", "https://app.example")
PLAIN = {"plain": (Call(),), "head": (Call(method="HEAD"),)}


def asked(**headers: str) -> tuple[Call, ...]:
    """One request with these header fields."""
    return (Call(headers=[(name.replace("_", "-"), value) for name, value in headers.items()]),)


def posted(body: bytes, *, chunked: bool = False) -> tuple[Call, ...]:
    return (Call(method="POST", body=body, chunked=chunked),)


MIDDLEWARE: dict[str, tuple[Make, Requests]] = {
    "access_log": (AccessLog, {**PLAIN, "post": posted(b"12345")}),
    "body_limit": (
        lambda: BodyLimit(max_bytes=4),
        {"under": posted(b"1234"), "declared": posted(b"12345"), "chunked": posted(b"too long", chunked=True)},
    ),
    "compression": (
        lambda: Compression(padding=0),
        {"gzip": asked(accept_encoding="gzip"), "refused": asked(accept_encoding="gzip;q=0"), "head": PLAIN["head"]},
    ),
    "conditional_get": (
        ConditionalGet,
        {"same": asked(if_none_match='"v1"'), "changed": asked(if_none_match='"v0"'), "head": PLAIN["head"]},
    ),
    "conditional_get-auto": (lambda: ConditionalGet(auto_etag=True), {**PLAIN, "any": asked(if_none_match="*")}),
    "cors": (
        lambda: Cors(origins=(ORIGIN[1],), credentials=True),
        {
            "allowed": (Call(headers=[ORIGIN]),),
            "stranger": asked(origin="https://evil.example"),
            "preflight": (Call(method="OPTIONS", headers=[ORIGIN, ("Access-Control-Request-Method", "PUT")]),),
        },
    ),
    "errors": (lambda: Errors(log=False), {**PLAIN, "json": asked(accept="application/json")}),
    "health": (Health, {**PLAIN, "ready": (Call(target="/readyz"),), "live": (Call(target="/livez"),)}),
    "https_redirect": (
        lambda: HttpsRedirect(host="example.com", hsts_seconds=60),
        {"secure": (Call(scheme="https"),), "plain": (Call(target="/a%20b?c"),)},
    ),
    "metrics": (lambda: Metrics(path=None), {**PLAIN, "post": posted(b"12345")}),
    "proxy_headers": (
        lambda: ProxyHeaders(trust=("203.0.113.7",)),
        {
            "trusted": asked(x_forwarded_for="192.0.2.1, 198.51.100.1", x_forwarded_proto="https"),
            "stranger": (Call(client=("192.0.2.9", 1), headers=[("X-Forwarded-For", "198.51.100.1")]),),
        },
    ),
    "rate_limit": (
        lambda: RateLimit(limits="2/hour", strategy="moving", dialect="none"),
        {"until-refused": (Call(), Call(), Call())},
    ),
    "request_id": (
        lambda: RequestId(accept="valid", generate=lambda: "made-by-us"),
        {"given": asked(x_request_id="the-same-id"), "refused": asked(x_request_id="<>"), "head": PLAIN["head"]},
    ),
    "security_headers": (SecurityHeaders, PLAIN),
    "static_files": (
        lambda: StaticFiles(folders={"/here": HERE}),
        {
            "range": (Call(target="/here/table.py", headers=[("Range", "bytes=0-9")]),),
            "whole": (Call(target="/here/__init__.py"), Call(target="/here/table.py", method="HEAD")),
            "missing": (Call(target="/here/none"),),
            "elsewhere": PLAIN["plain"],
        },
    ),
    "trusted_host": (
        lambda: TrustedHost(allowed=("example.com",)),
        {"known": asked(host="example.com"), "unknown": asked(host="evil.example")},
    ),
    "unbuffered": (Unbuffered, PLAIN),
}

TEXT = b"a word and another word, " * 80
FIELDS = (
    ("Content-Type", "text/plain"),
    ("ETag", '"v1"'),
    ("Vary", "Cookie"),
    ("Set-Cookie", "a=1"),
    ("Set-Cookie", "b=2"),
)
TWO = (TEXT[:1000], TEXT[1000:])

#: Stories that end well.
ENDING: dict[str, Story] = {
    "one-chunk": Story(headers=(*FIELDS, ("Content-Length", str(len(TEXT)))), chunks=(TEXT,)),
    "chunks": Story(headers=FIELDS, chunks=(TEXT[:10], TEXT[10:1000], TEXT[1000:])),
    "empty-chunks": Story(headers=FIELDS, chunks=(b"", TEXT[:1000], b"", TEXT[1000:], b"")),
    "untagged": Story(headers=(FIELDS[0], ("Content-Length", str(len(TEXT)))), chunks=TWO),
    "no-content": Story(204, FIELDS[1:]),
    "not-found": Story(404, FIELDS, (b"no",)),
}
#: Stories that fail, at each place.
FAILING: dict[str, Story] = {
    fails: Story(headers=FIELDS, chunks=TWO, fails=fails) for fails in ("before", "started", "middle", "end")
}
STORIES = {**ENDING, **FAILING}
