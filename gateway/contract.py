"""The contract of middleware: hooks, or one generator; written once, run by the driver of either interface.

A *hook* is a method of :class:`Hooks`; a driver calls only the hooks that a class defines. A hook that needs IO, or
must read the body before it decides, is a generator. It writes ``yield from`` with :func:`io` or :func:`peek`, and the
driver does the work, blocking under WSGI and awaiting under ASGI. :func:`as_middleware` turns one generator function
into a middleware; :func:`reply`, :func:`transform` and :func:`finished` are for that form.

This module contains no driver and does not call hooks. ``docs/reference/contract.md`` lists the guarantees for authors
and how they change; :attr:`Hooks.contract` is the version number.
(Above 400 lines: both forms of middleware, and the checks of each, are read together.)
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
    "is_raised_on",
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

#: Version of the contract that this package runs.
CONTRACT = 1

#: Generator of the generator form; its bare ``yield`` gives the response.
Flow: TypeAlias = Generator[None, "Response", None]
#: Generator of a hook that does IO and returns ``T``; its author writes ``yield from`` only.
Steps: TypeAlias = Generator[None, object, T]


class Transform(Protocol):
    """Change a body chunk by chunk: CPU work only, no IO. Each body has its own transform object.

    A transform that may keep bytes back also defines ``flush()``: see :class:`FlushingTransform`.
    """

    def push(self, chunk: bytes, /) -> bytes:
        """Take a chunk and return the bytes that are ready, or ``b""``. On a request body it may raise Refuse."""
        ...

    def finish(self) -> bytes:
        """Return the remaining bytes after the last chunk."""
        ...


class FlushingTransform(Transform, Protocol):
    """A transform that may keep bytes back, such as an encoder.

    The driver calls ``flush`` after each push of a response body, unless the chunk is known to be the last. So the
    client receives each chunk of a stream before the application makes the next one. A transform without ``flush``
    must return all that it can from ``push``.
    """

    def flush(self) -> bytes:
        """Return all pushed bytes that are still kept, in a form that the client can decode before the rest comes."""
        ...


class Refuse(GatewayError):  # an author writes `raise Refuse(413)`
    """Refuse the request, from a hook or from the push of a request body.

    From ``on_request`` it short-circuits, as a returned response does. From a request body's ``push`` it propagates
    into the application's read, and the driver remembers it. Before the headers are committed, the refusal becomes the
    response even if the application catches it. After that the driver cuts the connection.

    Args:
        status: 400 to 599.
        detail: One sentence for the client.
        headers: Headers of the response besides those of the content.
        response: Response to send unchanged, instead of a rendered one.
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
    """The serving process, as an argument of ``on_start`` and ``on_stop``.

    Attributes:
        interface: Interface in which the group of middleware runs.
        pid: Process id; a forked child runs ``on_start`` again.
    """

    interface: Literal["wsgi", "asgi"]
    pid: int


class Slot(Generic[T]):
    """A typed key for one value per request, which the application cannot see.

    Create it in ``build``, with :meth:`BuildContext.slot`. Write ``slot[request] = value`` and read ``slot[request]``.
    The value lives as long as the request.
    """

    __slots__ = ()

    def __getitem__(self, request: Request) -> T:
        slots = request._slots
        try:
            return cast("T", (slots or {})[self])  # only __setitem__ fills it
        except KeyError:
            raise KeyError(
                "this request has no value in this slot; use slot.get(request), which returns a default"
            ) from None

    def __setitem__(self, request: Request, value: T) -> None:
        if request._slots is None:  # made at the first write, because many chains use no slots
            request._slots = {}
        request._slots[self] = value

    def get(self, request: Request) -> T | None:
        """Return the value, or ``None`` if this request has no value here."""
        slots = request._slots
        return None if slots is None else cast("T | None", slots.get(self))  # only __setitem__ fills it


@dataclass(frozen=True)
class BuildContext:
    """Position in a chain, as an argument of ``build``.

    Attributes:
        interface: Interface in which the group of middleware runs.
    """

    interface: Literal["wsgi", "asgi"] = "asgi"
    _shared: dict[str, object] = field(default_factory=dict[str, object], repr=False, compare=False)
    _startup: Startup | None = field(default=None, repr=False, compare=False)

    @property
    def startup(self) -> Startup:
        """Startup of every application inside this position; ``settled`` is true once it has finished.

        Calling it checks the startup: the call returns once every part has started, and raises if a part has not. It
        may block, so call it with ``io`` or in a thread.
        """
        startup = self._startup or Startup(None, self.interface)
        startup.wanted = True
        return startup

    def shared(self, name: str, make: Callable[[], T], /) -> T:
        """Return the object of this name, shared by all builds of this position; the first call makes it.

        A position may be built more than once: for each kind of server, and for the WebSocket handshakes that bypass
        the WSGI middleware. Use a shared object for state such as the counters of a rate limit. It must be thread-safe
        and must not be bound to one event loop.
        """
        if name not in self._shared:
            self._shared[name] = make()
        return cast("T", self._shared[name])  # a name always has the same maker

    def slot(self, kind: type[T], /) -> Slot[T]:
        """Return a new slot for one value of this type per request."""
        return Slot[T]()


