"""Metrics: what is counted is what happened, by few labels, and no total ever falls."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.parser import text_string_to_metric_families

from gateway import client as _watch
from gateway.errors import ConfigurationError, MissingExtraError
from gateway.middleware import _multiprocess
from gateway.middleware.metrics import Metrics
from gateway.middleware.proxy_headers import ProxyHeaders
from gateway.servers import Bind, Launch, Running, get, start
from gateway.servers.gunicorn_hooks import child_exit, on_starting
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Script, Seen
from tests.shows import shows

PATIENCE = 20.0
LOCAL = ("127.0.0.1", 5)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def count(registry: CollectorRegistry, name: str = "request_duration_seconds_count", **labels: str) -> float | None:
    """Read one sample."""
    return registry.get_sample_value(f"http_server_{name}", labels)


def routed(seen: Seen) -> None:
    """Be an application with one route."""
    if seen.path.startswith("/items/"):
        seen.state["route"] = "/items/{id}"


# what is counted


@shows("Histogram of durations, in-progress gauge, sizes, by method, route template and status")
@shows(
    "The route label comes from the state, never the path; words that are no methods and too many routes are one label"
)
def test_requests_are_counted_by_method_template_and_status(stack: MakeStack, registry: CollectorRegistry) -> None:
    chain = stack(Metrics(registry=registry), script=Script(act=routed, status=201))
    for number in range(3):
        chain.request(f"/items/{number}", method="POST")
    chain.request("/elsewhere")
    assert count(registry, method="POST", route="/items/{id}", status="201") == 3
    assert count(registry, method="GET", route="unmatched", status="201") == 1
    assert "elsewhere" not in str(list(registry.collect()))
    assert "/items/1" not in str(list(registry.collect()))


@shows("Histogram of durations, in-progress gauge, sizes, by method, route template and status")
@shows("Measured at completion, abort or exception, once")
def test_sizes_and_durations_are_those_of_the_whole_exchange(stack: MakeStack, registry: CollectorRegistry) -> None:
    seen: list[float | None] = []

    def act(_: Seen) -> None:
        seen.append(count(registry, method="POST", route="unmatched", status="200"))

    chain = stack(Metrics(registry=registry), script=Script(act=act, chunks=(b"x" * 3000,) * 4, reads=True))
    chain.request(method="POST", body=b"y" * 50)
    labels = {"method": "POST", "route": "unmatched", "status": "200"}
    assert seen == [None], "measured before the end"
    assert count(registry, "response_size_bytes_sum", **labels) == 12000
    assert count(registry, "request_size_bytes_sum", **labels) == 50
    assert 0 < (count(registry, "request_duration_seconds_sum", **labels) or 0) < PATIENCE
    assert count(registry, "request_duration_seconds_bucket", le="+Inf", **labels) == 1


@shows("Histogram of durations, in-progress gauge, sizes, by method, route template and status")
def test_sizes_can_be_left_out(stack: MakeStack, registry: CollectorRegistry) -> None:
    stack(Metrics(registry=registry, sizes=False)).request()
    assert count(registry, method="GET", route="unmatched", status="200") == 1
    assert count(registry, "response_size_bytes_count", method="GET", route="unmatched", status="200") is None


@shows("Histogram of durations, in-progress gauge, sizes, by method, route template and status")
def test_requests_in_progress_rise_and_fall(stack: MakeStack, registry: CollectorRegistry) -> None:
    seen: list[float | None] = []
    chain = stack(
        Metrics(registry=registry),
        script=Script(act=lambda _: seen.append(count(registry, "requests_in_progress", method="GET"))),
    )
    chain.request()
    assert seen == [1]
    assert count(registry, "requests_in_progress", method="GET") == 0


@shows("Measured at completion, abort or exception, once")
@pytest.mark.parametrize(("after", "status"), [(None, "500"), (1, "200")], ids=["before-the-head", "in-the-body"])
def test_an_exception_is_counted(stack: MakeStack, registry: CollectorRegistry, after: int | None, status: str) -> None:
    chain = stack(
        Metrics(registry=registry), script=Script(chunks=(b"a", b"b"), raises=RuntimeError("x"), raises_after=after)
    )
    assert chain.request().error is not None
    assert count(registry, method="GET", route="unmatched", status=status) == 1
    assert count(registry, "requests_in_progress", method="GET") == 0


@shows("Measured at completion, abort or exception, once")
def test_a_client_that_leaves_is_counted_with_what_it_got(stack: MakeStack, registry: CollectorRegistry) -> None:
    chain = stack(Metrics(registry=registry), script=Script(chunks=[b"x" * 100_000] * 50))
    chain.request(leave_after=3)
    chain.close()
    labels = {"method": "GET", "route": "unmatched", "status": "200"}
    assert count(registry, **labels) == 1
    assert 300_000 <= (count(registry, "response_size_bytes_sum", **labels) or 0) < 5_000_000
    assert count(registry, "requests_in_progress", method="GET") == 0


@shows("Measured at completion, abort or exception, once")
def test_a_client_that_leaves_before_the_head_is_499(
    socket_stack: MakeStack, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "LOOK_AFTER", -1.0)
    chain = socket_stack(Metrics(registry=registry))
    chain.request(leaves_early=True)
    chain.close()
    assert count(registry, method="GET", route="unmatched", status="499") == 1


def test_a_request_that_is_cancelled_before_the_head_is_499(
    socket_stack: MakeStack, registry: CollectorRegistry
) -> None:
    import asyncio

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            raise asyncio.CancelledError

    chain = socket_stack(Metrics(registry=registry), applications=(None, asgi))
    with pytest.raises(asyncio.CancelledError):
        chain.request()
    assert count(registry, method="GET", route="unmatched", status="499") == 1


@shows(
    "The route label comes from the state, never the path; words that are no methods and too many routes are one label"
)
def test_unknown_methods_share_one_label(stack: MakeStack, registry: CollectorRegistry) -> None:
    chain = stack(Metrics(registry=registry))
    for method in ("BREW", "x" * 200, "GETS", "WEBSOCKET"):
        chain.request(method=method)
    assert count(registry, method="other", route="unmatched", status="200") == 4


@shows(
    "The route label comes from the state, never the path; words that are no methods and too many routes are one label"
)
def test_routes_past_the_limit_are_one_label(stack: MakeStack, registry: CollectorRegistry) -> None:
    def act(seen: Seen) -> None:
        seen.state["route"] = seen.path

    chain = stack(Metrics(registry=registry, max_routes=2), script=Script(act=act))
    for path in ("/a", "/b", "/c", "/d", "/c", "/a"):
        chain.request(path)
    totals = {route: count(registry, method="GET", route=route, status="200") for route in ("/a", "/b", "other")}
    assert totals == {"/a": 2, "/b": 1, "other": 3}
    assert count(registry, method="GET", route="/c", status="200") is None


@shows("WebSockets are counted, and no WebSocket reaches the endpoint", once="WebSockets are ASGI's")
def test_websockets_are_counted(socket_stack: MakeStack, registry: CollectorRegistry) -> None:
    chain = socket_stack(Metrics(registry=registry))
    chain.handshake("/metrics")
    assert count(registry, method="WEBSOCKET", route="unmatched", status="101") == 1
    assert count(registry, "requests_in_progress", method="WEBSOCKET") == 0


@shows("Measured at completion, abort or exception, once")
@shows("A middleware that must not act twice marks the state; the second is a no-op")
def test_a_second_metrics_in_a_chain_counts_nothing(stack: MakeStack, registry: CollectorRegistry) -> None:
    chain = stack(Metrics(registry=registry), Metrics(registry=registry, path=None))
    chain.request()
    chain.close()  # across an adapter the end is counted after the answer has come
    assert count(registry, method="GET", route="unmatched", status="200") == 1
    assert count(registry, "requests_in_progress", method="GET") == 0


# the endpoint


@shows("The endpoint: GET and HEAD only, OpenMetrics by Accept, at a path of choice or nowhere, itself not counted")
def test_a_scraper_gets_the_text_format_or_openmetrics(stack: MakeStack, registry: CollectorRegistry) -> None:
    chain = stack(Metrics(registry=registry))
    chain.request()
    answer = chain.request("/metrics", client=LOCAL)
    assert (answer.status, answer.seen) == (200, [])
    assert (answer.get("content-type") or "").startswith("text/plain; version=0.0.4")
    assert answer.get("vary") == "Accept"
    names = {family.name for family in text_string_to_metric_families(answer.body.decode())}
    assert "http_server_request_duration_seconds" in names
    for accept, kind in [
        ("application/openmetrics-text; version=1.0.0; q=0.6, text/plain; q=0.3", "application/openmetrics-text"),
        ("application/openmetrics-text; q=0.3, text/plain; q=0.6", "text/plain"),
        ("application/openmetrics-text; version=x; escaping=\x01", "application/openmetrics-text"),
        ("application/openmetrics-text; q=0", "text/plain"),
        ("*/*", "text/plain"),
    ]:
        answer = chain.request("/metrics", client=LOCAL, headers=[("Accept", accept)])
        assert (answer.get("content-type") or "").partition(";")[0] == kind
        assert answer.body.endswith(b"# EOF\n") is (kind != "text/plain")


@shows("The endpoint: GET and HEAD only, OpenMetrics by Accept, at a path of choice or nowhere, itself not counted")
def test_a_scrape_is_not_counted(stack: MakeStack, registry: CollectorRegistry) -> None:
    chain = stack(Metrics(registry=registry))
    chain.request("/metrics", client=LOCAL)
    assert b'route="' not in chain.request("/metrics", client=LOCAL).body


@shows("The endpoint: GET and HEAD only, OpenMetrics by Accept, at a path of choice or nowhere, itself not counted")
def test_the_endpoint_is_read_by_get_and_head_only(stack: MakeStack, registry: CollectorRegistry) -> None:
    chain = stack(Metrics(registry=registry))
    head = chain.request("/metrics", client=LOCAL, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert int(head.get("content-length") or 0) > 0
    for method in ("POST", "OPTIONS", "BREW"):
        answer = chain.request("/metrics", client=LOCAL, method=method)
        assert (answer.status, answer.get("allow"), answer.seen) == (405, "GET, HEAD", [])


@shows("Allow-list of scrapers' networks")
@pytest.mark.parametrize(
    ("client", "status"),
    [
        ("127.0.0.1", 200),
        ("10.1.2.3", 200),
        ("172.31.0.1", 200),
        ("192.168.7.7", 200),
        ("::1", 200),
        ("fd00::7", 200),
        ("::ffff:10.1.2.3", 200),
        ("203.0.113.7", 403),
        ("172.32.0.1", 403),
        ("2001:db8::1", 403),
        ("unknown", 403),
        (None, 403),
    ],
)
def test_only_the_networks_of_scrapers_may_read(
    stack: MakeStack, registry: CollectorRegistry, client: str | None, status: int
) -> None:
    chain = stack(Metrics(registry=registry))
    answer = chain.request("/metrics", client=(client, 1) if client else None)
    assert (answer.status, answer.seen) == (status, [])
    assert (b"http_server" in answer.body) is (status == 200)


@shows("Allow-list of scrapers' networks")
def test_unix_peers_and_all_peers_can_be_allowed(stack: MakeStack, registry: CollectorRegistry) -> None:
    chain = stack(Metrics(registry=registry, allow=("unix:",)))
    assert [chain.request("/metrics", client=client).status for client in (None, LOCAL)] == [200, 403]
    chain = stack(Metrics(registry=registry, allow=("*",)))
    assert chain.request("/metrics", client=("203.0.113.7", 1)).status == 200


@shows("Allow-list of scrapers' networks")
def test_behind_a_proxy_the_scrapers_own_address_decides(stack: MakeStack, registry: CollectorRegistry) -> None:
    chain = stack(ProxyHeaders(trust=("10.0.0.0/8",)), Metrics(registry=registry))
    asked = [
        chain.request("/metrics", client=("10.0.0.1", 1), headers=[("X-Forwarded-For", address)]).status
        for address in ("203.0.113.7", "192.168.0.9", "10.0.0.9, 203.0.113.7")
    ]
    assert asked == [403, 200, 403]


@shows("The endpoint: GET and HEAD only, OpenMetrics by Accept, at a path of choice or nowhere, itself not counted")
def test_the_endpoint_can_be_elsewhere_or_nowhere(stack: MakeStack, registry: CollectorRegistry) -> None:
    chain = stack(Metrics(registry=registry, path="/internal/metrics"))
    assert chain.request("/internal/metrics", client=LOCAL).seen == []
    assert len(chain.request("/metrics", client=LOCAL).seen) == 1
    chain = stack(Metrics(registry=registry, path=None))
    assert len(chain.request("/metrics", client=LOCAL).seen) == 1


class Watched:
    """A collector that notes in which thread it is asked."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def collect(self) -> Iterable[Any]:
        self.threads.append(threading.current_thread())
        return ()


