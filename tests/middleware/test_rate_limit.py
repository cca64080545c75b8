"""RateLimit: counted in memory or in a real Redis, in both colours, and open or closed where the store fails."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from gateway.errors import ConfigurationError
from gateway.middleware import rate_limit
from gateway.middleware.rate_limit import RateLimit, by_client, by_header
from tests.middleware.conftest import MakeStack
from tests.middleware.redis_server import running_redis
from tests.middleware.stacks import STACKS, Stack
from tests.shows import shows


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


@shows(
    "Limits such as 100/minute;5/second; fixed, moving and sliding windows; 429 with Retry-After and problem details"
)
@shows("Stores in memory and in Redis, in both colours, shared by workers")
@pytest.mark.parametrize("strategy", ["fixed", "moving", "sliding"])
def test_too_many_requests_get_429_with_retry_after(stack: MakeStack, store: str, strategy: str) -> None:
    chain = stack(limit(store, strategy=strategy))
    answers = [chain.request() for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].seen == []
    assert 1 <= int(answers[2].get("retry-after") or 0) <= 60
    assert answers[2].get("content-type") == "application/problem+json"


@shows("Counted by client (IPv6 by /64), field or function; None counts nobody; cost")
def test_each_client_is_counted_separately(stack: MakeStack, store: str) -> None:
    chain = stack(limit(store, "1/minute"))
    assert [chain.request(client=(host, 1)).status for host in ("192.0.2.1", "192.0.2.2", "192.0.2.1")] == [
        200,
        200,
        429,
    ]


@shows("Counted by client (IPv6 by /64), field or function; None counts nobody; cost")
@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_ipv6_clients_are_counted_by_their_64_and_mapped_ones_as_ipv4(
    stack: MakeStack, first: str, second: str, same: bool
) -> None:
    chain = stack(limit(limits="1/minute"))
    assert chain.request(client=(first, 1)).status == 200
    assert chain.request(client=(second, 1)).status == (429 if same else 200)


@shows(
    "Limits such as 100/minute;5/second; fixed, moving and sliding windows; 429 with Retry-After and problem details"
)
def test_every_limit_must_hold(stack: MakeStack, store: str) -> None:
    chain = stack(limit(store, "2/minute;3/hour"))
    assert [chain.request().status for _ in range(3)] == [200, 200, 429]
    assert chain.request().get("ratelimit-policy") == '"2-per-60s";q=2;w=60, "3-per-3600s";q=3;w=3600'


@shows("RateLimit fields of the draft, the legacy ones, or none")
def test_the_draft_headers_show_the_clients_limit(stack: MakeStack, store: str) -> None:
    chain = stack(limit(store))
    first, _, refused = (chain.request() for _ in range(3))
    assert first.get("ratelimit-policy") == '"2-per-60s";q=2;w=60'
    assert re.fullmatch(r'"2-per-60s";r=1;t=\d+', first.get("ratelimit") or "")
    assert re.fullmatch(r'"2-per-60s";r=0;t=\d+', refused.get("ratelimit") or "")


@shows("RateLimit fields of the draft, the legacy ones, or none")
def test_the_legacy_fields_are_an_option(stack: MakeStack) -> None:
    answer = stack(limit(dialect="legacy")).request()
    assert (answer.get("x-ratelimit-limit"), answer.get("x-ratelimit-remaining")) == ("2", "1")
    assert int(answer.get("x-ratelimit-reset") or 0) > 1_700_000_000
    assert answer.get("ratelimit") is None


@shows("RateLimit fields of the draft, the legacy ones, or none")
def test_no_fields_are_an_option(stack: MakeStack) -> None:
    answer = stack(limit(dialect="none")).request()
    assert not [name for name, _ in answer.headers if "ratelimit" in name.lower()]


@shows("Counted by client (IPv6 by /64), field or function; None counts nobody; cost")
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


def test_long_keys_with_the_same_beginning_are_different_clients(stack: MakeStack) -> None:
    chain = stack(limit(limits="1/minute", key=by_header("Authorization")))
    tokens = [f"Bearer {'x' * 300}{number}" for number in (1, 2, 1)]
    statuses = [chain.request(headers=[("Authorization", token)]).status for token in tokens]
    assert statuses == [200, 200, 429]


@shows("Counted by client (IPv6 by /64), field or function; None counts nobody; cost")
def test_requests_with_the_key_none_are_not_counted(stack: MakeStack) -> None:
    chain = stack(limit(limits="1/minute", key=lambda request: None))
    assert [chain.request().status for _ in range(3)] == [200, 200, 200]
    assert [stack(limit(limits="1/minute")).request(client=None).status for _ in range(2)] == [200, 200]


@shows("Exempt paths")
def test_exempt_paths_are_not_counted(stack: MakeStack) -> None:
    chain = stack(limit(limits="1/minute", exempt=("/livez",)))
    assert [chain.request("/livez").status for _ in range(3)] == [200, 200, 200]
    assert chain.request().status == 200


@shows("Open or closed where the store fails, logged, with a time limit")
@pytest.mark.parametrize(("mode", "status"), [("open", 200), ("closed", 503)])
def test_a_store_that_fails_lets_pass_or_refuses_and_is_logged_once(
    stack: MakeStack, mode: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    chain = stack(limit("redis+unix:///nowhere/redis.sock", on_store_error=mode))
    assert [chain.request().status for _ in range(3)] == [status] * 3
    assert [record.levelname for record in caplog.records if record.name.startswith("gateway")] == ["ERROR"]
    assert "nowhere" in caplog.text


def process_of(address: str) -> int:
    """Return the process id of a Redis."""
    with redis.Redis(unix_socket_path=address.partition("://")[2]) as client:
        return int(client.info()["process_id"])  # type: ignore[index]  # the library types it for both colours


def seconds(chain: Stack) -> float:
    began = time.monotonic()
    chain.request()
    return time.monotonic() - began


@contextlib.contextmanager
def hanging(kind: str) -> Iterator[str]:
    """Give the address of a store that hangs: it takes connections and is silent, or lets them wait for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as stack:
        if kind == "connections-wait":  # the queue is full: a further connection gets no answer at all
            for _ in range(8):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(server.getsockname())
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


