"""RequestId: one id for a request, from who may give it, everywhere that it is looked for."""

from __future__ import annotations

import http.client
import json
import logging
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway import servers
from gateway.errors import ConfigurationError
from gateway.headers import HeaderError
from gateway.middleware.proxy_headers import ProxyHeaders
from gateway.middleware.request_id import RequestId, RequestIdFilter, current_request_id, current_trace_id
from gateway.servers import Bind, Launch, Running, start
from gateway.testing import Client
from tests.middleware import request_id_site
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Script, Seen
from tests.shows import shows

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@shows("Written to request field, state, context and response field, which is set, not appended")
def test_an_id_is_made_and_is_the_same_on_request_response_state_and_context(stack: MakeStack) -> None:
    found: list[str | None] = []

    def act(seen: Seen) -> None:
        found.append(current_request_id())

    answer = stack(RequestId(), script=Script(act=act)).request()
    name = answer.get("x-request-id") or ""
    assert re.fullmatch("[0-9a-f]{32}", name)
    assert answer.seen[0].headers["x-request-id"] == name
    assert answer.seen[0].state["request_id"] == name
    assert found == [name]


@shows("Written to request field, state, context and response field, which is set, not appended")
def test_the_response_has_one_id_even_if_the_application_set_another(stack: MakeStack) -> None:
    answer = stack(RequestId(), script=Script(headers=(("X-Request-ID", "mine"),))).request()
    assert answer.all("x-request-id") == [answer.seen[0].state["request_id"]]


@shows("Accepted never, from a trusted peer, or from anybody where valid; matched whole")
@pytest.mark.parametrize(
    ("accept", "value", "taken"),
    [
        ("valid", "abcd-1234", True),
        ("valid", "short", False),
        ("valid", "x" * 129, False),
        ("valid", "has space", False),
        ("valid", "<script>alert</script>", False),
        ("never", "abcd-1234", False),
        ("trusted-peer", "abcd-1234", False),
    ],
)
def test_only_a_valid_id_of_an_allowed_peer_is_accepted(stack: MakeStack, accept: str, value: str, taken: bool) -> None:
    middleware = RequestId(accept=accept)  # type: ignore[arg-type]
    answer = stack(middleware).request(headers=[("X-Request-ID", value)])
    assert (answer.get("x-request-id") == value) is taken


@shows("Accepted never, from a trusted peer, or from anybody where valid; matched whole")
def test_a_trusted_proxy_may_give_the_id_and_another_peer_may_not(stack: MakeStack) -> None:
    chain = stack(ProxyHeaders(trust=("10.0.0.0/8",)), RequestId())
    fields = [("X-Request-ID", "from-the-proxy")]
    assert chain.request(headers=fields, client=("10.0.0.1", 1)).get("x-request-id") == "from-the-proxy"
    assert chain.request(headers=fields, client=("198.51.100.1", 1)).get("x-request-id") != "from-the-proxy"


@shows("An id that is not taken is kept under another name on request")
def test_an_id_that_is_not_accepted_is_kept_in_another_header(stack: MakeStack) -> None:
    chain = stack(RequestId(accept="never", keep="X-Client-Request-ID"))
    seen = chain.request(headers=[("X-Request-ID", "client-4711")]).seen[0]
    assert re.fullmatch("[0-9a-f]{32}", seen.headers["x-request-id"])
    assert (seen.headers["x-client-request-id"], seen.state["client_request_id"]) == ("client-4711", "client-4711")


@pytest.mark.parametrize(
    "fields",
    [
        [("X-Request-ID", "<script>")],
        [("X-Client-Request-ID", "client-4711")],
        [("X-Request-ID", "short"), ("X-Client-Request-ID", "client-4711")],
    ],
)
def test_only_a_valid_id_is_kept_and_a_client_cannot_set_the_other_header(
    stack: MakeStack, fields: list[tuple[str, str]]
) -> None:
    seen = stack(RequestId(accept="never", keep="X-Client-Request-ID")).request(headers=fields).seen[0]
    assert "x-client-request-id" not in seen.headers
    assert "client_request_id" not in seen.state


