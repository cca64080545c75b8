"""Clients for the same tests under real servers: the methods of `Client`, over a connection on loopback.

Some data exists only in the application's process: messages, the number of ``close()`` calls, faults. Access to it
raises `Unsupported` here, and the pytest plugin turns that into a skip with the same reason.
(Above 400 lines, because both clients and the socket refuse the same options.)
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NoReturn, TypeVar, Unpack

from gateway.errors import ConfigurationError, ProtocolViolation, Side
from gateway.protocols import Message
from gateway.servers import Bind, Launch, Running, Server, start
from gateway.servers._reachable import reads_forwarded
from gateway.testing._forked import fork
from gateway.testing._http import http
from gateway.testing._record import Record
from gateway.testing._response import AsyncResponse, Response
from gateway.testing._served_names import FILE, MARK, MODULE, NAME, READY, SIDES
from gateway.testing._verbs import (
    AsyncVerbs,
    Content,
    HeaderItems,
    Params,
    RequestOptions,
    Verbs,
    add_cookies,
    addressed,
    encoded,
)
from gateway.testing.tiers import Unsupported
from gateway.testing.websocket import WebSocketClosed, WebSocketDenied

__all__ = [
    "AsyncServedClient",
    "AsyncServedResponse",
    "ServedClient",
    "ServedResponse",
    "ServedWebSocket",
    "locate",
    "output",
    "serve",
    "told_violations",
]


def locate(app: object, *modules: ModuleType) -> tuple[str, str, str]:
    """Find the module, its file and the name of an application, so that a server can import it in its own process.

    Args:
        app: The application.
        modules: Modules to search first: the test's own module. The application's ``__module__`` comes after them.

    Raises:
        ConfigurationError: The application is not a global of these modules: a function or a fixture made it.
    """
    own = sys.modules.get(str(getattr(app, "__module__", "")))
    for module in (*modules, *([own] if own is not None else [])):
        for name, value in vars(module).items():
            if value is app:
                return module.__name__, getattr(module, "__file__", None) or "", name
    raise ConfigurationError(
        "an application for a server tier must be a global of its module, because the server imports it in "
        f"another process; {app!r} is not. Move it out of the function, or remove the server tiers from this "
        "test's mark"
    )


def serve(
    server: Server,
    app: object,
    *modules: ModuleType,
    sides: Sequence[Side] = ("application", "middleware"),
    copy: bool | None = None,
) -> Running:
    """Start a server with the application behind a validator, and wait until it responds.

    `told_violations` then returns the violations of ``sides``.

    Args:
        server: Server to start.
        app: The application.
        modules: Modules to search for the application, as for `locate`.
        sides: Sides whose violations are reported.
        copy: Run the server in a copy of this process. None means: only if the application is not a global.

    Raises:
        Unsupported: The application is not a global, and this server cannot run in a copy of this process.
        StartError: The server did not start.
    """
    launch = Launch(
        target="gateway.testing._served_app:app",
        bind=Bind(port=0),
        app_dir=str(Path.cwd()),
        believes_proxies=not reads_forwarded(app),
        environment={SIDES: ",".join(sides)},
    )
    try:
        place = None if copy else locate(app, *modules)
    except ConfigurationError:
        if copy is False:
            raise
        place = None
    if place is None:
        return fork(server, launch, partial(_hand_over, app), ready=READY)
    named = {**launch.environment, **dict(zip((MODULE, FILE, NAME), place, strict=True))}
    return start(server, replace(launch, environment=named), ready=READY)


def _hand_over(app: object) -> None:
    # In the copy only: in a server's own process, importing the module imports the application.
    from gateway.testing._served_app import serve_object

    serve_object(app)


def told_violations(running: Running) -> list[ProtocolViolation]:
    """Return the findings of the validator in the server's process."""
    lines = [line.removeprefix(MARK) for line in running.output().splitlines() if line.startswith(MARK)]
    return [ProtocolViolation(*json.loads(line)) for line in lines]


