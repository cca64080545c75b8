"""Base class of ``Gateway`` and ``Mount``: a callable that a server of any interface can call.

A *call* goes through ``type(app).__call__``. Every *detector* (of uvicorn, hypercorn, asgiref, a compiled server)
reads the attribute ``app.__call__``. So the class has a plain ``def __call__`` that finds the interface from its
arguments. Each instance also has an attribute ``__call__`` that is a real ``async def``. Servers that support both
interfaces then choose ASGI, which adds WebSockets and lifespan. WSGI-only servers do not read the attribute.

Rules for changing this file, each with a test:

- ``__call__`` is never ``async def``, and without arguments it raises ``TypeError``: uvicorn makes this call to find
  out whether the application is a factory.
- A call with three arguments returns a real coroutine, not any awaitable, because some servers check for that type.
- Keyword arguments work: daphne and channels pass ``scope=``, ``receive=``, ``send=``.
- A copy or a pickle drops every installed attribute and composes them again. Otherwise a copy would call the
  original's application.
- ``__signature__`` shows the three parameters of ASGI, for detectors that count parameters.

Known trap: ``functools.wraps(app)`` copies these attributes to the wrapper, so that hypercorn takes a plain WSGI
function for ASGI. Wrap with an object, or wrap ``app.wsgi``. ``detect()`` ignores the copied attributes.

Only ``Gateway`` and ``Mount`` use this class. An adapter has one interface, so that a server cannot undo the user's
choice.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, Literal, TypeGuard, overload

from gateway._starting import Reached, Reaching
from gateway.client.wsgi import offer
from gateway.protocols import (
    ASGIApplication,
    Environ,
    Interface,
    RSGIApplication,
    StartResponse,
    WSGIApplication,
    gives_coroutine,
)

__all__ = ["Dual"]

_SIGNATURE: Final = inspect.Signature(
    [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("scope", "receive", "send")]
)
_NOTHING: Final = object()
_INSTALLED: Final = frozenset({"__call__", "__signature__", "_asgi", "_rsgi", "_view", "_wsgi"})


class Dual(Reaching, ABC):
    """One application object for servers of every interface.

    A subclass sets its attributes in ``__init__`` and calls ``_install()`` last, once. Copies and unpickled objects
    call it too, to compose again.
    """

    # asgiref's mark of the single callable, with three arguments. Daphne and channels read it first.
    _asgi_single_callable = True

    _asgi: Callable[[Any, Any, Any], Coroutine[Any, Any, None]]
    _wsgi: WSGIApplication
    _view: ASGIApplication
    _rsgi: RSGIApplication

    @abstractmethod
    def _compose(self) -> tuple[WSGIApplication, ASGIApplication]:
        """Return the application as a WSGI and as an ASGI callable; called once per object."""

    @abstractmethod
    def _compose_rsgi(self) -> RSGIApplication:
        """Return the application as an RSGI object; called at the first use of that interface."""

    @property
    @abstractmethod
    def interface(self) -> Interface:
        """Interface of the inner application, which needs no adapter."""

    @property
    def __gateway_interface__(self) -> Interface:
        return self.interface

    def _install(self) -> None:
        self._wsgi, asgi = self._compose()
        self._asgi = _as_coroutine_function(asgi)
        self._view = asgi
        # Detectors read the instance's attribute; a call uses the class's `__call__`.
        vars(self).update(__call__=self._serve_asgi, __signature__=_SIGNATURE)

    def reached(self, interface: Literal["wsgi", "asgi"]) -> Iterable[Reached]:
        """Return the callable that serves this interface. The wrapped object itself is never called."""
        return [(self._wsgi, "wsgi") if interface == "wsgi" else (self._view, "asgi")]

    @property
    def wsgi(self) -> WSGIApplication:
        """The application as a WSGI callable only, for a server that would choose ASGI."""
        return self._wsgi

    @property
    def asgi(self) -> ASGIApplication:
        """The application as an ASGI callable only."""
        return self._view

    @overload
    def __call__(self, environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]: ...
    @overload
    def __call__(self, scope: Any, receive: Any, send: Any) -> Coroutine[Any, Any, None]: ...
    def __call__(
        self,
        scope: Any = _NOTHING,
        receive: Any = _NOTHING,
        send: Any = _NOTHING,
        *,
        environ: Any = _NOTHING,
        start_response: Any = _NOTHING,
    ) -> Any:
        """Serve a call of a server, through the interface that the arguments show."""
        # Hot path: defaults instead of `*args, **kwargs`, so that a request creates neither a tuple nor a dictionary.
        if environ is start_response is _NOTHING:
            if send is not _NOTHING:
                if receive is not _NOTHING and scope is not _NOTHING:
                    return self._asgi(scope, receive, send)
            elif receive is not _NOTHING and isinstance(scope, dict):
                offer(scope)  # pyright: ignore[reportUnknownArgumentType]  # a dict of anything
                return self._wsgi(scope, receive)  # pyright: ignore[reportUnknownArgumentType]  # a dict of anything
        return self._call_otherwise(
            {
                name: value
                for name, value in (
                    ("scope", scope),
                    ("receive", receive),
                    ("send", send),
                    ("environ", environ),
                    ("start_response", start_response),
                )
                if value is not _NOTHING
            }
        )

    async def _serve_asgi(self, scope: Any, receive: Any, send: Any) -> None:
        await self._asgi(scope, receive, send)

    def _call_otherwise(self, given: dict[str, Any]) -> Any:
        """Serve the rare calls: WSGI by keyword, ASGI 2, RSGI as a function. Raise ``TypeError`` for others."""
        match given:
            case {"environ": environ, "start_response": start_response, **rest} if not rest and _is_dict(environ):
                return self(environ, start_response)
            case {"scope": environ, "start_response": start_response, **rest} if not rest and _is_dict(environ):
                return self(environ, start_response)
            case {"scope": scope, **rest} if not rest and _is_dict(scope):
                return functools.partial(self._asgi, scope)
            case {"scope": scope, "receive": protocol, **rest} if not rest and hasattr(scope, "rsgi_version"):
                return self.__rsgi__(scope, protocol)
            case _:
                pass
        seen = ", ".join(f"{name}: {type(value).__name__}" for name, value in given.items())
        raise TypeError(
            f"{type(self).__name__} must be called as (scope, receive, send) by an ASGI server or as "
            f"(environ, start_response) by a WSGI server; got ({seen})"
        )

    @property
    def __rsgi__(self) -> Callable[[Any, Any], Coroutine[Any, Any, None]]:
        return self._as_rsgi().__rsgi__

    @property
    def __rsgi_init__(self) -> Callable[[Any], None]:
        return self._as_rsgi().__rsgi_init__

    @property
    def __rsgi_del__(self) -> Callable[[Any], None]:
        return self._as_rsgi().__rsgi_del__

    def _as_rsgi(self) -> RSGIApplication:
        if "_rsgi" not in vars(self):
            vars(self).setdefault("_rsgi", self._compose_rsgi())
        return self._rsgi

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name not in _INSTALLED}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._install()


def _is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _as_coroutine_function(asgi: ASGIApplication) -> Callable[[Any, Any, Any], Coroutine[Any, Any, None]]:
    """Return the application itself if a call of it gives a real coroutine, else a function around it."""
    if gives_coroutine(asgi):
        return asgi  # type: ignore[return-value]  # just checked: it returns a coroutine

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        await asgi(scope, receive, send)

    return serve
