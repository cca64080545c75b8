"""A chain of every kind of middleware, built for both kinds of server: order, adapters, websockets, refusals."""

from __future__ import annotations

import asyncio
import copy
import functools
import operator
import pickle
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import pytest

from gateway.adapters.asgi_to_wsgi import close_all
from gateway.application import Gateway
from gateway.chain import ChainWarning, asgi_only, either, path_in, unless, when, wsgi_only
from gateway.contract import BuildContext, Flow, Hooks, Middleware, Process, Steps, Transform, as_middleware, io, reply
from gateway.errors import ConfigurationError
from gateway.exchange import Outcome, Request, Response
from gateway.headers import Header
from gateway.middleware.rate_limit import RateLimit
from gateway.mount import Mount
from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Environ, Scope, StartResponse
from gateway.testing.clients import Client
from gateway.testing.websocket import WebSocketDenied
from tests.gateway.chain_parts import (
    CountCrossings,
    Counting,
    Guard,
    Mark,
    Squeeze,
    asgi_app,
    asgi_mark,
    wsgi_app,
    wsgi_mark,
)
from tests.shows import shows

SERVERS: tuple[Literal["wsgi", "asgi"], ...] = ("wsgi", "asgi")
APPS = {"wsgi": wsgi_app, "asgi": asgi_app}

w = functools.partial(wsgi_only, wsgi_mark, safe_to_skip=True)
a = functools.partial(asgi_only, asgi_mark)


@pytest.fixture(autouse=True)
def _nothing_runs_on() -> Iterator[None]:
    """What an adapter to WSGI has started ends with the test."""
    yield
    close_all()


