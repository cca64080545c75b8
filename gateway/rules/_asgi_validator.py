"""The validator around an ASGI application.

The validator checks every message before it passes the message on, so it raises a violation at the line that made it.
An application that swallows the violation (a framework's error page) cannot hide it: the validator raises it again to
the server when the call ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from contextvars import ContextVar
from inspect import iscoroutinefunction, signature
from typing import cast

from asgiref.compatibility import is_double_callable  # pyright: ignore[reportUnknownVariableType]  # untyped

from gateway.errors import ProtocolViolation
from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Message, Scope
from gateway.rules._engine import RuleEngine, Stages
from gateway.rules.asgi_common import is_message
from gateway.rules.asgi_state import Connection, LifespanState, Sent, header_values
from gateway.rules.tables import ASGI_TABLES

__all__ = ["CheckedAsgiCall", "Lifespans"]

_STAGES = Stages(ASGI_TABLES)
#: The check that also applies to an ill-formed message.
_FORM = tuple(rule for rule in _STAGES.rules("send") if rule.id == "C04")
_OUTER: ContextVar[Connection | None] = ContextVar("gateway.rules.outer", default=None)


class Lifespans:
    """The lifespans that a validator has seen, by event loop."""

    def __init__(self) -> None:
        self._by_place: dict[object, LifespanState] = {}
        self._scopes: set[int] = set()
        self._last: tuple[int, object] = (0, None)
        self._lock = threading.Lock()

    @staticmethod
    def here() -> object:
        """Return an identifier of this event loop."""
        try:
            loop: object = asyncio.get_running_loop()
        except RuntimeError:  # trio's
            loop = None
        return threading.get_ident(), id(loop)

    def begin(self, scope: Scope) -> LifespanState:
        """Add the lifespan that starts on this loop."""
        lifespan = LifespanState(state=scope.get("state"), place=self.here(), loop=_running_loop())
        with self._lock:
            ended = [place for place, other in self._by_place.items() if other.loop is not None and not other.loop()]
            for place in ended:
                del self._by_place[place]
            self._by_place[lifespan.place] = lifespan
        return lifespan

    def end(self, lifespan: LifespanState) -> None:
        """Remove a lifespan. One that failed or stopped stays, to detect a server that serves requests afterwards."""
        over = lifespan.phase in ("startup failed", "stopped")
        lifespan.state = None if over else lifespan.state
        with self._lock:
            if not over and self._by_place.get(lifespan.place) is lifespan:
                del self._by_place[lifespan.place]

    def of_this_loop(self) -> tuple[LifespanState | None, bool]:
        """Return the lifespan of this loop, and whether only another loop has one."""
        with self._lock:
            mine = self._by_place.get(self.here())
            if mine is not None and mine.loop is not None and mine.loop() is None:
                mine = None  # of an earlier loop, whose id this loop has
            return mine, mine is None and any(other.phase == "started" for other in self._by_place.values())

    def renew(self, scope: Scope) -> bool:
        """Record the scope of a request; return whether it is the last request's scope, or one that runs."""
        # Only the headers are kept alive: together with the id they identify the scope, and nothing of the application.
        this = (id(scope), scope.get("headers"))
        with self._lock:
            reused = id(scope) in self._scopes or (this[0] == self._last[0] and this[1] is self._last[1] is not None)
            self._last = this
            self._scopes.add(id(scope))
        return reused

    def forget(self, scope: Scope) -> None:
        """Remove the scope of a request that has ended."""
        with self._lock:
            self._scopes.discard(id(scope))


def _same_request(outer: Connection, inner: Connection) -> bool:
    """Tell whether two calls are about one request: middleware may copy the scope, and replace one of its values."""
    before, now = outer.scope, inner.scope
    if before is now or outer.type != inner.type:
        return before is now
    same_client = before.get("client") is now.get("client") is not None
    same_path = all(before.get(key) == now.get(key) for key in ("path", "query_string"))
    return before.get("headers") is now.get("headers") or (same_client and same_path)


