"""What the specialised drivers know of a segment before the first request.

Only hooks that a class defines stand in its tables, with their place in the chain; a driver that finds something
irregular leaves for the long way with that place.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from gateway.contract import HOOKS, FlowHooks, Hooks, hook
from gateway.drivers._build import is_simple_flow
from gateway.drivers._flows import Runners
from gateway.exchange import Outcome, Request, Response

if TYPE_CHECKING:
    from gateway.contract import Transform
    from gateway.drivers._build import Segment
    from gateway.headers import Header

__all__ = ["Plan"]

A = TypeVar("A")
OnRequest = Callable[[Request], object]
OnResponse = Callable[[Request, Response], object]
OnBody = Callable[[Request, Response], "Transform | None"]
OnFinish = Callable[[Request, Outcome], object]


def _on_response(hooks: Hooks) -> OnResponse | None:
    """Return what to call for a head: the constants of a middleware, then its hook."""
    found = cast("OnResponse | None", hook(hooks, "on_response"))
    constants = tuple(hooks.constant_headers)
    if not constants:
        return found

    def add(request: Request, response: Response) -> object:
        response.headers.append_constants(constants)
        return None if found is None else found(request, response)

    return add


def _once(call: OnResponse) -> OnResponse:
    """Return a callable that stands in no other place: a bound method is an object of its own, a function is not."""
    return call if inspect.ismethod(call) else functools.partial(call)


def _hooked(chain: tuple[Hooks, ...]) -> bool:
    """Return whether a chain defines any hook of a request."""
    return any(
        hook(hooks, name) is not None for hooks in chain for name in HOOKS if name not in ("on_start", "on_stop")
    )


def _heads(chain: tuple[Hooks, ...]) -> tuple[tuple[int, OnResponse], ...]:
    """Return what to call for a head, from the innermost; neighbours that have constants only are one call."""
    calls: list[tuple[int, OnResponse]] = []
    constants: list[Header] = []
    for index in reversed(range(len(chain))):
        if hook(chain[index], "on_response") is None:
            constants.extend(chain[index].constant_headers)
            continue
        _flush(calls, constants, index + 1)
        calls.append((index, _once(cast("OnResponse", _on_response(chain[index])))))
    _flush(calls, constants, 0)
    return tuple(calls)


def _flush(calls: list[tuple[int, OnResponse]], constants: list[Header], index: int) -> None:
    if constants:
        together = tuple(constants)
        constants.clear()
        calls.append((index, lambda request, response: response.headers.append_constants(together)))


class Plan(Generic[A]):
    """What is known of a segment, around an application, before the first request."""

    def __init__(self, segment: Segment, app: A) -> None:
        self.app = app
        chain = segment.http
        self.segment = segment
        self.chain = chain
        self.size = len(chain)
        #: Generators that only yield bare, driven here; their place in the chain.
        self.easy = {
            index: hooks for index, hooks in enumerate(chain) if isinstance(hooks, FlowHooks) and is_simple_flow(hooks)
        }
        self.runners = Runners(self.easy, self.size)
        self.inward: tuple[tuple[int, bool, Callable[[Request], object]], ...] = tuple(
            (index, True, self.easy[index].start) if index in self.easy else (index, False, cast("OnRequest", found))
            for index in range(self.size)
            if (found := hook(chain[index], "on_request")) is not None
        )
        heads = _heads(chain)
        #: What to call for a head; a loop over them counts nothing, :meth:`place` finds where it stopped.
        self.heads = tuple(call for _, call in heads)
        self._places = {id(call): index for index, call in heads}
        self.outward: tuple[tuple[int, bool, OnResponse | None, OnBody | None], ...] = tuple(
            (index, True, None, None)
            if index in self.easy
            else (
                index,
                False,
                _on_response(chain[index]),
                cast("OnBody | None", hook(chain[index], "on_body")),
            )
            for index in reversed(range(self.size))
        )
        #: The constants of a chain that has nothing else, outwards.
        self.constants = tuple(
            constant for hooks in reversed(chain) for constant in hooks.constant_headers if not _hooked(chain)
        )
        self.finishing = tuple(
            cast("OnFinish", found)  # the hook of that name
            for index in reversed(range(self.size))
            if index not in self.easy and (found := hook(chain[index], "on_finish")) is not None
        )
        self.bodies = any(change is not None for _, _, _, change in self.outward)
        self.mixed = self.bodies or bool(self.easy)
        self.watches = bool(self.finishing)
        self.defers = segment.defers
        self.refuses = segment.defines("on_request_body")
        self.keeps_length = segment.keeps_length
        self.reads = self.watches or self.refuses
        self.prepares = segment.touches_bodies or not segment.keeps_length

    def place(self, call: OnResponse) -> int:
        """Return where in the chain one of :attr:`heads` stands."""
        return self._places[id(call)]
