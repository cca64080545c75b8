"""Health: probes that tell the truth, and a process that leaves its load balancer before its clients."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.asgi_to_wsgi import start_all
from gateway.drivers import build_asgi, build_wsgi
from gateway.errors import ConfigurationError
from gateway.middleware._checks import Checks
from gateway.middleware._draining import DRAINING, Draining
from gateway.middleware.access_log import AccessLog
from gateway.middleware.health import Health, drain
from gateway.middleware.rate_limit import RateLimit
from gateway.middleware.trusted_host import TrustedHost
from gateway.servers import Bind, Launch, Running, get, start
from tests.middleware.conftest import MakeStack
from tests.shows import shows

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def own_process() -> Iterator[None]:
    """End what a test began for this whole process."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    DRAINING.begun = False
    assert {signum: signal.getsignal(signum) for signum in before} == before, "a handler was left behind"


# probes


@shows("/livez says that the process answers, /readyz that requests are wanted; the paths are options")
def test_live_and_ready_answer_without_the_application(stack: MakeStack) -> None:
    chain = stack(Health())
    for path in ("/livez", "/readyz", "/startupz"):
        answer = chain.request(path)
        assert (answer.status, answer.body, answer.seen) == (200, b"ok\n", [])
        assert answer.get("content-type") == "text/plain; charset=utf-8"
        assert answer.get("content-length") == "3"
        assert answer.get("cache-control") == "no-store"
    assert [seen.path for seen in chain.request("/livez/x").seen] == ["/livez/x"]


@shows("/livez says that the process answers, /readyz that requests are wanted; the paths are options")
def test_paths_are_options(stack: MakeStack) -> None:
    chain = stack(Health(live_path=None, ready_path="/up", startup_path=None))
    assert chain.request("/up").seen == []
    for path in ("/livez", "/readyz", "/startupz"):
        assert len(chain.request(path).seen) == 1


@shows("GET and HEAD only, never a redirect")
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
def test_only_get_and_head_are_answered(stack: MakeStack, path: str) -> None:
    chain = stack(Health())
    head = chain.request(path, method="HEAD")
    assert (head.status, head.body, head.get("content-length")) == (200, b"", "3")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
        answer = chain.request(path, method=method)
        assert (answer.status, answer.get("allow"), answer.seen) == (405, "GET, HEAD", [])