@shows("The series are written off the event loop")
def test_the_series_are_written_off_the_loop(stack: MakeStack, registry: CollectorRegistry) -> None:
    loops: list[threading.Thread] = []
    watched = Watched()
    chain = stack(Metrics(registry=registry), script=Script(act=lambda _: loops.append(threading.current_thread())))
    registry.register(watched)  # type: ignore[arg-type]  # the library asks for no base class
    watched.threads.clear()
    chain.request("/")
    assert chain.request("/metrics", client=LOCAL).status == 200
    if stack.kind in ("asgi", "asgi-under-wsgi"):  # type: ignore[attr-defined]
        assert watched.threads[0] is not loops[0]
    assert len(watched.threads) == 1


@shows("The series are written off the event loop")
def test_on_trio_the_series_are_written_in_a_thread(registry: CollectorRegistry) -> None:
    import trio

    from gateway.drivers import build_asgi

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("not called")

    watched = Watched()
    application = build_asgi((Metrics(registry=registry),), app)
    registry.register(watched)  # type: ignore[arg-type]
    watched.threads.clear()
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/metrics",
        "raw_path": b"/metrics",
        "query_string": b"",
        "headers": [],
        "client": LOCAL,
        "server": ("h", 80),
    }
    trio.run(application, scope, receive, send)
    assert sent[0]["status"] == 200
    assert watched.threads[0] is not threading.current_thread()


