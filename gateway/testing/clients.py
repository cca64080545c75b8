"""Clients for tests: one surface for WSGI and ASGI applications, synchronous and asynchronous.

`Client` needs no async: it runs a WSGI application in the calling thread, and an ASGI application on a private event
loop in one thread. `AsyncClient` runs an ASGI application in the caller's own loop, asyncio or trio, and a WSGI
application in a worker thread. The HTTP library (httpx2, or httpx) handles requests, cookies, redirects, forms and
files. This package calls the application: it buffers only on request, validates both sides, and applies a `Fault` at
the place that the test chose. (Above 400 lines, because the two clients are side by side and have the same methods.)

Sources: ASGI 3.0, HTTP and WebSocket 2.5, Lifespan 2.0; PEP 3333.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Generic, TypeVar, Unpack

import anyio
import anyio.to_thread

from gateway.errors import GatewayError, ProtocolViolation
from gateway.protocols import Application, Interface
from gateway.testing._carrying import AsyncTransport, Transport, ended, nothing, nothing_async, prepared
from gateway.testing._concurrency import ClientLoop, running_loop
from gateway.testing._failures import CLOSING, add_note
from gateway.testing._handshake import handshake, keep_cookies, opened
from gateway.testing._http import http
from gateway.testing._options import ClientOptions, StageOptions, takes
from gateway.testing._response import AsyncResponse, AsyncSteps, Response, SyncSteps
from gateway.testing._stage import Stage
from gateway.testing._verbs import AsyncVerbs, HeaderItems, Params, RequestOptions, Verbs, encoded
from gateway.testing.leaks import GRACE, LeakReport, Snapshot
from gateway.testing.websocket import AsyncWebSocket, WebSocket

__all__ = ["AsyncClient", "Client", "NotClean"]

T = TypeVar("T")
S = TypeVar("S", SyncSteps, AsyncSteps)


class NotClean(GatewayError, AssertionError):  # an AssertionError, because it is a finding of a test
    """A client found violations or leaks: see the message, ``violations`` and ``leaks``."""

    def __init__(self, violations: list[ProtocolViolation], leaks: LeakReport) -> None:
        super().__init__("\n".join([*map(str, violations), *([str(leaks)] if leaks else [])]))
        self.violations = violations
        self.leaks = leaks


class _Common(Generic[S]):
    """The attributes and methods that both clients share."""

    _stage: Stage
    _open: list[S]
    _sockets: list[AsyncWebSocket]

    @property
    def app(self) -> Application:
        """The application behind its tier and its validator, as the client calls it."""
        return self._stage.app

    @property
    def interface(self) -> Interface:
        """The interface in which the client calls the application."""
        return self._stage.interface

    @property
    def lifespan_state(self) -> dict[str, object]:
        """The values that the application's lifespan has put into ``scope["state"]``."""
        return self._stage.lifespan.state if self._stage.lifespan is not None else {}

    @property
    def violations(self) -> list[ProtocolViolation]:
        """The findings of the validators so far."""
        return self._stage.violations

    def assert_kept(self) -> None:
        """Raise `NotClean` if a rule was broken."""
        if self.violations:
            raise NotClean(self.violations, LeakReport())

    def _keep(self, error: BaseException, other: BaseException) -> None:
        """Keep what an application raised while a block of the test ends with an error of its own."""
        if isinstance(error, GeneratorExit):  # nobody left the block, and it is collected: nothing can be raised here
            self._stage.outside.append(other)
        else:
            add_note(error, other, CLOSING)

    def _unclosed(self) -> list[str]:
        return [f"response of the {steps.record.interface} application" for steps in self._open]


