"""The middleware that the guards of a model stand for, and random ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from gateway.contract import Middleware, Refuse, io
from gateway.exchange import Outcome, Response
from tests.gateway.drivers._links import ACTS, HOOKS, Guard, Hook, Record, answer_of


def middlewares(chain: Sequence[Guard], record: Record) -> list[Middleware]:
    """Make a chain that writes into a record what it is called with."""
    return [middleware(name, guard, record) for name, guard in zip("abcdefgh", chain, strict=False)]


def middleware(name: str, guard: Guard, record: Record) -> Middleware:
    """Make the middleware that a guard of the model stands for."""

    def made() -> Response:
        status, (field, value), body = answer_of(name)
        return Response(status, [(field, value)], body)

    def act(hook: str, doing: str, args: tuple[Any, ...]) -> Response | None:
        record.calls.append((name, hook, *seen(hook, args)))
        if doing == "append" and hook == "on_response":
            args[1].headers.append("x-seen", name)
        if doing == "status" and hook == "on_response":
            args[1].status = 418
        if doing == "raise":
            raise ValueError(f"{name} {hook}")
        if doing == "refuse":
            raise Refuse(403, name, response=made())
        return made() if doing == "answer" else None

    def define(hook: str, how: Hook) -> Any:
        def plain(self: Any, *args: Any) -> Any:
            return act(hook, how.act, args)

        def generator(self: Any, *args: Any) -> Any:
            yield from io(lambda: None, asyncio.sleep, 0)
            return act(hook, how.act, args)

        return generator if how.io else plain

    made_of = {hook: define(hook, how) for hook, how in guard.items()}
    made_of |= {"websocket": True, "__repr__": lambda self: name}
    made_class: Any = type("Guarding", (Middleware,), made_of)
    guarding: Middleware = made_class()
    return guarding


def seen(hook: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return of a hook's arguments what the model tells."""
    if hook == "on_response":
        return args[1].status, list(args[1].headers.asgi())
    if hook == "on_error":
        return (str(args[1]),)
    if hook == "on_finish":
        outcome: Outcome = args[1]
        error = "" if outcome.error is None or "application returned" in str(outcome.error) else str(outcome.error)
        sizes = outcome.bytes_sent, outcome.bytes_received
        begun = outcome.first_byte_at is not None and 0 <= outcome.first_byte_at <= outcome.duration
        return outcome.kind, begun, outcome.status, *sizes, outcome.disconnected, outcome.websocket_close_code, error
    return ()


def _hooks(hook: str) -> st.SearchStrategy[Hook]:
    acts = ("raise",) if hook == "on_finish" else ACTS
    return st.builds(Hook, st.sampled_from(("nothing",) * 6 + acts), st.booleans())


_ANY = st.fixed_dictionaries({}, optional={hook: _hooks(hook) for hook in HOOKS})
_HEADS = st.fixed_dictionaries({"on_response": _hooks("on_response").filter(lambda hook: not hook.io)})
#: Random chains; and those that only touch heads, which a driver of their own serves.
CHAINS = st.one_of(st.lists(_ANY, min_size=1, max_size=4), st.lists(_HEADS, min_size=1, max_size=3))
