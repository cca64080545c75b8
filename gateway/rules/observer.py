"""What only a client can tell, because it knows what it sent and what arrived: the rules seen by clients.

A test client, or a probe of a running server, calls the methods at the moments that they name; each runs the check of
one rule and reports as a `Validator` does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from gateway.errors import ProtocolViolation
from gateway.rules._engine import Mode, RuleEngine
from gateway.rules.table import Minor, blame
from gateway.rules.tables import RULES

__all__ = ["ClientObserver"]


class ClientObserver:
    """Checks the rules that a client sees.

    Args:
        mode: ``"raise"`` or ``"collect"``, as for `Validator`.
        on_violation: Called with every violation and warning.

    Attributes:
        violations: What broke a rule that says *must*.
        warnings: What broke one that says *should*.
    """

    def __init__(
        self, mode: Mode = "collect", *, on_violation: Callable[[ProtocolViolation], None] | None = None
    ) -> None:
        self._engine = RuleEngine(mode, on_violation=on_violation)

    @property
    def violations(self) -> list[ProtocolViolation]:
        """What broke a rule that says *must*."""
        return self._engine.violations

    @property
    def warnings(self) -> list[ProtocolViolation]:
        """What broke a rule that says *should*."""
        return self._engine.warnings

    def _report(self, rule: str, found: str | None) -> None:
        if found is not None:
            violation = self._engine.report(RULES[rule], found)
            if violation is not None:
                raise violation

    def response_cut(self, *, complete: bool) -> None:
        """The application raised in its response (C09): does the response look complete to the client?"""
        self._report("C09", RULES["C09"].check(complete))

    def disconnect_given(self, *, client_left: bool, complete: bool) -> None:
        """The application was given http.disconnect (E05): had the client left, was the response complete?"""
        self._report("E05", RULES["E05"].check(client_left, complete))

    def flushed(self, interface: str, *, sent: int, seen: int) -> None:
        """The application sent so many bytes and now waits (E25, P43): how many has the client?"""
        rule = "P43" if interface == "wsgi" else "E25"
        self._report(rule, RULES[rule].check(sent, seen))

    def headers_delivered(self, given: Sequence[tuple[bytes, bytes]], seen: Sequence[tuple[bytes, bytes]]) -> None:
        """The application gave these headers, and the client saw those (E26)."""
        self._report("E26", RULES["E26"].check(given, seen))

    def trailers_delivered(self, *, te: bool, trailers: bool) -> None:
        """The client saw trailers or none (X09): had it sent ``TE: trailers``?"""
        self._report("X09", RULES["X09"].check(te, trailers))

    def extensions_offered(self, names: Collection[str]) -> None:
        """A server that is no test offers these extensions (X11): "ASGI servers should not implement" debug."""
        found = blame("server", Minor("http.response.debug offered")) if "http.response.debug" in names else None
        self._report("X11", found)

    def handshake_denied(self, status: int) -> None:
        """The application closed a websocket before accepting it (W15): which status did the client get?"""
        self._report("W15", RULES["W15"].check(status))

    def lifespan_unsupported(self, *, serves: bool) -> None:
        """The application raised on the lifespan scope (L06): does the server serve it?"""
        self._report("L06", RULES["L06"].check(serves))
