"""The rules that a client sees: each broken and kept by a server on a real socket, found by a case of the suite."""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.check import applications, expected, servers, wire
from gateway.check.cases import CASES as SERVER_CASES
from gateway.check.cases import cases_of, http, websocket
from gateway.check.cases.visit import Visit
from gateway.errors import ProtocolViolation
from gateway.rules import RULES, ClientObserver
from tests.gateway.rules import socket_server
from tests.gateway.rules.cases import Case, shows
from tests.gateway.rules.socket_server import SocketServer
from tests.gateway.rules.wsgi_socket_server import WsgiSocketServer

ROOT = Path(__file__).parents[3]
BY_ID = {case.id: case for case in SERVER_CASES}


@dataclass
class Result:
    validator: ClientObserver
    found: list[ProtocolViolation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.found = [*self.validator.violations, *self.validator.warnings]


def serving(interface: str, *faults: str) -> Any:
    if interface == "wsgi":
        return WsgiSocketServer(applications.wsgi_application, *faults)
    return SocketServer(applications.asgi_application, *faults)


def visited(interface: str, id: str, *faults: str) -> Callable[[str], Result]:
    """Run one case of the suite at a server with faults."""

    def run(mode: str) -> Result:
        observer = ClientObserver(mode)  # type: ignore[arg-type]
        with serving(interface, *faults) as server:
            BY_ID[id].run(Visit(observer, server.address, interface))
        return Result(observer)

    return run


def wsgi(rule: str, id: str) -> Case:
    return Case(rule, visited("wsgi", id, rule), visited("wsgi", id))


def asgi(rule: str, id: str, note: str = "", **details: Any) -> Case:
    return Case(rule, visited("asgi", id, rule), visited("asgi", id), note, **details)


def without_lifespan(*faults: str) -> Callable[[str], Result]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError("no lifespan")
        await applications.asgi_application(scope, receive, send)

    def run(mode: str) -> Result:
        observer = ClientObserver(mode)  # type: ignore[arg-type]
        with SocketServer(app, *faults) as server:
            serves = server.serving and wire.fetch(server.address, wire.request("GET", "/")).status == 200
            observer.lifespan_unsupported(serves=serves)
        return Result(observer)

    return run


def stopped(*faults: str) -> Callable[[str], Result]:
    """Stop a server in a process of its own, while it responds."""

    def run(mode: str) -> Result:
        observer = ClientObserver(mode)  # type: ignore[arg-type]
        command = f"{sys.executable} {socket_server.__file__} {{port}} {{app}} {' '.join(faults)}"
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "report.json"
            environment = {expected.REPORT: str(file), "PYTHONPATH": str(ROOT)}
            with servers._running(command, "asgi", environment, 30.0) as server:
                servers._stopped(server, observer, "asgi", file, lifespan=True)
        return Result(observer)

    return run


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    # The server is in this process, so that its first part comes at once.
    monkeypatch.setattr(applications, "PAUSE", 0.2)
    monkeypatch.setattr(applications, "LEAVING", 0.4)
    monkeypatch.setattr(http, "LEAVING", 0.4)
    monkeypatch.setattr(websocket, "SHORT", 0.4)


CASES = [
    asgi("C09", "cut"),
    asgi("E05", "receive-waits"),
    asgi("E13", "transfer-encoding"),
    asgi("E25", "flush"),
    asgi("E26", "response-headers"),
    asgi("E27", "trailers"),
    asgi("E28", "large-request"),
    asgi("E29", "client-leaves"),
    asgi("H17", "request-headers"),
    asgi("H19", "percent-encoded-path"),
    asgi("H20", "http-1.0"),
    Case("L06", without_lifespan("L06"), without_lifespan()),
    Case("L13", stopped("L13"), stopped()),
    asgi("N01", "http-1.0"),
    Case("N01", visited("asgi", "http-1.0", "505"), visited("asgi", "http-1.0"), "refused", minor=True),
    asgi("N02", "keep-alive"),
    asgi("N03", "pipelining"),
    asgi("N04", "unread-body"),
    asgi("N05", "raises"),
    asgi("N06", "head"),
    asgi("N07", "no-content"),
    asgi("P61", "bytes", "asgi"),
    asgi("P62", "expect-continue", "asgi"),
    asgi("P66", "request-headers", "asgi"),
    asgi("W15", "websocket-refused"),
    asgi("W19", "websocket-closed-by-the-application"),
    asgi("W20", "websocket-accepted"),
    asgi("W21", "websocket-fragments"),
    asgi("W22", "websocket-fragments"),
    asgi("W23", "websocket-application-raises"),
    asgi("W24", "websocket-closed-by-the-client"),
    asgi("W24", "websocket-lost", "lost", minor=True),
    asgi("W25", "websocket-messages"),
    asgi("W26", "websocket-accepted"),
    asgi("X09", "trailers"),
    asgi("X11", "extensions", "offered", side="server", minor=True),
    asgi("X17", "websocket-denied-with-a-response"),
    wsgi("P43", "flush"),
    wsgi("P60", "headers-replaced"),
    wsgi("P61", "bytes"),
    wsgi("P62", "expect-continue"),
    wsgi("P63", "request-headers"),
    wsgi("P64", "start-response-in-iteration"),
    wsgi("P66", "request-headers"),
    wsgi("P69", "headers-wait"),
    wsgi("P70", "body-too-long"),
    wsgi("P71", "body-too-short"),
    wsgi("P72", "percent-encoded-path"),
    wsgi("P73", "http-1.0"),
    wsgi("P74", "large-request"),
    wsgi("P75", "client-leaves"),
    wsgi("P76", "cut"),
]


@pytest.mark.slow
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_every_case_finds_nothing_at_a_server_that_keeps_the_rules(interface: str) -> None:
    observer = ClientObserver()
    with serving(interface) as server:
        for case in cases_of(interface):
            case.run(Visit(observer, server.address, interface))
    assert Result(observer).found == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_rule_that_a_client_sees_is_caught_broken_and_silent_kept(case: Case) -> None:
    shows(case)


def test_every_rule_that_a_wrapper_does_not_see_has_a_case() -> None:
    unseen = {rule.id for rule in RULES.values() if rule.seen != "wrapper" and not rule.id.startswith("D")}
    # X11 binds a server, too, which only a client can judge: the wrapper does not know whether this is a test.
    assert unseen | {"X11"} == {case.rule for case in CASES}


def test_an_observer_that_raises_does_so_where_it_is_told() -> None:
    with pytest.raises(ProtocolViolation, match=r"\[W15\] server"):
        ClientObserver("raise").handshake_denied(404)