class Client(Verbs[Response], _Common[SyncSteps]):
    """A client for tests that need no async.

    Use it as it is, or in ``with``: it then starts the lifespan at once, not at the first request, and stops it at the
    end. A client that was closed starts again with the next ``with`` or request. A client that was never closed stops
    the lifespan and ends its loop when it is collected.

    Args:
        app: A WSGI or ASGI application, or a ``Gateway``.
        interface: Which one, where it cannot be told from the object.
        tier: ``direct``, or behind our adapters: ``adapted`` (driven in the other interface), ``roundtrip``.
        validate: ``raise`` a `ProtocolViolation` at the first broken rule, ``collect`` them, or ``off``.
        ignore: Rules not to report, each with the reason, as for `gateway.rules.Validator`.
        lifespan: Whether an ASGI application's lifespan is run.
        raise_app_exceptions: Raise what the application raised; otherwise answer 500 as a server does.
        base_url: What a relative URL is completed with.
        root_path: Where the server has mounted the application; it is put before the path of each request.
        client: The peer's address and port, or None.
        http_version: ``1.0``, ``1.1``, ``2`` or ``3``.
        scheme: The scheme that the application is told; None: the URL's.
        extensions: The ASGI extensions that the client understands, by short name.
        timeout: Seconds that an ASGI application may take for a response, its headers, a chunk, its background tasks,
            a startup or a shutdown; None: no limit. Code in the calling thread, so a WSGI application, can only be
            stopped between two blocks of its response.
        follow_redirects: Whether redirects are followed.
        cookies: Cookies to begin with.
        headers: Headers of every request.
        hosts: Other hosts that the application serves, ``*`` as a wildcard: redirects to them are followed.
        environ: Keys of every WSGI environ, such as ``REMOTE_USER``.
        scope: Keys of every ASGI scope. Its ``extensions`` are added to those of ``extensions=``.
        backend: The loop that an ASGI application gets: ``asyncio`` or ``trio``.
        fault: What goes wrong in every request, and in the lifespan.
    """

    @takes(ClientOptions)
    def __init__(self, options: ClientOptions) -> None:
        self._open = []
        self._sockets = []
        self._stage = Stage(options)
        self._before = Snapshot.take()
        self._loop = ClientLoop(options.backend, self._stage.outside, self._stage.end_lifespan)
        self._started = False
        self._http = http.Client(
            transport=Transport(self._stage, self._open, self._loop, weakref.WeakMethod(self._start)),
            base_url=options.base_url,
            follow_redirects=options.follow_redirects,
            cookies=options.cookies,
            headers=_with_defaults(options.headers),
            trust_env=False,
        )
        _drop_connection(self._http, options)
        self._finalizer = weakref.finalize(self, self._loop.stop, join=False)

    # -- requests

    def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a request and read the whole response."""
        response = self._http.request(**prepared(method, url, options, nothing))  # type: ignore[arg-type]  # checked
        return _as(Response, response)

    @contextmanager
    def stream(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Generator[Response]:
        """Send a request and yield the response as soon as it has headers.

        If the block ends before the response is complete, the client leaves, and the application sees a disconnect.
        """
        with self._http.stream(**prepared(method, url, options, nothing, streams=True)) as response:  # type: ignore[arg-type]  # checked
            try:
                yield _as(Response, response)
            except BaseException as error:
                try:
                    response.close()
                except Exception as other:
                    self._keep(error, other)
                raise

    @contextmanager
    def websocket(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        headers: HeaderItems | None = None,
        params: Params | None = None,
        cookies: dict[str, str] | None = None,
        scope: Mapping[str, object] | None = None,
        timeout: float | None = None,
    ) -> Generator[WebSocket]:
        """Open a WebSocket.

        When the block ends, the client closes the WebSocket with 1000 if it is open, and waits for the application.

        Raises:
            WebSocketDenied: The application refused the handshake.
            Unsupported: The application is called as WSGI.
        """
        self._start()
        request = handshake(self._http, url, subprotocols, headers, params, cookies, scope)
        core = opened(self._stage, request, subprotocols, timeout)
        self._sockets.append(core)
        try:
            self._loop.run(core.connect, core.timeout)
            keep_cookies(self._http, request, core)
            yield WebSocket(core, self._loop)
        except BaseException as error:
            try:
                self._end_socket(core)
            except Exception as other:
                self._keep(error, other)
            raise
        self._end_socket(core)

    def _end_socket(self, core: AsyncWebSocket) -> None:
        if core in self._sockets:
            self._sockets.remove(core)
            try:
                self._loop.run(core.finish, GRACE)
            finally:
                self._stage.settle(core.record)

    # -- start and end

    def __enter__(self) -> Client:
        try:
            self._start()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Exception as other:
            if error is None:
                raise
            add_note(error, other, CLOSING)

    def close(self) -> None:
        """Close the responses and WebSockets that are still open, stop the lifespan, end the loop.

        Raises:
            LifespanFailed: The application did not stop as it should.
            Exception: The application's own, from a response or a WebSocket that was still open, from a task, or from
                its lifespan. If there are several, the first is raised and has the others as notes.
        """
        failures: list[BaseException] = []
        try:
            for steps in list(self._open):
                with _gathered(failures):
                    steps.close()
                with _gathered(failures):
                    ended(self._open, self._stage, steps)
            for core in list(self._sockets):
                with _gathered(failures):
                    self._end_socket(core)
            if self._stage.lifespan is not None and self._loop.thread is not None:
                with _gathered(failures):
                    self._loop.run(self._stage.lifespan.stop, self._stage.timeout)
        finally:
            self._started = False
            with _gathered(failures):
                self._stage.close()
            with _gathered(failures):
                self._loop.stop()
        self._stage.raise_late(failures)

    # -- findings

    @property
    def cookies(self) -> http.Cookies:
        """The cookies that the application has set."""
        return self._http.cookies

    @property
    def headers(self) -> http.Headers:
        """The headers of every request."""
        return self._http.headers

    def leaks(self) -> LeakReport:
        """Return the tasks, threads and responses that are new since the client was made, and still there."""

        async def tasks() -> list[str]:
            with anyio.move_on_after(GRACE):
                while self._before.left_tasks(running_loop()):  # noqa: ASYNC110  # tasks do not signal their end
                    await anyio.sleep(0.01)
            return self._before.left_tasks(running_loop())

        return self._before.left(self._loop.run(tasks) if self._loop.thread is not None else (), self._unclosed())

    def assert_clean(self) -> None:
        """Raise `NotClean` if a rule was broken or anything leaked."""
        leaks = self.leaks()
        if leaks or self.violations:
            raise NotClean(self.violations, leaks)

    def _start(self) -> None:
        if self._started:
            return
        self._stage.reopen()
        if (lifespan := self._stage.lifespan) is not None:

            async def start() -> Snapshot:
                await lifespan.start()
                return Snapshot.take(running_loop())

            # The application may keep the tasks and threads of its lifespan until the end, so they are not leaks.
            self._before = self._loop.run(start, self._stage.timeout)
        self._started = True


class AsyncClient(AsyncVerbs[AsyncResponse], _Common[AsyncSteps]):
    """A client for asynchronous tests: it runs in the caller's loop, asyncio or trio.

    Use it in ``async with``, which starts and stops the lifespan, or without: the lifespan then starts with the first
    request and ends with the loop. The arguments are those of `Client`, without ``backend``.
    """

    @takes(StageOptions)
    def __init__(self, options: StageOptions) -> None:
        self._open = []
        self._sockets = []
        self._stage = Stage(options)
        self._before: Snapshot | None = None
        self._http = http.AsyncClient(
            transport=AsyncTransport(self._stage, self._open, self._start),
            base_url=options.base_url,
            follow_redirects=options.follow_redirects,
            cookies=options.cookies,
            headers=_with_defaults(options.headers),
            trust_env=False,
        )
        _drop_connection(self._http, options)

    # -- requests

    async def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> AsyncResponse:
        """Send a request and read the whole response."""
        response = await self._http.request(**prepared(method, url, options, nothing_async))  # type: ignore[arg-type]  # checked
        return _as(AsyncResponse, response)

    @asynccontextmanager
    async def stream(self, method: str, url: str, **options: Unpack[RequestOptions]) -> AsyncGenerator[AsyncResponse]:
        """Send a request and yield the response as soon as it has headers.

        If the block ends before the response is complete, the client leaves, and the application sees a disconnect.
        """
        async with self._http.stream(**prepared(method, url, options, nothing_async, streams=True)) as response:  # type: ignore[arg-type]  # checked
            try:
                yield _as(AsyncResponse, response)
            except BaseException as error:
                try:
                    await response.aclose()
                except Exception as other:
                    self._keep(error, other)
                raise

    @asynccontextmanager
    async def websocket(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        headers: HeaderItems | None = None,
        params: Params | None = None,
        cookies: dict[str, str] | None = None,
        scope: Mapping[str, object] | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[AsyncWebSocket]:
        """Open a WebSocket. See `Client.websocket`."""
        await self._start()
        request = handshake(self._http, url, subprotocols, headers, params, cookies, scope)
        core = opened(self._stage, request, subprotocols, timeout)
        self._sockets.append(core)
        try:
            await core.connect()
            keep_cookies(self._http, request, core)
            yield core
        except BaseException as error:
            try:
                await self._end_socket(core)
            except Exception as other:
                self._keep(error, other)
            raise
        await self._end_socket(core)

    async def _end_socket(self, core: AsyncWebSocket) -> None:
        if core in self._sockets:
            self._sockets.remove(core)
            try:
                await core.finish()
            finally:
                self._stage.settle(core.record)

    # -- start and end

    async def __aenter__(self) -> AsyncClient:
        try:
            await self._start()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self.aclose()
        except Exception as other:
            if error is None:
                raise
            add_note(error, other, CLOSING)

    async def aclose(self) -> None:
        """Close the responses and WebSockets that are still open, and stop the lifespan.

        Raises:
            LifespanFailed: The application did not stop as it should.
            Exception: The application's own, from a response or a WebSocket that was still open, from a task, or from
                its lifespan. If there are several, the first is raised and has the others as notes.
        """
        failures: list[BaseException] = []
        try:
            for steps in list(self._open):
                with _gathered(failures):
                    await steps.close()
                with _gathered(failures):
                    ended(self._open, self._stage, steps)
            for core in list(self._sockets):
                with _gathered(failures):
                    await self._end_socket(core)
            if self._stage.lifespan is not None:
                with _gathered(failures):
                    await self._stage.lifespan.stop()
        finally:
            self._before = None
            with _gathered(failures):
                await anyio.to_thread.run_sync(self._stage.close)
        self._stage.raise_late(failures)

    # -- findings

    @property
    def cookies(self) -> http.Cookies:
        """The cookies that the application has set."""
        return self._http.cookies

    @property
    def headers(self) -> http.Headers:
        """The headers of every request."""
        return self._http.headers

    def leaks(self) -> LeakReport:
        """Return tasks, threads and responses that are new since the first request; tasks only on asyncio.

        Call it in the event loop.
        """
        before = self._before or Snapshot.take(running_loop())
        return before.left(before.left_tasks(running_loop()), self._unclosed())

    def assert_clean(self) -> None:
        """Raise `NotClean` if a rule was broken or anything leaked."""
        leaks = self.leaks()
        if leaks or self.violations:
            raise NotClean(self.violations, leaks)

    async def _start(self) -> None:
        if self._before is None:
            self._stage.reopen()
            if self._stage.lifespan is not None:
                await self._stage.lifespan.start()
            # The application may keep the tasks and threads of its lifespan until the end, so they are not leaks.
            self._before = Snapshot.take(running_loop())


@contextmanager
def _gathered(failures: list[BaseException]) -> Generator[None]:
    """Keep an exception for later, so that the rest is closed too."""
    try:
        yield
    except Exception as error:
        failures.append(error)


def _drop_connection(client: http.Client | http.AsyncClient, options: StageOptions) -> None:
    """Drop the HTTP library's own ``Connection`` header: it is about a connection, and there is none."""
    if not any(name.lower() == b"connection" for name, _ in encoded(options.headers)):
        del client.headers["connection"]


def _with_defaults(headers: HeaderItems | None) -> list[tuple[bytes, bytes]]:
    given = encoded(headers)
    named = {name.lower() for name, _ in given}
    return [*([] if b"user-agent" in named else [(b"user-agent", b"anytier-testing")]), *given]


R = TypeVar("R", bound=http.Response)


def _as(kind: type[R], response: http.Response) -> R:
    if not isinstance(response, kind):  # pragma: no cover  # our transport makes no other
        raise TypeError(f"expected a {kind.__name__}, got {response!r}")
    return response
