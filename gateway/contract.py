"""What a middleware is: hooks, or one generator; written once, run by either interface's driver.

A *hook* is a method of :class:`Hooks`; a driver calls only those that a class defines. A hook that needs IO, or must
look at the body before it decides, is a generator: it asks by ``yield from`` one of :func:`io`, :func:`peek`, and
the driver does it in its own colour. :func:`as_middleware` turns one generator function into a middleware;
:func:`reply`, :func:`transform` and :func:`finished` are for that form.

This module holds no driver and calls nothing. What an author may rely on, and how it changes, is
``docs/reference/contract.md``; the number is :attr:`Hooks.contract`.
(Above 400 lines: what an author may write, in either form, and what is refused of it, is read on one page.)
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import update_wrapper
from typing import (
    TYPE_CHECKING,
    ClassVar,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    overload,
)

from gateway._starting import Startup
from gateway.errors import ConfigurationError, GatewayError
from gateway.exchange import Response
from gateway.headers import Header

if TYPE_CHECKING:
    from gateway.exchange import Outcome, Request
    from gateway.headers import HeaderSource

__all__ = [
    "CONTRACT",
    "HOOKS",
    "BuildContext",
    "Effect",
    "Finished",
    "Flow",
    "FlowFactory",
    "FlowHooks",
    "FlowMiddleware",
    "FlowRun",
    "FlushingTransform",
    "Hooks",
    "Io",
    "Middleware",
    "Peek",
    "Process",
    "Refuse",
    "Reply",
    "Slot",
    "Steps",
    "Transform",
    "Transforming",
    "as_middleware",
    "finished",
    "hook",
    "io",
    "misuse",
    "peek",
    "reply",
    "require_hooks",
    "require_middleware",
    "transform",
]

T = TypeVar("T")
P = ParamSpec("P")
_MISSING = object()

#: The version of the contract that this package runs.
CONTRACT = 1

#: What a generator form is: the bare ``yield`` gives the response.
Flow: TypeAlias = Generator[None, "Response", None]
#: What a hook that does IO is: a generator that returns ``T``; its author writes ``yield from`` only.
Steps: TypeAlias = Generator[None, object, T]


class Transform(Protocol):
    """A change of a body as it passes: CPU work only, no IO. One object serves one body.

    A transform that may keep bytes back also defines ``flush()``: see :class:`FlushingTransform`.
    """

    def push(self, chunk: bytes, /) -> bytes:
        """Take some bytes and return what can be passed on, ``b""`` for nothing yet. On a request it may raise
        Refuse.
        """
        ...

    def finish(self) -> bytes:
        """Return what is left after the last chunk."""
        ...


class FlushingTransform(Transform, Protocol):
    """A transform that may keep bytes back, such as an encoder.

    The driver calls ``flush`` after each push of a response body, unless the chunk is known to be the last. So the
    client receives each chunk of a stream before the application makes the next one. A transform without ``flush``
    must return all that it can from ``push``.
    """

    def flush(self) -> bytes:
        """Return all that was pushed so far, in a form that the client can use before the rest comes."""
        ...


class Refuse(GatewayError):  # an author writes `raise Refuse(413)`
    """Refuse the request, from a hook or from the push of a request body.

    From ``on_request`` it short-circuits, as a returned response does. From a request body's ``push`` it is raised
    into the application's read and remembered: whatever the application makes of it, the refusal is the answer while
    the head is not committed, and the connection is cut afterwards.

    Args:
        status: 400 to 599.
        detail: One sentence for the client.
        headers: Fields of the answer beside the content's own.
        response: A response to send as it is, instead of a rendered one.
    """

    def __init__(
        self, status: int, detail: str | None = None, *, headers: HeaderSource = (), response: Response | None = None
    ) -> None:
        super().__init__(f"{status}" if detail is None else f"{status}: {detail}")
        self.status_hint = status
        self.status = status
        self.detail = detail
        self.headers = headers
        self.response = response


@dataclass(frozen=True)
class Process:
    """The process that serves, as ``on_start`` and ``on_stop`` see it.

    Attributes:
        interface: Which interface the segment runs in.
        pid: The process; a forked child starts anew.
    """

    interface: Literal["wsgi", "asgi"]
    pid: int


class Slot(Generic[T]):
    """A place for one value a request, typed, that the application does not see.

    Made by :meth:`BuildContext.slot`, in ``build``. ``slot[request] = value`` and ``slot[request]``; the value lives as
    long as the request.
    """

    __slots__ = ()

    def __getitem__(self, request: Request) -> T:
        slots = request._slots
        try:
            return cast("T", (slots or {})[self])  # only __setitem__ fills it
        except KeyError:
            raise KeyError("nothing was put in this slot for this request; use slot.get(request)") from None

    def __setitem__(self, request: Request, value: T) -> None:
        if request._slots is None:
            request._slots = {}
        request._slots[self] = value

    def get(self, request: Request) -> T | None:
        """Return the value, or ``None`` when nothing was put there."""
        slots = request._slots
        return None if slots is None else cast("T | None", slots.get(self))  # only __setitem__ fills it


@dataclass(frozen=True)
class BuildContext:
    """What ``build`` is told of the place in a chain.

    Attributes:
        interface: Which interface the segment runs in.
    """

    interface: Literal["wsgi", "asgi"] = "asgi"
    _shared: dict[str, object] = field(default_factory=dict[str, object], repr=False, compare=False)
    _startup: Startup | None = field(default=None, repr=False, compare=False)

    @property
    def startup(self) -> Startup:
        """Start of every application further in: ``settled`` tells whether it is over.

        A call is a check: it returns once everything has started, and raises if something has not. It may block, so
        call it by ``io`` or in a thread.
        """
        startup = self._startup or Startup(None, self.interface)
        startup.wanted = True
        return startup

    def shared(self, name: str, make: Callable[[], T], /) -> T:
        """Return the one object of this name at this place in the chain; the first call makes it.

        A place may be built more than once: for each kind of server, and for the WebSocket handshakes that pass a WSGI
        part by. What must be one for all of them, like what a limit has counted, is made here. It must stand threads
        and loops.
        """
        if name not in self._shared:
            self._shared[name] = make()
        return cast("T", self._shared[name])  # one name has one maker

    def slot(self, kind: type[T], /) -> Slot[T]:
        """Return a new place for one value of this type a request."""
        return Slot[T]()


class Hooks:
    """The hooks, all optional: what a class does not define is never called and costs nothing.

    Order: ``on_request`` from the outermost to the innermost; ``on_response``, ``on_error`` and ``on_finish`` from
    the innermost to the outermost. One instance serves all threads and loops. A plain hook must not block; a hook
    may be a generator (:data:`Steps`) that does its IO by ``yield from io(...)``.
    """

    #: Whether it takes part in WebSocket handshakes; guards must.
    websocket: ClassVar[bool] = False
    #: The version of the contract that the class was written for.
    contract: ClassVar[int] = CONTRACT
    #: Names of middleware classes that should stand outside this one; a chain that breaks it warns. A name may bring
    #: its reason along: ``"ProxyHeaders: it counts by the client's address"``.
    after: ClassVar[tuple[str, ...]] = ()
    #: Names of middleware classes that should stand inside this one; written and checked likewise.
    before: ClassVar[tuple[str, ...]] = ()
    #: Whether ``on_request`` may answer by itself; ``None``: wherever it is defined. For the plan only.
    short_circuits: ClassVar[bool | None] = None
    #: Whether its body transform is CPU work worth a worker thread. For the plan only.
    body_cpu: ClassVar[bool] = False
    #: Whether its request transform passes exactly as many bytes as it takes, so that Content-Length may stay.
    keeps_request_length: ClassVar[bool] = False

    @property
    def constant_headers(self) -> Sequence[Header]:
        """Fields appended to every response, read once when the chain is built; ``on_response`` is called after
        them.
        """
        return ()

    def on_start(self, process: Process) -> Steps[None] | None:
        """Run once per process, before the first request; IO is allowed by ``yield from io(...)``."""

    def on_stop(self, process: Process) -> Steps[None] | None:
        """Run once per process at its end, if ``on_start`` was run."""

    def on_request(self, request: Request) -> Response | Steps[Response | None] | None:
        """See and change the request; a returned response is the answer and nothing further in runs."""

    def on_request_body(self, request: Request) -> Transform | None:
        """Return a transform of the request body, or ``None``; asked when the application first reads some of it."""

    def on_response(self, request: Request, response: Response) -> Response | Steps[Response | None] | None:
        """Change the head before it is sent, or return another response instead of it."""

    def on_body(self, request: Request, response: Response) -> Transform | None:
        """Return a transform of the response body, or ``None``; asked right after this one's ``on_response``.

        Not asked where there is no body (HEAD, 1xx, 204, 304) and not for files that the server sends by itself.
        """

    def on_error(self, request: Request, error: Exception) -> Response | Steps[Response | None] | None:
        """See an exception from further in while no head is committed; a returned response answers it."""

    def on_finish(self, request: Request, outcome: Outcome) -> Steps[None] | None:
        """Run exactly once for a request whose ``on_request`` was entered, however it ended."""


#: What each hook is called with, in the order of a request's life.
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "on_start": ("process",),
    "on_request": ("request",),
    "on_request_body": ("request",),
    "on_response": ("request", "response"),
    "on_body": ("request", "response"),
    "on_error": ("request", "error"),
    "on_finish": ("request", "outcome"),
    "on_stop": ("process",),
}
#: The names of the hooks, in the order of a request's life.
HOOKS: tuple[str, ...] = tuple(_ARGUMENTS)


def hook(hooks: Hooks, name: str) -> Callable[..., object] | None:
    """Return a hook as it would be called, or ``None`` where it is not defined.

    >>> hook(Hooks(), "on_request") is None
    True
    """
    bound: Callable[..., object] = getattr(hooks, name)
    return None if getattr(bound, "__func__", None) is getattr(Hooks, name) else bound


@dataclass(frozen=True, kw_only=True)
class Middleware(Hooks):
    """A middleware: options that never change, and the hooks made from them.

    A subclass is a ``@dataclass(frozen=True, kw_only=True)``; its fields are its options, checked in ``__post_init__``.
    """

    def build(self, context: BuildContext) -> Hooks:
        """Return the hooks for one place in a chain; the default is the middleware itself.

        A place may be built more than once; :meth:`BuildContext.shared` is for what must be one all the same.
        """
        return self


# -- what a generator asks of its driver


@dataclass(frozen=True, slots=True)
class Io:
    """Call one of two functions, the plain one or the coroutine function, and send its result."""

    plain: Callable[[], object]
    coroutine: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Peek:
    """Hold the head until so many bytes of the body are there, or its end; ``None``: until the end."""

    size: int | None


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer with this response."""

    response: Response


