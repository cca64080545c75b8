"""One exchange described by data, run by a driver, with everything that can be seen of it recorded.

A scenario has a chain, an application and a fault. Its record has what the server got, what was raised, and every
hook call in order with its arguments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway import drivers
from gateway.contract import Middleware, Refuse, as_middleware, finished, io, peek, reply, transform
from gateway.exchange import Response
from gateway.headers import Header


class Boom(Exception):
    """What faulty parts raise."""


@dataclass
class Record:
    """What was seen."""

    events: list[Any] = field(default_factory=list)
    status: Any = None
    headers: Any = None
    body: bytes = b""
    ended: bool = False
    raised: str | None = None
    starts: int = 0
    closed: int = 0
    extra: list[Any] = field(default_factory=list)

    def note(self, *what: Any) -> None:
        self.events.append(what)


class Double:
    """A transform that changes the length and keeps something for the end."""

    def __init__(self, record: Record, name: str, *, fails: bool = False, refuses: bool = False) -> None:
        self.record, self.name, self.fails, self.refuses = record, name, fails, refuses

    def push(self, chunk: bytes, /) -> bytes:
        if self.refuses:
            raise Refuse(413, f"by {self.name}")
        if self.fails:
            raise Boom(f"push {self.name}")
        return chunk + chunk[:1]

    def finish(self) -> bytes:
        return f"[{self.name}]".encode()


async def _value_async(value: str) -> str:
    await asyncio.sleep(0)
    return value


def _value(value: str) -> str:
    return value


def describe(response: Response) -> Any:
    return response.status, tuple(response.headers.items())


def outcome(result: Any) -> Any:
    return (
        result.kind,
        result.status,
        result.bytes_sent,
        result.bytes_received,
        repr(result.error),
        result.disconnected,
        result.first_byte_at is not None,
    )


def _act(record: Record, action: str, name: str, hook: str, response: Response | None = None) -> Any:
    """Do what an action of a plain hook says; return what the hook returns."""
    if action == "header" and response is not None:
        response.headers.append("x-by", f"{name}")
    elif action == "constant" and response is not None:
        response.headers.append(Header("X-Const", name))
    elif action == "status" and response is not None:
        response.status = 202
    elif action == "reply":
        return Response(418, [("x-reply", f"{name}-{hook}")], f"reply by {name}")
    elif action == "stream":
        return Response(203, [("x-reply", name)], iter([b"one ", b"", b"two"]))
    elif action == "empty":
        return Response(204)
    elif action == "raise":
        raise Boom(f"{hook} {name}")
    elif action == "refuse":
        raise Refuse(403, f"{hook} {name}")
    elif action == "wrong":
        return "no response"
    elif action in ("io", "io-reply", "io-raise"):
        return _steps(record, action, name, hook)
    elif action.startswith("peek"):
        return _peeks(record, action, name)
    return None


def _steps(record: Record, action: str, name: str, hook: str) -> Any:
    value = yield from io(_value, _value_async, f"{hook} {name}")
    record.note(name, "io", value)
    if action == "io-reply":
        return Response(419, [("x-io", value)], "io")
    if action == "io-raise":
        raise Boom(value)
    return None


def _peeks(record: Record, action: str, name: str) -> Any:
    _, size, then = action.split("-")
    try:
        data = yield from peek(None if size == "all" else int(size))
    except Boom as error:
        record.note(name, "peek raised", str(error))
        if then == "catch":
            return Response(520, [("x-caught", name)], "caught")
        if then == "swallow":
            return None
        raise
    # How much more than asked for is there is a driver's own business.
    record.note(name, "peeked", data if data is None or size == "all" else data[: int(size)])
    return Response(299, body="peeked") if then == "reply" else None


def hooks_middleware(record: Record, name: str, actions: dict[str, str]) -> Middleware:
    """Build a middleware that defines exactly the hooks that have an action."""

    def on_request(self: Any, request: Any) -> Any:
        record.note(name, "on_request", request.method, request.path)
        if actions["on_request"] == "write":
            request.headers.set("x-request", name)
            request.state[name] = 1
            return None
        return _act(record, actions["on_request"], name, "on_request")

    def on_request_body(self: Any, request: Any) -> Any:
        action = actions["on_request_body"]
        record.note(name, "on_request_body")
        return None if action == "pass" else Double(record, name, refuses=action == "refuse", fails=action == "raise")

    def on_response(self: Any, request: Any, response: Any) -> Any:
        record.note(name, "on_response", *describe(response))
        return _act(record, actions["on_response"], name, "on_response", response)

    def on_body(self: Any, request: Any, response: Any) -> Any:
        action = actions["on_body"]
        record.note(name, "on_body", response.status)
        if action == "raise":
            raise Boom(f"on_body {name}")
        return None if action == "pass" else Double(record, name, fails=action == "fails")

    def on_error(self: Any, request: Any, error: Any) -> Any:
        record.note(name, "on_error", repr(error))
        return _act(record, actions["on_error"], name, "on_error")

    def on_finish(self: Any, request: Any, result: Any) -> Any:
        record.note(name, "on_finish", *outcome(result))
        return _act(record, actions["on_finish"], name, "on_finish")

    defined = locals()
    kind = type(name, (Middleware,), {hook: defined[hook] for hook in actions})
    return kind()


def flow_middleware(record: Record, name: str, actions: dict[str, str]) -> Middleware:
    """Build a generator form: simple where it asks for nothing, full where it does."""
    before, after = actions.get("before", "pass"), actions.get("after", "pass")

    if before in ("pass", "raise", "skip") and after in ("pass", "header", "raise", "status", "twice"):

        @as_middleware
        def simple(request: Any) -> Any:
            record.note(name, "before", request.path)
            if before == "raise":
                raise Boom(f"before {name}")
            if before == "skip":
                return
            try:
                response = yield
            except Exception as error:
                record.note(name, "thrown", repr(error))
                raise
            except GeneratorExit:
                record.note(name, "closed")
                raise
            record.note(name, "after", *describe(response))
            if after == "twice":
                yield
            _act(record, after, name, "after", response)

        return simple()

    @as_middleware
    def full(request: Any) -> Any:
        record.note(name, "before", request.path)
        if before == "reply":
            yield from reply(Response(418, body=f"flow {name}"))
            result = yield from finished()
            record.note(name, "finished", *outcome(result))
            return
        if before == "io":
            record.note(name, "io", (yield from io(_value, _value_async, name)))
        if before == "raise":
            raise Boom(f"before {name}")
        try:
            response = yield
        except Boom as error:
            record.note(name, "thrown", repr(error))
            if after == "handle":
                yield from reply(Response(521, body="handled"))
                return
            raise
        record.note(name, "after", *describe(response))
        if after == "reply":
            yield from reply(Response(299, [("x-flow", name)], "replaced"))
        elif after == "transform":
            yield from transform(Double(record, name))
        elif after == "peek":
            record.note(name, "peeked", ((yield from peek(2)) or b"none")[:2])
        elif after == "again":
            yield
        else:
            _act(record, after, name, "after", response)
        result = yield from finished()
        record.note(name, "finished", *outcome(result))

    return full()


def build_chain(record: Record, chain: Iterable[dict[str, str]]) -> list[Middleware]:
    made: list[Middleware] = []
    for index, actions in enumerate(chain):
        rest = {key: value for key, value in actions.items() if key != "form"}
        form = flow_middleware if actions.get("form") == "flow" else hooks_middleware
        made.append(form(record, f"m{index}", rest))
    return made


@dataclass(frozen=True)
class App:
    """An application: its shape, its chunks and where it fails."""

    shape: str = "list"
    chunks: tuple[bytes, ...] = (b"hello",)
    status: int = 200
    fails: str = ""
    reads: bool = False
    swallows: bool = False
    length: bool = True


@dataclass(frozen=True)
class Fault:
    """What the server or the client does: nothing, goes away after n chunks, cancels."""

    kind: str = ""
    after: int = 0


def wsgi_app(record: Record, app: App) -> Any:
    headers = [("Content-Type", "text/plain")]
    if app.length:
        headers.append(("Content-Length", str(len(b"".join(app.chunks)))))

    class Closing:
        def __init__(self, chunks: Iterator[bytes]) -> None:
            self.chunks = chunks

        def __iter__(self) -> Iterator[bytes]:
            return self.chunks

        def close(self) -> None:
            record.closed += 1
            if app.fails == "close":
                raise Boom("close")

    def body() -> Iterator[bytes]:
        for index, chunk in enumerate(app.chunks):
            if app.fails == f"chunk{index}":
                raise Boom(app.fails)
            yield chunk
        if app.fails == "end":
            raise Boom("end")

    def serve(environ: Any, start_response: Any) -> Any:
        record.note("app", environ.get("HTTP_X_REQUEST"), environ.get("CONTENT_LENGTH"))
        if app.reads:
            try:
                record.note("read", environ["wsgi.input"].read())
            except Exception as error:
                record.note("read raised", repr(error))
                if not app.swallows:
                    raise
        if app.fails == "before":
            raise Boom("before")
        line = f"{app.status} Fine"

        def start() -> Any:
            try:
                return start_response(line, list(headers))
            except Exception as error:
                record.note("start raised", repr(error))
                if not app.swallows:
                    raise

        if app.shape == "lazy":

            def lazy() -> Iterator[bytes]:
                start()
                yield from body()

            return Closing(lazy())
        write = start()
        if app.fails == "started":
            raise Boom("started")
        if app.fails == "restart":
            try:
                raise Boom("restart")
            except Boom as error:
                start_response("500 Restarted", [("X-Restarted", "1")], (type(error), error, error.__traceback__))
        if app.fails == "twice":
            start()
        if app.shape == "write":
            for chunk in app.chunks:
                write(chunk)
            return []
        if app.shape == "list" and not app.fails.startswith(("chunk", "end", "close")):
            return list(app.chunks)
        return Closing(body())

    return serve


def run_wsgi(chain: list[dict[str, str]], app: App, fault: Fault, *, request: dict[str, Any]) -> Record:
    import io as streams

    record = Record()
    serve = drivers.build_wsgi(build_chain(record, chain), wsgi_app(record, app))
    payload = request.get("body", b"")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.get("method", "GET"),
        "SCRIPT_NAME": "",
        "PATH_INFO": "/p",
        "QUERY_STRING": "",
        "wsgi.input": streams.BytesIO(payload),
        "wsgi.url_scheme": "http",
    }
    if payload:
        environ["CONTENT_LENGTH"] = str(len(payload))

    def start_response(status: str, headers: list[Any], exc_info: Any = None) -> Any:
        if exc_info is not None and record.body:
            raise exc_info[1]
        record.starts += 1
        record.status, record.headers = status, [(name.lower(), value) for name, value in headers]

        def write(data: bytes) -> None:
            record.body += data

        return write

    body: Any = None
    try:
        body = serve(environ, start_response)
        count = 0
        for chunk in body:
            if chunk:
                record.body += chunk
                count += 1
                if fault.kind == "gone" and count > fault.after:
                    break
        else:
            record.ended = True
    except (Exception, SystemExit) as error:
        record.raised = repr(error)
    finally:
        if hasattr(body, "close"):
            try:
                body.close()
            except Exception as error:
                record.extra.append(repr(error))
    return record


def asgi_app(record: Record, app: App) -> Any:
    headers = [(b"content-type", b"text/plain")]
    if app.length:
        headers.append((b"content-length", str(len(b"".join(app.chunks))).encode()))

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        sent = dict(scope["headers"])
        record.note("app", sent.get(b"x-request"), sent.get(b"content-length"))
        if app.reads:
            try:
                data, more = b"", True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        record.note("disconnect")
                        return
                    data, more = data + message.get("body", b""), message.get("more_body", False)
                record.note("read", data)
            except Exception as error:
                record.note("read raised", repr(error))
                if not app.swallows:
                    raise

        async def say(message: Any) -> None:
            try:
                await send(message)
            except Exception as error:
                record.note("send raised", repr(error))
                if not app.swallows:
                    raise

        if app.fails == "before":
            raise Boom("before")
        if app.fails == "silent":
            return
        if app.shape == "hints":
            await say({"type": "http.response.early_hint", "links": []})
        start: dict[str, Any] = {"type": "http.response.start", "status": app.status, "headers": headers}
        if app.shape == "trailers":
            start["trailers"] = True
        await say(start)
        if app.fails == "started":
            raise Boom("started")
        if app.shape == "debug":
            await say({"type": "http.response.debug", "info": {}})
        for index, chunk in enumerate(app.chunks):
            if app.fails == f"chunk{index}":
                raise Boom(app.fails)
            if app.fails == "cancel":
                raise asyncio.CancelledError
            last = app.shape == "list" and index == len(app.chunks) - 1
            await say({"type": "http.response.body", "body": chunk, "more_body": not last})
        if app.fails == "end":
            raise Boom("end")
        if app.fails == "unfinished":
            return
        if app.shape != "list" or not app.chunks:
            await say({"type": "http.response.body"})
        if app.shape == "trailers":
            await say({"type": "http.response.trailers", "headers": [(b"x-t", b"1")], "more_trailers": False})
        record.note("background")
        if app.fails == "background":
            raise Boom("background")

    return serve


def run_asgi(chain: list[dict[str, str]], app: App, fault: Fault, *, request: dict[str, Any]) -> Record:
    record = Record()
    serve = drivers.build_asgi(build_chain(record, chain), asgi_app(record, app))
    payload = request.get("body", b"")
    headers = [(b"host", b"h")]
    if payload:
        headers.append((b"content-length", str(len(payload)).encode()))
    scope = {"type": "http", "method": request.get("method", "GET"), "path": "/p", "headers": headers, "extensions": {}}
    before = repr(scope)
    incoming: list[Any] = [{"type": "http.request", "body": payload[:2], "more_body": bool(payload[2:])}]
    if payload[2:]:
        incoming.append({"type": "http.request", "body": payload[2:]})

    async def receive() -> Any:
        if incoming:
            return incoming.pop(0)
        if fault.kind in ("gone", "oserror"):
            return {"type": "http.disconnect"}
        return await asyncio.Event().wait()

    chunks = 0

    async def send(message: Any) -> None:
        nonlocal chunks
        if fault.kind == "oserror" and chunks > fault.after:
            raise OSError("gone")
        if message["type"] == "http.response.start":
            record.starts += 1
            record.status, record.headers = message["status"], [(n.decode(), v.decode()) for n, v in message["headers"]]
            record.extra.append(message.get("trailers"))
        elif message["type"] == "http.response.body":
            if message.get("body"):
                chunks += 1
                if fault.kind == "oserror" and chunks > fault.after:
                    raise OSError("gone")
            record.body += message.get("body", b"")
            record.ended = not message.get("more_body", False)
        else:
            record.extra.append(message["type"])

    async def main() -> None:
        try:
            await serve(scope, receive, send)
        except (Exception, asyncio.CancelledError) as error:
            record.raised = repr(error)

    asyncio.run(asyncio.wait_for(main(), 20))
    assert repr(scope) == before, "the server's scope was written"
    return record
