"""A chain: middleware in the order that the user gave, planned with the fewest adapters and built for both interfaces.

What a chain may hold:

- WSGI+ASGI middleware (`gateway.contract.Middleware`), which runs in either interface; neighbours in one interface
  are one wrapper, run by one driver;
- third parties, each for one interface: `wsgi_only` and `asgi_only`, or `either` where there is a twin for each;
- any of these on a condition: `when` and `unless`.

Everything is decided here, when a chain is built, for both kinds of server: the interface of each middleware
(``_planner``), the order rules (``_order``), who sees websockets, what is refused. Nothing is decided in a
request. `Chain.explain` says what came out.

Two paths lead through a chain under an ASGI server. ``http`` takes the planned one, adapters included. ``lifespan``
and ``websocket`` cannot enter WSGI, so they go by the *other* path, which passes every WSGI part by and leads to the
innermost ASGI application. A third party's WSGI middleware that a websocket would pass by is therefore refused, unless
whoever built the chain says that this is safe: an address filter that is skipped is a hole. Where both paths are one
object, as in every chain without adapters, there is no fork at all.

Under a WSGI server a websocket is a request whose socket is taken over, and nothing that stands outside of the
application's adapter would understand how that ends. With ``websockets=True`` handshakes therefore part from the
other requests where the server calls, and go into the adapter by the same other path: every middleware that takes
part stands inside of it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from gateway.adapters._options import NO_OPTIONS
from gateway.chain._conditions import PathIn, Predicate
from gateway.chain._engines import BUILTIN, find
from gateway.chain._explain import Explanation, Part, counted
from gateway.chain._items import (
    Item,
    ThirdParty,
    checked,
    conditional,
    kind_of,
    listed,
    name_of,
    node_of,
    rules_of,
    sees_websockets,
    third_party,
)
from gateway.chain._joints import AsgiState, Takeover, WsgiState, joined
from gateway.chain._order import broken
from gateway.chain._planner import Colour, Plan, Segment, plan
from gateway.contract import Middleware
from gateway.drivers import build_asgi, build_wsgi
from gateway.errors import ConfigurationError
from gateway.plugins import Engine
from gateway.protocols import ASGIApplication, WSGIApplication

if TYPE_CHECKING:
    from gateway.adapters.asgi_to_wsgi import AsgiToWsgi

__all__ = ["Chain", "ChainItem", "ChainWarning", "asgi_only", "either", "path_in", "unless", "when", "wsgi_only"]

#: What ``middleware=[...]`` may hold: WSGI+ASGI middleware, and what the functions here make.
ChainItem: TypeAlias = Item


class ChainWarning(UserWarning):
    """A chain that works, and that its author may not want: an order rule broken, more than one adapter."""


def wsgi_only(
    middleware: Callable[..., object], /, *args: object, safe_to_skip: bool = False, **options: object
) -> ThirdParty:
    """Put a WSGI middleware of a third party into a chain.

    Args:
        middleware: Its class or factory; called once with the application, then ``args`` and ``options``.
        args: Further positional arguments of it.
        safe_to_skip: Websockets may pass it by. Needed where the application speaks ASGI.
        options: Keyword arguments of it.

    >>> from werkzeug.middleware.proxy_fix import ProxyFix
    >>> wsgi_only(ProxyFix, x_for=1).name
    'ProxyFix'
    """
    return replace(third_party("wsgi", middleware, args, options), safe_to_skip=safe_to_skip)


def asgi_only(middleware: Callable[..., object], /, *args: object, **options: object) -> ThirdParty:
    """Put an ASGI middleware of a third party into a chain.

    Args:
        middleware: Its class or factory; called once with the application, then ``args`` and ``options``.
        args: Further positional arguments of it.
        options: Keyword arguments of it.
    """
    return third_party("asgi", middleware, args, options)


def either(
    *,
    wsgi: ThirdParty | Callable[..., object],
    asgi: ThirdParty | Callable[..., object],
    short_circuits: bool = False,
    body_cpu: bool = False,
) -> ThirdParty:
    """Put a third party's twins into a chain: the same middleware for WSGI and for ASGI; the plan takes one.

    Where the plan has a choice it takes the one beside the application, which sees the most of it: its exceptions, its
    context variables. Websockets always see the ASGI twin.

    Args:
        wsgi: The WSGI twin: a factory, or ``wsgi_only(...)`` where it has options.
        asgi: The ASGI twin: a factory, or ``asgi_only(...)``.
        short_circuits: They may answer by themselves, so they should rather stand where the server calls them.
        body_cpu: They spend CPU on bodies, so they should rather stand where worker threads run them.
    """
    one = wsgi if isinstance(wsgi, ThirdParty) else wsgi_only(wsgi)
    other = asgi if isinstance(asgi, ThirdParty) else asgi_only(asgi)
    if one.wsgi is None or other.asgi is None:
        raise ConfigurationError(
            f"either(wsgi=..., asgi=...) takes a WSGI middleware and an ASGI one, got {one.name} ({one.kind}) and "
            f"{other.name} ({other.kind})"
        )
    return ThirdParty(
        name=one.name if one.name == other.name else f"{one.name}|{other.name}",
        # By way of each twin, so that an error names the one that is wrong.
        wsgi=partial(one.wrap, "wsgi"),
        asgi=partial(other.wrap, "asgi"),
        short_circuits=short_circuits,
        body_cpu=body_cpu,
    )


def when(predicate: Predicate, middleware: ChainItem) -> ChainItem:
    """Run a middleware only for requests that the predicate holds for.

    Args:
        predicate: Asked once per request, with the request as it is at that place of the chain; it must not change it.
            `path_in` makes one.
        middleware: WSGI+ASGI, or a third party's.
    """
    return conditional(predicate, middleware, negate=False)


def unless(predicate: Predicate, middleware: ChainItem) -> ChainItem:
    """Run a middleware only for requests that the predicate does not hold for.

    Args:
        predicate: As in `when`.
        middleware: WSGI+ASGI, or a third party's.
    """
    return conditional(predicate, middleware, negate=True)


def path_in(*prefixes: str) -> Predicate:
    """Make a predicate that holds for paths at or below one of the prefixes, by whole segments.

    Args:
        prefixes: Each starts with "/"; ``/api`` holds for ``/api`` and ``/api/users``, not for ``/apix``.
    """
    return PathIn(prefixes)


class Chain:
    """Middleware around an application, planned and built for both kinds of server.

    Attributes:
        wsgi: What a WSGI server calls.
        asgi: What an ASGI server calls.
        plans: The plan for each kind of server.
    """

    wsgi: WSGIApplication
    asgi: ASGIApplication

    def __init__(
        self,
        applications: Mapping[Colour, object],
        middleware: Iterable[object] = (),
        *,
        name: str = "application",
        engine: str | Engine = "builtin",
        max_adapters: int = 2,
        whole: bool = False,
        holds_more: bool = False,
        websockets: bool = False,
        options: Mapping[str, Any] = NO_OPTIONS,
    ) -> None:
        """Plan and build.

        Args:
            applications: The application for each interface that it speaks by itself: one, or both.
            middleware: Outermost first: WSGI+ASGI middleware, `wsgi_only`, `asgi_only`, `either`, `when`, `unless`.
            name: What the explanation calls the application.
            engine: The engine that makes the adapters; its name or the engine itself.
            max_adapters: How many adapters the plan for either kind of server may have.
            whole: An application that speaks both interfaces has parts with a lifespan or websockets, so an ASGI server
                must reach it by its ASGI side.
            holds_more: The application may have chains of its own inside, which share the state of a request.
            websockets: Serve them under WSGI servers that hand over their socket.
            options: Options of the built-in adapters, by name.

        Raises:
            ConfigurationError: An item is no middleware, a plan has too many adapters, a websocket would pass by a
                middleware that was not declared safe to skip, a third party's middleware could not be made,
                ``websockets`` cannot be had, or an option is for an adapter that neither plan has.
            MissingExtraError: ``websockets`` without wsproto.

        Warns:
            ChainWarning: An order rule is broken, or a plan has more than one adapter.
        """
        self._applications = applications
        self._items = tuple(checked(item) for item in listed(middleware))
        self._crossings = find(engine, options)
        # What each place shares between its builds: a limit counts requests and handshakes together.
        self._shared: tuple[dict[str, object], ...] = tuple({} for _ in self._items)
        nodes = tuple(node_of(item) for item in self._items)
        speaks: frozenset[Colour] = frozenset(applications)
        self.plans: dict[Colour, Plan] = {
            "wsgi": plan("wsgi", nodes, speaks),
            "asgi": plan("asgi", nodes, frozenset({"asgi"}) if whole else speaks),
        }
        speaks_websocket = self.plans["asgi"].application == "asgi"
        messages = broken([rules_of(item) for item in self._items])
        messages.extend(self._check_adapters(max_adapters))
        if speaks_websocket:
            self._check_websockets()
        if websockets:
            self._check_takeover()
        self._crossings.check([plan.line for plan in self.plans.values()], holds_more=holds_more)
        for message in messages:
            warnings.warn(message, ChainWarning, stacklevel=_outside_of_package())
        self._explanation = Explanation(
            application=name,
            engine=self._crossings.name,
            plans=self.plans,
            parts=[
                Part(name=name_of(item), kind=kind_of(item), websocket=sees_websockets(item)) for item in self._items
            ],
            max_adapters=max_adapters,
            speaks_websocket=speaks_websocket,
            takes_sockets=websockets,
            warnings=tuple(messages),
        )
        built: dict[object, tuple[object, ASGIApplication | None]] = {}
        # The checks above hold for what `_build` returns: an application of the interface that was asked for.
        http, other = self._build(self.plans["wsgi"], built)
        self.wsgi = cast("WSGIApplication", http)
        if websockets:
            # The plan has an adapter to take sockets over, and the application inside it speaks ASGI.
            self.wsgi = Takeover(self.wsgi, cast("AsgiToWsgi", self._entrance), cast("ASGIApplication", other))
        self.asgi = joined(*self._build(self.plans["asgi"], built))
        if _shares_state(self.plans["wsgi"], holds_more=holds_more):
            self.wsgi = WsgiState(self.wsgi)
        if _shares_state(self.plans["asgi"], holds_more=holds_more):
            self.asgi = AsgiState(self.asgi)

    def explain(self) -> Explanation:
        """Say what the chain does under each kind of server."""
        return self._explanation

    def _check_adapters(self, max_adapters: int) -> list[str]:
        worst = max(self.plans.values(), key=lambda plan: plan.adapters)
        # What the application needs by itself is no fault of its middleware.
        bare = plan(worst.server, (), frozenset(self._applications)).adapters
        if worst.adapters > max(max_adapters, bare):
            raise ConfigurationError(
                f"this chain needs {counted(worst.adapters)} under {worst.server.upper()} servers, and the limit is "
                f"{counted(max_adapters)} (max_adapters={max_adapters}): {self._line(worst)}; group middleware of "
                f"the same interface, replace one with WSGI+ASGI middleware or either(wsgi=..., asgi=...), or raise "
                f"max_adapters"
            )
        if worst.adapters <= 1:
            return []
        return [
            f"this chain has {counted(worst.adapters)} under {worst.server.upper()} servers: {self._line(worst)}; "
            f"explain() shows what they cost"
        ]

    def _line(self, plan: Plan) -> str:
        """Draw a plan in one line, a bar at each adapter."""
        names = ["server", *(name_of(item) for item in self._items), "application"]
        drawn = names[0]
        for name, outer, inner in zip(names[1:], plan.line, plan.line[1:], strict=False):
            drawn += f" | {name}" if outer != inner else f", {name}"
        return drawn

    def _check_websockets(self) -> None:
        plan = self.plans["asgi"]
        for item, interface in zip(self._items, plan.interfaces, strict=True):
            if interface == "wsgi" and isinstance(item, ThirdParty) and item.asgi is None and not item.safe_to_skip:
                where = f"{item.place}: " if item.place else ""
                write = "safe_to_skip = true" if item.place else "wsgi_only(..., safe_to_skip=True)"
                raise ConfigurationError(
                    f"{where}WebSockets would bypass {item.name}: it is for WSGI only, and the application speaks "
                    f"ASGI; if that is safe (static files, compression), write {write}; if it protects the "
                    f"application, use WSGI+ASGI or ASGI middleware instead"
                )

    def _check_takeover(self) -> None:
        if self._crossings.engine is not BUILTIN:
            raise ConfigurationError(
                f"websockets=True needs engine='builtin', the only one that takes over a server's socket; got "
                f"{self._crossings.name!r}"
            )
        if self.plans["wsgi"].application != "asgi":
            raise ConfigurationError(
                "websockets=True needs an ASGI application, and a WSGI server calls this one as WSGI; inside a Mount, "
                "set it on the Gateway of each ASGI application"
            )

    def _build(
        self, plan: Plan, built: dict[object, tuple[object, ASGIApplication | None]]
    ) -> tuple[object, ASGIApplication | None]:
        """Build one plan from the inside; what both plans share from some place inwards is built once.

        Returns:
            The planned path, and the one of lifespan and websockets.
        """
        colour = plan.application
        http = self._applications[colour]
        # Where lifespan and websockets go: the innermost ASGI application; None while all inside is WSGI.
        other = cast("ASGIApplication", http) if colour == "asgi" else None
        for segment in reversed(plan.segments):
            # An adapter from here to ASGI comes *back* if an ASGI part is outside, which runs the lifespan.
            inwards = plan.line[segment.start + 1 :]
            back = segment.interface == "wsgi" and "asgi" in inwards and "asgi" in plan.line[: segment.start + 1]
            key = (segment.start, inwards, back)
            if key not in built:
                http, other = self._cross(colour, segment.interface, http, other, back=back)
                built[key] = self._wrap(segment, http, other)
            http, other = built[key]
            colour = segment.interface
        return self._cross(colour, plan.server, http, other, back=False)

    def _cross(
        self, inner: Colour, outer: Colour, http: object, other: ASGIApplication | None, *, back: bool
    ) -> tuple[object, ASGIApplication | None]:
        if inner == outer:
            return http, other
        if outer == "wsgi":
            crossed_back = self._crossings.asgi_to_wsgi(joined(http, other), back=back)
            if not back:
                self._entrance: object = crossed_back  # it runs the lifespan; there is one at most in a plan
            return crossed_back, other
        crossed = self._crossings.wsgi_to_asgi(cast("WSGIApplication", http), comes_back=other is not None)
        return crossed, crossed if other is None else other

    def _wrap(
        self, segment: Segment, http: object, other: ASGIApplication | None
    ) -> tuple[object, ASGIApplication | None]:
        items = self._items[segment.start : segment.stop]
        if segment.colourless:
            middleware = [item for item in items if isinstance(item, Middleware)]
            shared = self._shared[segment.start : segment.stop]
            if segment.interface == "asgi":
                wrapped = build_asgi(middleware, joined(http, other), shared=shared)
                return wrapped, wrapped
            guards = [(item, place) for item, place in zip(middleware, shared, strict=True) if item.websocket]
            if other is not None and guards:
                other = build_asgi([item for item, _ in guards], other, shared=[place for _, place in guards])
            return build_wsgi(middleware, cast("WSGIApplication", http), shared=shared), other
        item = cast("ThirdParty", items[0])  # a third party is a group of its own
        if segment.interface == "asgi":
            outer = cast("ASGIApplication", item.wrap("asgi", joined(http, other)))
            return outer, outer
        if other is not None and item.asgi is not None:
            other = cast("ASGIApplication", item.wrap("asgi", other))
        return item.wrap("wsgi", http), other


def _shares_state(plan: Plan, *, holds_more: bool) -> bool:
    """Whether what one wrapper puts into the state of a request could be looked for by another further out.

    A wrapper copies a scope for what stands inside of it, and an adapter makes one from an environ: what begins inside
    is not seen outside. One wrapper alone needs nothing.
    """
    wrappers = sum(segment.colourless for segment in plan.segments)
    return wrappers > 1 or (wrappers == 1 and holds_more)


def _outside_of_package() -> int:
    """Return the stack level of whoever built the chain, for a warning that points there."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "gateway":
        level, frame = level + 1, frame.f_back
    return level