def _running_loop() -> weakref.ref[object] | None:
    try:
        return weakref.ref(cast("object", asyncio.get_running_loop()))
    except (RuntimeError, TypeError):  # trio's; or a loop that has no weak references
        return None


def _kept(message: Message) -> Message:
    """Return a message whose iterables can be read several times: a generator of headers becomes a list."""
    copy = None
    for key in ("headers", "links"):
        value: object = message.get(key)
        if hasattr(value, "__next__"):
            copy = dict(message) if copy is None else copy
            copy[key] = list(message[key])
    return message if copy is None else copy


def _is_legacy(app: object) -> bool:
    """Detect an ASGI 2 application, whose first call takes only the scope.

    asgiref treats every plain callable as ASGI 2. Many wrappers are plain callables that take three arguments and
    return the coroutine of an ``async def``. This function treats those as ASGI 3.
    """
    if iscoroutinefunction(app) or not is_double_callable(app):  # type: ignore[no-untyped-call]  # asgiref's
        return False
    try:
        signature(app).bind({}, None, None)  # type: ignore[arg-type]  # an object that is not callable is a TypeError
    except (TypeError, ValueError):  # ValueError: Python does not know the signature
        return True
    return False


class CheckedAsgiCall:
    """One call of the application: the connection, and the receive and send that the application gets."""

    __slots__ = ("_app", "_engine", "_lifespans", "_receive", "_send", "connection", "pending")

    def __init__(
        self, app: ASGIApplication, engine: RuleEngine, lifespans: Lifespans, receive: ASGIReceive, send: ASGISend
    ) -> None:
        self._app = app
        self._engine = engine
        self._lifespans = lifespans
        self._receive = receive
        self._send = send
        #: Raised into the application, and again to the server if the application swallowed it.
        self.pending: ProtocolViolation | None = None

    async def run(self, scope: Scope) -> None:
        """Call the application and check both sides."""
        self.connection = connection = Connection(scope)
        found = self._engine.check(_STAGES.rules("scope")[:1], connection, scope)  # C01
        if found.ids:
            if found.violation is not None:
                raise found.violation
            await self._app(scope, self._receive, self._send)
            return
        self._prepare(connection)
        kind = connection.type
        found = self._engine.check(_STAGES.rules("scope", f"scope:{kind}"), connection, scope)
        if found.violation is not None:
            self._release(connection)
            raise found.violation
        token = _OUTER.set(connection)
        error: BaseException | None = None
        try:
            await self._call(scope)
        except BaseException as raised:
            error = raised
        finally:
            with contextlib.suppress(ValueError):  # the garbage collector closes a forgotten call in another context
                _OUTER.reset(token)
        self._end(error)

    def _prepare(self, connection: Connection) -> None:
        scope = connection.scope
        outer = _OUTER.get()
        if outer is not None and _same_request(outer, connection):
            connection.outer = outer
            outer.inner = connection
        connection.snapshot = dict(scope)
        mine, foreign = self._lifespans.of_this_loop()
        if connection.type == "lifespan":
            connection.second_lifespan = mine is not None and mine.phase in ("starting", "started", "stopping")
            connection.lifespan = self._lifespans.begin(scope)
        else:
            connection.lifespan, connection.foreign_lifespan = mine, foreign
            connection.reused = outer is None and self._lifespans.renew(scope)
            if mine is not None:
                mine.enter(connection)
        if any(b"chunked" in value.lower() for value in header_values(scope.get("headers"), b"transfer-encoding")):
            connection.undecoded = b""

    async def _call(self, scope: Scope) -> None:
        app: object = self._app
        if _is_legacy(app):
            self._raise(self._engine.check(_STAGES.rules("call"), self.connection, "double").violation)
            await self._app(scope)(self.receive, self.send)  # type: ignore[call-arg,operator]  # the two calls of ASGI 2
            return
        result: object = self._app(scope, self.receive, self.send)
        self._raise(self._engine.check(_STAGES.rules("call"), self.connection, result).violation)
        await result  # type: ignore[misc]  # an object that is not awaitable fails as it would without the validator

    def _end(self, error: BaseException | None) -> None:
        connection = self.connection
        if self.pending is None and (error is None or isinstance(error, Exception)):
            connection.begin("return")
            found = self._engine.check(_STAGES.rules("return", f"return:{connection.type}"), connection, error)
            # The application's exception is more useful than our violation.
            self.pending = found.violation if error is None else None
        if connection.type == "lifespan" and not (error is None or isinstance(error, Exception)):
            self._engine.check(_STAGES.rules("cancelled:lifespan"), connection, error)
        connection.returned = True
        self._release(connection)
        if connection.type == "lifespan" and connection.lifespan is not None:
            if not connection.startup_answered:
                connection.lifespan.phase = "unsupported"
            self._lifespans.end(connection.lifespan)
        if error is not None and (self.pending is None or error is self.pending or not isinstance(error, Exception)):
            raise error
        if self.pending is not None:
            raise self.pending from error

    def _release(self, connection: Connection) -> None:
        if connection.type == "lifespan":
            return
        self._lifespans.forget(connection.scope)
        if connection.lifespan is not None:
            connection.lifespan.leave(connection)

    def _raise(self, violation: ProtocolViolation | None) -> None:
        if violation is not None:
            self.pending = self.pending or violation
            raise violation

    def _stages(self, direction: str, message: Message) -> tuple[str, ...]:
        kind: str = message["type"]
        protocol = self.connection.type
        if not kind.startswith(protocol + "."):
            return (direction,)  # C04 reports it; the rules of another protocol would only confuse
        return direction, f"{direction}:{protocol}", f"{direction}:{kind}"

    async def receive(self) -> Message:
        """Receive a message for the application, and check the server's message."""
        connection = self.connection
        self._late("receive")
        try:
            first = connection.type == "lifespan" and not connection.startup_received
            message = await (self._first_event() if first else self._receive())
        except BaseException as error:
            connection.cancelled = not isinstance(error, Exception)
            if not isinstance(error, ProtocolViolation):  # another validator's
                found = self._engine.check(_STAGES.rules("receive failed"), connection, error)
                self.pending = self.pending or found.violation
            raise
        connection.begin("receive")
        if not is_message(message):
            self._raise(self._engine.check(_FORM, connection, message).violation)
            return message
        found = self._engine.check(_STAGES.rules(*self._stages("receive", message)), connection, message)
        connection.received(message)
        self._raise(found.violation)
        return message

    async def _first_event(self) -> Message:
        scope = self.connection.scope
        state = cast("object", scope.get("state"))
        kept = dict(cast("dict[str, object]", state)) if isinstance(state, dict) else None
        message = await self._receive()
        now = cast("object", scope.get("state"))
        self.connection.state_touched = now is not state or (kept is not None and now != kept)
        return message

    async def send(self, message: Message) -> None:
        """Check the application's message, and pass it on."""
        connection = self.connection
        self._late("send")
        connection.begin("send")
        given: object = message
        if not is_message(given):
            found = self._engine.check(_FORM, connection, message)
        else:
            message = _kept(message)
            found = self._engine.check(_STAGES.rules(*self._stages("send", message)), connection, message)
            if found.violation is None:
                connection.sent(message)
        self._raise(found.violation)
        error: BaseException | None = None
        try:
            await self._send(message)
        except BaseException as raised:
            error = raised
            connection.refused = True
            connection.send_failed = connection.send_failed or isinstance(raised, OSError)
            raise
        finally:
            # The rules of the stage `sent` need a failed or wrong send. A ProtocolViolation is an outer validator's.
            if (error is not None or found.ids) and not isinstance(error, ProtocolViolation) and is_message(message):
                self._sent(Sent(message, error, found.ids))

    def _sent(self, sent: Sent) -> None:
        stages = _STAGES.rules("sent", f"sent:{self.connection.type}")
        found = self._engine.check(stages, self.connection, sent)
        self.pending = self.pending or found.violation

    def _late(self, step: str) -> None:
        if self.connection.returned:
            found = self._engine.check(_STAGES.rules("late"), self.connection, step)
            if found.violation is not None:
                raise found.violation
