"""A chain: middleware in the user's order, planned with the fewest adapters and built for both interfaces.

A chain contains:

- WSGI+ASGI middleware (`gateway.contract.Middleware`), which runs in either interface. Neighbours in the same interface
  form a group: one wrapper, run by one driver.
- Third-party middleware for one interface: `wsgi_only` and `asgi_only`. `either` takes a pair, one for each interface.
- Any of these on a condition: `when` and `unless`.

A chain decides everything when it is built, for both kinds of server. It plans the interface of each middleware
(``_planner``), checks the order rules (``_order``), and decides which middleware sees WebSockets. Nothing is decided in
a request. `Chain.explain` describes the result.

Two paths lead through a chain under an ASGI server. ``http`` takes the planned path, adapters included. ``lifespan``
and ``websocket`` cannot enter WSGI. They take the *other* path, which bypasses every WSGI middleware and leads to the
innermost ASGI application. So the chain refuses third-party WSGI middleware that a WebSocket would bypass, unless the
user declares it safe to skip. A skipped address filter, for example, would be a security hole. If both paths are the
same object, as in every chain without adapters, the chain adds no fork.

Under a WSGI server a WebSocket is a request whose socket is taken over. Middleware outside the application's adapter
cannot handle how such a request ends. So with ``websockets=True`` the chain separates handshakes from other requests
at the server's call, and sends them into the adapter by the same other path. There, every middleware that handles
WebSockets is inside the adapter. With ``websocket_app`` the other path leads to that application.

A WSGI application may serve WebSockets itself, on the socket of its server. With ``websockets=True`` the innermost
adapter gives it one under ASGI servers: the other path ends there, and from there on a handshake is a request. Under a
WSGI server a handshake is a request everywhere, and the application takes the server's socket.

(Above 400 lines: the functions that users call, and one class that plans and builds.)
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from gateway.adapters._options import NO_OPTIONS, spelled
from gateway.chain._conditions import PathIn, Predicate
from gateway.chain._engines import BUILTIN, find
from gateway.chain._explain import Explanation, Part, application_name, counted, last_asgi
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
from gateway.chain._joints import AsgiState, Takeover, WithWebsockets, WsgiState, joined
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

#: An item of ``middleware=[...]``: WSGI+ASGI middleware, or a result of the functions below.
ChainItem: TypeAlias = Item


class ChainWarning(UserWarning):
    """The chain works, but probably not as intended: it breaks an order rule, or has more than one adapter."""


def wsgi_only(
    middleware: Callable[..., object], /, *args: object, safe_to_skip: bool = False, **options: object
) -> ThirdParty:
    """Put third-party WSGI middleware into a chain.

    Args:
        middleware: Class or factory, called once with the application, then ``args`` and ``options``.
        args: Further positional arguments of the call.
        safe_to_skip: Whether WebSockets may bypass it. Needed if the application speaks ASGI.
        options: Keyword arguments of the call.

    >>> from werkzeug.middleware.proxy_fix import ProxyFix
    >>> wsgi_only(ProxyFix, x_for=1).name
    'ProxyFix'
    """
    return replace(third_party("wsgi", middleware, args, options), safe_to_skip=safe_to_skip)


def asgi_only(middleware: Callable[..., object], /, *args: object, **options: object) -> ThirdParty:
    """Put third-party ASGI middleware into a chain.

    Args:
        middleware: Class or factory, called once with the application, then ``args`` and ``options``.
        args: Further positional arguments of the call.
        options: Keyword arguments of the call.
    """
    return third_party("asgi", middleware, args, options)


def either(
    *,
    wsgi: ThirdParty | Callable[..., object],
    asgi: ThirdParty | Callable[..., object],
    short_circuits: bool = False,
    body_cpu: bool = False,
) -> ThirdParty:
    """Put a third-party pair into a chain: the same middleware for WSGI and for ASGI. The plan takes one of them.

    If the number of adapters allows it, the plan takes the version for the application's interface. That version sees
    the application's exceptions and context variables. WebSockets always pass the ASGI version.

    Args:
        wsgi: The WSGI version: a factory, or ``wsgi_only(...)`` if it has options.
        asgi: The ASGI version: a factory, or ``asgi_only(...)``.
        short_circuits: Whether they may respond themselves, so that the plan prefers the server's interface.
        body_cpu: Whether they spend CPU on bodies, so that the plan prefers WSGI, where worker threads run them.
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
        # Each calls `wrap` of its own item, so that an error names the right version.
        wsgi=partial(one.wrap, "wsgi"),
        asgi=partial(other.wrap, "asgi"),
        short_circuits=short_circuits,
        body_cpu=body_cpu,
    )


def when(predicate: Predicate, middleware: ChainItem) -> ChainItem:
    """Run a middleware only for requests for which the predicate is true.

    Args:
        predicate: Function of the request, called once per request at the middleware's position. It must not change
            the request. `path_in` makes a predicate.
        middleware: WSGI+ASGI middleware, or third-party middleware.
    """
    return conditional(predicate, middleware, negate=False)