# series and registries


@shows("Series once per registry: shared, or refused with the reason")
def test_series_are_registered_once_and_shared(stack: MakeStack, registry: CollectorRegistry) -> None:
    for chain in (stack(Metrics(registry=registry)), stack(Metrics(registry=registry, path=None))):
        chain.request()
    assert count(registry, method="GET", route="unmatched", status="200") == 2


@shows("Series once per registry: shared, or refused with the reason")
def test_two_prefixes_are_two_sets_of_series(stack: MakeStack, registry: CollectorRegistry) -> None:
    chain = stack(Metrics(registry=registry), Metrics(registry=registry, prefix="inner"))
    chain.request()
    assert count(registry, method="GET", route="unmatched", status="200") == 1
    labels = {"method": "GET", "route": "unmatched", "status": "200"}
    assert registry.get_sample_value("inner_request_duration_seconds_count", labels) == 1


@shows("Series once per registry: shared, or refused with the reason")
def test_other_buckets_in_the_same_registry_are_refused(stack: MakeStack, registry: CollectorRegistry) -> None:
    stack(Metrics(registry=registry))
    for other in (Metrics(registry=registry, buckets=(1.0, 2.0)), Metrics(registry=registry, sizes=False)):
        with pytest.raises(ConfigurationError, match="other buckets or sizes"):
            stack(other)


