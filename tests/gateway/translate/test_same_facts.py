"""A middleware sees the same facts of a request natively and one adapter away.

Each request is read twice by the view that a middleware gets: from the server's own environ or scope, and from what an
adapter makes of it for the other interface. The facts must be equal, except for the rows of `EXCEPTIONS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway._requests import AsgiRequest, WsgiRequest
from gateway.exchange import Request
from gateway.translate.scope_environ import environ_to_scope, scope_to_environ

PAGE = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "adapters-in-a-chain.md"

FACTS = (
    "method",
    "path",
    "root_path",
    "local_path",
    "raw_path",
    "query_string",
    "scheme",
    "http_version",
    "client",
    "server",
    "is_websocket",
)

#: Facts that the two interfaces cannot tell alike, and the reason. The page for users has the same table.
EXCEPTIONS = {
    "repeated headers": "An environ has one value for each name: a server joins repeated headers with a comma, and "
    "`Cookie` with a semicolon.",
    "names with underscores": "`X-User` and `X_User` have the same name in an environ, so the header with the "
    "underscore is dropped. Otherwise a client could replace the header of a proxy.",
    "`Proxy`": "In an environ it would be `HTTP_PROXY`, which HTTP clients use as a setting (CVE-2016-5385), so it is "
    "dropped.",
    "empty content headers": "An empty `CONTENT_TYPE` or `CONTENT_LENGTH` means that the header is missing (PEP 3333).",
}


def facts(request: Request) -> dict[str, Any]:
    return {**{name: getattr(request, name) for name in FACTS}, "headers": sorted(request.headers.items())}


def environ_of(**changes: Any) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/x",
        "QUERY_STRING": "",
        "SERVER_NAME": "h",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "5000",
        "HTTP_HOST": "h",
        "wsgi.url_scheme": "http",
    }
    environ.update(changes)
    return {key: value for key, value in environ.items() if value is not None}


ENVIRONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "method in lower case": {"REQUEST_METHOD": "get"},
    "method of one's own": {"REQUEST_METHOD": "M-SEARCH"},
    "mounted": {"SCRIPT_NAME": "/app"},
    "mounted, at the mount point": {"SCRIPT_NAME": "/app", "PATH_INFO": ""},
    "mounted, with a slash at the end": {"SCRIPT_NAME": "/app/"},
    "mounted twice": {"SCRIPT_NAME": "/a/b"},
    "mounted at a slash": {"SCRIPT_NAME": "/"},
    "mounted beyond ASCII": {"SCRIPT_NAME": "/\xc3\xa9", "PATH_INFO": "/\xc3\xbc"},
    "no SCRIPT_NAME": {"SCRIPT_NAME": None},
    "no PATH_INFO": {"PATH_INFO": None},
    "empty path": {"PATH_INFO": ""},
    "asterisk": {"REQUEST_METHOD": "OPTIONS", "PATH_INFO": "*", "RAW_URI": "*"},
    "asterisk below a mount point": {
        "REQUEST_METHOD": "OPTIONS",
        "SCRIPT_NAME": "/app",
        "PATH_INFO": "*",
        "RAW_URI": "*",
    },
    "target without the mount point": {"SCRIPT_NAME": "/app", "PATH_INFO": "/a/b", "RAW_URI": "/a%2Fb"},
    "two slashes": {"PATH_INFO": "//x//y", "RAW_URI": "//x//y"},
    "two slashes that the server joined": {"PATH_INFO": "/x/y", "RAW_URI": "//x//y"},
    "encoded slash": {"PATH_INFO": "/a/b", "RAW_URI": "/a%2Fb"},
    "encoded slash, other variable": {"PATH_INFO": "/a/b", "REQUEST_URI": "/a%2Fb?q=1", "QUERY_STRING": "q=1"},
    "encoded percent": {"PATH_INFO": "/100%", "RAW_URI": "/100%25"},
    "percent without the target": {"PATH_INFO": "/100%"},
    "space": {"PATH_INFO": "/a b"},
    "reserved characters": {"PATH_INFO": "/a;b=c,d:@&=+$!*'()~"},
    "UTF-8": {"PATH_INFO": "/\xc3\xa9", "RAW_URI": "/%C3%A9"},
    "not UTF-8": {"PATH_INFO": "/\xff", "RAW_URI": "/%FF"},
    "not UTF-8, without the target": {"PATH_INFO": "/\xff"},
    "text beyond latin-1": {"PATH_INFO": "/\u20ac"},
    "path rewritten, target stale": {"PATH_INFO": "/new", "RAW_URI": "/old"},
    "absolute target": {"PATH_INFO": "/x", "RAW_URI": "http://h:8000/x?q", "QUERY_STRING": "q"},
    "absolute target without a path": {"PATH_INFO": "/", "RAW_URI": "http://h"},
    "query": {"QUERY_STRING": "a=1&b=%20", "RAW_URI": "/x?a=1&b=%20"},
    "query beyond ASCII": {"QUERY_STRING": "a=\xe9"},
    "no query": {"QUERY_STRING": None},
    "https": {"wsgi.url_scheme": "https", "HTTPS": "on"},
    "empty scheme": {"wsgi.url_scheme": ""},
    "no scheme": {"wsgi.url_scheme": None},
    "HTTP/1.0": {"SERVER_PROTOCOL": "HTTP/1.0"},
    "HTTP/2": {"SERVER_PROTOCOL": "HTTP/2"},
    "HTTP/2.0": {"SERVER_PROTOCOL": "HTTP/2.0"},
    "HTTP/3": {"SERVER_PROTOCOL": "HTTP/3"},
    "included": {"SERVER_PROTOCOL": "INCLUDED"},
    "empty protocol": {"SERVER_PROTOCOL": ""},
    "no protocol": {"SERVER_PROTOCOL": None},
    "client port as a number": {"REMOTE_PORT": 5000},
    "no client port": {"REMOTE_PORT": None},
    "client port that is no number": {"REMOTE_PORT": "x"},
    "client in IPv6": {"REMOTE_ADDR": "2001:db8::7"},
    "no client": {"REMOTE_ADDR": None, "REMOTE_PORT": None},
    "unix socket": {"REMOTE_ADDR": "", "REMOTE_PORT": None},
    "unix socket of waitress": {"REMOTE_ADDR": "localhost", "REMOTE_PORT": "None"},
    "unix socket by its path": {"REMOTE_ADDR": "/run/app.sock", "REMOTE_PORT": None},
    "server port as a number": {"SERVER_PORT": 8000},
    "no server port": {"SERVER_PORT": None},
    "empty server port": {"SERVER_PORT": ""},
    "server port of https": {"SERVER_PORT": None, "wsgi.url_scheme": "https"},
    "no server": {"SERVER_NAME": None, "SERVER_PORT": None},
    "empty server": {"SERVER_NAME": "", "SERVER_PORT": ""},
    "content": {"CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "5"},
    "empty content": {"CONTENT_TYPE": "", "CONTENT_LENGTH": ""},
    "content twice": {"CONTENT_TYPE": "text/plain", "HTTP_CONTENT_TYPE": "text/html"},
    "header beyond ASCII": {"HTTP_X_NAME": "\xe9"},
    "empty header": {"HTTP_X_NAME": ""},
    "list of a server": {"HTTP_ACCEPT": "text/html,text/plain", "HTTP_COOKIE": "a=1; b=2"},
}


@pytest.mark.parametrize("name", ENVIRONS)
def test_a_middleware_sees_an_environ_as_it_sees_the_scope_made_of_it(name: str) -> None:
    environ = environ_of(**ENVIRONS[name])
    native, adapted = WsgiRequest(dict(environ)), AsgiRequest(environ_to_scope(dict(environ)))
    assert facts(adapted) == facts(native)


def scope_of(**changes: Any) -> dict[str, Any]:
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/x",
        "raw_path": b"/x",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"h")],
        "server": ("h", 8000),
        "client": ("192.0.2.7", 5000),
    }
    scope.update(changes)
    return {key: value for key, value in scope.items() if value is not MISSING}


MISSING = object()
SCOPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "method of one's own": {"method": "M-SEARCH"},
    "mounted": {"path": "/app/x", "raw_path": b"/app/x", "root_path": "/app"},
    "mounted, at the mount point": {"path": "/app", "raw_path": b"/app", "root_path": "/app"},
    "mounted, with a slash at the end": {"path": "/app/x", "raw_path": b"/app/x", "root_path": "/app/"},
    "mounted without a first slash": {"path": "/app/x", "raw_path": b"/app/x", "root_path": "app"},
    "mounted at a slash": {"root_path": "/"},
    "mounted beyond ASCII": {"path": "/é/ü", "raw_path": b"/%C3%A9/%C3%BC", "root_path": "/é"},
    "path without the mount point": {"root_path": "/app"},
    "path without the mount point, encoded slash": {"path": "/a/b", "raw_path": b"/a%2Fb", "root_path": "/app"},
    "mount point as uvicorn puts it": {"path": "/app//x", "raw_path": b"/app//x", "root_path": "/app/"},
    "path that begins like the mount point": {"path": "/apple", "raw_path": b"/apple", "root_path": "/app"},
    "no root_path": {"root_path": MISSING},
    "root_path of None": {"root_path": None},
    "no raw_path": {"raw_path": MISSING},
    "raw_path of None": {"raw_path": None},
    "empty path": {"path": "", "raw_path": b""},
    "asterisk": {"method": "OPTIONS", "path": "*", "raw_path": b"*"},
    "asterisk below a mount point": {"method": "OPTIONS", "path": "*", "raw_path": b"*", "root_path": "/app"},
    "two slashes": {"path": "//x//y", "raw_path": b"//x//y"},
    "encoded slash": {"path": "/a/b", "raw_path": b"/a%2Fb"},
    "encoded percent": {"path": "/100%", "raw_path": b"/100%25"},
    "percent without the target": {"path": "/100%", "raw_path": MISSING},
    "reserved characters": {"path": "/a;b=c,d:@&=+$!*'()~", "raw_path": MISSING},
    "UTF-8": {"path": "/é", "raw_path": b"/%C3%A9"},
    "UTF-8 without the target": {"path": "/é", "raw_path": MISSING},
    "not UTF-8": {"path": "/\ufffd", "raw_path": b"/%FF"},
    "not UTF-8, escaped": {"path": "/\udcff", "raw_path": b"/%FF"},
    "path rewritten, target stale": {"path": "/new", "raw_path": b"/old"},
    "target with its query": {"raw_path": b"/x?q", "query_string": b"q"},
    "query": {"query_string": b"a=1&b=%20"},
    "query beyond ASCII": {"query_string": b"a=\xe9"},
    "no query": {"query_string": MISSING},
    "query of None": {"query_string": None},
    "https": {"scheme": "https"},
    "empty scheme": {"scheme": ""},
    "no scheme": {"scheme": MISSING},
    "HTTP/1.0": {"http_version": "1.0"},
    "HTTP/2": {"http_version": "2"},
    "HTTP/2.0": {"http_version": "2.0"},
    "HTTP/3": {"http_version": "3"},
    "no version": {"http_version": MISSING},
    "version that is none": {"http_version": "x"},
    "no client": {"client": MISSING},
    "client of None": {"client": None},
    "client without a port": {"client": ("192.0.2.7", None)},
    "client with port 0": {"client": ("192.0.2.7", 0)},
    "client in a list": {"client": ["192.0.2.7", 5000]},
    "client in IPv6": {"client": ("2001:db8::7", 5000)},
    "empty client": {"client": ("", 0)},
    "client of a unix socket": {"client": ("/run/app.sock", None)},
    "no server": {"server": MISSING},
    "server of None": {"server": None},
    "server without a port": {"server": ("h", None)},
    "server without a port, https": {"server": ("h", None), "scheme": "https"},
    "server in a list": {"server": ["h", 8000]},
    "unix socket": {"server": ("/run/app.sock", None)},
    "server with its port as text": {"server": ("h", "8000")},
    "content": {"headers": [(b"content-type", b"text/plain"), (b"content-length", b"5")]},
    "names in upper case": {"headers": [(b"Host", b"h"), (b"X-Name", b"1")]},
    "header beyond ASCII": {"headers": [(b"x-name", b"\xe9")]},
    "empty header": {"headers": [(b"x-name", b"")]},
    "no headers": {"headers": []},
}


@pytest.mark.parametrize("name", SCOPES)
def test_a_middleware_sees_a_scope_as_it_sees_the_environ_made_of_it(name: str) -> None:
    scope = scope_of(**SCOPES[name])
    native, adapted = AsgiRequest(dict(scope)), WsgiRequest(scope_to_environ(dict(scope)))
    assert facts(adapted) == facts(native)


#: Headers that the exceptions are about: as a scope has them, and as an environ gives them.
DIFFERENT: dict[str, tuple[list[tuple[bytes, bytes]], list[tuple[str, str]]]] = {
    "repeated headers": (
        [(b"accept", b"a"), (b"accept", b"b"), (b"cookie", b"a=1"), (b"cookie", b"b=2")],
        [("accept", "a,b"), ("cookie", "a=1; b=2")],
    ),
    "names with underscores": ([(b"x-user", b"1"), (b"x_user", b"2")], [("x-user", "1")]),
    "`Proxy`": ([(b"proxy", b"http://evil")], []),
    "empty content headers": ([(b"content-type", b""), (b"content-length", b"")], []),
}


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_an_exception_is_as_the_table_says(name: str) -> None:
    headers, expected = DIFFERENT[name]
    scope = scope_of(headers=headers)
    native, adapted = AsgiRequest(dict(scope)), WsgiRequest(scope_to_environ(dict(scope)))
    assert adapted.headers.items() == expected != native.headers.items()


def test_the_page_has_the_same_exceptions() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    begin = rows.index("| difference | reason |") + 1
    assert rows[begin : begin + len(EXCEPTIONS)] == [f"| {name} | {why} |" for name, why in EXCEPTIONS.items()]
    assert len(EXCEPTIONS) <= 4