@pytest.fixture(autouse=True)
def _adapters_are_on_purpose() -> Iterator[None]:
    """Chains of two adapters and more warn; where that is the point, the test says so with ``pytest.warns``."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "this chain has", ChainWarning)
        yield


def chain(app: Any, *middleware: object, **options: Any) -> Gateway[Any]:
    return Gateway(app, middleware=middleware, **options)


def get(gateway: Gateway[Any], server: Literal["wsgi", "asgi"], **headers: str) -> Any:
    with Client(gateway, interface=server) as client:
        return client.get("/", headers={name.replace("_", "-"): value for name, value in headers.items()})


def marks(response: Any) -> list[str]:
    return [mark for line in response.headers.get_list("x-mark") for mark in line.split(", ")]


# --- order, interfaces, adapters


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("app", ["wsgi", "asgi"])
def test_wsgi_and_asgi_middleware_runs_in_the_servers_interface(app: str, server: Literal["wsgi", "asgi"]) -> None:
    gateway = chain(APPS[app], Mark(name="one"), Mark(name="two"))
    response = get(gateway, server)
    assert response.text == "one,two"
    assert marks(response) == [f"two:{server}", f"one:{server}"]


@dataclass(frozen=True)
class Case:
    id: str
    app: str
    middleware: tuple[object, ...]
    marks: dict[str, list[str]]


CASES = [
    Case("none", "wsgi", (), {"wsgi": [], "asgi": []}),
    Case(
        "body-work-goes-to-the-workers",
        "wsgi",
        (Mark(), Squeeze()),
        {"wsgi": ["mark:wsgi", "squeeze:wsgi"], "asgi": ["mark:asgi", "squeeze:wsgi"]},
    ),
    Case(
        "a-bound-one-inside",
        "wsgi",
        (Mark(name="one"), a(name="a"), Mark(name="two")),
        {"wsgi": ["one:wsgi", "a:asgi", "two:asgi"], "asgi": ["one:asgi", "a:asgi", "two:asgi"]},
    ),
    Case(
        "bound-in-the-middle-of-asgi",
        "asgi",
        (Mark(name="one"), w(name="w"), Mark(name="two")),
        {"wsgi": ["one:wsgi", "w:wsgi", "two:wsgi"], "asgi": ["one:asgi", "w:wsgi", "two:wsgi"]},
    ),
    Case(
        "twins-stand-beside-the-application",
        "asgi",
        (Mark(), either(wsgi=wsgi_mark, asgi=asgi_mark)),
        {"wsgi": ["mark:wsgi", "a:asgi"], "asgi": ["mark:asgi", "a:asgi"]},
    ),
    Case(
        "twins-that-answer-stand-at-the-server",
        "asgi",
        (either(wsgi=wsgi_mark, asgi=asgi_mark, short_circuits=True),),
        {"wsgi": ["w:wsgi"], "asgi": ["a:asgi"]},
    ),
    Case(
        "twins-beside-a-bound-one",
        "wsgi",
        (a(name="x"), either(wsgi=wsgi_only(wsgi_mark, name="t"), asgi=asgi_only(asgi_mark, name="t"), body_cpu=True)),
        {"wsgi": ["x:asgi", "t:wsgi"], "asgi": ["x:asgi", "t:wsgi"]},
    ),
    Case(
        "four-adapters",
        "wsgi",
        (a(name="1"), w(name="2"), a(name="3")),
        {"wsgi": ["1:asgi", "2:wsgi", "3:asgi"], "asgi": ["1:asgi", "2:wsgi", "3:asgi"]},
    ),
    Case(
        "a-condition-keeps-the-place",
        "asgi",
        (when(path_in("/"), Mark(name="one")), unless(path_in("/x"), w(name="w")), unless(path_in("/"), Mark())),
        {"wsgi": ["one:wsgi", "w:wsgi"], "asgi": ["one:asgi", "w:wsgi"]},
    ),
]


@shows("Order is never changed")
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_chain_keeps_its_order_and_runs_where_it_was_planned(case: Case, server: Literal["wsgi", "asgi"]) -> None:
    gateway = chain(APPS[case.app], CountCrossings(), *case.middleware, max_adapters=4, engine=Counting())
    response = get(gateway, server)
    assert response.status_code == 200
    assert list(reversed(marks(response))) == case.marks[server]
    planned = gateway.explain().as_dict()["servers"][server]
    assert response.headers["x-crossings"] == str(len(planned["adapters"]))
    assert gateway.explain().plans[server].interfaces[0] == server, "the counter stands outside of every adapter"


@shows("Order is never changed")
@pytest.mark.parametrize("seed", range(30))
def test_random_chains_run_in_order_where_they_were_planned(seed: int) -> None:
    rng = random.Random(seed)
    kinds: list[Callable[[str], object]] = [
        lambda name: Mark(name=name),
        lambda name: Squeeze(name=name),
        lambda name: Guard(name=name),
        lambda name: w(name=name),
        lambda name: a(name=name),
        lambda name: unless(path_in("/elsewhere"), rng.choice([Mark(name=name), w(name=name), a(name=name)])),
        lambda name: either(wsgi=wsgi_only(wsgi_mark, name=name), asgi=asgi_only(asgi_mark, name=name)),
    ]
    names = [f"m{index}" for index in range(rng.randrange(1, 7))]
    items = [rng.choice(kinds)(name) for name in names]
    gateway = chain(APPS[rng.choice(SERVERS)], CountCrossings(), *items, max_adapters=8, engine=Counting())
    for server in SERVERS:
        planned = gateway.explain().plans[server]
        response = get(gateway, server)
        expected = [f"{name}:{colour}" for name, colour in zip(names, planned.interfaces[1:], strict=True)]
        assert list(reversed(marks(response))) == expected
        assert response.headers["x-crossings"] == str(planned.adapters)


@shows("The fewest adapters, then short-circuiting ones on the server's side and body CPU on the workers'")
@pytest.mark.parametrize("server", SERVERS)
def test_what_is_answered_outside_an_adapter_does_not_pay_it(server: Literal["wsgi", "asgi"]) -> None:
    gateway = chain(APPS["asgi" if server == "wsgi" else "wsgi"], CountCrossings(), Guard(), engine=Counting())
    assert get(gateway, server).headers["x-crossings"] == "1"
    refused = get(gateway, server, x_refuse="1")
    assert refused.status_code == 403
    assert refused.headers["x-crossings"] == "0"


class Reads(Middleware):
    """Looks into the state on the way out only, so that it does not begin it."""

    websocket = True

    def __init__(self) -> None:
        object.__setattr__(self, "seen", [])

    def on_response(self, request: Request, response: Response) -> None:
        seen: list[Any] = self.seen  # type: ignore[attr-defined]  # set above
        seen.append(dict(request.state))

    def on_finish(self, request: Request, outcome: Outcome) -> None:
        seen: list[Any] = self.seen  # type: ignore[attr-defined]  # set above
        seen.append(dict(request.state))


class Writes(Middleware):
    """Puts something into the state on the way in."""

    websocket = True

    def on_request(self, request: Request) -> None:
        assert "state" not in request.native or "wrote" not in cast("dict[str, Any]", request.native["state"])
        request.state["wrote"] = request.interface


STATEFUL: dict[str, Callable[[Any, Any, Any], Any]] = {
    "one-wrapper": lambda app, reads, writes: Gateway(app, middleware=[reads, writes]),
    "around-wsgi": lambda app, reads, writes: Gateway(
        app, middleware=[reads, wsgi_only(wsgi_mark, safe_to_skip=True), writes]
    ),
    "around-asgi": lambda app, reads, writes: Gateway(app, middleware=[reads, asgi_only(asgi_mark), writes]),
    "condition": lambda app, reads, writes: Gateway(
        app, middleware=[reads, unless(path_in("/x"), either(wsgi=wsgi_mark, asgi=asgi_mark)), writes]
    ),
    "nested": lambda app, reads, writes: Gateway(Gateway(app, middleware=[writes]), middleware=[reads]),
    "mounted": lambda app, reads, writes: Gateway(Mount({"/": Gateway(app, middleware=[writes])}), middleware=[reads]),
}


@shows("request.state is a dict of its own that survives adapters")
@shows("It is never scope['state']")
@pytest.mark.parametrize("kind", STATEFUL)
@pytest.mark.parametrize("app", [wsgi_app, asgi_app], ids=["wsgi-app", "asgi-app"])
@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_the_state_of_a_request_is_one_dict_in_every_part_of_a_chain(
    kind: str, app: Any, server: Literal["wsgi", "asgi"]
) -> None:
    reads, writes = Reads(), Writes()
    with Client(STATEFUL[kind](app, reads, writes), interface=server) as client:
        client.get("/")
        seen: list[Any] = reads.seen  # type: ignore[attr-defined]  # set by its __init__
        assert [set(each) for each in seen] == [{"wrote"}, {"wrote"}]
        seen.clear()
        if server == "asgi" and app is asgi_app:
            with client.websocket("/") as socket:
                socket.receive_text()
            assert [set(each) for each in seen] == [{"wrote"}, {"wrote"}]


@shows("It is never scope['state']")
def test_the_servers_own_scope_has_no_state_of_ours() -> None:
    scopes: list[Any] = []

    async def server(scope: Any) -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None: ...

        scopes.append(scope)
        await STATEFUL["around-asgi"](asgi_app, Reads(), Writes())(scope, receive, send)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "state": {"own": 1}, "query_string": b""}
    before = repr(scope)
    asyncio.run(server(scope))
    assert repr(scope) == before


def test_a_third_party_is_made_once_for_both_kinds_of_server() -> None:
    made: list[object] = []

    def factory(app: ASGIApplication) -> ASGIApplication:
        made.append(app)
        return asgi_mark(app)

    gateway = chain(wsgi_app, Mark(), asgi_only(factory), Mark())
    assert marks(get(gateway, "wsgi")) == ["mark:asgi", "a:asgi", "mark:wsgi"]
    assert marks(get(gateway, "asgi")) == ["mark:asgi", "a:asgi", "mark:asgi"]
    assert len(made) == 1


@pytest.mark.parametrize("server", SERVERS)
def test_a_gateway_in_a_gateway_is_the_same_application_with_its_chain_outside(
    server: Literal["wsgi", "asgi"],
) -> None:
    inner = chain(wsgi_app, Mark(name="inner"))
    outer = chain(inner, Mark(name="outer"))
    response = get(outer, server)
    assert response.text == "outer,inner"
    assert len(outer.explain().as_dict()["servers"][server]["groups"]) == 1
    assert marks(get(inner, server)) == [f"inner:{server}"]


def test_an_adapter_that_was_given_is_folded_away() -> None:
    from gateway.adapters.asgi_to_wsgi import AsgiToWsgi

    gateway = chain(AsgiToWsgi(asgi_app), Mark())
    assert {server: plan.adapters for server, plan in gateway.explain().plans.items()} == {"wsgi": 0, "asgi": 0}
    assert marks(get(gateway, "asgi")) == ["mark:asgi"]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda gateway: pickle.loads(pickle.dumps(gateway))])
def test_a_copied_gateway_has_a_chain_of_its_own(duplicate: Callable[[Gateway[Any]], Gateway[Any]]) -> None:
    gateway = chain(asgi_app, when(path_in("/"), Mark()), Squeeze())
    other = duplicate(gateway)
    assert other.explain() is not gateway.explain()
    assert other.explain().as_dict() == gateway.explain().as_dict()
    assert marks(get(other, "wsgi")) == ["squeeze:wsgi", "mark:wsgi"]


# --- what warns, what is refused


@shows("Above one adapter warns")
def test_more_than_one_adapter_warns_where_the_chain_was_built() -> None:
    with pytest.warns(ChainWarning, match="2 adapters under ASGI servers: server .* w.* .* application") as caught:
        chain(asgi_app, w())
    assert caught[0].filename == __file__


@shows("Above one adapter warns")
def test_one_adapter_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chain(wsgi_app, Mark(), Squeeze())
        chain(asgi_app, Mark(), Squeeze())


@shows("Above two needs max_adapters=")
def test_too_many_adapters_are_refused_with_the_line() -> None:
    line = r"server \| asgi_mark \| wsgi_mark \| asgi_mark \| app"
    expected = rf"needs 4 adapters under WSGI servers, .* \(max_adapters=2\): {line}"
    with pytest.raises(ConfigurationError, match=expected):
        chain(wsgi_app, a(), w(), a())
    assert chain(wsgi_app, a(), w(), a(), max_adapters=4).explain().plans["asgi"].adapters == 3


def test_what_the_application_needs_by_itself_is_not_counted_against_a_chain() -> None:
    assert chain(wsgi_app, Mark(), max_adapters=0).explain().plans["asgi"].adapters == 1
    with pytest.raises(ConfigurationError, match="the limit is no adapter"):
        chain(wsgi_app, a(), max_adapters=0)


@as_middleware
def timing(request: Request, *, name: str = "app") -> Flow:
    response = yield
    response.headers.append("x-mark", f"{name}:{request.interface}")


NO_MIDDLEWARE = [
    ("a-factory", timing, r"got the function timing; call it: middleware=\[timing\(\)\]"),
    ("a-class", Mark, r"got the class Mark; call it: middleware=\[Mark\(\.\.\.\)\]"),
    ("a-third-party", wsgi_mark, r"wrap third-party middleware in wsgi_only\(\) or asgi_only\(\)"),
    ("a-string", "request_id", "got 'request_id'"),
]


@shows("A factory that was not called is a ConfigurationError that says so")
@pytest.mark.parametrize(
    ("item", "message"), [case[1:] for case in NO_MIDDLEWARE], ids=[case[0] for case in NO_MIDDLEWARE]
)
def test_what_is_no_middleware_is_refused_with_what_to_write(item: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        chain(wsgi_app, item)
    with pytest.raises(ConfigurationError, match=message):
        chain(wsgi_app, when(path_in("/"), item))  # type: ignore[arg-type]  # wrong on purpose


def test_a_third_party_of_the_other_interface_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"got one for ASGI; write asgi_only\(asgi_mark, \.\.\.\)"):
        chain(wsgi_app, wsgi_only(asgi_mark))
    with pytest.raises(ConfigurationError, match=r"got one for WSGI; write wsgi_only\(wsgi_mark, \.\.\.\)"):
        chain(asgi_app, asgi_only(wsgi_mark))
    with pytest.raises(ConfigurationError, match=r"wsgi_only\(asgi_mark, \.\.\.\) must return an application for WSGI"):
        chain(wsgi_app, either(wsgi=asgi_mark, asgi=asgi_mark))


class TwoCalls:
    """A middleware of ASGI 2: it takes the scope, and gives what takes the rest."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, scope: Any) -> Any:
        return self.app(scope)