def output(running: Running, lines: int = 20) -> str:
    """Return the last lines of the server's own output, without the validator's."""
    own = [line for line in running.output().splitlines() if not line.startswith(MARK)]
    return "\n".join(own[-lines:]) or "(nothing)"


def _unsupported(what: str) -> NoReturn:
    raise Unsupported(f"only a client in the same process can see {what}; this tier has a server in between")


def _plain(method: str, url: str, options: RequestOptions, *, asynchronous: bool) -> dict[str, object]:
    url, extensions = addressed(method, url)
    given: dict[str, object] = {**options, "method": method, "url": url, "extensions": extensions}
    given.pop("raise_app_exceptions", None)  # a server never raises them
    if "cookies" in options:
        extensions["gateway.cookies"] = given.pop("cookies")
    if "headers" in options:
        given["headers"] = encoded(options["headers"])
    content: Content | None = options.get("content")
    if asynchronous and isinstance(content, (list, tuple)):

        async def chunks(pieces: Sequence[bytes] = tuple(content)) -> AsyncGenerator[bytes]:
            for piece in pieces:
                if piece:  # an empty chunk would end a chunked body
                    yield piece

        given["content"] = chunks()
    elif isinstance(content, (list, tuple)):
        given["content"] = [piece for piece in content if piece]
    return given


class _OverNetwork:
    """A record that comes from a connection; the other data of a `Record` is not available."""

    @property
    def messages(self) -> NoReturn:
        _unsupported("messages")

    @property
    def trailers(self) -> NoReturn:
        _unsupported("trailers")

    @property
    def early_hints(self) -> NoReturn:
        _unsupported("early hints")

    @property
    def sent_file(self) -> NoReturn:
        _unsupported("a sent file")

    @property
    def debug(self) -> NoReturn:
        _unsupported("debug information")

    @property
    def app_saw(self) -> NoReturn:
        _unsupported("the messages of the application")

    @property
    def app_error(self) -> NoReturn:
        _unsupported("the exception of the application")

    @property
    def close_called(self) -> NoReturn:
        _unsupported("the calls of close()")

    @property
    def chunks(self) -> NoReturn:
        _unsupported("exact chunks")


class ServedResponse(_OverNetwork, Response):
    """A response of `ServedClient`. ``iter_chunks()`` yields the data as the network delivers it."""

    def iter_chunks(self) -> Iterator[bytes]:
        """Iterate over the body as it arrives."""
        return self.iter_raw()


