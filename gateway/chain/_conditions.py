"""Middleware on a condition, which is checked once per request, at the middleware's position in the chain.

WSGI+ASGI middleware stays in its group: the condition decides whether its hooks are called, without another wrapper.
Third-party middleware is built around the application. A request goes through it, or directly to the application.

Sources: none; the idea is chi's ``maybe`` and Hono's ``combine``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from gateway._requests import AsgiRequest, WsgiRequest
from gateway.contract import BuildContext, FlowHooks, Hooks, Middleware, Slot, hook, require_hooks
from gateway.errors import ConfigurationError
from gateway.exchange import Request, Response
from gateway.protocols import (
    ASGIApplication,
    ASGIReceive,
    ASGISend,
    Environ,
    Scope,
    StartResponse,
    WSGIApplication,
    is_coroutine_function,
)

__all__ = ["AsgiBranch", "Conditional", "PathIn", "Predicate", "WsgiBranch", "require_predicate", "unconditional"]

Predicate: TypeAlias = Callable[[Request], bool]
_Hook: TypeAlias = Callable[..., object]

#: Metadata of a class, for the plan and for the driver.
_METADATA: Final = ("websocket", "contract", "after", "before", "short_circuits", "body_cpu", "keeps_request_length")


@dataclass(frozen=True)
class PathIn:
    """Predicate that is true for paths at or below one of the prefixes, by whole segments, below the mount point."""

    prefixes: tuple[str, ...]

    def __post_init__(self) -> None:
        for prefix in cast("tuple[object, ...]", self.prefixes):
            if not isinstance(prefix, str) or not prefix.startswith("/") or (prefix != "/" and prefix.endswith("/")):
                raise ConfigurationError(
                    f"path_in(...) takes prefixes that start with '/' and do not end with one, got {prefix!r}"
                )
            if "*" in prefix:  # it would never match, so a guard on this condition would never run
                raise ConfigurationError(
                    f"path_in(...) takes prefixes, not patterns, got {prefix!r}; a prefix matches all paths below it"
                )
        if not self.prefixes:
            raise ConfigurationError("path_in(...) takes at least one prefix, got none")

    def __call__(self, request: Request) -> bool:
        path = request.local_path + "/"
        return any(prefix == "/" or path.startswith(prefix + "/") for prefix in self.prefixes)

    def __repr__(self) -> str:
        return f"path_in({', '.join(map(repr, self.prefixes))})"


def require_predicate(predicate: object, where: str) -> None:
    """Check that a predicate can be called.

    Raises:
        ConfigurationError: It is not callable, takes other arguments, or is a coroutine or generator function, whose
            result would always be true.
    """
    if (
        not callable(predicate)
        or is_coroutine_function(predicate)
        or is_coroutine_function(predicate.__call__)
        or inspect.isgeneratorfunction(predicate)
        or not _takes_one(predicate)
    ):
        raise ConfigurationError(
            f"{where}(predicate, middleware) takes a function of the request that returns true or false, a "
            f"plain `def`; got {predicate!r}"
        )


def _takes_one(predicate: Callable[..., object]) -> bool:
    try:
        inspect.signature(predicate).bind("request")
    except TypeError:
        return False
    except ValueError:  # a built-in function may have no signature
        return True
    return True


@dataclass(frozen=True, kw_only=True)
class Conditional(Middleware):
    """WSGI+ASGI middleware whose hooks run for some requests.

    The instance has the metadata of the inner middleware.
    """

    predicate: Predicate
    inner: Middleware
    negate: bool

    def __post_init__(self) -> None:
        _take_metadata(self, self.inner)

    def build(self, context: BuildContext) -> Hooks:
        hooks = require_hooks(self.inner.build(context), type(self.inner).__name__)
        return _ConditionalHooks(self, hooks, context.slot(bool))

    def __repr__(self) -> str:
        return f"{'unless' if self.negate else 'when'}({self.predicate!r}, {self.inner!r})"


def unconditional(item: object) -> object:
    """Return the middleware inside all conditions, or the item itself if it has no condition."""
    while isinstance(item, Conditional):
        item = item.inner
    return item


class _ConditionalHooks(Hooks):
    """Wraps each hook that the inner middleware defines, and only those, with the predicate.

    The hooks are attributes of the instance, because the set of hooks is known only when built. A generator hook stays
    a generator. ``on_start`` and ``on_stop`` are not wrapped.
    """

    def __init__(self, condition: Conditional, inner: Hooks, active: Slot[bool]) -> None:
        _take_metadata(self, inner)
        predicate, negate = condition.predicate, condition.negate
        on_request = hook(inner, "on_request")
        on_response = hook(inner, "on_response")
        constants = tuple(inner.constant_headers)
        # The hooks of a flow are plain functions that return generators, so `isgeneratorfunction` misses them.
        steps = isinstance(inner, FlowHooks)

        def asked(request: Request) -> object:
            # Kept for the later hooks, so that the predicate runs once and its result cannot change.
            active[request] = answer = bool(predicate(request)) is not negate
            return on_request(request) if answer and on_request is not None else None

        def answered(request: Request, response: Response) -> object:
            for header in constants:
                response.headers.append(header)
            return on_response(request, response) if on_response is not None else None

        def guarded(call: _Hook) -> _Hook:
            def run(request: Request, *rest: object) -> object:
                return call(request, *rest) if active.get(request) else None

            return run

        made: dict[str, _Hook] = {"on_request": _like(on_request, asked, steps)}
        if constants or on_response is not None:
            made["on_response"] = _like(on_response, guarded(answered), steps)
        for name in ("on_request_body", "on_body"):
            found = hook(inner, name)
            if found is not None:
                made[name] = guarded(found)
        for name in ("on_error", "on_finish"):
            found = hook(inner, name)
            if found is not None:
                made[name] = _like(found, guarded(found), steps)
        for name in ("on_start", "on_stop"):
            found = hook(inner, name)
            if found is not None:
                made[name] = found
        self.__dict__.update(made)
        self._name = repr(condition)

    def __repr__(self) -> str:
        return f"<hooks of {self._name}>"


def _like(original: _Hook | None, call: _Hook, steps: bool) -> _Hook:
    """Return ``call`` as a generator function if the original hook is a generator, else ``call`` itself."""
    if not steps and not inspect.isgeneratorfunction(original):
        return call

    def run(*args: object) -> Generator[object, object, object]:
        result = call(*args)
        if isinstance(result, Generator):
            # Pass the effects of the inner hook to the driver unchanged.
            result = yield from cast("Generator[object, object, object]", result)
        return result

    return run


def _take_metadata(target: Hooks, source: Hooks) -> None:
    for name in _METADATA:
        object.__setattr__(target, name, getattr(source, name))


class WsgiBranch:
    """Call third-party WSGI middleware if the predicate is true, else the application directly."""

    def __init__(self, predicate: Predicate, inside: WSGIApplication, app: WSGIApplication) -> None:
        self.predicate = predicate
        self.inside = inside
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        app = self.inside if self.predicate(WsgiRequest(environ)) else self.app
        return app(environ, start_response)


class AsgiBranch:
    """Call third-party ASGI middleware if the predicate is true, else the application directly.

    Lifespan events always go through the middleware.
    """

    def __init__(self, predicate: Predicate, inside: ASGIApplication, app: ASGIApplication) -> None:
        self.predicate = predicate
        self.inside = inside
        self.app = app

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        asked = scope["type"] == "lifespan" or self.predicate(AsgiRequest(scope))
        await (self.inside if asked else self.app)(scope, receive, send)