def test_a_third_party_of_asgi_2_is_refused() -> None:
    for wrapped in (asgi_only(TwoCalls), wsgi_only(TwoCalls)):
        with pytest.raises(ConfigurationError, match=r"got one for ASGI2; use its (A|W)SGI version"):
            chain(APPS["asgi" if wrapped.wsgi is None else "wsgi"], wrapped)


def test_a_third_party_that_cannot_be_made_is_refused_when_built() -> None:
    with pytest.raises(ConfigurationError, match=r"wsgi_only\(wsgi_mark, \.\.\.\): .* TypeError: .*'colour'"):
        chain(wsgi_app, wsgi_only(wsgi_mark, colour="red"))
    with pytest.raises(ConfigurationError, match="must return an application when it is called with one, got None"):
        chain(wsgi_app, wsgi_only(lambda app: None))
    with pytest.raises(ConfigurationError, match="takes a middleware's class or factory, got 'x'"):
        wsgi_only("x")  # type: ignore[arg-type]  # wrong on purpose
    for ours, written in ((Mark, r"Mark\(\.\.\.\)"), (Mark(), r"Mark\(\.\.\.\)"), (timing, r"timing\(\.\.\.\)")):
        with pytest.raises(ConfigurationError, match=rf"runs under WSGI and ASGI, .* write middleware=\[{written}\]"):
            asgi_only(ours)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ConfigurationError, match=r"timing runs under WSGI and ASGI"):
        either(wsgi=timing, asgi=asgi_mark)
    with pytest.raises(ConfigurationError, match=r"wsgi_mark is already wrapped as wsgi only"):
        asgi_only(wsgi_only(wsgi_mark))  # type: ignore[arg-type]  # wrong on purpose


