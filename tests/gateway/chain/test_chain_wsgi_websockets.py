"""``websockets=True`` of a WSGI application: under ASGI servers, the adapter next to it gives it a socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import simple_websocket
from wsproto import events

from gateway import AdapterOptions
from gateway.application import Gateway, wrap
from gateway.chain import asgi_only, wsgi_only
from gateway.config import load
from gateway.errors import ConfigurationError
from gateway.middleware import AccessLog, Compression, ConditionalGet, Errors, RequestId
from gateway.mount import Mount
from gateway.testing import Client, WebSocketDenied
from tests.adapters.websocket_peer import Peer
from tests.gateway.chain_parts import Guard, Mark, asgi_app, asgi_mark, wsgi_app, wsgi_mark

pytestmark = pytest.mark.filterwarnings("ignore:this chain has:gateway.chain.ChainWarning")
LIMIT = AdapterOptions(websocket_threads=5)


def app(environ: Any, start_response: Any) -> Any:
    """Tell the marks of a handshake, then echo; refuse with 404 below ``/none``; answer requests."""
    if environ["PATH_INFO"].startswith("/none") or "HTTP_UPGRADE" not in environ:
        start_response("404 Not Found" if "HTTP_UPGRADE" in environ else "200 OK", [("Content-Type", "text/plain")])
        return [b"answer"]
    ws = simple_websocket.Server.accept(environ)
    ws.send(environ.get("HTTP_X_SEEN", "").replace(", ", ","))
    try:
        while True:
            ws.send(ws.receive())
    except simple_websocket.ConnectionClosed:
        raise StopIteration from None


def marks_of(gateway: Any, path: str = "/") -> str:
    """Open a WebSocket, see that it works, and return the marks of its handshake."""
    with Client(gateway, interface="asgi") as client:
        assert client.get("/").status_code == 200
        with client.websocket(path) as websocket:
            marks: str = websocket.receive_text()
            websocket.send_text("hello")
            assert websocket.receive_text() == "hello"
    return marks


def denied(gateway: Any, path: str = "/", headers: Any = None) -> Any:
    with Client(gateway, interface="asgi") as client:
        with pytest.raises(WebSocketDenied) as caught, client.websocket(path, headers=headers or {}):
            pass
    return caught.value.response


CHAINS: dict[str, tuple[list[Any], str]] = {
    "none": ([], ""),
    "a guard outside": ([Guard()], "guard"),
    "middleware outside that skips WebSockets": ([Mark(), Guard()], "guard"),
    "WSGI outside": ([wsgi_only(wsgi_mark), Mark(name="inside"), Guard()], "inside,guard"),
    "both": ([Guard(name="a"), wsgi_only(wsgi_mark), Guard(name="b")], "a,b"),
    "ASGI outside": ([asgi_only(asgi_mark), Guard(name="a")], "a"),
    "the real ones": ([RequestId(), AccessLog(), Compression(), ConditionalGet(), Errors(), wsgi_only(wsgi_mark)], ""),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_websocket_passes_the_chain_to_the_application(name: str) -> None:
    middleware, marks = CHAINS[name]
    assert marks_of(Gateway(app, middleware=middleware, websockets=True)) == marks


@pytest.mark.parametrize("name", CHAINS)
def test_the_response_of_the_application_refuses_through_the_chain(name: str) -> None:
    response = denied(Gateway(app, middleware=CHAINS[name][0], websockets=True), "/none")
    assert (response.status_code, response.text) == (404, "answer")


@pytest.mark.parametrize("inside", [[], [wsgi_only(wsgi_mark)]], ids=["outside", "inside"])
def test_a_guard_refuses_on_either_side_of_the_adapter(inside: list[Any]) -> None:
    guarded = Gateway(app, middleware=[*inside, Guard()], websockets=True)
    assert denied(guarded, headers={"x-refuse": "1"}).status_code == 403


def test_wsgi_middleware_outside_of_asgi_middleware_must_be_safe_to_skip() -> None:
    for safe in (False, True):
        middleware = [wsgi_only(wsgi_mark, safe_to_skip=safe), asgi_only(asgi_mark), wsgi_only(wsgi_mark)]
        if safe:
            assert marks_of(Gateway(app, middleware=middleware, websockets=True, max_adapters=3)) == ""
        else:
            with pytest.raises(ConfigurationError, match="WebSockets would bypass wsgi_mark"):
                Gateway(app, middleware=middleware, websockets=True, max_adapters=3)


def test_under_a_wsgi_server_the_application_takes_the_servers_socket() -> None:
    with Peer(Gateway(app, middleware=[Guard()], websockets=True).wsgi) as peer:
        peer.accepted()
        said = peer.next()
        assert isinstance(said, events.TextMessage)
        assert said.data == "guard"
        peer.send(events.CloseConnection(1000))
        peer.left()


def test_an_outer_gateway_a_decorator_a_mount_and_a_file_keep_the_option(tmp_path: Path) -> None:
    inner = Gateway(app, websockets=True)
    assert marks_of(Gateway(inner, middleware=[Guard()])) == "guard"
    assert marks_of(wrap(websockets=True)(app)) == ""
    assert marks_of(Mount({"/live": inner, "/": wsgi_app}), "/live/x") == ""
    assert marks_of(Mount({"/live": Gateway(app, middleware=[Guard()], websockets=True), "/": app}), "/live") == "guard"
    file = tmp_path / "gateway.toml"
    file.write_text(
        f'application = "{__name__}:app"\nwebsockets = true\nadapter = {{ websocket_threads = 1 }}\n', encoding="utf-8"
    )
    with Client(load(file), interface="asgi") as client, client.websocket("/") as websocket:
        assert websocket.receive_text() == ""
        with pytest.raises(WebSocketDenied) as caught, client.websocket("/"):
            pass
        assert caught.value.response.status_code == 503


def test_an_application_for_websockets_gets_them_all() -> None:
    with Client(Gateway(app, websocket_app=asgi_app, websockets=True), interface="asgi") as client:
        with client.websocket("/none") as websocket:  # which `app` would refuse
            assert websocket.receive_text() == ""


@pytest.mark.parametrize(
    "options",
    [{}, {"websocket_app": asgi_app}, {"websocket_app": asgi_app, "websockets": True}],
    ids=["off", "websocket_app", "both"],
)
def test_a_limit_without_such_websockets_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"AdapterOptions\(websocket_threads=5\) has no effect"):
        Gateway(app, adapter=LIMIT, **options)
    with pytest.raises(ConfigurationError, match="has no effect"):
        Gateway(asgi_app, websockets=True, adapter=LIMIT)
    Gateway(app, websockets=True, adapter=LIMIT)


def test_the_explanation_tells_who_sees_the_handshake() -> None:
    explanation = Gateway(app, middleware=[Mark(), Guard(), wsgi_only(wsgi_mark)], websockets=True).explain()
    servers = explanation.as_dict()["servers"]
    assert servers["asgi"]["websocket"] == {
        "served": True,
        "reason": "",
        "takes_part": ["Guard", "wsgi_mark"],
        "skipped": ["Mark"],
    }
    assert servers["wsgi"]["websocket"]["takes_part"] == ["Mark", "Guard", "wsgi_mark"]
    text = str(explanation)
    assert "  websockets: served by the application itself, through Guard, wsgi_mark; they bypass Mark" in text
    assert "  websockets (if the server hands over its socket): served by the application itself" in text
