"""RateLimit: counted in memory or in a real Redis, in both colours, and open or closed where the store fails."""

from __future__ import annotations

import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.errors import ConfigurationError
from gateway.middleware.rate_limit import RateLimit, by_client, by_header
from tests.middleware.conftest import MakeStack
from tests.middleware.redis_server import running_redis
from tests.middleware.stacks import STACKS, Stack


@pytest.fixture(scope="module")
def redis_address() -> Iterator[str]:
    """Give the address of a Redis that lives as long as these tests."""
    try:
        with running_redis() as address:
            yield address
    except FileNotFoundError as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> str:
    """Give the address of each kind of store."""
    return "memory://" if request.param == "memory" else str(request.getfixturevalue("redis_address"))


def limit(store: str = "memory://", limits: str = "2/minute", **more: object) -> RateLimit:
    """Make a limit that shares no counts with another test's; a busy machine may be slow to reach its Redis."""
    return RateLimit(limits=limits, store=store, namespace=uuid.uuid4().hex, timeout=5.0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", ["fixed", "moving", "sliding"])
def test_who_asks_too_often_gets_429_with_retry_after(stack: MakeStack, store: str, strategy: str) -> None:
    chain = stack(limit(store, strategy=strategy))
    answers = [chain.request() for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].seen == []
    assert 1 <= int(answers[2].get("retry-after") or 0) <= 60
    assert answers[2].get("content-type") == "application/problem+json"


def test_each_client_is_counted_by_itself(stack: MakeStack, store: str) -> None:
    chain = stack(limit(store, "1/minute"))
    assert [chain.request(client=(host, 1)).status for host in ("192.0.2.1", "192.0.2.2", "192.0.2.1")] == [
        200,
        200,
        429,
    ]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_an_ipv6_client_is_its_64_and_a_mapped_one_is_ipv4(
    stack: MakeStack, first: str, second: str, same: bool
) -> None:
    chain = stack(limit(limits="1/minute"))
    assert chain.request(client=(first, 1)).status == 200
    assert chain.request(client=(second, 1)).status == (429 if same else 200)


def test_every_limit_must_hold(stack: MakeStack, store: str) -> None:
    chain = stack(limit(store, "2/minute;3/hour"))
    assert [chain.request().status for _ in range(3)] == [200, 200, 429]
    assert chain.request().get("ratelimit-policy") == '"2-per-60s";q=2;w=60, "3-per-3600s";q=3;w=3600'


def test_the_draft_fields_tell_how_the_client_stands(stack: MakeStack, store: str) -> None:
    chain = stack(limit(store))
    first, _, refused = (chain.request() for _ in range(3))
    assert first.get("ratelimit-policy") == '"2-per-60s";q=2;w=60'
    assert re.fullmatch(r'"2-per-60s";r=1;t=\d+', first.get("ratelimit") or "")
    assert re.fullmatch(r'"2-per-60s";r=0;t=\d+', refused.get("ratelimit") or "")


def test_the_legacy_fields_are_an_option(stack: MakeStack) -> None:
    answer = stack(limit(dialect="legacy")).request()
    assert (answer.get("x-ratelimit-limit"), answer.get("x-ratelimit-remaining")) == ("2", "1")
    assert int(answer.get("x-ratelimit-reset") or 0) > 1_700_000_000
    assert answer.get("ratelimit") is None


def test_no_fields_are_an_option(stack: MakeStack) -> None:
    answer = stack(limit(dialect="none")).request()
    assert not [name for name, _ in answer.headers if "ratelimit" in name.lower()]


def test_cost_and_key_are_functions_of_the_request(stack: MakeStack) -> None:
    chain = stack(
        limit(limits="5/minute", cost=lambda request: 3 if request.method == "POST" else 1, key=by_header("X-Key"))
    )
    key = [("X-Key", "a")]
    assert [chain.request(method=method, headers=key).status for method in ("POST", "GET", "POST", "GET")] == [
        200,
        200,
        429,
        200,
    ]
    assert chain.request(method="POST", headers=[("X-Key", "b")]).status == 200


def test_two_long_keys_with_the_same_beginning_are_two_clients(stack: MakeStack) -> None:
    chain = stack(limit(limits="1/minute", key=by_header("Authorization")))
    tokens = [f"Bearer {'x' * 300}{number}" for number in (1, 2, 1)]
    statuses = [chain.request(headers=[("Authorization", token)]).status for token in tokens]
    assert statuses == [200, 200, 429]


def test_a_key_of_none_counts_nobody(stack: MakeStack) -> None:
    chain = stack(limit(limits="1/minute", key=lambda request: None))
    assert [chain.request().status for _ in range(3)] == [200, 200, 200]
    assert [stack(limit(limits="1/minute")).request(client=None).status for _ in range(2)] == [200, 200]


def test_exempt_paths_are_not_counted(stack: MakeStack) -> None:
    chain = stack(limit(limits="1/minute", exempt=("/livez",)))
    assert [chain.request("/livez").status for _ in range(3)] == [200, 200, 200]
    assert chain.request().status == 200


@pytest.mark.parametrize(("mode", "status"), [("open", 200), ("closed", 503)])
def test_a_store_that_fails_lets_pass_or_refuses_and_is_logged_once(
    stack: MakeStack, mode: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    chain = stack(limit("redis+unix:///nowhere/redis.sock", on_store_error=mode))
    assert [chain.request().status for _ in range(3)] == [status] * 3
    assert [record.levelname for record in caplog.records if record.name.startswith("gateway")] == ["ERROR"]
    assert "nowhere" in caplog.text


@pytest.mark.parametrize(("mode", "status"), [("open", 200), ("closed", 503)])
def test_a_store_that_accepts_and_never_answers_is_given_up(stack: MakeStack, mode: str, status: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        chain = stack(RateLimit(limits="1/minute", store=address, timeout=0.2, on_store_error=mode))  # type: ignore[arg-type]
        began = time.monotonic()
        assert [chain.request().status for _ in range(2)] == [status, status]
        assert time.monotonic() - began < 20  # a hang would last for ever
        chain.close()


def test_namespaces_count_apart(stack: MakeStack, redis_address: str) -> None:
    names = [uuid.uuid4().hex, uuid.uuid4().hex]
    chains = [stack(RateLimit(limits="1/minute", store=redis_address, namespace=name, timeout=5.0)) for name in names]
    assert [chain.request().status for chain in (*chains, *chains)] == [200, 200, 429, 429]


def test_a_password_is_never_logged(stack: MakeStack, caplog: pytest.LogCaptureFixture) -> None:
    stack(limit("redis://user:hunter2@127.0.0.1:1/0")).request()
    assert "hunter2" not in caplog.text
    assert "127.0.0.1:1" in caplog.text


def test_workers_that_share_a_store_count_together(redis_address: str) -> None:
    """Two chains, WSGI and ASGI, with one namespace: as two workers of different kinds."""
    shared = limit(redis_address, "4/minute")
    chains = [Stack(kind, [shared]) for kind in ("wsgi", "asgi")]
    statuses = [chains[index % 2].request().status for index in range(6)]
    for chain in chains:
        chain.close()
    assert statuses == [200, 200, 200, 200, 429, 429]


@pytest.mark.parametrize("kind", STACKS)
def test_threads_never_let_more_than_the_limit_pass(kind: str) -> None:
    chain_limit = limit(limits="10/minute", strategy="moving")
    chain = Stack(kind, [chain_limit])
    barrier = threading.Barrier(4)

    def ask() -> list[int]:
        own = chain.another()
        barrier.wait()
        statuses = [own.request().status for _ in range(10)]
        own.close()
        return statuses

    with ThreadPoolExecutor(4) as pool:
        statuses = [status for future in [pool.submit(ask) for _ in range(4)] for status in future.result()]
    assert sorted(statuses) == [200] * 10 + [429] * 30


def test_a_websocket_handshake_counts(socket_stack: MakeStack) -> None:
    chain = socket_stack(limit(limits="1/minute"))
    assert [chain.handshake().status for _ in range(2)] == [101, 429]


def test_memory_under_several_workers_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    with pytest.warns(UserWarning, match="4 times the limit"):
        RateLimit(limits="1/minute")


def test_by_client_is_none_for_a_unix_socket() -> None:
    from gateway._requests import WsgiRequest

    assert by_client(WsgiRequest({"REMOTE_ADDR": ""})) is None
    assert by_client(WsgiRequest({"REMOTE_ADDR": "192.0.2.1"})) == "192.0.2.1"


@pytest.mark.parametrize(
    "options",
    [
        {"limits": "often"},
        {"limits": ""},
        {"limits": "0/minute"},
        {"strategy": "leaky"},
        {"store": "sqlite://x"},
        {"store": "async+redis://x"},
        {"store": "redis"},
        {"on_store_error": "ignore"},
        {"dialect": "rfc"},
        {"timeout": 0},
        {"key": "api-key"},
    ],
)
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="RateLimit"):
        RateLimit(**{"limits": "1/minute", **options})  # type: ignore[arg-type]


def test_a_key_that_is_no_function_is_told_what_one_is() -> None:
    with pytest.raises(ConfigurationError, match=r"key=\.\.\.\) must be Callable\[\[Request\], str \| None\], got 'x'"):
        RateLimit(limits="1/minute", key="x")  # type: ignore[arg-type]  # wrong on purpose
