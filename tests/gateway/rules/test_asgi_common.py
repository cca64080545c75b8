import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest

from tests.gateway.rules.asgi import (
    ABSENT,
    ANSWERS,
    PLAIN,
    REQUEST,
    Serve,
    bare,
    body,
    http,
    msg,
    nested,
    sends,
    serve,
    start,
)
from tests.gateway.rules.cases import Case, shows


async def loses_the_client() -> Any:
    raise ConnectionResetError("the client has left")


async def refuses_the_body() -> Any:
    """A middleware around the application may do so."""
    raise ValueError("the body is too large")


def once(**serving: Any) -> Any:
    return lambda mode: serve(Serve(**serving), mode=mode)


def through(middleware: Any, **serving: Any) -> Any:
    return lambda mode: nested(Serve(**serving), middleware, mode)


def mutates(app: Any) -> Any:
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        scope["path"] = "/other"
        await app(scope, receive, send)

    return middleware


def copies(app: Any) -> Any:
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "path": "/other"}, receive, send)

    return middleware


class Double:
    """An application of ASGI 2."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> None:
        await ANSWERS(self.scope, receive, send)


async def rejects(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await ANSWERS(scope, receive, send)


def late(mode: str) -> Any:
    """A task of the application sends when the application has long returned."""
    tasks = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await ANSWERS(scope, receive, send)

        async def task() -> None:
            await returned.wait()
            await receive()

        tasks.append(asyncio.ensure_future(task()))

    returned = asyncio.Event()

    from gateway.rules import Validator
    from tests.gateway.rules.asgi import DISCONNECT, Result, Server

    server = Server(Validator(app, "asgi", mode))  # type: ignore[arg-type]

    async def main() -> None:
        await server.call(Serve(events=(REQUEST, DISCONNECT)))
        returned.set()
        await asyncio.wait(tasks)
        server.errors.extend(error for task in tasks if (error := task.exception()))

    asyncio.run(main())
    return Result(server.validator, server.sent, server.errors, [])


class Subclass(dict[str, Any]):
    pass


UNKNOWN = http(type="gateway.unknown")
#: The example of the specification: the name of an extension is not the type of its message.
EXTENDED = http(extensions={"fullflush": {}})

CASES = [
    Case("C01", once(scope=http(type=ABSENT)), once(), "no-type"),
    Case("C01", once(scope={**http(), b"path": "/"}), once(), "key"),
    Case("C01", once(scope=http(type=b"http")), once(scope=Subclass(http())), "type-bytes"),
    Case("C02", once(scope=http(asgi=ABSENT)), once(scope=http(asgi={})), "no-asgi"),
    Case("C02", once(scope=http(asgi={"version": 3})), once(scope=http(asgi={"version": "2.0"})), "version-int"),
    Case(
        "C03",
        once(scope=http(asgi={"version": "3.0", "spec_version": 2.3})),
        once(scope=http(asgi={"version": "3.0", "spec_version": "2.3"})),
    ),
    Case("C04", once(app=sends("text", start(), body())), once(), "not-a-dict", side="application"),
    Case("C04", once(app=sends({"status": 200}, start(), body())), once(), "no-type", side="application"),
    Case(
        "C04",
        once(app=sends(msg("http.response.flush"), start(), body())),
        once(app=sends(msg("http.fullflush"), start(), body()), scope=EXTENDED),
        "unknown-type",
        side="application",
    ),
    Case(
        "C04", once(app=sends(msg("websocket.accept"), start(), body())), once(), "other-protocol", side="application"
    ),
    Case("C04", once(events=(msg("http.body"),)), once(), "from-the-server", side="server"),
    Case("C05", once(app=sends(start(note=float("nan")), body())), once(app=sends(start(note=1.5), body())), "nan"),
    Case("C05", once(app=sends(start(note={1, 2}), body())), once(app=sends(start(note=[1, 2]), body())), "set"),
    Case("C05", once(app=sends(start(note=2**63), body())), once(app=sends(start(note=2**63 - 1), body())), "int"),
    Case(
        "C05", once(app=sends(start(note={1: "a"}), body())), once(app=sends(start(note={"a": None}), body())), "keys"
    ),
    Case(
        "C05",
        once(app=sends(start(note=(1, 2)), body())),
        once(app=sends(start(headers=tuple(PLAIN)), body())),
        "tuple",
    ),
    Case("C05", once(events=({**REQUEST, "peer": ("a", 1)},)), once(), "from-the-server", side="server"),
    Case("C02", once(scope=http(asgi={"version": "1.0"})), once(), "unknown-version", minor=True),
    Case("C03", once(scope=http(asgi={"version": "3.0", "spec_version": "v2"})), once(), "letter"),
    Case(
        "C12",
        once(app=sends({"type": "http.response.start", "status": 200}, body()), fails={0: KeyError("headers")}),
        once(
            app=sends({"type": "http.response.start", "status": 200}, body()), fails={0: OSError("the client has left")}
        ),
        "headers",
    ),
    Case(
        "C12",
        once(app=sends(start(), {"type": "http.response.body"}), fails={1: KeyError("body")}),
        once(app=sends(start(), {"type": "http.response.body"})),
        "body",
    ),
    Case("C13", once(events=(loses_the_client,)), once(events=(refuses_the_body,)), "lost"),
    Case(
        "C06",
        once(app=sends(start(status="200"), start(), body())),
        once(app=ANSWERS),
        "wrong-type",
    ),
    Case(
        "C07",
        once(app=sends(start(priority=1), body()), fails={0: TypeError("unexpected key")}),
        once(app=sends(start(priority=1), body())),
    ),
    Case("C08", once(app=sends(receives=0), scope=UNKNOWN), once(app=rejects)),
    Case("C10", through(mutates), through(copies)),
    Case("C11", lambda mode: bare(Serve(app=Double), mode), lambda mode: bare(Serve(), mode), "two-calls", minor=True),  # type: ignore[arg-type]
    Case("C11", lambda mode: bare(Serve(app=lambda *args: None), mode), once(), "not-a-coroutine"),  # type: ignore[arg-type,return-value]
    Case("C11", late, once(), "receive-after-the-end", minor=True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_rule_of_every_protocol_is_caught_broken_and_silent_kept(case: Case) -> None:
    shows(case)


def test_an_unknown_scope_that_is_rejected_is_no_violation() -> None:
    result = serve(Serve(app=rejects, scope=UNKNOWN))
    assert result.found == []
    assert isinstance(result.errors[0], NotImplementedError)


def test_a_legacy_application_is_served_all_the_same() -> None:
    result = bare(Serve(app=Double))  # type: ignore[arg-type]
    assert [message["type"] for message in result.sent] == ["http.response.start", "http.response.body"]


def _plain(scope: Any, receive: Any, send: Any) -> Any:
    return ANSWERS(scope, receive, send)


class _Plain:
    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return ANSWERS(scope, receive, send)


@pytest.mark.parametrize("app", [_plain, _Plain(), partial(_plain)], ids=["function", "instance", "partial"])
def test_a_plain_callable_that_hands_back_a_coroutine_is_no_legacy_application(app: Any) -> None:
    result = bare(Serve(app=app))
    assert result.found == []
    assert [message["type"] for message in result.sent] == ["http.response.start", "http.response.body"]


def test_a_status_may_be_a_member_of_an_enumeration() -> None:
    result = serve(Serve(app=sends(start(HTTPStatus.OK), body())))
    assert result.found == []


def test_a_server_that_refuses_an_invalid_message_keeps_c06() -> None:
    result = serve(Serve(app=sends(start(status="200")), fails={0: TypeError("status must be an int")}))
    assert result.ids == {"E07"}


def test_middleware_that_replaces_the_headers_of_the_scope_is_at_fault_for_them() -> None:
    def replaces(app: Any) -> Any:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "headers": {b"x": b"1"}}, receive, send)

        return wrapped

    result = nested(Serve(), replaces)
    assert [(found.rule, found.side) for found in result.found] == [("H08", "middleware")]