@shows("Series once per registry: shared, or refused with the reason")
def test_series_names_in_use_are_refused_and_none_is_registered(registry: CollectorRegistry) -> None:
    from gateway.drivers import build_wsgi

    Counter("http_server_response_size_bytes", "Mine.", registry=registry)
    with pytest.raises(ConfigurationError, match="that Metrics did not create"):
        build_wsgi((Metrics(registry=registry),), lambda environ, start_response: [])
    assert "duration" not in str(list(registry.collect()))


@shows("A missing library is named with its extra", once="it never gets as far as a driver")
def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtraError, match=r"anytier\[metrics\]"):
        Metrics()


@pytest.mark.parametrize(
    "options",
    [
        {"path": "metrics"},
        {"allow": "10.0.0.0/8"},
        {"allow": ("10.0.0.1/8",)},
        {"buckets": ()},
        {"buckets": (2.0, 1.0)},
        {"size_buckets": (1.0, 1.0)},
        {"prefix": "a-b"},
        {"max_routes": 0},
        {"registry": "mine"},
    ],
)
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="Metrics"):
        Metrics(**options)  # type: ignore[arg-type]


# several processes


def write(folder: Path, name: str, values: dict[str, float]) -> None:
    """Write a worker's file as the library does."""
    file = MmapedDict(str(folder / name))  # type: ignore[no-untyped-call]
    for route, value in values.items():
        key = mmap_key("requests", "requests_total", ["route"], [route], "Help.")
        file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]


def read(file: Path) -> dict[str, float]:
    found = MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]
    return {re.search(r'"route": "([^"]*)"', key)[1]: value for key, value, _, _ in found}  # type: ignore[index]