@dataclass(frozen=True, slots=True)
class Transforming:
    """Transform the response body."""

    transform: Transform


@dataclass(frozen=True, slots=True)
class Finished:
    """Wait for the end of the exchange and send its outcome.

    Attributes:
        error: What is on its way through the ``finally``, or handled by the ``except``, that asks.
    """

    error: BaseException | None = None


#: What a driver may be asked.
Effect: TypeAlias = Io | Peek | Reply | Transforming | Finished


def _ask(effect: Effect) -> Generator[None, object, object]:
    # An author's generator yields None as far as types go, so that a bare `yield` is the only one that can be written
    # without `yield from`; a driver looks at what really comes.
    result: object = yield cast("None", effect)
    return result


def io(sync: Callable[P, T], coroutine: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Steps[T]:
    """Do IO in the colour of the driver.

    An author writes ``value = yield from io(read, read_async, key)``.

    Args:
        sync: Called on WSGI, where blocking is allowed.
        coroutine: A coroutine function of the same arguments, awaited on ASGI (asyncio or trio).
        *args: What either is called with.
        **kwargs: What either is called with.

    Returns:
        What the function returned. What it raised is raised at the ``yield from``.
    """
    for function in (sync, coroutine):
        if not callable(function):
            raise ConfigurationError(
                f"io() takes two functions, and what they are called with after them, got {function!r}; call neither"
            )
    result = yield from _ask(Io(lambda: sync(*args, **kwargs), lambda: coroutine(*args, **kwargs)))
    return cast("T", result)  # the driver sends what the function returned


def peek(size: int | None = None) -> Steps[bytes | None]:
    """Hold the head until so much of the body is there, or its end: an author writes ``start = yield from ...``.

    Only in ``on_response``, or after the ``yield`` of the generator form. The bytes stay in the body.

    Args:
        size: How many bytes to wait for; ``None`` for the whole body. A middleware that passes ``None`` decides that
            the body fits into memory.

    Returns:
        At least ``size`` bytes, fewer when the body is shorter. ``None`` for a file that the server sends by itself.
    """
    if size is not None and size < 0:
        raise ValueError(f"peek(size) must be None or at least 0, got {size!r}")
    result = yield from _ask(Peek(size))
    return cast("bytes | None", result)  # the driver sends bytes or None


def reply(response: Response) -> Steps[None]:
    """Answer with this response: before the ``yield`` nothing further in runs, after it the response is replaced.

    The generator goes on afterwards: it may end, or wait by :func:`finished`.
    """
    yield from _ask(Reply(response))


def transform(change: Transform) -> Steps[None]:
    """Transform the response body; only after the ``yield`` of the generator form."""
    yield from _ask(Transforming(change))


def finished() -> Steps[Outcome]:
    """Wait for the end of the exchange, also when it is cut short; gives the outcome.

    In a ``finally`` or an ``except`` it holds nothing up: the error that is on its way goes on at once, unless it was
    answered by :func:`reply`. Afterwards only :func:`io` is left.
    """
    result = yield from _ask(Finished(sys.exception()))
    return cast("Outcome", result)  # the driver sends the outcome


# -- the generator form


class FlowRun:
    """One generator, driven from one place where it waits to the next.

    States: ``request`` (running before its bare ``yield``), ``response`` (waits there), ``outcome`` (waits in
    :func:`finished`), ``done``.
    """

    __slots__ = ("change", "flow", "state", "thrown")

    def __init__(self, flow: Flow) -> None:
        self.flow: Flow = flow
        self.state: Literal["request", "response", "outcome", "done"] = "request"
        self.change: Transform | None = None
        #: What was thrown into it last: raised again at its end, after ``finished()``, it is no error of its own.
        self.thrown: BaseException | None = None

    def advance(self, sent: object, error: BaseException | None = None) -> Steps[Response | None]:
        """Send a value, or throw an error, and run to the next place; return the response it replied with, if any."""
        answer: Response | None = None
        before, late = self.state == "request", self.state == "done"
        outside, ends = sys.exception(), isinstance(error, GeneratorExit)
        if error is not None:
            self.thrown = error
        flow = cast("Generator[object, object, None]", self.flow)  # what is really yielded and sent: see _ask
        while True:
            try:
                effect = flow.send(sent) if error is None else flow.throw(error)
            except StopIteration:
                self.state = "done"
                return answer
            except BaseException:
                self.state = "done"
                raise
            sent = error = None
            if late and type(effect) is not Io:
                error = _misuse("after finished() only io() is left")
            elif effect is None:
                if before and answer is None:
                    self.state = "response"
                    return None
                error = misuse(effect)
            elif type(effect) is Reply:
                answer = effect.response
                self.thrown = None  # it is answered; raised again, it is one more
                if before:
                    self.state = "response"
            elif type(effect) is Finished:
                self.state = "outcome"
                own = effect.error
                if own is None or own is outside or own is self.thrown or ends or answer is not None:
                    return answer
                self.thrown = own
                raise own
            elif type(effect) is Transforming:
                if before:
                    error = _misuse("transform() changes the response body: call it after the bare `yield`")
                else:
                    self.change = effect.transform
            elif type(effect) is Io or (type(effect) is Peek and not before):
                try:
                    sent = yield cast("None", effect)  # handed on to the driver: see _ask
                except BaseException as raised:
                    error = raised
            elif type(effect) is Peek:
                error = _misuse("peek() looks at the response body: call it after the bare `yield`")
            else:
                error = misuse(effect)


def misuse(effect: object) -> ConfigurationError:
    """Return the error for a flow that yields something by itself, or a second time."""
    if effect is None:
        return _misuse("the bare `yield` runs the rest of the chain: once, and not after reply()")
    return _misuse(f"a flow yields nothing by itself but a bare `yield`, got {effect!r}; use `yield from`")


def _misuse(message: str) -> ConfigurationError:
    return ConfigurationError(f"{message} (contract, generator form)")


class FlowHooks(Hooks):
    """The hooks that drive one generator a request; a driver may drive the generator itself instead."""

    def __init__(self, function: Callable[..., Flow], options: dict[str, object], slot: Slot[FlowRun]) -> None:
        self.function = function
        self.start: Callable[[Request], Flow] = (lambda request: function(request, **options)) if options else function
        self.slot = slot

    def __repr__(self) -> str:
        return f"<hooks of {self.function.__name__}>"

    def on_request(self, request: Request) -> Steps[Response | None]:
        run = self.slot[request] = FlowRun(self.start(request))
        return run.advance(None)

    def on_response(self, request: Request, response: Response) -> Steps[Response | None] | None:
        run = self.slot[request]
        if run.state != "response":
            return None
        return run.advance(response)

    def on_body(self, request: Request, response: Response) -> Transform | None:
        return self.slot[request].change

    def on_error(self, request: Request, error: Exception) -> Steps[Response | None] | None:
        run = self.slot[request]
        if run.state != "response":
            return None
        return self._fail(run, error)

    def _fail(self, run: FlowRun, error: Exception) -> Steps[Response | None]:
        try:
            return (yield from run.advance(None, error))
        except Exception as raised:
            if _is_raised_on(raised, error):
                return None
            raise

    def on_finish(self, request: Request, outcome: Outcome) -> Steps[None] | None:
        run = self.slot[request]
        return None if run.state == "done" else self._end(run, outcome)

    def _end(self, run: FlowRun, outcome: Outcome) -> Steps[None]:
        try:
            if run.state != "outcome":
                # It waits for a response that will not come: its `finally` blocks run now, and may wait for the end.
                yield from run.advance(None, GeneratorExit())
            if run.state == "outcome":
                run.state = "done"
                yield from run.advance(outcome)
        except BaseException as raised:
            if not _is_raised_on(raised, run.thrown):
                raise


def _is_raised_on(raised: BaseException, thrown: BaseException | None) -> bool:
    """Return whether a flow raised what was thrown into it; a generator makes a RuntimeError of a StopIteration.

    Source: PEP 479.
    """
    return raised is thrown or (isinstance(thrown, StopIteration) and raised.__cause__ is thrown)


@dataclass(frozen=True, kw_only=True, repr=False)
class FlowMiddleware(Middleware):
    """A generator function with its options, as what :func:`as_middleware` made returns when called."""

    #: What has made it.
    factory: ClassVar[Callable[..., FlowMiddleware]]
    function: Callable[..., Flow]
    options: tuple[tuple[str, object], ...] = ()

    def __reduce__(self) -> tuple[object, ...]:
        # Its class has the function's name and is found nowhere by it; what is found there makes it anew.
        return _remade, (self.factory, self.options)

    def build(self, context: BuildContext) -> Hooks:
        return FlowHooks(self.function, dict(self.options), context.slot(FlowRun))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.options)
        return f"{type(self).__name__}({inside})"


