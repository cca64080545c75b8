"""WebTest for an application of either interface: forms, links, cookies, and all other functions of WebTest.

`gateway.adapters.AsgiToWsgi` drives an ASGI application. The test application has one lifespan. The adapter buffers
nothing, and repeated headers stay separate.

Needs webtest (extra ``testing``).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from gateway.errors import MissingExtraError, ProtocolViolation
from gateway.protocols import Application, Environ, Interface
from gateway.testing._options import StageOptions, Validate
from gateway.testing._stage import Stage
from gateway.testing.tiers import Tier, Unsupported

if TYPE_CHECKING:

    class TestApp:  # webtest has no types; this declares the methods used here, and `Any` for the rest
        def __init__(self, app: object, **options: Any) -> None: ...
        def do_request(self, req: Any, status: Any = None, expect_errors: Any = None) -> Any: ...
        def __getattr__(self, name: str) -> Any: ...
else:
    try:
        TestApp = import_module("webtest").TestApp
    except ImportError:
        raise MissingExtraError("gateway.testing.forms", "testing", package="webtest") from None

__all__ = ["WebTestApp", "webtest_app"]


class WebTestApp(TestApp):
    """A `webtest.TestApp` that can be closed: ``close()`` or ``with`` stops the application's lifespan."""

    __test__ = False  # pytest must not collect this class

    def __init__(self, stage: Stage, **options: Any) -> None:
        super().__init__(stage.app, **options)
        self._stage = stage
        self._finalizer: Callable[[], object] = weakref.finalize(self, stage.close)

    @property
    def violations(self) -> list[ProtocolViolation]:
        """The findings of the validators so far, at every boundary."""
        return self._stage.violations

    def do_request(self, req: Any, status: Any = None, expect_errors: Any = None) -> Any:
        """Send a request, then raise any violation that the application swallowed."""
        known = set(map(id, self.violations))
        response = super().do_request(req, status=status, expect_errors=expect_errors)
        if self._stage.validate == "raise":
            for violation in (one for one in self.violations if id(one) not in known):
                raise violation
        return response

    def close(self) -> None:
        """Stop the lifespan of an ASGI application."""
        self._finalizer()

    def __enter__(self) -> WebTestApp:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def webtest_app(
    app: Application,
    *,
    interface: Interface | Literal["auto"] = "auto",
    validate: Validate = "raise",
    ignore: Mapping[str, str] | None = None,
    lifespan: bool = True,
    timeout: float | None = 10.0,
    extra_environ: Environ | None = None,
    relative_to: str | None = None,
    lint: bool = True,
) -> WebTestApp:
    """Return a `webtest.TestApp` for an application of either interface.

    Args:
        app: A WSGI or ASGI application, or a ``Gateway``.
        interface: Interface of the application, if it cannot be detected.
        validate: ``raise`` a `ProtocolViolation` at the first broken rule, ``collect`` them, or ``off``.
        ignore: Rules not to report, each with the reason.
        lifespan: Whether to run an ASGI application's lifespan: before the first request, until `WebTestApp.close`.
        timeout: Seconds that the startup may take.
        extra_environ: As for `webtest.TestApp`.
        relative_to: As for `webtest.TestApp`.
        lint: WebTest's own checks of the WSGI side.
    """
    tiers: tuple[Tier, ...] = ("direct", "adapted")
    for tier in tiers:
        stage = Stage(
            StageOptions(
                app,
                interface=interface,
                tier=tier,
                validate=validate,
                ignore=ignore or {},
                lifespan=lifespan,
                timeout=timeout,
                extensions=(),
            )
        )
        if stage.interface == "wsgi":
            return WebTestApp(stage, extra_environ=extra_environ, relative_to=relative_to, lint=lint)
    raise Unsupported(f"webtest_app() takes a WSGI or an ASGI application, got {app!r}")