@shows("Bypasses host check, authentication, limits and access log, outside of which it stands")
def test_probes_skip_host_check_limits_and_log(stack: MakeStack, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gateway.access")
    inner = (AccessLog(), TrustedHost(allowed=("example.org",)), RateLimit(limits="1/hour"))
    chain = stack(Health(), *inner)
    fields = [("Host", "10.0.0.7:8000")]
    assert [chain.request("/readyz", headers=fields).status for _ in range(3)] == [200, 200, 200]
    assert chain.request("/", headers=fields).status == 400
    chain.close()
    assert [record.entry.path for record in caplog.records if hasattr(record, "entry")] == ["/"]


@shows("Bypasses host check, authentication, limits and access log, outside of which it stands")
def test_a_chain_with_a_guard_outside_health_warns() -> None:
    from gateway.application import Gateway

    def app(environ: Any, start_response: Any) -> list[bytes]:
        raise AssertionError("not called")

    for guard in (AccessLog(), TrustedHost(allowed=("example.org",)), RateLimit(limits="1/hour")):
        with pytest.warns(UserWarning, match="probes "):
            Gateway(app, middleware=[guard, Health()])


@shows("GET and HEAD only, never a redirect")
def test_a_probe_is_never_redirected(stack: MakeStack) -> None:
    from gateway.middleware.https_redirect import HttpsRedirect

    chain = stack(Health(), HttpsRedirect(host="example.org"))
    assert [chain.request(path).status for path in ("/livez", "/readyz", "/startupz", "/")] == [200, 200, 200, 308]


# checks


async def passes_async() -> None:
    await asyncio.sleep(0)


def fails() -> None:
    raise RuntimeError("password=secret")


async def fails_async() -> bool:
    return False


@shows("/livez says that the process answers, /readyz that requests are wanted; the paths are options")
@shows("Checks in both colours, side by side, each with a timeout")
def test_readiness_needs_every_check_in_either_colour(stack: MakeStack) -> None:
    passing = {"plain": lambda: None, "async": passes_async, "true": lambda: True}
    assert stack(Health(checks=passing)).request("/readyz").status == 200
    for failing in (fails, fails_async, lambda: False):
        chain = stack(Health(checks={**passing, "bad": failing}))
        assert chain.request("/readyz").status == 503
        assert chain.request("/livez").status == 200
        assert chain.request("/startupz").status == 200


@shows("JSON detail by option; an exception's text is logged and never shown")
def test_detail_names_each_check_and_never_an_exceptions_text(
    stack: MakeStack, caplog: pytest.LogCaptureFixture
) -> None:
    chain = stack(Health(checks={"db": fails, "cache": passes_async}, detail=True))
    answer = chain.request("/readyz")
    assert (answer.status, answer.get("content-type")) == (503, "application/json")
    found = json.loads(answer.body)
    assert found["status"] == "failing"
    assert {name: each["status"] for name, each in found["checks"].items()} == {"db": "failed", "cache": "ok"}
    assert b"secret" not in answer.body
    assert "password=secret" in caplog.text
    assert json.loads(chain.request("/livez").body) == {"status": "ok", "checks": {}}


@shows("Checks in both colours, side by side, each with a timeout")
def test_checks_run_side_by_side(stack: MakeStack) -> None:
    """Each waits for the other: one after the other, neither would pass."""
    both = threading.Barrier(2)

    def meet() -> None:
        both.wait(PATIENCE)

    async def meet_async() -> None:
        await asyncio.to_thread(both.wait, PATIENCE)

    assert stack(Health(checks={"a": meet, "b": meet}, timeout=PATIENCE)).request("/readyz").status == 200
    assert stack(Health(checks={"a": meet, "b": meet_async}, timeout=PATIENCE)).request("/readyz").status == 200


@shows("Checks in both colours, side by side, each with a timeout")
def test_a_hanging_check_times_out_and_is_not_started_again(stack: MakeStack) -> None:
    released, calls, cancelled = threading.Event(), [], []

    def hangs() -> None:
        calls.append(1)
        released.wait(PATIENCE)

    async def hangs_async() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    chain = stack(Health(checks={"a": hangs, "b": hangs_async}, timeout=0.1, cache=0, detail=True))
    try:
        for _ in range(2):
            begun = time.monotonic()
            answer = chain.request("/readyz")
            assert time.monotonic() - begun < PATIENCE / 2
            assert answer.status == 503
            assert [each["status"] for each in json.loads(answer.body)["checks"].values()] == ["timeout", "timeout"]
        assert len(calls) == 1
    finally:
        released.set()


@shows("Answers of checks are kept for a while, and probes that come together share one run")
def test_results_of_checks_are_cached(stack: MakeStack) -> None:
    calls: list[int] = []
    chain = stack(Health(checks={"a": lambda: calls.append(1)}, cache=3600))
    assert [chain.request("/readyz").status for _ in range(3)] == [200, 200, 200]
    assert len(calls) == 1
    chain = stack(Health(checks={"a": lambda: calls.append(1)}, cache=0))
    assert [chain.request("/readyz").status for _ in range(3)] == [200, 200, 200]
    assert len(calls) == 4


@shows("Answers of checks are kept for a while, and probes that come together share one run")
def test_probes_that_come_together_share_one_run_in_threads() -> None:
    calls, entered, released = [], threading.Event(), threading.Event()

    def check() -> None:
        calls.append(1)
        entered.set()
        released.wait(PATIENCE)

    checks = Checks({"a": check}, timeout=PATIENCE, cache=3600)
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.append(checks.run()["a"].passed)) for _ in range(3)]
    for thread in threads:
        thread.start()
    entered.wait(PATIENCE)
    released.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert (calls, answers) == ([1], [True, True, True])


