"""The two spellings of one request undo each other, and what was changed in between is honoured."""

from __future__ import annotations

import doctest
import importlib
import io
import string
import sys
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ServerError
from gateway.translate.scope_environ import environ_to_scope, scope_to_environ

# --------------------------------------------------------------------------------------------------- strategies

TOKENS = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20)
OCTETS = st.binary(max_size=12).filter(lambda octets: b"?" not in octets)


@st.composite
def header_fields(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    names = st.one_of(
        TOKENS,
        st.sampled_from(["cookie", "x-user", "x_user", "proxy", "content-type", "Accept", "host", "X-USER"]),
    )
    fields = draw(st.lists(st.tuples(names, VALUES), max_size=8))
    headers = [(name.encode(), value.encode("latin-1")) for name, value in fields if name.lower() != "content-length"]
    if draw(st.booleans()):
        headers.append((b"Content-Length", b"5"))
        if draw(st.booleans()):
            headers.append((b"content-length", b"5"))
    return headers


@st.composite
def scopes(draw: st.DrawFn) -> dict[str, Any]:
    root = draw(st.sampled_from(["", "/app", "/a/b", "/é", "/app/"]))
    raw = draw(st.sampled_from(["", root.rstrip("/"), root.rstrip("/")])).encode() + b"/" + draw(OCTETS)
    raw_path = quote(raw, safe="/").encode()
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": draw(st.sampled_from(["1.0", "1.1", "2", "2.0", "3"])),
        "method": draw(st.sampled_from(["GET", "POST", "BREW"])),
        "scheme": draw(st.sampled_from(["http", "https"])),
        "path": unquote(raw_path.decode()),
        "raw_path": raw_path,
        "root_path": root,
        "query_string": draw(st.binary(max_size=12)),
        "headers": draw(header_fields()),
        "server": draw(st.sampled_from([None, ("h", 80), ("h", "81"), ("/s.sock", None), ("/", "t"), ["h", 8000]])),
        "client": draw(st.sampled_from([None, ("1.2.3.4", 5), ("::1", 0), ("", "0")])),
        "state": {"db": object()},
        "extensions": {"http.response.pathsend": {}},
        "framework.key": object(),
    }
    for optional in draw(st.sets(st.sampled_from(["raw_path", "server", "client", "root_path", "query_string"]))):
        del scope[optional]
    return scope


@st.composite
def environs(draw: st.DrawFn) -> dict[str, Any]:
    path = draw(st.binary(max_size=12)).decode("latin-1")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": draw(st.sampled_from(["GET", "POST"])),
        "SCRIPT_NAME": draw(st.sampled_from(["", "/app", "/caf\xc3\xa9"])),
        "PATH_INFO": draw(st.sampled_from(["", "/"])) + path,
        "QUERY_STRING": draw(st.binary(max_size=12)).decode("latin-1"),
        "SERVER_NAME": draw(st.sampled_from(["h", "localhost"])),
        "SERVER_PORT": draw(st.sampled_from(["80", "", "8000", "odd"])),
        "SERVER_PROTOCOL": draw(st.sampled_from(["HTTP/1.1", "HTTP/2.0", "HTTP/2", "INCLUDED"])),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": draw(st.sampled_from(["http", "https"])),
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "server.socket": object(),
        "framework.callback": print,
    }
    optional = {
        "CONTENT_TYPE": st.sampled_from(["", "text/plain"]),
        "CONTENT_LENGTH": st.sampled_from(["", "5"]),
        "REMOTE_ADDR": st.sampled_from(["", "1.2.3.4", "<local>"]),
        "REMOTE_PORT": st.sampled_from(["", "5"]),
        "RAW_URI": st.sampled_from(["/a%2Fb?x", "http://h/a"]),
        "HTTPS": st.just("on"),
        "HTTP_PROXY": st.just("http://evil"),
        "HTTP_COOKIE": st.just("a=1; b=2"),
        "HTTP_EMPTY": st.just(""),
    }
    for key in draw(st.sets(st.sampled_from(sorted(optional)))):
        environ[key] = draw(optional[key])
    for name, value in draw(st.lists(st.tuples(TOKENS, VALUES), max_size=4)):
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    return environ


def plain(mapping: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if not key.startswith("gateway.")}


# --------------------------------------------------------------------------------------------------- round trips


@given(scopes())
def test_a_scope_that_became_an_environ_and_a_scope_again_lost_nothing(scope: dict[str, Any]) -> None:
    before = dict(scope)
    back = environ_to_scope(scope_to_environ(scope))
    assert plain(back) == scope == before
    assert back["state"] is scope["state"]


