"""A middleware around a middleware, which writes down every hook call with its arguments and what came of it.

It defines exactly the hooks that the one inside defines, generators as generators, so that a driver is built for it as
it is for the one inside.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from gateway.contract import HOOKS, BuildContext, FlowHooks, Hooks, Middleware, hook
from gateway.exchange import Outcome, Request, Response
from gateway.headers import Header

#: Hooks that a middleware defines in one interface only, because the other has nothing to do: they are not compared.
#: RequestId clears its context variables in a WSGI server's threads; an ASGI request has a context of its own.
_OF_ONE_INTERFACE = frozenset({("RequestId", "on_finish")})
_METADATA = ("websocket", "contract", "keeps_request_length", "short_circuits", "body_cpu")


class Recording(Middleware):
    """The middleware; ``log`` is shared by a chain, so that it has the sequence of all its hook calls."""

    def __init__(self, inner: Middleware, log: list[Any]) -> None:
        self.inner = inner
        self._log = log
        self._entered = False
        self._finishes = False
        self._over = threading.Event()
        _take(self, inner)

    def build(self, context: BuildContext) -> Hooks:
        hooks = self.inner.build(context)
        if isinstance(hooks, FlowHooks):
            return hooks  # a generator notes by itself: tests.parity.flows
        # Without on_request nobody can tell from here whether it was entered.
        self._finishes = hook(hooks, "on_finish") is not None and hook(hooks, "on_request") is not None
        return _RecordingHooks(hooks, self)

    def begin(self) -> None:
        """Forget the last exchange."""
        self._entered = False
        self._over.clear()

    def ended(self, seconds: float) -> bool:
        """Wait for ``on_finish`` of an exchange that was entered; tell whether it came."""
        return not (self._finishes and self._entered) or self._over.wait(seconds)

    def note(self, *what: Any) -> None:
        self._entered = self._entered or what[0] == "on_request"
        entry = (type(self.inner).__name__, *what)
        if entry[:2] not in _OF_ONE_INTERFACE:
            self._log.append(entry)
        if what[:2] == ("on_finish", "gave"):
            self._over.set()


class _RecordingHooks(Hooks):
    def __init__(self, inner: Hooks, recording: Recording) -> None:
        self._inner = inner
        _take(self, inner)
        for name in HOOKS:
            found = hook(inner, name)
            if found is not None:
                self.__dict__[name] = _recorded(name, found, recording)

    @property
    def constant_headers(self) -> Sequence[Header]:
        return self._inner.constant_headers


def _take(target: Hooks, source: Hooks) -> None:
    for name in _METADATA:
        object.__setattr__(target, name, getattr(source, name))


def _recorded(name: str, call: Any, recording: Recording) -> Any:
    def begin(args: tuple[Any, ...]) -> None:
        recording.note(name, *map(told, args))

    def end(args: tuple[Any, ...], result: Any) -> None:
        recording.note(name, "gave", told(result), *_after(args))

    if inspect.isgeneratorfunction(call):

        def steps(*args: Any) -> Any:
            begin(args)
            result = yield from call(*args)
            end(args, result)
            return result

        return steps

    def plain(*args: Any) -> Any:
        begin(args)
        result = call(*args)
        if inspect.isgenerator(result):  # it decided at once that there is more to do
            return rest(args, result)
        end(args, result)
        return result

    def rest(args: tuple[Any, ...], steps: Any) -> Any:
        result = yield from steps
        end(args, result)
        return result

    return plain


def _after(args: tuple[Any, ...]) -> list[Any]:
    """Tell the response again after the hook: it is there to be changed."""
    return [told(value) for value in args if isinstance(value, Response)]


def told(value: Any) -> Any:
    """Tell an argument or a result in words that are the same in every driver."""
    if isinstance(value, Request):
        client = value.client[0] if value.client else None
        return (value.method, value.path, value.query_string, value.scheme, client, fields(value.headers.items()))
    if isinstance(value, Response):
        body = value.body if isinstance(value.body, bytes) else type(value.body).__name__
        return (value.status, fields(value.headers.items()), body)
    if isinstance(value, Outcome):
        began = value.first_byte_at is not None
        sizes = (value.bytes_sent, value.bytes_received)
        return (value.kind, value.status, *sizes, repr(value.error), value.disconnected, began)
    if isinstance(value, BaseException):
        return repr(value)
    if hasattr(value, "push") and hasattr(value, "finish"):
        return type(value).__name__
    # Of a process only that it is one: which, and of which interface, is where the middleware stands.
    return value if value is None or isinstance(value, (bytes, str, int)) else type(value).__name__


def fields(lines: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Tell header lines: names in any order and case, lines of one name in theirs, none of the connection's.

    Seconds until something is allowed again are the clock's; that they are told is the middleware's.
    """
    found: dict[str, list[str]] = {}
    for name, value in lines:
        if name.lower() == "transfer-encoding":
            continue  # hop by hop: some servers tell it, some do not
        seconds = name.lower() == "retry-after" and value.isdigit()
        found.setdefault(name.lower(), []).append("seconds" if seconds else value)
    return dict(sorted(found.items()))