def test_a_third_partys_own_refusal_is_not_wrapped() -> None:
    def factory(app: object) -> object:
        raise ConfigurationError("no key")

    with pytest.raises(ConfigurationError, match=r"\Ano key\Z"):
        chain(wsgi_app, wsgi_only(factory))


def test_either_takes_one_of_each_kind() -> None:
    with pytest.raises(ConfigurationError, match="takes a WSGI middleware and an ASGI one"):
        either(wsgi=asgi_only(asgi_mark), asgi=asgi_only(asgi_mark))
    assert either(wsgi=wsgi_mark, asgi=asgi_mark).name == "wsgi_mark|asgi_mark"


@dataclass(frozen=True, kw_only=True)
class Limit(Mark):
    after = ("Proxy",)


@dataclass(frozen=True, kw_only=True)
class Proxy(Mark):
    before = ("Outermost",)


@dataclass(frozen=True, kw_only=True)
class Outermost(Mark):
    pass


@shows("Order rules are class metadata and warn")
def test_a_broken_order_rule_warns_and_changes_nothing() -> None:
    with pytest.warns(ChainWarning, match="list Proxy before Limit"):
        gateway = chain(wsgi_app, Limit(name="limit"), Proxy(name="proxy"))
    assert get(gateway, "wsgi").text == "limit,proxy"
    assert "warning: list Proxy before Limit" in str(gateway.explain())
    with pytest.warns(ChainWarning, match="list Proxy before Outermost"):
        chain(wsgi_app, Outermost(), unless(path_in("/x"), Proxy()))


