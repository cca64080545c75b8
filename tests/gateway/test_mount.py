"""`Mount`: which application gets a request, and what it sees of its address, under both kinds of server."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Mount as StarletteMount
from starlette.routing import Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from gateway.adapters.asgi_to_wsgi import close_all
from gateway.application import Gateway
from gateway.chain import ChainWarning, wsgi_only
from gateway.errors import ConfigurationError
from gateway.lifespan import Lifespan
from gateway.mount import Mount
from gateway.protocols import ASGIReceive, ASGISend, Environ, Scope, StartResponse, detect
from gateway.testing.clients import Client
from gateway.testing.websocket import WebSocketDenied
from tests.gateway.chain_parts import Guard, Mark, asgi_app, wsgi_app, wsgi_mark
from tests.shows import shows

Server = Literal["wsgi", "asgi"]
SERVERS: tuple[Server, Server] = ("wsgi", "asgi")


@pytest.fixture(autouse=True)
def _nothing_runs_on() -> Iterator[None]:
    """What an adapter to WSGI has started ends with the test."""
    yield
    close_all()


class Wsgi:
    """Tells where it is mounted and what was asked for, as WSGI says it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        root, path = (environ[key].encode("latin-1").decode() for key in ("SCRIPT_NAME", "PATH_INFO"))
        body = json.dumps([self.name, root, path]).encode()
        start_response("200 OK", [("content-type", "application/json"), ("content-length", str(len(body)))])
        return [body]