def test_an_accepted_id_is_not_kept_twice(stack: MakeStack) -> None:
    chain = stack(ProxyHeaders(trust=("10.0.0.0/8",)), RequestId(keep="X-Client-Request-ID"))
    fields = [("X-Request-ID", "from-the-proxy")]
    seen = chain.request(headers=fields, client=("10.0.0.1", 1)).seen[0]
    assert (seen.headers["x-request-id"], "x-client-request-id" in seen.headers) == ("from-the-proxy", False)
    seen = chain.request(headers=fields, client=("198.51.100.1", 1)).seen[0]
    assert seen.headers["x-client-request-id"] == "from-the-proxy"


def test_the_header_for_a_kept_id_must_differ_from_that_of_the_id() -> None:
    with pytest.raises(ConfigurationError, match="X-Client-Request-ID"):
        RequestId(keep="x-request-id")


def test_two_ids_are_not_an_id(stack: MakeStack) -> None:
    answer = stack(RequestId(accept="valid")).request(headers=[("X-Request-ID", "a" * 8), ("X-Request-ID", "b" * 8)])
    assert re.fullmatch("[0-9a-f]{32}", answer.get("x-request-id") or "")


@shows("Made as uuid4, uuid7, ULID or by a function")
@pytest.mark.parametrize(
    ("generate", "pattern"),
    [
        ("uuid4", "[0-9a-f]{12}4[0-9a-f]{19}"),
        ("uuid7", "[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}"),
        ("ulid", "[0-9A-Z]{26}"),
    ],
)
def test_ids_can_be_made_in_three_ways_and_differ(stack: MakeStack, generate: str, pattern: str) -> None:
    chain = stack(RequestId(generate=generate))  # type: ignore[arg-type]
    names = [chain.request().get("x-request-id") or "" for _ in range(3)]
    assert all(re.fullmatch(pattern, name) for name in names)
    assert len(set(names)) == 3


@shows("Made as uuid4, uuid7, ULID or by a function")
def test_uuid7_and_ulid_sort_by_time() -> None:
    from gateway.middleware.request_id import _GENERATORS

    for kind in ("uuid7", "ulid"):
        first = _GENERATORS[kind]()
        while _GENERATORS[kind]()[:10] == first[:10]:
            pass
        assert first < _GENERATORS[kind]()


@shows("Made as uuid4, uuid7, ULID or by a function")
@shows("The name of the field is an option, and further ones may bring the id")
def test_a_function_and_another_header_can_be_given(stack: MakeStack) -> None:
    answer = stack(RequestId(header="X-Correlation-ID", generate=lambda: "fixed")).request()
    assert answer.get("x-correlation-id") == "fixed"


@shows("The name of the field is an option, and further ones may bring the id")
@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ([("X-Correlation-ID", "correlation-1"), ("X-Amzn-Trace-Id", "amazon-trace-1")], "correlation-1"),
        ([("X-Amzn-Trace-Id", "amazon-trace-1")], "amazon-trace-1"),
        ([("X-Request-ID", "request-one"), ("X-Correlation-ID", "correlation-1")], "request-one"),
        ([("X-Request-ID", "bad id"), ("X-Correlation-ID", "correlation-1")], "correlation-1"),
        ([("X-Other", "other-id-1")], None),
    ],
)
def test_further_fields_may_bring_an_id_in_their_order(
    stack: MakeStack, given: list[tuple[str, str]], taken: str | None
) -> None:
    chain = stack(RequestId(accept="valid", also=("X-Correlation-ID", "X-Amzn-Trace-Id"), generate=lambda: "made-here"))
    answer = chain.request(headers=given)
    assert answer.get("x-request-id") == (taken or "made-here")
    assert answer.seen[0].headers["x-request-id"] == (taken or "made-here")


@shows(
    "W3C Trace Context: zeros and upper case are invalid, unknown versions tolerated, tracestate goes with a "
    "bad traceparent"
)
@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (PARENT, True),
        (f"cc-{TRACE}-00f067aa0ba902b7-01", True),
        (f"cc-{TRACE}-00f067aa0ba902b7-01-what-comes", True),
        (f"00-{TRACE}-00f067aa0ba902b7-01-more", False),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", False),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", False),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        ("garbage", False),
    ],
)
def test_a_traceparent_is_valid_or_removed_with_its_tracestate(stack: MakeStack, value: str, kept: bool) -> None:
    found: list[str | None] = []

    def act(seen: Seen) -> None:
        found.append(current_trace_id())

    answer = stack(RequestId(), script=Script(act=act)).request(
        headers=[("traceparent", value), ("tracestate", "vendor=1")]
    )
    seen = answer.seen[0]
    assert seen.headers.get("traceparent") == (value if kept else None)
    assert ("tracestate" in seen.headers) is kept
    assert seen.state.get("trace_id") == (TRACE if kept else None)
    assert found == [TRACE if kept else None]


