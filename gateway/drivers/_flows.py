"""Drive simple generators without an exception a request.

A generator that returns raises ``StopIteration``, which costs as much as the rest of a middleware. Delegation does
not: where one generator runs another by ``yield from``, the return of the inner one is a jump. So each flow of a
segment runs inside a *runner*, which yields :data:`ENDED` where the flow has returned and then takes the next flow,
of another request. The runners of a segment are lent to one request at a time, and come back when all of them
have ended; what does not end regularly keeps its runners, and others are made.

Only for flows that ask for nothing (:func:`~gateway.drivers._build.is_simple_flow`).
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Mapping
from types import GeneratorType
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from gateway.contract import FlowRun, misuse

if TYPE_CHECKING:
    from gateway.contract import Flow, FlowHooks
    from gateway.exchange import Request

__all__ = ["ENDED", "Runner", "Runners", "begun", "ended"]


class _Ended:
    """What a runner yields when its flow has returned."""


ENDED: Final = _Ended()
#: It is sent a flow, and gives what the flow yields; then what the flow is sent; then a flow again.
Runner: TypeAlias = Generator[object, object, None]


def _runner() -> Runner:
    while True:
        flow = yield ENDED
        yield from cast("Runner", flow)  # a flow, which is sent a response


def _nothing() -> Flow:
    yield


def begun(runner: Runner, effect: object) -> None:
    """Look at what a flow yielded first, where it was not the bare ``yield``: nothing may be, all else is misuse."""
    while effect is not None and effect is not ENDED:
        effect = runner.throw(misuse(effect))
    if effect is ENDED:  # it does not wait for the response; what does nothing waits instead
        runner.send(_nothing())


def ended(runner: Runner, effect: object) -> None:
    """Look at what a flow yielded after the response, where it did not end: it is misuse."""
    while effect is not ENDED:
        effect = runner.throw(misuse(effect))


class Runners:
    """The runners of a segment, one for each place in the chain."""

    def __init__(self, flows: Mapping[int, FlowHooks], size: int) -> None:
        self._flows = flows
        self._size = size
        self._free: list[list[Runner]] = []
        #: Give the runners back, after each of them has ended.
        self.put = self._free.append

    def take(self) -> list[Runner]:
        """Return runners for one request; what takes them from the list is atomic, so threads need no lock."""
        try:
            return self._free.pop()
        except IndexError:
            made = [_runner() for _ in range(self._size)]
            for runner in made:
                next(runner)
            return made

    def hand_over(self, request: Request, running: list[Runner], entered: int) -> None:
        """Tell the long way where the flows stand that the short way has begun.

        It drives them itself; the request keeps the runners, whose end would be theirs.
        """
        for index, hooks in self._flows.items():
            if index < entered:
                # A runner is a generator object, and delegates to flows alone.
                flow = (
                    cast("Flow | None", cast("GeneratorType[object, object, None]", running[index]).gi_yieldfrom)
                    if running
                    else None
                )
                run = hooks.slot[request] = FlowRun(_nothing() if flow is None else flow)
                closed = flow is None or inspect.getgeneratorstate(flow) == inspect.GEN_CLOSED
                run.state = "done" if closed else "response"
