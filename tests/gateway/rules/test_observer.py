"""The rules that a client sees: each broken and kept by a server on a real socket, watched by a client of it."""

import json
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

import pytest

from gateway.check import probe as probing
from gateway.errors import ProtocolViolation
from gateway.rules import RULES, ClientObserver
from tests.gateway.rules.cases import Case, shows
from tests.gateway.rules.socket_server import SocketServer


@dataclass
class Result:
    validator: ClientObserver
    found: list[ProtocolViolation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.found = [*self.validator.violations, *self.validator.warnings]


Look = Callable[[ClientObserver, Any], None]


def get(address: Any, path: str, *lines: str) -> probing.ProbeResponse:
    return probing.fetch(address, probing._request("GET", path, b"", *lines))


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
    observer.headers_delivered(probing._HEADERS, get(address, "/headers").headers)


def sees_coding(observer: ClientObserver, address: Any) -> None:
    observer.headers_delivered(probing.CODING, get(address, "/coding").headers)


def sees_trailers(*lines: str) -> Look:
    def look(observer: ClientObserver, address: Any) -> None:
        observer.trailers_delivered(te=bool(lines), trailers=get(address, "/trailers", *lines).trailers)

    return look


def sees_extensions(observer: ClientObserver, address: Any) -> None:
    observer.extensions_offered(json.loads(get(address, "/extensions").body))


def sees_denial(observer: ClientObserver, address: Any) -> None:
    observer.handshake_denied(get(address, "/ws", "Upgrade: websocket", *probing._HANDSHAKE).status)


def served(look: Look, *faults: str) -> Callable[[str], Result]:
    def run(mode: str) -> Result:
        observer = ClientObserver(mode)  # type: ignore[arg-type]
        with SocketServer(probing._application, *faults) as server:
            look(observer, server.address)
        return Result(observer)

    return run


def without_lifespan(*faults: str) -> Callable[[str], Result]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError("no lifespan")
        await probing._application(scope, receive, send)

    def run(mode: str) -> Result:
        observer = ClientObserver(mode)  # type: ignore[arg-type]
        with SocketServer(app, *faults) as server:
            observer.lifespan_unsupported(serves=server.serving and get(server.address, "/").status == 200)
        return Result(observer)

    return run


class Withholding(ServerHandler):
    """Keeps every block until the last one was made."""

    def _write(self, data: bytes) -> None:
        self.__dict__.setdefault("held", []).append(data)

    def _flush(self) -> None:
        pass

    def finish_content(self) -> None:
        super().finish_content()
        self.stdout.write(b"".join(self.__dict__.get("held", [])))
        self.stdout.flush()


class Handler(WSGIRequestHandler):
    handler: type[ServerHandler] = ServerHandler

    def log_message(self, *args: Any) -> None:
        pass

    def handle(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if self.parse_request():
            handler = self.handler(self.rfile, self.wfile, self.get_stderr(), self.get_environ(), multithread=False)  # type: ignore[arg-type]
            handler.run(self.server.get_app())  # type: ignore[attr-defined]


class WithholdingHandler(Handler):
    handler = Withholding


class Server(socketserver.ThreadingMixIn, WSGIServer):
    pass


def served_wsgi(handler: type[Handler], look: Look) -> Callable[[str], Result]:
    def run(mode: str) -> Result:
        observer = ClientObserver(mode)  # type: ignore[arg-type]
        with Server(("127.0.0.1", 0), handler) as server:
            server.set_app(probing._wsgi_application)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            look(observer, server.server_address)
            server.shutdown()
            thread.join()
        return Result(observer)

    return run


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
    Case("P43", served_wsgi(WithholdingHandler, sees_flush("wsgi")), served_wsgi(Handler, sees_flush("wsgi"))),
]


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
