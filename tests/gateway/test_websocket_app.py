"""``websocket_app=``: HTTP goes to one application, WebSockets to another, in one object."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from wsproto import events

from gateway import servers
from gateway.adapters.asgi_to_wsgi import close_all
from gateway.application import Gateway, wrap
from gateway.chain import asgi_only, wsgi_only
from gateway.config import load
from gateway.contract import Middleware
from gateway.errors import ConfigurationError
from gateway.exchange import Outcome, Request, Response
from gateway.middleware import Compression, RequestId, TrustedHost
from gateway.mount import Mount
from gateway.servers import Bind, Launch, Server, start
from gateway.testing import Client
from tests.adapters.websocket_peer import SECONDS, Peer
from tests.gateway.chain_parts import asgi_app, wsgi_app, wsgi_mark
from tests.gateway.two_site import chat, page
from tests.middleware.live import ask

ROOT = str(Path(__file__).resolve().parents[2])


@pytest.fixture(autouse=True)
def _nothing_runs_on() -> Iterator[None]:
    """What an adapter to WSGI has started ends with the test."""
    yield
    close_all()


@dataclass(frozen=True, kw_only=True)
class Sees(Middleware):
    """A middleware that takes part in everything, and notes it."""

    websocket: ClassVar[bool] = True
    seen: list[Any] = field(default_factory=list)

    def on_response(self, request: Request, response: Response) -> None:
        self.seen.append(("websocket" if request.is_websocket else "http", response.status))

    def on_finish(self, request: Request, outcome: Outcome) -> None:
        self.seen.append(outcome.kind)


class Lives:
    """An ASGI application that notes its lifespan and the state of each scope."""

    def __init__(self, name: str, log: list[Any], *, fails: bool = False) -> None:
        self.name = name
        self.log = log
        self.fails = fails

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["name"] = self.name
            if self.fails:
                await send({"type": "lifespan.startup.failed", "message": f"{self.name} fails"})
                return
            self.log.append(f"{self.name} starts")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.log.append(f"{self.name} stops")
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.log.append((scope["type"], self.name, scope["state"]["name"]))
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("middleware", [[], [RequestId(), Compression()]], ids=["alone", "chain"])
@pytest.mark.parametrize("app", [wsgi_app, asgi_app], ids=["wsgi", "asgi"])
def test_http_goes_to_one_application_and_websockets_to_the_other(app: Any, middleware: list[Middleware]) -> None:
    sees = Sees()
    both = Gateway(app, middleware=[sees, *middleware], websocket_app=chat)
    with Client(both, interface="asgi") as client:
        assert client.get("/").status_code == 200
        with client.websocket("/chat") as websocket:
            websocket.send_text("hello")
            assert websocket.receive_text() == "echo hello"
    assert ("http", 200) in sees.seen
    assert ("websocket", 101) in sees.seen


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_both_have_their_lifespan_and_their_state(kind: str) -> None:
    log: list[Any] = []
    first: Any = Lives("first", log) if kind == "asgi" else wsgi_app
    with Client(Gateway(first, websocket_app=Lives("second", log)), interface="asgi") as client:
        client.get("/")
        with pytest.raises(Exception, match="403"), client.websocket("/"):
            pass
    if kind == "asgi":
        assert log == [
            "first starts",
            "second starts",
            ("http", "first", "first"),
            ("websocket", "second", "second"),
            "second stops",
            "first stops",
        ]
    else:
        assert log == ["second starts", ("websocket", "second", "second"), "second stops"]


@pytest.mark.parametrize("fails", ["first", "second"])
def test_one_that_fails_to_start_stops_both(fails: str) -> None:
    log: list[Any] = []
    sent: list[Any] = []
    both = Gateway(
        Lives("first", log, fails=fails == "first"), websocket_app=Lives("second", log, fails=fails == "second")
    )

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(asyncio.wait_for(both.asgi({"type": "lifespan", "state": {}}, receive, send), SECONDS))
    assert sent == ["lifespan.startup.failed"]
    assert log == ([] if fails == "first" else ["first starts", "first stops"])


def test_a_wsgi_application_for_websockets_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="websocket_app= must be an ASGI application, got a WSGI one"):
        Gateway(wsgi_app, websocket_app=wsgi_app)


def test_a_wsgi_middleware_that_a_websocket_would_bypass_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="WebSockets would bypass"):
        Gateway(wsgi_app, middleware=[wsgi_only(wsgi_mark)], websocket_app=chat)
    Gateway(wsgi_app, middleware=[wsgi_only(wsgi_mark, safe_to_skip=True)], websocket_app=chat)


@pytest.mark.filterwarnings("ignore:this chain has:gateway.chain.ChainWarning")
def test_an_asgi_middleware_sees_both() -> None:
    kinds: list[str] = []

    def notes(app: Any) -> Any:
        async def noting(scope: Any, receive: Any, send: Any) -> None:
            kinds.append(scope["type"])
            await app(scope, receive, send)

        return noting

    with Client(Gateway(wsgi_app, middleware=[asgi_only(notes)], websocket_app=chat), interface="asgi") as client:
        client.get("/")
        with client.websocket("/"):
            pass
    assert kinds == ["lifespan", "http", "websocket"]


@pytest.mark.parametrize("app", [wsgi_app, asgi_app], ids=["wsgi", "asgi"])
def test_a_wsgi_server_that_hands_over_its_socket_serves_them_too(app: Any) -> None:
    both = Gateway(app, middleware=[RequestId()], websocket_app=chat, websockets=True)
    with Peer(both.wsgi) as peer:
        peer.next()
        peer.send(events.TextMessage("hello"))
        said = peer.next()
        assert isinstance(said, events.TextMessage)
        assert said.data == "echo hello"
        peer.send(events.CloseConnection(1000))
        peer.left()


@pytest.mark.filterwarnings("ignore:this chain has:gateway.chain.ChainWarning")
def test_a_wsgi_server_starts_the_application_for_websockets_once() -> None:
    kinds: list[str] = []

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        kinds.append(scope["type"])
        await chat(scope, receive, send)

    def passes(app: Any) -> Any:
        async def passing(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)

        return passing

    # The guard outside of the adapter stands on both paths, so that they begin with different objects.
    middleware = [Sees(), wsgi_only(wsgi_mark, safe_to_skip=True), asgi_only(passes)]
    both = Gateway(wsgi_app, middleware=middleware, max_adapters=3, websocket_app=noted, websockets=True)
    with Client(both, interface="wsgi") as client:
        assert client.get("/").status_code == 200
        with Peer(both.wsgi) as peer:
            peer.next()
            peer.send(events.CloseConnection(1000))
            peer.left()
    assert kinds == ["lifespan", "websocket"]


def test_an_outer_gateway_a_decorator_and_a_mount_keep_it() -> None:
    inner = Gateway(wsgi_app, websocket_app=chat)
    assert "websocket_app=" in repr(inner)
    decorated: Any = wrap(websocket_app=chat)(wsgi_app)
    mount = Mount({"/live": inner, "/": wsgi_app})
    for app, path in ((Gateway(inner, middleware=[RequestId()]), "/"), (decorated, "/"), (mount, "/live/x")):
        with Client(app, interface="asgi") as client, client.websocket(path) as websocket:
            websocket.send_text("hello")
            assert websocket.receive_text() == "echo hello"


def test_explain_names_it() -> None:
    text = str(Gateway(wsgi_app, middleware=[TrustedHost(allowed=("a.example",))], websocket_app=chat).explain())
    assert "websockets: not served, because WSGI has no WebSockets" in text
    assert "websockets: served by chat, through TrustedHost" in text


def test_a_file_names_it(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('application = "tests.gateway.two_site:page"\nwebsocket_app = "tests.gateway.two_site:chat"\n')
    with Client(load(file), interface="asgi") as client, client.websocket("/") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "echo hello"
    file.write_text('application = "tests.gateway.two_site:page"\nwebsocket_app = "tests.gateway.two_site:page"\n')
    with pytest.raises(ConfigurationError, match="must be an ASGI application"):
        load(file)
    assert page.__module__ == "tests.gateway.two_site"


SERVERS = [
    "uvicorn",
    "hypercorn-asyncio",
    "granian-asgi",
    "granian-rsgi",
    "daphne",
    "gunicorn-asgi",
    "gunicorn-gthread",
]


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n == "uvicorn" else [pytest.mark.slow]) for n in SERVERS])
def test_live_servers_serve_both(name: str) -> None:
    server: Server = servers.get(name)
    if reason := server.missing():
        pytest.skip(reason)  # it names the package that is not installed
    # h11 refuses a header value that begins with a space.
    arguments = ("--http", "h11") if name == "uvicorn" else ()
    target = "tests.gateway.two_site:both"
    launch = Launch(target=target, bind=Bind(port=0), app_dir=ROOT, hooks=True, arguments=arguments)
    with start(server, launch) as running:
        response = ask(running.bind, "GET", "/", (("Host", "localhost"),))
        assert (response.status, response.body) == (200, b"page")
        assert [value.strip() for key, value in response.headers if key.lower() == "set-cookie"] == ["a=b; Path=/"]
        with connect(f"ws://{running.bind.netloc}/chat", open_timeout=SECONDS) as client:
            client.send("hello")
            assert client.recv(SECONDS) == "echo hello"
        with pytest.raises(InvalidStatus), connect(f"ws://{running.bind.netloc}/refused", open_timeout=SECONDS):
            pytest.fail("it was accepted")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n == "uvicorn" else [pytest.mark.slow]) for n in SERVERS])
def test_django_serves_pages_and_channels_its_websockets(name: str) -> None:
    server = servers.get(name)
    if reason := server.missing():
        pytest.skip(reason)  # it names the package that is not installed
    launch = Launch(target="tests.gateway.channels_site:app", bind=Bind(port=0), app_dir=ROOT, hooks=True)
    with start(server, launch) as running:
        response = ask(running.bind, "GET", "/", (("Host", "localhost"),))
        assert (response.status, response.body) == (200, b"a page of Django")
        assert [value.split(";")[0] for key, value in response.headers if key.lower() == "set-cookie"] == ["seen=1"]
        for path, said in (("chat/", "echo hello"), ("ticks/", "tick")):
            with connect(f"ws://{running.bind.netloc}/{path}", open_timeout=SECONDS) as client:
                client.send("hello")
                assert client.recv(SECONDS) == said
        assert ask(running.bind, "GET", "/none", (("Host", "localhost"),)).status == 404
