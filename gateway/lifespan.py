"""The lifespan of an ASGI application: start it once, keep its state, stop it once.

The application runs in a separate task on the caller's loop, from :meth:`Lifespan.startup` to
:meth:`Lifespan.shutdown`. Adapters, test clients and `Mount` share this driver, so that "does not support lifespan",
"failed" and "hangs" mean the same everywhere.

Behaviour of an application, and its meaning:

* The application raises or returns before ``lifespan.startup.complete``: it does not support the protocol. The server
  "must continue but not send any lifespan events". With ``mode="on"`` that is an error.
* The application sends ``lifespan.startup.failed``, exits, or does not complete in time: :class:`LifespanFailed`. The
  server must not serve it.
* The application ends between startup and shutdown: shutdown does nothing. An exception is logged.

asyncio (any loop) and trio: ``startup()`` and ``shutdown()`` are for asyncio, ``async with`` is for both.

Not here: the moment when a process starts and stops (adapters and servers decide it), and middleware hooks.

(Above 400 lines: one protocol on two loops, whose phases are read together.)

Sources: ASGI Lifespan 2.0 "Scope", "Startup", "Shutdown", "Lifespan State".
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Literal

from gateway.errors import ApplicationError, ConfigurationError
from gateway.loops import Event, in_trio, move_on_after, new_event
from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Message

__all__ = ["Lifespan", "LifespanFailed", "LifespanMode", "serve_together"]

_log = logging.getLogger("gateway.lifespan")

LifespanMode = Literal["auto", "on", "off"]
_MODES = ("auto", "on", "off")
_SPEC = "ASGI Lifespan 2.0"


class LifespanFailed(ApplicationError):  # the protocol's own word: lifespan.startup.failed
    """The startup or shutdown of the application failed, or did not complete in time.

    Attributes:
        phase: ``"startup"`` or ``"shutdown"``.
        message: The application's message, or a description of the failure.
    """

    status_hint = 503

    def __init__(self, phase: Literal["startup", "shutdown"], message: str) -> None:
        super().__init__(f"the application's lifespan {phase} failed: {message or 'no reason given'}")
        self.phase = phase
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.phase, self.message))


class _Phase(enum.Enum):
    NEW = "new"
    STARTING = "starting"
    SERVING = "serving"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Lifespan:
    """Drive the lifespan of one ASGI application.

    Args:
        app: The application; ASGI 3.
        mode: ``"auto"`` accepts an application that does not support the protocol, ``"on"`` refuses it, ``"off"`` does
            not run the lifespan.
        state: The dictionary that the application fills; a new dict by default. Each request gets a shallow copy.
        startup_timeout: Seconds to wait until the startup completes or fails; None waits for ever.
        shutdown_timeout: Seconds to wait until the shutdown completes or fails; then the task is cancelled.

    Raises:
        ConfigurationError: The mode is not one of these, or a timeout is not above 0.
    """

    def __init__(
        self,
        app: ASGIApplication,
        *,
        mode: LifespanMode = "auto",
        state: dict[str, Any] | None = None,
        startup_timeout: float | None = 60.0,
        shutdown_timeout: float | None = 30.0,
    ) -> None:
        if mode not in _MODES:
            raise ConfigurationError(f"Lifespan(mode=...) must be one of {', '.join(map(repr, _MODES))}, got {mode!r}")
        for name, seconds in (("startup_timeout", startup_timeout), ("shutdown_timeout", shutdown_timeout)):
            if seconds is not None and seconds <= 0:
                raise ConfigurationError(f"Lifespan({name}=...) must be above 0 seconds or None, got {seconds!r}")
        self.app = app
        self.mode: LifespanMode = mode
        self.state: dict[str, Any] = {} if state is None else state
        self.startup_timeout = startup_timeout
        self.shutdown_timeout = shutdown_timeout
        self._phase = _Phase.NEW
        self._received_startup = False
        self._error: BaseException | None = None
        self._refusal = ""
        self._task: asyncio.Task[None] | None = None
        self._answered: Event  # set when the startup has completed, failed or ended
        self._stop: Event
        self._ended: Event

    @property
    def supported(self) -> bool:
        """Whether the application has started and waits for its shutdown."""
        return self._phase is _Phase.SERVING

    @property
    def phase(self) -> str:
        """Current phase: new, starting, serving, unsupported, failed, stopping, stopped."""
        return self._phase.value

    # asyncio

    async def startup(self) -> None:
        """Start the application on the running asyncio loop and wait until its startup has completed.

        Raises:
            LifespanFailed: The startup failed or timed out, or ``mode="on"`` and the protocol is not supported.
        """
        if self.mode == "off":
            self._phase = _Phase.UNSUPPORTED
            return
        self._begin()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="gateway-lifespan")
        try:
            async with move_on_after(self.startup_timeout):
                await self._answered.wait()
        except BaseException:  # cancelled: do not leave the application half started
            await self._cancel()
            raise
        await self._check_started(self._cancel)

    async def shutdown(self) -> None:
        """Stop the application; call it on the loop that started it. A second call does nothing.

        Raises:
            LifespanFailed: The shutdown failed, raised, or timed out (then the application is cancelled).
        """
        if not self._ask_to_stop():
            return
        async with move_on_after(self.shutdown_timeout):
            await self._ended.wait()
        if not self._ended.is_set():
            await self._cancel()
            self._timed_out_at_shutdown()
        self._task = None
        self._check_stopped()

    async def _cancel(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            # Stop waiting after a second: an application that swallows the cancellation cannot be ended.
            await asyncio.wait({self._task}, timeout=1.0)

    # asyncio and trio

    async def __aenter__(self) -> dict[str, Any]:
        """Start, on asyncio or trio; the value is ``state``."""
        self._exits = contextlib.AsyncExitStack()
        return await self._exits.enter_async_context(self._trio() if in_trio() else self._asyncio())

    async def __aexit__(self, *exc_info: object) -> None:
        """Stop. A shutdown error is raised, unless the block itself raised: then it is logged."""
        try:
            await self._exits.aclose()
        except LifespanFailed:
            if exc_info[0] is None:
                raise
            _log.exception("the application's lifespan also failed at shutdown; the first error is raised")

    @contextlib.asynccontextmanager
    async def _asyncio(self) -> AsyncGenerator[dict[str, Any], None]:
        await self.startup()
        try:
            yield self.state
        finally:
            await self.shutdown()

    @contextlib.asynccontextmanager
    async def _trio(self) -> AsyncGenerator[dict[str, Any], None]:
        import trio

        if self.mode == "off":
            self._phase = _Phase.UNSUPPORTED
            yield self.state
            return
        self._begin()
        failure: LifespanFailed | None = None
        own = trio.CancelScope(shield=True)  # a cancelled caller must not cancel the application before its shutdown

        async def run() -> None:
            with own:
                await self._run()

        async def cancel() -> None:
            own.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            try:
                async with move_on_after(self.startup_timeout):
                    await self._answered.wait()
                await self._check_started(cancel)
                yield self.state  # exceptions of the block are not raised here, see __aexit__
                if self._ask_to_stop():
                    with trio.CancelScope(shield=True):
                        async with move_on_after(self.shutdown_timeout):
                            await self._ended.wait()
                    if not self._ended.is_set():
                        self._timed_out_at_shutdown()
                    self._check_stopped()
            except LifespanFailed as error:
                failure = error  # raised below, because the nursery would wrap it in a group
            finally:
                own.cancel()
        if failure is not None:
            raise failure

    # the rules, without a loop

    def _begin(self) -> None:
        if self._phase is not _Phase.NEW:
            raise ConfigurationError(
                f"a Lifespan can be started once only, and this one is {self._phase.value}; create a new Lifespan"
            )
        self._answered, self._stop, self._ended = new_event(), new_event(), new_event()
        self._phase = _Phase.STARTING

    async def _check_started(self, cancel: Callable[[], Awaitable[None]]) -> None:
        if not self._answered.is_set():
            self._phase = _Phase.FAILED
            await cancel()
            raise LifespanFailed(
                "startup", f"the application did not answer within {self.startup_timeout} seconds ({_SPEC} 'Startup')"
            )
        if self._phase is _Phase.FAILED:
            await cancel()
            raise LifespanFailed("startup", self._refusal) from self._error
        if self._phase is _Phase.UNSUPPORTED:
            if self.mode == "on":
                raise LifespanFailed(
                    "startup",
                    "lifespan mode is 'on', but the application does not support lifespan: it "
                    f"{'returned' if self._error is None else f'raised {self._error!r}'} before it answered",
                ) from self._error
            if self._received_startup:
                # It received the event and then ended: more likely a fault in its startup than a missing protocol.
                _log.warning(
                    "the application returned from the lifespan scope before it answered lifespan.startup; "
                    "it is served without lifespan (%s 'Scope')",
                    _SPEC,
                    exc_info=self._error,
                )
            else:
                _log.debug("the application does not support lifespan: %r", self._error)
            self._error = None  # its traceback would keep the frames of the event loop alive

    def _ask_to_stop(self) -> bool:
        if self._phase is not _Phase.SERVING:
            return False
        self._phase = _Phase.STOPPING
        self._error = None
        self._refusal = ""
        self._stop.set()
        return True

    def _timed_out_at_shutdown(self) -> None:
        self._phase = _Phase.STOPPED
        raise LifespanFailed(
            "shutdown", f"the application did not answer within {self.shutdown_timeout} seconds ({_SPEC} 'Shutdown')"
        )

    def _check_stopped(self) -> None:
        if self._phase is _Phase.FAILED:
            raise LifespanFailed("shutdown", self._refusal) from self._error
        self._phase = _Phase.STOPPED

    async def _run(self) -> None:
        """Call the application and record its exception; the task itself raises only a cancellation."""
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self.app(scope, self._receive, self._send)
        except Exception as error:
            self._error = error
        except BaseException as error:
            self._error = error
            if isinstance(error, SystemExit) and self._phase is _Phase.STARTING:
                # An `Exception` means "does not support the protocol"; an exit means that the startup failed.
                self._phase = _Phase.FAILED
                self._refusal = f"it raised {error!r}"
            self._app_ended()
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                # Raised from a task, these would end the loop and every request on it.
                return
            raise
        self._app_ended()

    def _app_ended(self) -> None:
        match self._phase:
            case _Phase.STARTING:
                self._phase = _Phase.UNSUPPORTED
            case _Phase.SERVING:
                self._phase = _Phase.STOPPED
                # A cancellation is not an error of the application: code that ends the loop cancels every task on it.
                if isinstance(self._error, (Exception, KeyboardInterrupt, SystemExit)):
                    _log.error(
                        "the application's lifespan call ended while the application was being served",
                        exc_info=self._error,
                    )
            case _Phase.STOPPING:
                if self._error is not None:
                    self._phase = _Phase.FAILED
                    self._refusal = f"it raised {self._error!r}"
                else:
                    self._phase = _Phase.STOPPED
            case _:
                pass
        self._answered.set()
        self._ended.set()

    async def _receive(self) -> Message:
        if not self._received_startup:
            self._received_startup = True
            return {"type": "lifespan.startup"}
        await self._stop.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        match kind, self._phase:
            case "lifespan.startup.complete", _Phase.STARTING:
                self._phase = _Phase.SERVING
                self._answered.set()
            case "lifespan.startup.failed", _Phase.STARTING:
                self._phase = _Phase.FAILED
                self._refusal = str(message.get("message", ""))
                self._answered.set()
            case "lifespan.shutdown.complete", _Phase.STOPPING:
                self._phase = _Phase.STOPPED
                self._ended.set()
            case "lifespan.shutdown.failed", _Phase.STOPPING:
                self._phase = _Phase.FAILED
                self._refusal = str(message.get("message", ""))
                self._ended.set()
            case _:
                raise ApplicationError(
                    "an application must answer lifespan.startup once, with lifespan.startup.complete or "
                    f".failed, and lifespan.shutdown likewise; it sent {kind!r} while {self._phase.value} "
                    f"({_SPEC})"
                )


async def serve_together(
    parts: Sequence[tuple[ASGIApplication, dict[str, Any]]],
    started: Callable[[], object],
    receive: ASGIReceive,
    send: ASGISend,
) -> None:
    """Serve one lifespan scope with several applications: start them in order, and stop them in the reverse order.

    If one application fails to start, those that were started are stopped, and the server is told.

    Args:
        parts: Each application, and the state that it fills.
        started: Called when all have started, before the server is told.
        receive: The server's ``receive``.
        send: The server's ``send``.
    """
    await receive()  # lifespan.startup, the only event that can come
    phase = "startup"
    try:
        async with contextlib.AsyncExitStack() as running:
            for app, state in parts:
                # No timeouts here, because the server decides how long a startup or shutdown may take.
                lifespan = Lifespan(app, state=state, startup_timeout=None, shutdown_timeout=None)
                await running.enter_async_context(lifespan)
            started()
            phase = "shutdown"
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
    except LifespanFailed as error:
        await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
        return
    await send({"type": "lifespan.shutdown.complete"})