@shows("Answers of checks are kept for a while, and probes that come together share one run")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_probes_that_come_together_share_one_run_on_a_loop(backend: str) -> None:
    import anyio

    calls: list[int] = []

    async def check() -> None:
        calls.append(1)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()

    async def main() -> list[bool]:
        checks = Checks({"a": check, "b": lambda: None}, timeout=PATIENCE, cache=3600)
        answers: list[bool] = []

        async def probe() -> None:
            answers.append(all(each.passed for each in (await checks.run_async()).values()))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(probe)
        return answers

    assert anyio.run(main, backend=backend) == [True, True, True]
    assert calls == [1]


@shows("Checks in both colours, side by side, each with a timeout")
def test_on_trio_a_check_fails_or_times_out_as_elsewhere() -> None:
    import trio

    released = threading.Event()

    async def hangs() -> None:
        await trio.sleep(PATIENCE)

    # Apart, because what fails must not be given up first, however slow the machine is.
    hang = Checks({"a": hangs, "b": lambda: released.wait(PATIENCE)}, timeout=0.1, cache=0)
    fail = Checks({"a": fails, "b": fails_async}, timeout=PATIENCE, cache=0)
    try:
        found = [trio.run(checks.run_async) for checks in (hang, fail)]
    finally:
        released.set()
    states = [{name: each.state for name, each in results.items()} for results in found]
    assert states == [{"a": "timeout", "b": "timeout"}, {"a": "failed", "b": "failed"}]


async def on_any_loop() -> bool:
    return True


@functools.wraps(on_any_loop)
def runs_a_loop() -> bool:
    return asyncio.run(on_any_loop())


@functools.wraps(on_any_loop)
def gives_the_coroutine() -> object:
    return on_any_loop()


#: `functools.wraps` gives all of them one name.
DECORATED = ["async", "runs-a-loop", "gives-the-coroutine"]


@pytest.mark.parametrize("check", [on_any_loop, runs_a_loop, gives_the_coroutine], ids=DECORATED)
def test_a_check_passes_whatever_decorator_it_has(stack: MakeStack, check: Any) -> None:
    response = stack(Health(checks={"a": check}, detail=True)).request("/readyz")
    assert response.status == 200


@pytest.mark.parametrize("check", [runs_a_loop, gives_the_coroutine], ids=DECORATED[1:])
def test_a_check_passes_on_trio_whatever_decorator_it_has(check: Any) -> None:
    import trio

    found = trio.run(Checks({"a": check}, timeout=PATIENCE, cache=0).run_async)
    assert found["a"].passed


@shows("Checks in both colours, side by side, each with a timeout")
def test_a_check_that_exits_fails_without_ending_the_process(stack: MakeStack) -> None:
    def check() -> None:
        raise SystemExit(3)

    assert stack(Health(checks={"a": check})).request("/readyz").status == 503


@shows("JSON detail by option; an exception's text is logged and never shown")
def test_a_check_is_logged_when_it_changes_only(stack: MakeStack, caplog: pytest.LogCaptureFixture) -> None:
    passing = [True, False, False, True, True]
    chain = stack(Health(checks={"db": lambda: passing.pop(0)}, cache=0))
    assert [chain.request("/readyz").status for _ in range(5)] == [200, 503, 503, 200, 200]
    said = [record.getMessage() for record in caplog.records if record.name == "gateway.middleware.health"]
    assert said == ["health check 'db' fails: it returned False", "health check 'db' passes again"]


