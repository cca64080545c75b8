"""Rules that only a client can check, because it knows the bytes that it sent and those that arrived.

A test client, or a probe of a running server, calls each method at the moment in its docstring. The method checks one
rule and reports as a `Validator` does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from gateway.errors import ProtocolViolation
from gateway.rules._engine import Mode, RuleEngine
from gateway.rules.table import Minor, blame
from gateway.rules.tables import RULES

__all__ = ["ClientObserver"]


class ClientObserver:
    """Checks the rules whose violation a client sees.

    Args:
        mode: ``"raise"`` or ``"collect"``, as for `Validator`.
        on_violation: Function that gets every violation and warning.

    Attributes:
        violations: Violations of a *must*.
        warnings: Violations of a *should*.
        exercised: Ids of the rules that were judged.
    """

    def __init__(
        self, mode: Mode = "collect", *, on_violation: Callable[[ProtocolViolation], None] | None = None
    ) -> None:
        self._engine = RuleEngine(mode, on_violation=on_violation)
        self.exercised: set[str] = set()

    @property
    def violations(self) -> list[ProtocolViolation]:
        """Violations of a *must*."""
        return self._engine.violations

    @property
    def warnings(self) -> list[ProtocolViolation]:
        """Violations of a *should*."""
        return self._engine.warnings

    def _report(self, rule: str, found: str | None) -> None:
        self.exercised.add(rule)
        if found is not None:
            violation = self._engine.report(RULES[rule], found)
            if violation is not None:
                raise violation

    def sees(self, rule: str, *facts: object) -> None:
        """Report what a client has seen, for a rule of `gateway.rules.wire`; its check names the facts."""
        self._report(rule, RULES[rule].check(*facts))

    def response_cut(self, *, complete: bool) -> None:
        """Call when the application raised in its response (C09): does the response look complete to the client?"""
        self._report("C09", RULES["C09"].check(complete))

    def disconnect_given(self, *, client_left: bool, complete: bool) -> None:
        """Call when the application got http.disconnect (E05): had the client left, was the response complete?"""
        self._report("E05", RULES["E05"].check(client_left, complete))

    def flushed(self, interface: str, *, sent: int, seen: int) -> None:
        """Call when the application has sent bytes and waits (E25, P43): how many of them has the client?"""
        rule = "P43" if interface == "wsgi" else "E25"
        self._report(rule, RULES[rule].check(sent, seen))

    def headers_delivered(self, given: Sequence[tuple[bytes, bytes]], seen: Sequence[tuple[bytes, bytes]]) -> None:
        """Call with the headers that the application sent and those that the client received (E13, E26)."""
        for rule in ("E13", "E26"):
            self._report(rule, RULES[rule].check(given, seen))

    def trailers_delivered(self, *, te: bool, trailers: bool) -> None:
        """Call when the response is complete (X09): did the client send ``TE: trailers``, and did it get trailers?"""
        self._report("X09", RULES["X09"].check(te, trailers))

    def extensions_offered(self, names: Collection[str]) -> None:
        """Call with a real server's extensions (X11): "ASGI servers should not implement" debug."""
        found = blame("server", Minor("http.response.debug offered")) if "http.response.debug" in names else None
        self._report("X11", found)

    def handshake_denied(self, status: int) -> None:
        """Call when the application closed a websocket before accepting it (W15): which status did the client get?"""
        self._report("W15", RULES["W15"].check(status))

    def lifespan_unsupported(self, *, serves: bool) -> None:
        """Call when the application raised on the lifespan scope (L06): does the server serve it?"""
        self._report("L06", RULES["L06"].check(serves))
