"""Types of the interfaces between server and application, and ``detect()``, which finds an application's interface.

Beside ``__call__`` of ``Gateway`` and ``Mount``, the aliases below are the only place with ``Any``. Frameworks annotate
their application objects in mutually exclusive ways, and a parameter has to accept all of them.

``detect()`` inspects an object (whether it is a coroutine function, which arguments it takes) and never calls it. In
doubt it raises an error with the remedy, because a wrong guess would be a traceback in the first request.

**Wrappers.** A wrapper that names its arguments is judged by them, and ``__wrapped__`` is not read. A wrapper that
takes any arguments (``*args``) passes them on, so ``detect()`` judges the callable that receives them, called the same
way. If the wrapper is a method, that callable is bound to the same object; a ``functools.partial`` adds its arguments.
The callable is ``__wrapped__`` (``functools.wraps``, wrapt), or the method that a subclass overrides. ``detect()``
ignores attributes that ``functools.wraps`` copied to a function. ``_inner()`` implements this rule; ``_KNOWN`` lists
the few wrappers that pass on other arguments than they receive.

(Above 400 lines: types, rules of detection and refusals are read together.)

Sources: PEP 3333; ASGI specification 3.0 "Applications", "Legacy Applications"; RSGI specification 1.6.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeGuard, cast, get_args
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from gateway.errors import ConfigurationError

__all__ = [
    "ASGI2Application",
    "ASGIApplication",
    "ASGIReceive",
    "ASGISend",
    "Application",
    "Environ",
    "Interface",
    "Message",
    "RSGIApplication",
    "Scope",
    "StartResponse",
    "UntypedWSGIApplication",
    "WSGIApplication",
    "accepts_arguments",
    "check_interface",
    "detect",
    "gives_coroutine",
    "is_coroutine_function",
    "is_factory",
    "is_proxy",
]

#: Calling convention between a server and an application.
Interface = Literal["wsgi", "asgi", "asgi2", "rsgi"]

#: The dictionary that a WSGI server passes to the application, for one request (PEP 3333).
Environ: TypeAlias = WSGIEnvironment
#: The dictionary that an ASGI server passes to the application, for one connection.
Scope: TypeAlias = MutableMapping[str, Any]
#: One ASGI message; its key ``type`` names its kind.
Message: TypeAlias = MutableMapping[str, Any]
#: Coroutine function that returns the next message of the server.
ASGIReceive: TypeAlias = Callable[[], Awaitable[Message]]
#: Coroutine function that passes a message to the server.
ASGISend: TypeAlias = Callable[[Message], Awaitable[None]]
#: Type of a public parameter that takes an ASGI application.
ASGIApplication: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
#: The double callable of ASGI 2, usually a class: ``application(scope)`` returns ``instance(receive, send)``.
ASGI2Application: TypeAlias = Callable[[Any], Callable[[Any, Any], Awaitable[None]]]
#: Django's handlers have no annotations; pyright infers that the WSGI handler may return a coroutine.
UntypedWSGIApplication: TypeAlias = Callable[
    [WSGIEnvironment, StartResponse], Iterable[bytes] | Coroutine[Any, Any, Any]
]
#: Type of a public parameter that takes an application of any interface but RSGI.
Application: TypeAlias = WSGIApplication | ASGIApplication | ASGI2Application | UntypedWSGIApplication


class RSGIApplication(Protocol):
    """Application object of RSGI, Granian's own interface; a worker calls ``__rsgi_init__`` first."""

    async def __rsgi__(self, scope: Any, protocol: Any, /) -> None:
        """Serve one request or one WebSocket."""
        ...

    def __rsgi_init__(self, loop: Any, /) -> None:
        """Start, on a loop that does not run yet."""
        ...

    def __rsgi_del__(self, loop: Any, /) -> None:
        """Stop, on a loop that has stopped running."""
        ...


