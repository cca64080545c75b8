"""Every middleware answers the same wherever it stands: both drivers, both adapters, every way an application answers.

Two things differ by the interfaces' own rules, and are said here rather than left out: a head is committed by the
first byte on WSGI and by its own message on ASGI, so that an answer which fails without a byte has no status to
compare; and an ASGI application whose response was replaced runs on, so that what it raises afterwards still reaches
the server, where a WSGI application's iterable is closed and raises nothing.

A new middleware enters by one line of :data:`MIDDLEWARE`: how it is made, and a request that makes it act.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
)
from tests.middleware.stacks import STACKS, Answer, Call, Script, Stack

Make = Callable[[], Middleware]
HOST = ("Host", "example.com")
TEXT = b"a word and another word, " * 80

MIDDLEWARE: dict[str, tuple[Make, Call]] = {
    "access_log": (AccessLog, Call()),
    "body_limit": (lambda: BodyLimit(max_bytes=4), Call(method="POST", body=b"too long", chunked=True)),
    "compression": (lambda: Compression(padding=0), Call(headers=[("Accept-Encoding", "gzip")])),
    "conditional_get": (ConditionalGet, Call(headers=[("If-None-Match", '"v1"')])),
    "cors": (lambda: Cors(origins=("https://app.example",)), Call(headers=[("Origin", "https://app.example")])),
    "errors": (lambda: Errors(log=False), Call()),
    "health": (Health, Call(target="/readyz")),
    "https_redirect": (lambda: HttpsRedirect(host="example.com", hsts_seconds=60), Call(scheme="https")),
    "metrics": (lambda: Metrics(path=None), Call()),
    "proxy_headers": (
        lambda: ProxyHeaders(trust=("203.0.113.7",)),
        Call(headers=[("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-Proto", "https")]),
    ),
    "rate_limit": (lambda: RateLimit(limits="9/minute", dialect="none"), Call()),
    "request_id": (lambda: RequestId(accept="valid"), Call(headers=[("X-Request-ID", "the-same-id")])),
    "security_headers": (SecurityHeaders, Call()),
    "static_files": (
        lambda: StaticFiles(folders={"/here": Path(__file__).parent}),
        Call(target="/here/conftest.py", headers=[("Range", "bytes=0-9")]),
    ),
    "trusted_host": (lambda: TrustedHost(allowed=("example.com",)), Call(headers=[("Host", "evil.example")])),
}

FIELDS = (("Content-Type", "text/plain"), ("ETag", '"v1"'), ("Vary", "Cookie"), ("Set-Cookie", "a=1"))
FIELDS = (*FIELDS, ("Set-Cookie", "b=2"))
SHAPES: dict[str, Script] = {
    "whole": Script(headers=(*FIELDS, ("Content-Length", str(len(TEXT)))), chunks=(TEXT,), reads=True),
    "streamed": Script(headers=FIELDS, chunks=(TEXT[:10], TEXT[10:1000], TEXT[1000:]), reads=True),
    "empty": Script(status=204, headers=FIELDS[1:], chunks=(), reads=True),
    "refused": Script(status=404, headers=FIELDS, chunks=(b"no",), reads=True),
    "fails-before-the-head": Script(raises=RuntimeError("early"), reads=True),
    "fails-in-the-body": Script(headers=FIELDS, chunks=(TEXT, TEXT), raises=RuntimeError("late"), raises_after=1),
}


def told(answer: Answer, script: Script) -> dict[str, Any]:
    """Return what a client and a server can tell of an answer; the order of lines counts within a name."""
    fields: dict[str, list[str]] = {}
    for name, value in answer.headers:
        fields.setdefault(name.lower(), []).append(re.sub(r"max-age=\d+", "max-age", value))
    # Whoever knows the length of a whole body may say it: servers do, and so does an adapter.
    fields.pop("content-length", None)
    failed = type(answer.error).__name__ if answer.error is not None else None
    uncommitted = failed is not None and not answer.body and answer.status in (0, script.status)
    replaced = script.raises_after is not None and answer.status not in (0, script.status)
    return {
        "status": None if uncommitted else answer.status,
        "fields": None if uncommitted else fields,
        "body": answer.body,
        "failed": None if replaced else failed,
        "reached": [(seen.method, seen.path, seen.client, seen.scheme, seen.body) for seen in answer.seen],
    }


def ask(kind: str, make: Make, script: Script, call: Call) -> dict[str, Any]:
    stack = Stack(kind, [make()], script)
    try:
        return told(stack.request(call), script)
    finally:
        stack.close()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", MIDDLEWARE)
def test_a_middleware_answers_the_same_in_both_drivers_and_behind_both_adapters(name: str, shape: str) -> None:
    make, call = MIDDLEWARE[name]
    answers = {kind: ask(kind, make, SHAPES[shape], call) for kind in STACKS}
    for kind, answer in answers.items():
        assert answer == answers["wsgi"], kind


@pytest.mark.parametrize("reference", ["wsgi", "asgi"])
@pytest.mark.parametrize("name", MIDDLEWARE)
def test_a_middleware_answers_the_same_in_the_naive_drivers(
    name: str, reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, call = MIDDLEWARE[name]
    for script in SHAPES.values():
        specialised = ask(reference, make, script, call)
        monkeypatch.setenv("GATEWAY_REFERENCE", "1")
        naive = ask(reference, make, script, call)
        monkeypatch.delenv("GATEWAY_REFERENCE")
        assert naive == specialised


def test_every_middleware_is_in_the_table() -> None:
    modules = {path.stem for path in (Path(__file__).parents[2] / "middleware").glob("[a-z]*.py")} - {"presets"}
    assert set(MIDDLEWARE) == modules
