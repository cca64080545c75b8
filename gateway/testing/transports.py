"""Transports for httpx2 and httpx: an application instead of a network, under the library's own client.

``httpx2.AsyncClient(transport=ASGITransport(app))``, ``httpx2.Client(transport=WSGITransport(app))``, and the same with
httpx. Responses stream. These transports also carry the data that the libraries' own transports lose. These are
``write()``, paths in latin-1, repeated headers, trailers (``response.extensions["trailers"]``), early hints and sent
files. If the client closes a response early, the application gets a disconnect. One class serves both libraries: it
makes the objects of the library that sends the request.

Sources: ASGI HTTP 2.5; PEP 3333 "Unicode Issues", "The write() Callable".
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache, partial
from types import ModuleType, TracebackType

from gateway.errors import ConfigurationError, ProtocolViolation
from gateway.lifespan import LifespanFailed
from gateway.protocols import ASGIApplication, Interface, WSGIApplication
from gateway.testing._carrying import response_of, source_of
from gateway.testing._http import http
from gateway.testing._options import StageOptions, Validate
from gateway.testing._record import Record
from gateway.testing._response import AsyncChunks, Chunks
from gateway.testing._stage import Stage

__all__ = ["ASGITransport", "WSGITransport"]

_LIBRARIES = ("httpx2", "httpx")


class _Transport:
    _stage: Stage

    @property
    def violations(self) -> list[ProtocolViolation]:
        """The findings of the validator so far."""
        return self._stage.violations

    def _settled(self, record: Record, library: ModuleType) -> None:
        self._stage.settle(record)
        if record.error is not None and record.headers and not record.complete:
            # A client of a server that cuts the connection sees this error.
            raise library.RemoteProtocolError("peer closed connection without sending complete message body")


def _stage(options: StageOptions, interface: Interface) -> Stage:
    stage = Stage(options)
    if stage.interface != interface:
        other = "WSGITransport" if interface == "asgi" else "ASGITransport"
        raise ConfigurationError(f"this transport calls {interface} applications, got {options.app!r}; use {other}")
    return stage


class ASGITransport(_Transport, http.AsyncBaseTransport):
    """Calls an ASGI application in the loop of the asynchronous client; asyncio and trio.

    The lifespan starts with the client (``async with``) or with the first request, and stops with it. A transport may
    serve several clients, one after the other.

    Args:
        app: The application.
        raise_app_exceptions: Raise the application's exceptions; otherwise respond with 500, or cut the response.
        root_path: Path at which the application is mounted.
        client: Address and port of the client.
        http_version: HTTP version in the scope.
        extensions: ASGI extensions to offer, by short name.
        lifespan: Whether to run the lifespan.
        validate: ``raise`` a `ProtocolViolation`, ``collect`` them, or ``off``.
        ignore: Rules not to report, each with the reason.
        timeout: Seconds that the application may take for its headers, a chunk, or its end.
    """

    def __init__(
        self,
        app: ASGIApplication,
        raise_app_exceptions: bool = True,
        root_path: str = "",
        client: tuple[str, int] | None = ("127.0.0.1", 50000),
        *,
        http_version: str = "1.1",
        extensions: Sequence[str] = StageOptions.extensions,
        lifespan: bool = True,
        validate: Validate = "raise",
        ignore: Mapping[str, str] | None = None,
        timeout: float | None = 10.0,
    ) -> None:
        options = StageOptions(
            app,
            raise_app_exceptions=raise_app_exceptions,
            root_path=root_path,
            client=client,
            http_version=http_version,
            extensions=extensions,
            lifespan=lifespan,
            validate=validate,
            ignore=ignore or {},
            timeout=timeout,
        )
        self._stage = _stage(options, "asgi")

    async def handle_async_request(self, request: http.Request) -> http.Response:
        """Call the application; the response streams."""
        stage, library = self._stage, _library_of(request)
        await self._start()
        steps = stage.asgi_call(request, source_of(request, library), stage.fault, stage.timeout)
        await steps.open()
        if steps.record.error is not None:
            await steps.close()
            stage.settle(steps.record)
        ended = partial(self._settled, steps.record, library)
        response: http.Response = response_of(library.Response, steps.record, _streams(library)[1](steps, ended))
        return response

    async def __aenter__(self) -> ASGITransport:
        await self._start()
        return self

    async def _start(self) -> None:
        self._stage.reopen()
        if self._stage.lifespan is not None:
            await self._stage.lifespan.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop the lifespan.

        Raises:
            LifespanFailed: The application did not stop as it should.
            Exception: The application's own, if it left its lifespan between startup and shutdown.
        """
        failures: list[BaseException] = []
        try:
            if self._stage.lifespan is not None:
                await self._stage.lifespan.stop()
        except LifespanFailed as error:
            failures.append(error)
        self._stage.close()
        self._stage.raise_late(failures)


class WSGITransport(_Transport, http.BaseTransport):
    """Calls a WSGI application in the thread of the synchronous client. The arguments are those of `ASGITransport`."""

    def __init__(
        self,
        app: WSGIApplication,
        raise_app_exceptions: bool = True,
        root_path: str = "",
        client: tuple[str, int] | None = ("127.0.0.1", 50000),
        *,
        http_version: str = "1.1",
        validate: Validate = "raise",
        ignore: Mapping[str, str] | None = None,
    ) -> None:
        options = StageOptions(
            app,
            raise_app_exceptions=raise_app_exceptions,
            root_path=root_path,
            client=client,
            http_version=http_version,
            extensions=(),
            validate=validate,
            ignore=ignore or {},
        )
        self._stage = _stage(options, "wsgi")

    def handle_request(self, request: http.Request) -> http.Response:
        """Call the application; the response streams."""
        stage, library = self._stage, _library_of(request)
        steps = stage.wsgi_call(request, source_of(request, library), stage.fault, stage.timeout)
        steps.open()
        if steps.record.error is not None:
            steps.close()
            stage.settle(steps.record)
        ended = partial(self._settled, steps.record, library)
        response: http.Response = response_of(library.Response, steps.record, _streams(library)[0](steps, ended))
        return response


def _library_of(request: object) -> ModuleType:
    """Return the library of the client that sends the request, by the request's class."""
    for kind in type(request).__mro__:
        top = kind.__module__.partition(".")[0]
        if top in _LIBRARIES:
            return sys.modules[top]
    raise ConfigurationError(f"a transport works with the clients of {' and '.join(_LIBRARIES)} only, got {request!r}")


@cache
def _streams(library: ModuleType) -> tuple[type[Chunks], type[AsyncChunks]]:
    """Return both kinds of stream as subclasses of the library's own, because its client checks that."""
    return (
        type("Chunks", (Chunks, library.SyncByteStream), {}),
        type("AsyncChunks", (AsyncChunks, library.AsyncByteStream), {}),
    )
