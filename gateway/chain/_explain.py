"""Describe a chain without running it: for each server interface the order, wrappers, adapters and cost.

The text (for a terminal) and the plain data (for programs, and for ``gateway inspect --format json``) have the same
facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypedDict

from gateway.chain._planner import INTERFACES, Colour, Plan

__all__ = [
    "DUAL_KIND",
    "AdapterDict",
    "Explanation",
    "ExplanationDict",
    "GroupDict",
    "Part",
    "PartDict",
    "ServerDict",
    "WebsocketDict",
    "application_name",
    "counted",
    "last_asgi",
]

#: CPU time that an adapter adds to a small request, in microseconds, by engine and direction. Measured in process in a
#: single run, CPython 3.11, with a2wsgi 1.10.10 and asgiref 3.13.0. Use it to compare chains, not to size a machine.
_MICROSECONDS: Mapping[tuple[str, str], float] = {
    ("builtin", "WsgiToAsgi"): 46.0,
    ("builtin", "AsgiToWsgi"): 42.0,
    ("a2wsgi", "WsgiToAsgi"): 224.0,
    ("a2wsgi", "AsgiToWsgi"): 159.0,
    ("asgiref", "WsgiToAsgi"): 230.0,
}
#: Kind of a middleware that runs in both interfaces.
DUAL_KIND: Final = "WSGI+ASGI"
#: Microseconds of a wrapper of WSGI+ASGI middleware, and of each middleware in it, by interface.
_SEGMENT_MICROSECONDS: Mapping[Colour, tuple[float, float]] = {"wsgi": (0.8, 0.1), "asgi": (1.4, 0.1)}


class PartDict(TypedDict):
    """One middleware in the plan for one kind of server."""

    name: str
    kind: str
    interface: str


class GroupDict(TypedDict):
    """Middleware in one wrapper: neighbours of kind ``WSGI+ASGI``, or a single third-party middleware."""

    interface: str
    middleware: list[str]
    kind: str


class AdapterDict(TypedDict):
    """One adapter and its engine; it is directly outside ``order[position]``, or outside the application."""

    position: int
    outside: str
    inside: str
    adapter: str
    engine: str


class WebsocketDict(TypedDict):
    """Whether WebSockets are served, the reason if not, and which middleware sees their handshakes."""

    served: bool
    reason: str
    takes_part: list[str]
    skipped: list[str]


class ServerDict(TypedDict):
    """The plan under one kind of server."""

    order: list[PartDict]
    groups: list[GroupDict]
    adapters: list[AdapterDict]
    application_interface: str
    websocket: WebsocketDict
    cost_microseconds: float | None


class ExplanationDict(TypedDict):
    """An explanation as plain data."""

    application: str
    engine: str
    max_adapters: int
    servers: dict[str, ServerDict]
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One middleware in the explanation.

    Attributes:
        name: Name of its class, or of the factory of third-party middleware.
        kind: ``WSGI+ASGI``, ``wsgi only``, ``asgi only`` or ``either``.
        websocket: Whether it sees WebSocket handshakes at any position of an ASGI chain.
    """

    name: str
    kind: str
    websocket: bool


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Description of a chain under either kind of server; ``str()`` of it is the text.

    Attributes:
        application: Name of the application.
        engine: Name of the engine that makes the adapters.
        plans: The plan for each kind of server.
        parts: The middleware, outermost first.
        max_adapters: Maximum number of adapters that was allowed.
        speaks_websocket: Whether the application has an ASGI side, so that WebSockets can reach it.
        websocket_application: Name of the application for WebSockets, if it is another one.
        takes_sockets: Whether WSGI servers that hand over their socket serve WebSockets too.
        gives_socket: Whether the application speaks WSGI and serves WebSockets itself, on a socket.
        warnings: Warnings issued when the chain was built.
    """

    application: str
    engine: str
    plans: Mapping[Colour, Plan]
    parts: Sequence[Part]
    max_adapters: int
    speaks_websocket: bool
    takes_sockets: bool = False
    gives_socket: bool = False
    websocket_application: str = ""
    warnings: Sequence[str] = ()

    def as_dict(self) -> ExplanationDict:
        """Return the same facts as dicts, lists, strings and numbers."""
        return {
            "application": self.application,
            "engine": self.engine,
            "max_adapters": self.max_adapters,
            "servers": {server: self._server(self.plans[server]) for server in INTERFACES},
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        lines: list[str] = []
        for name, server in self.as_dict()["servers"].items():
            cost = server["cost_microseconds"]
            price = "cost unknown for this engine" if cost is None else f"about {cost:.0f} us a request"
            lines.append(f"under {name.upper()} servers: {counted(len(server['adapters']))}, {price}")
            lines.extend(f"  {line}" for line in self._line(server))
            where = " (if the server hands over its socket)" if name == "wsgi" and self.takes_sockets else ""
            by = "the application itself" if self.gives_socket else self.websocket_application
            lines.append(f"  websockets{where}: {_websocket_line(server['websocket'], by)}")
        lines.extend(f"warning: {warning}" for warning in self.warnings)
        return "\n".join(lines)

    def _line(self, server: ServerDict) -> list[str]:
        """Draw the path of a request, outermost first."""
        adapters = {adapter["position"]: adapter for adapter in server["adapters"]}
        lines: list[str] = []
        position = 0

        def draw(interface: str, what: str, how: str) -> None:
            if position in adapters:
                lines.append(f"----  {adapters[position]['adapter']} ({adapters[position]['engine']})")
            lines.append(f"{interface}  {what} ({how})")

        for group in server["groups"]:
            how = "one wrapper" if group["kind"] == DUAL_KIND else group["kind"]
            draw(group["interface"], ", ".join(group["middleware"]), how)
            position += len(group["middleware"])
        draw(server["application_interface"], self.application, "application")
        return lines

    def _name(self, position: int) -> str:
        return self.parts[position].name if position < len(self.parts) else self.application

    def _server(self, plan: Plan) -> ServerDict:
        adapters: list[AdapterDict] = []
        for position, (outer, inner) in enumerate(zip(plan.line, plan.line[1:], strict=False)):
            if outer != inner:
                adapters.append(
                    {
                        "position": position,
                        "outside": "server" if position == 0 else self._name(position - 1),
                        "inside": self._name(position),
                        "adapter": "WsgiToAsgi" if inner == "wsgi" else "AsgiToWsgi",
                        "engine": self.engine,
                    }
                )
        return {
            "order": [
                {"name": part.name, "kind": part.kind, "interface": interface}
                for part, interface in zip(self.parts, plan.interfaces, strict=True)
            ],
            "groups": [
                {
                    "interface": segment.interface,
                    "middleware": [part.name for part in self.parts[segment.start : segment.stop]],
                    "kind": self.parts[segment.start].kind,
                }
                for segment in plan.segments
            ],
            "adapters": adapters,
            "application_interface": plan.application,
            "websocket": self._websocket(plan),
            "cost_microseconds": self._cost(plan, adapters),
        }

    def _websocket(self, plan: Plan) -> WebsocketDict:
        reason = ""
        if not self.speaks_websocket:
            reason = "the application speaks WSGI"
        elif plan.server == "wsgi" and not self.takes_sockets:
            reason = "WSGI has no WebSockets"
        if reason:
            return {"served": False, "reason": reason, "takes_part": [], "skipped": []}
        # Inside the adapter that gives the application its socket, a handshake is a request.
        inside = len(self.parts) if not self.gives_socket else last_asgi(plan) if plan.server == "asgi" else 0
        sees = [part.websocket or place >= inside for place, part in enumerate(self.parts)]
        return {
            "served": True,
            "reason": "",
            "takes_part": [part.name for part, seen in zip(self.parts, sees, strict=True) if seen],
            "skipped": [part.name for part, seen in zip(self.parts, sees, strict=True) if not seen],
        }

    def _cost(self, plan: Plan, adapters: Sequence[AdapterDict]) -> float | None:
        """Sum the cost of adapters and wrappers, without the work of third-party middleware itself."""
        total = 0.0
        for adapter in adapters:
            price = _MICROSECONDS.get((adapter["engine"], adapter["adapter"]))
            if price is None:
                return None
            total += price
        for segment in plan.segments:
            if segment.colourless:
                fixed, each = _SEGMENT_MICROSECONDS[segment.interface]
                total += fixed + each * (segment.stop - segment.start)
        return round(total, 1)


def last_asgi(plan: Plan) -> int:
    """Return the number of middleware outside the innermost adapter into WSGI, under an ASGI server."""
    return max(place for place, interface in enumerate(plan.line[:-1]) if interface == "asgi")


def application_name(app: object) -> str:
    """Return the name of an application."""
    name: str = getattr(app, "__qualname__", type(app).__qualname__)
    return name


def counted(adapters: int) -> str:
    """Return a number of adapters in words."""
    return {0: "no adapter", 1: "1 adapter"}.get(adapters, f"{adapters} adapters")


def _websocket_line(websocket: WebsocketDict, application: str) -> str:
    if not websocket["served"]:
        return f"not served, because {websocket['reason']}"
    taking = ", ".join(websocket["takes_part"]) or "no middleware"
    skipped = f"; they bypass {', '.join(websocket['skipped'])}" if websocket["skipped"] else ""
    by = f" by {application}" if application else ""
    return f"served{by}, through {taking}{skipped}"
