"""The specialised drivers do what the naive ones do: over random chains, applications and faults, nothing differs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.drivers import _watch
from tests.gateway.drivers._scenario import App, Fault, run_asgi, run_wsgi

ON_REQUEST = ["pass", "write", "reply", "stream", "empty", "raise", "refuse", "io", "io-reply", "io-raise", "wrong"]
ON_RESPONSE = [
    "pass", "header", "header", "constant", "status", "reply", "stream", "empty", "raise", "io", "io-reply", "io-raise",
    "peek-2-pass", "peek-all-pass", "peek-4-catch", "peek-all-swallow", "peek-1-reply", "wrong",
]  # fmt: skip
HOOK_CHAIN = st.fixed_dictionaries(
    {},
    optional={
        "on_request": st.sampled_from(["pass"] * 6 + ON_REQUEST),
        "on_request_body": st.sampled_from(["pass", "double", "double", "refuse", "raise"]),
        "on_response": st.sampled_from(["header"] * 8 + ON_RESPONSE),
        "on_body": st.sampled_from(["pass", "pass", "double", "raise", "fails"]),
        "on_error": st.sampled_from(["pass", "pass", "reply", "raise", "io", "io-reply"]),
        "on_finish": st.sampled_from(["pass", "pass", "raise", "io", "io-raise"]),
    },
)
LIGHT_CHAIN = st.fixed_dictionaries(
    {},
    optional={
        "on_request": st.sampled_from(["pass"] * 4 + ["write", "reply", "raise", "io"]),
        "on_response": st.sampled_from(["header"] * 6 + ["reply", "raise", "status", "constant"]),
        "on_error": st.sampled_from(["pass", "reply"]),
        "on_finish": st.sampled_from(["pass", "raise"]),
    },
)
FLOWS = st.fixed_dictionaries(
    {
        "form": st.just("flow"),
        "before": st.sampled_from(["pass"] * 5 + ["raise", "skip", "reply", "io"]),
        "after": st.sampled_from(
            ["pass", "header", "header", "raise", "status", "reply", "transform", "peek", "handle", "again"]
        ),
    }
)
SIMPLE_FLOWS = st.fixed_dictionaries(
    {
        "form": st.just("flow"),
        "before": st.sampled_from(["pass"] * 5 + ["raise", "skip"]),
        "after": st.sampled_from(["pass", "header", "header", "raise", "status", "twice"]),
    }
)
CHAINS = st.one_of(
    st.lists(LIGHT_CHAIN, min_size=1, max_size=4),
    st.lists(st.one_of(LIGHT_CHAIN, SIMPLE_FLOWS), min_size=1, max_size=4),
    st.lists(st.one_of(HOOK_CHAIN, FLOWS), min_size=1, max_size=4),
).filter(any)  # a chain without a hook is the application itself
CHUNKS = st.lists(st.sampled_from([b"hello", b"ab", b"", b"xyz"]), max_size=4).map(tuple)
REQUESTS = st.fixed_dictionaries(
    {"method": st.sampled_from(["GET", "GET", "POST", "HEAD"]), "body": st.sampled_from([b"", b"x", b"payload"])}
)
QUICK = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
THOROUGH = settings(max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WSGI = (
    CHAINS,
    st.builds(
        App,
        shape=st.sampled_from(["list", "list", "eager", "lazy", "write"]),
        chunks=CHUNKS,
        status=st.sampled_from([200, 200, 204, 404]),
        fails=st.sampled_from([""] * 6 + ["before", "started", "restart", "twice", "chunk0", "chunk1", "end", "close"]),
        reads=st.booleans(),
        swallows=st.booleans(),
        length=st.booleans(),
    ),
    st.one_of(st.just(Fault()), st.builds(Fault, kind=st.just("gone"), after=st.integers(0, 3))),
    REQUESTS,
)
ASGI = (
    CHAINS,
    st.builds(
        App,
        shape=st.sampled_from(["list", "list", "chunks", "hints", "trailers", "debug"]),
        chunks=CHUNKS,
        status=st.sampled_from([200, 200, 204, 404]),
        fails=st.sampled_from(
            [""] * 8 + ["before", "started", "chunk0", "chunk1", "end", "silent", "unfinished", "cancel", "background"]
        ),
        reads=st.booleans(),
        swallows=st.booleans(),
        length=st.booleans(),
    ),
    st.one_of(
        st.just(Fault()),
        st.builds(Fault, kind=st.sampled_from(["gone", "oserror"]), after=st.integers(0, 3)),
    ),
    REQUESTS,
)


def check(run: Any, chain: list[dict[str, str]], app: App, fault: Fault, request: dict[str, Any]) -> None:
    # An application that swallows the server's OSError and then fails by itself: only the naive driver, which awaits
    # every send, has seen the first. The outcome names the second error in both.
    assume(not (fault.kind == "oserror" and app.swallows and app.fails))
    naive = run(chain, app, fault, reference=True, request=request)
    special = run(chain, app, fault, reference=False, request=request)
    if fault.kind == "oserror" and app.swallows:
        # For the same reason the specialised driver counts what was refused, once the application has gone on.
        for record in (naive, special):
            record.events = [
                (*event[:4], *event[5:]) if event[1:2] in (("on_finish",), ("finished",)) else event
                for event in record.events
            ]
    assert special.events == naive.events
    assert special == naive


@QUICK
@given(*WSGI)
def test_wsgi_specialised_and_naive_are_one(
    chain: list[dict[str, str]], app: App, fault: Fault, request_: dict[str, Any]
) -> None:
    check(run_wsgi, chain, app, fault, request_)


@QUICK
@given(*ASGI)
def test_asgi_specialised_and_naive_are_one(
    chain: list[dict[str, str]], app: App, fault: Fault, request_: dict[str, Any]
) -> None:
    check(run_asgi, chain, app, fault, request_)


@QUICK
@given(*ASGI)
def test_asgi_specialised_and_naive_are_one_where_each_looks_for_the_client_before_its_headers(
    chain: list[dict[str, str]], app: App, fault: Fault, request_: dict[str, Any]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_watch, "LOOK_AFTER", -1.0)
        check(run_asgi, chain, app, fault, request_)


@pytest.mark.slow
@THOROUGH
@given(*WSGI)
def test_wsgi_specialised_and_naive_are_one_thoroughly(
    chain: list[dict[str, str]], app: App, fault: Fault, request_: dict[str, Any]
) -> None:
    check(run_wsgi, chain, app, fault, request_)


@pytest.mark.slow
@THOROUGH
@given(*ASGI)
def test_asgi_specialised_and_naive_are_one_thoroughly(
    chain: list[dict[str, str]], app: App, fault: Fault, request_: dict[str, Any]
) -> None:
    check(run_asgi, chain, app, fault, request_)
