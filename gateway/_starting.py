"""Find the objects that a server's call may reach, and the parts among them that start late.

A part that starts late is an ASGI application behind an adapter. Under a WSGI server nothing starts it before its first
request, because WSGI has no startup event. So a server's hook, and a readiness probe, have to find the application
themselves. ``gateway run`` and ``gateway check`` look for middleware that needs certain server options. All of them use
:func:`reachable`, which walks the objects that the served callable holds, from the outside inwards.

The walk follows attributes, containers, closures, bound methods, and the global names that a plain WSGI function uses.
It does not follow modules and classes, so it does not reach an application only because it is in the same module. An
object can list the objects that it calls (:class:`Reaching`). A ``Gateway`` does so, because it holds the ``Gateway``
that it was made of and never calls it.

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
#: An object, and the interface through which it is called.
Reached: TypeAlias = "tuple[object, _Interface]"

#: Types at which the walk ends: their objects hold no application; modules and classes would lead to everything.
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
#: A larger container holds data, not applications. Walking a cache would need as much memory as the cache itself.
_LARGE: Final = 10_000
_CONTAINERS: Final = (dict, list, tuple, set, frozenset, deque)
#: Maximum number of objects in a walk, so that a start stays short. A Django project with its admin has some 30,000.
_MOST: Final = 300_000


class LazyPart:
    """A part that starts with its first request, once per process, unless ``start()`` was called before."""

    __slots__ = ()

    def start(self) -> None:
        """Start now, in this process, and wait until it has started. Do nothing if it has.

        A server's hook calls this in the main thread.

        Raises:
            Exception: The start failed; a later call raises too, or tries again.
        """
        raise NotImplementedError


class Reaching:
    """An object that lists the objects that a call of it may reach."""

    __slots__ = ()

    def reached(self, interface: _Interface) -> Iterable[Reached]:
        """Return the objects that a call through this interface may call, outermost first, each with its interface."""
        raise NotImplementedError


def reachable(served: object, interface: _Interface) -> Iterator[object]:
    """Yield each object that a call of a served object may reach, once for each interface, outer objects first.

    Args:
        served: The callable that a server calls, or an object inside it.
        interface: The interface through which it is called.
    """
    seen: set[tuple[int, _Interface]] = set()  # by id, because many objects are not hashable
    kept: list[object] = []  # keeps every object alive, because a freed id could be reused for another object
    waiting: deque[Reached] = deque([(served, interface)])
    while waiting and len(kept) < _MOST:
        part, interface = waiting.popleft()
        # `type()`, because reading `__class__` of a lazy proxy may create the object behind it.
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
    """Find the reachable parts of a served object that a server does not start before the first request.

    Args:
        served: The callable that a server calls, or an object inside it.
        interface: The interface through which it is called.

    Returns:
        Each part once, outer parts first.
    """
    found = (cast("LazyPart", part) for part in reachable(served, interface) if issubclass(type(part), LazyPart))
    return tuple(dict.fromkeys(found))


def _held(part: object, kind: type, interface: _Interface) -> Iterator[object]:
    if issubclass(kind, types.FunctionType):
        function = cast("types.FunctionType", part)
        yield from (function.__defaults__, function.__kwdefaults__, function.__dict__)
        yield from gc.get_referents(*(function.__closure__ or ()))
        # Only for WSGI functions: an ASGI framework has thousands of functions, and a part that starts late behind one
        # of them would need two adapters. The functions of this package hold their objects in closures, followed above.
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
    """Yield the objects behind the global names that a function's code reads, including ``module.name``."""
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
    """State of the startup of everything inside one position of a chain, for a health check.

    Calling it checks the startup: the call returns once every part has started, and raises if a part has not. Under
    WSGI the call starts the missing parts and waits for them, so make it in a separate thread. Under ASGI the server
    starts the application, and the call only reads the state.

    Args:
        app: The application inside that position.
        interface: The interface through which it is called.
    """

    def __init__(self, app: object, interface: _Interface) -> None:
        self._app = app
        self._interface: _Interface = interface
        #: Whether a middleware uses this object; the driver watches the lifespan only if so.
        self.wanted = False
        #: State of the lifespan that an ASGI server runs; ``"unseen"`` under a server that does not run it.
        self.lifespan: Literal["unseen", "starting", "started", "failed"] = "unseen"
        self._settled_in = 0
        self._lazy: tuple[LazyPart, ...] | None = None

    @property
    def settled(self) -> bool:
        """Whether everything has started in this process, as far as known without a check."""
        return self._settled_in == os.getpid() and self.lifespan in ("unseen", "started")

    def __call__(self) -> None:
        """Start the parts that have not started, and wait for them.

        Raises:
            Exception: A part failed to start, or has not started yet.
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
        """Wrap an application to record the state of its lifespan. Use the wrapper for lifespan scopes only."""

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
                if not answered:  # no lifespan support: the server continues without it (ASGI Lifespan "Scope")
                    self.lifespan = "started"

        return watched
