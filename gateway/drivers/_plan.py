"""The tables of a group of middleware: which hooks to call, in which order. Made once, before the first request.

Only hooks that a class defines are in them, each with the index of its middleware; 0 is the outermost.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

from gateway.contract import Hooks, hook
from gateway.drivers._flows import SimpleFlowHooks, simplified
from gateway.exchange import Outcome, Request, Response

if TYPE_CHECKING:
    from gateway.headers import Header

__all__ = ["HookPlan", "OnError", "OnFinish", "OnRequest", "OnResponse"]

OnRequest: TypeAlias = Callable[[Request], object]
#: on_response or on_body.
OnResponse: TypeAlias = Callable[[Request, Response], object]
OnError: TypeAlias = Callable[[Request, Exception], object]
OnFinish: TypeAlias = Callable[[Request, Outcome], object]


class HookPlan:
    """The hooks of a group as tables.

    Attributes:
        chain: The hooks of each middleware, outermost first.
        inward: The ``on_request`` hooks, outermost first.
        outside: For each index k, the hooks of a response outside k, innermost first. Each entry is the index, whether
            the hook is ``on_body``, and the hook. Constant headers of neighbours are one call.
        outward: All of them: the hooks for a response of the application.
        failing: For each index k, the ``on_error`` hooks outside k, innermost first.
        finishing: For each number of entered middleware, their ``on_finish`` hooks, innermost first.
        watches: Whether a hook waits for the end of the exchange.
        refuses: Whether a hook may transform, and so refuse, the request body.
        keeps_length: Whether no transform changes the length of the request body.
        touches_bodies: Whether a hook may transform the response body.
        defers: Whether a WSGI head waits for the first chunk, because a hook may look at the body or replace it.
    """

    def __init__(self, chain: tuple[Hooks, ...]) -> None:
        chain = tuple(simplified(hooks) for hooks in chain)
        self.chain: tuple[Hooks, ...] = chain
        self.size: int = len(chain)
        self.inward: tuple[tuple[int, OnRequest], ...] = tuple(
            (index, cast("OnRequest", call)) for index, call in _defined(chain, "on_request")
        )
        self.outside: tuple[tuple[tuple[int, bool, OnResponse], ...], ...] = tuple(
            _outside(chain[:level]) for level in range(self.size + 1)
        )
        self.outward: tuple[tuple[int, bool, OnResponse], ...] = self.outside[self.size]
        self.failing: tuple[tuple[tuple[int, OnError], ...], ...] = tuple(
            tuple((index, cast("OnError", call)) for index, call in reversed(_defined(chain[:level], "on_error")))
            for level in range(self.size + 1)
        )
        self.finishing: tuple[tuple[OnFinish, ...], ...] = tuple(
            tuple(cast("OnFinish", call) for _, call in reversed(_defined(chain[:entered], "on_finish")))
            for entered in range(self.size + 1)
        )
        self.watches: bool = any(
            hook(hooks, "on_finish") is not None and not isinstance(hooks, SimpleFlowHooks) for hooks in chain
        )
        changes = [hooks for hooks in chain if hook(hooks, "on_request_body") is not None]
        self.refuses: bool = bool(changes)
        self.keeps_length: bool = all(hooks.keeps_request_length for hooks in changes)
        self.touches_bodies: bool = any(is_body for _, is_body, _ in self.outward)
        self.defers: bool = any(_defers(hooks) for hooks in chain)
        #: Whether the request body must be read through the exchange.
        self.reads: bool = self.watches or self.refuses
        #: Whether the application is told something else than the server said.
        self.prepares: bool = self.touches_bodies or not self.keeps_length
        self.is_empty: bool = not (self.inward or self.outward or self.reads or any(self.failing))


def _defined(chain: tuple[Hooks, ...], name: str) -> list[tuple[int, Callable[..., object]]]:
    found = ((index, hook(hooks, name)) for index, hooks in enumerate(chain))
    return [(index, call) for index, call in found if call is not None]


def _outside(chain: tuple[Hooks, ...]) -> tuple[tuple[int, bool, OnResponse], ...]:
    calls: list[tuple[int, bool, OnResponse]] = []
    constants: list[Header] = []
    for index in reversed(range(len(chain))):
        hooks = chain[index]
        constants.extend(hooks.constant_headers)
        on_response = hook(hooks, "on_response")
        on_body = hook(hooks, "on_body")
        if constants and (on_response is not None or on_body is not None or index == 0):
            calls.append((index, False, _append(tuple(constants))))
            constants.clear()
        if on_response is not None:
            calls.append((index, False, on_response))
        if on_body is not None:
            calls.append((index, True, on_body))
    return tuple(calls)


def _append(constants: tuple[Header, ...]) -> OnResponse:
    return lambda request, response: response.headers.append_constants(constants)


def _defers(hooks: Hooks) -> bool:
    if any(hook(hooks, name) is not None for name in ("on_body", "on_error", "on_request_body")):
        return True
    response = hook(hooks, "on_response")
    return response is not None and inspect.isgeneratorfunction(response)
