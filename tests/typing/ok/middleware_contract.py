"""An author's middleware, in both forms, checks under mypy and pyright strict without an ignore."""

import asyncio
import time
import zlib
from dataclasses import dataclass
from time import perf_counter

from gateway.contract import (
    BuildContext,
    Flow,
    Hooks,
    Middleware,
    Process,
    Refuse,
    Slot,
    Steps,
    Transform,
    as_middleware,
    finished,
    io,
    peek,
    reply,
    transform,
)
from gateway.exchange import Outcome, Request, Response
from gateway.headers import Header

NOSNIFF = Header("X-Content-Type-Options", "nosniff")


class _ServerTiming(Hooks):
    def __init__(self, name: str, started: Slot[float]) -> None:
        self.name = name
        self.started = started

    def on_request(self, request: Request) -> None:
        self.started[request] = perf_counter()

    def on_response(self, request: Request, response: Response) -> None:
        seconds = perf_counter() - self.started[request]
        response.headers.append("server-timing", f"{self.name};dur={seconds * 1e3:.2f}")


@dataclass(frozen=True, kw_only=True)
class ServerTiming(Middleware):
    name: str = "app"

    def build(self, context: BuildContext) -> Hooks:
        return _ServerTiming(self.name, started=context.slot(float))


@as_middleware
def server_timing(request: Request, *, name: str = "app") -> Flow:
    started = perf_counter()
    response = yield
    response.headers.append("server-timing", f"{name};dur={(perf_counter() - started) * 1e3:.2f}")


class Gzip:
    def __init__(self) -> None:
        self.compressor = zlib.compressobj(wbits=31)

    def push(self, chunk: bytes, /) -> bytes:
        return self.compressor.compress(chunk)

    def finish(self) -> bytes:
        return self.compressor.flush()


async def sleep(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


def sleep_plain(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


@as_middleware(websocket=True, after=("ProxyHeaders",), short_circuits=True, body_cpu=True)
def everything(request: Request, *, seconds: float) -> Flow:
    if request.path == "/teapot":
        yield from reply(Response(418, body="short and stout"))
        return
    word = yield from io(sleep_plain, sleep, seconds)
    response = yield
    start = yield from peek(512)
    if start is not None and not start.startswith(b"<"):
        yield from transform(Gzip())
    response.headers.append("x-word", word)
    outcome = yield from finished()
    print(outcome.bytes_sent + 1, outcome.kind)


@dataclass(frozen=True, kw_only=True)
class Both(Middleware):
    limit: int

    def on_start(self, process: Process) -> Steps[None]:
        yield from io(sleep_plain, sleep, 0.0)

    def on_request(self, request: Request) -> Steps[Response | None]:
        word = yield from io(sleep_plain, sleep, 0.0)
        return Response(200, [("x-word", word), NOSNIFF]) if word else None

    def on_request_body(self, request: Request) -> Transform | None:
        raise Refuse(413, "too large", headers={"retry-after": "1"})

    def on_response(self, request: Request, response: Response) -> None:
        response.headers.set(NOSNIFF)

    def on_body(self, request: Request, response: Response) -> Gzip | None:
        return Gzip() if self.limit else None

    def on_error(self, request: Request, error: Exception) -> Response:
        return Response(500)

    def on_finish(self, request: Request, outcome: Outcome) -> None:
        print(outcome.duration)


chain: list[Middleware] = [ServerTiming(name="x"), server_timing(name="x"), everything(seconds=0.1), Both(limit=1)]


def kind_of(request: Request, response: Response) -> str:
    given: str | None = request.headers.get("accept")
    # With a default of text there is no None to look for.
    return response.headers.get("content-type", "").partition(";")[0] + (given or "")
