"""Mistakes that a type checker must find: each line marked `error` has one."""

from dataclasses import dataclass

from gateway.contract import Flow, Middleware, as_middleware, io, peek
from gateway.exchange import Request, Response


@as_middleware
def tag(request: Request, *, name: str) -> Flow:
    response = yield
    response.headers.append("x-name", 3)  # error
    data = yield from peek(1)
    len(data)  # error


tag(name=1)  # error
tag(nome="x")  # error
tag()  # error

chain: list[Middleware] = [tag]  # error


async def read(key: str) -> int:
    return len(key)


def read_plain(key: str) -> str:
    return key


@as_middleware
def colours(request: Request) -> Flow:
    yield from io(read_plain, read, 3)  # error
    yield


@as_middleware(body_cpu="yes")  # error
def compresses(request: Request) -> Flow:
    yield


@dataclass(frozen=True, kw_only=True)
class Wrong(Middleware):
    def on_request(self, request: Request) -> str:  # error
        return "no"

    def on_response(self, request: Request) -> None:  # error
        pass


def short(request: Request) -> Response:
    return Response("200")  # error