@pytest.mark.parametrize("key", ["after", "before"])
def test_order_rules_that_are_one_name_are_refused(key: str) -> None:
    # Read letter by letter it would be no rule at all.
    item = type("Limit", (Middleware,), {key: "ProxyHeaders"})()
    for each in (item, when(path_in("/x"), item)):
        with pytest.raises(ConfigurationError, match=rf"Limit\.{key} must be a tuple .* write \('ProxyHeaders',\)"):
            chain(wsgi_app, each)


# --- conditions


@dataclass(frozen=True, kw_only=True)
class Everything(Middleware):
    """Tells on a list which of its hooks were called."""

    calls: list[str]

    @property
    def constant_headers(self) -> Sequence[Header]:
        return (Header("x-constant", "1"),)

    def on_request(self, request: Request) -> Steps[Response | None]:
        self.calls.append("on_request")
        yield from io(int, aint)
        return None

    def on_request_body(self, request: Request) -> Transform | None:
        self.calls.append("on_request_body")
        return None

    def on_response(self, request: Request, response: Response) -> None:
        self.calls.append("on_response")

    def on_body(self, request: Request, response: Response) -> Transform | None:
        self.calls.append("on_body")
        return None

    def on_error(self, request: Request, error: Exception) -> Response | None:
        self.calls.append("on_error")
        return Response(500, body=b"caught")

    def on_finish(self, request: Request, outcome: Outcome) -> None:
        self.calls.append("on_finish")


async def aint() -> int:
    return 0


def failing(environ: Environ, start_response: StartResponse) -> list[bytes]:
    environ["wsgi.input"].read(1)
    if environ["PATH_INFO"] == "/fail":
        raise ValueError("no")
    return list(wsgi_app(environ, start_response))


@pytest.mark.parametrize("server", SERVERS)
def test_a_condition_turns_every_hook_on_or_off(server: Literal["wsgi", "asgi"]) -> None:
    calls: list[str] = []
    gateway = chain(failing, unless(path_in("/off"), Everything(calls=calls)))
    with Client(gateway, interface=server, validate="off", raise_app_exceptions=False) as client:
        on = client.post("/on", content=b"x")
        assert on.headers["x-constant"] == "1"
        assert calls == ["on_request", "on_request_body", "on_response", "on_body", "on_finish"]
        calls.clear()
        assert client.post("/fail", content=b"x").text == "caught"
        assert "on_error" in calls
        calls.clear()
        off = client.post("/off/x", content=b"x")
        assert "x-constant" not in off.headers
        assert calls == []


@pytest.mark.parametrize("server", SERVERS)
def test_a_condition_works_on_the_generator_form(server: Literal["wsgi", "asgi"]) -> None:
    ended: list[int] = []

    @as_middleware
    def flow(request: Request) -> Flow:
        if request.path.endswith("/teapot"):
            yield from reply(Response(418, body=b"teapot"))
            return
        response = yield
        response.headers.append("x-mark", "flow")
        ended.append(response.status)

    gateway = chain(wsgi_app, when(lambda request: request.path.startswith("/on"), flow()))
    with Client(gateway, interface=server) as client:
        assert marks(client.get("/on")) == ["flow"]
        assert client.get("/on/teapot").status_code == 418
        assert marks(client.get("/off")) == []
        assert client.get("/off/teapot").status_code == 200
    assert ended == [200]