def _remade(factory: Callable[..., FlowMiddleware], options: tuple[tuple[str, object], ...]) -> FlowMiddleware:
    return factory(**dict(options))


class FlowFactory(Generic[P]):
    """What :func:`as_middleware` makes of a function: call it with its options to get a middleware."""

    def __init__(
        self,
        function: Callable[Concatenate[Request, P], Flow],
        *,
        websocket: bool = False,
        after: tuple[str, ...] = (),
        before: tuple[str, ...] = (),
        short_circuits: bool | None = None,
        body_cpu: bool = False,
    ) -> None:
        if not inspect.isgeneratorfunction(inspect.unwrap(function)):
            raise ConfigurationError(
                f"@as_middleware takes a generator function, got {function!r}; it needs one bare `yield`, which runs "
                f"the rest of the chain"
            )
        update_wrapper(self, function)
        self.function = function
        self.signature: inspect.Signature = _options_of(function)
        # A class of its own, because what a chain must know of a middleware is metadata of its class.
        self.kind: type[FlowMiddleware] = cast(
            "type[FlowMiddleware]",  # what type() makes of this base
            type(
                function.__name__,
                (FlowMiddleware,),
                {
                    "factory": self,
                    "websocket": websocket,
                    "after": after,
                    "before": before,
                    "short_circuits": short_circuits,
                    "body_cpu": body_cpu,
                    "__module__": function.__module__,
                    "__doc__": function.__doc__,
                },
            ),
        )

    def __call__(self, *args: P.args, **options: P.kwargs) -> FlowMiddleware:
        """Return the middleware with these options.

        Raises:
            ConfigurationError: An option is missing or unknown.
        """
        try:
            bound = self.signature.bind(*args, **options)
        except TypeError as error:
            raise ConfigurationError(
                f"{self.function.__name__}{self.signature} was given wrong options: {error}; options are "
                f"the function's keyword-only parameters"
            ) from error
        return self.kind(function=self.function, options=tuple(bound.arguments.items()))

    def __reduce__(self) -> str:
        """Pickle by name, as a function is."""
        name: str = self.function.__qualname__
        return name

    def __repr__(self) -> str:
        return f"<as_middleware {self.function.__module__}.{self.function.__qualname__}>"