#: Callables that hide their interface behind ``*args`` and pass on other arguments, by module and name of their code.
_KNOWN: Final[Mapping[tuple[str, str], Interface]] = {
    ("wsgiref.validate", "validator.<locals>.lint_app"): "wsgi",
    ("webtest.lint", "middleware.<locals>.lint_app"): "wsgi",
    ("webob.dec", "wsgify.__call__"): "wsgi",
    ("werkzeug.wrappers.request", "Request.application.<locals>.application"): "wsgi",
}
_FUNCTIONS: Final = (
    functools.partial,
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
)
#: Names of the first parameter that show that a callable is not an application, and the reason for the error.
_TELLING: Final[Mapping[str, str]] = {
    "scope": "`scope` is a parameter of ASGI and RSGI, and their callables are `async def`",
    "receive": "it is an instance of an ASGI 2 application; give the class",
    "event": "a function handler (event, context) is not a WSGI application",
    "request": "a view function is not an application",
    "req": "a view function is not an application",
    "self": "it is an unbound method, without its object; give the bound method, instance.method",
    "cls": "it is a class method without its class; give the bound method, Class.method",
}


class _Shape:
    """Positional parameters of a callable: their names, and how many arguments it needs and accepts."""

    __slots__ = ("accepts", "names", "needs", "variadic")

    def __init__(self, parameters: Iterable[inspect.Parameter]) -> None:
        self.names: list[str] = []
        self.needs = 0
        self.variadic = False
        for parameter in parameters:
            if parameter.kind is parameter.VAR_POSITIONAL:
                self.variadic = True
            elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                self.names.append(parameter.name.strip("_").lower())
                self.needs += parameter.default is parameter.empty
            elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
                self.needs += 99  # servers pass no such argument, so no number of arguments is enough
        self.accepts = len(self.names)

    def first(self) -> str:
        return self.names[0] if self.names else ""


def check_interface(interface: str) -> Interface:
    """Return the interface of that name.

    Raises:
        ConfigurationError: The interface does not exist.
    """
    for known in get_args(Interface):
        if interface == known:
            found: Interface = known
            return found
    raise ConfigurationError(
        f"an interface must be 'wsgi', 'asgi', 'asgi2' or 'rsgi' (served by granian only), got {interface!r}"
    )


def detect(app: object, interface: str | None = None) -> Interface:
    """Return the interface of an application, without calling it.

    The rules, in this order. The argument ``interface`` wins. Then the object's own attributes count:
    ``__gateway_interface__`` and asgiref's marks. A coroutine function with three arguments is ASGI, with two RSGI. A
    plain callable with two arguments is WSGI. A class is judged by its constructor. A wrapper that takes any arguments
    is judged by the callable that receives them.

    Args:
        app: The application object, function or class.
        interface: The interface, if the caller knows it. It is checked, and ``app`` is not inspected.

    Returns:
        ``"wsgi"``, ``"asgi"``, ``"asgi2"`` or ``"rsgi"``. For an object that takes every interface (a ``Gateway``), the
        interface of the application inside it.

    Raises:
        ConfigurationError: ``app`` is not an application, or its interface is not clear. The message has the reason and
            the remedy.

    >>> def app(environ, start_response):
    ...     start_response("204 No Content", [])
    ...     return []
    >>> detect(app)
    'wsgi'
    """
    if interface is not None:
        return check_interface(interface)
    said = getattr(app, "__gateway_interface__", None)
    if isinstance(said, str) and not _is_copied(app, "__gateway_interface__"):
        return check_interface(said)
    if _is_class(app):
        return _detect_class(cast("type", app))
    if not callable(app):
        if hasattr(app, "__rsgi__"):
            return "rsgi"
        if isinstance(app, str):
            raise _refusal(app, "it is a string", "import the application and give the object itself")
        raise _refusal(app, "it is not callable", "give the application object")
    # An object is judged by its own attribute `__call__`, as servers do: an object with several interfaces shows one
    # of them there. A function is judged by itself, because `functools.wraps` copies the attribute `__call__` of such
    # an object into the function's dictionary, where it has no effect.
    if not _is_function(app):
        for mark, meaning in (("_asgi_single_callable", "asgi"), ("_asgi_double_callable", "asgi2")):
            if getattr(app, mark, None) is True:
                return check_interface(meaning)
    return _detect_callable(app, _call_of(app))