@shows(
    "Dead workers are folded into one archive: files do not grow for ever and no total falls",
    once="files of processes, whatever the interface",
)
def test_dead_workers_are_folded_into_one_file(tmp_path: Path) -> None:
    for pid in range(100, 110):
        for kind in ("counter", "histogram", "summary"):
            write(tmp_path, f"{kind}_{pid}.db", {"/a": 1, f"/{pid}": 2})
        write(tmp_path, f"gauge_livesum_{pid}.db", {"/a": 1})
    write(tmp_path, "counter_999.db", {"/a": 7})
    for pid in range(100, 110):
        _multiprocess.fold(tmp_path, pid)
    left = sorted(file.name for file in tmp_path.glob("*.*") if not file.name.startswith("."))
    assert left == ["counter_999.db", "counter_archive.db", "histogram_archive.db", "summary_archive.db"]
    for kind in ("counter", "histogram", "summary"):
        assert read(tmp_path / f"{kind}_archive.db") == {"/a": 10, **{f"/{pid}": 2 for pid in range(100, 110)}}
    assert read(tmp_path / "counter_999.db") == {"/a": 7}


@shows("Dead workers are folded into one archive: files do not grow for ever and no total falls")
def test_a_crash_while_folding_keeps_archive_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "counter_1.db", {"/a": 1})
    _multiprocess.fold(tmp_path, 1)
    write(tmp_path, "counter_2.db", {"/a": 2})
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            _multiprocess.fold(tmp_path, 2)
    assert read(tmp_path / "counter_archive.db") == {"/a": 1}
    _multiprocess.fold(tmp_path, 2)
    assert read(tmp_path / "counter_archive.db") == {"/a": 3}


@shows("Dead workers are folded into one archive: files do not grow for ever and no total falls")
def test_a_scrape_and_the_folding_exclude_each_other(tmp_path: Path) -> None:
    write(tmp_path, "counter_1.db", {"/a": 1})
    folding = threading.Thread(target=_multiprocess.fold, args=(tmp_path, 1))
    with _multiprocess.reading(tmp_path), _multiprocess.reading(tmp_path):  # scrapes do not exclude scrapes
        folding.start()
        folding.join(0.2)
        assert (tmp_path / "counter_1.db").exists()
    folding.join(PATIENCE)
    assert not (tmp_path / "counter_1.db").exists()


def test_a_worker_that_hangs_in_a_scrape_holds_the_server_s_master_up_for_a_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_multiprocess, "PATIENCE", 0.05)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    write(tmp_path, "counter_4321.db", {"/a": 1})
    with _multiprocess.reading(tmp_path):
        child_exit(None, Worker())
    assert "4321 could not be merged" in caplog.text
    assert (tmp_path / "counter_4321.db").exists()
    child_exit(None, Worker())
    assert read(tmp_path / "counter_archive.db") == {"/a": 1}


class Worker:
    pid = 4321


@shows("Multi-process mode: a collector a scrape, gauges as livesum, the folder wiped at start")
def test_gunicorns_hooks_empty_and_fold_where_the_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    on_starting(None)
    child_exit(None, Worker())
    folder = tmp_path / "made" / "here"
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    on_starting(None)
    write(folder, "counter_4321.db", {"/a": 1})
    child_exit(None, Worker())
    assert read(folder / "counter_archive.db") == {"/a": 1}
    monkeypatch.setenv("GUNICORN_PID", "1")  # a new master beside an old one
    on_starting(None)
    assert (folder / "counter_archive.db").exists()
    monkeypatch.delenv("GUNICORN_PID")
    on_starting(None)
    assert not list(folder.glob("*.db"))
    (folder / "counter_4321.db").mkdir()  # nothing that can be read
    child_exit(None, Worker())
    assert "4321 could not be merged" in caplog.text


APPLICATION = """
import os
from gateway import Gateway
from gateway.middleware import Metrics

def wsgi(environ, start_response):
    environ["gateway.state"]["route"] = "/work/{id}"
    body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

app = Gateway(wsgi, middleware=[Metrics()])
"""


def ask(running: Running, path: str) -> bytes:
    with running.bind.connect(PATIENCE) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return answer.partition(b"\r\n\r\n")[2]


