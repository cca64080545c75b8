"""Responses without content: a 304 changes nothing of the stored document, and a HEAD has the headers of its GET."""

from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

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
from tests.middleware.conftest import MakeStack
from tests.middleware.pages import classes
from tests.middleware.stacks import Script, Seen
from tests.shows import shows

#: Every middleware, with the options that make it set the most.
EVERY: list[Any] = [
    lambda: AccessLog(),
    lambda: BodyLimit(max_bytes=10),
    lambda: Compression(min_bytes=0, padding=0),
    lambda: ConditionalGet(auto_etag=True),
    lambda: Cors(origins=("https://app.example",), credentials=True, expose=("X-A",)),
    lambda: Errors(),
    lambda: Health(),
    lambda: HttpsRedirect(hsts_seconds=60),
    lambda: Metrics(registry=CollectorRegistry()),
    lambda: ProxyHeaders(trust=("10.0.0.0/8",)),
    lambda: RateLimit(limits="1000/minute"),
    lambda: RequestId(),
    lambda: SecurityHeaders(preset="strict", content_security_policy="script-src {nonce}", override=True),
    lambda: StaticFiles(folders={"/static": "/nonexistent"}, autorefresh=True),
    lambda: TrustedHost(allowed=("example.org",)),
    lambda: Unbuffered(),
]
IDS = [type(make()).__name__ for make in EVERY]
REQUEST = {"headers": [("Host", "example.org"), ("Origin", "https://app.example"), ("Accept-Encoding", "gzip")]}
#: Headers of the exchange: they say nothing of the content (RFC 9110 section 15.4.5, and what caches do not store).
OF_THE_EXCHANGE = re.compile(
    r"etag|vary|cache-control|expires|date|content-location|x-request-id|access-control-.*|ratelimit.*"
    r"|strict-transport-security"
)


def test_every_middleware_is_tried_here() -> None:
    assert {kind.__name__ for kind in classes().values()} == set(IDS)


@pytest.mark.parametrize("make", EVERY, ids=IDS)
def test_a_304_gets_no_content_headers(stack: MakeStack, make: Any) -> None:
    app = Script(status=304, headers=(("ETag", '"v1"'), ("Cache-Control", "no-cache")), chunks=())
    answer = stack(make(), script=app).request(scheme="https", **REQUEST)
    assert answer.status == 304
    names = [name.lower() for name, _ in answer.headers]
    assert [name for name in names if not OF_THE_EXCHANGE.fullmatch(name)] == []


@pytest.mark.parametrize("make", EVERY, ids=IDS)
def test_a_204_gets_no_content_headers(stack: MakeStack, make: Any) -> None:
    answer = stack(make(), script=Script(status=204, headers=(), chunks=())).request(scheme="https", **REQUEST)
    assert answer.status == 204
    unwanted = ("content-length", "content-type", "content-encoding", "transfer-encoding", "etag", "accept-ranges")
    assert [name for name, _ in answer.headers if name.lower() in unwanted] == []


@pytest.mark.parametrize("make", EVERY, ids=IDS)
def test_a_head_has_the_headers_of_its_get(stack: MakeStack, make: Any) -> None:
    content = b"x" * 1000
    app = Script(headers=(("Content-Type", "text/plain"), ("Content-Length", "1000")), chunks=(content,))
    chain = stack(make(), script=app)
    get, head = (chain.request(method=method, scheme="https", **REQUEST) for method in ("GET", "HEAD"))
    # An entity tag made of the content is omitted for HEAD (RFC 9110 section 9.3.2), and counters go on.
    left_out = {"etag", "content-length", "transfer-encoding", "ratelimit", "x-request-id"}
    assert [(name, value) for name, value in head.headers if name.lower() not in left_out] == [
        (name, value) for name, value in get.headers if name.lower() not in left_out
    ]


PAGE = (("Content-Type", "text/html"), ("ETag", '"v1"'))
POLICY = "script-src 'self' {nonce}"


def reads_its_nonce(seen: Seen) -> Script:
    nonce = str(seen.state["csp_nonce"])
    return Script(headers=PAGE, chunks=(f"<script nonce={nonce}>".encode(),))


@shows("A 304 gets none of the headers")
@pytest.mark.parametrize("inside", [True, False], ids=["inside-conditional-get", "outside-conditional-get"])
def test_a_304_keeps_the_nonce_of_its_document(stack: MakeStack, inside: bool) -> None:
    policy = SecurityHeaders(content_security_policy=POLICY, report_only=POLICY)
    chain = stack(*[ConditionalGet(), policy][:: 1 if inside else -1], script=Script(act=reads_its_nonce))
    page = chain.request()
    assert re.search(rb"nonce=([\w-]+)", page.body)
    assert "'nonce-" in (page.get("content-security-policy") or "")
    again = chain.request(headers=[("If-None-Match", '"v1"')])
    assert again.status == 304
    assert again.all("content-security-policy") == again.all("content-security-policy-report-only") == []


@shows("A 304 gets none of the headers")
def test_a_304_does_not_replace_the_policy_that_the_application_set_on_its_page(stack: MakeStack) -> None:
    own = (*PAGE, ("Content-Security-Policy", "script-src 'nonce-abc'"), ("X-Frame-Options", "ALLOWALL"))
    act = lambda seen: Script(304, (("ETag", '"v1"'),), ()) if "if-none-match" in seen.headers else None  # noqa: E731
    chain = stack(SecurityHeaders(preset="strict"), script=Script(headers=own, act=act))
    assert chain.request().get("content-security-policy") == "script-src 'nonce-abc'"
    again = chain.request(headers=[("If-None-Match", '"v1"')])
    assert (again.status, again.all("content-security-policy"), again.all("x-frame-options")) == (304, [], [])


def test_a_304_that_conditional_get_makes_has_no_policy_of_the_new_content(stack: MakeStack) -> None:
    own = (*PAGE, ("Content-Security-Policy", "script-src 'nonce-new'"))
    chain = stack(ConditionalGet(), script=Script(headers=own))
    again = chain.request(headers=[("If-None-Match", '"v1"')])
    assert (again.status, again.all("content-security-policy")) == (304, [])


def test_a_header_that_is_stripped_is_stripped_of_a_304_too(stack: MakeStack) -> None:
    app = Script(304, (("ETag", '"v1"'), ("X-Powered-By", "x")), ())
    assert stack(SecurityHeaders(), script=app).request().all("x-powered-by") == []