def _options_of(function: Callable[..., object]) -> inspect.Signature:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    options = parameters[1:]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not parameters or parameters[0].kind not in positional:
        raise ConfigurationError(f"{function!r} must take the request first, got {signature}")
    for option in options:
        if option.kind is not inspect.Parameter.KEYWORD_ONLY:
            raise ConfigurationError(
                f"the options of {function!r} must be keyword-only, got {option!r}; write `def {function.__name__}"
                f"(request, *, {option.name})`"
            )
    return signature.replace(parameters=options, return_annotation=inspect.Signature.empty)


@overload
def as_middleware(function: Callable[Concatenate[Request, P], Flow], /) -> FlowFactory[P]: ...
@overload
def as_middleware(
    *,
    websocket: bool = False,
    after: tuple[str, ...] = (),
    before: tuple[str, ...] = (),
    short_circuits: bool | None = None,
    body_cpu: bool = False,
) -> Callable[[Callable[Concatenate[Request, P], Flow]], FlowFactory[P]]: ...
def as_middleware(
    function: Callable[Concatenate[Request, P], Flow] | None = None,
    /,
    *,
    websocket: bool = False,
    after: tuple[str, ...] = (),
    before: tuple[str, ...] = (),
    short_circuits: bool | None = None,
    body_cpu: bool = False,
) -> FlowFactory[P] | Callable[[Callable[Concatenate[Request, P], Flow]], FlowFactory[P]]:
    """Make a middleware of a generator function whose keyword-only parameters are its options.

    Args:
        function: Takes the request first; yields bare once, which runs the rest of the chain and gives the response.
        websocket: Whether it takes part in WebSocket handshakes.
        after: Names of middleware that should stand outside it.
        before: Names of middleware that should stand inside it.
        short_circuits: Whether it may answer by itself, so that it should rather stand where the server calls it;
            ``None``: no. For the plan only.
        body_cpu: Whether its body transform is CPU work worth a worker thread. For the plan only.

    Returns:
        A factory: ``middleware=[server_timing()]``, with the call.

    Raises:
        ConfigurationError: It is no generator function, or an option is not keyword-only.
    """
    if function is not None:
        return FlowFactory(function)
    return lambda function: FlowFactory(
        function, websocket=websocket, after=after, before=before, short_circuits=short_circuits, body_cpu=body_cpu
    )


