"""Run checks concurrently under one time limit, for synchronous and asynchronous callers.

A plain check runs in a thread of its own, so a check that hangs blocks neither an event loop nor the other checks. It
does not start again while it hangs. The running loop (asyncio, trio) awaits an asynchronous check; without a running
loop the check gets its own. Results are cached for a while, and callers in that time get the same results.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import cast

from gateway.loops import Event, in_thread, in_trio, move_on_after, new_event, running_loop
from gateway.protocols import gives_coroutine

__all__ = ["Check", "CheckResult", "Checks"]

_log = logging.getLogger("gateway.middleware.health")

#: A check fails by raising or by returning False. Any other return value passes.
Check = Callable[[], object]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check.

    Attributes:
        passed: Whether the check passed.
        state: ``ok``, ``failed`` or ``timeout``.
        seconds: Duration of the check in seconds.
    """

    passed: bool
    state: str
    seconds: float


class Checks:
    """A set of named checks.

    Args:
        checks: Checks by name.
        timeout: Seconds for each check; all run at once.
        cache: Seconds to keep the results.
        once: Never run a check again after it has passed.
    """

    def __init__(self, checks: Mapping[str, Check], *, timeout: float, cache: float, once: bool = False) -> None:
        self._checks = dict(checks)
        self._timeout = timeout
        self._cache = cache
        self._once = once
        self._found: dict[str, CheckResult] = {}
        self._at = float("-inf")
        self._lock = threading.Lock()
        #: The current run of each loop, by the loop or the trio token, because an event belongs to one loop.
        self._asking: dict[object, Event] = {}
        self._hanging: dict[str, concurrent.futures.Future[object]] = {}

    def fresh(self) -> dict[str, CheckResult] | None:
        """Return the last results if they are still valid; None means that the checks must run."""
        known = not self._checks or time.monotonic() - self._at < self._cache
        settled = self._once and len(self._found) == len(self._checks) and all(f.passed for f in self._found.values())
        return dict(self._found) if known or settled else None

    def run(self) -> dict[str, CheckResult]:
        """Run the checks in a thread that may block; other callers wait for the same run."""
        with self._lock:
            fresh = self.fresh()
            if fresh is not None:
                return fresh
            deadline = time.monotonic() + self._timeout
            started = time.monotonic()
            futures = {name: self._in_thread(name, self._completed) for name in self._pending()}
            for name, future in futures.items():
                try:
                    self._note(name, started, future.result(max(0.0, deadline - time.monotonic())))
                except Exception as error:
                    self._note(name, started, error)
            return self._close()

    async def run_async(self) -> dict[str, CheckResult]:
        """Run the checks on the running loop; other callers on this loop wait for the same run."""
        while (fresh := self.fresh()) is None:
            here = running_loop()
            if here in self._asking:
                await self._asking[here].wait()
                continue
            waiting = self._asking[here] = new_event()
            try:
                started = time.monotonic()
                if in_trio():
                    await self._all_trio(started)
                else:
                    await asyncio.gather(*(self._one(name, started) for name in self._pending()))
                return self._close()
            finally:
                del self._asking[here]
                waiting.set()
        return fresh

    def _pending(self) -> list[str]:
        if not self._once:
            return list(self._checks)
        return [name for name in self._checks if name not in self._found or not self._found[name].passed]

    async def _all_trio(self, started: float) -> None:
        import trio

        async with trio.open_nursery() as nursery:
            for name in self._pending():
                nursery.start_soon(self._one, name, started)

    async def _one(self, name: str, started: float) -> None:
        result: object = TimeoutError()
        async with move_on_after(self._timeout):
            try:
                if gives_coroutine(self._checks[name]):
                    given: object = self._checks[name]()
                else:
                    given = await self._from_thread(name)
                # A plain function may wrap an `async def`.
                result = await cast("Awaitable[object]", given) if inspect.isawaitable(given) else given
            except Exception as error:
                result = error
        self._note(name, started, result)

    async def _from_thread(self, name: str) -> object:
        future = self._in_thread(name, _called)
        if in_trio():
            # In a tuple, because trio refuses a coroutine as the result of a thread.
            return (await in_thread(lambda: (future.result(self._timeout),)))[0]
        # Shielded, because a thread cannot be cancelled and its future must not become cancelled either.
        return await asyncio.shield(asyncio.wrap_future(future))

    def _in_thread(self, name: str, run: Callable[[Check], object]) -> concurrent.futures.Future[object]:
        """Call a check in a thread of its own, or join the call that still hangs."""
        hanging = self._hanging.get(name)
        if hanging is not None and not hanging.done():
            return hanging
        future: concurrent.futures.Future[object] = concurrent.futures.Future()
        self._hanging[name] = future

        def call() -> None:
            try:
                future.set_result(run(self._checks[name]))
            except Exception as error:
                future.set_exception(error)
            except BaseException as error:  # SystemExit of a check must not end the thread that waits for it
                future.set_exception(RuntimeError(f"the check raised {error!r}"))

        threading.Thread(target=call, name=f"gateway-check-{name}", daemon=True).start()
        return future

    def _completed(self, check: Check) -> object:
        """Call a check, and run its coroutine to the end if it returns a coroutine."""
        result = check()
        if not inspect.isawaitable(result):
            return result

        async def limited() -> object:
            async with asyncio.timeout(self._timeout):
                return await cast("Awaitable[object]", result)

        return asyncio.run(limited())

    def _note(self, name: str, started: float, result: object) -> None:
        seconds = time.monotonic() - started
        error = result if isinstance(result, BaseException) else None
        late = isinstance(error, TimeoutError | concurrent.futures.TimeoutError)
        passed = error is None and result is not False
        before = self._found.get(name)
        self._found[name] = CheckResult(passed, "ok" if passed else "timeout" if late else "failed", round(seconds, 4))
        if before is None or before.passed != passed:  # log changes only, not each probe
            if not passed:
                _log.warning("health check %r fails: %s", name, repr(error) if error else "it returned False")
            elif before is not None:
                _log.warning("health check %r passes again", name)

    def _close(self) -> dict[str, CheckResult]:
        self._at = time.monotonic()
        return dict(self._found)


def _called(check: Check) -> object:
    return check()