def test_a_condition_does_not_keep_a_middleware_from_starting_and_stopping() -> None:
    calls: list[str] = []

    @dataclass(frozen=True, kw_only=True)
    class Starts(Middleware):
        def on_start(self, process: Process) -> None:
            calls.append("start")

        def on_stop(self, process: Process) -> None:
            calls.append("stop")

    with Client(chain(asgi_app, when(path_in("/never"), Starts())), interface="asgi") as client:
        client.get("/")
        assert calls == ["start"]
    assert calls == ["start", "stop"]


@pytest.mark.parametrize("server", SERVERS)
def test_a_condition_works_on_a_middleware_without_a_response_hook(server: Literal["wsgi", "asgi"]) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Seen(Middleware):
        def on_request(self, request: Request) -> None:
            request.headers.append("x-seen", "seen")

    gateway = chain(wsgi_app, when(path_in("/on"), Seen()))
    with Client(gateway, interface=server) as client:
        assert client.get("/on").text == "seen"
        assert client.get("/off").text == ""


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("item", [w(), a()], ids=["wsgi", "asgi"])
def test_a_condition_works_on_a_third_party(item: Any, server: Literal["wsgi", "asgi"]) -> None:
    gateway = chain(wsgi_app, when(path_in("/on"), item), max_adapters=4)
    with Client(gateway, interface=server) as client:
        assert len(marks(client.get("/on/x"))) == 1
        assert marks(client.get("/onward")) == []
    assert "when(path_in('/on'), " in str(gateway.explain())


def test_conditions_nest_and_are_named() -> None:
    item = when(path_in("/a"), unless(lambda request: request.path == "/a/b", Guard()))
    gateway = chain(asgi_app, item)
    with Client(gateway, interface="asgi") as client:
        assert [bool(marks(client.get(path))) for path in ("/a", "/a/b", "/b")] == [True, False, False]
    part = gateway.explain().as_dict()["servers"]["asgi"]["order"][0]
    assert part["name"] == "when(path_in('/a'), unless(..., Guard))"
    assert gateway.explain().plans["asgi"].nodes[0].short_circuits
    assert repr(item).startswith("when(path_in('/a'), unless(<function")


PREFIXES = [
    ("the-prefix", "/api", "/api", True),
    ("below-it", "/api", "/api/users", True),
    ("a-longer-segment", "/api", "/apix", False),
    ("above-it", "/api/users", "/api", False),
    ("the-root", "/", "/anything", True),
]


@pytest.mark.parametrize(
    ("prefix", "path", "holds"), [case[1:] for case in PREFIXES], ids=[case[0] for case in PREFIXES]
)
def test_path_in_holds_by_whole_segments_below_the_mount_point(prefix: str, path: str, holds: bool) -> None:
    gateway = chain(wsgi_app, when(path_in(prefix), Mark()))
    for root_path in ("", "/root"):
        with Client(gateway, interface="asgi", root_path=root_path) as client:
            assert bool(marks(client.get(path))) is holds


def test_a_condition_that_cannot_be_asked_is_refused() -> None:
    async def predicate(request: Request) -> bool:
        return True

    with pytest.raises(ConfigurationError, match="takes a function of the request"):
        when(predicate, Mark())  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ConfigurationError, match="takes a function of the request"):
        unless("/x", Mark())  # type: ignore[arg-type]  # wrong on purpose
    for wrong in (lambda: True, lambda request, path: True, lambda request: (yield True)):
        with pytest.raises(ConfigurationError, match="takes a function of the request"):
            when(wrong, Mark())  # type: ignore[arg-type, return-value]  # wrong on purpose
    for prefixes in ((), ("api",), ("/api/",), (["/api"],), ("/api/*",)):
        with pytest.raises(ConfigurationError, match=r"path_in\(\.\.\.\) takes"):
            path_in(*prefixes)  # type: ignore[arg-type]  # wrong on purpose


def test_a_condition_may_be_any_callable_of_one_argument() -> None:
    same = functools.partial(operator.is_not, None)
    for predicate, holds in ((bool, True), (operator.attrgetter("query_string"), False), (same, True)):
        assert bool(marks(get(chain(wsgi_app, when(predicate, Mark())), "wsgi"))) is holds


# --- websockets


@shows("Guards take part: proxy headers, hosts, origin, limits")
def test_a_websocket_sees_every_middleware_that_takes_part_in_order() -> None:
    gateway = chain(asgi_app, Guard(name="one"), a(name="a"), Mark(name="no"), Guard(name="two"))
    with Client(gateway, interface="asgi") as client, client.websocket("/") as socket:
        assert socket.receive_text() == "one,two"
        assert [value for name, value in socket.accept_headers if name == b"x-mark"] == [
            b"two:asgi",
            b"a:asgi",
            b"one:asgi",
        ]