@shows("A store that is silent is given up after the timeout")
@shows("A store that failed is skipped; one request tries it again, ever more rarely")
@pytest.mark.parametrize(("mode", "status"), [("open", 200), ("closed", 503)])
@pytest.mark.parametrize("kind", ["silent", "connections-wait"])
def test_a_store_that_hangs_costs_one_request_the_time_limit_and_not_each(
    stack: MakeStack, kind: str, mode: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with hanging(kind) as address:
        chain = stack(RateLimit(limits="1/minute", store=address, timeout=0.3, on_store_error=mode))  # type: ignore[arg-type]
        answers, spent = [], []
        for _ in range(20):
            began = time.monotonic()
            answers.append(chain.request())
            spent.append(time.monotonic() - began)
        chain.close()
    assert [answer.status for answer in answers] == [status] * 20
    assert spent[0] >= 0.3
    assert sum(one >= 0.25 for one in spent) <= 4, spent  # a loaded machine may reach the second try, or the third
    told = [record.getMessage() for record in caplog.records if record.name.startswith("gateway")]
    assert len(told) == 1
    if mode == "closed":
        assert {answer.get("retry-after") for answer in answers} == {"1"}


@shows("A store that is silent is given up after the timeout")
@shows("A store that failed is skipped; one request tries it again, ever more rarely")
def test_a_stopped_redis_is_skipped_and_used_again_when_it_continues(
    stack: MakeStack, caplog: pytest.LogCaptureFixture
) -> None:
    with running_redis() as address:
        process = process_of(address)
        chain = stack(
            RateLimit(limits="1000/minute", store=address, namespace=uuid.uuid4().hex, timeout=0.3),
        )
        assert chain.request().get("ratelimit") is not None
        os.kill(process, signal.SIGSTOP)
        try:
            spent = sorted(seconds(chain) for _ in range(20))
            assert spent[-1] >= 0.3
            assert spent[-5] < 0.25, spent
        finally:
            os.kill(process, signal.SIGCONT)
        deadline = time.monotonic() + 20
        while chain.request().get("ratelimit") is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert chain.request().get("ratelimit") is not None
        chain.close()
    levels = [record.levelname for record in caplog.records if record.name.startswith("gateway")]
    assert levels == ["ERROR", "WARNING"]


@shows("A lost connection is made again once, without pauses; a refused password is an outage")
def test_a_store_that_refuses_connections_costs_no_time(stack: MakeStack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    chain = stack(RateLimit(limits="1/minute", store=f"redis://127.0.0.1:{port}", timeout=5.0))
    assert min(seconds(chain) for _ in range(3)) < 0.1
    chain.close()
    again = stack(RateLimit(limits="1/minute", store=f"redis://127.0.0.1:{port}", timeout=5.0))
    assert seconds(again) < 2.0, "no pauses between tries"
    again.close()


@shows("A lost connection is made again once, without pauses; a refused password is an outage")
def test_a_redis_that_was_restarted_fails_no_request(stack: MakeStack, redis_address: str) -> None:
    """Its connections of before are lost, and the client repeats the question on a new one."""
    chain = stack(limit(redis_address, "100/minute", on_store_error="closed"))
    assert chain.request().status == 200
    with redis.Redis(unix_socket_path=redis_address.partition("://")[2]) as client:
        client.client_kill_filter(_type="normal", skipme=True)  # type: ignore[no-untyped-call]
    assert chain.request().status == 200


@shows("A lost connection is made again once, without pauses; a refused password is an outage")
@pytest.mark.parametrize(("mode", "status"), [("open", 200), ("closed", 503)])
def test_a_wrong_redis_password_is_an_outage_and_is_not_logged(
    stack: MakeStack, redis_address: str, mode: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    address = redis_address.replace("redis+unix://", "redis+unix://user:hunter2@")
    chain = stack(limit(address, on_store_error=mode))
    assert [chain.request().status for _ in range(2)] == [status] * 2
    assert "AuthenticationError" in caplog.text
    assert "hunter2" not in caplog.text


@shows("Retry-After tells when the limit that refused has room, and is never beyond its window")
@pytest.mark.parametrize("strategy", ["fixed", "moving", "sliding"])
@pytest.mark.parametrize("dialect", ["draft", "legacy"])
def test_a_client_is_never_told_to_wait_longer_than_the_window(
    stack: MakeStack, strategy: str, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a store, or another worker, whose clock is ahead."""
    from limits.strategies import STRATEGIES

    for each in STRATEGIES.values():
        real = each.get_window_stats
        monkeypatch.setattr(
            each, "get_window_stats", lambda self, *args, real=real: (time.time() + 9999, real(self, *args)[1])
        )
    chain = stack(limit(limits="1/minute;2/hour", strategy=strategy, dialect=dialect))
    for _ in range(2):
        answer = chain.request()
    assert answer.status == 429
    assert 1 <= int(answer.get("retry-after") or 0) <= 60
    if dialect == "draft":
        assert re.findall(r"t=(\d+)", answer.get("ratelimit") or "") == ["60", "3600"]
    else:
        assert int(answer.get("x-ratelimit-reset") or 0) <= time.time() + 61


@shows("Retry-After tells when the limit that refused has room, and is never beyond its window")
def test_a_request_that_costs_too_much_gets_a_true_retry_after(stack: MakeStack) -> None:
    chain = stack(limit(limits="3/minute", strategy="fixed", cost=lambda request: 3 if request.method == "POST" else 1))
    assert chain.request().status == 200
    answer = chain.request(method="POST")
    assert answer.status == 429
    assert int(answer.get("retry-after") or 0) > 30


def test_a_cost_of_zero_is_not_counted(stack: MakeStack, store: str) -> None:
    chain = stack(limit(store, "1/minute", cost=lambda request: -5 if request.method == "HEAD" else 1))
    assert [chain.request(method=method).status for method in ("HEAD", "GET", "HEAD", "GET")] == [200, 200, 200, 429]


@shows("No key of a client makes a store fail, and a store in memory has a bound")
@pytest.mark.parametrize("key", ["a b", "a\nb", "é" * 300, "\udcff", "x" * 5000, "", "{a}", "a/b"])
def test_no_key_that_a_client_invents_makes_a_store_fail(
    stack: MakeStack, store: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    chain = stack(limit(store, "1/minute", key=lambda request: key, on_store_error="closed"))
    assert [chain.request().status for _ in range(2)] == [200, 429]
    assert caplog.text == ""


@shows("No key of a client makes a store fail, and a store in memory has a bound")
@pytest.mark.parametrize("strategy", ["fixed", "moving", "sliding"])
def test_a_store_in_memory_forgets_inactive_clients(
    stack: MakeStack, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "_MOST_CLIENTS", 20)
    made: list[rate_limit._Memory] = []
    memory = rate_limit._Memory
    monkeypatch.setattr(rate_limit, "_Memory", lambda *args: made.append(memory(*args)) or made[-1])
    chain = stack(limit(limits="1/day", strategy=strategy))
    for number in range(300):
        assert chain.request(client=(f"192.0.{number // 250}.{number % 250}", 1)).status == 200
        if number % 10 == 0:
            assert chain.request(client=("203.0.113.9", 1)).status == (200 if number == 0 else 429), "in use"
    storage: Any = made[0].limiter.get().storage
    assert len(storage.storage) + len(storage.events) <= 70


@shows("Namespaces count apart in one store")
def test_namespaces_are_counted_separately(stack: MakeStack, redis_address: str) -> None:
    names = [uuid.uuid4().hex, uuid.uuid4().hex]
    chains = [stack(RateLimit(limits="1/minute", store=redis_address, namespace=name, timeout=5.0)) for name in names]
    assert [chain.request().status for chain in (*chains, *chains)] == [200, 200, 429, 429]


@shows("Open or closed where the store fails, logged, with a time limit")
def test_a_password_is_never_logged(stack: MakeStack, caplog: pytest.LogCaptureFixture) -> None:
    stack(limit("redis://user:hunter2@127.0.0.1:1/0")).request()
    stack(limit("redis://127.0.0.1:1/0?password=hunter2")).request()
    assert "hunter2" not in caplog.text
    assert "127.0.0.1:1" in caplog.text


@shows("Stores in memory and in Redis, in both colours, shared by workers")
def test_workers_that_share_a_store_count_together(redis_address: str) -> None:
    """Two chains, WSGI and ASGI, with one namespace: as two workers of different kinds."""
    shared = limit(redis_address, "4/minute")
    chains = [Stack(kind, [shared]) for kind in ("wsgi", "asgi")]
    statuses = [chains[index % 2].request().status for index in range(6)]
    for chain in chains:
        chain.close()
    assert statuses == [200, 200, 200, 200, 429, 429]


def test_loops_that_take_turns_have_a_client_each(redis_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    make = rate_limit._async_limiter
    monkeypatch.setattr(rate_limit, "_async_limiter", lambda options: made.append(make(options)) or made[-1])
    chain = Stack("asgi", [limit(redis_address, "100/minute")])
    loops = [chain, chain.another()]
    assert [each.request().status for each in loops * 5] == [200] * 10
    assert len(made) == 2
    runner = loops[1]._runner
    assert runner is not None
    runner.run(made[1].storage.bridge.storage.aclose())  # only the loop of the lifespan is told of the end
    for each in loops:
        each.close()


@shows("Stores in memory and in Redis, in both colours, shared by workers")
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


@shows("WebSocket handshakes count", once="WebSockets are ASGI's")
def test_a_websocket_handshake_counts(socket_stack: MakeStack) -> None:
    chain = socket_stack(limit(limits="1/minute"))
    assert [chain.handshake().status for _ in range(2)] == [101, 429]


@shows("A store in memory warns under several workers", once="it never gets as far as a driver")
def test_a_store_in_memory_with_several_workers_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    with pytest.warns(UserWarning, match="4 times the limit"):
        RateLimit(limits="1/minute")


@shows("Counted by client (IPv6 by /64), field or function; None counts nobody; cost")
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
        {"cost": 2},
        {"limits": "5/second;3/minute", "cost": 4},
        {"store": "redis://localhost:port"},
        {"store": "redis://localhost/0?no_such_option=1&socket_timeout=x"},
        {"key": "api-key"},
    ],
)
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="RateLimit"):
        RateLimit(**{"limits": "1/minute", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("valkey://user:hunter2@localhost", r"store='valkey://localhost'\) needs the package 'valkey'"),
        (
            "redis://user:hunter2@localhost",
            r"store='redis://localhost'\) needs the package 'redis'.*anytier\[ratelimit\]",
        ),
    ],
)
def test_a_store_whose_client_is_not_installed_is_refused_when_built(
    store: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limits.storage import RedisStorage

    for each in RedisStorage.DEPENDENCIES:
        monkeypatch.setitem(sys.modules, each, None)
    with pytest.raises(ConfigurationError, match=message):
        RateLimit(limits="1/minute", store=store)


def test_the_error_for_an_invalid_address_hides_the_password() -> None:
    with pytest.raises(ConfigurationError, match="percent-encode the password") as raised:
        RateLimit(limits="1/minute", store="redis://user:hun/ter2@localhost:6379")
    assert "hun" not in "".join(traceback.format_exception(raised.value)).partition("RateLimit(store=...)")[2]


def test_the_error_for_a_key_that_is_not_a_function_shows_a_function() -> None:
    with pytest.raises(ConfigurationError, match=r"key=\.\.\.\) must be Callable\[\[Request\], str \| None\], got 'x'"):
        RateLimit(limits="1/minute", key="x")  # type: ignore[arg-type]  # wrong on purpose