def total(running: Running, name: str = "http_server_request_duration_seconds_count") -> float:
    families = text_string_to_metric_families(ask(running, "/metrics").decode())
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def _wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@shows("Multi-process mode: a collector a scrape, gauges as livesum, the folder wiped at start")
@shows("Dead workers are folded into one archive: files do not grow for ever and no total falls")
def test_two_workers_are_one_total_that_outlives_a_killed_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = get("gunicorn-gthread")
    if reason := server.missing():
        pytest.skip(reason)
    folder = tmp_path / "metrics"
    folder.mkdir()
    write(folder, "counter_1.db", {"/stale": 1})
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    (tmp_path / "metered.py").write_text(APPLICATION)
    launch = Launch(
        target="metered:app",
        bind=Bind(port=0),
        app_dir=str(tmp_path),
        workers=2,
        arguments=("--config", "python:gateway.servers.gunicorn_hooks"),
    )
    with start(server, launch) as running:
        assert not (folder / "counter_1.db").exists()
        sent, pids = 1, set()  # the first request was the start's own

        def work() -> bytes:
            nonlocal sent
            sent += 1
            return ask(running, "/work/1")

        def both() -> bool:
            pids.add(int(work()))
            return len(pids) == 2

        def all_counted() -> bool:
            """What a worker counts at the end of an exchange may come after its client has the last byte."""
            return total(running) == sent and total(running, "http_server_requests_in_progress") == 0

        _wait(both)
        _wait(all_counted)
        (killed, _) = sorted(pids)
        os.kill(killed, signal.SIGKILL)
        _wait(lambda: not list(folder.glob(f"*_{killed}.db")))
        assert (folder / "histogram_archive.db").exists()
        assert all_counted()
        _wait(lambda: int(work()) not in pids)
        _wait(all_counted)
        others = [file.name for file in folder.glob("*.db") if f"_{killed}" in file.name]
        assert others == []


@shows("The folder of several workers is made, or refused when the chain is built")
def test_workers_serve_every_request_without_their_metrics_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = get("gunicorn-gthread")
    if reason := server.missing():
        pytest.skip(reason)
    folder = tmp_path / "not" / "there"
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    (tmp_path / "metered.py").write_text(APPLICATION)
    with start(server, Launch(target="metered:app", bind=Bind(port=0), app_dir=str(tmp_path), workers=2)) as running:
        for _ in range(4):
            ask(running, "/work/1")
        _wait(lambda: total(running) >= 4)
        assert list(folder.glob("histogram_*.db"))


@shows("The folder of several workers is made, or refused when the chain is built")
def test_a_root_master_leaves_the_folder_to_the_user_of_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, tuple[int, int]] = {}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: given.update({Path(path).name: (uid, gid)}))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    on_starting(SimpleNamespace(cfg=SimpleNamespace(uid=33, gid=34)))
    assert given == {"metrics": (33, 34), ".gateway.lock": (33, 34)}