@shows("The startup gate: nothing is ready before the startup has passed once")
def test_nothing_is_ready_before_the_startup_has_passed_once(stack: MakeStack) -> None:
    warm, calls = [False], []

    def check() -> bool:
        calls.append(1)
        return warm[0]

    chain = stack(Health(startup={"warm": check}, checks={"x": lambda: True}, cache=0))
    answers = [chain.request(path) for path in ("/startupz", "/readyz", "/livez")]
    assert [(answer.status, answer.body) for answer in answers] == [
        (503, b"starting\n"),
        (503, b"starting\n"),
        (200, b"ok\n"),
    ]
    warm[0] = True
    assert [chain.request(path).status for path in ("/readyz", "/startupz")] == [200, 200]
    warm[0] = False
    assert [chain.request(path).status for path in ("/readyz", "/startupz")] == [200, 200]
    assert len(calls) == 3


# draining


@shows("Draining by a file, by SIGUSR1, or by a SIGTERM that is held back and then given to the server's own handler")
def test_a_file_drains_while_it_exists(stack: MakeStack, tmp_path: Path) -> None:
    file = tmp_path / "drain"
    chain = stack(Health(drain_file=str(file)))
    assert chain.request("/readyz").status == 200
    file.touch()
    answer = chain.request("/readyz")
    assert (answer.status, answer.body) == (503, b"draining\n")
    assert answer.get("connection") is None
    assert [chain.request(path).status for path in ("/livez", "/startupz", "/")] == [200, 200, 200]
    file.unlink()
    assert chain.request("/readyz").status == 200


@shows("Draining by a file, by SIGUSR1, or by a SIGTERM that is held back and then given to the server's own handler")
def test_a_drain_file_that_cannot_be_read_does_not_drain(
    stack: MakeStack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chain = stack(Health(drain_file=str(tmp_path / ("x" * 300))))
    assert [chain.request("/readyz").status for _ in range(3)] == [200, 200, 200]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "cannot be read, so this process keeps serving" in caplog.text


@shows("Draining by a file, by SIGUSR1, or by a SIGTERM that is held back and then given to the server's own handler")
def test_a_drain_file_that_is_lost_keeps_its_last_state(
    stack: MakeStack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    chain = stack(Health(drain_file=str(link / "drain")))
    (folder / "drain").touch()
    assert chain.request("/readyz").status == 503
    link.unlink()
    link.symlink_to(link)  # a loop: neither there nor not there
    assert [chain.request("/readyz").status for _ in range(3)] == [503, 503, 503]
    link.unlink()
    link.symlink_to(folder)
    (folder / "drain").unlink()
    assert chain.request("/readyz").status == 200
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "keeps draining" in caplog.text


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_an_invalid_drain_file_path_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match=r"drain_file=\.\.\."):
        Health(drain_file=path)


@shows("Draining by a file, by SIGUSR1, or by a SIGTERM that is held back and then given to the server's own handler")
def test_draining_that_begins_during_the_checks_is_noticed(stack: MakeStack) -> None:
    chain = stack(Health(checks={"a": drain}, cache=0))
    answer = chain.request("/readyz")
    assert (answer.status, answer.body) == (503, b"draining\n")


def _wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@shows("Draining by a file, by SIGUSR1, or by a SIGTERM that is held back and then given to the server's own handler")
def test_sigusr1_drains_and_reaches_the_servers_handler_too() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda signum, frame: seen.append(signum))
    draining = Draining()
    try:
        assert draining.install(draining, seconds=None, usr1=True)
        assert draining.install(draining, seconds=None, usr1=True)
        assert not draining
        os.kill(os.getpid(), signal.SIGUSR1)
        assert draining
        assert seen == [signal.SIGUSR1]
        draining.uninstall(draining)
        assert not draining
        os.kill(os.getpid(), signal.SIGUSR1)
        assert seen == [signal.SIGUSR1] * 2
    finally:
        signal.signal(signal.SIGUSR1, before)


