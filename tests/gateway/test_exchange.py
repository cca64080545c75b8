"""Requests over a scope and over an environ read alike, and write through."""

from __future__ import annotations

import io
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from gateway._requests import AsgiRequest, WsgiRequest
from gateway.exchange import FileBody, Outcome, ReadableBody, Request, Response
from gateway.headers import Header, Headers
from tests.shows import shows


def asgi(**more: Any) -> AsgiRequest:
    return AsgiRequest(
        {
            "type": "http",
            "method": "POST",
            "path": "/app/é",
            "raw_path": b"/app/%C3%A9",
            "root_path": "/app",
            "query_string": b"a=1",
            "scheme": "https",
            "client": ("10.0.0.1", 1234),
            "server": ("host", 8000),
            "http_version": "1.1",
            "headers": [(b"host", b"h"), (b"x-a", b"1")],
            **more,
        }
    )


def wsgi(**more: Any) -> WsgiRequest:
    return WsgiRequest(
        {
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "/app",
            "PATH_INFO": "/\xc3\xa9",
            "QUERY_STRING": "a=1",
            "wsgi.url_scheme": "https",
            "REMOTE_ADDR": "10.0.0.1",
            "REMOTE_PORT": "1234",
            "SERVER_NAME": "host",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "h",
            "HTTP_X_A": "1",
            **more,
        }
    )


BOTH: dict[str, Callable[[], Request]] = {"asgi": asgi, "wsgi": wsgi}


@pytest.fixture(params=BOTH, ids=str)
def request_(request: pytest.FixtureRequest) -> Request:
    return BOTH[request.param]()


def test_both_interfaces_read_alike(request_: Request) -> None:
    assert request_.method == "POST"
    assert request_.path == "/app/é"
    assert request_.root_path == "/app"
    assert request_.local_path == "/é"
    assert request_.raw_path == b"/app/%C3%A9"
    assert request_.query_string == b"a=1"
    assert request_.scheme == "https"
    assert request_.client == ("10.0.0.1", 1234)
    assert request_.server == ("host", 8000)
    assert request_.http_version == "1.1"
    assert request_.headers.get("x-a") == "1"
    assert not request_.is_websocket
    assert request_.subprotocols == []
    assert dict(request_.extensions) == {}
    assert request_.native


@shows("An environ is edited in place, and what stands further in sees a write")
def test_both_interfaces_write_alike(request_: Request) -> None:
    request_.method = "PUT"
    request_.path = "/app/ü b"
    request_.query_string = b"b=2"
    request_.scheme = "http"
    request_.client = ("::1", 0)
    request_.server = ("other", 81)
    request_.headers.append(Header("X-A", "2"))
    request_.headers.set("x-b", "3")
    request_.state["k"] = "v"
    assert request_.method == "PUT"
    assert request_.path == "/app/ü b"
    assert request_.raw_path == b"/app/%C3%BC%20b"
    assert request_.query_string == b"b=2"
    assert request_.scheme == "http"
    assert request_.client == ("::1", 0)
    assert request_.server == ("other", 81)
    assert request_.headers.get("x-a") == "1, 2"
    assert request_.headers.get("x-b") == "3"
    assert request_.state == {"k": "v"}
    request_.client = None
    request_.server = None
    assert request_.client is None
    assert request_.server == ("localhost", 80)


def test_a_mount_point_moves_without_changing_the_path(request_: Request) -> None:
    request_.root_path = ""
    assert (request_.root_path, request_.path, request_.local_path) == ("", "/app/é", "/app/é")
    request_.root_path = "/app"
    assert (request_.root_path, request_.path, request_.local_path) == ("/app", "/app/é", "/é")


def test_a_prefix_that_a_proxy_cut_off_is_put_back(request_: Request) -> None:
    request_.path = "/x" + request_.path
    request_.root_path = "/x/app"
    assert (request_.root_path, request_.path, request_.local_path) == ("/x/app", "/x/app/é", "/é")


