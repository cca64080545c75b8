"""Which hook is called when, and how its result is used: the rules of an exchange that have no interface.

``on_request`` runs from the outermost middleware to the innermost. A response made by middleware k passes the
``on_response`` and ``on_body`` of those outside k; an error at k is offered to the ``on_error`` of those outside k, and
the response of one that handles it goes on from there. ``on_finish`` runs for each whose ``on_request`` was entered.

Each phase is a plain loop over a table of :class:`~gateway.drivers._plan.HookPlan`. As long as hooks return ``None``,
that is all. When one returns something, or fails, the loop returns *steps*: a generator for the rest of the phase,
which goes on with the same iterator over the table. The driver of an interface runs the steps. They yield
:class:`~gateway.contract.Io`, which it calls (WSGI) or awaits (ASGI), and
:data:`~gateway.drivers._response_body.PULL`, to which it sends the next part of the application's body.

(Above 400 lines: the order of the hooks is one rule, and wrong if one phase changes without the others.)
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, cast

from gateway.contract import Io, Peek, Refuse, Steps
from gateway.drivers._request_body import RequestBody
from gateway.drivers._response_body import ResponseBody, has_body, set_length
from gateway.errors import ApplicationError, ConfigurationError
from gateway.exchange import FileBody, Outcome, Request, Response
from gateway.loops import new_event
from gateway.problems import refusal

if TYPE_CHECKING:
    from gateway.drivers._plan import HookPlan, OnFinish, OnRequest, OnResponse
    from gateway.loops import Event

__all__ = [
    "ABORTED",
    "BROKEN",
    "CHANGED",
    "CLOSED",
    "COMMITTED",
    "DONE",
    "FAILED",
    "FLOWING",
    "HELD",
    "IDLE",
    "REFUSED",
    "REPLACED",
    "SETTLING",
    "AsyncExchange",
    "Exchange",
    "drive",
    "judge",
    "settled",
]

# The states of an exchange, in an order that makes the questions comparisons: COMMITTED <= state <= CHANGED says that
# the application's headers are out and the exchange goes on, state >= DONE that it has ended.
#: No headers yet.
IDLE: int = 0
#: A hook of the response phase waits for its IO (ASGI, WebSocket).
SETTLING: int = 1
#: The headers wait for more of the body.
HELD: int = 2
#: A transform refused the request body, and the refusal is not sent yet.
REFUSED: int = 3
#: The application's headers are out, and its body passes untouched.
COMMITTED: int = 4
#: The same, and some of its body is out (ASGI, if a hook waits for the end).
FLOWING: int = 5
#: The application's headers are out, and its body passes transforms, or trailers follow it.
CHANGED: int = 6
#: A middleware's response is sent instead of the application's.
REPLACED: int = 7
#: The response cannot go on: each message of the application raises.
FAILED: int = 8
#: Ended with a complete response.
DONE: int = 9
#: Ended without one.
ABORTED: int = 10
#: Ended, and was REPLACED or FAILED before.
CLOSED: int = 11
BROKEN: int = 12

logger = logging.getLogger("gateway.drivers")
#: An outcome is made bare and filled: a call of the class costs as much as a hook.
_new_outcome: Callable[[type[Outcome]], Outcome] = Outcome.__new__


def response_or_none(hook: str, result: object) -> Response | None:
    """Return the result of a hook, checked."""
    if result is None or isinstance(result, Response):
        return result
    raise ConfigurationError(f"{hook} must return a Response or None, got {result!r}")


class Exchange(Request):
    """One request, and its way through a group of middleware.

    A driver fills what every request has. What only an unusual exchange needs is a class attribute here, and takes
    place in the object's ``__dict__`` when it is first set. So a usual request makes one object, without a dict.
    """

    __slots__ = ("__dict__",)

    if TYPE_CHECKING:
        _plan: HookPlan
        _state: int
        #: The client's method; a middleware may give the application another one.
        _method: str
        _body: RequestBody | None

    #: Whether this is a WebSocket handshake, whose response has no body.
    _websocket: bool = False
    #: How many middleware were entered; -1 for all.
    _entered: int = -1
    #: Those at this index and further in have seen the response; an error or a refusal is offered to the others.
    _level: int = sys.maxsize
    #: The response that a middleware made, if it is the one that is sent.
    _made: Response | None = None
    #: The body that is sent, if a hook has to do with it.
    _out: ResponseBody | None = None
    #: The headers that the application gave, in the spelling of its interface.
    _fields: Iterable[tuple[bytes, bytes]] | Iterable[tuple[str, str]] = ()
    #: The rest of a phase.
    _steps: Steps[Response] | None = None
    #: What every message of the application raises, once FAILED.
    _failed: BaseException | None = None
    #: The error that no ``on_error`` handled.
    _unanswered: Exception | None = None

    # -- the request

    def enter(self, rest: Iterator[tuple[int, OnRequest]]) -> Response | Steps[Response | None] | None:
        """Run ``on_request``; return a response to send, or steps to one if there are steps, or ``None``."""
        index = 0
        try:
            for index, on_request in rest:
                returned = on_request(self)
                if isinstance(returned, Response):
                    self._entered = index + 1
                    return self.respond(returned, index)
                if returned is not None:
                    return self._entering(returned, index, rest)
        except Exception as error:
            self._entered = index + 1
            return self._entry_failed(error, index)
        except BaseException:
            self._entered = index + 1
            raise
        return None

    def _entering(self, returned: object, index: int, rest: Iterator[tuple[int, OnRequest]]) -> Steps[Response | None]:
        self._entered = index + 1
        try:
            response = response_or_none("on_request", (yield from drive(returned)))
        except Exception as error:
            return (yield from settled(self._entry_failed(error, index)))
        if response is not None:
            return (yield from settled(self.respond(response, index)))
        self._entered = -1
        entered = self.enter(rest)
        return (yield from entered) if isinstance(entered, Generator) else entered

    def _entry_failed(self, error: Exception, index: int) -> Response | Steps[Response]:
        if isinstance(error, Refuse):
            return self.respond(refusal(self, error), index)
        return self.fail(error, index)

    def request_body(self) -> RequestBody:
        """Return the request body on its way to the application; made when it is first read."""
        if self._body is None:
            self._body = RequestBody(self._plan.chain, self)
        return self._body

    def body_refused(self, refuse: Refuse) -> None:
        """Take note that a transform refused the request body: its refusal is sent, or the response is cut."""
        if self._state in (IDLE, HELD):
            self._state = REFUSED
        elif COMMITTED <= self._state <= CHANGED:
            self._state = FAILED
            self._failed = refuse

    def refuse(self) -> Response | Steps[Response]:
        """Respond with the refusal of the request body, in the place of the application's response."""
        if self._steps is not None:
            self._steps.close()
        refused = self.request_body().refused
        assert refused is not None, "the state says so"
        refuse, index = refused
        return self.respond(refusal(self, refuse), min(index, self._level))

    # -- the response

    def outwards(self, response: Response, rest: Iterator[tuple[int, bool, OnResponse]]) -> Steps[Response] | None:
        """Run ``on_response`` and ``on_body``; return steps to the response to send, or ``None`` if it is this one."""
        index = 0
        try:
            for index, is_body, call in rest:
                if is_body:
                    out = self._out
                    if (
                        self._websocket
                        or (out is not None and out.opaque)
                        or not has_body(self._method, response.status)
                    ):
                        continue
                returned = call(self, response)
                if returned is not None:
                    return self._returned(returned, response, index, is_body, rest)
        except Exception as error:
            return self.fail(error, index)
        return None

    def _returned(
        self,
        returned: object,
        response: Response,
        index: int,
        is_body: bool,
        rest: Iterator[tuple[int, bool, OnResponse]],
    ) -> Steps[Response]:
        """Use the result of a hook, and run the rest."""
        self._level = index
        try:
            if is_body:
                (self._out or self._looked_at()).install(returned)
            else:
                other = response_or_none("on_response", (yield from drive(returned, self, response)))
                if other is not None:
                    response = other
                    self._take(response)
                elif self._out is not None and self._out.broken is not None:
                    # It caught the application's error in its peek and offers nothing instead.
                    raise self._out.broken
        except Exception as error:
            return (yield from self.fail(error, index))
        final = self.outwards(response, rest) or self._measured(response)
        return final if isinstance(final, Response) else (yield from final)

    def _measured(self, response: Response) -> Response | Steps[Response]:
        """Set the length of the body, if it is known; this ends the response phase."""
        if self._out is not None and self._out.transforms:
            return self._measuring(response, self._out)
        set_length(self._method, response)
        return response

    def _measuring(self, response: Response, out: ResponseBody) -> Steps[Response]:
        try:
            yield from out.measure(response, self._fields)
        except Exception as error:
            return (yield from self.fail(error, 0))
        return response

    def respond(self, response: Response, level: int) -> Response | Steps[Response]:
        """Let a response that was made at ``level`` pass those outside; return the one to send, or steps to it."""
        self._take(response)
        return self.outwards(response, iter(self._plan.outside[level])) or self._measured(response)

    def fail(self, error: Exception, level: int) -> Steps[Response]:
        """Offer an error to those outside ``level``; return the response that is sent, or raise."""
        for index, on_error in self._plan.failing[level]:
            try:
                response = response_or_none("on_error", (yield from drive(on_error(self, error))))
            except Exception as other:
                error = other
                continue
            if response is not None:
                return (yield from settled(self.respond(response, index)))
        self._unanswered = error
        raise error

    def peek(self, size: int | None, response: Response) -> Steps[bytes | None]:
        """Answer a hook that looks at the body."""
        if self._websocket:
            return None
        # A file is told apart for HEAD too, whose headers are those of GET.
        if not (self._out is not None and self._out.opaque) and not has_body(self._method, response.status):
            return b""
        return (yield from self._looked_at().peek(size))

    def _take(self, response: Response) -> None:
        """Send this response, and forget the body and the transforms of an earlier one."""
        body = response.body
        if self._made is None or self._made.body is not body:
            self.close_made()
        if body is None:
            return
        self._made = response
        self._out = ResponseBody(body) if isinstance(body, FileBody) else None

    def _looked_at(self) -> ResponseBody:
        if self._out is None:
            self._out = ResponseBody(None if self._made is None else self._made.body)
        return self._out

    def close_made(self) -> None:
        """Close the body of a middleware's response, if it can be closed; a second call does nothing."""
        made, self._made = self._made, None
        close = getattr(made.body, "close", None) if made is not None else None
        if close is not None:
            close()

    # -- the end

    def over(self, *, completed: bool) -> tuple[OnFinish, ...]:
        """Enter the end state and let go of everything; return the ``on_finish`` hooks of the entered middleware."""
        state = self._state
        self._state = CLOSED if state == REPLACED else BROKEN if state == FAILED else DONE if completed else ABORTED
        if self._steps is not None:
            self._steps.close()
        if self._made is not None:
            self.close_made()
        if self._out is not None:
            self._out = None  # transforms may be large, and wait for no garbage collector
        return self._plan.finishing[self._entered]

    def finish(
        self, outcome: Outcome, rest: Iterator[OnFinish], cut: BaseException | None = None
    ) -> Steps[None] | None:
        """Run ``on_finish``; return steps if a hook does IO. An error of one is logged and stops no other."""
        for on_finish in rest:
            try:
                returned = on_finish(self, outcome)
            except Exception:
                _log(on_finish)
            except BaseException as error:
                cut = cut or error
            else:
                if returned is not None:
                    return self._finishing(returned, outcome, on_finish, rest, cut)
        if cut is not None:
            raise cut
        return None

    def _finishing(
        self,
        returned: object,
        outcome: Outcome,
        on_finish: OnFinish,
        rest: Iterator[OnFinish],
        cut: BaseException | None,
    ) -> Steps[None]:
        try:
            yield from drive(returned)
        except Exception:
            _log(on_finish)
        except BaseException as error:
            cut = cut or error
        steps = self.finish(outcome, rest, cut)
        if steps is not None:
            yield from steps