@shows("Draining by a file, by SIGUSR1, or by a SIGTERM that is held back and then given to the server's own handler")
def test_sigterm_is_held_back_and_then_given_to_the_servers_handler() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda signum, frame: seen.append(signum))
    draining = Draining()
    try:
        assert draining.install(draining, seconds=0.2, usr1=False)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert draining
        assert seen == []
        _wait(lambda: seen)
        assert seen == [signal.SIGTERM]
        draining.uninstall(draining)
    finally:
        signal.signal(signal.SIGTERM, before)


@shows("Draining by a file, by SIGUSR1, or by a SIGTERM that is held back and then given to the server's own handler")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_signal_that_a_loop_handles_is_delayed_too(loop: str) -> None:
    factory = asyncio.new_event_loop if loop == "asyncio" else pytest.importorskip("uvloop").new_event_loop

    async def main() -> None:
        running, stop, other = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        running.add_signal_handler(signal.SIGTERM, stop.set)
        running.add_signal_handler(signal.SIGUSR2, other.set)
        draining = Draining()
        try:
            assert draining.install(draining, seconds=0.5, usr1=False)
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGUSR2)
            await asyncio.wait_for(other.wait(), PATIENCE)  # came by the same descriptor, later
            assert draining
            assert not stop.is_set()
            await asyncio.wait_for(stop.wait(), PATIENCE)
        finally:
            draining.uninstall(draining)
            running.remove_signal_handler(signal.SIGTERM)
            running.remove_signal_handler(signal.SIGUSR2)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


@shows("Draining by a file, by SIGUSR1, or by a SIGTERM that is held back and then given to the server's own handler")
def test_a_forked_child_does_not_drain() -> None:
    drain()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b"drains" if DRAINING else b"serves")
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"serves"
    os.waitpid(child, 0)
    assert DRAINING


@shows("Draining by a file, by SIGUSR1, or by a SIGTERM that is held back and then given to the server's own handler")
@pytest.mark.parametrize("stack", ["wsgi", "asgi"], indirect=True)  # elsewhere another thread starts the hooks
def test_signal_handlers_are_installed_for_the_life_of_the_process(stack: MakeStack) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    chain = stack(Health(drain_signal=True))
    assert chain.request("/readyz").status == 200
    assert signal.getsignal(signal.SIGUSR1) != before
    os.kill(os.getpid(), signal.SIGUSR1)
    assert chain.request("/readyz").status == 503
    for each in _hooks():
        DRAINING.uninstall(each)
    assert signal.getsignal(signal.SIGUSR1) == before


def _hooks() -> list[object]:
    return list(DRAINING._users)


@shows("Where signals cannot be caught a warning names the drain file", once="seen on real servers of both interfaces")
@pytest.mark.parametrize(
    ("file", "named"), [(None, "use Health\\(drain_file"), ("/run/drain", "use the drain file '/run/drain'")]
)
def test_a_warning_names_the_drain_file_if_no_handler_can_be_installed(file: str | None, named: str) -> None:
    application = build_wsgi((Health(drain_signal=True, drain_file=file),), lambda environ, start_response: [])
    caught: list[Warning] = []

    def request() -> None:
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/livez", "SCRIPT_NAME": ""}
        with pytest.warns(RuntimeWarning, match=named) as warned:
            list(application(environ, lambda status, headers, exc_info=None: lambda data: None))
        caught.extend(each.message for each in warned)  # type: ignore[misc]

    thread = threading.Thread(target=request)
    thread.start()
    thread.join(PATIENCE)
    assert len(caught) == 1
    assert "gunicorn_hooks" in str(caught[0])


@shows("Draining by a file, by SIGUSR1, or by a SIGTERM that is held back and then given to the server's own handler")
def test_a_servers_hook_installs_signals_of_the_served_object_only() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    before = signal.getsignal(signal.SIGUSR1)
    other = build_asgi((Health(drain_signal=True),), app)
    start_all(app, interface="asgi")
    assert signal.getsignal(signal.SIGUSR1) == before
    served = build_asgi((Health(drain_signal=True),), app)
    start_all(served, interface="asgi")
    assert signal.getsignal(signal.SIGUSR1) != before
    for each in _hooks():
        DRAINING.uninstall(each)
    assert signal.getsignal(signal.SIGUSR1) == before
    del other