@shows("A logging filter gives both ids to log records")
def test_the_filter_puts_both_on_log_records(stack: MakeStack) -> None:
    records: list[tuple[str, str]] = []

    def act(seen: Seen) -> None:
        record = logging.LogRecord("app", logging.INFO, __file__, 1, "hello", (), None)
        assert RequestIdFilter().filter(record)
        records.append((record.request_id, record.trace_id))  # type: ignore[attr-defined]

    answer = stack(RequestId(), script=Script(act=act)).request(headers=[("traceparent", PARENT)])
    assert records == [(answer.get("x-request-id"), TRACE)]


@shows("Written to request field, state, context and response field, which is set, not appended")
def test_outside_of_a_request_there_is_no_id(stack: MakeStack) -> None:
    stack(RequestId()).request()
    record = logging.LogRecord("app", logging.INFO, __file__, 1, "hello", (), None)
    RequestIdFilter().filter(record)
    assert current_request_id() is None
    assert (record.request_id, record.trace_id) == ("-", "-")  # type: ignore[attr-defined]


@shows("Written to request field, state, context and response field, which is set, not appended")
def test_two_copies_in_one_chain_agree(stack: MakeStack) -> None:
    answer = stack(RequestId(), RequestId()).request()
    assert answer.all("x-request-id") == [answer.seen[0].state["request_id"]]


@shows("WebSocket handshakes have an id", once="WebSockets are ASGI's")
def test_a_websocket_gets_an_id_too(socket_stack: MakeStack) -> None:
    answer = socket_stack(RequestId()).handshake()
    assert answer.get("x-request-id") == answer.seen[0].state["request_id"]


def test_an_error_of_the_application_leaves_no_id_behind(stack: MakeStack) -> None:
    answer = stack(RequestId(), script=Script(raises=RuntimeError("x"))).request()
    assert answer.error is not None or answer.status == 500
    assert current_request_id() is None


@pytest.mark.parametrize(
    "options",
    [
        {"accept": "always"},
        {"valid": "("},
        {"generate": "uuid1"},
        {"header": "X Request"},
        {"also": "X-One"},
        {"also": ("a b",)},
    ],
)
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises((ConfigurationError, HeaderError)):
        RequestId(**options)  # type: ignore[arg-type]


def test_a_background_task_has_the_id_of_its_request() -> None:
    request_id_site.found.clear()
    with Client(request_id_site.named) as client:
        name = client.get("/page").text
    assert re.fullmatch("[0-9a-f]{32}", name)
    assert request_id_site.found == [[name, name]]
    assert current_request_id() is None


SERVERS = ("uvicorn", "hypercorn-asyncio", "daphne", "granian-asgi", "gunicorn-asgi", "gunicorn-gthread")


@pytest.fixture(params=[pytest.param(n, marks=[] if n == "uvicorn" else [pytest.mark.slow]) for n in SERVERS])
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    root = str(Path(__file__).resolve().parents[2])
    launch = Launch(target="tests.middleware.request_id_site:app", bind=Bind(port=0), app_dir=root, hooks=True)
    with start(servers.get(request.param), launch) as running:
        yield running


def test_an_id_stays_in_its_request_on_a_kept_connection(running: Running) -> None:
    with closing(http.client.HTTPConnection(running.bind.host, running.bind.port, timeout=30)) as connection:

        def ask(path: str) -> str:
            connection.request("GET", path)
            return connection.getresponse().read().decode()

        names = [ask("/named/page"), ask("/named/page")]
        assert len(set(names)) == 2
        for _ in range(200):  # until the background tasks have run
            told = json.loads(ask("/"))
            if len(told["found"]) == 2:
                break
    assert told["here"] is None
    assert told["found"] == [[name, name] for name in names]