def require_middleware(item: object) -> Middleware:
    """Return the item if it is a middleware of a contract that this package runs.

    Raises:
        ConfigurationError: It is not; the message says what was probably meant.
    """
    if isinstance(item, Middleware):
        if item.contract > CONTRACT:
            raise ConfigurationError(
                f"{type(item).__name__} was written for contract {item.contract!r}, this package runs {CONTRACT}; "
                f"upgrade anytier"
            )
        return item
    if isinstance(item, FlowFactory):
        name = getattr(item, "__name__", "it")
        raise ConfigurationError(f"a chain takes middleware, got the factory {name}; call it: middleware=[{name}()]")
    if isinstance(item, type) and issubclass(item, Middleware):
        raise ConfigurationError(
            f"a chain takes middleware, got the class {item.__name__}; call it: middleware=[{item.__name__}(...)]"
        )
    raise ConfigurationError(
        f"a chain takes gateway.contract.Middleware, got {item!r}; a third-party middleware is declared by "
        f"wsgi_only() or asgi_only() of gateway.chain"
    )


def require_hooks(built: object, author: str) -> Hooks:
    """Return what a middleware's ``build`` gave, if each hook of it can be called as the drivers call it.

    A hook that cannot would fail in every request, and one that is misspelt or an ``async def`` would be skipped in
    silence, which for a guard is a hole.

    Args:
        built: What ``build`` returned.
        author: What the error calls the middleware.

    Raises:
        ConfigurationError: It is no Hooks, a hook is an ``async def``, takes other arguments or is a generator where
            none can be, a method's name is nearly a hook's, or a constant is no Header.
    """
    if not isinstance(built, Hooks):
        raise ConfigurationError(f"{author}.build() must return Hooks, got {built!r}")
    for name, arguments in _ARGUMENTS.items():
        found = hook(built, name)
        if found is not None:
            _check_hook(found, f"{author}.{name}", arguments)
    for name in dir(type(built)):
        if not name.startswith("on_") or name in HOOKS:
            continue
        from difflib import get_close_matches  # for few, so not with the module

        near = get_close_matches(name, HOOKS, n=1, cutoff=0.88)
        if near and callable(getattr(built, name)):
            raise ConfigurationError(
                f"{author} has {name}(), which no driver calls; did you mean {near[0]}()? If not, take another name"
            )
    constants = cast("object", built.constant_headers)
    if not isinstance(constants, Iterable):
        raise ConfigurationError(
            f"{author}.constant_headers must be a property of Header objects, got {constants!r}; write @property"
        )
    for constant in cast("Iterable[object]", constants):
        if not isinstance(constant, Header):
            raise ConfigurationError(
                f"{author}.constant_headers must hold gateway.headers.Header objects, got {constant!r}; "
                f"write Header(name, value)"
            )
    return built


def _check_hook(found: Callable[..., object], name: str, arguments: tuple[str, ...]) -> None:
    if not callable(found):
        raise ConfigurationError(f"{name} must be a method, got {found!r}")
    if inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found):
        raise ConfigurationError(
            f"{name} must be a plain `def`, as it runs on WSGI too, got an `async def`; where it needs IO write a "
            f"generator: `yield from io(function, coroutine_function, ...)`"
        )
    if name.endswith("_body") and inspect.isgeneratorfunction(found):
        raise ConfigurationError(
            f"{name} must return a Transform or None, got a generator; IO belongs into on_request or on_response"
        )
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # a built-in function may have none
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise ConfigurationError(
            f"{name} must take ({', '.join(arguments)}) by position, got {signature}: {error}"
        ) from error
