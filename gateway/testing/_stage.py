"""An application behind its tier and its validator, with all that a client needs in its role as server.

The clients and the transports share this module. It turns a request of the HTTP library into a call in steps.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Protocol, cast, get_args

import asgiref.compatibility

from gateway.errors import ConfigurationError, ProtocolViolation
from gateway.protocols import Application, ASGIApplication, Interface, Scope, WSGIApplication, detect
from gateway.rules.tables import known_rules
from gateway.rules.validator import Validator
from gateway.testing._asgi_call import SteppedAsgiCall
from gateway.testing._body import Source, recut
from gateway.testing._failures import add_note, together, watch_the_log
from gateway.testing._lifespan import HeldLifespan, faulty
from gateway.testing._options import StageOptions, Validate
from gateway.testing._record import CURRENT, Record
from gateway.testing._request import EXTENSIONS, Head, build_environ, build_scope
from gateway.testing._wsgi_exchange import ChunkedInput, SteppedWsgiCall
from gateway.testing.faults import Fault
from gateway.testing.tiers import Unsupported, cross

__all__ = ["Stage", "WireRequest", "head_of"]


_log = logging.getLogger("gateway.testing")

#: The client stands for the server, and collects a wrong response instead of refusing it.
_CLIENT_IS_NO_JUDGE = {"P56": "the client reports wrong headers, and shows them in the response"}


class _Url(Protocol):
    @property
    def scheme(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int | None: ...
    @property
    def raw_path(self) -> bytes: ...


class _Headers(Protocol):
    @property
    def raw(self) -> list[tuple[bytes, bytes]]: ...


class WireRequest(Protocol):
    """The attributes of a request of httpx2 or httpx that this module uses."""

    @property
    def method(self) -> str: ...
    @property
    def url(self) -> _Url: ...
    @property
    def headers(self) -> _Headers: ...
    @property
    def extensions(self) -> Mapping[str, Any]: ...
    @property
    def stream(self) -> Iterable[bytes] | AsyncIterable[bytes]: ...


def head_of(request: WireRequest) -> Head:
    """Return the request line and headers of a request, as they would come over the wire."""
    url, extensions = request.url, request.extensions
    # The libraries write methods in capitals. A redirect may have changed the method.
    given: str = extensions.get("gateway.method", request.method)
    method = given if given.upper() == request.method else request.method
    target: bytes = extensions.get("target", url.raw_path)
    return Head.of(method, url.scheme, url.host, url.port, target, request.headers.raw)


class Stage:
    """An application that a client can drive; see the module's docstring."""

    def __init__(self, options: StageOptions) -> None:
        app, validate, timeout, fault = options.app, options.validate, options.timeout, options.fault or Fault()
        if validate not in get_args(Validate):
            raise ConfigurationError(f"validate must be one of {', '.join(get_args(Validate))}; got {validate!r}")
        if timeout is not None and timeout <= 0:
            raise ConfigurationError(f"timeout must be above 0 seconds, or None, got {timeout!r}")
        found = detect(app, None if options.interface == "auto" else options.interface)
        if found == "asgi2":
            # asgiref has no types, and pyright finds none for it even with a cast.
            to_single: Callable[[object], ASGIApplication] = vars(asgiref.compatibility)["double_to_single_callable"]
            app, found = to_single(app), "asgi"
        if found == "rsgi":
            raise Unsupported(
                "a client can run WSGI and ASGI applications only; give it the application inside the RSGI adapter"
            )
        if fault.lifespan is not None:
            if found == "wsgi":
                raise Unsupported("a WSGI application has no lifespan, so Fault(lifespan=...) needs an ASGI one")
            app = faulty(cast(ASGIApplication, app), fault.lifespan)
        self.options = options
        self.timeout = timeout
        self.fault = fault
        self.validate: Validate = validate
        self._checked: list[Validator] = []
        self._given = (app, found)
        # Violations in a lifespan, or in a thread of the application: the next request raises them.
        self._elsewhere: list[ProtocolViolation] = []
        #: Exceptions of the application outside of any request; closing the client raises them.
        self.outside: list[BaseException] = []
        watch_the_log()
        #: Collects the records of all requests, if it is a list.
        self.records: list[Record] | None = None
        self.app: Application
        self.interface: Interface
        self.lifespan: HeldLifespan | None
        self._build()

    def _build(self) -> None:
        app, found = self._given
        lifespan = self.options.lifespan
        crossed = cross(app, found, self.options.tier, self._check, lifespan=lifespan, timeout=self.timeout)
        self.app, self.interface, self._close = crossed.app, crossed.interface, crossed.close
        runs = lifespan and self.interface == "asgi"
        self.lifespan = HeldLifespan(self.asgi, self.timeout, self.outside) if runs else None
        self._closed = False

    def reopen(self) -> None:
        """Make the adapters and the lifespan anew, if the stage was closed."""
        if self._closed:
            self._build()

    @property
    def asgi(self) -> ASGIApplication:
        """The application, if ``interface`` is ``asgi``."""
        return cast(ASGIApplication, self.app)

    @property
    def violations(self) -> list[ProtocolViolation]:
        """The findings of the validators so far, at every boundary."""
        return [violation for checked in self._checked for violation in checked.violations]

    def asgi_call(self, request: WireRequest, source: Source, fault: Fault, timeout: float | None) -> SteppedAsgiCall:
        """Begin a call of an ASGI application. The lifespan must have started."""
        state = self.lifespan.state if self.lifespan is not None and self.lifespan.supported else None
        # Since 2.4 a send() after the client left has to raise (ASGI HTTP). If the fault's send() does not, claim 2.3.
        version = "2.5" if fault.tells_by_error else "2.3"
        scope = build_scope(head_of(request), self.options, state, spec_version=version)
        self.add_to_scope(scope, request.extensions)
        return SteppedAsgiCall(self.asgi, scope, source, self.record(request.extensions), fault, timeout)

    def add_to_scope(self, scope: Scope, extensions: Mapping[str, Any]) -> None:
        """Add the keys of the test to a scope; its ASGI extensions are added to the client's.

        Raises:
            Unsupported: The test gave ``environ=``.
        """
        own: Mapping[str, Any] = {**(self.options.scope or {}), **extensions.get("gateway.scope", {})}
        self._refuse("environ", self.options.environ or extensions.get("gateway.environ"))
        offered = {**scope["extensions"], **own.get("extensions", {})}
        scope.update(own, extensions=offered)

    def _refuse(self, name: str, given: object) -> None:
        if given:
            other = "environ" if name == "scope" else "scope"
            raise Unsupported(
                f"{name}= cannot be used here, because the client calls this application as {self.interface.upper()}: "
                f"use {other}="
            )

    def wsgi_call(self, request: WireRequest, source: Source, fault: Fault, timeout: float | None) -> SteppedWsgiCall:
        """Begin a call of a WSGI application.

        Raises:
            Unsupported: The body is an asynchronous iterator, which a thread cannot read, or the test gave ``scope=``.
        """
        if isinstance(source, AsyncIterator):
            raise Unsupported(
                "a WSGI application reads its body in a thread; content= must be bytes or a plain iterable"
            )
        offered = EXTENSIONS["early_hint"] in self.options.extension_names()
        chunks = _chunks(source, fault)
        record = self.record(request.extensions)
        body = ChunkedInput(chunks, fault, record)
        environ = build_environ(head_of(request), self.options, body=body)
        self._refuse("scope", self.options.scope or request.extensions.get("gateway.scope"))
        environ.update(self.options.environ or {})
        environ.update(request.extensions.get("gateway.environ", {}))
        return SteppedWsgiCall(cast(WSGIApplication, self.app), environ, record, fault, timeout, early_hints=offered)

    def settle(self, record: Record, *, ends: bool = True) -> None:
        """Raise the error of a request, and end the request; a violation that the application swallowed comes first."""
        if ends:
            record.late = self.outside
        if record.failures:
            failures, record.failures = record.failures, []
            record.error = together([*([] if record.error is None else [record.error]), *failures])
        if self.validate == "raise":
            found, self._elsewhere = [*self._elsewhere, *record.violations], []
            if found:
                if record.error is not None and record.error is not found[0]:
                    add_note(found[0], record.error, "after that")
                raise found[0]
        if record.error is not None:
            if record.raises:
                raise record.error
            if not record.headers and not record.chunks:
                record.status, record.reason = 500, "Internal Server Error"

    def check_host(self, request: WireRequest) -> None:
        """Refuse a redirect to a host that the application does not serve.

        Raises:
            ConfigurationError: The redirect leads to another host, which ``hosts`` does not name.
        """
        host = request.url.host
        first = request.extensions.get("gateway.host", host)
        if host != first and not any(fnmatchcase(host, pattern) for pattern in self.options.hosts):
            raise ConfigurationError(
                f"a redirect leads to another host: {host!r}. The client has one application only, and {first!r} is "
                f"its host. If it serves both, pass hosts=({host!r},); otherwise pass follow_redirects=False and look "
                "at the Location header"
            )

    def raise_late(self, failures: list[BaseException]) -> None:
        """Raise what closing the client raised, and the exceptions of the application outside of any request."""
        outside, self.outside[:] = list(self.outside), []
        # A failed shutdown is logged as well, and raised with its cause.
        known = {id(one.__cause__) for one in failures}
        others = [one for one in outside if id(one) not in known] if self.options.raise_app_exceptions else []
        error = together([*failures, *others])
        if error is not None:
            raise error

    def _found(self, violation: ProtocolViolation) -> None:
        record = CURRENT.get()
        # The validator has just appended the violation to one of its two lists.
        if any(violation is one for checked in self._checked for one in checked.warnings[-8:]):
            if record is not None:
                record.warnings.append(violation)
        else:
            (self._elsewhere if record is None else record.violations).append(violation)

    def record(self, extensions: Mapping[str, Any]) -> Record:
        """Begin the record of a request."""
        raises = extensions.get("gateway.raise_app_exceptions", self.options.raise_app_exceptions)
        record = Record(raises=raises)
        if self.records is not None:
            self.records.append(record)
        return record

    def close(self) -> None:
        """Close the adapters of the tier."""
        self._closed = True
        if self._close is not None:
            self._close()

    async def end_lifespan(self) -> None:
        """Stop the lifespan of a client that was never closed, and log its failure."""
        if self.lifespan is not None:
            try:
                await self.lifespan.stop()
            except Exception:
                _log.exception("the application's lifespan failed to stop; the test did not close its client")

    def _check(self, app: Application, interface: Interface) -> Application:
        if self.validate == "off":
            return app
        ignore = {**_CLIENT_IS_NO_JUDGE, **known_rules(self.options.ignore)}
        checked = Validator(app, interface, mode=self.validate, ignore=ignore, on_violation=self._found)
        self._checked.append(checked)
        return cast(Application, checked)  # one of its two kinds, both callable


def _chunks(source: bytes | list[bytes] | Iterator[bytes], fault: Fault) -> Iterator[bytes]:
    if isinstance(source, bytes):
        return iter(recut([source], fault.request_chunks))
    if isinstance(source, list) or fault.request_chunks is not None:
        return iter(recut(source, fault.request_chunks))
    return source
