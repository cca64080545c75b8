"""Run simple generators without an exception per request.

A generator that returns raises ``StopIteration``, which costs as much as the rest of a middleware. Delegation does not:
if one generator runs another by ``yield from``, the return of the inner one is a jump. So each flow runs inside a
*runner*, which yields :data:`ENDED` when the flow has returned, and then takes the flow of another request.

Only for flows that ask for nothing (:func:`is_simple_flow`): no IO, no peek, no reply, no outcome.
"""

from __future__ import annotations

import dis
from collections.abc import Generator
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from gateway.contract import FlowHooks, Hooks, is_raised_on, misuse

if TYPE_CHECKING:
    from gateway.exchange import Outcome, Request, Response

__all__ = ["SimpleFlowHooks", "is_simple_flow", "simplified"]


class _Ended:
    """The type of :data:`ENDED`."""


ENDED: Final = _Ended()
#: Send it a flow, and it yields the flow's effect; then the response; then, after ENDED, the next flow.
Runner: TypeAlias = Generator[object, object, None]


def _runner() -> Runner:
    while True:
        flow = yield ENDED
        yield from cast("Runner", flow)  # a flow, which is sent a response


def is_simple_flow(hooks: Hooks) -> bool:
    """Return whether hooks are a generator whose only effects are bare yields: it does no IO, no peek, no reply.

    ``yield from`` is the only way to ask for anything else, so a function without it needs nothing more.
    """
    if type(hooks) is not FlowHooks:
        return False
    code = getattr(hooks.function, "__code__", None)
    return code is not None and all(step.opname != "GET_YIELD_FROM_ITER" for step in dis.get_instructions(code))


def simplified(hooks: Hooks) -> Hooks:
    """Return the hooks, in the cheaper form if there is one."""
    return SimpleFlowHooks(hooks) if isinstance(hooks, FlowHooks) and is_simple_flow(hooks) else hooks


class SimpleFlowHooks(Hooks):
    """Hooks that run a simple generator in a runner. The runner of a request is in its slots while the flow waits."""

    def __init__(self, hooks: FlowHooks) -> None:
        self._hooks = hooks
        self._start = hooks.start
        #: Runners without a flow. Threads take and give back by one call each, so they need no lock.
        self._free: list[Runner] = []

    def __repr__(self) -> str:
        return repr(self._hooks)

    def on_request(self, request: Request) -> None:
        try:
            runner = self._free.pop()
        except IndexError:
            runner = _runner()
            next(runner)
        effect = runner.send(self._start(request))
        while effect is not None:
            if effect is ENDED:  # it does not wait for the response
                self._free.append(runner)
                return
            effect = runner.throw(misuse(effect))
        if request._slots is None:
            request._slots = {}
        request._slots[self] = runner

    def on_response(self, request: Request, response: Response) -> None:
        runner = self._waiting(request)
        if runner is not None:
            self._end(runner, runner.send(response))

    def on_error(self, request: Request, error: Exception) -> None:
        runner = self._waiting(request)
        if runner is None:
            return
        try:
            self._end(runner, runner.throw(error))
        except Exception as raised:
            if not is_raised_on(raised, error):
                raise

    def on_finish(self, request: Request, outcome: Outcome) -> None:
        runner = self._waiting(request)
        if runner is not None:  # the response will not come: this runs the `finally` blocks of the flow
            runner.close()

    def _waiting(self, request: Request) -> Runner | None:
        slots = request._slots
        return None if slots is None else cast("Runner | None", slots.pop(self, None))

    def _end(self, runner: Runner, effect: object) -> None:
        while effect is not ENDED:  # a flow that yields again
            effect = runner.throw(misuse(effect))
        self._free.append(runner)
