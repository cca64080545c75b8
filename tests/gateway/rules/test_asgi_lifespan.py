import asyncio
import threading
from typing import Any

import pytest
from starlette.applications import Starlette

from gateway.rules import Validator
from tests.gateway.rules.asgi import (
    CONNECT,
    REQUEST,
    SHUTDOWN,
    STARTS,
    STARTUP,
    Result,
    Serve,
    Server,
    apart,
    body,
    http,
    lifespan,
    msg,
    sends,
    serve,
    start,
    then_receive,
    websocket,
)
from tests.gateway.rules.cases import Case, shows

COMPLETE = msg("lifespan.startup.complete")
FAILED = msg("lifespan.startup.failed", message="no database")
STOPPED = msg("lifespan.shutdown.complete")


def app(*messages: Any, receives: int = 1, events: Any = (STARTUP, SHUTDOWN), **scope: Any) -> Any:
    call = Serve(app=sends(*messages, receives=receives), scope=lifespan(**scope), events=events)
    return lambda mode: serve(call, mode=mode)


ok = app(COMPLETE, then_receive, STOPPED)


async def _either(scope: Any, receive: Any, send: Any, startup: Any) -> None:
    if scope["type"] == "lifespan":
        await sends(*startup)(scope, receive, send)
    else:
        await sends(start(), body())(scope, receive, send)


def requests(*, when: str) -> Any:
    """The case of a server that calls the application for a request at some moment of the lifespan."""

    def run(mode: str) -> Any:
        async def stopping(receive: Any, send: Any) -> None:
            if when == "stopping":
                await server.call(request)

        startup: tuple[Any, ...] = (FAILED,) if when == "failed" else (COMPLETE, then_receive, stopping, STOPPED)

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await _either(scope, receive, send, startup)

        server = Server(Validator(application, "asgi", mode))  # type: ignore[arg-type]
        request = Serve(scope=http(), events=(REQUEST,))

        async def main() -> None:
            async def startup_event() -> Any:
                if when == "before":
                    await server.call(request)
                return STARTUP

            async def shutdown_event() -> Any:
                if when == "started":
                    await server.call(request)
                if when == "elsewhere":
                    thread = threading.Thread(target=lambda: asyncio.run(server.call(request)))
                    thread.start()
                    thread.join()
                return SHUTDOWN

            await server.call(Serve(scope=lifespan(), events=(startup_event, shutdown_event)))
            if when in ("failed", "stopped"):
                await server.call(request)

        asyncio.run(main())
        return Result(server.validator, server.sent, server.errors, [])

    return run


def twice(*, at_once: bool) -> Any:
    """The case of a server that runs two lifespans on one loop."""

    def run(mode: str) -> Any:
        server = Server(Validator(STARTS, "asgi", mode))  # type: ignore[arg-type]
        again = Serve(scope=lifespan(), events=(STARTUP, SHUTDOWN))

        async def main() -> None:
            async def shutdown_event() -> Any:
                if at_once:
                    await apart(server.call(again))
                return SHUTDOWN

            await server.call(Serve(scope=lifespan(), events=(STARTUP, shutdown_event)))
            if not at_once:
                await server.call(again)

        asyncio.run(main())
        return Result(server.validator, server.sent, server.errors, [])

    return run


def open_at_shutdown(last: Any, scope: Any = None, events: Any = (REQUEST,)) -> Any:
    """The case of a server that stops while the application still runs for a request."""

    def run(mode: str) -> Any:
        async def main() -> Any:
            sent, release = asyncio.Event(), asyncio.Event()

            async def waits(receive: Any, send: Any) -> None:
                sent.set()
                await release.wait()

            async def application(scope: Any, receive: Any, send: Any) -> None:
                if scope["type"] == "lifespan":
                    await STARTS(scope, receive, send)
                else:
                    rest = (body(),) if last.get("more_body") else ()
                    first = (start(),) if scope["type"] == "http" else ()
                    await sends(*first, last, waits, *rest)(scope, receive, send)

            server = Server(Validator(application, "asgi", mode))  # type: ignore[arg-type]

            async def shutdown_event() -> Any:
                tasks.append(asyncio.ensure_future(server.call(Serve(scope=scope or http(), events=events))))
                await sent.wait()
                return SHUTDOWN

            tasks: list[Any] = []
            await server.call(Serve(scope=lifespan(), events=(STARTUP, shutdown_event)))
            release.set()
            await asyncio.wait(tasks)
            return server

        server = asyncio.run(main())
        return Result(server.validator, server.sent, server.errors, [])

    return run


class Starting:
    """A server that serves while the application, in another task, still starts."""

    def __call__(self, mode: str) -> Any:
        async def main() -> None:
            release = asyncio.Event()

            async def slow(receive: Any, send: Any) -> None:
                await release.wait()

            async def application(scope: Any, receive: Any, send: Any) -> None:
                await _either(scope, receive, send, (slow, COMPLETE, then_receive, STOPPED))

            self.server = server = Server(Validator(application, "asgi", mode))  # type: ignore[arg-type]
            task = asyncio.ensure_future(server.call(Serve(scope=lifespan(), events=(STARTUP, SHUTDOWN))))
            await asyncio.sleep(0)
            await server.call(Serve(scope=http(), events=(REQUEST,)))
            release.set()
            await task

        asyncio.run(main())
        return Result(self.server.validator, self.server.sent, self.server.errors, [])