def unless(predicate: Predicate, middleware: ChainItem) -> ChainItem:
    """Run a middleware only for requests for which the predicate is false.

    Args:
        predicate: As in `when`.
        middleware: WSGI+ASGI middleware, or third-party middleware.
    """
    return conditional(predicate, middleware, negate=True)


def path_in(*prefixes: str) -> Predicate:
    """Make a predicate that is true for paths at or below one of the prefixes, by whole path segments.

    Args:
        prefixes: Each starts with "/"; ``/api`` matches ``/api`` and ``/api/users``, not ``/apix``.
    """
    return PathIn(prefixes)


class Chain:
    """Middleware around an application, planned and built for both kinds of server.

    Attributes:
        wsgi: Callable for WSGI servers.
        asgi: Callable for ASGI servers.
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
        websocket_app: ASGIApplication | None = None,
        options: Mapping[str, Any] = NO_OPTIONS,
    ) -> None:
        """Plan and build.

        Args:
            applications: The application for each interface that it speaks without an adapter: one, or both.
            middleware: Outermost first: WSGI+ASGI middleware, `wsgi_only`, `asgi_only`, `either`, `when`, `unless`.
            name: Name of the application in the explanation.
            engine: The engine that makes the adapters: its name, or an engine object.
            max_adapters: Maximum number of adapters in the plan for either kind of server.
            whole: Whether the application speaks both interfaces and has parts with a lifespan or WebSockets. Then an
                ASGI server must call its ASGI side.
            holds_more: Whether the application may contain further chains, which share the state of a request.
            websockets: Serve WebSockets of an ASGI application under WSGI servers that hand over their socket, and
                WebSockets of a WSGI application under ASGI servers.
            websocket_app: Application for WebSockets, if it is another one.
            options: Options of the built-in adapters, by name.

        Raises:
            ConfigurationError: An item is not middleware, or third-party middleware could not be made. A plan has too
                many adapters, or no adapter for one of the options. A WebSocket would bypass middleware that was not
                declared safe to skip. ``websockets`` is not possible.
            MissingExtraError: ``websockets`` without wsproto.

        Warns:
            ChainWarning: The chain breaks an order rule, or a plan has more than one adapter.
        """
        #: The adapter that runs the lifespan under WSGI servers, if there is one.
        self._entrance: object = None
        self._applications = applications
        self._websocket_app = websocket_app
        self._items = tuple(checked(item) for item in listed(middleware))
        self._crossings = find(engine, options)
        # One dict per position, shared by its builds, so that a rate limit counts requests and handshakes together.
        self._shared: tuple[dict[str, object], ...] = tuple({} for _ in self._items)
        nodes = tuple(node_of(item) for item in self._items)
        speaks: frozenset[Colour] = frozenset(applications)
        self.plans: dict[Colour, Plan] = {
            "wsgi": plan("wsgi", nodes, speaks),
            "asgi": plan("asgi", nodes, frozenset({"asgi"}) if whole else speaks),
        }
        #: The application is WSGI only and takes the socket of its server itself.
        self._gives_socket = websockets and websocket_app is None and "asgi" not in speaks
        speaks_websocket = self.plans["asgi"].application == "asgi" or websocket_app is not None or self._gives_socket
        messages = broken([rules_of(item) for item in self._items])
        messages.extend(self._check_adapters(max_adapters))
        if speaks_websocket:
            self._check_websockets()
        if websockets:
            self._check_takeover()
        self._crossings.check([plan.line for plan in self.plans.values()], holds_more=holds_more)
        if "websocket_threads" in options and not self._gives_socket:
            limit = {"websocket_threads": options["websocket_threads"]}
            raise ConfigurationError(
                f"{spelled(limit)} has no effect: it limits the WebSockets that a WSGI application serves itself; add "
                "websockets=True and leave out websocket_app=, or remove it"
            )
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
            gives_socket=self._gives_socket,
            websocket_application="" if websocket_app is None else application_name(websocket_app),
            warnings=tuple(messages),
        )
        built: dict[object, tuple[object, ASGIApplication | None]] = {}
        # `_build` returns an application of the interface that the plan's server calls, so the casts are right.
        http, other = self._build(self.plans["wsgi"], built)
        self.wsgi = cast("WSGIApplication", http)
        if websockets and not self._gives_socket:
            path = cast("ASGIApplication", other)  # `_check_takeover` has made sure that there is one
            if self._entrance is None:  # no adapter in the chain: WebSockets get one
                self._entrance = self._crossings.asgi_to_wsgi(path)
            self.wsgi = Takeover(self.wsgi, cast("AsgiToWsgi", self._entrance), path)
        self.asgi = joined(*self._build(self.plans["asgi"], built))
        if _shares_state(self.plans["wsgi"], holds_more=holds_more):
            self.wsgi = WsgiState(self.wsgi)
        if _shares_state(self.plans["asgi"], holds_more=holds_more):
            self.asgi = AsgiState(self.asgi)

    def explain(self) -> Explanation:
        """Describe the chain under each kind of server."""
        return self._explanation

    def _check_adapters(self, max_adapters: int) -> list[str]:
        worst = max(self.plans.values(), key=lambda plan: plan.adapters)
        # Adapters that the application needs even without middleware do not count against the limit.
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
        # Inside the last adapter into WSGI a handshake is a request, which bypasses nothing.
        last = last_asgi(plan) if self._gives_socket else None
        for item, interface in tuple(zip(self._items, plan.interfaces, strict=True))[:last]:
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
                f"websockets=True needs engine='builtin', the only one with WebSockets; got {self._crossings.name!r}"
            )
        if self.plans["wsgi"].application != "asgi" and self._websocket_app is None and not self._gives_socket:
            raise ConfigurationError(
                "websockets=True has no effect on an object that speaks WSGI and ASGI: inside a Mount, set it on the "
                "Gateway of each application; for WsgiToAsgi(app), write WsgiToAsgi(app, websockets=True)"
            )

    def _build(
        self, plan: Plan, built: dict[object, tuple[object, ASGIApplication | None]]
    ) -> tuple[object, ASGIApplication | None]:
        """Build one plan from the inside; inner parts that both plans share are built once.

        Returns:
            The planned path, and the other path, of lifespan and WebSockets.
        """
        colour = plan.application
        http = self._applications[colour]
        # The path of lifespan and WebSockets, to the innermost ASGI application; None while everything inside is WSGI.
        other = cast("ASGIApplication", http) if colour == "asgi" else None
        if self._websocket_app is not None:
            other = self._websocket_app if other is None else WithWebsockets(other, self._websocket_app)
        for segment in reversed(plan.segments):
            # An adapter from here to ASGI goes *back* to ASGI if an ASGI part is outside. That part runs the lifespan.
            inwards = plan.line[segment.start + 1 :]
            back = segment.interface == "wsgi" and "asgi" in inwards and "asgi" in plan.line[: segment.start + 1]
            # Plans with the same key have the same parts inside, so the second plan reuses the build of the first.
            key = (segment.start, inwards, back)
            if key not in built:
                http, other = self._cross(
                    colour, segment.interface, http, other, back=back, inside=plan.line[segment.stop + 1 :]
                )
                built[key] = self._wrap(segment, http, other)
            http, other = built[key]
            colour = segment.interface
        return self._cross(colour, plan.server, http, other, back=False, inside=plan.line[1:])

    def _cross(
        self,
        inner: Colour,
        outer: Colour,
        http: object,
        other: ASGIApplication | None,
        *,
        back: bool,
        inside: Sequence[Colour],
    ) -> tuple[object, ASGIApplication | None]:
        if inner == outer:
            return http, other
        if outer == "wsgi":
            crossed_back = self._crossings.asgi_to_wsgi(joined(http, other), back=back)
            if not back:
                self._entrance = crossed_back  # this adapter runs the lifespan; a plan has at most one of them
            return crossed_back, other
        crossed = self._crossings.wsgi_to_asgi(
            cast("WSGIApplication", http),
            comes_back=other is not None,
            gives_socket=self._gives_socket and other is None,
        )
        if other is None:
            return crossed, crossed
        if "asgi" not in inside:  # the path leads to an application for WebSockets only, and the adapter stops too
            return crossed, WithWebsockets(crossed, other)
        return crossed, other

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
            # Handshakes bypass this WSGI group, so its guards are built a second time, around the other path.
            guards = [(item, place) for item, place in zip(middleware, shared, strict=True) if item.websocket]
            if other is not None and guards:
                other = build_asgi([item for item, _ in guards], other, shared=[place for _, place in guards])
            return build_wsgi(middleware, cast("WSGIApplication", http), shared=shared), other
        item = cast("ThirdParty", items[0])  # third-party middleware is always a group of one
        if segment.interface == "asgi":
            outer = cast("ASGIApplication", item.wrap("asgi", joined(http, other)))
            return outer, outer
        if other is not None and item.asgi is not None:
            other = cast("ASGIApplication", item.wrap("asgi", other))
        return item.wrap("wsgi", http), other


def _shares_state(plan: Plan, *, holds_more: bool) -> bool:
    """Return whether an outer wrapper may need request state that an inner wrapper writes.

    A wrapper copies the scope for the inner application, and an adapter makes a new scope from an environ. So state
    that begins inside is not visible outside. A single wrapper needs no shared state.
    """
    wrappers = sum(segment.colourless for segment in plan.segments)
    return wrappers > 1 or (wrappers == 1 and holds_more)


def _outside_of_package() -> int:
    """Return the stack level of the code outside this package that built the chain, for warnings."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "gateway":
        level, frame = level + 1, frame.f_back
    return level