class Hooks:
    """The hooks, all optional: a hook that a class does not define is never called and costs nothing.

    Order: ``on_request`` from the outermost to the innermost; ``on_response``, ``on_error`` and ``on_finish`` from
    the innermost to the outermost. All threads and loops share one instance. A plain hook must not block; a hook
    may be a generator (:data:`Steps`) that does its IO with ``yield from io(...)``.
    """

    #: Whether the hooks run for WebSocket handshakes; middleware that protects the application must set it.
    websocket: ClassVar[bool] = False
    #: Version of the contract that the class was written for.
    contract: ClassVar[int] = CONTRACT
    #: Names of middleware classes that should be outside this class; a chain that breaks the rule warns. A name may
    #: include the reason: ``"ProxyHeaders: it counts by the client's address"``.
    after: ClassVar[tuple[str, ...]] = ()
    #: Names of middleware classes that should be inside this class, in the same form; the chain checks them too.
    before: ClassVar[tuple[str, ...]] = ()
    #: Whether ``on_request`` may return a response; ``None``: true if it is defined. For the plan only.
    short_circuits: ClassVar[bool | None] = None
    #: Whether the body transform does enough CPU work to belong in a worker thread. For the plan only.
    body_cpu: ClassVar[bool] = False
    #: Whether the request transform returns exactly as many bytes as it takes, so that Content-Length stays valid.
    keeps_request_length: ClassVar[bool] = False

    @property
    def constant_headers(self) -> Sequence[Header]:
        """Headers to append to every response before ``on_response``; read once, when the chain is built."""
        return ()

    def on_start(self, process: Process) -> Steps[None] | None:
        """Run once per process, before the first request; do IO with ``yield from io(...)``."""

    def on_stop(self, process: Process) -> Steps[None] | None:
        """Run once per process, when it ends, if ``on_start`` has run."""

    def on_request(self, request: Request) -> Response | Steps[Response | None] | None:
        """Read or change the request. A returned response is sent, and nothing inside this middleware runs."""

    def on_request_body(self, request: Request) -> Transform | None:
        """Return a transform of the request body, or ``None``; called when the application first reads the body."""

    def on_response(self, request: Request, response: Response) -> Response | Steps[Response | None] | None:
        """Change status and headers before they are sent, or return another response instead."""

    def on_body(self, request: Request, response: Response) -> Transform | None:
        """Return a transform of the response body, or ``None``; called directly after ``on_response``.

        It is not called for responses without a body (HEAD, 1xx, 204, 304), nor for files that the server sends.
        """

    def on_error(self, request: Request, error: Exception) -> Response | Steps[Response | None] | None:
        """Handle an exception from inside, if no headers are committed; a returned response replaces it."""

    def on_finish(self, request: Request, outcome: Outcome) -> Steps[None] | None:
        """Run exactly once for a request whose ``on_request`` was entered, however it ended."""


#: Arguments of each hook, in the order of a request's life.
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
    """Return the bound method of a hook, or ``None`` if the class does not define it.

    >>> hook(Hooks(), "on_request") is None
    True
    """
    bound: Callable[..., object] = getattr(hooks, name)
    return None if getattr(bound, "__func__", None) is getattr(Hooks, name) else bound


@dataclass(frozen=True, kw_only=True)
class Middleware(Hooks):
    """A middleware: options that never change, and the hooks made from them.

    A subclass is a ``@dataclass(frozen=True, kw_only=True)``; its fields are its options. Check them in
    ``__post_init__``.
    """

    def build(self, context: BuildContext) -> Hooks:
        """Return the hooks for one position in a chain; the default is the middleware itself.

        A position may be built more than once; keep the state that all builds share in :meth:`BuildContext.shared`.
        """
        return self


# -- effects: requests of a generator to its driver


