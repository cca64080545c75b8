"""What a chain does, said before a request comes: for each server interface the order, wrappers, crossings and cost.

The same facts as text (for a terminal) and as plain data (for a program, and for ``gateway inspect --format json``). It
explains plans and runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from gateway.chain._planner import INTERFACES, Colour, Plan

__all__ = [
    "CrossingDict",
    "Explanation",
    "ExplanationDict",
    "Part",
    "PartDict",
    "SegmentDict",
    "ServerDict",
    "WebsocketDict",
    "counted",
]

#: What a crossing adds to a small request, in microseconds of CPU, by whose adapter it is: measured in process in one
#: run, CPython 3.11, with a2wsgi 1.10.10 and asgiref 3.13.0. Good for comparing chains, not for sizing a machine.
_MICROSECONDS: Mapping[tuple[str, str], float] = {
    ("builtin", "WsgiToAsgi"): 46.0,
    ("builtin", "AsgiToWsgi"): 42.0,
    ("a2wsgi", "WsgiToAsgi"): 224.0,
    ("a2wsgi", "AsgiToWsgi"): 159.0,
    ("asgiref", "WsgiToAsgi"): 230.0,
}
#: One wrapper of colourless middleware: what it costs to be there, and each middleware in it.
_SEGMENT_MICROSECONDS: Mapping[Colour, tuple[float, float]] = {"wsgi": (0.8, 0.1), "asgi": (1.4, 0.1)}


class PartDict(TypedDict):
    """One middleware as it stands under one kind of server."""

    name: str
    kind: str
    interface: str


class SegmentDict(TypedDict):
    """One wrapper."""

    interface: str
    middleware: list[str]
    colourless: bool


class CrossingDict(TypedDict):
    """One adapter, and whose it is; it stands before ``order[position]``, or before the application."""

    position: int
    outside: str
    inside: str
    adapter: str
    engine: str


class WebsocketDict(TypedDict):
    """Whether websockets are served, why not, and which middleware sees their handshakes."""

    served: bool
    reason: str
    takes_part: list[str]
    skipped: list[str]


class ServerDict(TypedDict):
    """The plan under one kind of server."""

    order: list[PartDict]
    segments: list[SegmentDict]
    crossings: list[CrossingDict]
    application_interface: str
    websocket: WebsocketDict
    cost_microseconds: float | None


class ExplanationDict(TypedDict):
    """An explanation as plain data."""

    application: str
    engine: str
    max_crossings: int
    servers: dict[str, ServerDict]
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One middleware as the explanation names it.

    Attributes:
        name: Its class, or what a third party's factory is called.
        kind: ``colourless``, ``wsgi only``, ``asgi only`` or ``either``.
        websocket: It takes part in websocket handshakes wherever it stands in an ASGI chain.
    """

    name: str
    kind: str
    websocket: bool


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a chain does under either kind of server; ``str()`` of it is the text.

    Attributes:
        application: What stands innermost.
        engine: Who carries the crossings.
        plans: The plan for each kind of server.
        parts: The middleware, outermost first.
        max_crossings: How many were allowed.
        speaks_websocket: The application has an ASGI side, so websockets can reach it.
        takes_sockets: They do so under WSGI servers that hand over their socket, too.
        warnings: What was warned about when the chain was built.
    """

    application: str
    engine: str
    plans: Mapping[Colour, Plan]
    parts: Sequence[Part]
    max_crossings: int
    speaks_websocket: bool
    takes_sockets: bool = False
    warnings: Sequence[str] = ()

    def as_dict(self) -> ExplanationDict:
        """Give the same facts as dicts, lists, strings and numbers."""
        return {
            "application": self.application,
            "engine": self.engine,
            "max_crossings": self.max_crossings,
            "servers": {server: self._server(self.plans[server]) for server in INTERFACES},
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        lines: list[str] = []
        for name, server in self.as_dict()["servers"].items():
            cost = server["cost_microseconds"]
            price = "cost of its engine unknown" if cost is None else f"about {cost:.0f} us a request"
            lines.append(f"under {name.upper()} servers: {counted(len(server['crossings']))}, {price}")
            lines.extend(f"  {line}" for line in self._line(server))
            where = " (where the server hands over its socket)" if name == "wsgi" and self.takes_sockets else ""
            lines.append(f"  websockets{where}: {_websocket_line(server['websocket'])}")
        lines.extend(f"warning: {warning}" for warning in self.warnings)
        return "\n".join(lines)

    def _line(self, server: ServerDict) -> list[str]:
        """Draw what a request meets, outermost first."""
        crossings = {crossing["position"]: crossing for crossing in server["crossings"]}
        lines: list[str] = []
        position = 0

        def draw(interface: str, what: str, how: str) -> None:
            if position in crossings:
                lines.append(f"----  {crossings[position]['adapter']} ({crossings[position]['engine']})")
            lines.append(f"{interface}  {what} ({how})")

        for segment in server["segments"]:
            how = "one wrapper" if segment["colourless"] else self.parts[position].kind
            draw(segment["interface"], ", ".join(segment["middleware"]), how)
            position += len(segment["middleware"])
        draw(server["application_interface"], self.application, "application")
        return lines

    def _name(self, position: int) -> str:
        return self.parts[position].name if position < len(self.parts) else self.application

    def _server(self, plan: Plan) -> ServerDict:
        crossings: list[CrossingDict] = []
        for position, (outer, inner) in enumerate(zip(plan.line, plan.line[1:], strict=False)):
            if outer != inner:
                crossings.append(
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
            "segments": [
                {
                    "interface": segment.interface,
                    "middleware": [part.name for part in self.parts[segment.start : segment.stop]],
                    "colourless": segment.colourless,
                }
                for segment in plan.segments
            ],
            "crossings": crossings,
            "application_interface": plan.application,
            "websocket": self._websocket(plan),
            "cost_microseconds": self._cost(plan, crossings),
        }

    def _websocket(self, plan: Plan) -> WebsocketDict:
        reason = ""
        if not self.speaks_websocket:
            reason = "the application speaks WSGI"
        elif plan.server == "wsgi" and not self.takes_sockets:
            reason = "WSGI has no WebSockets"
        if reason:
            return {"served": False, "reason": reason, "takes_part": [], "skipped": []}
        return {
            "served": True,
            "reason": "",
            "takes_part": [part.name for part in self.parts if part.websocket],
            "skipped": [part.name for part in self.parts if not part.websocket],
        }

    def _cost(self, plan: Plan, crossings: Sequence[CrossingDict]) -> float | None:
        """Add up crossings and wrappers; what third parties do themselves is theirs."""
        total = 0.0
        for crossing in crossings:
            price = _MICROSECONDS.get((crossing["engine"], crossing["adapter"]))
            if price is None:
                return None
            total += price
        for segment in plan.segments:
            if segment.colourless:
                fixed, each = _SEGMENT_MICROSECONDS[segment.interface]
                total += fixed + each * (segment.stop - segment.start)
        return round(total, 1)


def counted(crossings: int) -> str:
    """Say a number of crossings."""
    return {0: "no crossing", 1: "1 crossing"}.get(crossings, f"{crossings} crossings")


def _websocket_line(websocket: WebsocketDict) -> str:
    if not websocket["served"]:
        return f"not served, because {websocket['reason']}"
    taking = ", ".join(websocket["takes_part"]) or "no middleware"
    skipped = f"; they bypass {', '.join(websocket['skipped'])}" if websocket["skipped"] else ""
    return f"served, through {taking}{skipped}"
