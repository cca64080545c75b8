"""The pytest plugin: one test function under every tier. Opt in with

    pytest_plugins = ["gateway.testing.pytest_plugin"]

in the ``conftest.py`` at the root of the tests. It has no entry point on purpose. An entry point would import a package
named ``gateway`` in every project, which may be the user's own package.

Fixtures: ``web`` and ``aweb`` make a client for the current tier. ``web_server`` returns the URL of the application
under the current server. Mark: ``@pytest.mark.tiers("direct", "adapted", "roundtrip", "uvicorn", "gunicorn", ...)``;
``"all"`` means every tier. Options: ``--tiers``, ``--tiers-trace``.

A server imports an application that is a global. For one that a fixture makes, and with ``copy=True`` in the mark, the
server runs in a copy of the test's process: see `gateway.testing._forked`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast, get_args

import pytest

from gateway.errors import ConfigurationError
from gateway.protocols import Application, detect
from gateway.servers import Launch, Running, Server, choose, families, names
from gateway.testing._record import Record
from gateway.testing._served_names import NAME
from gateway.testing._stage import Stage
from gateway.testing.clients import AsyncClient, Client, NotClean
from gateway.testing.served import AsyncServedClient, ServedClient, output, serve, told_violations
from gateway.testing.tiers import Tier, Unsupported

__all__ = [
    "aweb",
    "gateway_servers",
    "gateway_tier",
    "pytest_addoption",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_runtest_call",
    "pytest_runtest_setup",
    "web",
    "web_server",
]

IN_PROCESS: tuple[str, ...] = get_args(Tier)
_FIXTURES = {"web", "aweb", "web_server", "gateway_tier"}

#: Types that ``web`` and ``aweb`` return: clients with the same methods.
AnyClient: TypeAlias = Client | ServedClient
AnyAsyncClient: TypeAlias = AsyncClient | AsyncServedClient


class _HasStage(Protocol):
    _stage: Stage


# -- which tiers


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--tiers`` and ``--tiers-trace``."""
    group = parser.getgroup("gateway", "tiers of gateway.testing")
    group.addoption(
        "--tiers",
        default=None,
        metavar="TIER,...",
        help="run only these tiers of each test: direct, adapted, roundtrip, a server's name, in-process, or all",
    )
    group.addoption(
        "--tiers-trace",
        default=None,
        metavar="DIR",
        help="write all messages between client and application into DIR, one file of JSON lines for each test",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line(
        "markers",
        "tiers(*names, xfail={name: reason}, copy=None): run the test under these tiers: direct, adapted, roundtrip, "
        "the name of a server, or all (of which servers run only with --tiers). copy=True runs the server in a copy "
        "of the test's process; without it, only for an application that is not a global of its module",
    )
    _chosen(config)


def _known() -> tuple[str, ...]:
    return (*IN_PROCESS, *names(), *families())


def _chosen(config: pytest.Config) -> set[str] | None:
    given = cast("str | None", config.getoption("--tiers", default=None))
    if given is None:
        return None
    chosen: set[str] = set()
    for name in filter(None, (part.strip() for part in given.split(","))):
        if name == "all":
            chosen.update(_known())
        elif name == "in-process":
            chosen.update(IN_PROCESS)
        else:
            chosen.add(_checked(name))
    return chosen


def _checked(name: str) -> str:
    if name not in _known():
        raise pytest.UsageError(_no_tier(name))
    return name


def _no_tier(name: str) -> str:
    return f"unknown tier {name!r}; possible tiers: {', '.join(_known())}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses the fixtures once for each of its tiers."""
    if not _FIXTURES & set(metafunc.fixturenames):
        return
    mark = metafunc.definition.get_closest_marker("tiers")
    wanted = mark.args if mark is not None else ("direct",)
    expected: Mapping[str, str] = mark.kwargs.get("xfail", {}) if mark is not None else {}
    for name in {*wanted, *expected} - {"all", *_known()}:
        pytest.fail(f"{metafunc.definition.nodeid}: {_no_tier(name)}", pytrace=False)
    chosen = _chosen(metafunc.config)
    tiers: list[str] = []
    for name in wanted:
        if name == "all":
            # Servers are slow to start, so "all" includes them only if --tiers names them.
            tiers += _known_once(chosen) if chosen is not None else IN_PROCESS
        elif chosen is None or name in chosen:
            tiers.append(name)
    metafunc.parametrize(
        "gateway_tier",
        [
            pytest.param(name, marks=[pytest.mark.xfail(reason=expected[name])] if name in expected else [])
            for name in dict.fromkeys(tiers)
        ],
        indirect=True,
    )


def _known_once(chosen: set[str]) -> list[str]:
    return [name for name in _known() if name in chosen and (name not in families() or not _members(name) & chosen)]


def _members(family: str) -> set[str]:
    return {name for name in names() if name.startswith(f"{family}-")}


@pytest.fixture
def gateway_tier(request: pytest.FixtureRequest) -> str:
    """Return the name of the current tier."""
    return str(request.param)


# -- skip tests that a tier does not support


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Skip the test if a fixture needs something that the tier does not support."""
    return (yield from _skipping())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Skip the test if it needs something that the tier does not support."""
    return (yield from _skipping())


def _skipping() -> Generator[None, object, object]:
    try:
        return (yield)
    except Unsupported as error:
        pytest.skip(str(error))


# -- clients


@dataclass
class _Servers:
    """The running servers of one module's tests: one for each application and server name."""

    running: dict[tuple[str, int, bool | None], tuple[Running, object]] = field(
        default_factory=dict[tuple[str, int, bool | None], tuple[Running, object]]
    )

    def get(self, name: str, app: object, request: pytest.FixtureRequest) -> Running:
        mark = request.node.get_closest_marker("tiers")
        copy: bool | None = mark.kwargs.get("copy") if mark is not None else None
        if (known := self.running.get((name, id(app), copy))) is not None:
            return known[0]
        running = serve(_server(name, app), app, request.node.getparent(pytest.Module).obj, copy=copy)
        # A fixture makes a new application for each test, so one server for such an application is enough at a time.
        if not running.command.environment.get(NAME):
            for key in [key for key, (old, _) in self.running.items() if not old.command.environment.get(NAME)]:
                self.running.pop(key)[0].stop()
        # Keep a reference to the application, so that no other object can get its id.
        self.running[name, id(app), copy] = (running, app)
        return running

    def stop(self) -> None:
        with ExitStack() as stack:
            for running, _ in self.running.values():
                stack.callback(running.stop)
            self.running.clear()


def _server(name: str, app: object) -> Server:
    try:
        return choose(detect(app), Launch(target="x:y"), name)
    except ConfigurationError as error:
        raise Unsupported(str(error)) from None


@pytest.fixture(scope="module")
def gateway_servers() -> Iterator[object]:
    """Return the servers of the module's tests, and stop them after the last test."""
    servers = _Servers()
    yield servers
    servers.stop()


@dataclass
class _Session:
    """The clients and servers of one test; the fixtures close and check them when the test ends."""

    request: pytest.FixtureRequest
    tier: str
    servers: _Servers
    stages: list[Stage] = field(default_factory=list[Stage])
    served: list[tuple[Running, int]] = field(default_factory=list[tuple[Running, int]])

    def in_process(self) -> Tier | None:
        return cast(Tier, self.tier) if self.tier in IN_PROCESS else None

    def serve(self, app: object) -> Running:
        running = self.servers.get(self.tier, app, self.request)
        self.served.append((running, len(told_violations(running))))
        return running

    def watch(self, client: _HasStage) -> None:
        client._stage.records = []
        self.stages.append(client._stage)

    def finish(self) -> None:
        """Write the trace; fail if a server's validator found violations of the application."""
        folder = cast("str | None", self.request.config.getoption("--tiers-trace", default=None))
        if folder is not None:
            records = [record for stage in self.stages for record in stage.records or ()]
            _trace(Path(folder), self.request.node.nodeid, records)
        for running, before in self.served:
            told = [one for one in told_violations(running)[before:] if one.severity == "error"]
            if told:
                found = "\n".join(dict.fromkeys(map(str, told)))
                pytest.fail(
                    f"the application broke these rules under {running.server.name}:\n{found}\n"
                    f"the end of the server's output:\n{output(running)}"
                )


@pytest.fixture
def _gateway_session(request: pytest.FixtureRequest, gateway_tier: str, gateway_servers: object) -> Iterator[_Session]:
    session = _Session(request, gateway_tier, cast(_Servers, gateway_servers))
    yield session
    session.finish()


@pytest.fixture
def web(_gateway_session: _Session) -> Iterator[Callable[..., AnyClient]]:
    """``web(app, **options)``: a `Client` for the application in the current tier, closed after the test.

    At the end it must be clean: no rule broken, and no task, thread or response leaked.
    """
    clients: list[AnyClient] = []

    def make(app: Application, **options: Any) -> AnyClient:
        tier = _gateway_session.in_process()
        client: AnyClient
        if tier is None:
            running = _gateway_session.serve(app)
            client = ServedClient(running.server, _url(running), **options)
        else:
            client = Client(app, tier=tier, **options)
            _gateway_session.watch(client)
        clients.append(client)
        return client

    yield make
    with ExitStack() as stack:
        for client in clients:
            stack.callback(client.close)
            if isinstance(client, Client):
                stack.callback(_assert_clean, client)


def _assert_clean(client: Client) -> None:
    if client._stage.validate == "raise":
        client.assert_clean()
    elif leaks := client.leaks():  # a test that collects violations also judges them
        raise NotClean([], leaks)


@pytest.fixture
def aweb(_gateway_session: _Session) -> Iterator[Callable[..., AnyAsyncClient]]:
    """``aweb(app, **options)``: an `AsyncClient` for the application in the current tier, for an asynchronous test.

    To stop the lifespan, use the client in ``async with``. At the end no rule may be broken.
    """
    clients: list[AsyncClient] = []

    def make(app: Application, **options: Any) -> AnyAsyncClient:
        tier = _gateway_session.in_process()
        if tier is None:
            running = _gateway_session.serve(app)
            return AsyncServedClient(running.server, _url(running), **options)
        client = AsyncClient(app, tier=tier, **options)
        _gateway_session.watch(client)
        clients.append(client)
        return client

    yield make
    for client in clients:
        if client._stage.validate == "raise":
            client.assert_kept()


@pytest.fixture
def web_server(_gateway_session: _Session) -> Callable[[Application], str]:
    """``web_server(app)``: the URL of the application under the server of the current tier."""

    def url(app: Application) -> str:
        if _gateway_session.in_process() is not None:
            raise Unsupported(f"the tier {_gateway_session.tier} has no server; name one in the mark or with --tiers")
        return _url(_gateway_session.serve(app))

    return url


def _url(running: Running) -> str:
    return f"http://{running.bind.host}:{running.bind.port}"


# -- traces


def _trace(folder: Path, test: str, records: list[Record]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.\[\]-]+", "_", test)
    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
        for number, record in enumerate(records):
            for message in record.messages:
                line = {"exchange": number, **{key: _readable(value) for key, value in message.items()}}
                file.write(json.dumps(line) + "\n")


def _readable(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, (list, tuple)):
        return [_readable(one) for one in cast("list[object]", value)]
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)
