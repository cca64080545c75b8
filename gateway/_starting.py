"""Find what a server's call may reach, and what of it starts late: an application behind an adapter.

Under a WSGI server nothing starts an ASGI application before its first request, because WSGI has no startup event. So
a server's hook, and a readiness probe, have to find the application themselves. ``gateway run`` and ``gateway check``
look for middleware that the server has to make room for. One rule serves them all: :func:`reachable` walks the objects
that the served callable holds, from the outside inwards.

The walk follows attributes, containers, closures, bound methods, and the global names that a plain WSGI function uses.
It does not follow modules and classes, so an application that only stands in the same module is not reached. An object
may say itself which objects it calls (:class:`Reaching`). A ``Gateway`` does, because it holds the ``Gateway`` that it
was made of and never calls it.

Limits: the walk does not see an import inside a function, a method's global names and the members of a container of
more than 10,000. Such an application starts with its first request. No IO, no state.

Sources: ASGI Lifespan 2.0 "Scope"; Python documentation ``gc.get_referents``.
"""

from __future__ import annotations

import dis
import gc
import os
import types
from collections import deque
from collections.abc import Iterable, Iterator, Sized
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

if TYPE_CHECKING:
    from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Message, Scope

__all__ = ["LazyPart", "Reached", "Reaching", "Startup", "lazy_parts", "reachable"]

_Interface: TypeAlias = Literal["wsgi", "asgi"]
#: An object, and the interface in which it is called.
Reached: TypeAlias = "tuple[object, _Interface]"

#: Objects that hold no application, and modules and classes, which hold everything.
_ENDS: Final = (
    type,
    types.ModuleType,
    types.CodeType,
    types.FrameType,
    types.NoneType,
    str,
    bytes,
    int,
    float,
    complex,
)
#: A container with more members holds data, not applications; a walk through a cache would need as much memory again.
_LARGE: Final = 10_000
_CONTAINERS: Final = (dict, list, tuple, set, frozenset, deque)
#: Most objects that a walk looks at. A Django project with its admin has some 30,000; the bound keeps a start short.
_MOST: Final = 300_000


class LazyPart:
    """A part that starts with its first request, once per process, unless somebody starts it before."""

    __slots__ = ()

    def start(self) -> None:
        """Start now, in this process, and wait for it; a server's hook calls this in the main thread. Again: nothing.

        Raises:
            Exception: It did not start; every later call raises, or tries again.
        """
        raise NotImplementedError


class Reaching:
    """An object that says itself which objects a call of it may reach."""

    __slots__ = ()

    def reached(self, interface: _Interface) -> Iterable[Reached]:
        """Return the objects that a call in this interface may call, outermost first, each with its interface."""
        raise NotImplementedError


def reachable(served: object, interface: _Interface) -> Iterator[object]:
    """Yield each object that a call of a served object may reach, once for each interface, the outer ones first.

    Args:
        served: The callable that a server calls, or one further in.
        interface: The interface in which it is called.
    """
    seen: set[tuple[int, _Interface]] = set()
    kept: list[object] = []  # an object that goes away would leave its id to another one
    waiting: deque[Reached] = deque([(served, interface)])
    while waiting and len(kept) < _MOST:
        part, interface = waiting.popleft()
        # The real type, because asking a proxy for its class may make what it stands for.
        kind = type(part)
        if issubclass(kind, _ENDS) or (id(part), interface) in seen:
            continue
        seen.add((id(part), interface))
        kept.append(part)
        yield part
        if issubclass(kind, Reaching):
            waiting.extend(cast("Reaching", part).reached(interface))
        else:
            waiting.extend((held, interface) for held in _held(part, kind, interface))


def lazy_parts(served: object, interface: _Interface) -> tuple[LazyPart, ...]:
    """Find the reachable parts of a served object that nothing has to start before the first request.

    Args:
        served: The callable that a server calls, or one further in.
        interface: The interface in which it is called.

    Returns:
        Each part once, the outer ones first.
    """
    found = (cast("LazyPart", part) for part in reachable(served, interface) if issubclass(type(part), LazyPart))
    return tuple(dict.fromkeys(found))


