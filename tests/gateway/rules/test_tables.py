"""The tables themselves: counted, complete, and each rule tested in both ways."""

import inspect
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules import ASGI_TABLES, RULES, TABLES, WSGI_TABLES
from gateway.rules.asgi_state import Connection, LifespanState, Sent
from gateway.rules.wsgi_state import Call, Exchange, Input, Started, Wrapped
from tests.gateway.rules import (
    test_asgi_common,
    test_asgi_events,
    test_asgi_extensions,
    test_asgi_http,
    test_asgi_lifespan,
    test_asgi_websocket,
    test_observer,
    test_wsgi_application,
    test_wsgi_server,
)
from tests.gateway.rules.cases import Case

MODULES = (
    test_asgi_common,
    test_asgi_http,
    test_asgi_events,
    test_asgi_extensions,
    test_asgi_websocket,
    test_asgi_lifespan,
    test_wsgi_application,
    test_wsgi_server,
    test_observer,
)
CASES: list[Case] = [case for module in MODULES for case in module.CASES]


def test_every_rule_has_a_case_that_breaks_it_and_one_that_keeps_it() -> None:
    assert {case.rule for case in CASES} == set(RULES)


def test_no_case_calls_a_check_itself() -> None:
    # A rule is broken by a real application, server or client, at the place where it is seen.
    assert [module.__name__ for module in MODULES if ".check(" in inspect.getsource(module)] == []


def test_no_two_cases_have_the_same_name() -> None:
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []


def test_no_two_rules_have_the_same_id() -> None:
    assert sum(len(table.rules) for table in TABLES) == len(RULES)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_a_rule_says_what_must_hold_where_it_is_written_and_where_it_is_seen(rule: object) -> None:
    from gateway.rules import Rule

    assert isinstance(rule, Rule)
    first = rule.sentence.split()[0]
    assert first[0].isupper() or first[0] == "`" or first.islower() or first == "uWSGI"
    assert rule.sentence.endswith(".")
    assert rule.source.split()[0] in ("ASGI", "PEP", "RFC")
    assert rule.side in ("application", "server", "middleware", "client")
    assert rule.at


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = [
    *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path", "headers"),
    *("client", "server", "state", "extensions", "status", "body", "more_body", "trailers", "links", "file", "offset"),
    *("count", "bytes", "text", "code", "reason", "subprotocol", "subprotocols", "message", "info"),
]
TYPES = sorted({stage.partition(":")[2] for rule in RULES.values() for stage in rule.at if "." in stage})


@given(st.dictionaries(st.sampled_from(KEYS), values), st.sampled_from(TYPES), values)
def test_no_check_of_asgi_raises_whatever_it_is_given(scope: dict[str, object], kind: str, value: object) -> None:
    message = {**scope, "type": kind}
    lifespan = LifespanState("started", value)
    connection = Connection(scope, lifespan=lifespan, outer=Connection(scope), inner=Connection(scope))
    for rule in (rule for table in ASGI_TABLES for rule in table if rule.seen == "wrapper"):
        for stage in rule.at:
            if stage.startswith("scope"):
                rule.check(connection, scope)
            elif stage.startswith(("receive", "send:", "send")) and not stage.startswith("sent"):
                rule.check(connection, message)
            elif stage.startswith("sent"):
                rule.check(connection, Sent(message, ValueError()))
            elif stage == "call":
                rule.check(connection, value)
            else:
                rule.check(connection, None)
    connection.received(message)
    connection.sent(message)


@given(st.dictionaries(st.text(max_size=5) | st.sampled_from(["wsgi.input", "PATH_INFO"]), values), values, values)
def test_no_check_of_wsgi_raises_whatever_it_is_given(environ: dict[str, object], a: object, b: object) -> None:
    exchange = Exchange(environ)
    call = Call((a, b), {})
    subjects: dict[str, object] = {
        "call": call,
        "environ": environ,
        "start": call,
        "started": Started(call, a),
        "input": Input("read", (a,), b),
        "after": "next",
        "wrapped": Wrapped(a, b),
        "logged": ValueError(),
        "stream": "wsgi.input.seek",
    }
    for rule in (rule for table in WSGI_TABLES for rule in table if rule.seen == "wrapper"):
        for stage in rule.at:
            rule.check(exchange, subjects.get(stage, a))
    exchange.started(call)
    exchange.output(a)
