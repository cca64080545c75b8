"""Items of a chain: WSGI+ASGI middleware and third-party middleware, and the facts about each that the plan needs.

Third-party middleware is stored as a function that wraps an application, for one interface or for each. On a condition
the function returns a branch, which chooses at each request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias, cast

from gateway.chain._conditions import AsgiBranch, Conditional, PathIn, Predicate, WsgiBranch, require_predicate
from gateway.chain._order import Rules
from gateway.chain._planner import BOTH, INTERFACES, Colour, Node
from gateway.contract import FlowFactory, Middleware, hook, require_middleware
from gateway.dual import Dual
from gateway.errors import ConfigurationError
from gateway.exchange import Request
from gateway.plugins import reason
from gateway.protocols import ASGIApplication, WSGIApplication, detect

__all__ = [
    "Item",
    "ThirdParty",
    "Wrap",
    "checked",
    "conditional",
    "kind_of",
    "listed",
    "name_of",
    "node_of",
    "rules_of",
    "sees_websockets",
    "third_party",
]

Wrap: TypeAlias = Callable[[object], object]


@dataclass(frozen=True, kw_only=True)
class ThirdParty:
    """Third-party middleware for one interface, or a pair; made by `wsgi_only`, `asgi_only` and `either`.

    Attributes:
        name: Name in the explanation.
        wsgi: Wraps a WSGI application; None if it cannot.
        asgi: Wraps an ASGI application; None if it cannot.
        safe_to_skip: Whether WebSockets may bypass it.
        short_circuits: Whether it may respond itself; if possible, the plan then uses the server's interface.
        body_cpu: Whether it spends CPU on bodies; if possible, the plan then uses WSGI, in worker threads.
        place: Key of the configuration file that it came from.
    """

    name: str
    wsgi: Wrap | None = field(default=None, repr=False)
    asgi: Wrap | None = field(default=None, repr=False)
    safe_to_skip: bool = False
    short_circuits: bool = False
    body_cpu: bool = False
    place: str = ""

    @property
    def runs_in(self) -> frozenset[Colour]:
        """Interfaces that it can run in."""
        return frozenset(colour for colour in INTERFACES if self._of(colour) is not None)

    @property
    def kind(self) -> str:
        """Kind in the explanation."""
        return "either" if self.runs_in == BOTH else f"{next(iter(self.runs_in))} only"

    def _of(self, colour: Colour) -> Wrap | None:
        return self.wsgi if colour == "wsgi" else self.asgi

    def wrap(self, colour: Colour, app: object) -> object:
        """Wrap an application of that interface.

        Raises:
            ConfigurationError: The factory raised, or its result is not callable or has another interface.
        """
        # The plan uses only interfaces in `runs_in`, so a missing function would be a bug of this package.
        factory = cast("Wrap", self._of(colour))
        where = f"{self.place}: {self.name}" if self.place else f"{colour}_only({self.name}, ...)"
        try:
            wrapped = factory(app)
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"{where}: wrapping the application raised {reason(error)}; check the middleware's options"
            ) from error
        if not callable(wrapped):
            raise ConfigurationError(f"{where} must return an application when it is called with one, got {wrapped!r}")
        try:
            spoken = detect(wrapped)
        except ConfigurationError:  # its interface cannot be detected: trust the user's declaration
            return wrapped
        if not isinstance(wrapped, Dual) and spoken != colour:
            if spoken not in INTERFACES:  # a chain calls only WSGI and ASGI
                remedy = f"use its {colour.upper()} version"
            else:
                remedy = f"write interface = {spoken!r}" if self.place else f"write {spoken}_only({self.name}, ...)"
            raise ConfigurationError(
                f"{where} must return an application for {colour.upper()}, got one for {spoken.upper()}; {remedy}"
            )
        return wrapped


#: An item of a chain.
Item: TypeAlias = Middleware | ThirdParty


def listed(middleware: object) -> tuple[object, ...]:
    """Return the value of ``middleware=`` as a tuple.

    Raises:
        ConfigurationError: The value is a single middleware, a string or None instead of a list.
    """
    if isinstance(middleware, str | bytes) or not isinstance(middleware, Iterable):
        raise ConfigurationError(
            f"middleware= must be a list of middleware, outermost first, got {middleware!r}; write middleware=[...]"
        )
    return tuple(cast("Iterable[object]", middleware))


def checked(item: object) -> Item:
    """Return the item if a chain accepts it.

    Raises:
        ConfigurationError: It is not middleware; for example a class or factory that was not called, or third-party
            middleware without `wsgi_only` or `asgi_only`. The message has the remedy.
    """
    return item if isinstance(item, ThirdParty) else require_middleware(item)


def conditional(predicate: Predicate, middleware: Item, *, negate: bool) -> Item:
    where = "unless" if negate else "when"
    require_predicate(predicate, where)
    item = checked(middleware)
    if isinstance(item, Middleware):
        return Conditional(predicate=predicate, inner=item, negate=negate)

    def asked(request: Request) -> bool:
        return bool(predicate(request)) is not negate

    def wsgi(app: object) -> object:
        return WsgiBranch(asked, cast("WSGIApplication", item.wrap("wsgi", app)), cast("WSGIApplication", app))

    def asgi(app: object) -> object:
        return AsgiBranch(asked, cast("ASGIApplication", item.wrap("asgi", app)), cast("ASGIApplication", app))

    return replace(
        item,
        name=f"{where}({predicate!r}, {item.name})" if isinstance(predicate, PathIn) else f"{where}(..., {item.name})",
        wsgi=None if item.wsgi is None else wsgi,
        asgi=None if item.asgi is None else asgi,
    )


def node_of(item: Item) -> Node:
    if isinstance(item, ThirdParty):
        return Node(
            name=item.name,
            runs_in=item.runs_in,
            short_circuits=item.short_circuits,
            body_cpu=item.body_cpu,
            # A pair usually watches the application (an error tracker), unless its options declare another purpose.
            watches=item.runs_in == BOTH and not item.short_circuits and not item.body_cpu,
            colourless=False,
        )
    answers = item.short_circuits
    if answers is None:
        answers = hook(_innermost(item), "on_request") is not None
    return Node(name=name_of(item), short_circuits=answers, body_cpu=item.body_cpu)


def _innermost(item: Middleware) -> Middleware:
    return _innermost(item.inner) if isinstance(item, Conditional) else item


def rules_of(item: Item) -> Rules:
    if isinstance(item, ThirdParty):
        return Rules(name=item.name)
    name = type(_innermost(item)).__name__
    for key, names in (("after", item.after), ("before", item.before)):
        if isinstance(cast("object", names), str):
            raise ConfigurationError(f"{name}.{key} must be a tuple of names, got {names!r}; write ({names!r},)")
    return Rules(name=name, after=item.after, before=item.before)


def name_of(item: Item) -> str:
    if isinstance(item, ThirdParty):
        return item.name
    if not isinstance(item, Conditional):
        return type(item).__name__
    predicate = repr(item.predicate) if isinstance(item.predicate, PathIn) else "..."
    return f"{'unless' if item.negate else 'when'}({predicate}, {name_of(item.inner)})"


def kind_of(item: Item) -> str:
    return item.kind if isinstance(item, ThirdParty) else "WSGI+ASGI"


def sees_websockets(item: Item) -> bool:
    return item.asgi is not None if isinstance(item, ThirdParty) else item.websocket


def third_party(
    colour: Colour, factory: Callable[..., object], args: tuple[object, ...], options: dict[str, object]
) -> ThirdParty:
    """Make an item of a class or factory that wraps an application of one interface.

    Raises:
        ConfigurationError: It is not callable, or it is WSGI+ASGI middleware.
    """
    given: object = factory
    if isinstance(given, ThirdParty):
        raise ConfigurationError(
            f"{given.name} is already wrapped as {given.kind}; do not wrap it again with {colour}_only(...), got "
            f"{given!r}"
        )
    kind = given.kind if isinstance(given, FlowFactory) else given if isinstance(given, type) else type(given)
    if issubclass(kind, Middleware):
        raise ConfigurationError(
            f"{kind.__name__} runs under WSGI and ASGI, so {colour}_only(...) does not apply to it; write "
            f"middleware=[{kind.__name__}(...)]"
        )
    if not callable(given):
        raise ConfigurationError(f"{colour}_only(...) takes a middleware's class or factory, got {given!r}")
    named: object = getattr(factory, "func", factory)  # a functools.partial has the name of its function
    name = str(getattr(named, "__name__", type(named).__name__))

    def wrap(app: object) -> object:
        return factory(app, *args, **options)

    return ThirdParty(name=name, wsgi=wrap) if colour == "wsgi" else ThirdParty(name=name, asgi=wrap)