@dataclass(frozen=True, slots=True)
class Io:
    """Call the plain function (WSGI) or the coroutine function (ASGI), and send its result."""

    plain: Callable[[], object]
    coroutine: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Peek:
    """Hold the headers until ``size`` bytes of the body are there, or its end; ``None``: until the end."""

    size: int | None


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this response."""

    response: Response


@dataclass(frozen=True, slots=True)
class Transforming:
    """Transform the response body."""

    transform: Transform


@dataclass(frozen=True, slots=True)
class Finished:
    """Wait for the end of the request and send its outcome.

    Attributes:
        error: The exception that the surrounding ``finally`` or ``except`` handles at this moment.
    """

    error: BaseException | None = None


#: Every effect.
Effect: TypeAlias = Io | Peek | Reply | Transforming | Finished


def _ask(effect: Effect) -> Generator[None, object, object]:
    # For type checkers an author's generator yields None, so they reject every `yield` but the bare one. The driver
    # looks at the real value.
    result: object = yield cast("None", effect)
    return result


def io(sync: Callable[P, T], coroutine: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Steps[T]:
    """Do IO: blocking under WSGI, awaiting under ASGI.

    An author writes ``value = yield from io(read, read_async, key)``.

    Args:
        sync: Function to call under WSGI, where blocking is allowed.
        coroutine: Coroutine function with the same parameters, awaited under ASGI (asyncio or trio).
        *args: Positional arguments of either function.
        **kwargs: Keyword arguments of either function.

    Returns:
        The result of the function. An exception of the function is raised at the ``yield from``.
    """
    for function in (sync, coroutine):
        if not callable(function):
            raise ConfigurationError(
                f"io() takes two functions, then their arguments, got {function!r}; pass "
                "the functions themselves: io(function, coroutine_function, ...)"
            )
    result = yield from _ask(Io(lambda: sync(*args, **kwargs), lambda: coroutine(*args, **kwargs)))
    return cast("T", result)  # the driver sends the function's result


def peek(size: int | None = None) -> Steps[bytes | None]:
    """Hold the headers until enough of the body is there, or its end: an author writes ``start = yield from ...``.

    Use it in ``on_response``, or after the ``yield`` of the generator form. The bytes stay in the body.

    Args:
        size: Number of bytes to wait for; ``None`` for the whole body. A middleware that passes ``None`` decides that
            the body fits into memory.

    Returns:
        At least ``size`` bytes, fewer if the body is shorter. ``None`` for a file that the server sends itself.
    """
    if size is not None and size < 0:
        raise ValueError(f"peek(size) must be None or at least 0, got {size!r}")
    result = yield from _ask(Peek(size))
    return cast("bytes | None", result)  # the driver sends bytes or None


def reply(response: Response) -> Steps[None]:
    """Send this response. Before the ``yield``, nothing inside runs; after it, this response replaces the other.

    The generator continues afterwards: it may end, or wait with :func:`finished`.
    """
    yield from _ask(Reply(response))


def transform(change: Transform) -> Steps[None]:
    """Transform the response body; only after the ``yield`` of the generator form."""
    yield from _ask(Transforming(change))


def finished() -> Steps[Outcome]:
    """Wait for the end of the request, even if it is cut short, and return the outcome.

    In a ``finally`` or an ``except`` it does not delay the exception: that propagates at once, unless :func:`reply`
    has replaced it with a response. After ``finished()`` only :func:`io` is allowed.
    """
    result = yield from _ask(Finished(sys.exception()))
    return cast("Outcome", result)  # the driver sends the outcome


# -- the generator form


class FlowRun:
    """One generator of the generator form, and its state.

    States: ``request`` (before its bare ``yield``), ``response`` (waits at the ``yield``), ``outcome`` (waits in
    :func:`finished`), ``done``.
    """

    __slots__ = ("change", "flow", "state", "thrown")

    def __init__(self, flow: Flow) -> None:
        self.flow: Flow = flow
        self.state: Literal["request", "response", "outcome", "done"] = "request"
        self.change: Transform | None = None
        #: The exception last thrown into it. Raised again after ``finished()``, it does not count as a new error.
        self.thrown: BaseException | None = None

    def resume(self, sent: object, error: BaseException | None = None) -> Steps[Response | None] | None:
        """Send a value, or throw an error, and run until the generator waits.

        Returns:
            ``None`` if it waits at its bare ``yield`` or has ended; else steps, which lead to its reply, if any.
        """
        outside = sys.exception()  # before the generator runs: afterwards it may be another
        if error is not None:
            self.thrown = error
        flow = cast("Generator[object, object, None]", self.flow)  # the real types of yielded and sent values: see _ask
        try:
            effect = flow.send(sent) if error is None else flow.throw(error)
        except StopIteration:
            self.state = "done"
            return None
        except BaseException:
            self.state = "done"
            raise
        if effect is None and self.state == "request":
            self.state = "response"
            return None
        return self._advance(effect, outside, isinstance(error, GeneratorExit))

    def _advance(self, effect: object, outside: BaseException | None, ends: bool) -> Steps[Response | None]:
        """Act on the yielded effect, and go on until the generator waits; return its reply, if any."""
        answer: Response | None = None
        before, late = self.state == "request", self.state == "done"
        flow = cast("Generator[object, object, None]", self.flow)
        while True:
            sent: object = None
            error: BaseException | None = None
            if late and type(effect) is not Io:
                error = _misuse("after finished() only io() is left; remove the other effect")
            elif effect is None:
                if before and answer is None:
                    self.state = "response"
                    return None
                error = misuse(effect)
            elif type(effect) is Reply:
                answer = effect.response
                self.thrown = None  # replaced by the reply: raised again, it counts as a new error
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
                    sent = yield cast("None", effect)  # passed on to the driver: see _ask
                except BaseException as raised:
                    error = raised
            elif type(effect) is Peek:
                error = _misuse("peek() looks at the response body: call it after the bare `yield`")
            else:
                error = misuse(effect)
            try:
                effect = flow.send(sent) if error is None else flow.throw(error)
            except StopIteration:
                self.state = "done"
                return answer
            except BaseException:
                self.state = "done"
                raise


def misuse(effect: object) -> ConfigurationError:
    """Return the error for a flow that yields a value without ``yield from``, or yields bare a second time."""
    if effect is None:
        return _misuse("the bare `yield` runs the rest of the chain: once per flow, and not after reply()")
    return _misuse(
        "a flow may only use a bare `yield`, or `yield from` an effect such as io(...); got `yield` of "
        f"{effect!r}: write `yield from`"
    )


def _misuse(message: str) -> ConfigurationError:
    return ConfigurationError(f"{message} (contract, generator form)")


class FlowHooks(Hooks):
    """Hooks that run one generator per request."""

    def __init__(self, function: Callable[..., Flow], options: dict[str, object], slot: Slot[FlowRun]) -> None:
        self.function = function
        self.start: Callable[[Request], Flow] = (lambda request: function(request, **options)) if options else function
        self.slot = slot

    def __repr__(self) -> str:
        return f"<hooks of {self.function.__name__}>"

    def on_request(self, request: Request) -> Steps[Response | None] | None:
        run = self.slot[request] = FlowRun(self.start(request))
        return run.resume(None)

    def on_response(self, request: Request, response: Response) -> Steps[Response | None] | None:
        run = self.slot[request]
        return run.resume(response) if run.state == "response" else None

    def on_body(self, request: Request, response: Response) -> Transform | None:
        return self.slot[request].change

    def on_error(self, request: Request, error: Exception) -> Steps[Response | None] | None:
        run = self.slot[request]
        if run.state != "response":
            return None
        try:
            steps = run.resume(None, error)
        except Exception as raised:
            if is_raised_on(raised, error):
                return None
            raise
        return None if steps is None else self._failing(steps, error)

    def _failing(self, steps: Steps[Response | None], error: Exception) -> Steps[Response | None]:
        try:
            return (yield from steps)
        except Exception as raised:
            if is_raised_on(raised, error):
                return None
            raise

    def on_finish(self, request: Request, outcome: Outcome) -> Steps[None] | None:
        run = self.slot[request]
        return None if run.state == "done" else self._end(run, outcome)

    def _end(self, run: FlowRun, outcome: Outcome) -> Steps[None]:
        try:
            if run.state != "outcome":
                # The response will not come: closing runs the `finally` blocks, which may wait for the outcome.
                yield from run.resume(None, GeneratorExit()) or ()
            if run.state == "outcome":
                run.state = "done"
                yield from run.resume(outcome) or ()
        except BaseException as raised:
            if not is_raised_on(raised, run.thrown):
                raise


def is_raised_on(raised: BaseException, thrown: BaseException | None) -> bool:
    """Return whether a flow raised the exception that was thrown into it.

    A StopIteration comes back as the cause of a RuntimeError (PEP 479).
    """
    return raised is thrown or (isinstance(thrown, StopIteration) and raised.__cause__ is thrown)


@dataclass(frozen=True, kw_only=True, repr=False)
class FlowMiddleware(Middleware):
    """A generator function with its options; a call of a :class:`FlowFactory` returns it."""

    #: The factory that made it.
    factory: ClassVar[Callable[..., FlowMiddleware]]
    function: Callable[..., Flow]
    options: tuple[tuple[str, object], ...] = ()

    def __reduce__(self) -> tuple[object, ...]:
        # Pickle cannot find the class: its name leads to the factory. So unpickling calls the factory again.
        return _remade, (self.factory, self.options)

    def build(self, context: BuildContext) -> Hooks:
        return FlowHooks(self.function, dict(self.options), context.slot(FlowRun))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.options)
        return f"{type(self).__name__}({inside})"


def _remade(factory: Callable[..., FlowMiddleware], options: tuple[tuple[str, object], ...]) -> FlowMiddleware:
    return factory(**dict(options))


class FlowFactory(Generic[P]):
    """Factory that :func:`as_middleware` makes of a function: call it with the options to get a middleware."""

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
        # One class per function, because a chain reads the metadata of a middleware from its class.
        self.kind: type[FlowMiddleware] = cast(
            "type[FlowMiddleware]",  # type() with this base returns a subclass
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
                f"{self.function.__name__}{self.signature} got wrong options: {error}; its options are the "
                "function's keyword-only parameters"
            ) from error
        return self.kind(function=self.function, options=tuple(bound.arguments.items()))

    def __reduce__(self) -> str:
        """Pickle by name, as functions are pickled."""
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
        function: Takes the request first. Its bare ``yield`` runs the rest of the chain and gives the response.
        websocket: Whether it runs for WebSocket handshakes.
        after: Names of middleware that should be outside it.
        before: Names of middleware that should be inside it.
        short_circuits: Whether it may respond itself, so that the plan prefers the server's interface for it;
            ``None``: no. For the plan only.
        body_cpu: Whether its body transform does enough CPU work to belong in a worker thread. For the plan only.

    Returns:
        A factory. Call it in the list: ``middleware=[server_timing()]``.

    Raises:
        ConfigurationError: ``function`` is not a generator function, or an option is not keyword-only.
    """
    if function is not None:
        return FlowFactory(function)
    return lambda function: FlowFactory(
        function, websocket=websocket, after=after, before=before, short_circuits=short_circuits, body_cpu=body_cpu
    )


