"""ConditionalGet: 304 and 412, as RFC 9110 section 13 has them."""

from __future__ import annotations

import pytest

from gateway.errors import ConfigurationError
from gateway.middleware.conditional_get import ConditionalGet
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Script
from tests.shows import shows

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LATER = "Mon, 07 Nov 1994 08:49:37 GMT"
EARLIER = "Sat, 05 Nov 1994 08:49:37 GMT"
TAGGED = Script(
    headers=(
        ("Content-Type", "text/plain"),
        ("Content-Length", "5"),
        ("Content-Language", "en"),
        ("Cache-Control", "max-age=5"),
        ("Content-Location", "/there"),
        ("Expires", LATER),
        ("Vary", "Cookie"),
        ("ETag", '"v1"'),
        ("Last-Modified", DATE),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Content-Security-Policy", "default-src 'self'"),
    )
)


@shows("304 for GET and HEAD on 200, compared weakly, lists and * included")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("value", ['"v1"', 'W/"v1"', '"v0", "v1"', "*"])
def test_a_matching_if_none_match_gives_304_without_content(stack: MakeStack, method: str, value: str) -> None:
    answer = stack(ConditionalGet(), script=TAGGED).request(method=method, headers=[("If-None-Match", value)])
    assert (answer.status, answer.body, answer.error) == (304, b"", None)


@shows("A 304 keeps Cache-Control, Content-Location, Date, ETag, Expires, Vary and drops the content's fields and body")
def test_a_304_keeps_updating_headers_and_drops_content_headers(stack: MakeStack) -> None:
    answer = stack(ConditionalGet(), script=TAGGED).request(headers=[("If-None-Match", '"v1"')])
    kept = {name.lower() for name, _ in answer.headers}
    assert {"cache-control", "content-location", "etag", "expires", "vary", "content-security-policy"} <= kept
    assert answer.all("set-cookie") == ["a=1", "b=2"]
    assert not {"content-type", "content-length", "content-language", "last-modified"} & kept


@shows("If-None-Match goes before If-Modified-Since; If-Match before If-Unmodified-Since")
@shows("If-Match and If-Unmodified-Since lead to 412 for methods that read only")
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("If-None-Match", '"v0"')], 200),
        ([("If-None-Match", '"v0"'), ("If-Modified-Since", DATE)], 200),
        ([("If-Modified-Since", DATE)], 304),
        ([("If-Modified-Since", EARLIER)], 200),
        ([("If-Modified-Since", "yesterday")], 200),
        ([("If-Match", '"v0"')], 412),
        ([("If-Match", '"v1"')], 200),
        ([("If-Unmodified-Since", EARLIER)], 412),
        ([("If-Unmodified-Since", DATE)], 200),
        ([], 200),
    ],
)
def test_conditions_are_evaluated_in_the_prescribed_order(
    stack: MakeStack, fields: list[tuple[str, str]], status: int
) -> None:
    answer = stack(ConditionalGet(), script=TAGGED).request(headers=fields)
    assert answer.status == status
    assert answer.body == {200: b"hello", 304: b""}.get(status, answer.body)


@shows("If-Match and If-Unmodified-Since lead to 412 for methods that read only")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_pass_because_the_application_has_acted(stack: MakeStack, method: str) -> None:
    fields = [("If-None-Match", '"v1"'), ("If-Match", '"v0"')]
    assert stack(ConditionalGet(), script=TAGGED).request(method=method, headers=fields).status == 200


@shows("304 for GET and HEAD on 200, compared weakly, lists and * included")
@pytest.mark.parametrize("status", [201, 206, 301, 404, 500])
def test_only_a_200_is_evaluated(stack: MakeStack, status: int) -> None:
    script = Script(status=status, headers=(("ETag", '"v1"'), ("Content-Length", "5")))
    assert stack(ConditionalGet(), script=script).request(headers=[("If-None-Match", '"v1"')]).status == status


@shows("An entity tag can be made of content of at most 256 KiB, unless no-store or streaming")
def test_an_entity_tag_is_made_of_content_of_known_small_length(stack: MakeStack) -> None:
    script = Script(headers=(("Content-Length", "10"),), chunks=(b"hello", b"world"))
    chain = stack(ConditionalGet(auto_etag=True), script=script)
    first = chain.request()
    tag = first.get("etag")
    assert (first.status, first.body) == (200, b"helloworld")
    assert tag is not None
    assert chain.request(headers=[("If-None-Match", tag)]).status == 304
    assert chain.request(headers=[("If-None-Match", '"other"')]).body == b"helloworld"


@shows("An entity tag can be made of content of at most 256 KiB, unless no-store or streaming")
@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ((), "a length is not declared: it may be a stream"),
        ((("Content-Length", "10"), ("Cache-Control", "private, No-Store")), "no-store"),
        ((("Content-Length", "300000"),), "too large"),
    ],
)
def test_streams_and_no_store_responses_get_no_entity_tag(
    stack: MakeStack, headers: tuple[tuple[str, str], ...], why: str
) -> None:
    chunks = (b"x" * 300_000,) if why == "too large" else (b"hello", b"world")
    answer = stack(ConditionalGet(auto_etag=True), script=Script(headers=headers, chunks=chunks)).request()
    assert answer.get("etag") is None
    assert answer.body == b"".join(chunks)


@shows("An entity tag can be made of content of at most 256 KiB, unless no-store or streaming")
def test_the_applications_own_entity_tag_stays(stack: MakeStack) -> None:
    assert stack(ConditionalGet(auto_etag=True), script=TAGGED).request().get("etag") == '"v1"'


def test_a_limit_of_zero_bytes_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="max_bytes"):
        ConditionalGet(max_bytes=0)
