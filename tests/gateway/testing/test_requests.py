"""Requests as the users of Starlette's, Werkzeug's, httpx's and Django's clients expect them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import httpx2
import pytest

from gateway import Gateway
from gateway.errors import ConfigurationError
from gateway.middleware import HttpsRedirect
from gateway.protocols import ASGIReceive, ASGISend, Environ, Scope
from gateway.testing import AsyncClient, Client, Unsupported, WebSocketClosed, WebSocketDenied
from tests.gateway.testing import apps


@pytest.fixture(params=["wsgi", "asgi"])
def interface(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def wsgi_says(*names: str) -> Any:
    """A WSGI application that returns keys of its environ."""

    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [repr([environ.get(name) for name in names]).encode()]

    return app


def asgi_says(*names: str) -> Any:
    """An ASGI application that returns keys of its scope."""

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await apps.reply(send, repr([scope.get(name) for name in names]).encode())

    return app


# -- method, target, headers


@pytest.mark.parametrize("method", ["purge", "Get", "M-SEARCH"])
def test_a_method_reaches_a_wsgi_application_as_it_is(method: str) -> None:
    with Client(wsgi_says("REQUEST_METHOD")) as client:
        assert client.request(method, "/").text == repr([method])


def test_a_method_reaches_an_asgi_application_in_capitals_as_the_specification_wants_it() -> None:
    with Client(asgi_says("method"), lifespan=False) as client:
        assert client.request("purge", "/").text == repr(["PURGE"])


def test_options_of_the_whole_server_can_be_sent() -> None:
    with Client(wsgi_says("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO"), root_path="/app") as client:
        assert client.options("*").text == repr(["OPTIONS", "", "*"])
    with Client(asgi_says("method", "path", "raw_path"), lifespan=False) as client:
        assert client.options("*").text == repr(["OPTIONS", "*", b"*"])
        with client.stream("OPTIONS", "*") as response:
            assert response.read().decode() == repr(["OPTIONS", "*", b"*"])

    async def main() -> None:
        async with AsyncClient(asgi_says("path"), lifespan=False) as client:
            assert (await client.options("*")).text == repr(["*"])

    asyncio.run(main())


@pytest.mark.parametrize("name", ["connection", "keep-alive", "upgrade", "te"])
def test_headers_of_the_connection_reach_the_application_as_from_a_server(interface: str, name: str) -> None:
    with Client(apps.ECHO[interface]) as client:
        assert client.get("/", headers={name: "x"}).json()["headers"][name] == "x"
        assert name not in client.get("/").json()["headers"]
    with Client(apps.ECHO[interface], headers={name: "always"}) as client:
        assert client.get("/").json()["headers"][name] == "always"


def test_a_decoded_body_has_no_transfer_encoding(interface: str) -> None:
    with Client(apps.ECHO[interface]) as client:
        seen = client.post("/", content=iter([b"x"]), headers={"Transfer-Encoding": "chunked"}).json()
    assert ("transfer-encoding" in seen["headers"], seen["body"]) == (False, "x")


# -- keys of the environ and of the scope


def test_keys_of_the_environ_are_given_for_the_client_and_for_a_request() -> None:
    with Client(wsgi_says("REMOTE_USER", "SSL_CLIENT_VERIFY"), environ={"REMOTE_USER": "ada"}) as client:
        assert client.get("/").text == repr(["ada", None])
        assert client.get("/", environ={"SSL_CLIENT_VERIFY": "SUCCESS"}).text == repr(["ada", "SUCCESS"])
        assert client.get("/", environ={"REMOTE_USER": "bob"}).text == repr(["bob", None])
        assert client.get("/").text == repr(["ada", None])


def test_keys_of_the_scope_are_given_for_the_client_and_for_a_request() -> None:
    with Client(asgi_says("user", "client"), lifespan=False, scope={"user": "ada"}) as client:
        assert client.get("/").text == repr(["ada", ("127.0.0.1", 50000)])
        assert client.get("/", scope={"user": "bob", "client": None}).text == repr(["bob", None])


def test_extensions_in_the_scope_are_added_to_the_clients() -> None:
    tls = {"server_cert": None, "client_cert_chain": [], "tls_version": 0x0304, "cipher_suite": 0x1301}
    with Client(asgi_says("extensions"), lifespan=False, base_url="https://testserver", extensions=["push"]) as client:
        seen = client.get("/", scope={"extensions": {"tls": tls}}).text
    assert seen == repr([{"http.response.push": {}, "tls": tls}])


def test_keys_of_the_other_interface_are_refused() -> None:
    with Client(wsgi_says()) as client, pytest.raises(Unsupported, match=r"scope= .* as WSGI: use environ="):
        client.get("/", scope={"user": "ada"})
    with Client(asgi_says(), lifespan=False, environ={"REMOTE_USER": "ada"}) as client:
        with pytest.raises(Unsupported, match=r"environ= .* as ASGI: use scope="):
            client.get("/")


# -- exceptions


def test_whether_exceptions_are_raised_can_be_chosen_for_a_request(interface: str) -> None:
    with Client(apps.FAILS[interface], lifespan=False) as client:
        response = client.get("/", raise_app_exceptions=False)
        assert (response.status_code, type(response.app_error)) == (500, ZeroDivisionError)
        with pytest.raises(ZeroDivisionError):
            client.get("/")
    with Client(apps.FAILS[interface], lifespan=False, raise_app_exceptions=False) as client:
        assert client.get("/").status_code == 500
        with pytest.raises(ZeroDivisionError):
            client.get("/", raise_app_exceptions=True)


# -- redirects


def _redirects(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
    """The query string is the status and the place; /end shows the request."""
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] != "/end":
        status, _, place = environ["QUERY_STRING"].partition(",")
        start_response(f"{status} Moved", [("Location", place), ("Content-Type", "text/plain")])
        return []
    return wsgi_says("HTTP_HOST", "REQUEST_METHOD")({**environ, "body": body}, start_response)


def test_a_redirect_to_another_host_is_not_sent_to_the_same_application(interface: str) -> None:
    app: Any = _redirects if interface == "wsgi" else Gateway(_redirects).asgi
    with Client(app, follow_redirects=True) as client:
        with pytest.raises(ConfigurationError, match=r"another host: 'login\.example\.org'.*hosts=\('login"):
            client.get("/?302,https://login.example.org/end")
        assert client.get("/?302,https://testserver/end").text == repr(["testserver", "GET"])
        assert client.get("/?302,/end").text == repr(["testserver", "GET"])
        assert client.get("http://other.example/?302,/end").text == repr(["other.example", "GET"])
    for hosts in (["login.example.org"], ["*.example.org"], ["*"]):
        with Client(app, follow_redirects=True, hosts=hosts) as client:
            assert client.get("/?302,https://login.example.org/end").text == repr(["login.example.org", "GET"])

    async def main() -> None:
        async with AsyncClient(app, follow_redirects=True) as client:
            with pytest.raises(ConfigurationError, match="another host"):
                await client.get("/?302,https://login.example.org/end")

    asyncio.run(main())


def test_a_redirect_to_https_of_the_same_host_is_followed() -> None:
    with Client(
        Gateway(apps.wsgi_echo, middleware=[HttpsRedirect(host="testserver")]), follow_redirects=True
    ) as client:
        assert client.get("/").json()["scheme"] == "https"


def _echoes_after(status: int) -> Any:
    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/end":
            return apps.wsgi_echo(environ, start_response)
        environ["wsgi.input"].read()
        start_response(f"{status} Moved", [("Location", "/end"), ("Content-Type", "text/plain")])
        return []

    return app


def test_a_redirect_to_a_get_drops_a_body_of_chunks() -> None:
    with Client(_echoes_after(303), follow_redirects=True) as client:
        seen = client.post("/", content=[b"a", b"b"]).json()
        assert (seen["method"], seen["body"]) == ("GET", "")
        assert client.request("purge", "/").json()["method"] == "GET"


def test_a_redirect_that_keeps_the_method_sends_the_body_again() -> None:
    def once() -> Iterator[bytes]:
        yield b"ab"

    with Client(_echoes_after(307), follow_redirects=True) as client:
        assert client.post("/", content=[b"a", b"b"]).json()["body"] == "ab"
        assert client.post("/", content=b"ab").json()["body"] == "ab"
        with pytest.raises(httpx2.StreamConsumed):
            client.post("/", content=once())


# -- WebSockets


async def _socket(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """Shows the handshake's headers, and echoes messages whole."""
    if scope["type"] == "http":
        await apps.asgi_echo(scope, receive, send)
        return
    await receive()
    headers = dict(scope["headers"])
    if headers.get(b"x-deny"):
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"set-cookie", b"no=1")]})
        await send({"type": "websocket.http.response.body", "body": b"no"})
        return
    await send({"type": "websocket.accept", "headers": [(b"set-cookie", b"seat=7; Path=/")]})
    shown = (b"cookie", b"connection", b"upgrade", b"sec-websocket-version")
    await send({"type": "websocket.send", "text": repr([scope.get("user"), *(headers.get(name) for name in shown)])})
    message = await receive()
    await send({"type": "websocket.send", "text": repr(sorted(message.items()))})
    await send({"type": "websocket.close", "code": 4001, "reason": "enough"})


