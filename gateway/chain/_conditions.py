"""Middleware on a condition: asked once per request, at the middleware's own place in the chain.

A WSGI+ASGI middleware stays one node of its group: its hooks are called or not, and no wrapper is added. A third
party's is built around the application, and a request goes through it or straight to the application.

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

__all__ = ["AsgiBranch", "Conditional", "PathIn", "Predicate", "WsgiBranch", "require_predicate"]

Predicate: TypeAlias = Callable[[Request], bool]
_Hook: TypeAlias = Callable[..., object]

#: What a class says about itself, for the plan and for the driver.
_METADATA: Final = ("websocket", "contract", "after", "before", "short_circuits", "body_cpu", "keeps_request_length")


@dataclass(frozen=True)
class PathIn:
    """Holds for paths at or below one of the prefixes, by whole segments, below the mount point."""

    prefixes: tuple[str, ...]

    def __post_init__(self) -> None:
        for prefix in cast("tuple[object, ...]", self.prefixes):
            if not isinstance(prefix, str) or not prefix.startswith("/") or (prefix != "/" and prefix.endswith("/")):
                raise ConfigurationError(
                    f"path_in(...) takes prefixes that start with '/' and do not end with one, got {prefix!r}"
                )
            if "*" in prefix:  # it would never hold, and a guard on this condition never run
                raise ConfigurationError(
                    f"path_in(...) takes prefixes, which hold for all paths below them, and no patterns, got {prefix!r}"
                )
        if not self.prefixes:
            raise ConfigurationError("path_in(...) takes at least one prefix, got none")

    def __call__(self, request: Request) -> bool:
        path = request.local_path + "/"
        return any(prefix == "/" or path.startswith(prefix + "/") for prefix in self.prefixes)

    def __repr__(self) -> str:
        return f"path_in({', '.join(map(repr, self.prefixes))})"


def require_predicate(predicate: object, where: str) -> None:
    """Refuse what cannot be asked.

    Raises:
        ConfigurationError: It is not callable, takes other arguments, or is a coroutine or a generator function, whose
            answer would always be true.
    """
    if (
        not callable(predicate)
        or is_coroutine_function(predicate)
        or is_coroutine_function(predicate.__call__)
        or inspect.isgeneratorfunction(predicate)
        or not _takes_one(predicate)
    ):
        raise ConfigurationError(
            f"{where}(predicate, middleware) takes a plain function of the request that returns true or false, "
            f"got {predicate!r}"
        )


def _takes_one(predicate: Callable[..., object]) -> bool:
    try:
        inspect.signature(predicate).bind("request")
    except TypeError:
        return False
    except ValueError:  # a built-in function may have none
        return True
    return True


@dataclass(frozen=True, kw_only=True)
class Conditional(Middleware):
    """A WSGI+ASGI middleware whose hooks run for some requests.

    Its metadata are those of the middleware inside, set on the instance.
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


class _ConditionalHooks(Hooks):
    """The hooks of the middleware inside, each behind the predicate's answer; those it lacks are lacking here too.

    They are set on the instance, because which there are is known when built. A hook that is a generator stays one.
    """

    def __init__(self, condition: Conditional, inner: Hooks, active: Slot[bool]) -> None:
        _take_metadata(self, inner)
        predicate, negate = condition.predicate, condition.negate
        on_request = hook(inner, "on_request")
        on_response = hook(inner, "on_response")
        constants = tuple(inner.constant_headers)
        # A flow's hooks are plain functions that return generators.
        steps = isinstance(inner, FlowHooks)

        def asked(request: Request) -> object:
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
    """Return ``call`` as a generator function where the original hook is one, else itself."""
    if not steps and not inspect.isgeneratorfunction(original):
        return call

    def run(*args: object) -> Generator[object, object, object]:
        result = call(*args)
        if isinstance(result, Generator):
            # What the hook inside asks for goes to the driver as it is.
            result = yield from cast("Generator[object, object, object]", result)
        return result

    return run


def _take_metadata(target: Hooks, source: Hooks) -> None:
    for name in _METADATA:
        object.__setattr__(target, name, getattr(source, name))


class WsgiBranch:
    """A third party's WSGI middleware, or the application without it."""

    def __init__(self, predicate: Predicate, inside: WSGIApplication, app: WSGIApplication) -> None:
        self.predicate = predicate
        self.inside = inside
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        app = self.inside if self.predicate(WsgiRequest(environ)) else self.app
        return app(environ, start_response)


class AsgiBranch:
    """A third party's ASGI middleware, or the application without it; lifespan events go through it."""

    def __init__(self, predicate: Predicate, inside: ASGIApplication, app: ASGIApplication) -> None:
        self.predicate = predicate
        self.inside = inside
        self.app = app

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        asked = scope["type"] == "lifespan" or self.predicate(AsgiRequest(scope))
        await (self.inside if asked else self.app)(scope, receive, send)