def require_middleware(item: object) -> Middleware:
    """Return the item if it is a middleware of a contract that this package runs.

    Raises:
        ConfigurationError: It is not; the message names the likely remedy.
    """
    if isinstance(item, Middleware):
        if item.contract > CONTRACT:
            raise ConfigurationError(
                f"{type(item).__name__} needs contract {item.contract!r}, but this version of anytier has "
                f"contract {CONTRACT}; upgrade anytier"
            )
        return item
    if isinstance(item, FlowFactory):
        name = getattr(item, "__name__", "it")
        raise ConfigurationError(f"a chain takes middleware, got the function {name}; call it: middleware=[{name}()]")
    if isinstance(item, type) and issubclass(item, Middleware):
        raise ConfigurationError(
            f"a chain takes middleware, got the class {item.__name__}; call it: middleware=[{item.__name__}(...)]"
        )
    raise ConfigurationError(
        f"a chain takes middleware, got {item!r}; wrap third-party middleware in wsgi_only() or asgi_only() "
        "of gateway.chain"
    )


def require_hooks(built: object, author: str) -> Hooks:
    """Check the result of a middleware's ``build``, and return it if the drivers can call each hook.

    A hook with wrong parameters would fail in every request. A misspelt or ``async def`` hook would be skipped
    silently, which is a security hole if it protects the application.

    Args:
        built: The result of ``build``.
        author: Name of the middleware in the error.

    Raises:
        ConfigurationError: ``built`` is not a Hooks object, a method has nearly the name of a hook, or a constant is
            not a Header. Or a hook is an ``async def``, takes other arguments, or is a generator but must not be.
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
                f"{author} has {name}(), which is not a hook and is never called; did you mean {near[0]}()? "
                "If not, rename it"
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
            f"{name} must be a plain `def`, because it runs under WSGI too; got an `async def`. For IO write "
            "a generator: `yield from io(function, coroutine_function, ...)`"
        )
    if name.endswith("_body") and inspect.isgeneratorfunction(found):
        raise ConfigurationError(
            f"{name} must return a Transform or None, got a generator; do IO in on_request or on_response"
        )
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # a built-in function may have none
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise ConfigurationError(
            f"{name} must take the positional arguments ({', '.join(arguments)}), got {signature}: {error}"
        ) from error