def test_a_mount_below_a_prefix_keeps_the_local_path_and_the_clients_spelling() -> None:
    for root_path, path, raw in (
        ("", "/a/b c", b"/a%2Fb%20c"),
        ("/app", "/app/a/b c", b"/%61pp/a%2Fb%20c"),  # the client's own spelling of the mount point
        ("/app", "/a/b c", b"/a%2Fb%20c"),  # Hypercorn behind a proxy that cuts it off
    ):
        request = asgi(root_path=root_path, path=path, raw_path=raw)
        local = request.local_path
        request.mount_below("/é")
        assert (request.root_path, request.local_path) == ("/é" + root_path, local)
        assert request.path == f"/é{root_path}/a/b c"
        assert unquote_to_bytes(request.raw_path).decode() == request.path
        assert request.raw_path.startswith(b"/%C3%A9/")
        assert request.raw_path.endswith(b"/a%2Fb%20c")
    request = asgi(root_path="/app/", path="/app//x", raw_path=b"/app//x")  # uvicorn --root-path /app/
    request.mount_below("/p")
    assert (request.root_path, request.path, request.raw_path) == ("/p/app", "/p/app/x", b"/p/app/x")
    for key in ("RAW_URI", "REQUEST_URI"):
        environ = wsgi(SCRIPT_NAME="", PATH_INFO="/a/b", **{key: "/a%2Fb?x=1"})
        environ.mount_below("/p")
        assert (environ.root_path, environ.local_path, environ.raw_path) == ("/p", "/a/b", b"/p/a%2Fb")
        environ = wsgi(SCRIPT_NAME="", PATH_INFO="/a/b", **{key: "http://h/a%2Fb"})
        environ.mount_below("/p")
        assert environ.raw_path == b"/p/a/b"


def test_a_mount_point_ends_at_a_whole_segment() -> None:
    assert asgi(path="/apple").local_path == "/apple"
    request = wsgi(SCRIPT_NAME="", PATH_INFO="/apple")
    request.root_path = "/app"
    assert request.environ["PATH_INFO"] == "/apple"


@shows("The first write makes one shallow copy of the scope, never the server's own")
def test_the_first_write_copies_the_scope_once() -> None:
    request = asgi()
    server = request.scope
    state = request.state
    mine = request.scope
    assert mine is not server
    assert "gateway.state" not in server
    request.scheme = "ws"
    request.headers.append("x", "y")
    assert request.scope is mine
    assert request.state is state
    assert server["scheme"] == "https"
    assert len(server["headers"]) == 2
    assert len(request.headers) == 3
    assert request.headers.asgi() == request.scope["headers"]


def test_a_state_that_is_there_is_the_same_object() -> None:
    state: dict[str, object] = {}
    request = asgi(**{"gateway.state": state})
    server = request.scope
    assert request.state is state
    assert request.scope is server
    assert wsgi(**{"gateway.state": state}).state is state


def test_a_scope_with_its_optional_keys_missing_has_the_defaults() -> None:
    request = AsgiRequest({"type": "http", "method": "GET", "path": "/a b", "headers": []})
    assert request.raw_path == b"/a%20b"
    assert (request.root_path, request.query_string, request.scheme) == ("", b"", "http")
    assert (request.client, request.server, request.http_version) == (None, ("localhost", 80), "1.1")
    socket = AsgiRequest(
        {"type": "websocket", "path": "/", "headers": [], "subprotocols": ["a"], "client": ["/s", None]}
    )
    assert (socket.method, socket.scheme, socket.subprotocols, socket.is_websocket) == ("GET", "ws", ["a"], True)
    assert socket.client is None
    unix = AsgiRequest({"type": "http", "path": "/", "headers": [], "server": ("/s.sock", None), "scheme": "https"})
    assert unix.server == ("localhost", 443)


