"""`Validator`: a wrapper that checks an application and the server that calls it, while they run.

It does not change messages or data: a conformant request is the same with and without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, cast, overload

from gateway.errors import ConfigurationError, ProtocolViolation
from gateway.protocols import (
    Application,
    ASGIApplication,
    ASGIReceive,
    ASGISend,
    Interface,
    Scope,
    WSGIApplication,
    detect,
)
from gateway.rules._asgi_validator import CheckedAsgiCall, Lifespans
from gateway.rules._engine import Mode, RuleEngine
from gateway.rules._wsgi_validator import ApplicationThreads, CheckedWsgiCall
from gateway.rules.tables import known_rules

__all__ = ["AsgiValidator", "Validator", "WsgiValidator"]


class Validator:
    """Check an application, and the server that calls it, against the rules of ``docs/conformance.md``.

    Args:
        app: The application, of either interface.
        interface: ``"wsgi"`` or ``"asgi"``; None detects it from the application.
        mode: ``"raise"`` raises a `gateway.errors.ProtocolViolation` at the place of the violation: the application's
            in its own call, the server's to the server. ``"collect"`` raises nothing.
        warnings_as_errors: Raise violations of a *should*, too.
        ignore: Rules not to report, each with the reason: ``{"E09": "Django keeps the case of header names"}``.
        on_violation: Function that gets every violation and warning that is not ignored, in the thread or task that
            found it. It is called once for each request and rule.

    Attributes:
        app: The application.
        violations: Violations of a *must*, in either mode, oldest first; each request reports a rule once.
        warnings: Violations of a *should*.
        ignored: Violations of the rules in ``ignore``.
        exercised: Ids of the rules that a call has exercised.
        dropped: Number of violations that are not in these lists, because a list keeps at most 10,000.

    Raises:
        ConfigurationError: An option is wrong: an unknown mode or rule, or a rule that is ignored without a reason.
    """

    interface: Interface

    @overload
    def __new__(
        cls,
        app: WSGIApplication,
        interface: Literal["wsgi"] | None = None,
        mode: Mode = "raise",
        *,
        warnings_as_errors: bool = False,
        ignore: Mapping[str, str] | None = None,
        on_violation: Callable[[ProtocolViolation], None] | None = None,
    ) -> WsgiValidator: ...

    @overload
    def __new__(
        cls,
        app: ASGIApplication,
        interface: Literal["asgi"] | None = None,
        mode: Mode = "raise",
        *,
        warnings_as_errors: bool = False,
        ignore: Mapping[str, str] | None = None,
        on_violation: Callable[[ProtocolViolation], None] | None = None,
    ) -> AsgiValidator: ...

    @overload
    def __new__(
        cls,
        app: Application,
        interface: Interface | None = None,
        mode: Mode = "raise",
        *,
        warnings_as_errors: bool = False,
        ignore: Mapping[str, str] | None = None,
        on_violation: Callable[[ProtocolViolation], None] | None = None,
    ) -> Validator: ...

    def __new__(
        cls,
        app: Application,
        interface: Interface | None = None,
        mode: Mode = "raise",
        *,
        warnings_as_errors: bool = False,
        ignore: Mapping[str, str] | None = None,
        on_violation: Callable[[ProtocolViolation], None] | None = None,
    ) -> Validator:
        spoken = detect(app, interface)
        if spoken in ("asgi", "asgi2"):
            return object.__new__(AsgiValidator)
        if spoken == "wsgi":
            return object.__new__(WsgiValidator)
        raise ConfigurationError(f"Validator checks WSGI and ASGI applications only, got one for {spoken}: {app!r}")

    def __init__(
        self,
        app: Application,
        interface: Interface | None = None,
        mode: Mode = "raise",
        *,
        warnings_as_errors: bool = False,
        ignore: Mapping[str, str] | None = None,
        on_violation: Callable[[ProtocolViolation], None] | None = None,
    ) -> None:
        self.app = app
        self._engine = RuleEngine(
            mode, warnings_as_errors=warnings_as_errors, ignore=known_rules(ignore), on_violation=on_violation
        )
        self._lifespans = Lifespans()
        self._running = ApplicationThreads()

    @property
    def violations(self) -> list[ProtocolViolation]:
        """Violations of a *must*; you may clear the list."""
        return self._engine.violations

    @property
    def warnings(self) -> list[ProtocolViolation]:
        """Violations of a *should*; you may clear the list."""
        return self._engine.warnings

    @property
    def ignored(self) -> list[ProtocolViolation]:
        """Violations of the rules in ``ignore``; you may clear the list."""
        return self._engine.ignored

    @property
    def dropped(self) -> int:
        """Number of violations that no list keeps."""
        return self._engine.dropped

    @property
    def exercised(self) -> set[str]:
        """Ids of the rules that a call has exercised so far; a validator says nothing about the others."""
        return self._engine.exercised

    def __repr__(self) -> str:
        return f"Validator({self.app!r}, {self.interface!r}, mode={self._engine.mode!r})"


class AsgiValidator(Validator):
    """`Validator` around an ASGI application. Call `Validator` to make one."""

    interface: Interface = "asgi"
    __gateway_interface__ = "asgi"

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Call the application and check the call."""
        app = cast(ASGIApplication, self.app)  # detect() has checked it
        await CheckedAsgiCall(app, self._engine, self._lifespans, receive, send).run(scope)


class WsgiValidator(Validator):
    """`Validator` around a WSGI application. Call `Validator` to make one."""

    interface: Interface = "wsgi"
    __gateway_interface__ = "wsgi"

    def __call__(self, *args: object, **kwargs: object) -> Iterable[bytes]:
        """Call the application and check the call."""
        app = cast(WSGIApplication, self.app)  # detect() has checked it
        return CheckedWsgiCall(app, self._engine, self._running).run(args, kwargs)