# real servers

APPLICATION = """
import asyncio, os, time, warnings
from gateway import Gateway
from gateway.middleware import Health

here = os.path.dirname(__file__)
go = os.path.join(here, "go")

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] != "/slow":
        return [b"served"]
    def body():
        yield b"begun\\n"
        while not os.path.exists(go):
            time.sleep(0.02)
        yield b"ended\\n"
    return body()

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    if scope["path"] == "/slow":
        await send({"type": "http.response.body", "body": b"begun\\n", "more_body": True})
        while not os.path.exists(go):
            await asyncio.sleep(0.02)
        await send({"type": "http.response.body", "body": b"ended\\n"})
        return
    await send({"type": "http.response.body", "body": b"served"})

def health():
    seconds = os.environ.get("DRAIN_SECONDS")
    return Health(
        drain_file=os.path.join(here, "drain"),
        drain_seconds=float(seconds) if seconds else None,
        drain_signal=bool(os.environ.get("DRAIN_SIGNAL")),
    )

from_wsgi = Gateway(wsgi, middleware=[health()])
from_asgi = Gateway(asgi, middleware=[health()])
"""


def ask(running: Running, path: str) -> tuple[int, bytes]:
    """Ask over a connection of its own."""
    with running.bind.connect(PATIENCE) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]


HOOKS = ("--config", "python:gateway.servers.gunicorn_hooks")
IN_PROCESS = ("--workers", "0")
SERVERS = [
    pytest.param("uvicorn", "from_asgi", (), id="uvicorn"),
    pytest.param("gunicorn-gthread", "from_wsgi", HOOKS, id="gunicorn-gthread", marks=pytest.mark.slow),
    pytest.param("gunicorn-gthread", "from_asgi", HOOKS, id="gunicorn-gthread-crossing", marks=pytest.mark.slow),
    pytest.param("gunicorn-asgi", "from_asgi", (), id="gunicorn-asgi", marks=pytest.mark.slow),
    pytest.param(
        "gunicorn-asgi", "from_asgi", ("--asgi-loop", "asyncio"), id="gunicorn-asgi-asyncio", marks=pytest.mark.slow
    ),
    pytest.param("granian-asgi", "from_asgi", (), id="granian-asgi", marks=pytest.mark.slow),
    pytest.param("hypercorn-asyncio", "from_asgi", IN_PROCESS, id="hypercorn", marks=pytest.mark.slow),
    pytest.param("uvicorn", "from_wsgi", (), id="uvicorn-crossing", marks=pytest.mark.slow),
]