@shows(
    "Multi-process mode: a collector a scrape, gauges as livesum, the folder wiped at start",
    once="files of processes, whatever the interface",
)
def test_the_multiprocess_mode_counts_like_one_process(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        from gateway.middleware.metrics import Metrics
        from tests.middleware.stacks import Stack
        for kind in ("wsgi", "asgi"):
            chain = Stack(kind, (Metrics(),))
            chain.request("/")
            print(chain.request("/metrics", client=("127.0.0.1", 1)).body.decode())
            chain.close()
    """)
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    line = r'^http_server_request_duration_seconds_count\{method="GET",route="unmatched",status="200"\} (\S+)$'
    assert re.findall(line, ran.stdout, re.MULTILINE) == ["1.0", "2.0"]


# what the library raises


@shows("An exception from the library ends no request; a scrape that fails is 500; either is logged once")
@pytest.mark.parametrize("place", ["inc", "dec", "labels", "observe"])
def test_a_library_exception_does_not_end_a_request_and_is_logged_once(
    stack: MakeStack,
    registry: CollectorRegistry,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    chain = stack(Metrics(registry=registry))
    for kind in (Gauge, Histogram):
        if hasattr(kind, place):
            monkeypatch.setattr(kind, place, fails)
    answers = [chain.request() for _ in range(3)]
    chain.close()
    assert [(answer.status, answer.body, answer.error) for answer in answers] == [(200, b"hello", None)] * 3
    told = [record for record in caplog.records if record.name == "gateway.middleware.metrics"]
    assert [record.levelname for record in told] == ["ERROR"]
    assert "No space left" in caplog.text
    monkeypatch.undo()
    chain.request()
    chain.close()
    # Only the gauge failed to fall in the requests before, or nothing of them was counted. It counts again.
    assert count(registry, method="GET", route="unmatched", status="200") == (4 if place == "dec" else 1)


@shows("An exception from the library ends no request; a scrape that fails is 500; either is logged once")
def test_a_request_whose_start_was_not_counted_does_not_lower_the_gauge(
    stack: MakeStack, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object) -> None:
        raise OSError

    chain = stack(Metrics(registry=registry))
    chain.request()
    monkeypatch.setattr(Gauge, "inc", fails)
    chain.request()
    chain.close()
    assert count(registry, "requests_in_progress", method="GET") == 0


@shows("An exception from the library ends no request; a scrape that fails is 500; either is logged once")
def test_a_collector_that_raises_is_a_500_for_the_scraper_and_is_logged_once(
    stack: MakeStack, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def collect(self) -> Iterable[Any]:
            raise ValueError("broken collector")

        def describe(self) -> Iterable[Any]:
            return ()

    chain = stack(Metrics(registry=registry))
    registry.register(Broken())  # type: ignore[arg-type]  # the library asks for no base class
    answers = [chain.request("/metrics", client=LOCAL) for _ in range(2)]
    assert [(answer.status, answer.error) for answer in answers] == [(500, None)] * 2
    assert b"broken collector" not in answers[0].body
    assert caplog.text.count("ValueError: broken collector") == 1


@shows("An exception from the library ends no request; a scrape that fails is 500; either is logged once")
def test_a_route_that_is_not_text_for_the_format_breaks_no_scrape(
    stack: MakeStack, registry: CollectorRegistry
) -> None:
    def act(seen: Seen) -> None:
        seen.state["route"] = "/\udcff"

    chain = stack(Metrics(registry=registry), script=Script(act=act))
    chain.request()
    chain.close()
    answer = chain.request("/metrics", client=LOCAL)
    assert (answer.status, answer.error) == (200, None)
    assert b'route="/?"' in answer.body


def in_process(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program that builds a chain with Metrics, in an environment of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@shows(
    "The folder of several workers is made, or refused when the chain is built",
    once="files of processes, whatever the interface",
)
def test_the_folder_of_the_workers_is_made_when_the_chain_is_built(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "metrics"
    program = """
        from gateway.middleware.metrics import Metrics
        from tests.middleware.stacks import STACKS, Stack
        for kind in STACKS:
            chain = Stack(kind, (Metrics(),))
            print(chain.request("/").status, chain.request("/metrics", client=("127.0.0.1", 1)).status)
            chain.close()
    """
    ran = in_process(program, PROMETHEUS_MULTIPROC_DIR=str(folder))
    assert (ran.stdout.split(), ran.returncode) == (["200", "200"] * 4, 0), ran.stderr
    assert list(folder.glob("*.db"))


BUILD = """
    import os
    from gateway import Gateway
    from gateway.errors import ConfigurationError
    from gateway.middleware.metrics import Metrics
    os.environ.update(LATE)
    def app(environ, start_response): ...
    try:
        Gateway(app, middleware=[Metrics()]).wsgi
    except ConfigurationError as error:
        print(error)
"""


@shows("The folder of several workers is made, or refused when the chain is built")
def test_a_folder_that_cannot_be_written_is_refused_when_the_chain_is_built(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    ran = in_process(BUILD.replace("LATE", "{}"), PROMETHEUS_MULTIPROC_DIR=str(file / "metrics"))
    assert f"PROMETHEUS_MULTIPROC_DIR={file / 'metrics'}" in ran.stdout, ran.stderr
    assert "NotADirectoryError" in ran.stdout


@shows("The folder of several workers is made, or refused when the chain is built")
def test_an_empty_name_of_the_folder_is_refused_when_the_chain_is_built(tmp_path: Path) -> None:
    ran = in_process(BUILD.replace("LATE", "{}"), PROMETHEUS_MULTIPROC_DIR="")
    assert "PROMETHEUS_MULTIPROC_DIR is set but empty" in ran.stdout, ran.stderr


@shows("The folder of several workers is made, or refused when the chain is built")
def test_a_folder_that_is_set_after_the_import_of_the_library_is_refused(tmp_path: Path) -> None:
    """The library chose to count in memory by then: every worker would count, and every scrape would be empty."""
    late = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    ran = in_process("import prometheus_client\n" + textwrap.dedent(BUILD.replace("LATE", repr(late))))
    assert "before prometheus_client is imported" in ran.stdout, ran.stderr
