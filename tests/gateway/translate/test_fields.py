"""Header fields in both spellings."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ApplicationError, ServerError
from gateway.translate import fields as _headers
from gateway.translate.fields import (
    add_request_headers,
    asgi_response_headers,
    environ_key,
    field_name,
    request_headers,
    wsgi_response_headers,
)

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,10}", fullmatch=True).filter(lambda name: name != "proxy")


@given(NAMES)
def test_field_name_undoes_environ_key(name: str) -> None:
    key = environ_key(name.encode())
    assert key is not None
    assert field_name(key) == name.encode()
    assert environ_key(name.upper().encode()) == key


def test_a_long_name_is_read_and_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_headers, "_environ_keys", {})
    monkeypatch.setattr(_headers, "_field_names", {})
    for length in (_headers.LONGEST_NAME, _headers.LONGEST_NAME + 1, 60_000):
        assert environ_key(b"x" * length) == "HTTP_" + "X" * length
        assert field_name("HTTP_" + "X" * length) == b"x" * length
    assert [len(name) for name in _headers._environ_keys] == [_headers.LONGEST_NAME]
    assert _headers._field_names == {}


REQUESTS = [
    ("list", [(b"a", b"1"), (b"A", b"2")], {"HTTP_A": "1,2"}),
    ("cookie", [(b"cookie", b"a=1"), (b"cookie", b"b=2")], {"HTTP_COOKIE": "a=1; b=2"}),
    ("underscore", [(b"x_user", b"evil"), (b"x-user", b"good")], {"HTTP_X_USER": "good"}),
    ("proxy", [(b"Proxy", b"http://evil")], {}),
    ("length-twice", [(b"content-length", b"5"), (b"content-length", b"5")], {"CONTENT_LENGTH": "5"}),
    ("length-list", [(b"content-length", b"5, 5")], {"CONTENT_LENGTH": "5"}),
    ("type-twice", [(b"content-type", b"a/b"), (b"content-type", b"c/d")], {"CONTENT_TYPE": "a/b"}),
    ("latin-1", [(b"x", b"\xe9")], {"HTTP_X": "\xe9"}),
]


@pytest.mark.parametrize(("headers", "expected"), [r[1:] for r in REQUESTS], ids=[r[0] for r in REQUESTS])
def test_request_fields_become_cgi_variables(headers: list[tuple[bytes, bytes]], expected: dict[str, str]) -> None:
    environ: dict[str, object] = {}
    add_request_headers(environ, headers)
    assert environ == expected


@pytest.mark.parametrize(
    "headers", [[(b"content-length", b"5, 6")], [(b"content-length", b"5"), (b"CONTENT-LENGTH", b"")]]
)
def test_contradicting_lengths_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(ServerError):
        add_request_headers({}, headers)


def test_cgi_variables_become_request_fields() -> None:
    environ = {"CONTENT_TYPE": "", "CONTENT_LENGTH": "5", "HTTP_CONTENT_LENGTH": "6", "HTTP_X_A": "", "PATH_INFO": "/"}
    assert request_headers(environ) == [(b"content-length", b"5"), (b"x-a", b"")]


def test_text_beyond_latin1_from_a_server_does_not_fail() -> None:
    assert request_headers({"HTTP_X": "\u20ac"}) == [(b"x", b"\xe2\x82\xac")]
    assert request_headers({"HTTP_X": "\ud800"}) == [(b"x", b"?")]
    assert request_headers({"HTTP_X": "\udce9\u20ac"}) == [(b"x", b"\xe9\xe2\x82\xac")]


def test_names_chosen_by_clients_fill_no_memory() -> None:
    for number in range(3 * _headers.TABLE_SIZE):
        name = f"x-{number}"
        key = environ_key(name.encode())
        assert key is not None
        assert field_name(key) == name.encode()
        asgi_response_headers([(name, "")])
    assert len(_headers._environ_keys) <= _headers.TABLE_SIZE
    assert len(_headers._field_names) <= _headers.TABLE_SIZE
    assert len(_headers._response_names) <= _headers.TABLE_SIZE


def test_response_headers_keep_order_and_repetition_and_lose_what_is_hop_by_hop() -> None:
    headers = [("Set-Cookie", "a"), ("Transfer-Encoding", "chunked"), ("Set-Cookie", "b\xe9"), ("Connection", "close")]
    assert asgi_response_headers(headers) == [(b"set-cookie", b"a"), (b"set-cookie", b"b\xe9")]
    assert wsgi_response_headers([(b"Set-Cookie", b"a"), (b"TE", b"x"), (b"set-cookie", b"b\xe9")]) == [
        ("Set-Cookie", "a"),
        ("set-cookie", "b\xe9"),
    ]


WRONG = [
    ("bytes-name", [(b"x", "1")]),
    ("bytes-value", [("x", b"1")]),
    ("number", [("x", 1)]),
    ("unhashable", [([], "1")]),
    ("line-break", [("x", "a\r\nset-cookie: evil")]),
    ("nul", [("x", "a\0")]),
    ("beyond-latin-1", [("x", "\u20ac")]),
    ("space-in-name", [("x y", "1")]),
    ("empty-name", [("", "1")]),
    ("colon-in-name", [("x:", "1")]),
]


@pytest.mark.parametrize("headers", [case[1] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_response_header_is_the_applications_fault(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(ApplicationError):
        asgi_response_headers(headers)


def test_whitespace_around_a_header_value_does_not_belong_to_it() -> None:
    """Django's cookies begin with a space, which h11 refuses."""
    assert asgi_response_headers([("Set-Cookie", " a=b; Path=/ "), ("x", "\t")]) == [
        (b"set-cookie", b"a=b; Path=/"),
        (b"x", b""),
    ]


def test_a_tab_in_a_header_value_is_allowed() -> None:
    assert asgi_response_headers([("x", "a\tb")]) == [(b"x", b"a\tb")]


@pytest.mark.parametrize("name", [b"cookie", b"x-many", b"content-length"])
def test_the_cost_of_a_field_does_not_grow_with_its_repetitions(name: bytes) -> None:
    def seconds(number: int) -> float:
        headers = [(name, b"1")] * number
        before = process_time()
        add_request_headers({}, headers)
        return process_time() - before

    few = min(seconds(20_000) for _ in range(5))
    assert seconds(200_000) < 40 * few  # ten times as many: about 10 times, and 100 where each copies what was before