@shows(
    "During the drain of a real server a new connection gets 503 on /readyz and 200 from the application, and "
    "nothing in flight is lost",
    once="seen on real servers of both interfaces",
)
@pytest.mark.parametrize(("name", "target", "arguments"), SERVERS)
def test_during_the_drain_a_server_refuses_probes_and_serves_clients(
    tmp_path: Path, name: str, target: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = get(name)
    if reason := server.missing():
        pytest.skip(reason)
    (tmp_path / "drain_app.py").write_text(APPLICATION)
    monkeypatch.setenv("DRAIN_SECONDS", "3")
    launch = Launch(target=f"drain_app:{target}", bind=Bind(port=0), app_dir=str(tmp_path), arguments=arguments)
    with start(server, launch) as running, running.bind.connect(PATIENCE) as flying:
        assert ask(running, "/readyz") == (200, b"ok\n"), running.output()
        flying.sendall(b"GET /slow HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        answer = b""
        while b"begun" not in answer:
            answer += flying.recv(65536)
        running.process.send_signal(signal.SIGTERM)
        _wait(lambda: ask(running, "/readyz")[0] == 503)
        # Each over a new connection, while the server would have closed its socket without the shim.
        assert ask(running, "/readyz")[0] == 503
        assert ask(running, "/livez")[0] == 200
        assert ask(running, "/")[0] == 200
        assert running.process.poll() is None
        (tmp_path / "go").touch()
        assert b"ended" in answer + b"".join(iter(lambda: flying.recv(65536), b""))
        running.process.wait(PATIENCE)
        assert running.process.returncode in (0, -signal.SIGTERM), running.output()


@shows("Where signals cannot be caught a warning names the drain file")
@pytest.mark.parametrize(
    ("name", "target"),
    [
        pytest.param("waitress", "from_wsgi", id="waitress"),
        pytest.param("granian-wsgi", "from_wsgi", id="granian-wsgi", marks=pytest.mark.slow),
        pytest.param("hypercorn-asyncio", "from_asgi", id="hypercorn", marks=pytest.mark.slow),
        pytest.param("gunicorn-gthread", "from_wsgi", id="gunicorn-without-hooks", marks=pytest.mark.slow),
    ],
)
def test_without_signals_a_server_warns_and_the_file_drains(
    tmp_path: Path, name: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = get(name)
    if reason := server.missing():
        pytest.skip(reason)
    (tmp_path / "drain_app.py").write_text(APPLICATION)
    monkeypatch.setenv("DRAIN_SECONDS", "3")
    launch = Launch(target=f"drain_app:{target}", bind=Bind(port=0), app_dir=str(tmp_path))
    with start(server, launch) as running:
        assert ask(running, "/readyz")[0] == 200
        (tmp_path / "drain").touch()
        assert ask(running, "/readyz") == (503, b"draining\n")
        assert ask(running, "/")[0] == 200
        assert "drain_file" in running.output() or str(tmp_path / "drain") in running.output()


@shows(
    "During the drain of a real server a new connection gets 503 on /readyz and 200 from the application, and "
    "nothing in flight is lost"
)
@pytest.mark.slow
def test_sigusr1_to_gunicorn_drains_its_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "drain_app.py").write_text(APPLICATION)
    monkeypatch.setenv("DRAIN_SIGNAL", "1")
    launch = Launch(target="drain_app:from_wsgi", bind=Bind(port=0), app_dir=str(tmp_path), arguments=HOOKS)
    with start(get("gunicorn-gthread"), launch) as running:
        assert ask(running, "/readyz")[0] == 200
        running.process.send_signal(signal.SIGUSR1)
        _wait(lambda: ask(running, "/readyz")[0] == 503)
        assert ask(running, "/")[0] == 200


@pytest.mark.parametrize(
    "options",
    [
        {"live_path": "livez"},
        {"live_path": "/readyz"},
        {"live_path": None, "ready_path": None, "startup_path": None},
        {"checks": {"db": 5}},
        {"startup": {"db": None}},
        {"timeout": 0},
        {"cache": -1},
        {"drain_seconds": 0},
    ],
)
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="Health"):
        Health(**options)  # type: ignore[arg-type]


def test_an_option_for_a_missing_signal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "SIGUSR1")
    with pytest.raises(ConfigurationError, match="SIGUSR1"):
        Health(drain_signal=True)
    monkeypatch.undo()


def test_checks_run_on_several_loops_at_once() -> None:
    both = threading.Barrier(2)
    calls: list[int] = []
    failed: list[BaseException] = []

    async def check() -> None:
        calls.append(1)
        await asyncio.sleep(0.2)

    checks = Checks({"a": check}, timeout=PATIENCE, cache=0)

    async def main() -> None:
        await asyncio.gather(checks.run_async(), checks.run_async())

    def loop() -> None:
        both.wait(PATIENCE)
        try:
            asyncio.run(main())
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=loop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not failed
    assert calls