@given(environs())
def test_an_environ_that_became_a_scope_and_an_environ_again_lost_nothing(environ: dict[str, Any]) -> None:
    before = dict(environ)
    back = scope_to_environ(environ_to_scope(environ))
    assert plain(back) == environ == before
    assert all(back[key] is environ[key] for key in environ)


@given(environs())
def test_three_adapters_lose_nothing(environ: dict[str, Any]) -> None:
    scope = environ_to_scope(environ)
    assert plain(environ_to_scope(scope_to_environ(scope))) == plain(scope)
    assert plain(scope_to_environ(environ_to_scope(scope_to_environ(scope)))) == environ


@given(scopes())
def test_what_an_environ_spells_comes_back_without_the_original(scope: dict[str, Any]) -> None:
    environ = plain(scope_to_environ(scope))
    again = plain(scope_to_environ({k: v for k, v in environ_to_scope(environ).items() if k != "gateway.environ"}))
    invented = {"RAW_URI", "REQUEST_URI"}  # raw_path is always known after the way through an environ
    if environ["PATH_INFO"].startswith("/"):
        for key in environ.keys() - invented - {"SCRIPT_NAME", "PATH_INFO", "SERVER_PROTOCOL"}:
            # An empty CONTENT_TYPE or CONTENT_LENGTH says the same as none (PEP 3333).
            assert again.get(key, "") == environ[key], key
        assert again["SCRIPT_NAME"] + again["PATH_INFO"] == environ["SCRIPT_NAME"] + environ["PATH_INFO"]


@given(scopes())
def test_every_cgi_value_is_a_native_latin1_string(scope: dict[str, Any]) -> None:
    for key, value in scope_to_environ(scope).items():
        if key.isupper():
            assert type(value) is str
            value.encode("latin-1")


@given(environs())
def test_every_path_can_be_encoded_and_every_header_is_bytes(environ: dict[str, Any]) -> None:
    scope = environ_to_scope(environ)
    scope["path"].encode()
    scope["raw_path"].decode("ascii") if "RAW_URI" not in environ else None
    for name, value in scope["headers"]:
        assert name == name.lower()
        assert isinstance(name, bytes)
        assert isinstance(value, bytes)


# --------------------------------------------------------------------------------------------------- changes between


def scope_of(**changes: Any) -> dict[str, Any]:
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/app/x",
        "raw_path": b"/app/x",
        "root_path": "/app",
        "query_string": b"",
        "headers": [(b"Host", b"h"), (b"x-a", b"1"), (b"x-a", b"2"), (b"x_a", b"3")],
        "server": ("h", 80),
        "client": ("1.2.3.4", 5),
    }
    return {**scope, **changes}


ENVIRON_CHANGES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("method", {"REQUEST_METHOD": "PUT"}, {"method": "PUT"}),
    ("path", {"PATH_INFO": "/y z"}, {"path": "/app/y z", "raw_path": b"/app/y%20z", "root_path": "/app"}),
    (
        "prefix",
        {"SCRIPT_NAME": "/public/app"},
        {"path": "/public/app/x", "raw_path": b"/public/app/x", "root_path": "/public/app"},
    ),
    ("query", {"QUERY_STRING": "a=\xe9"}, {"query_string": b"a=\xe9"}),
    ("scheme", {"wsgi.url_scheme": "https"}, {"scheme": "https"}),
    ("client", {"REMOTE_ADDR": "9.9.9.9"}, {"client": ("9.9.9.9", 5)}),
    ("server", {"SERVER_NAME": "public", "SERVER_PORT": "443"}, {"server": ("public", 443)}),
    (
        "header-changed",
        {"HTTP_X_A": "9"},
        {"headers": [(b"Host", b"h"), (b"x-a", b"9"), (b"x_a", b"3")]},
    ),
    (
        "header-added",
        {"HTTP_X_NEW": "n"},
        {"headers": [(b"Host", b"h"), (b"x-a", b"1"), (b"x-a", b"2"), (b"x_a", b"3"), (b"x-new", b"n")]},
    ),
    ("header-removed", {"HTTP_X_A": None}, {"headers": [(b"Host", b"h"), (b"x_a", b"3")]}),
]