def given_up(*answers: Any) -> Any:
    """The case of an application that answers so much and then hangs, and a server that waits no longer."""

    def run(mode: str) -> Any:
        async def hangs(receive: Any, send: Any) -> None:
            await asyncio.Event().wait()

        async def main() -> None:
            task = asyncio.ensure_future(server.call(Serve(scope=lifespan(), events=(STARTUP, SHUTDOWN))))
            for _ in range(10):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

        server = Server(Validator(sends(*answers, hangs), "asgi", mode))  # type: ignore[arg-type]
        asyncio.run(main())
        return Result(server.validator, server.sent, server.errors, [])

    return run


def fills_the_state(mode: str) -> Any:
    """The case of a server that puts something of its own into the state."""
    scope = lifespan(state={})

    async def startup_event() -> Any:
        scope["state"]["server"] = "1.0"
        return STARTUP

    call = Serve(app=sends(COMPLETE, then_receive, STOPPED), scope=scope, events=(startup_event, SHUTDOWN))
    return serve(call, mode=mode)


def replaces_the_state(mode: str) -> Any:
    scope = lifespan(state={})

    async def startup_event() -> Any:
        scope["state"] = {}
        return STARTUP

    call = Serve(app=sends(COMPLETE, then_receive, STOPPED), scope=scope, events=(startup_event, SHUTDOWN))
    return serve(call, mode=mode)


def fills_its_state(mode: str) -> Any:
    """An application may: the state is its own."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["before"] = 1
        await receive()
        scope["state"]["pool"] = 2
        await send(COMPLETE)
        await receive()
        await send(STOPPED)

    return serve(Serve(app=application, scope=lifespan(state={}), events=(STARTUP, SHUTDOWN)), mode=mode)


CASES = [
    Case("L01", app(COMPLETE, then_receive, events=(SHUTDOWN, SHUTDOWN)), ok, "shutdown-first"),
    Case("L01", app(COMPLETE, then_receive, events=(STARTUP, STARTUP)), ok, "startup-twice"),
    Case("L01", app(then_receive, COMPLETE, STOPPED), ok, "shutdown-too-early"),
    Case("L01", app(FAILED, then_receive), app(FAILED), "shutdown-after-failed"),
    Case("L02", app(COMPLETE, receives=0), ok, "startup"),
    Case("L02", app(COMPLETE, STOPPED), ok, "shutdown"),
    Case("L03", app(COMPLETE, FAILED), ok, "both"),
    Case("L03", app(COMPLETE, COMPLETE), app(FAILED), "twice"),
    Case("L04", app({**FAILED, "message": b"no"}), app(FAILED)),
    Case("L05", app(), ok, "startup"),
    Case("L05", app(COMPLETE, then_receive), ok, "shutdown"),
    Case("L05", app(receives=0), app(NotImplementedError("none here"), receives=0), "silent", minor=True),
    Case("L05", given_up(), given_up(COMPLETE), "hangs-at-startup", minor=True),
    Case("L05", given_up(COMPLETE, then_receive), given_up(COMPLETE), "hangs-at-shutdown", minor=True),
    Case("L07", requests(when="failed"), requests(when="started")),
    Case("L08", Starting(), requests(when="started"), "while-starting"),
    Case("L08", requests(when="elsewhere"), requests(when="started"), "on-another-loop", minor=True),
    Case("L10", requests(when="stopped"), requests(when="started"), "after"),
    Case("L10", requests(when="stopping"), requests(when="started"), "during"),
    Case("L11", twice(at_once=True), twice(at_once=False)),
    Case("L12", open_at_shutdown(body(more=True)), open_at_shutdown(body())),
    Case(
        "L12",
        open_at_shutdown(msg("websocket.accept"), websocket(), (CONNECT,)),
        open_at_shutdown(msg("websocket.close"), websocket(), (CONNECT,)),
        "websocket",
        minor=True,
    ),
    Case("L09", app(COMPLETE, then_receive, STOPPED, state={"a": 1}), app(COMPLETE, then_receive, STOPPED, state={})),
    Case("L09", app(COMPLETE, then_receive, STOPPED, state=None), ok, "none"),
    Case("L09", fills_the_state, fills_its_state, "filled"),
    Case("L09", replaces_the_state, fills_its_state, "replaced"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_rule_of_the_lifespan_is_caught_broken_and_silent_kept(case: Case) -> None:
    shows(case)


def test_an_application_that_is_cancelled_in_its_lifespan_may_report_a_failure() -> None:
    # Starlette sends lifespan.shutdown.failed then, as for any other exception.
    application = Starlette()

    async def main() -> None:
        events = iter([STARTUP])

        async def receive() -> Any:
            return next(events, None) or await asyncio.Event().wait()

        sent: list[Any] = []
        started = asyncio.Event()

        async def send(message: Any) -> None:
            sent.append(message["type"])
            started.set()

        task = asyncio.ensure_future(validator(lifespan(), receive, send))  # type: ignore[operator]
        await started.wait()
        task.cancel()
        await asyncio.wait([task])
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.failed"]

    validator = Validator(application, "asgi", "collect")
    asyncio.run(main())
    assert validator.violations == []


def test_an_application_without_lifespan_may_be_served_afterwards() -> None:
    def startup() -> Any:
        return serve(
            Serve(scope=lifespan(), app=sends(ValueError("http only"), receives=0)),
            Serve(scope=http()),
            mode="raise",
        )

    result = startup()
    assert [type(error) for error in result.errors] == [ValueError]
    assert result.found == []


def test_a_lifespan_that_ends_well_leaves_nothing_behind() -> None:
    validator = serve(Serve(scope=lifespan(), app=STARTS, events=(STARTUP, SHUTDOWN))).validator
    [lifespan_state] = validator._lifespans._by_place.values()
    assert (lifespan_state.phase, lifespan_state.state, lifespan_state._open) == ("stopped", None, {})
    assert lifespan_state.loop() is None
