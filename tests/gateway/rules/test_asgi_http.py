import asyncio
from typing import Any

import pytest

from gateway.rules import Validator
from tests.gateway.rules.asgi import (
    ABSENT,
    ANSWERS,
    CHAT,
    CONNECT,
    REQUEST,
    STARTUP,
    Result,
    Serve,
    Server,
    apart,
    http,
    lifespan,
    msg,
    sends,
    serve,
    websocket,
)
from tests.gateway.rules.cases import Case, shows


def once(**scope: Any) -> Any:
    return lambda mode: serve(Serve(scope=http(**scope)), mode=mode)


def ws(**scope: Any) -> Any:
    return lambda mode: serve(Serve(scope=websocket(**scope), app=CHAT, events=(CONNECT,)), mode=mode)


def uploads(*bodies: bytes, **scope: Any) -> Any:
    events = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
    events[-1]["more_body"] = False
    app = sends(msg("http.response.start", status=204), msg("http.response.body"), receives=len(bodies))
    return lambda mode: serve(Serve(app=app, scope=http(**scope), events=events), mode=mode)


DATABASE = object()


def with_state(state: Any) -> Any:
    """A lifespan that puts a database into its state, then a request with the state that `state` makes of it."""

    def run(mode: str) -> Any:
        namespace: dict[str, Any] = {}

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                scope["state"]["database"] = DATABASE
                await receive()
                await send(msg("lifespan.startup.complete"))
                await receive()
                await send(msg("lifespan.shutdown.complete"))
            else:
                await sends(msg("http.response.start", status=204), msg("http.response.body"))(scope, receive, send)

        import asyncio

        from gateway.rules import Validator
        from tests.gateway.rules.asgi import SHUTDOWN, Result, Server

        server = Server(Validator(app, "asgi", mode))  # type: ignore[arg-type]

        async def main() -> None:
            async def request_then_shutdown() -> Any:
                await server.call(Serve(scope=http(state=state(namespace))))
                return SHUTDOWN

            await server.call(Serve(scope=lifespan(state=namespace), events=(STARTUP, request_then_shutdown)))

        asyncio.run(main())
        return Result(server.validator, server.sent, server.errors, [])

    return run


class OneShot:
    def __call__(self, mode: str) -> Any:
        return serve(Serve(scope=http(headers=iter([(b"host", b"a")]))), mode=mode)


def requests(scope: Any, *, again: bool) -> Any:
    """The case of a server that calls the application twice, with one scope or with two."""
    return lambda mode: serve(Serve(scope=scope), Serve(scope=http() if again else scope), mode=mode)


def at_once(second: Any) -> Any:
    """The case of a server that calls the application for a second request while it serves the first one."""

    def run(mode: str) -> Any:
        scope = http()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await ANSWERS(scope, receive, send)

        server = Server(Validator(app, "asgi", mode))  # type: ignore[arg-type]

        async def while_the_first_runs() -> Any:
            await apart(server.call(Serve(scope=second(scope))))
            return REQUEST

        asyncio.run(server.call(Serve(scope=scope, events=(while_the_first_runs,))))
        return Result(server.validator, server.sent, server.errors, [])

    return run


CHUNKED = [(b"transfer-encoding", b"chunked")]
LENGTH_3 = [(b"content-length", b"3")]

