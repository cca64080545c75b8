"""One middleware, one application, four ways to stand in a server: the harness of every middleware's tests.

``wsgi`` and ``asgi`` run the chain natively in its two drivers; ``wsgi-under-asgi`` and ``asgi-under-wsgi`` put an
adapter around it. The application is a *script*, the same in either interface, and says what it saw.
Kept apart from ``gateway.testing`` on purpose: a fault there cannot hide one here. A validator stands on either side of
the chain all the same: what the chain breaks, as an application or as a server, fails the test, whatever that looks at.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from gateway.drivers import build_asgi, build_wsgi
from gateway.rules import Validator

#: What an application breaks by raising after its head, or by stopping within its body.
_SCRIPT = {"E15", "E19", "P05"}
#: What this server breaks where a test asks for it, and no rule of WSGI names: a header that no server lets through.
_SERVER = {"H21"}
STACKS = ("wsgi", "asgi", "wsgi-under-asgi", "asgi-under-wsgi")
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Call:
    """One request, as a client sends it."""

    method: str = "GET"
    target: str = "/"
    headers: Pairs = ()
    body: bytes = b""
    chunked: bool = False
    client: tuple[str, int] | None = ("203.0.113.7", 50000)
    server: tuple[str, int] = ("127.0.0.1", 80)
    scheme: str = "http"
    http_version: str = "1.1"
    leave_after: int | None = None
    """The client goes away after so many chunks of the body."""
    leaves_early: bool = False
    """The client goes away before the headers; on ASGI a disconnect says so, and ``send()`` does not."""

    @property
    def path(self) -> bytes:
        return unquote_to_bytes(self.target.partition("?")[0])

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def fields(self) -> list[tuple[str, str]]:
        """Return the header lines, with the length or the coding that the body implies."""
        fields = list(self.headers)
        names = {name.lower() for name, _ in fields}
        if self.body and not self.chunked and "content-length" not in names:
            fields.append(("Content-Length", str(len(self.body))))
        if self.chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        return fields


@dataclass(frozen=True)
class Seen:
    """What the application saw of one request."""

    method: str
    path: str
    root_path: str
    query: str
    headers: dict[str, str]
    client: str | None
    scheme: str
    body: bytes
    state: dict[str, Any]
    native: Any
    """The environ or the scope."""


@dataclass(frozen=True)
class Script:
    """What the application does."""

    status: int = 200
    headers: Pairs = (("Content-Type", "text/plain"),)
    chunks: Sequence[bytes] = (b"hello",)
    reads: bool = False
    raises: BaseException | None = None
    raises_after: int | None = None
    """Chunks that are sent before it raises; None: it raises before the head."""
    act: Callable[[Seen], Script | None] | None = None
    """Decide by what was seen; None keeps this script."""


@dataclass
class Answer:
    """What the client got."""

    status: int = 0
    reason: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    error: BaseException | None = None
    """What reached the server: the connection is cut."""
    seen: list[Seen] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def get(self, name: str) -> str | None:
        """Return the one value of a field, None where it is absent; several are an error."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Stack:
    """A chain around a scripted application, standing in one of the four ways."""

    def __init__(
        self,
        kind: str,
        middleware: Sequence[Any],
        script: Script | None = None,
        applications: tuple[Any, Any] | None = None,
    ) -> None:
        self.kind = kind
        self.script = script or Script()
        self.seen: list[Seen] = []
        self._owner = True
        self._runner: asyncio.Runner | None = None
        self._events: asyncio.Queue[dict[str, Any]]
        self._lifespan: asyncio.Future[None]
        chain = tuple(middleware)
        wsgi, asgi = applications or (self._wsgi, self._asgi)
        native = "wsgi" if kind in ("wsgi", "wsgi-under-asgi") else "asgi"
        # Around a WSGI application it would hide from the chain that the body is a list.
        self._inner: Any = None if native == "wsgi" else Validator(asgi, native, "collect")
        asgi = self._inner or asgi
        self.application: Any
        if kind == "wsgi":
            self.application = build_wsgi(chain, wsgi)
        elif kind == "asgi":
            self.application = build_asgi(chain, asgi)
        elif kind == "wsgi-under-asgi":
            from gateway.adapters.wsgi_to_asgi import WsgiToAsgi

            self.application = WsgiToAsgi(build_wsgi(chain, wsgi))
        else:
            from gateway.adapters.asgi_to_wsgi import AsgiToWsgi

            self.application = AsgiToWsgi(build_asgi(chain, asgi))
        outside = "wsgi" if kind in ("wsgi", "asgi-under-wsgi") else "asgi"
        self._outer: Any = Validator(self.application, outside, "collect")

    @property
    def _served(self) -> Any:
        """What the server calls: checked, but where a test put something else in its place."""
        return self._outer if self.application is self._outer.app else self.application

    def _kept(self) -> None:
        """Fail if the chain broke a rule since the last request; what the script or this server broke is no matter."""
        if self.application is not self._outer.app:
            return
        inner: list[Any] = self._inner.violations if self._inner is not None else []
        outer = self._outer.violations
        theirs = {violation.rule for violation in inner if violation.side == "application"} | _SCRIPT
        ours = {violation.rule for violation in outer if violation.side == "server"} | _SERVER
        broken = [v for v in outer if v.side != "server" and v.rule not in theirs]
        broken += [v for v in inner if v.side == "server" and v.rule not in ours]
        inner.clear()
        outer.clear()
        assert broken == [], "\n".join(map(str, broken))

    def another(self) -> Stack:
        """Return a stack over the same application object, with a loop of its own, for another thread."""
        stack = Stack.__new__(Stack)
        stack.__dict__.update(self.__dict__, _runner=None, _owner=False, seen=[])
        return stack

    # the application, in either interface

    def _decide(self, seen: Seen) -> Script:
        self.seen.append(seen)
        return (self.script.act(seen) if self.script.act else None) or self.script

    def _wsgi(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = b""
        if self.script.reads:
            if environ.get("wsgi.input_terminated"):
                body = environ["wsgi.input"].read()
            else:
                body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = {
            key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")
        }
        for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if environ.get(key):
                headers[key.replace("_", "-").lower()] = environ[key]
        script = self._decide(
            Seen(
                method=environ["REQUEST_METHOD"],
                path=(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))
                .encode("latin-1")
                .decode("utf-8", "replace"),
                root_path=environ.get("SCRIPT_NAME", ""),
                query=environ.get("QUERY_STRING", ""),
                headers=headers,
                client=environ.get("REMOTE_ADDR") or None,
                scheme=environ["wsgi.url_scheme"],
                body=body,
                state=environ.get("gateway.state", {}),
                native=environ,
            )
        )
        if script.raises is not None and script.raises_after is None:
            raise script.raises
        from http import HTTPStatus

        try:
            phrase = HTTPStatus(script.status).phrase
        except ValueError:
            phrase = "Unknown"
        start_response(f"{script.status} {phrase}", list(script.headers))
        if script.raises is None:
            return list(script.chunks)
        return self._failing(script)

    @staticmethod
    def _failing(script: Script) -> Iterator[bytes]:
        yield from script.chunks[: script.raises_after]
        assert script.raises is not None
        raise script.raises

    async def _asgi(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["type"] == "websocket":
            await receive()
            self._decide(self._seen(scope, b""))
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})
            return
        body = b""
        while self.script.reads:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise OSError("the client went away")
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        script = self._decide(self._seen(scope, body))
        if script.raises is not None and script.raises_after is None:
            raise script.raises
        head = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in script.headers]
        await send({"type": "http.response.start", "status": script.status, "headers": head})
        if script.raises is not None:
            for chunk in script.chunks[: script.raises_after]:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            raise script.raises
        if len(script.chunks) == 1:
            await send({"type": "http.response.body", "body": script.chunks[0]})
            return
        for chunk in script.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _seen(self, scope: Any, body: bytes) -> Seen:
        return Seen(
            method=scope.get("method", "GET"),
            path=scope["path"],
            root_path=scope.get("root_path", ""),
            query=scope.get("query_string", b"").decode("latin-1"),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            client=(scope.get("client") or (None,))[0],
            scheme=scope.get("scheme", "http"),
            body=body,
            state=scope.get("gateway.state", {}),
            native=scope,
        )

    # the server, in either interface

    def request(self, call: Call | str = "/", **changes: Any) -> Answer:
        """Send one request and return what came."""
        call = replace(call if isinstance(call, Call) else Call(target=call), **changes)
        self.seen = []
        answer = self._serve_asgi(call) if self.kind in ("asgi", "wsgi-under-asgi") else self._serve_wsgi(call)
        answer.seen = self.seen
        self._settle()
        self._kept()
        return answer

    def _settle(self) -> None:
        """Wait for the end of the chain on the adapter's loop: the response may be here before ``on_finish`` ran."""
        service = getattr(self.application, "_service", None)
        until = time.monotonic() + 2.0
        while service is not None and service.tasks and time.monotonic() < until:
            time.sleep(0.001)

    def _serve_wsgi(self, call: Call) -> Answer:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": call.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": call.path.decode("latin-1"),
            "QUERY_STRING": call.query,
            "RAW_URI": call.target,
            "SERVER_NAME": call.server[0],
            "SERVER_PORT": str(call.server[1]),
            "SERVER_PROTOCOL": f"HTTP/{call.http_version}",
            "REMOTE_ADDR": call.client[0] if call.client else "",
            "REMOTE_PORT": str(call.client[1]) if call.client else "",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": call.scheme,
            "wsgi.input": io.BytesIO(call.body),
            "wsgi.input_terminated": True,
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        lines: dict[str, list[str]] = {}
        for name, value in call.fields():
            key = name.upper().replace("-", "_")
            if key == "TRANSFER_ENCODING":
                continue
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            lines.setdefault(key, []).append(value)
        for key, values in lines.items():
            environ[key] = ("; " if key == "HTTP_COOKIE" else ", ").join(values)
        answer = Answer()

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[..., None]:
            if exc_info and answer.chunks:
                raise exc_info[1].with_traceback(exc_info[2])
            code, _, answer.reason = status.partition(" ")
            answer.status, answer.headers = int(code), list(headers)
            return answer.chunks.append

        try:
            iterable = self._served(environ, start_response)
            try:
                if call.leave_after != 0:
                    for chunk in iterable:
                        if chunk:
                            answer.chunks.append(chunk)
                        if call.leave_after is not None and len(answer.chunks) >= call.leave_after:
                            break
            finally:
                close = getattr(iterable, "close", None)
                if close is not None:
                    close()
        except Exception as error:
            answer.error = error
        if call.method == "HEAD":
            answer.chunks.clear()
        return answer

    def scope(self, call: Call, kind: str = "http") -> dict[str, Any]:
        """Return the scope that an ASGI server makes of a request."""
        scope: dict[str, Any] = {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": call.http_version,
            "scheme": call.scheme,
            "path": call.path.decode("utf-8", "replace"),
            "raw_path": call.target.partition("?")[0].encode("latin-1"),
            "query_string": call.query.encode("latin-1"),
            "root_path": "",
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in call.fields()],
            "client": call.client,
            "server": call.server,
            "extensions": {},
            "state": {},
        }
        if kind == "http":
            scope["method"] = call.method
        else:
            scope["subprotocols"] = []
            scope["extensions"] = {"websocket.http.response": {}}
            scope["scheme"] = {"http": "ws", "https": "wss"}.get(call.scheme, call.scheme)
        return scope

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run on this stack's one loop, as a server has one; the first request starts the lifespan."""
        if self._runner is None:
            self._runner = asyncio.Runner()
            self._runner.run(self._start())
        self._runner.run(work)

    async def _start(self) -> None:
        self._events = asyncio.Queue()
        answers: asyncio.Queue[str] = asyncio.Queue()

        async def send(message: dict[str, Any]) -> None:
            await answers.put(message["type"])

        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        self._lifespan = asyncio.ensure_future(self._served(scope, self._events.get, send))
        await self._events.put({"type": "lifespan.startup"})
        started = asyncio.ensure_future(answers.get())
        await asyncio.wait([started, self._lifespan], return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            assert started.result() == "lifespan.startup.complete"
        else:
            started.cancel()

    async def _stop(self) -> None:
        await self._events.put({"type": "lifespan.shutdown"})
        await asyncio.wait([self._lifespan])
        self._lifespan.exception()

    def close(self) -> None:
        """End the lifespan, the adapter and the loop."""
        if self._runner is not None:
            self._runner.run(self._stop())
            self._runner.close()
            self._runner = None
        close = getattr(self.application, "close", None)
        if close is not None and self._owner:
            close()

    def _serve_asgi(self, call: Call) -> Answer:
        answer = Answer()
        self._run(self._exchange(call, answer))
        return answer

    async def _exchange(self, call: Call, answer: Answer) -> None:
        gone = asyncio.Event()
        ended = asyncio.Event()
        half = len(call.body) // 2
        parts = [call.body[:half], call.body[half:]] if call.chunked else [call.body]

        async def receive() -> dict[str, Any]:
            if call.leaves_early and not parts:
                return {"type": "http.disconnect"}
            if parts and not gone.is_set():
                return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}
            waits = [asyncio.ensure_future(event.wait()) for event in (gone, ended)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if gone.is_set():
                raise OSError("the client went away")
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in message.get("headers", [])]
            elif message["type"] == "http.response.body":
                if message.get("body"):
                    answer.chunks.append(bytes(message["body"]))
                if not message.get("more_body", False):
                    ended.set()
            if call.leave_after is not None and len(answer.chunks) >= call.leave_after and not ended.is_set():
                gone.set()
                await asyncio.sleep(0.01)

        try:
            await self._served(self.scope(call), receive, send)
        except Exception as error:
            answer.error = error
        if call.method == "HEAD":
            answer.chunks.clear()

    def handshake(self, call: Call | str = "/", **changes: Any) -> Answer:
        """Open a WebSocket; status 101 where it was accepted, else that of the denial (403 for a bare close)."""
        call = replace(call if isinstance(call, Call) else Call(target=call), **changes)
        assert self.kind == "asgi", "a websocket scope exists in ASGI only"
        answer = Answer()
        self.seen = answer.seen = []

        async def run() -> None:
            events: list[dict[str, Any]] = [{"type": "websocket.connect"}]

            async def receive() -> dict[str, Any]:
                return events.pop(0) if events else {"type": "websocket.disconnect", "code": 1005}

            async def send(message: dict[str, Any]) -> None:
                pairs = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in message.get("headers", [])]
                if message["type"] == "websocket.accept":
                    answer.status, answer.headers = 101, pairs
                elif message["type"] == "websocket.http.response.start":
                    answer.status, answer.headers = message["status"], pairs
                elif message["type"] == "websocket.http.response.body":
                    answer.chunks.append(message.get("body", b""))
                elif message["type"] == "websocket.close" and not answer.status:
                    answer.status = 403

            try:
                await self._served(self.scope(call, "websocket"), receive, send)
            except Exception as error:
                answer.error = error

        self._run(run())
        self._kept()
        return answer


def url_quote(text: str) -> str:
    """Percent-encode a path for a request target."""
    return quote(text)