def is_coroutine_function(call: object) -> bool:
    """Return whether a call returns a coroutine: an ``async def``, bound or partial, or a marked function."""
    if inspect.iscoroutinefunction(call):
        return True
    if getattr(call, "_is_coroutine", None) is None:  # the mark of Python 3.11; `inspect` finds the later mark
        return False
    import asgiref.sync

    return bool(asgiref.sync.iscoroutinefunction(call))  # pyright: ignore[reportDeprecated]  # asyncio's or inspect's, by version


def gives_coroutine(app: object) -> bool:
    """Return whether a call of an application returns a coroutine; an object is judged by its ``__call__``."""
    # Not the attribute `__call__` of a function: `functools.wraps` may have copied it.
    return is_coroutine_function(app) or (
        not _is_function(app) and is_coroutine_function(getattr(app, "__call__", None))  # noqa: B004
    )


def accepts_arguments(app: object, number: int) -> bool:
    """Return whether ``app`` can be called with ``number`` positional arguments; true if Python has no signature."""
    if not callable(app):
        return False
    shape = _shape(_call_of(app))
    return shape is None or (shape.needs <= number and (shape.variadic or number <= shape.accepts))


def is_factory(call: object) -> bool:
    """Return whether a function is a factory of applications: it can be called without arguments."""
    if not callable(call) or not _is_function(call):
        return False
    if is_coroutine_function(call) or inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        return False
    shape = _shape(call)
    if shape is None or shape.needs or shape.first() in ("environ", "scope"):
        return False
    return any(map(is_factory, _inner(call, call))) if shape.variadic else True


def is_proxy(app: object) -> bool:
    """Return whether an object is a proxy (of wrapt, New Relic), which reports the class of the object inside it.

    ``isinstance`` accepts a proxy. Call this before you read ``wsgi`` or ``asgi`` of a `Gateway`: through a proxy that
    would skip the work of the proxy.
    """
    return app.__class__ is not type(app)


def _is_function(app: object) -> bool:
    # Not `inspect.isroutine`, which accepts any object with `__get__`, such as a decorator class. Not `isinstance`,
    # which accepts a proxy, and a proxy is an object with a separate `__call__`.
    return issubclass(type(app), _FUNCTIONS)


def _is_partial(app: object) -> TypeGuard[functools.partial[object]]:
    return issubclass(type(app), functools.partial)  # `isinstance` would accept a proxy


def _is_class(app: object) -> bool:
    return issubclass(type(app), type)


def _call_of(app: object) -> Callable[..., object]:
    """Return the callable to inspect: a function or a class itself, the ``__call__`` of another object."""
    own = _is_class(app) or _is_function(app)
    return cast("Callable[..., object]", app if own else app.__call__)  # type: ignore[operator]  # only called with callables


def _inner(app: object, call: Callable[..., object]) -> Iterator[Callable[..., object]]:
    """Yield the callables to which a callable of any arguments may pass them on, the likeliest first.

    The docstring of this module has the rule.

    Args:
        app: The application.
        call: Its callable to inspect, from ``_call_of()``.
    """
    if _is_partial(call):
        for inner in _inner(call.func, _call_of(call.func)):
            yield functools.partial(inner, *call.args, **call.keywords) if call.args or call.keywords else inner
        return
    found: list[object] = []
    wrapped: object = getattr(call, "__wrapped__", None)
    if inspect.ismethod(call):
        # A patched method: the original takes `self` too. A method may also wrap an application that is not a method.
        found += [_bound(wrapped, call.__self__), wrapped, _overridden(call)]
    else:
        found.append(wrapped)
    if call is not app:
        of_class = inspect.getattr_static(type(app), "__wrapped__", None)
        if _is_class(of_class):  # if the class wraps a class, judge this object as an instance of the wrapped class
            found.append(_bound(getattr(of_class, "__call__", None), app))  # noqa: B004
        else:
            found.append(getattr(app, "__wrapped__", None))
    for each in found:
        if callable(each) and each is not app and each is not call:
            yield each


def _bound(method: object, owner: object) -> object:
    """Bind a function or a class method to an object, as its class does; return any other object unchanged."""
    bind: Callable[..., object] | None = getattr(type(method), "__get__", None)
    return method if bind is None or _is_class(method) else bind(method, owner, type(owner))


