"""The lifespan of an application: every answer it can give, in asyncio and in trio."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from gateway.errors import ApplicationError, ConfigurationError
from gateway.lifespan import Lifespan, LifespanFailed

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class App:
    """An application that follows a list of steps and writes down what it was sent."""

    def __init__(self, *steps: str) -> None:
        self.steps = steps
        self.events: list[str] = []
        self.scopes: list[Scope] = []
        self.cancelled = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        try:
            for step in self.steps:
                match step:
                    case "receive":
                        self.events.append((await receive())["type"])
                    case "raise":
                        raise ValueError("from the application")
                    case "exit":
                        raise SystemExit(3)
                    case "hang":
                        await anyio.sleep_forever()
                    case "state":
                        scope["state"]["pool"] = 7
                    case _ if step.endswith(".failed"):
                        await send({"type": step, "message": "no database"})
                    case _:
                        await send({"type": step})
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise


STARTED = ("receive", "lifespan.startup.complete")
STOPPED = ("receive", "lifespan.shutdown.complete")


async def test_an_application_is_started_once_keeps_its_state_and_is_stopped_once() -> None:
    app = App("state", *STARTED, *STOPPED)
    async with Lifespan(app) as state:
        assert state == {"pool": 7}
        assert app.events == ["lifespan.startup"]
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]
    assert [scope["type"] for scope in app.scopes] == ["lifespan"]
    assert app.scopes[0]["asgi"] == {"version": "3.0", "spec_version": "2.0"}


async def test_a_state_given_is_the_one_that_the_application_fills() -> None:
    mine: dict[str, Any] = {"given": True}
    async with Lifespan(App("state", *STARTED, *STOPPED), state=mine) as state:
        assert state is mine
    assert mine == {"given": True, "pool": 7}


@pytest.mark.parametrize("steps", [("raise",), ("receive", "raise"), (), ("receive",)], ids=str)
async def test_an_application_that_ends_before_it_answers_is_served_without_lifespan(steps: tuple[str, ...]) -> None:
    lifespan = Lifespan(App(*steps))
    async with lifespan:
        assert lifespan.phase == "unsupported"
        assert not lifespan.supported


@pytest.mark.parametrize("steps", [("raise",), ("receive", "raise"), ()], ids=str)
async def test_mode_on_refuses_an_application_without_lifespan(steps: tuple[str, ...]) -> None:
    with pytest.raises(LifespanFailed, match="mode is 'on'") as caught:
        async with Lifespan(App(*steps), mode="on"):
            raise AssertionError("entered")
    assert isinstance(caught.value.__cause__, ValueError if "raise" in steps else type(None))


async def test_mode_off_never_calls_the_application() -> None:
    app = App(*STARTED, *STOPPED)
    async with Lifespan(app, mode="off") as state:
        assert state == {}
    assert app.scopes == []


async def test_only_a_fault_within_startup_is_worth_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gateway.lifespan"):
        async with Lifespan(App("raise")):
            pass
        assert caplog.messages == []
        async with Lifespan(App("receive", "raise")):
            pass
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.records[0].exc_info is not None
    assert "from the application" in str(caplog.records[0].exc_info[1])


@pytest.mark.parametrize("after", ["raise", "hang", "receive"])
async def test_startup_failed_is_an_error_with_the_applications_words(after: str) -> None:
    with pytest.raises(LifespanFailed, match="no database") as caught:
        async with Lifespan(App("receive", "lifespan.startup.failed", after)):
            raise AssertionError("entered")
    assert caught.value.phase == "startup"
    assert caught.value.message == "no database"
    assert caught.value.status_hint == 503


@pytest.mark.parametrize("steps", [("hang",), ("receive", "hang")], ids=str)
async def test_a_startup_that_hangs_is_cancelled_after_its_timeout(steps: tuple[str, ...]) -> None:
    app = App(*steps)
    with pytest.raises(LifespanFailed, match=r"the application did not answer within 0\.05 seconds"):
        async with Lifespan(app, startup_timeout=0.05):
            raise AssertionError("entered")
    assert app.cancelled


async def test_shutdown_failed_is_an_error_with_the_applications_words() -> None:
    with pytest.raises(LifespanFailed, match="no database") as caught:
        async with Lifespan(App(*STARTED, "receive", "lifespan.shutdown.failed")):
            pass
    assert caught.value.phase == "shutdown"


async def test_an_exception_at_shutdown_is_an_error_with_its_cause() -> None:
    with pytest.raises(LifespanFailed, match="from the application") as caught:
        async with Lifespan(App(*STARTED, "receive", "raise")):
            pass
    assert isinstance(caught.value.__cause__, ValueError)


async def test_an_application_that_returns_at_shutdown_without_a_word_has_stopped() -> None:
    lifespan = Lifespan(App(*STARTED, "receive"))
    async with lifespan:
        pass
    assert lifespan.phase == "stopped"


async def test_a_shutdown_that_hangs_is_cancelled_after_its_timeout() -> None:
    app = App(*STARTED, "receive", "hang")
    with pytest.raises(LifespanFailed, match=r"shutdown failed: the application did not answer within 0\.05 seconds"):
        async with Lifespan(app, shutdown_timeout=0.05):
            pass
    assert app.cancelled


async def test_an_application_that_ends_while_serving_has_nothing_to_stop(caplog: pytest.LogCaptureFixture) -> None:
    lifespan = Lifespan(App(*STARTED, "raise"))
    with caplog.at_level(logging.ERROR, "gateway.lifespan"):
        async with lifespan:
            await anyio.wait_all_tasks_blocked()
            assert lifespan.phase == "stopped"
    assert "ended while the application was being served" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        ("lifespan.shutdown.complete",),
        ("http.response.start",),
        ("lifespan.startup.complete", "lifespan.startup.complete"),
    ],
    ids=str,
)
async def test_a_wrong_message_is_raised_in_the_applications_own_send(wrong: tuple[str, ...]) -> None:
    raised: list[Exception] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for kind in wrong:
            try:
                await send({"type": kind})
            except Exception as error:
                raised.append(error)

    async with Lifespan(app):
        await anyio.wait_all_tasks_blocked()
    assert [type(error) for error in raised] == [ApplicationError]
    assert wrong[-1] in str(raised[0])


async def test_the_blocks_own_error_is_raised_after_the_application_was_stopped() -> None:
    app = App(*STARTED, *STOPPED)
    with pytest.raises(KeyError, match="mine"):
        async with Lifespan(app):
            raise KeyError("mine")
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]


async def test_the_blocks_own_error_wins_over_a_failed_shutdown(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with Lifespan(App(*STARTED, "receive", "lifespan.shutdown.failed")):
            raise KeyError("mine")
    assert "no database" in caplog.text


async def test_system_exit_in_a_lifespan_does_not_end_the_loop() -> None:
    with pytest.raises(LifespanFailed, match="SystemExit"):
        async with Lifespan(App("receive", "exit")):
            pass
    with pytest.raises(LifespanFailed, match="SystemExit"):
        async with Lifespan(App(*STARTED, "receive", "exit")):
            pass


async def test_an_application_that_exits_in_its_startup_is_not_served() -> None:
    for steps in (("exit",), ("receive", "exit")):
        lifespan = Lifespan(App(*steps))
        with pytest.raises(LifespanFailed, match=r"startup failed: it raised SystemExit\(3\)"):
            async with lifespan:
                pass
        assert lifespan.phase == "failed"


async def test_a_cancelled_caller_stops_what_it_started() -> None:
    app = App(*STARTED, *STOPPED)
    entered = anyio.Event()

    async def hold() -> None:
        async with Lifespan(app):
            entered.set()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(hold)
        await entered.wait()
        group.cancel_scope.cancel()
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]


@pytest.mark.parametrize("framework", [Starlette, FastAPI])
async def test_real_frameworks_start_and_stop(framework: Any) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, str]]:
        seen.append("start")
        yield {"db": "open"}
        seen.append("stop")

    async with Lifespan(framework(lifespan=lifespan)) as state:
        assert state == {"db": "open"}
        assert seen == ["start"]
    assert seen == ["start", "stop"]


async def test_a_failing_startup_of_a_real_framework_is_a_failure_not_a_missing_protocol() -> None:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        raise RuntimeError("no database")
        yield

    with pytest.raises(LifespanFailed, match="no database"):
        async with Lifespan(Starlette(lifespan=lifespan)):
            raise AssertionError("entered")


def test_startup_and_shutdown_can_be_called_apart_and_shutdown_twice() -> None:
    app = App(*STARTED, *STOPPED)

    async def main() -> None:
        lifespan = Lifespan(app)
        await lifespan.shutdown()  # nothing was started
        await lifespan.startup()
        assert lifespan.supported
        await lifespan.shutdown()
        await lifespan.shutdown()
        assert lifespan.phase == "stopped"
        with pytest.raises(ConfigurationError, match="can be started once"):
            await lifespan.startup()

    asyncio.run(main())
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]


def test_a_loop_that_ends_without_a_shutdown_is_no_error_of_the_application(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()

    asyncio.run(Lifespan(app).startup())
    assert caplog.records == []


def test_a_cancelled_startup_leaves_no_task_behind() -> None:
    app = App("receive", "hang")

    async def main() -> None:
        starting = asyncio.create_task(Lifespan(app, startup_timeout=None).startup())
        await anyio.wait_all_tasks_blocked()
        assert app.events == ["lifespan.startup"]
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert app.cancelled


@pytest.mark.parametrize(
    "options", [{"mode": "maybe"}, {"startup_timeout": 0}, {"shutdown_timeout": -1}], ids=lambda value: str(value)
)
def test_wrong_options_are_refused_when_built(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(options))}="):
        Lifespan(App(), **options)


def test_the_failure_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(LifespanFailed("startup", "why")))
    assert (error.phase, error.message, str(error)) == ("startup", "why", str(LifespanFailed("startup", "why")))
