"""`Validator`: a wrapper that checks an application and the server that calls it, while they run.

It changes nothing of what passes through: a conformant exchange is the same with it and without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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

__all__ = ["AsgiValidator", "Validator", "WsgiValidator"]


class Validator:
    """Check an application, and the server that calls it, against the rules of ``docs/conformance.md``.

    Args:
        app: The application; of either interface.
        interface: ``"wsgi"`` or ``"asgi"``; told from the application where it is not given.
        mode: ``"raise"``: a violation is a `gateway.errors.ProtocolViolation`, raised where it happens: the
            application's into its own call, the server's out to the server. ``"collect"``: nothing is raised.
        warnings_as_errors: Raise where a specification says *should*, too.
        on_violation: Called with every violation and warning, in the thread or task that found it.

    Attributes:
        app: The application.
        violations: What was found where a specification says *must*, in either mode, oldest first.
        warnings: What was found where it says *should*.
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
        on_violation: Callable[[ProtocolViolation], None] | None = None,
    ) -> Validator: ...

    def __new__(
        cls,
        app: Application,
        interface: Interface | None = None,
        mode: Mode = "raise",
        *,
        warnings_as_errors: bool = False,
        on_violation: Callable[[ProtocolViolation], None] | None = None,
    ) -> Validator:
        spoken = detect(app, interface)
        if spoken in ("asgi", "asgi2"):
            return object.__new__(AsgiValidator)
        if spoken == "wsgi":
            return object.__new__(WsgiValidator)
        raise ConfigurationError(f"Validator checks WSGI and ASGI applications, got one for {spoken}: {app!r}")

    def __init__(
        self,
        app: Application,
        interface: Interface | None = None,
        mode: Mode = "raise",
        *,
        warnings_as_errors: bool = False,
        on_violation: Callable[[ProtocolViolation], None] | None = None,
    ) -> None:
        self.app = app
        self._engine = RuleEngine(mode, warnings_as_errors=warnings_as_errors, on_violation=on_violation)
        self._lifespans = Lifespans()
        self._running = ApplicationThreads()

    @property
    def violations(self) -> list[ProtocolViolation]:
        """What was found where a specification says *must*; the list may be cleared."""
        return self._engine.violations

    @property
    def warnings(self) -> list[ProtocolViolation]:
        """What was found where it says *should*; the list may be cleared."""
        return self._engine.warnings

    def __repr__(self) -> str:
        return f"Validator({self.app!r}, {self.interface!r}, mode={self._engine.mode!r})"


class AsgiValidator(Validator):
    """`Validator` around an ASGI application; made by `Validator`, never by itself."""

    interface: Interface = "asgi"
    __gateway_interface__ = "asgi"

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Call the application, checked."""
        app = cast(ASGIApplication, self.app)  # detect() said so
        await CheckedAsgiCall(app, self._engine, self._lifespans, receive, send).run(scope)


class WsgiValidator(Validator):
    """`Validator` around a WSGI application; made by `Validator`, never by itself."""

    interface: Interface = "wsgi"
    __gateway_interface__ = "wsgi"

    def __call__(self, *args: object, **kwargs: object) -> Iterable[bytes]:
        """Call the application, checked."""
        app = cast(WSGIApplication, self.app)  # detect() said so
        return CheckedWsgiCall(app, self._engine, self._running).run(args, kwargs)