def test_an_environ_with_gaps_has_the_defaults() -> None:
    request = WsgiRequest({})
    assert (request.method, request.path, request.raw_path, request.query_string) == ("GET", "", b"", b"")
    assert (request.scheme, request.client, request.server) == ("http", None, ("localhost", 80))
    assert request.http_version == "1.1"
    assert WsgiRequest({"SERVER_PROTOCOL": "HTTP/2.0"}).http_version == "2"
    assert WsgiRequest({"SERVER_PROTOCOL": "junk"}).http_version == "1.1"
    assert WsgiRequest({"REMOTE_ADDR": "1.2.3.4"}).client == ("1.2.3.4", 0)
    assert WsgiRequest({"REMOTE_ADDR": "1.2.3.4", "REMOTE_PORT": "x"}).client == ("1.2.3.4", 0)
    assert WsgiRequest({"REMOTE_ADDR": "/run/x.sock"}).client is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/%61pp/%c3%A9?q=1", b"/%61pp/%c3%A9"),
        ("http://host/app%2F%C3%A9?q", b"/app%2F%C3%A9"),
        ("/of/another/path", b"/app/%C3%A9"),
        ("https://host", b"/app/%C3%A9"),
        ("*", b"/app/%C3%A9"),
    ],
)
def test_a_raw_path_is_the_request_target_if_that_is_the_same_path(target: str, expected: bytes) -> None:
    assert wsgi(RAW_URI=target).raw_path == expected
    assert wsgi(REQUEST_URI=target).raw_path == expected


def test_a_rewritten_path_is_not_undone_by_the_server_s_target() -> None:
    request = wsgi(RAW_URI="/old", REQUEST_URI="/old")
    request.path = "/app/new"
    assert request.raw_path == b"/app/new"


def test_bytes_that_are_no_utf_8_read_as_the_replacement() -> None:
    assert wsgi(SCRIPT_NAME="", PATH_INFO="/\xff").path == "/\ufffd"


def test_a_response_takes_text_bytes_and_headers() -> None:
    response = Response(201, {"x-a": "1"}, "é", reason="Made")
    assert (response.status, response.body, response.reason) == (201, "é".encode(), "Made")
    headers = Headers([("a", "1")])
    assert Response(headers=headers).headers is headers
    assert Response().body == b""
    assert "201" in repr(response)
    assert Response.head(200, headers).body is None


def test_a_body_can_be_a_file() -> None:
    assert isinstance(io.BytesIO(), ReadableBody)
    assert not isinstance(iter([b""]), ReadableBody)
    assert FileBody("/f").count is None


def test_an_outcome_has_defaults_for_what_did_not_happen() -> None:
    outcome = Outcome("failed")
    assert (outcome.status, outcome.bytes_sent, outcome.first_byte_at, outcome.websocket_close_code) == (
        None,
        0,
        None,
        None,
    )


def test_the_view_itself_has_no_interface() -> None:
    view = Request()
    names = ["method", "path", "root_path", "query_string", "scheme", "client", "server"]
    for name in [*names, "raw_path", "headers", "http_version", "is_websocket", "subprotocols", "extensions", "state"]:
        with pytest.raises(NotImplementedError):
            getattr(view, name)
    for name in names:
        with pytest.raises(NotImplementedError):
            setattr(view, name, None)
    with pytest.raises(NotImplementedError):
        view.native  # noqa: B018  # a property


async def parts() -> Any:
    yield b"part"


NO_BODIES: dict[str, tuple[object, str]] = {
    "a-number": (5, "got 5"),
    "a-mapping": ({"a": 1}, r"got \{'a': 1\}; write json.dumps"),
    "an-asynchronous-iterator": (parts(), "an asynchronous iterator, which WSGI"),
    "nothing": (None, "got None"),
}


@pytest.mark.parametrize(("body", "message"), NO_BODIES.values(), ids=NO_BODIES)
def test_what_is_no_body_is_refused_and_shown(body: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"the body of a response must be bytes, text, .*{message}"):
        Response(200, body=body)


def test_a_status_that_is_no_number_is_refused_and_shown() -> None:
    with pytest.raises(ValueError, match="from 200 to 599, got 'hello'"):
        Response("hello")  # type: ignore[arg-type]  # what an untyped author may write


@pytest.mark.parametrize("status", [0, 99, 101, 199, 600, -200])
def test_a_response_has_the_status_of_a_final_one(status: int) -> None:
    with pytest.raises(ValueError, match=f"must be from 200 to 599, got {status}"):
        Response(status)


def test_a_status_of_the_standard_library_is_one() -> None:
    assert f"{Response(HTTPStatus.IM_A_TEAPOT).status}" == "418"
