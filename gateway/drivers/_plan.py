"""What the specialised drivers know of a segment before the first request.

Only hooks that a class defines stand in its tables, with their place in the chain; a driver that finds something
irregular leaves for the long way with that place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from gateway.contract import FlowHooks, FlowRun, Hooks, hook
from gateway.drivers._build import is_simple_flow
from gateway.exchange import Outcome, Request, Response

if TYPE_CHECKING:
    from gateway.contract import Flow, Transform
    from gateway.drivers._build import Segment

__all__ = ["Plan"]

OnRequest = Callable[[Request], object]
OnResponse = Callable[[Request, Response], object]
OnBody = Callable[[Request, Response], "Transform | None"]
OnFinish = Callable[[Request, Outcome], object]


def _outward(chain: tuple[Hooks, ...]) -> tuple[tuple[int, OnResponse], ...]:
    return tuple(
        (index, cast("OnResponse", found))  # the hook of that name
        for index in reversed(range(len(chain)))
        if (found := hook(chain[index], "on_response")) is not None
    )


class Plan:
    """What is known of a segment before the first request."""

    def __init__(self, segment: Segment) -> None:
        chain = segment.http
        self.segment = segment
        self.chain = chain
        self.size = len(chain)
        #: Generators that only yield bare, driven here; their place in the chain.
        self.easy = {
            index: hooks for index, hooks in enumerate(chain) if isinstance(hooks, FlowHooks) and is_simple_flow(hooks)
        }
        self.inward: tuple[tuple[int, bool, Callable[[Request], object]], ...] = tuple(
            (index, True, self.easy[index].start) if index in self.easy else (index, False, cast("OnRequest", found))
            for index in range(self.size)
            if (found := hook(chain[index], "on_request")) is not None
        )
        self.heads = tuple((index, found) for index, found in _outward(chain) if index not in self.easy)
        self.outward: tuple[tuple[int, OnResponse | None, OnBody | None], ...] = tuple(
            (index, None, None)
            if index in self.easy
            else (
                index,
                cast("OnResponse | None", hook(chain[index], "on_response")),
                cast("OnBody | None", hook(chain[index], "on_body")),
            )
            for index in reversed(range(self.size))
        )
        self.finishing = tuple(
            cast("OnFinish", found)  # the hook of that name
            for index in reversed(range(self.size))
            if index not in self.easy and (found := hook(chain[index], "on_finish")) is not None
        )
        self.bodies = any(change is not None for _, _, change in self.outward)
        self.mixed = self.bodies or bool(self.easy)
        self.watches = bool(self.finishing)
        self.defers = segment.defers
        self.reads = self.watches or segment.defines("on_request_body")
        self.prepares = segment.defines("on_body") or not segment.keeps_length

    def hand_over(self, request: Request, running: list[Flow | None], entered: int) -> None:
        """Tell the long way where the generators stand that the short way has begun."""
        for index, hooks in self.easy.items():
            if index < entered and (flow := running[index]) is not None:
                run = hooks.slot[request] = FlowRun(flow)
                run.state = "done" if inspect.getgeneratorstate(flow) == inspect.GEN_CLOSED else "response"