def _overridden(method: types.MethodType) -> object:
    """Return the base class method that a method overrides; None if it overrides nothing."""
    owner, name = method.__self__, method.__name__
    for kind in type(owner).__mro__:
        if vars(kind).get(name) is method.__func__:
            below: object = getattr(super(kind, owner), name, None)  # pyright: ignore[reportUnknownArgumentType]
            return below
    return None


def _is_copied(app: object, name: str) -> bool:
    """Return whether ``functools.wraps`` copied this attribute of a function from another object."""
    if type(app) is not types.FunctionType:
        return False
    attributes = vars(app)
    copied = attributes.get(name)
    return copied is not None and copied is getattr(attributes.get("__wrapped__"), name, None)


def _written(call: object) -> tuple[str, str]:
    """Return module and name of the code that runs; ``functools.wraps`` does not change them."""
    if _is_partial(call):
        return _written(call.func)
    function = getattr(call, "__func__", call)
    module: object = getattr(function, "__globals__", {}).get("__name__")
    return str(module), str(getattr(getattr(function, "__code__", None), "co_qualname", ""))


def _detect_callable(app: object, call: Callable[..., object]) -> Interface:
    known = _KNOWN.get(_written(call))
    if known is not None:
        return known
    shape = _shape(call)
    if inspect.isasyncgenfunction(call):
        raise _refusal(
            app, "it is an asynchronous generator, and no interface uses them", "write an `async def` that sends"
        )
    if shape is not None:
        found = _from_coroutine(app, call, shape) if is_coroutine_function(call) else _from_plain(app, call, shape)
        if found is not None:
            return found
    refusal: ConfigurationError | None = None
    for inner in _inner(app, call):
        try:
            return detect(inner)
        except ConfigurationError as error:
            refusal = refusal or error
        except RecursionError:  # wrappers in a circle, or an endless chain
            break
    if hasattr(app, "__rsgi__"):
        return "rsgi"
    if refusal is not None:
        raise refusal
    if shape is None:
        raise _refusal(app, "its arguments cannot be inspected")
    raise _refusal(app, f"it takes any arguments: {_spelled(call)}")


def _from_coroutine(app: object, call: Callable[..., object], shape: _Shape) -> Interface | None:
    if shape.first() in ("environ", "env"):
        raise _refusal(app, "it is an `async def` that takes an environ; WSGI applications are plain functions")
    if shape.first() in _TELLING and shape.first() != "scope":
        raise _refusal(app, f"it takes {_spelled(call)}: {_TELLING[shape.first()]}")
    if shape.accepts >= 3 and shape.needs <= 3:
        # Three parameters are ASGI, unless the third is optional and the second has RSGI's name.
        return "rsgi" if shape.needs == 2 and shape.names[1] in ("protocol", "proto") else "asgi"
    if shape.variadic and shape.needs <= 3:
        return "asgi"  # every server takes a coroutine function for ASGI
    if shape.accepts == 2:
        return "rsgi"
    if hasattr(app, "__rsgi__"):
        return "rsgi"
    raise _refusal(
        app,
        f"it is an `async def` that takes {_count(shape)}; ASGI applications take (scope, receive, send)",
        "give the application object, not a view or a factory",
    )


def _from_plain(app: object, call: Callable[..., object], shape: _Shape) -> Interface | None:
    first = shape.first()
    generator = inspect.isgeneratorfunction(call)
    if shape.variadic and shape.needs < 2:
        return None
    if shape.needs == 0 and first not in ("environ", "scope"):
        if hasattr(app, "__rsgi__"):
            return "rsgi"
        raise _refusal(
            app,
            f"it can be called without arguments: {_spelled(call)}, so it looks like a factory of applications",
            "call it and give what it returns (on the command line: --factory), or decorate it with gateway.wrap",
        )
    if shape.needs <= 3 and shape.accepts >= 3 and not generator and _gives_awaitable(call, shape):
        return "asgi"
    if shape.needs <= 2 <= shape.accepts:
        if first in _TELLING:
            raise _refusal(app, f"it takes {_spelled(call)}: {_TELLING[first]}")
        return "wsgi"
    if shape.needs <= 1 and shape.accepts == 1 and first == "scope" and not generator:
        return "asgi2"
    if hasattr(app, "__rsgi__"):
        return "rsgi"
    if first in _TELLING:
        raise _refusal(app, f"it takes {_spelled(call)}: {_TELLING[first]}")
    raise _refusal(
        app,
        f"it is a plain callable that takes {_spelled(call)}; "
        "WSGI applications take (environ, start_response), ASGI ones are `async def` and take (scope, receive, send)",
    )