class AsyncServedResponse(_OverNetwork, AsyncResponse):
    """A response of `AsyncServedClient`. ``iter_chunks()`` yields the data as the network delivers it."""

    def iter_chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it arrives."""
        return self.aiter_raw()


class _Network(http.HTTPTransport):
    def handle_request(self, request: http.Request) -> http.Response:
        add_cookies(request)
        answer = super().handle_request(request)
        response = ServedResponse(
            answer.status_code, headers=answer.headers, stream=answer.stream, extensions=answer.extensions
        )
        response.record = _record(answer)
        return response


class _AsyncNetwork(http.AsyncHTTPTransport):
    async def handle_async_request(self, request: http.Request) -> http.Response:
        add_cookies(request)
        answer = await super().handle_async_request(request)
        response = AsyncServedResponse(
            answer.status_code, headers=answer.headers, stream=answer.stream, extensions=answer.extensions
        )
        response.record = _record(answer)
        return response


def _record(answer: http.Response) -> Record:
    return Record(status=answer.status_code, reason=answer.reason_phrase, headers=answer.headers.raw, complete=True)


class ServedClient(Verbs[Response]):
    """`gateway.testing.Client` for an application under a server.

    Args:
        server: Server that runs the application.
        base_url: URL of the server.
        options: ``headers``, ``cookies``, ``follow_redirects`` and ``timeout`` as for `Client`. Options that need a
            client inside the process raise `Unsupported`.
    """

    def __init__(self, server: Server, base_url: str, **options: Any) -> None:
        self.server = server
        self._open = partial(http.Client, base_url=base_url, **_settings(options))
        self._http = self._open(transport=_Network())

    def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a request and read the whole response."""
        self._check(options)
        return _as(Response, self._http.request(**_plain(method, url, options, asynchronous=False)))  # type: ignore[arg-type]  # checked

    @contextmanager
    def stream(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Generator[Response]:
        """Send a request and yield the response as soon as it has headers."""
        self._check(options)
        if not self.server.capabilities.streaming:
            raise Unsupported(f"{self.server.name} sends a response only when it is complete")
        with self._http.stream(**_plain(method, url, options, asynchronous=False)) as response:  # type: ignore[arg-type]  # checked
            yield _as(Response, response)

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
    ) -> Generator[ServedWebSocket]:
        """Open a WebSocket, if the server supports them."""
        if not self.server.capabilities.websocket:
            raise Unsupported(f"{self.server.name} does not support WebSockets")
        if scope:
            raise Unsupported("scope= cannot be set in this tier, because the server makes the scope")
        if cookies:
            own = "; ".join(f"{name}={value}" for name, value in cookies.items())
            headers = [*headers.items()] if isinstance(headers, Mapping) else [*(headers or ())]
            headers.append(("cookie", own))
        with ServedWebSocket.open(self._http, url, subprotocols, headers, params, timeout) as socket:
            yield socket

    @property
    def cookies(self) -> http.Cookies:
        """The cookies that the application has set."""
        return self._http.cookies

    @property
    def headers(self) -> http.Headers:
        """The headers of every request."""
        return self._http.headers

    @property
    def lifespan_state(self) -> NoReturn:
        """Not available over a connection."""
        _unsupported("the lifespan's state")

    def __enter__(self) -> ServedClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the server continues. The next request opens new ones."""
        old, self._http = self._http, self._open(transport=_Network())
        self._http.cookies = old.cookies
        self._http.headers = old.headers
        old.close()

    def _check(self, options: RequestOptions) -> None:
        _check(self.server, options)


class AsyncServedClient(AsyncVerbs[AsyncResponse]):
    """`gateway.testing.AsyncClient` for an application under a server. The arguments are those of `ServedClient`."""

    def __init__(self, server: Server, base_url: str, **options: Any) -> None:
        self.server = server
        self._open = partial(http.AsyncClient, base_url=base_url, **_settings(options))
        self._http = self._open(transport=_AsyncNetwork())

    async def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> AsyncResponse:
        """Send a request and read the whole response."""
        _check(self.server, options)
        response = await self._http.request(**_plain(method, url, options, asynchronous=True))  # type: ignore[arg-type]  # checked
        return _as(AsyncResponse, response)

    @asynccontextmanager
    async def stream(self, method: str, url: str, **options: Unpack[RequestOptions]) -> AsyncGenerator[AsyncResponse]:
        """Send a request and yield the response as soon as it has headers."""
        _check(self.server, options)
        if not self.server.capabilities.streaming:
            raise Unsupported(f"{self.server.name} sends a response only when it is complete")
        async with self._http.stream(**_plain(method, url, options, asynchronous=True)) as response:  # type: ignore[arg-type]  # checked
            yield _as(AsyncResponse, response)

    def websocket(self, url: str, **options: object) -> NoReturn:
        """Not available: use the synchronous client."""
        raise Unsupported("under a server, WebSockets need the synchronous client: use the fixture `web`")

    @property
    def cookies(self) -> http.Cookies:
        """The cookies that the application has set."""
        return self._http.cookies

    async def __aenter__(self) -> AsyncServedClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; the server continues. The next request opens new ones."""
        old, self._http = self._http, self._open(transport=_AsyncNetwork())
        self._http.cookies = old.cookies
        self._http.headers = old.headers
        await old.aclose()