class AsyncExchange(Exchange):
    """An exchange whose application may send from several tasks at once."""

    __slots__ = ()

    #: Set when the response phase no longer waits for IO.
    _settled: Event | None = None

    async def until_settled(self) -> None:
        """Wait while a hook of the response phase waits for its IO: nothing may overtake the headers."""
        while self._state == SETTLING:
            if self._settled is None:
                self._settled = new_event()
            await self._settled.wait()

    def wake(self) -> None:
        """Let the messages go on that waited."""
        settled, self._settled = self._settled, None
        if settled is not None:
            settled.set()


def _log(on_finish: OnFinish) -> None:
    hooks = getattr(on_finish, "__self__", on_finish)
    logger.exception("on_finish of %r failed; the response is not altered", hooks)


def judge(
    completed: bool,
    error: BaseException | None,
    disconnected: bool,
    status: int | None,
    bytes_sent: int,
    bytes_received: int,
    first_byte_at: float | None,
    duration: float,
) -> Outcome:
    """Return how an exchange ended: one rule for every driver.

    A cancellation, a ``GeneratorExit``, a ``SystemExit`` and a client that went away are *aborted*. Another exception
    and an application that did not finish are *failed*. Everything else is *completed*.
    """
    outcome = _new_outcome(Outcome)
    if error is not None:
        outcome.kind = "aborted" if disconnected or not isinstance(error, Exception) else "failed"
    elif disconnected:
        # Even if everything was handed over: servers accept messages for a client that is gone.
        outcome.kind = "aborted"
    elif completed:
        outcome.kind = "completed"
    else:
        outcome.kind = "failed"
        error = ApplicationError("the application returned before its response was complete")
    outcome.status = status
    outcome.bytes_sent = bytes_sent
    outcome.bytes_received = bytes_received
    outcome.first_byte_at = first_byte_at
    outcome.duration = duration
    outcome.error = error
    outcome.disconnected = disconnected
    outcome.websocket_close_code = None
    return outcome


def settled(result: Response | Steps[Response]) -> Steps[Response]:
    """Run steps to their response, if they are steps."""
    return result if isinstance(result, Response) else (yield from result)


def drive(result: object, exchange: Exchange | None = None, response: Response | None = None) -> Steps[object]:
    """Run the result of a hook to its end: the effects of a generator go to the driver, a peek to the exchange.

    Args:
        result: The value that the hook returned.
        exchange: The exchange, in ``on_response``; ``None`` in a hook that may not peek.
        response: The response that the hook was given.
    """
    if not isinstance(result, Generator):
        return result
    steps = cast("Generator[object, object, object]", result)
    sent: object = None
    error: BaseException | None = None
    while True:
        try:
            effect = steps.send(sent) if error is None else steps.throw(error)
        except StopIteration as stop:
            return stop.value
        sent = error = None
        try:
            if type(effect) is Io:
                sent = yield cast("None", effect)  # a driver looks at what really comes
            elif type(effect) is Peek and exchange is not None and response is not None:
                sent = yield from exchange.peek(effect.size, response)
            else:
                error = ConfigurationError(
                    f"a hook that is a generator may `yield from` io(...), and peek(...) in on_response; got {effect!r}"
                )
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as raised:
            error = raised