@shows("A third-party WSGI middleware that a websocket would skip is refused when built, unless declared safe")
def test_a_websocket_passes_by_what_is_declared_safe_and_still_meets_the_guards() -> None:
    gateway = chain(asgi_app, Guard(name="one"), w(), Guard(name="two"), a(), max_adapters=4)
    with Client(gateway, interface="asgi") as client:
        assert marks(client.get("/")) == ["a:asgi", "two:wsgi", "w:wsgi", "one:asgi"]
        with client.websocket("/") as socket:
            assert socket.receive_text() == "one,two"
        with pytest.raises(WebSocketDenied):
            with client.websocket("/", headers={"x-refuse": "1"}):
                pass


def test_a_generator_that_says_so_does_its_body_work_where_worker_threads_run() -> None:
    def squeezes(request: Request) -> Flow:
        yield

    placed = [
        chain(wsgi_app, as_middleware(body_cpu=body_cpu)(squeezes)()).explain().plans["asgi"].interfaces
        for body_cpu in (True, False)
    ]
    assert placed == [("wsgi",), ("asgi",)]


def test_a_guard_inside_a_wsgi_part_refuses_websockets() -> None:
    gateway = chain(asgi_app, w(), when(path_in("/private"), Guard()))
    assert gateway.explain().plans["asgi"].interfaces == ("wsgi", "wsgi")
    with Client(gateway, interface="asgi") as client:
        with client.websocket("/public", headers={"x-refuse": "1"}) as socket:
            assert socket.receive_text() == ""
        with pytest.raises(WebSocketDenied):
            with client.websocket("/private", headers={"x-refuse": "1"}):
                pass


def test_a_websocket_takes_the_asgi_twin_where_the_plan_took_the_wsgi_one() -> None:
    twins = either(wsgi=wsgi_only(wsgi_mark, name="t"), asgi=asgi_only(asgi_mark, name="t"), body_cpu=True)
    gateway = chain(asgi_app, w(), twins)
    with Client(gateway, interface="asgi") as client:
        assert marks(client.get("/")) == ["t:wsgi", "w:wsgi"]
        with client.websocket("/") as socket:
            assert (b"x-mark", b"t:asgi") in socket.accept_headers
            socket.receive_text()


@pytest.mark.parametrize("item", [RateLimit(limits="2/hour"), when(path_in("/"), RateLimit(limits="2/hour"))])
def test_a_limit_in_a_wsgi_part_counts_requests_and_handshakes_together(item: Any) -> None:
    gateway = chain(asgi_app, w(), item)
    assert gateway.explain().plans["asgi"].interfaces == ("wsgi", "wsgi")
    with Client(gateway, interface="asgi") as client:
        assert client.get("/").status_code == 200
        with client.websocket("/") as socket:
            socket.receive_text()
        assert client.get("/").status_code == 429
        with pytest.raises(WebSocketDenied):
            with client.websocket("/"):
                pass


@shows("build() runs once per place in a chain, and its result is used")
def test_what_a_place_shares_is_its_own() -> None:
    made: list[Any] = []

    class Counts(Middleware):
        def build(self, context: BuildContext) -> Hooks:
            made.append((context.interface, context.shared("count", lambda: [0]), context.shared("other", dict)))
            return self

        def on_request(self, request: Request) -> None: ...

    same = Counts()
    chain(asgi_app, same, w(), same)
    places: dict[int, set[str]] = {}
    for interface, count, _ in made:
        places.setdefault(id(count), set()).add(interface)
    assert len(places) == 2, "one place, one object; the same middleware at another place has another"
    assert {"asgi", "wsgi"} in places.values()
    assert all(other == {} for _, _, other in made)


@shows("A third-party WSGI middleware that a websocket would skip is refused when built, unless declared safe")
@pytest.mark.parametrize(
    "item", [wsgi_only(wsgi_mark), when(path_in("/"), wsgi_only(wsgi_mark))], ids=["plain", "when"]
)
def test_a_middleware_that_a_websocket_would_skip_is_refused_when_built(item: object) -> None:
    with pytest.raises(
        ConfigurationError, match=r"WebSockets would bypass .*wsgi_mark.* wsgi_only\(\.\.\., safe_to_skip=True\)"
    ):
        chain(asgi_app, item)
    chain(wsgi_app, item)


# --- lifespan


def test_lifespan_passes_wsgi_parts_by_and_reaches_the_application_once() -> None:
    events: list[str] = []
    loops: set[int] = set()

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        import asyncio

        loops.add(id(asyncio.get_running_loop()))
        if scope["type"] == "lifespan":
            events.append("start")
            await receive()
            scope["state"]["started"] = "yes"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            events.append("stop")
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert scope["state"]["started"] == "yes"
        await asgi_app(scope, receive, send)

    gateway = chain(app, a(name="outside"), w(), a(name="inside"), max_adapters=4)
    with Client(gateway, interface="asgi") as client:
        assert events == ["start"]
        assert marks(client.get("/")) == ["inside:asgi", "w:wsgi", "outside:asgi"]
        with client.websocket("/") as socket:
            socket.receive_text()
    assert events == ["start", "stop"]
    assert len(loops) == 1, "what an adapter comes back to runs on the loop that ran the lifespan"