class ServedWebSocket:
    """`gateway.testing.WebSocket` over a connection."""

    def __init__(self, session: Any, timeout: float | None) -> None:
        self._session = session
        self._timeout = timeout

    @classmethod
    @contextmanager
    def open(
        cls,
        client: http.Client,
        url: str,
        subprotocols: Sequence[str],
        headers: HeaderItems | None,
        params: Params | None,
        timeout: float | None,
    ) -> Generator[ServedWebSocket]:
        """Open a WebSocket with the HTTP library's own implementation."""
        try:
            from httpx2.websockets import WebSocketUpgradeError
        except ImportError:
            raise Unsupported("a WebSocket over a connection needs httpx2 and wsproto") from None
        place = client.base_url.join(url)
        place = place.copy_with(scheme={"http": "ws", "https": "wss"}[place.scheme])
        try:
            with client.websocket(
                place, subprotocols=list(subprotocols) or None, headers=encoded(headers), params=params
            ) as session:
                yield cls(session, timeout)
        except WebSocketUpgradeError as error:
            refused = ServedResponse(error.response.status_code, headers=error.response.headers)
            refused.record = _record(error.response)
            raise WebSocketDenied(refused) from None

    @property
    def accepted_subprotocol(self) -> str | None:
        """The subprotocol that the application chose, or None."""
        chosen: str | None = self._session.subprotocol
        return chosen

    def send_text(self, text: str) -> None:
        """Send a text message."""
        self._session.send_text(text)

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._session.send_bytes(data)

    def send_json(self, value: object) -> None:
        """Send a value as a JSON text message."""
        self._session.send_json(value)

    def receive_text(self, timeout: float | None = None) -> str:
        """Return the next message, which must be text."""
        return str(self._receive(self._session.receive_text, timeout))

    def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Return the next message, which must be binary."""
        return bytes(self._receive(self._session.receive_bytes, timeout))

    def receive_json(self, timeout: float | None = None) -> object:
        """Return the next message, read as JSON."""
        value: object = self._receive(self._session.receive_json, timeout)
        return value

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close; the application receives this code."""
        self._session.close(code, reason or None)

    def send_message(self, message: Message) -> NoReturn:
        """Not available over a connection."""
        _unsupported("ASGI messages")

    def receive_message(self, timeout: float | None = None) -> NoReturn:
        """Not available over a connection."""
        _unsupported("ASGI messages")

    def drop(self) -> NoReturn:
        """Not available over a connection."""
        _unsupported("a dropped connection")

    def _receive(self, receive: Callable[..., Any], timeout: float | None) -> Any:
        from httpx2.websockets import WebSocketDisconnect

        try:
            return receive(timeout=self._timeout if timeout is None else timeout)
        except WebSocketDisconnect as error:
            raise WebSocketClosed(error.code, error.reason or "") from None


_REFUSED = (
    "root_path",
    "client",
    "http_version",
    "scheme",
    "extensions",
    "backend",
    "fault",
    "tier",
    "interface",
    "environ",
    "scope",
)
_MEANINGLESS = ("validate", "ignore", "lifespan", "raise_app_exceptions", "base_url", "hosts")


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    for name in _REFUSED:
        if name in options:
            raise Unsupported(f"{name}= cannot be set in this tier, because the server's command line decides it")
    settings = {name: value for name, value in options.items() if name not in _MEANINGLESS}
    settings["headers"] = encoded(settings.get("headers"))
    return {"timeout": 10.0, **settings, "trust_env": False}


def _check(server: Server, options: RequestOptions) -> None:
    if "fault" in options:
        _unsupported("the effect of a Fault")
    if "environ" in options or "scope" in options:
        raise Unsupported("environ= and scope= cannot be set in this tier, because the server makes them")
    content = options.get("content")
    chunked = content is not None and not isinstance(content, (str, bytes))
    if chunked and server.capabilities.chunked_upload != "decoded":
        raise Unsupported(f"{server.name} does not pass a chunked body to the application")


R = TypeVar("R", bound=http.Response)


def _as(kind: type[R], response: http.Response) -> R:
    if not isinstance(response, kind):  # pragma: no cover  # our transport makes no other
        raise TypeError(f"expected a {kind.__name__}, got {response!r}")
    return response
