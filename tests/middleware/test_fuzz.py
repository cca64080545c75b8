"""Whatever a client writes into the fields that the middleware read: no crash, and an answer that is an answer.

The whole chain of a preset in both drivers, under the validator of this package, which tells where a response breaks
the protocol; what the server hands in is broken on purpose. What each field must hold is told here by regular
expressions written from the grammar of its RFC, and never by the parsers.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.middleware import Cors, RequestId, StaticFiles, edge
from gateway.middleware.proxy_headers import ProxyHeaders
from gateway.rules import Validator
from tests.middleware.stacks import Answer, Call, Script, Stack

CONTENT = b"0123456789" * 100
APP = "https://app.example"
#: A good value of each field that somebody in the chain reads; what is sent is one of these, altered, or anything.
GOOD: dict[str, list[str]] = {
    "Host": ["example.org", "example.org:8080", "a.example.org.", "[::1]:80"],
    "Forwarded": ['for=203.0.113.9;proto=https, for="[2001:db8::1]:4711"', "for=unknown;by=_x"],
    "X-Forwarded-For": ["203.0.113.9, 10.0.0.8", "::ffff:1.2.3.4, unknown"],
    "X-Forwarded-Proto": ["https", "https, http"],
    "X-Forwarded-Host": ["example.org", "example.org:81"],
    "X-Forwarded-Port": ["8080"],
    "X-Forwarded-Prefix": ["/app", "/a/b"],
    "X-Request-ID": ["5f2b1c1e9a4d4a5b8c3e2f1a0b9c8d7e"],
    "traceparent": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
    "Origin": [APP, "null", "https://evil.example"],
    "Access-Control-Request-Method": ["PUT"],
    "Access-Control-Request-Headers": ["x-a, x-b"],
    "Accept": ["text/html;q=0.3, application/json", "*/*;q=0"],
    "Accept-Encoding": ["gzip;q=0.5, br", "*;q=0", "identity"],
    "Range": ["bytes=0-9", "bytes=-5", "bytes=990-", "bytes=0-0,5-5"],
    "If-Range": ['"tag"', "Tue, 14 Nov 2023 22:13:20 GMT"],
    "If-None-Match": ['W/"a", "b"', "*"],
    "If-Match": ['"a"', "*"],
    "If-Modified-Since": ["Tue, 14 Nov 2023 22:13:20 GMT"],
    "If-Unmodified-Since": ["Tue, 14 Nov 2023 22:13:20 GMT"],
    "Content-Length": ["0", "12"],
    "User-Agent": ["a"],
    "Cookie": ["a=1; b=2"],
}
#: What a server lets through in a value: latin-1 but the controls (RFC 9110 section 5.5).
VALUE = st.characters(codec="latin-1", exclude_categories=["Cc"]) | st.just("\t")
DIGITS = string.digits


@st.composite
def values(draw: st.DrawFn, name: str) -> str:
    """A good value, a good one with something put in or taken out, two joined, or anything."""
    good = draw(st.sampled_from(GOOD[name]))
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return good
    if kind == 1:
        at = draw(st.integers(0, len(good)))
        return good[:at] + draw(st.text(VALUE, max_size=3)) + good[at:]
    if kind == 2:
        at, size = draw(st.integers(0, len(good))), draw(st.integers(1, 4))
        return good[:at] + good[at + size :]
    if kind == 3:
        return good + draw(st.sampled_from([",", ";", ", ", "=", '"', " "])) + good
    return draw(st.text(VALUE, max_size=20))


@st.composite
def calls(draw: st.DrawFn) -> Call:
    names = draw(st.lists(st.sampled_from(sorted(GOOD)), max_size=6, unique=True))
    fields = [(name, draw(values(name)).strip(" \t")) for name in names]
    if "Host" not in names:
        fields.append(("Host", "example.org"))
    return Call(
        method=draw(st.sampled_from(["GET", "GET", "GET", "HEAD", "OPTIONS", "POST"])),
        target=draw(
            st.sampled_from(["/", "/text", "/static/file.css", "/static/docs", "/livez", "/%2e%2e/x", "/a?b=%ff"])
        ),
        headers=fields,
        client=("10.0.0.7", 50000),
        scheme=draw(st.sampled_from(["https", "https", "https", "http"])),
    )


def preset(folder: Path) -> list[Any]:
    """Make the widest chain: everything that reads what a client writes believes all that it can believe."""
    return list(
        edge(
            hosts=("example.org", "*.example.org", "[::1]"),
            proxy_headers=ProxyHeaders(trust=("10.0.0.0/8",), host=True, port=True, prefix=True),
            request_id=RequestId(accept="valid"),
            cors=Cors(origins=(APP,), headers=("x-a",), credentials=True),
            static_files=StaticFiles(folders={"/static": folder}, index_file="index.html"),
            access_log=None,
        )
    )


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The preset in one driver, the validator outside of it."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "file.css").write_bytes(CONTENT)
    (folder / "docs").mkdir()
    (folder / "docs" / "index.html").write_bytes(b"docs")
    script = Script(
        headers=(("Content-Type", "text/plain"), ("Content-Length", str(len(CONTENT))), ("ETag", '"tag"')),
        chunks=(CONTENT,),
    )
    stack = Stack(request.param, preset(folder), script)
    stack.application = Validator(stack.application, request.param, mode="collect")
    yield stack
    stack.close()


STATUSES = {200, 204, 206, 304, 308, 400, 403, 404, 405, 412, 413, 416, 421}
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: One host: reg-name of DNS labels, or IPv6 in brackets, and a port; RFC 3986 section 3.2.2, RFC 9110 section 7.2.
HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
RANGE = re.compile(r"[ \t]*bytes=[ \t,]*(?:[0-9]+-[0-9]*|-[0-9]+)[ \t,]*", re.IGNORECASE)
CODING = r"(?:[ \t]*{}(?:[ \t]*;[ \t]*[qQ]=(?:0(?:\.[0-9]{{0,3}})?|1(?:\.0{{0,3}})?))?[ \t]*)"
TAG = re.compile(r'(?:W/)?"[!#-~\x80-\xff]*"')
ID = re.compile(r"[A-Za-z0-9._-]{8,128}")


def sent(call: Call, name: str) -> str | None:
    found = [value for key, value in call.headers if key == name]
    return found[0] if found else None


def check(call: Call, answer: Answer) -> None:
    """Tell what must hold of any answer, and what an answer says of the field that led to it."""
    assert answer.error is None, answer.error
    assert answer.status in STATUSES
    for name, value in answer.headers:
        assert NAME.fullmatch(name)
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value), (name, value)
    length = answer.get("content-length")
    if length is not None and call.method != "HEAD" and answer.status not in (204, 304):
        assert int(length) == len(answer.body)
    if answer.status == 206:
        assert RANGE.fullmatch(sent(call, "Range") or "")
        assert answer.body in CONTENT
    if answer.status == 304:
        value = sent(call, "If-None-Match")
        if value is None:
            assert sent(call, "If-Modified-Since")
        else:
            assert value.strip() == "*" or TAG.search(value), value
    coding = answer.get("content-encoding")
    if coding is not None:
        accepted = sent(call, "Accept-Encoding") or ""
        names = {"gzip": r"(?:gzip|x-gzip|\*)"}.get(coding, rf"(?:{coding}|\*)")
        assert any(re.fullmatch(CODING.format(names), part, re.IGNORECASE) for part in accepted.split(",")), accepted
    if answer.seen:
        seen = answer.seen[-1]
        assert HOST.fullmatch(seen.headers["host"])
        assert seen.scheme in ("http", "https")
        assert re.fullmatch(r"[0-9a-f:.]+", seen.client or "")
        assert re.fullmatch(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*", seen.root_path)
        assert ID.fullmatch(seen.headers["x-request-id"])
    for allowed in answer.all("access-control-allow-origin"):
        assert allowed == APP == sent(call, "Origin")
    for location in answer.all("location"):
        assert re.match(r"(?:https://(?:[a-z0-9.-]*example\.org|\[::1\])/|/)(?!/)", location), location


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(call=calls())
def test_any_header_values_get_a_response_within_the_rules(chain: Stack, call: Call) -> None:
    check(call, chain.request(call))
    ours = [each for each in chain.application.violations if each.side == "application"]
    chain.application.violations.clear()
    assert not ours