@pytest.mark.parametrize(
    ("changes", "expected"), [case[1:] for case in ENVIRON_CHANGES], ids=[case[0] for case in ENVIRON_CHANGES]
)
def test_a_change_of_the_environ_is_seen_in_the_scope(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    scope = scope_of(extra=1)
    environ = scope_to_environ(scope)
    environ.update(changes)
    for key in [key for key, value in changes.items() if value is None]:
        del environ[key]
    assert plain(environ_to_scope(environ)) == {**scope, **expected}


SCOPE_CHANGES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("method", {"method": "PUT"}, {"REQUEST_METHOD": "PUT"}),
    ("path", {"path": "/app/é"}, {"PATH_INFO": "/\xc3\xa9"}),
    (
        "prefix",
        {"path": "/public/app/x", "root_path": "/public/app", "raw_path": b"/public/app/x"},
        {"SCRIPT_NAME": "/public/app", "RAW_URI": "/public/app/x", "REQUEST_URI": None},
    ),
    ("query", {"query_string": b"b"}, {"QUERY_STRING": "b", "RAW_URI": "/app/x?b", "REQUEST_URI": None}),
    ("client", {"client": ("9.9.9.9", 1)}, {"REMOTE_ADDR": "9.9.9.9", "REMOTE_PORT": "1"}),
    ("scheme", {"scheme": "https"}, {"wsgi.url_scheme": "https", "HTTPS": "on"}),
    ("headers", {"headers": [(b"x-b", b"2")]}, {"HTTP_X_A": None, "HTTP_X_B": "2"}),
]


@pytest.mark.parametrize(
    ("changes", "expected"), [case[1:] for case in SCOPE_CHANGES], ids=[case[0] for case in SCOPE_CHANGES]
)
def test_a_change_of_the_scope_is_seen_in_the_environ(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "/app",
        "PATH_INFO": "/x",
        "QUERY_STRING": "",
        "SERVER_NAME": "h",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "1.2.3.4",
        "wsgi.url_scheme": "http",
        "RAW_URI": "/app/x",
        "HTTP_X_A": "1",
        "framework.key": object(),
    }
    back = plain(scope_to_environ({**environ_to_scope(environ), **changes}))
    wanted = {**environ, **expected}
    for key in [key for key, value in expected.items() if value is None]:
        wanted.pop(key)
        back.pop(key, None)
    assert back == wanted


def test_an_application_in_another_mount_point_gets_only_the_servers_keys_of_the_scope() -> None:
    outer = scope_of(router=object(), path_params={}, state={"pool": 1}, extensions={"tls": {}})
    outer["gateway.state"] = {"id": 1}
    environ = scope_to_environ(outer)
    environ.update({"SCRIPT_NAME": "/app/x", "PATH_INFO": ""})
    inner = environ_to_scope(environ)
    assert not {"router", "path_params", "state"} & inner.keys()
    assert inner["gateway.state"] is outer["gateway.state"]
    assert (inner["root_path"], inner["path"], inner["extensions"]) == ("/app/x", "/app/x", {"tls": {}})
    assert inner["headers"] == outer["headers"]


def test_an_application_in_another_mount_point_gets_only_the_servers_keys_of_the_environ() -> None:
    kept: dict[str, Any] = {
        "SSL_CLIENT_CERT": "pem",
        "REMOTE_USER": "ada",
        "gunicorn.socket": object(),
        "werkzeug.socket": object(),
        "wsgi.multithread": True,
    }
    outer: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "/app",
        "PATH_INFO": "/x",
        "SERVER_NAME": "h",
        "SERVER_PORT": "80",
        **kept,
        "werkzeug.request": object(),
        "webob.adhoc_attrs": {},
        "framework.key": object(),
    }
    inner = scope_to_environ({**environ_to_scope(outer), "root_path": "/app/x"})
    assert not {"werkzeug.request", "webob.adhoc_attrs", "framework.key"} & inner.keys()
    assert {key: inner[key] for key in kept} == kept
    assert (inner["SCRIPT_NAME"], inner["PATH_INFO"]) == ("/app/x", "")


def test_the_original_and_the_state_of_the_request_cross_as_the_same_objects() -> None:
    state = {"id": 1}
    scope = scope_of(**{"gateway.state": state})
    environ = scope_to_environ(scope)
    assert environ["gateway.scope"] is scope
    assert environ["gateway.state"] is state
    back = environ_to_scope(environ)
    assert back["gateway.environ"] is environ
    assert back["gateway.state"] is state


def test_a_state_set_in_between_crosses_too() -> None:
    environ = scope_to_environ(scope_of())
    environ["gateway.state"] = {}
    assert environ_to_scope(environ)["gateway.state"] is environ["gateway.state"]


def test_contradicting_lengths_are_the_servers_fault_and_a_400() -> None:
    with pytest.raises(ServerError, match="one Content-Length") as caught:
        scope_to_environ(scope_of(headers=[(b"content-length", b"5"), (b"content-length", b"6")]))
    assert caught.value.status_hint == 400


@pytest.mark.parametrize("module", ["paths", "fields", "status", "endpoints"])
def test_the_examples_in_the_docstrings_are_true(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"gateway.translate.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