def test_a_handshake_has_the_headers_of_a_browser_and_the_cookies_of_the_client() -> None:
    with Client(_socket, lifespan=False, cookies={"a": "1"}) as client:
        with client.websocket("/", cookies={"b": "2"}, scope={"user": "ada"}) as socket:
            assert socket.receive_text() == repr(["ada", b"a=1; b=2", b"Upgrade", b"websocket", b"13"])
        assert dict(client.cookies) == {"a": "1", "seat": "7"}
        assert client.get("/").json()["headers"]["cookie"] == "a=1; seat=7"

    async def main() -> None:
        async with AsyncClient(_socket, lifespan=False) as client:
            async with client.websocket("/", cookies={"b": "2"}, headers={"Connection": "keep-alive, Upgrade"}) as own:
                expected = repr([None, b"b=2", b"keep-alive, Upgrade", b"websocket", b"13"])
                assert await own.receive_text() == expected
            assert dict(client.cookies) == {"seat": "7"}

    asyncio.run(main())


def test_messages_can_be_sent_and_received_as_they_are() -> None:
    with Client(_socket, lifespan=False) as client, client.websocket("/") as socket:
        assert socket.receive_message()["type"] == "websocket.send"
        socket.send_message({"type": "websocket.receive", "bytes": None, "text": "both keys"})
        assert socket.receive_message() == {
            "type": "websocket.send",
            "text": repr([("bytes", None), ("text", "both keys"), ("type", "websocket.receive")]),
        }
        assert socket.receive_message() == {"type": "websocket.close", "code": 4001, "reason": "enough"}
        with pytest.raises(WebSocketClosed) as closed:
            socket.receive()
        assert closed.value.code == 4001


def test_a_denied_handshake_keeps_the_response() -> None:
    with Client(_socket, lifespan=False) as client:
        with pytest.raises(WebSocketDenied) as denied, client.websocket("/", headers={"X-Deny": "1"}):
            pass
    assert (denied.value.response.status_code, denied.value.response.text) == (401, "no")
