"""Headers: one surface over both spellings."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway._requests import AsgiRequest
from gateway.headers import AsgiHeaders, EnvironHeaders, Header, HeaderBlock, HeaderError, HeaderNames, Headers
from tests.shows import shows

Make = Callable[[list[tuple[str, str]]], Headers]


def scope_headers(pairs: list[tuple[str, str]]) -> Headers:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    return AsgiRequest({"type": "http", "headers": raw}).headers


RESPONSES: dict[str, Make] = {"wsgi": Headers, "asgi": AsgiHeaders, "scope": scope_headers}


@pytest.fixture(params=RESPONSES, ids=str)
def make(request: pytest.FixtureRequest) -> Make:
    return RESPONSES[request.param]


def test_order_and_duplicates_stay(make: Make) -> None:
    headers = make([("Set-Cookie", "a=1"), ("X-A", "1"), ("set-cookie", "b=2")])
    assert headers.items() == [("set-cookie", "a=1"), ("x-a", "1"), ("set-cookie", "b=2")]
    assert list(headers) == headers.items()
    assert len(headers) == 3
    assert headers.get_all("SET-COOKIE") == ["a=1", "b=2"]


def test_get_combines_lines_as_rfc_9110_says(make: Make) -> None:
    headers = make(
        [("Via", "a"), ("via", "b"), ("Cookie", "x=1"), ("cookie", "y=2"), ("Set-Cookie", "a"), ("Set-Cookie", "b")]
    )
    assert headers.get("via") == "a, b"
    assert headers.get("cookie") == "x=1; y=2"
    assert headers.get("set-cookie") == "a"
    assert headers.get("none") is None
    assert headers.get("none", "d") == "d"
    assert headers["VIA"] == "a, b"
    with pytest.raises(KeyError):
        headers["none"]


def test_membership_ignores_case_and_what_is_no_name(make: Make) -> None:
    headers = make([("X-A", "1")])
    assert "x-a" in headers
    assert "X-A" in headers
    assert "x-b" not in headers
    assert 3 not in headers


def test_set_leaves_one_line_in_the_place_of_the_first(make: Make) -> None:
    headers = make([("a", "1"), ("b", "2"), ("A", "3"), ("c", "4")])
    headers.set("A", "9")
    assert headers.items() == [("a", "9"), ("b", "2"), ("c", "4")]
    headers.set("d", "5")
    headers["e"] = "6"
    assert headers.items()[-2:] == [("d", "5"), ("e", "6")]


def test_append_keeps_what_is_there(make: Make) -> None:
    headers = make([("a", "1")])
    headers.append("A", "2")
    headers.append(Header("B", "3"))
    assert headers.items() == [("a", "1"), ("a", "2"), ("b", "3")]


def test_constants_can_be_set_and_defaulted(make: Make) -> None:
    headers = make([("a", "1"), ("a", "2")])
    headers.set(Header("A", "9"))
    assert headers.items() == [("a", "9")]
    assert headers.setdefault(Header("A", "8")) == "9"
    assert headers.setdefault("b", "7") == "7"
    assert headers.items() == [("a", "9"), ("b", "7")]


def test_delete_takes_every_line_and_tells(make: Make) -> None:
    headers = make([("a", "1"), ("b", "2"), ("A", "3")])
    assert headers.delete("A") is True
    assert headers.delete("A") is False
    assert headers.items() == [("b", "2")]
    del headers["b"]
    with pytest.raises(KeyError):
        del headers["b"]


@pytest.mark.parametrize(
    ("present", "added", "expected"),
    [
        ([], ["Accept"], "Accept"),
        (["accept"], ["Accept"], "accept"),
        (["Accept", "Cookie, origin"], ["Origin", "Range", "range"], "Accept, Cookie, origin, Range"),
        (["*"], ["Origin"], "*"),
        (["Origin"], ["*"], "*"),
        ([", Origin ,"], ["Cookie"], "Origin, Cookie"),
        ([], [], None),
    ],
)
def test_vary_is_never_doubled(make: Make, present: list[str], added: list[str], expected: str | None) -> None:
    headers = make([("Vary", value) for value in present])
    headers.add_vary(*added)
    assert headers.get("vary") == expected


def test_a_vary_of_any_length_is_extended(make: Make) -> None:
    present = ", ".join(f"x-{number}" for number in range(100))
    headers = make([("Vary", present)])
    headers.add_vary("Origin", "X-7")
    assert headers.get("vary") == f"{present}, Origin"


def test_one_of_several_names_is_found(make: Make) -> None:
    headers = make([("A", "1"), ("b", "2"), ("b", "3")])
    assert headers.has_any(HeaderNames("x", "B"))
    assert not headers.has_any(HeaderNames("x", "y"))
    assert not headers.has_any(HeaderNames())
    headers.delete_all(HeaderNames("B", "x"))
    assert headers.items() == [("a", "1")]
    headers.delete_all(HeaderNames("x", "y"))
    assert headers.items() == [("a", "1")]
    with pytest.raises(HeaderError):
        HeaderNames("a b")
    assert repr(HeaderNames("A", "b")) == "HeaderNames('a', 'b')"


def test_of_a_block_what_is_there_stays(make: Make) -> None:
    block = HeaderBlock([Header("A", "9"), Header("B", "8")])
    headers = make([])
    headers.setdefaults(block)
    assert headers.items() == [("a", "9"), ("b", "8")]
    headers = make([("a", "1")])
    headers.setdefaults(block)
    assert headers.items() == [("a", "1"), ("b", "8")]
    assert (headers.get("a"), headers.get("b")) == ("1", "8")
    with pytest.raises(HeaderError, match="each header only once"):
        HeaderBlock([Header("A", "1"), Header("a", "2")])
    assert repr(block) == "HeaderBlock([Header('A', '9'), Header('B', '8')])"


names = st.sampled_from(["A", "a", "b", "C", "c", "set-cookie"])
values = st.sampled_from(["1", "2", "x, y"])
operations = st.one_of(
    st.tuples(st.just("append"), names, values),
    st.tuples(st.just("constant"), names, values),
    st.tuples(st.just("set"), names, values),
    st.tuples(st.just("setdefault"), names, values),
    st.tuples(st.just("defaults"), names, values),
    st.tuples(st.just("delete"), names, values),
    st.tuples(st.just("delete_all"), names, values),
    st.tuples(st.just("look"), names, values),
)


def carry_out(operation: str, headers: Headers, name: str, value: str) -> None:
    if operation == "append":
        headers.append(name, value)
    elif operation == "constant":
        headers.append_constants([Header(name, value)])
    elif operation == "set":
        headers.set(name, value)
    elif operation == "setdefault":
        headers.setdefault(name, value)
    elif operation == "defaults":
        headers.setdefaults(HeaderBlock([Header(name, value), Header("Z", value)]))
    elif operation == "delete":
        headers.delete(name)
    elif operation == "delete_all":
        headers.delete_all(HeaderNames(name, "Z"))
    else:
        headers.get(name)


def carry_out_on_a_list(operation: str, lines: list[tuple[str, str]], name: str, value: str) -> None:
    """Do the same without an index."""
    key = name.lower()
    present = [at for at, line in enumerate(lines) if line[0] == key]
    if operation in ("append", "constant"):
        lines.append((key, value))
    elif operation == "set":
        for at in reversed(present[1:]):
            del lines[at]
        if present:
            lines[present[0]] = (key, value)
        else:
            lines.append((key, value))
    elif operation in ("setdefault", "defaults"):
        for each in (key, "z") if operation == "defaults" else (key,):
            if all(line[0] != each for line in lines):
                lines.append((each, value))
    elif operation in ("delete", "delete_all"):
        gone = (key, "z") if operation == "delete_all" else (key,)
        lines[:] = [line for line in lines if line[0] not in gone]


@pytest.mark.parametrize("kind", RESPONSES)
@given(given_=st.lists(st.tuples(names, values), max_size=4), steps=st.lists(operations, max_size=8))
def test_what_is_found_is_what_stands_there_after_any_writes(
    kind: str, given_: list[tuple[str, str]], steps: list[tuple[str, str, str]]
) -> None:
    headers = RESPONSES[kind](given_)
    lines = [(name.lower(), value) for name, value in given_]
    for operation, name, value in steps:
        carry_out(operation, headers, name, value)
        carry_out_on_a_list(operation, lines, name, value)
        assert headers.items() == lines
        for each in ("A", "b", "C", "set-cookie", "z"):
            assert headers.get_all(each) == [value for name, value in lines if name == each.lower()]
            assert (each in headers) is bool(headers.get_all(each))


def test_lines_that_others_append_to_a_wrapped_list_are_found() -> None:
    raw = [(b"a", b"1")]
    headers = AsgiHeaders.over_raw(raw)
    assert "b" not in headers
    raw.append((b"B", b"2"))
    assert headers.get("b") == "2"


def test_a_scope_s_fields_may_be_an_iterable_that_is_read_once() -> None:
    request = AsgiRequest({"type": "http", "headers": iter([(b"a", b"1")])})
    assert request.headers.get("a") == "1"
    assert request.scope["headers"] == [(b"a", b"1")]


BAD_NAMES = ["", "a b", "a:", "ä", "a\r\n", "a\n", "(", "a\0", "é"]
BAD_VALUES = ["a\r\nb: c", "a\nb", "a\rb", "a\0b", " a", "a ", "\ta", "a\x7fb", "a\x01b", "\u20ac", "a\x1b"]
GOOD_VALUES = ["", "a", "a b", "a\tb", "\xe9", "\xff\x80", "a\xa0b", '"x"']


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_no_token_is_refused_and_shown(make: Make, name: str) -> None:
    for write in (make([]).append, make([]).set, make([]).setdefault, Header):
        with pytest.raises(HeaderError, match=r"RFC 9110 section 5\.1") as caught:
            write(name, "v")
        assert repr(name) in str(caught.value)


@pytest.mark.parametrize("value", BAD_VALUES)
def test_a_value_that_would_split_a_response_is_refused_and_shown(make: Make, value: str) -> None:
    for write in (make([]).append, make([]).set, make([]).setdefault, Header):
        with pytest.raises(HeaderError, match=r"RFC 9110 section 5\.5") as caught:
            write("x-a", value)
        assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", GOOD_VALUES)
def test_a_value_that_rfc_9110_allows_passes_unchanged(make: Make, value: str) -> None:
    headers = make([])
    headers.append("x-a", value)
    assert headers.get("x-a") == value
    assert headers.asgi() == [(b"x-a", value.encode("latin-1"))]
    assert headers.wsgi() == [("x-a", value)]


def test_a_refused_write_changes_nothing(make: Make) -> None:
    headers = make([("a", "1")])
    with pytest.raises(HeaderError):
        headers.set("a", "x\n")
    assert headers.items() == [("a", "1")]


def test_a_value_is_needed_with_a_name(make: Make) -> None:
    with pytest.raises(TypeError, match="needs a value"):
        make([]).append("x-a")  # type: ignore[call-overload]  # what an untyped author may write


@pytest.mark.parametrize("value", [5, b"v", ["v"], True], ids=repr)
def test_a_value_that_is_no_text_is_refused_and_shown(make: Make, value: object) -> None:
    for write in (make([]).append, make([]).set, make([]).setdefault, Header):
        with pytest.raises(TypeError, match=r"the value of header 'x-a' must be a str, got ") as caught:
            write("x-a", value)  # type: ignore[arg-type, call-overload]  # what an untyped author may write
        assert repr(value) in str(caught.value)


@pytest.mark.parametrize("name", [5, b"n"], ids=repr)
def test_a_name_that_is_no_text_is_refused_and_shown(make: Make, name: object) -> None:
    for write in (make([]).append, make([]).set, make([]).setdefault, Header):
        with pytest.raises(TypeError, match=rf"a header name must be a str, got {name!r}"):
            write(name, "v")  # type: ignore[arg-type, call-overload]  # what an untyped author may write


def test_a_constant_takes_no_second_value(make: Make) -> None:
    with pytest.raises(TypeError, match="already has its value"):
        make([]).append(Header("A", "1"), "2")  # type: ignore[call-overload]  # what an untyped author may write
    with pytest.raises(TypeError, match="needs a value"):
        make([]).set("A", None)  # type: ignore[call-overload]  # likewise


def test_wsgi_keeps_the_names_as_written() -> None:
    headers = Headers([("X-Powered-By", "x")])
    headers.append(Header("X-Frame-Options", "DENY"))
    assert headers.wsgi() == [("X-Powered-By", "x"), ("X-Frame-Options", "DENY")]
    assert headers.asgi() == [(b"x-powered-by", b"x"), (b"x-frame-options", b"DENY")]


def test_a_list_is_wrapped_without_a_copy() -> None:
    pairs = [("A", "1")]
    Headers.over(pairs).append("B", "2")
    assert pairs == [("A", "1"), ("B", "2")]
    raw = [(b"a", b"1")]
    headers = AsgiHeaders.over_raw(raw)
    headers.append("B", "2")
    assert raw == [(b"a", b"1"), (b"b", b"2")]
    assert headers.asgi() is raw


def test_an_application_s_upper_case_name_is_found_in_bytes() -> None:
    headers = AsgiHeaders.over_raw([(b"Content-Length", b"3")])
    assert headers.get("content-length") == "3"
    headers.set("content-length", "4")
    assert headers.asgi() == [(b"content-length", b"4")]


def test_a_copy_is_independent(make: Make) -> None:
    headers = make([("a", "1")])
    other = headers.copy()
    other.append("b", "2")
    assert headers.items() == [("a", "1")]
    assert other.items() == [("a", "1"), ("b", "2")]
    assert headers == make([("A", "1")])
    assert headers != other
    assert headers != 3


def test_headers_take_mappings_pairs_constants_and_headers() -> None:
    expected = [("a", "1"), ("b", "2")]
    assert Headers({"a": "1", "b": "2"}).items() == expected
    assert Headers([Header("A", "1"), ("B", "2")]).items() == expected
    assert Headers(AsgiHeaders(expected)).items() == expected
    assert "'a', '1'" in repr(Headers(expected))


def test_mutable_headers_have_no_hash() -> None:
    with pytest.raises(TypeError):
        hash(Headers())


def test_a_constant_never_changes() -> None:
    constant = Header("X-A", "1")
    with pytest.raises(AttributeError, match="is immutable"):
        constant.value = "2"
    with pytest.raises(AttributeError, match="is immutable"):
        del constant.value
    assert constant == Header("x-a", "1")
    assert constant != Header("x-a", "2")
    assert hash(constant) == hash(Header("x-a", "1"))
    assert pickle.loads(pickle.dumps(constant)) == constant
    assert copy.deepcopy(constant) == constant
    assert repr(constant) == "Header('X-A', '1')"


def test_environ_headers_read_the_fields_of_pep_3333() -> None:
    environ: dict[str, object] = {
        "HTTP_HOST": "h",
        "HTTP_X_A": "1",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "",
        "HTTP_CONTENT_LENGTH": "5",
        "PATH_INFO": "/",
        "wsgi.version": (1, 0),
    }
    headers = EnvironHeaders(environ)
    assert headers.items() == [("host", "h"), ("x-a", "1"), ("content-type", "text/plain")]
    assert headers.asgi() == [(b"host", b"h"), (b"x-a", b"1"), (b"content-type", b"text/plain")]
    assert headers.wsgi() == headers.items()
    assert len(headers) == 3
    assert headers.get("content-length") is None
    assert headers.get("Content-Type") == "text/plain"
    assert headers.get_all("x-a") == ["1"]
    assert headers.copy().items() == headers.items()


def test_environ_headers_write_into_the_environ() -> None:
    environ: dict[str, object] = {"HTTP_VIA": "a", "HTTP_COOKIE": "x=1"}
    headers = EnvironHeaders(environ)
    headers.append("Via", "b")
    headers.append(Header("Cookie", "y=2"))
    headers.append("Content-Type", "text/plain")
    headers.set("X-Request-Id", "1")
    headers.set(Header("X-B", "2"))
    assert environ == {
        "HTTP_VIA": "a, b",
        "HTTP_COOKIE": "x=1; y=2",
        "CONTENT_TYPE": "text/plain",
        "HTTP_X_REQUEST_ID": "1",
        "HTTP_X_B": "2",
    }
    assert headers.delete("via") is True
    assert headers.delete("via") is False
    assert "HTTP_VIA" not in environ
    headers.append_constants([Header("Via", "c"), Header("X-D", "5")])
    assert (headers.get("via"), headers.get("x-d")) == ("c", "5")
    headers.delete_all(HeaderNames("via", "x-d"))
    headers.setdefaults(HeaderBlock([Header("X-B", "3"), Header("X-C", "4")]))
    assert (headers.get("x-b"), headers.get("x-c")) == ("2", "4")
    assert headers.has_any(HeaderNames("x-c", "x-d"))
    headers.delete_all(HeaderNames("x-b", "x-c"))
    assert not headers.has_any(HeaderNames("x-b", "x-c"))
    environ["CONTENT_LENGTH"] = ""
    assert not headers.has_any(HeaderNames("content-length"))


@shows("The first write makes one shallow copy of the scope, never the server's own")
def test_a_scope_s_own_list_is_never_written() -> None:
    raw = [(b"a", b"1")]
    scope = {"type": "http", "headers": raw}
    request = AsgiRequest(scope)
    request.headers.append("b", "2")
    request.headers.delete("a")
    assert raw == [(b"a", b"1")]
    assert scope["headers"] is raw
    assert request.scope["headers"] == [(b"b", b"2")]