def _held(part: object, kind: type, interface: _Interface) -> Iterator[object]:
    if issubclass(kind, types.FunctionType):
        function = cast("types.FunctionType", part)
        yield from (function.__defaults__, function.__kwdefaults__, function.__dict__)
        yield from gc.get_referents(*(function.__closure__ or ()))
        # The functions of this package hold the objects that they need in their closures. An ASGI framework has
        # thousands of functions, and a part that starts late behind one of them needs two adapters the wrong way round.
        if interface == "wsgi" and not (function.__module__ or "").startswith("gateway."):
            yield from _named(function)
        return
    if issubclass(kind, _CONTAINERS) and len(cast("Sized", part)) > _LARGE:
        return
    yield from gc.get_referents(part)
    call: object = getattr(cast("object", kind), "__call__", None)  # noqa: B004  # the function, not whether there is one
    if isinstance(call, types.FunctionType):
        yield call


def _named(function: types.FunctionType) -> Iterator[object]:
    """Give the objects behind the global names that a function's code reads, ``module.name`` too."""
    names = function.__globals__
    codes = [function.__code__]
    for code in codes:
        codes.extend(constant for constant in code.co_consts if isinstance(constant, types.CodeType))
        module: object = None
        for step in dis.get_instructions(code):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                module = names.get(step.argval)
                yield module
            elif step.opname in ("LOAD_ATTR", "LOAD_METHOD") and issubclass(type(module), types.ModuleType):
                module = vars(cast("types.ModuleType", module)).get(step.argval)
                yield module
            else:
                module = None


class Startup:
    """Start of everything further in than one place of a chain, as a health check sees it.

    As a callable it is a check: it returns once everything has started, and raises if something has not. Under WSGI it
    starts what has not begun, and waits for it, so call it in a thread of its own. Under ASGI the server starts the
    application, and the check only looks.

    Args:
        app: The application further in.
        interface: The interface in which it is called.
    """

    def __init__(self, app: object, interface: _Interface) -> None:
        self._app = app
        self._interface: _Interface = interface
        #: Whether a middleware asked for it; a driver watches the lifespan then.
        self.wanted = False
        #: The state of the lifespan that an ASGI server runs; ``"unseen"`` under a server that runs none.
        self.lifespan: Literal["unseen", "starting", "started", "failed"] = "unseen"
        self._settled_in = 0
        self._lazy: tuple[LazyPart, ...] | None = None

    @property
    def settled(self) -> bool:
        """Whether everything has started in this process, as far as is known without a check."""
        return self._settled_in == os.getpid() and self.lifespan in ("unseen", "started")

    def __call__(self) -> None:
        """Start what has not started, and wait for it.

        Raises:
            Exception: It did not start, or has not yet.
        """
        if self.lifespan == "starting":
            raise TimeoutError("the application has not completed its startup")
        if self.lifespan == "failed":
            raise RuntimeError("the application's startup failed")
        if self._lazy is None:
            self._lazy = lazy_parts(self._app, self._interface)
        for part in self._lazy:
            part.start()
        self._settled_in = os.getpid()

    def watch(self, app: ASGIApplication) -> ASGIApplication:
        """Return an application that notes how the lifespan of another one goes. For lifespan scopes only."""

        async def watched(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
            answered = False
            self.lifespan = "starting"

            async def passing(message: Message) -> None:
                nonlocal answered
                answered = True
                if message["type"] == "lifespan.startup.failed":
                    self.lifespan = "failed"
                await send(message)
                if message["type"] == "lifespan.startup.complete":
                    self.lifespan = "started"

            try:
                await app(scope, receive, passing)
            finally:
                if not answered:  # it does not support the protocol, and is served without ("Scope")
                    self.lifespan = "started"

        return watched