def test_loops_that_ended_are_let_go_of(caplog: pytest.LogCaptureFixture) -> None:
    from gateway.adapters.asgi_to_wsgi import _service

    gateway = chain(asgi_app, w())
    before = len(_service._services)
    for _ in range(4):
        with Client(gateway, interface="asgi") as client:
            assert marks(client.get("/")) == ["w:wsgi"]
    assert len(_service._services) <= before + 1
    assert [record for record in caplog.records if record.name.startswith("gateway")] == []


def test_an_adapter_back_works_under_trio_too() -> None:
    gateway = chain(asgi_app, w(), a(), max_adapters=4)
    with Client(gateway, interface="asgi", backend="trio") as client:
        assert marks(client.get("/")) == ["a:asgi", "w:wsgi"]


def test_another_engines_adapter_back_runs_no_second_lifespan() -> None:
    starts: list[int] = []

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "lifespan":
            starts.append(1)
        await asgi_app(scope, receive, send)

    gateway = chain(app, w(), engine=Counting())
    with Client(gateway, interface="asgi") as client:
        assert marks(client.get("/")) == ["w:wsgi"]
    assert starts == [1]


# --- explain


@shows("explain() prints it, with the cost")
def test_explain_is_text_and_data() -> None:
    gateway = chain(asgi_app, Guard(), w(), Squeeze(), Mark(), engine="builtin")
    assert str(gateway.explain()).splitlines() == [
        "under WSGI servers: 1 adapter, about 44 us a request",
        "  wsgi  Guard (one wrapper)",
        "  wsgi  wsgi_mark (wsgi only)",
        "  wsgi  Squeeze, Mark (one wrapper)",
        "  ----  AsgiToWsgi (builtin)",
        "  asgi  asgi_app (application)",
        "  websockets: not served, because WSGI has no WebSockets",
        "under ASGI servers: 2 adapters, about 90 us a request",
        "  asgi  Guard (one wrapper)",
        "  ----  WsgiToAsgi (builtin)",
        "  wsgi  wsgi_mark (wsgi only)",
        "  wsgi  Squeeze, Mark (one wrapper)",
        "  ----  AsgiToWsgi (builtin)",
        "  asgi  asgi_app (application)",
        "  websockets: served, through Guard; they bypass wsgi_mark, Squeeze, Mark",
        "warning: this chain has 2 adapters under ASGI servers: server, Guard | wsgi_mark, Squeeze, Mark | "
        "application; explain() shows what they cost",
    ]
    data = gateway.explain().as_dict()
    assert data["application"] == "asgi_app"
    assert data["engine"] == "builtin"
    assert data["max_adapters"] == 2
    asgi = data["servers"]["asgi"]
    assert asgi["order"][1] == {"name": "wsgi_mark", "kind": "wsgi only", "interface": "wsgi"}
    assert asgi["groups"] == [
        {"interface": "asgi", "middleware": ["Guard"], "kind": "WSGI+ASGI"},
        {"interface": "wsgi", "middleware": ["wsgi_mark"], "kind": "wsgi only"},
        {"interface": "wsgi", "middleware": ["Squeeze", "Mark"], "kind": "WSGI+ASGI"},
    ]
    assert asgi["adapters"] == [
        {"position": 1, "outside": "Guard", "inside": "wsgi_mark", "adapter": "WsgiToAsgi", "engine": "builtin"},
        {"position": 4, "outside": "Mark", "inside": "asgi_app", "adapter": "AsgiToWsgi", "engine": "builtin"},
    ]
    assert asgi["websocket"]["takes_part"] == ["Guard"]


def test_explain_says_who_sees_websockets_or_why_none_come() -> None:
    assert "websockets: not served, because the application speaks WSGI" in str(chain(wsgi_app, Guard()).explain())
    assert "websockets: served, through no middleware; they bypass Mark" in str(chain(asgi_app, Mark()).explain())


def test_explain_does_not_price_an_engine_that_nobody_measured() -> None:
    gateway = chain(wsgi_app, Mark(), engine=Counting())
    assert "under ASGI servers: 1 adapter, cost unknown for this engine" in str(gateway.explain())
    assert gateway.explain().as_dict()["servers"]["asgi"]["cost_microseconds"] is None
    assert gateway.explain().as_dict()["engine"] == "Counting"