def _gives_awaitable(call: Callable[..., object], shape: _Shape) -> bool:
    """Return whether a plain function of three arguments is ASGI, by its parameter names or return annotation."""
    if shape.first() == "scope" or shape.names[1:3] == ["receive", "send"]:
        return True
    promised = str(_own_signature(call).return_annotation)
    return "Awaitable" in promised or "Coroutine" in promised


def _detect_class(app: type) -> Interface:
    shape = _shape(app)
    if shape is not None:
        # A call of the class is a call of the application. Then an ASGI 2 server calls the instance, a WSGI server
        # iterates over it (as in PEP 3333's example), and an ASGI server awaits it (Starlette's endpoints).
        if shape.needs <= 1 <= shape.accepts and _takes_receive_and_send(app):
            return "asgi2"
        if shape.needs <= 2 <= shape.accepts and hasattr(app, "__iter__"):
            return "wsgi"
        if shape.needs <= 3 <= shape.accepts and hasattr(app, "__await__"):
            return "asgi"
    wrapped = getattr(app, "__wrapped__", None)
    if wrapped is not None and (shape is None or (shape.variadic and shape.needs == 0)):
        return detect(wrapped)
    raise _refusal(
        app,
        f"it is a class, and neither an ASGI 2 application (constructed with a scope, its instances called with "
        f"receive and send) nor an iterable or awaitable of a request: {app.__name__}{_spelled(app)}",
        f"give an instance: {app.__name__}(...)",
    )


def _takes_receive_and_send(app: type) -> bool:
    call = getattr(app, "__call__", None)  # noqa: B004  # the class's method is looked at, not whether the class is callable
    if not inspect.isfunction(call) or not is_coroutine_function(call):
        return False
    shape = _Shape(list(inspect.signature(call).parameters.values())[1:])
    return shape.needs <= 2 <= shape.accepts


def _shape(call: Callable[..., object] | type) -> _Shape | None:
    try:
        return _Shape(_own_signature(call).parameters.values())
    except (TypeError, ValueError):
        return None


def _own_signature(call: Callable[..., object] | type) -> inspect.Signature:
    return inspect.signature(_bare(call), follow_wrapped=False)


def _bare(call: object) -> Any:
    """Return the callable without a copied ``__signature__``: that of a Gateway is not the function's own."""
    if _is_partial(call):
        return functools.partial(_bare(_call_of(call.func)), *call.args, **call.keywords)
    if type(call) is types.MethodType:
        return types.MethodType(_bare(call.__func__), call.__self__)
    if not _is_copied(call, "__signature__"):
        return call
    function = cast("types.FunctionType", call)
    # The same code in a new function, only to read its signature; it is never called, so it needs no globals.
    bare = types.FunctionType(function.__code__, {}, function.__name__, function.__defaults__, function.__closure__)
    bare.__kwdefaults__ = function.__kwdefaults__
    return bare


def _count(shape: _Shape) -> str:
    return f"{shape.accepts} argument{'' if shape.accepts == 1 else 's'}"


def _spelled(call: Callable[..., object] | type) -> str:
    try:
        signature = _own_signature(call)
    except (TypeError, ValueError):
        return "(...)"
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    return str(inspect.Signature(bare))


def _refusal(
    app: object,
    seen: str,
    remedy: str = 'name its interface, "wsgi" or "asgi": for example Gateway(app, interface="wsgi")',
) -> ConfigurationError:
    kind = f"{type(app).__module__}.{type(app).__qualname__}"
    return ConfigurationError(
        f"an application must be recognised as WSGI or ASGI, got {app!r} of type {kind}: {seen}; {remedy} "
        f"(PEP 3333; ASGI specification, Applications)"
    )