CASES = [
    Case("H01", once(http_version="HTTP/1.1"), once(http_version="2")),
    Case("H01", once(http_version="3"), once(http_version="1.0"), "http3", minor=True),
    Case("H02", once(method="get"), once(method="PROPFIND"), "lower-case"),
    Case("H02", once(method=b"GET"), once(), "bytes"),
    Case("H02", once(method="GET "), once(method="M-SEARCH"), "space"),
    Case("H03", once(scheme="http://"), once(scheme="coap+tcp"), "url"),
    Case("H04", once(path="a", raw_path=b"a"), once(path="*", raw_path=b"*", method="OPTIONS"), "no-slash", minor=True),
    Case(
        "H04",
        once(path="/a?x=1", raw_path=None, query_string=b"x=1"),
        once(path="/a?x=2", raw_path=None, query_string=b"x=1"),
        "with-the-query",
    ),
    Case(
        "H07",
        once(root_path="a", path="a/b", raw_path=b"/x"),
        once(root_path="/a", path="/a/b", raw_path=b"/a/b"),
        "no-slash",
        minor=True,
    ),
    Case("H21", once(headers=[(b"x", b"1\r\ny: 2")]), once(headers=[(b"x", b"\xc3\xa9\t1")]), "line-end"),
    Case("H21", ws(headers=[(b"x y", b"1")]), ws(headers=[(b"x-y", b"1")]), "name"),
    Case("H03", once(scheme=""), once(scheme=ABSENT), "empty"),
    Case("H03", ws(scheme=None), ws(scheme="wss"), "websocket"),
    Case("H04", once(path=b"/"), once(), "bytes"),
    Case("H04", once(path="/a%20b"), once(path="/a b"), "not-decoded"),
    Case("H04", once(path="/a b", raw_path=b"/a%2520b"), once(path="/a%20b", raw_path=b"/a%2520b"), "decoded-twice"),
    Case("H04", once(path="/a?x=1", raw_path=b"/a"), once(path="/a?b", raw_path=b"/a%3Fb"), "query"),
    Case("H05", once(raw_path=b"/a%20b?x"), once(raw_path=None), "query"),
    Case("H05", once(raw_path="/a%20b"), once(raw_path=ABSENT), "str"),
    Case("H06", once(query_string="x=1"), once(query_string=b""), "str"),
    Case("H06", once(query_string=ABSENT), ws(query_string=ABSENT), "absent"),
    Case("H06", once(query_string=b"x=a b"), once(query_string=b"?x=1"), "not-encoded"),
    Case("H07", once(root_path=b"/a"), once(root_path="/a"), "bytes"),
    Case("H07", once(root_path="/api"), once(root_path=ABSENT), "not-a-prefix", minor=True),
    Case("H08", once(headers=[("host", "a")]), once(headers=[[b"host", b"a"]]), "str"),
    Case("H08", once(headers={b"host": b"a"}), once(headers=()), "dict"),
    Case("H08", OneShot(), once(), "one-shot", minor=True),
    Case("H09", once(headers=[(b"Host", b"a")]), once(headers=[(b"host", b"A")])),
    Case("H10", once(headers=[(b":authority", b"a")]), once(headers=[(b"host", b"a")], http_version="2")),
    Case(
        "H10",
        once(headers=[(b"host", b"a"), (b"host", b"b")], http_version="2"),
        once(headers=[(b"host", b"a"), (b"host", b"b")]),
        "two-hosts",
    ),
    Case("H11", once(client=("127.0.0.1", "50000")), once(client=None), "port-str"),
    Case("H11", once(client=["", "0"]), once(client=["127.0.0.1", 0]), "unix-socket"),
    Case("H12", once(server=("127.0.0.1", "80")), once(server=("/run/app.sock", None)), "port-str"),
    Case("H12", once(server=("/", "r")), once(server=ABSENT), "indexed-path"),
    Case("H12", once(server="localhost"), once(server=iter(["localhost", 80])), "any-iterable"),
    Case("H08", once(headers=[5]), once(headers=[iter([b"host", b"a"])]), "items-of-any-iterable"),
    Case("H13", with_state(lambda state: state), with_state(dict), "the-same-object"),
    Case("H13", with_state(lambda state: {}), with_state(dict), "empty"),
    Case("H13", with_state(lambda state: ABSENT), with_state(dict), "absent"),
    Case("H13", with_state(lambda state: {**state, "more": 1}), with_state(dict), "added", minor=True),
    Case("H13", once(state=[]), once(state={"a": 1}), "not-a-dict"),
    Case("H14", once(extensions={"pubsub": True}), once(extensions={"pubsub": {}}), "bool", minor=True),
    Case("H14", once(extensions={1: {}}), once(extensions={}), "key"),
    Case("H14", once(extensions=["http.response.push"]), once(extensions=None), "list"),
    Case(
        "H15",
        uploads(b"3\r\nab", b"c\r\n0\r\n\r\n", headers=CHUNKED),
        uploads(b"3\r\nab", b"c\r\n", headers=CHUNKED),
    ),
    Case("H18", requests(http(), again=False), requests(http(), again=True), "one-after-the-other"),
    Case("H18", at_once(lambda scope: scope), at_once(dict), "at-once"),
    Case("H16", uploads(b"ab", headers=LENGTH_3), uploads(b"a", b"bc", headers=LENGTH_3), "short"),
    Case("H16", uploads(b"ab", b"cd", headers=LENGTH_3), uploads(b"abc", headers=LENGTH_3), "long"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_rule_of_the_http_scope_is_caught_broken_and_silent_kept(case: Case) -> None:
    shows(case)


OPTIONAL = ("scheme", "raw_path", "root_path", "client", "server", "extensions")


@pytest.mark.parametrize("key", OPTIONAL)
def test_an_optional_key_of_the_scope_may_be_absent(key: str) -> None:
    assert once(**{key: ABSENT})("raise").errors == []


def test_a_websocket_scope_without_any_optional_key_is_conformant() -> None:
    absent = dict.fromkeys((*OPTIONAL, "query_string", "subprotocols", "http_version"), ABSENT)
    result = ws(**absent)("raise")
    assert (result.errors, result.found) == ([], [])


def test_headers_that_can_be_read_once_reach_the_application_untouched() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        await sends(msg("http.response.start", status=204), msg("http.response.body"))(scope, receive, send)

    serve(Serve(app=app, scope=http(headers=iter([(b"host", b"a")]))))
    assert seen == [(b"host", b"a")]


def test_the_scope_that_the_application_gets_is_the_servers_own() -> None:
    scope = http()
    seen = []

    async def app(given: Any, receive: Any, send: Any) -> None:
        seen.append(given)
        await sends(msg("http.response.start", status=204), msg("http.response.body"))(given, receive, send)

    serve(Serve(app=app, scope=scope))
    assert seen[0] is scope
