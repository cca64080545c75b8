"""``websockets=True``: handshakes under WSGI servers take the path of websockets, inside the adapter."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from wsproto import events

from gateway import servers
from gateway.adapters import WsgiToAsgi
from gateway.adapters.asgi_to_wsgi import close_all
from gateway.application import Gateway, wrap
from gateway.chain import asgi_only, either, path_in, when, wsgi_only
from gateway.config import load
from gateway.contract import Middleware, Process
from gateway.errors import ConfigurationError
from gateway.exchange import Response
from gateway.middleware import Cors, HttpsRedirect, ProxyHeaders, RateLimit, TrustedHost
from gateway.mount import Mount
from gateway.servers import Bind, Launch, start
from gateway.testing import Client
from gateway.testing.websocket import WebSocketDenied
from tests.adapters.websocket_peer import SECONDS, Peer
from tests.gateway.chain_parts import Counting, Guard, Mark, asgi_app, asgi_mark, wsgi_app, wsgi_mark
from tests.shows import shows

ROOT = str(Path(__file__).resolve().parents[3])
PARTS = "tests.gateway.chain_parts"


pytestmark = pytest.mark.filterwarnings("ignore:this chain has:gateway.chain.ChainWarning")


@pytest.fixture(autouse=True)
def _nothing_runs_on() -> Iterator[None]:
    """What an adapter to WSGI has started ends with the test."""
    yield
    close_all()


def chain(app: Any, *middleware: object, **options: Any) -> Gateway[Any]:
    return Gateway(app, middleware=middleware, websockets=True, **options)


def told(peer: Peer) -> tuple[list[bytes], str]:
    """Return the marks of the accept, and what the application says."""
    accept, message = peer.next(), peer.next()
    assert isinstance(accept, events.AcceptConnection)
    assert isinstance(message, events.TextMessage)
    peer.send(events.CloseConnection(1000))
    peer.left()
    return [value for name, value in accept.extra_headers if name == b"x-mark"], message.data


@shows("Where a WSGI server's socket is taken over, every websocket middleware is placed inside the adapter")
def test_a_handshake_meets_every_middleware_that_takes_part_inside_the_adapter() -> None:
    gateway = chain(asgi_app, Guard(name="one"), Mark(name="no"), asgi_only(asgi_mark), Guard(name="two"))
    with Peer(gateway.wsgi) as peer:
        assert told(peer) == ([b"two:asgi", b"a:asgi", b"one:asgi"], "one,two")
    with Client(gateway, interface="wsgi") as client:
        assert client.get("/").status_code == 200


def test_a_handshake_passes_by_what_is_declared_safe_and_takes_the_asgi_twin() -> None:
    twins = either(wsgi=wsgi_only(wsgi_mark, name="t"), asgi=asgi_only(asgi_mark, name="t"), body_cpu=True)
    gateway = chain(asgi_app, Guard(name="one"), wsgi_only(wsgi_mark, safe_to_skip=True), twins)
    with Peer(gateway.wsgi) as peer:
        assert told(peer) == ([b"t:asgi", b"one:asgi"], "one")


def test_an_asgi_part_between_two_adapters_is_met_and_the_lifespan_runs_once() -> None:
    starts: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        starts.append(1) if scope["type"] == "lifespan" else None
        await asgi_app(scope, receive, send)

    safe = wsgi_only(wsgi_mark, safe_to_skip=True)
    gateway = chain(app, safe, asgi_only(asgi_mark, name="a"), safe, Guard(), max_adapters=4)
    with Peer(gateway.wsgi) as peer:
        assert told(peer) == ([b"guard:asgi", b"a:asgi"], "guard")
    with Client(gateway, interface="wsgi") as client:
        assert client.get("/").headers.get_list("x-mark") == ["guard:wsgi", "w:wsgi", "a:asgi", "w:wsgi"]
    assert starts == [1]


@shows("Inside when() too")
@pytest.mark.parametrize(("path", "status"), [("/private", 403), ("/public", 101)])
def test_a_guard_on_a_condition_refuses_a_handshake(path: str, status: int) -> None:
    gateway = chain(asgi_app, when(path_in("/private"), Guard()))
    with Peer(gateway.wsgi, PATH_INFO=path, HTTP_X_REFUSE="1") as peer:
        if status == 101:
            assert told(peer) == ([], "")
        else:
            assert peer.call.result(SECONDS)[0] == 403


class Peers(Middleware):
    """Refuses whoever seems not to come from the one address."""

    websocket = True

    def on_request(self, request: Any) -> Response | None:
        return None if request.client is not None and request.client[0] == "203.0.113.9" else Response(401)


@dataclass(frozen=True)
class GuardCase:
    id: str
    make: Callable[[], Any]
    passes: dict[str, str]
    refused: dict[str, str] | None = None


GUARDS = [
    GuardCase(
        "hosts", lambda: TrustedHost(allowed=("good.example",)), {"host": "good.example"}, {"host": "evil.example"}
    ),
    GuardCase(
        "origin",
        lambda: Cors(origins=("https://good.example",)),
        {"origin": "https://good.example"},
        {"origin": "https://evil.example"},
    ),
    GuardCase("https", HttpsRedirect, {"x-forwarded-proto": "https"}, {"x-forwarded-proto": "http"}),
    GuardCase("limit", lambda: RateLimit(limits="1/hour"), {}),
]


@shows("Guards take part: proxy headers, hosts, origin, limits")
@shows("Inside when() too")
@pytest.mark.parametrize("conditional", [False, True], ids=["always", "on-a-condition"])
@pytest.mark.parametrize("case", GUARDS, ids=lambda case: case.id)
def test_every_guard_of_this_package_takes_part_in_handshakes(case: GuardCase, conditional: bool) -> None:
    guards = [ProxyHeaders(trust=("127.0.0.0/8",)), case.make()]
    items = [when(path_in("/guarded"), guard) if conditional else guard for guard in guards]
    with Client(Gateway(asgi_app, middleware=items), interface="asgi", client=("127.0.0.1", 9)) as client:
        with client.websocket("/guarded", headers=case.passes) as socket:
            socket.receive_text()
        with pytest.raises(WebSocketDenied), client.websocket("/guarded", headers=case.refused or {}):
            pass
        if conditional:
            with client.websocket("/free", headers=case.refused or {}) as socket:
                socket.receive_text()


@pytest.mark.parametrize("conditional", [False, True], ids=["always", "on-a-condition"])
def test_proxy_headers_tell_the_client_of_a_handshake(conditional: bool) -> None:
    proxies: Any = ProxyHeaders(trust=("127.0.0.0/8",))
    items = [when(path_in("/guarded"), proxies) if conditional else proxies, Peers()]
    with Client(Gateway(asgi_app, middleware=items), interface="asgi", client=("127.0.0.1", 9)) as client:
        with client.websocket("/guarded", headers={"x-forwarded-for": "203.0.113.9"}) as socket:
            socket.receive_text()
        with pytest.raises(WebSocketDenied), client.websocket("/guarded"):
            pass


def test_on_start_runs_before_the_first_handshake() -> None:
    order: list[str] = []

    class Starts(Middleware):
        websocket = True

        def on_start(self, process: Process) -> None:
            order.append("start")

        def on_request(self, request: Any) -> None:
            order.append("request")

    with Peer(chain(asgi_app, Starts()).wsgi) as peer:
        told(peer)
    assert order == ["start", "request"]


def test_without_the_option_a_handshake_is_an_ordinary_request() -> None:
    with Peer(Gateway(asgi_app, middleware=[Guard()]).wsgi) as peer:
        assert peer.call.result(SECONDS)[:2] == (200, b"guard")


def test_the_option_of_an_inner_gateway_is_kept() -> None:
    inner = Gateway(asgi_app, middleware=[Guard(name="inner")], websockets=True)
    assert "websockets=True" in repr(inner)
    with Peer(Gateway(inner, middleware=[Guard(name="outer")]).wsgi) as peer:
        assert told(peer)[1] == "outer,inner"


def test_a_decorator_takes_the_option() -> None:
    with Peer(wrap(websockets=True)(asgi_app).wsgi) as peer:
        assert told(peer) == ([], "")


def test_each_application_of_a_mount_has_the_option_of_its_own() -> None:
    mount = Mount({"/chat": Gateway(asgi_app, middleware=[Guard()], websockets=True), "/": wsgi_app})
    with Peer(mount.wsgi, PATH_INFO="/chat/x") as peer:
        assert told(peer)[1] == "guard"


@pytest.mark.parametrize(
    ("app", "options", "said"),
    [
        (Mount({"/": asgi_app}), {}, "inside a Mount, set it on the Gateway of each"),
        (WsgiToAsgi(wsgi_app), {}, r"write WsgiToAsgi\(app, websockets=True\)"),
        (wsgi_app, {"engine": "asgiref"}, "needs engine='builtin'"),
        (asgi_app, {"engine": "a2wsgi"}, "needs engine='builtin'"),
        (asgi_app, {"engine": Counting()}, "needs engine='builtin'"),
    ],
)
def test_where_websockets_cannot_be_had_the_option_is_refused_when_built(
    app: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        chain(app, **options)


def test_explain_says_who_sees_them() -> None:
    explanation = chain(asgi_app, Guard(), Mark()).explain()
    assert "  websockets (if the server hands over its socket): served, through Guard; they bypass Mark" in str(
        explanation
    )
    assert explanation.as_dict()["servers"]["wsgi"]["websocket"] == {
        "served": True,
        "reason": "",
        "takes_part": ["Guard"],
        "skipped": ["Mark"],
    }


def test_a_file_has_the_option(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(f'application = "{PARTS}:asgi_app"\nwebsockets = true\n')
    with Peer(load(file).wsgi) as peer:
        assert told(peer) == ([], "")


@shows("Where a WSGI server's socket is taken over, every websocket middleware is placed inside the adapter")
def test_trusted_host_refuses_a_handshake_under_gunicorn() -> None:
    server = servers.get("gunicorn-gthread")
    if reason := server.missing():
        pytest.skip(reason)
    launch = Launch(target="tests.gateway.guarded_site:site", bind=Bind(port=0), app_dir=ROOT, hooks=True)
    with start(server, launch) as running:
        address = f"ws://{running.bind.netloc}/"
        with connect(address, open_timeout=SECONDS) as client:
            assert client.recv(SECONDS) == "started"
        forged = socket.create_connection((running.bind.host, running.bind.port), SECONDS)
        with pytest.raises(InvalidStatus) as refused, connect("ws://evil.example/", sock=forged, open_timeout=SECONDS):
            pytest.fail("it was accepted")
        assert refused.value.response.status_code == 400
        connection = http.client.HTTPConnection(running.bind.host, running.bind.port, timeout=SECONDS)
        with closing(connection):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"hello"
        assert "Traceback" not in running.output()
        deadline = time.monotonic() + SECONDS
        while "WEBSOCKET" not in running.output():  # AccessLog's line: gunicorn writes none for what was taken over
            assert time.monotonic() < deadline, running.output()
            time.sleep(0.02)
