"""Every form of the decorator, served from an import string by the tests of ``wrap``."""

from __future__ import annotations

from typing import Any

from gateway import Gateway, wrap
from gateway.contract import Flow, as_middleware
from gateway.exchange import Request


def _body(scope_or_environ: Any) -> bytes:
    return f"hello {scope_or_environ.get('path') or scope_or_environ.get('PATH_INFO')}".encode()


@wrap
def wsgi_function(environ, start_response):
    """A function."""
    body = _body(environ)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


@wrap(interface="wsgi")
def wsgi_told(*arguments):
    """A function that takes anything."""
    return wsgi_function.app(*arguments)


@wrap()
def wsgi_generator(environ, start_response):
    """A generator."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"hello "
    yield environ["PATH_INFO"].encode()


@wrap
async def asgi_function(scope, receive, send):
    """A coroutine function."""
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": _body(scope)})


@wrap(max_adapters=1)
class AsgiTwo:
    """A class of ASGI 2."""

    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        await asgi_function.app(self.scope, receive, send)


class Site:
    def answer(self, environ, start_response):
        """A method."""
        return wsgi_function.app(environ, start_response)

    async def answer_async(self, scope, receive, send):
        """A coroutine method."""
        await asgi_function.app(scope, receive, send)


bound_method = wrap(Site().answer)
bound_coroutine_method = wrap(Site().answer_async)


@wrap
def create_app(name: str = "shop") -> Any:
    """A factory."""
    from flask import Flask, request

    flask = Flask(name)
    flask.add_url_rule("/x", view_func=lambda: (f"hello {request.path}", {"Content-Type": "text/plain"}))
    return flask


@wrap
def create_asgi_app():
    """A factory of an ASGI application."""
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    return Starlette(routes=[Route("/x", lambda request: PlainTextResponse(f"hello {request.url.path}"))])


@as_middleware
def stamp(request: Request, *, name: str = "x-stamp") -> Flow:
    """Mark the response."""
    response = yield
    response.headers.append(name, "stamped")


@wrap(middleware=[stamp()])
def wsgi_stamped(environ, start_response):
    """A function behind a middleware."""
    return wsgi_function.app(environ, start_response)


@wrap(middleware=[stamp(), stamp(name="x-again")])
async def asgi_stamped(scope, receive, send):
    """A coroutine function behind two."""
    await asgi_function.app(scope, receive, send)


nested = Gateway(wsgi_generator)