class Asgi:
    """The same, as ASGI says it; it counts its lifespans, and its websocket tells the same."""

    def __init__(self, name: str, events: list[str] | None = None, fail: str = "") -> None:
        self.name = name
        self.events = [] if events is None else events
        self.fail = fail

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(scope, receive, send)
            return
        root, path = scope["root_path"], scope["path"]
        assert path.startswith(root), "path keeps the full path"
        said: list[object] = [self.name, root, path[len(root) :]]
        if "state" in scope and "name" in scope["state"]:
            assert scope["state"]["name"] == self.name
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": json.dumps(said)})
            await receive()
            return
        body = json.dumps(said).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def lifespan(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await receive()
        if self.fail == "startup":
            await send({"type": "lifespan.startup.failed", "message": f"{self.name} has no database"})
            return
        scope["state"]["name"] = self.name
        self.events.append(f"start {self.name}")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.events.append(f"stop {self.name}")
        if self.fail == "shutdown":
            await send({"type": "lifespan.shutdown.failed", "message": f"{self.name} would not go"})
            return
        await send({"type": "lifespan.shutdown.complete"})


MOUNT = Mount(
    {
        "/": Wsgi("root"),
        "/api": Asgi("api"),
        "/api/v2": Wsgi("v2"),
        "/späth": Asgi("späth"),
        "api.example.org": Asgi("host"),
        "*.example.org/static": Wsgi("static"),
        "*.example.org": Wsgi("any"),
        "[::1]/six": Wsgi("six"),
    }
)


@dataclass(frozen=True)
class Case:
    id: str
    host: str
    path: str
    said: list[str]


CASES = [
    Case("root", "x", "/other", ["root", "", "/other"]),
    Case("prefix", "x", "/api/users", ["api", "/api", "/users"]),
    Case("prefix-alone", "x", "/api", ["api", "/api", ""]),
    Case("prefix-and-slash", "x", "/api/", ["api", "/api", "/"]),
    Case("whole-segments", "x", "/apix", ["root", "", "/apix"]),
    Case("longest", "x", "/api/v2/x", ["v2", "/api/v2", "/x"]),
    Case("longest-by-segments", "x", "/api/v22", ["api", "/api", "/v22"]),
    Case("non-ascii", "x", "/sp%C3%A4th/%C3%BC", ["späth", "/späth", "/ü"]),
    Case("case-matters", "x", "/API", ["root", "", "/API"]),
    Case("host", "api.example.org", "/api", ["host", "", "/api"]),
    Case("host-with-port-and-case", "API.Example.org:8080", "/x", ["host", "", "/x"]),
    Case("host-with-final-dot", "api.example.org.", "/x", ["host", "", "/x"]),
    Case("wildcard", "www.example.org", "/x", ["any", "", "/x"]),
    Case("wildcard-deeper", "a.b.example.org", "/static/x", ["static", "/static", "/x"]),
    Case("wildcard-is-not-the-domain", "example.org", "/x", ["root", "", "/x"]),
    Case("wildcard-is-not-a-longer-name", "badexample.org", "/x", ["root", "", "/x"]),
    Case("exact-host-before-wildcard-path", "api.example.org", "/static/x", ["host", "", "/static/x"]),
    Case("v6-host", "[::1]:8000", "/six/x", ["six", "/six", "/x"]),
    Case("a-host-without-a-place-falls-through", "[::1]", "/x", ["root", "", "/x"]),
]


@shows(
    "Mounted by the longest prefix of whole path segments, by host, by both; an exact host before a pattern before none"
)
@shows("SCRIPT_NAME and PATH_INFO move; root_path grows and path stays whole; what stands outside keeps its own")
@pytest.mark.parametrize("root_path", ["", "/outer"])
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_most_particular_place_gets_the_request(case: Case, server: Server, root_path: str) -> None:
    with Client(MOUNT, interface=server, root_path=root_path) as client:
        response = client.get(case.path, headers={"host": case.host})
    name, root, path = case.said
    assert response.json() == [name, root_path + root, path]


@shows("SCRIPT_NAME and PATH_INFO move; root_path grows and path stays whole; what stands outside keeps its own")
@pytest.mark.parametrize("path", ["/api", "/api/", "/api/users", "/apix"])
def test_an_application_sees_what_the_frameworks_own_mounts_show_it(path: str) -> None:
    async def told(request: StarletteRequest) -> JSONResponse:
        return JSONResponse([request.scope["root_path"], request.scope["path"], str(request.url)])

    inner = Starlette(routes=[Route("/{rest:path}", told), Route("/", told)])
    theirs = Starlette(routes=[StarletteMount("/api", app=inner)])
    with Client(Mount({"/api": inner}), interface="asgi") as ours, Client(theirs) as reference:
        expected = reference.get(path, follow_redirects=True)
        if path != "/api":  # Starlette redirects to /api/, and mounts nothing at /api itself
            found = ours.get(path)
            assert (found.status_code, found.status_code != 200 or found.json()) == (
                expected.status_code,
                expected.status_code != 200 or expected.json(),
            )
    mounts = {"/api": Wsgi("api")}
    with Client(Mount(dict(mounts), default=Wsgi("d")), interface="wsgi") as ours:
        with Client(DispatcherMiddleware(Wsgi("d"), mounts), interface="wsgi") as reference:
            assert ours.get(path).json() == reference.get(path).json()


@shows("404 where nothing is mounted, or a default")
@pytest.mark.parametrize("server", SERVERS)
def test_where_nothing_is_mounted_the_answer_is_404_as_problem_details(server: Server) -> None:
    with Client(Mount({"/api": Asgi("api")}), interface=server) as client:
        response = client.get("/other")
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["detail"] == "Nothing is mounted at this address."
        assert client.head("/other").text == ""


@shows("404 where nothing is mounted, or a default")
@pytest.mark.parametrize("server", SERVERS)
def test_a_default_takes_what_is_left_at_its_own_address(server: Server) -> None:
    with Client(Mount({"/api": Asgi("api")}, default=Wsgi("rest")), interface=server) as client:
        assert client.get("/apix").json() == ["rest", "", "/apix"]


@pytest.mark.parametrize("server", SERVERS)
def test_a_mount_that_keeps_paths_moves_no_prefix(server: Server) -> None:
    site = Mount({"/": Wsgi("root"), "/api": Asgi("api"), "/old": Wsgi("old")}, keep_path=True)
    with Client(site, interface=server, root_path="/outer") as client:
        for path, name in (("/x", "root"), ("/api/users", "api"), ("/old", "old"), ("/oldest", "root")):
            assert client.get(path).json() == [name, "/outer", path]


@shows("Each mounted application has its own interface, chain and adapter")
@pytest.mark.parametrize("server", SERVERS)
def test_each_mounted_application_has_a_chain_and_an_adapter_of_its_own(server: Server) -> None:
    other: Server = "asgi" if server == "wsgi" else "wsgi"
    apps: dict[str, Any] = {"wsgi": wsgi_app, "asgi": asgi_app}
    native = Gateway(apps[server], middleware=[Mark(name="native")])
    crossed = Gateway(apps[other], middleware=[Mark(name="crossed")])
    assert [gateway.explain().plans[server].adapters for gateway in (native, crossed)] == [0, 1]
    with Client(Mount({"/native": native, "/crossed": crossed}), interface=server) as client:
        assert client.get("/native").headers["x-mark"] == f"native:{server}"
        assert client.get("/crossed").headers["x-mark"] == f"crossed:{server}"


@shows("Each mounted application has its own interface, chain and adapter")
@pytest.mark.parametrize("server", SERVERS)
def test_a_gateway_around_a_mount_adds_no_adapter(server: Server) -> None:
    gateway = Gateway(Mount({"/w": Wsgi("w"), "/a": Asgi("a")}), middleware=[Mark()])
    assert {plan.adapters for plan in gateway.explain().plans.values()} == {0}
    with Client(gateway, interface=server) as client:
        for name in ("w", "a"):
            response = client.get(f"/{name}/x")
            assert response.json() == [name, f"/{name}", "/x"]
            assert response.headers["x-mark"] == f"mark:{server}"


@shows("Mounts nest")
@pytest.mark.parametrize("server", SERVERS)
def test_mounts_nest(server: Server) -> None:
    inner = Mount({"/b": Asgi("b"), "/": Wsgi("inner")})
    with Client(Mount({"/a": inner}), interface=server) as client:
        assert client.get("/a/b/c").json() == ["b", "/a/b", "/c"]
        assert client.get("/a/c").json() == ["inner", "/a", "/c"]
        assert client.get("/c").status_code == 404


@shows("SCRIPT_NAME and PATH_INFO move; root_path grows and path stays whole; what stands outside keeps its own")
def test_what_stands_outside_keeps_its_own_paths() -> None:
    environ: Environ = {"PATH_INFO": "/api/x", "SCRIPT_NAME": "", "HTTP_HOST": "x", "REQUEST_METHOD": "GET"}
    list(Mount({"/api": Wsgi("api")}).wsgi(environ, lambda *args: print))  # type: ignore[arg-type]  # answers nobody
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/api/x")


@shows("SCRIPT_NAME and PATH_INFO move; root_path grows and path stays whole; what stands outside keeps its own")
def test_a_server_whose_path_lacks_the_root_path_is_understood() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        seen.append(scope)
        await Asgi("api")(scope, receive, send)

    async def settled(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        # hypercorn's older convention
        if scope["type"] == "http":
            scope = {**scope, "root_path": "/outer", "path": "/api/x", "raw_path": b"/api/x"}
        await Mount({"/api": app}).asgi(scope, receive, send)

    with Client(settled, validate="off", lifespan=False) as client:
        assert client.get("/").json() == ["api", "/outer/api", "/x"]
    assert (seen[0]["path"], seen[0]["raw_path"]) == ("/outer/api/x", b"/outer/api/x")


def test_without_a_host_field_the_servers_name_counts() -> None:
    async def nameless(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        assert scope["type"] == "http"
        await MOUNT.asgi({**scope, "headers": [], "server": ("api.example.org", 80)}, receive, send)

    async def unknown(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await MOUNT.asgi({**scope, "headers": [], "server": None, "raw_path": None}, receive, send)

    with Client(nameless, validate="off", lifespan=False) as client:
        assert client.get("/x").json() == ["host", "", "/x"]
    with Client(unknown, validate="off", lifespan=False) as client:
        assert client.get("/x").json() == ["root", "", "/x"]


# --- websockets


@shows("WebSockets are dispatched too", once="WebSockets are ASGI's")
def test_websockets_are_dispatched_too() -> None:
    with Client(MOUNT, interface="asgi") as client:
        with client.websocket("/api/chat") as socket:
            assert socket.receive_json() == ["api", "/api", "/chat"]
        with pytest.raises(WebSocketDenied):
            with client.websocket("/other"):
                pass


@shows("WebSockets are dispatched too")
def test_a_websocket_to_nowhere_is_refused() -> None:
    with Client(Mount({"/api": Asgi("api")}), interface="asgi") as client:
        with pytest.raises(WebSocketDenied) as caught:
            with client.websocket("/other"):
                pass
    assert caught.value.response.status_code in (403, 404)


# --- lifespan


@shows(
    "Lifespan reaches each application, in order and back, and a failure is told",
    once="WSGI has no lifespan: there the adapter of each application drives it, which is one of these",
)
def test_lifespan_reaches_each_application_in_order_and_back() -> None:
    events: list[str] = []
    twice = Asgi("one", events)
    mount = Mount({"/one": twice, "/w": Wsgi("w"), "/two": Asgi("two", events), "/again": twice})
    with Client(mount, interface="asgi") as client:
        assert events == ["start one", "start two"]
        for path in ("/one", "/two", "/again"):
            assert client.get(path).status_code == 200  # each asserts its own state
    assert events == ["start one", "start two", "stop two", "stop one"]


async def state_of(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """Tell whether the state is the one that the lifespan made."""
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["made"] = "by the lifespan"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(scope["state"]).encode()})


@pytest.mark.parametrize("server", SERVERS)
def test_an_application_has_its_state_at_every_place_and_as_the_default(server: Server) -> None:
    mount = Mount({"/one": state_of, "/two": state_of, "/w": Wsgi("w")}, default=Gateway(state_of, middleware=[Mark()]))
    with Client(mount, interface=server) as client:
        for path in ("/one", "/two", "/elsewhere"):
            assert client.get(path).json() == {"made": "by the lifespan"}
    with Client(Mount({"/w": Wsgi("w")}, default=state_of), interface=server) as client:
        assert client.get("/elsewhere").json() == {"made": "by the lifespan"}


def test_lifespan_reaches_the_default_last() -> None:
    events: list[str] = []
    with Client(Mount({"/a": Asgi("a", events)}, default=Asgi("rest", events)), interface="asgi"):
        assert events == ["start a", "start rest"]
    assert events == ["start a", "start rest", "stop rest", "stop a"]
    assert Mount({"/w": Wsgi("w")}, default=Asgi("rest")).interface == "asgi"


@shows("Lifespan reaches each application, in order and back, and a failure is told")
def test_lifespan_reaches_applications_of_mounts_inside() -> None:
    events: list[str] = []
    with Client(Mount({"/a": Mount({"/b": Asgi("b", events)}), "/c": Asgi("c", events)}), interface="asgi") as client:
        assert client.get("/a/b").json() == ["b", "/a/b", ""]
        assert client.get("/c").json() == ["c", "/c", ""]
    assert events == ["start b", "start c", "stop c", "stop b"]


@shows("Lifespan reaches each application, in order and back, and a failure is told")
def test_under_a_wsgi_server_each_application_is_started_by_its_adapter() -> None:
    events: list[str] = []
    mount = Mount({"/one": Asgi("one", events), "/two": Asgi("two", events)})
    with Client(mount, interface="wsgi") as client:
        client.get("/two")
        assert events == ["start two"]
        client.get("/one")
        assert events == ["start two", "start one"]


async def drive_lifespan(mount: Mount, scope: Scope) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> dict[str, Any]:
        return events.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await mount.asgi(scope, receive, send)
    return sent


@shows("Lifespan reaches each application, in order and back, and a failure is told")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_failed_startup_stops_what_was_started_and_is_told(backend: str) -> None:
    import anyio

    events: list[str] = []
    mount = Mount({"/one": Asgi("one", events), "/two": Asgi("two", events, fail="startup")})
    sent = anyio.run(drive_lifespan, mount, {"type": "lifespan", "state": {}}, backend=backend)
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert "two has no database" in sent[0]["message"]
    assert events == ["start one", "stop one"]


@shows("Lifespan reaches each application, in order and back, and a failure is told")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_failed_shutdown_is_told_and_stops_no_other(backend: str) -> None:
    import anyio

    events: list[str] = []
    mount = Mount({"/one": Asgi("one", events), "/two": Asgi("two", events, fail="shutdown")})
    sent = anyio.run(drive_lifespan, mount, {"type": "lifespan", "state": {}}, backend=backend)
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.failed"]
    assert "two would not go" in sent[1]["message"]
    assert events == ["start one", "start two", "stop two", "stop one"]


@shows("Lifespan reaches each application, in order and back, and a failure is told")
def test_a_server_without_state_is_served_with_the_applications_own() -> None:
    import anyio

    mount = Mount({"/one": Asgi("one")})
    scope: Scope = {"type": "lifespan"}
    anyio.run(drive_lifespan, mount, scope)
    assert "state" not in scope
    with Client(mount, interface="asgi", lifespan=False, validate="off") as client:
        assert client.get("/one").json() == ["one", "/one", ""]


def test_lifespan_and_websockets_pass_a_wsgi_middleware_around_a_mount_by() -> None:
    events: list[str] = []
    mount = Mount({"/a": Asgi("a", events), "/w": Wsgi("w")})
    with pytest.raises(ConfigurationError, match="WebSockets would bypass"):
        Gateway(mount, middleware=[wsgi_only(wsgi_mark)])
    with pytest.warns(ChainWarning, match="2 adapters under ASGI servers"):
        gateway = Gateway(mount, middleware=[wsgi_only(wsgi_mark, safe_to_skip=True)])
    assert gateway.explain().plans["wsgi"].adapters == 0
    with Client(gateway, interface="asgi") as client:
        assert events == ["start a"]
        for path in ("/a", "/w"):
            assert client.get(path).headers["x-mark"] == "w:wsgi"
        with client.websocket("/a/chat") as socket:
            assert socket.receive_json() == ["a", "/a", "/chat"]
    assert events == ["start a", "stop a"]
    plain = Gateway(Mount({"/w": Wsgi("w")}), middleware=[wsgi_only(wsgi_mark)])
    assert {server: plan.adapters for server, plan in plain.explain().plans.items()} == {"wsgi": 0, "asgi": 1}


# --- built wrong, and the object itself


PLACES = [
    ("empty", ""),
    ("port", "example.org:80"),
    ("dots", "/api/../x"),
    ("dot", "/./x"),
    ("double-slash", "//api"),
    ("query", "/api?x"),
    ("percent", "/a%20b"),
    ("wildcard-inside", "www.*.org"),
    ("wildcard-alone", "*"),
    ("backslash", "/a\\b"),
]


@shows("What is no place, or is named twice, is an error when built", once="it never gets as far as a driver")
@pytest.mark.parametrize("key", [case[1] for case in PLACES], ids=[case[0] for case in PLACES])
def test_what_is_no_place_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Mount\(\{\.\.\.\}\) takes the keys '/prefix'"):
        Mount({key: wsgi_app})


@shows("What is no place, or is named twice, is an error when built")
def test_a_place_is_named_once() -> None:
    with pytest.raises(ConfigurationError, match="has two keys for the same address, the second is '/api/'"):
        Mount({"/api": wsgi_app, "/api/": asgi_app})


def test_what_is_no_application_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigurationError, match=r"Mount\(\{'/api': \.\.\.\}\): "):
        Mount({"/api": 5})  # type: ignore[dict-item]  # wrong on purpose


@shows("Each mounted application has its own interface, chain and adapter")
def test_a_mount_explains_the_chain_of_each_place() -> None:
    mount = Mount({"/": wsgi_app, "/a": Gateway(asgi_app, middleware=[Guard()])})
    explained = {place: explanation.as_dict() for place, explanation in mount.explain().items()}
    assert list(explained) == ["/a", "/"]
    assert explained["/a"]["servers"]["wsgi"]["order"][0]["name"] == "Guard"
    assert explained["/"]["servers"]["asgi"]["adapters"][0]["adapter"] == "WsgiToAsgi"


def test_a_mount_within_a_mount_explains_its_places_too() -> None:
    inner = Mount({"/": wsgi_app, "/x": asgi_app, "api.example.org/y": wsgi_app})
    mount = Mount({"/a": inner, "/b": Gateway(Gateway(inner), middleware=[Guard()]), "www.example.org": inner})
    explained = mount.explain()
    below = ["api.example.org{}/y", "{}/x", "{}"]
    assert list(explained) == [
        *("api.example.org/y", "www.example.org/x", "www.example.org"),
        *(place.format("/a") for place in below),
        "/b/*",
        *(place.format("/b") for place in below),
    ]
    assert [part.name for part in explained["/b/*"].parts] == ["Guard"]
    assert explained["/b/x"].plans["wsgi"].adapters == 1


def test_the_default_of_a_mount_is_explained_where_it_answers() -> None:
    default = Gateway(wsgi_app, middleware=[Guard()])
    explained = Mount({"/a": Mount({"/x": asgi_app}, default=default), "/b": asgi_app}, default=default).explain()
    assert list(explained) == ["/a/x", "/a", "/b", "/"]
    assert [part.name for part in explained["/"].parts] == [part.name for part in explained["/a"].parts] == ["Guard"]
    assert explained["/"].plans["asgi"].adapters == 1
    never = Mount({"/": asgi_app}, default=default).explain()
    assert list(never) == ["/"]
    assert list(never["/"].parts) == []
    assert list(Mount({"/b": asgi_app}).explain()) == ["/b"]


def test_a_mount_has_granians_own_interface_too() -> None:
    from gateway.adapters import AsgiToRsgi

    rsgi = Mount({"/a": asgi_app})._as_rsgi()
    assert isinstance(rsgi, AsgiToRsgi)


def test_a_mount_is_one_object_for_every_server() -> None:
    mount = Mount({"/w": wsgi_app, "/a": Gateway(asgi_app, middleware=[Guard()])})
    assert detect(mount) == "asgi"
    assert detect(Mount({"/w": wsgi_app})) == "wsgi"
    assert repr(mount) == "Mount('/w', '/a')"
    copied = pickle.loads(pickle.dumps(mount))
    assert repr(copied) == repr(mount)
    with Client(copied, interface="wsgi") as client:
        assert client.get("/a").headers["x-mark"] == "guard:wsgi"


def test_a_mount_leaves_the_time_of_a_start_and_of_an_end_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = {**Lifespan.__init__.__kwdefaults__, "startup_timeout": 0.01, "shutdown_timeout": 0.01}
    monkeypatch.setattr(Lifespan.__init__, "__kwdefaults__", defaults)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        for event in ("startup", "shutdown"):
            await receive()
            await asyncio.sleep(0.1)
            await send({"type": f"lifespan.{event}.complete"})

    async def main() -> None:
        async with Lifespan(Mount({"/a": slow}).asgi, startup_timeout=20.0, shutdown_timeout=20.0):
            pass

    asyncio.run(main())
