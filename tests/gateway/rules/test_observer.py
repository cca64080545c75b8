"""The rules that a client sees: each broken and kept by a server on a real socket, watched by a client of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.check import applications, wire
from gateway.check import probe as probing
from gateway.errors import ProtocolViolation
from gateway.rules import RULES, ClientObserver
from tests.gateway.rules.cases import Case, shows
from tests.gateway.rules.socket_server import SocketServer
from tests.gateway.rules.wsgi_socket_server import WsgiSocketServer


@dataclass
class Result:
    validator: ClientObserver
    found: list[ProtocolViolation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.found = [*self.validator.violations, *self.validator.warnings]


Look = Callable[[ClientObserver, Any], None]


def get(address: Any, path: str, *lines: str) -> wire.ProbeResponse:
    return wire.fetch(address, wire.request("GET", path, b"", *lines))


def sees_cut(observer: ClientObserver, address: Any) -> None:
    observer.response_cut(complete=get(address, "/cut").complete)


def sees_idle(observer: ClientObserver, address: Any) -> None:
    if get(address, "/idle").body == b"http.disconnect":
        observer.disconnect_given(client_left=False, complete=False)


def sees_flush(interface: str) -> Look:
    def look(observer: ClientObserver, address: Any) -> None:
        answer = get(address, "/flush")
        second_made = float(answer.body.partition(b" ")[2])
        observer.flushed(interface, sent=5, seen=5 if answer.first < second_made else 0)

    return look


def sees_headers(observer: ClientObserver, address: Any) -> None:
    observer.headers_delivered(applications.HEADERS, get(address, "/headers").headers)


def sees_coding(observer: ClientObserver, address: Any) -> None:
    observer.headers_delivered(applications.CODING, get(address, "/coding").headers)


def sees_trailers(*lines: str) -> Look:
    def look(observer: ClientObserver, address: Any) -> None:
        observer.trailers_delivered(te=bool(lines), trailers=get(address, "/trailers", *lines).trailers)

    return look


def sees_extensions(observer: ClientObserver, address: Any) -> None:
    observer.extensions_offered(json.loads(get(address, "/extensions").body)["extensions"])


def sees_denial(observer: ClientObserver, address: Any) -> None:
    observer.handshake_denied(get(address, "/deny", "Upgrade: websocket", *wire.HANDSHAKE).status)


def served(look: Look, *faults: str) -> Callable[[str], Result]:
    def run(mode: str) -> Result:
        observer = ClientObserver(mode)  # type: ignore[arg-type]
        with SocketServer(applications.asgi_application, *faults) as server:
            look(observer, server.address)
        return Result(observer)

    return run


def without_lifespan(*faults: str) -> Callable[[str], Result]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError("no lifespan")
        await applications.asgi_application(scope, receive, send)

    def run(mode: str) -> Result:
        observer = ClientObserver(mode)  # type: ignore[arg-type]
        with SocketServer(app, *faults) as server:
            observer.lifespan_unsupported(serves=server.serving and get(server.address, "/").status == 200)
        return Result(observer)

    return run


def probed(interface: str, *faults: str) -> Callable[[str], Result]:
    """The case of a server that the whole probe watches."""

    def run(mode: str) -> Result:
        observer = ClientObserver(mode)  # type: ignore[arg-type]
        with serving(interface, *faults) as server:
            probing.watch(observer, server.address, interface)
        return Result(observer)

    return run


def serving(interface: str, *faults: str) -> Any:
    if interface == "wsgi":
        return WsgiSocketServer(applications.wsgi_application, *faults)
    return SocketServer(applications.asgi_application, *faults)


def served_wsgi(look: Look, *faults: str) -> Callable[[str], Result]:
    def run(mode: str) -> Result:
        observer = ClientObserver(mode)  # type: ignore[arg-type]
        with serving("wsgi", *faults) as server:
            look(observer, server.address)
        return Result(observer)

    return run


def wsgi(rule: str, look: Look) -> Case:
    return Case(rule, served_wsgi(look, rule), served_wsgi(look))


def asgi(rule: str, look: Look, note: str = "") -> Case:
    return Case(rule, served(look, rule), served(look), note)


def sees_get(rule: str, path: str, *facts: Any) -> Look:
    """Look at a response: each fact is an attribute of it, or a value."""

    def look(observer: ClientObserver, address: Any) -> None:
        response = get(address, path)
        found = [getattr(response, fact) if isinstance(fact, str) else fact for fact in facts]
        observer.sees(rule, *found)

    return look


def sees_expectation(observer: ClientObserver, address: Any) -> None:
    expecting = wire.request("POST", "/echo", b"", "Content-Length: 3", "Expect: 100-continue")
    response = wire.fetch(address, expecting, 5.0, rest=b"abc", after=0.3)
    observer.sees("P62", response.status, json.loads(response.body)["size"], 3)


def sees_request_headers(rule: str, given: Any) -> Look:
    def look(observer: ClientObserver, address: Any) -> None:
        answer = get(address, "/echo", *(f"{name}: {value}" for name, value in probing._ECHO_HEADERS))
        observer.sees(rule, given, json.loads(answer.body)["headers"])

    return look


def sees_waiting(observer: ClientObserver, address: Any) -> None:
    answer = get(address, "/waits")
    observer.sees("P69", answer.began < float(answer.body))


def sees_long(observer: ClientObserver, address: Any) -> None:
    answer = wire.fetch(address, wire.request("GET", "/long"), 0.3, drain=True)
    observer.sees("P70", 10, len(answer.body))


def sees_short(observer: ClientObserver, address: Any) -> None:
    answer = wire.fetch(address, wire.request("GET", "/short"), 0.3, drain=True)
    observer.sees("P71", answer.closed)


def sees_awaited_trailers(observer: ClientObserver, address: Any) -> None:
    answer = get(address, "/trailers", "TE: trailers")
    observer.sees("E27", answer.complete, answer.trailers)


def sees_websocket(observer: ClientObserver, address: Any) -> None:
    probing._watch_websocket(observer, address, lambda path, *lines: get(address, path, *lines))


CASES = [
    Case("C09", served(sees_cut, "C09"), served(sees_cut)),
    Case("E05", served(sees_idle, "E05"), served(sees_idle)),
    Case("E13", served(sees_coding, "E13"), served(sees_coding)),
    Case("E25", served(sees_flush("asgi"), "E25"), served(sees_flush("asgi"))),
    Case("E26", served(sees_headers, "E26"), served(sees_headers)),
    Case("X09", served(sees_trailers(), "X09"), served(sees_trailers())),
    Case("X09", served(sees_trailers(), "X09"), served(sees_trailers("TE: trailers")), "asked-for"),
    Case("X11", served(sees_extensions, "X11"), served(sees_extensions), "offered", side="server", minor=True),
    Case("W15", served(sees_denial, "W15"), served(sees_denial)),
    Case("L06", without_lifespan("L06"), without_lifespan()),
    wsgi("P43", sees_flush("wsgi")),
    wsgi("P60", sees_get("P60", "/replaced", "status")),
    wsgi("P61", sees_get("P61", "/bytes", applications.BYTES, "body")),
    asgi("P61", sees_get("P61", "/bytes", applications.BYTES, "body"), "asgi"),
    wsgi("P62", sees_expectation),
    asgi("P62", sees_expectation, "asgi"),
    wsgi("P63", sees_request_headers("P63", {"x-two", "x-empty"})),
    wsgi("P64", sees_get("P64", "/lazy", "status", "body")),
    wsgi("P66", sees_get("P66", "/echo", "headers")),
    asgi("P66", sees_get("P66", "/echo", "headers"), "asgi"),
    wsgi("P69", sees_waiting),
    wsgi("P70", sees_long),
    wsgi("P71", sees_short),
    asgi("H17", sees_request_headers("H17", probing._ECHO_HEADERS)),
    asgi("E27", sees_awaited_trailers),
    *(asgi(rule, sees_websocket) for rule in ("W19", "W20", "W21", "W22", "W23")),
]


@pytest.mark.slow
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_the_whole_probe_finds_nothing_at_a_server_that_keeps_the_rules(interface: str) -> None:
    assert probed(interface)("collect").found == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_rule_that_a_client_sees_is_caught_broken_and_silent_kept(case: Case) -> None:
    shows(case)


def test_every_rule_that_a_wrapper_does_not_see_has_a_method_of_the_observer() -> None:
    unseen = {rule.id for rule in RULES.values() if rule.seen != "wrapper" and not rule.id.startswith("D")}
    # X11 binds a server, too, which only a client can judge: the wrapper does not know whether this is a test.
    assert unseen | {"X11"} == {case.rule for case in CASES}


def test_an_observer_that_raises_does_so_where_it_is_told() -> None:
    with pytest.raises(ProtocolViolation, match=r"\[W15\] server"):
        ClientObserver("raise").handshake_denied(404)
