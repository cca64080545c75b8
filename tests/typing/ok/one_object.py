"""What a user of the one object writes, in every framework's own types, without an ignore."""

from collections.abc import Awaitable, Callable, Iterable
from typing import assert_type
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import asgiref.typing as asgi
import starlette.types
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.routing import Mount

from gateway import AdapterOptions, Gateway, as_asgi, as_wsgi, detect, wrap
from gateway.protocols import Application, ASGIApplication, Interface

flask_app = Flask(__name__)
starlette_app = Starlette()
fastapi_app = FastAPI()

# Every framework's object, and its attributes kept.
assert_type(Gateway(flask_app), Gateway[Flask])
assert_type(Gateway(flask_app).app, Flask)
assert_type(Gateway(starlette_app), Gateway[Starlette])
assert_type(Gateway(fastapi_app), Gateway[FastAPI])
assert_type(Gateway(get_wsgi_application()), Gateway[WSGIHandler])
assert_type(Gateway(get_asgi_application()), Gateway[ASGIHandler])
Gateway(flask_app.wsgi_app, interface="wsgi")
Gateway(flask_app, middleware=[], engine="builtin", max_adapters=1)
assert_type(Gateway(flask_app, threads=8, adapter=AdapterOptions(queue=1, loop="lend")), Gateway[Flask])
Gateway(Gateway(flask_app))
Gateway(as_asgi(flask_app))


# The aliases of asgiref, Starlette and wsgiref.
def of_asgiref(three: asgi.ASGI3Application, either: asgi.ASGIApplication) -> None:
    Gateway(three)
    Gateway(either)
    as_wsgi(three)
    as_wsgi(either)
    as_asgi(either)


def of_starlette(app: starlette.types.ASGIApp) -> None:
    Gateway(app)
    as_wsgi(app)


def of_wsgiref(app: WSGIApplication) -> None:
    Gateway(app)
    as_asgi(app)


# One object where others are expected.
routes = [Mount("/flask", app=Gateway(flask_app)), Mount("/wsgi", app=as_asgi(flask_app))]
as_starlette: starlette.types.ASGIApp = Gateway(flask_app)
as_wsgiref: WSGIApplication = Gateway(starlette_app)
as_application: Application = Gateway(flask_app)

# Views.
assert_type(Gateway(flask_app).asgi, ASGIApplication)
assert_type(Gateway(flask_app).wsgi, WSGIApplication)
assert_type(as_wsgi(starlette_app), WSGIApplication)
assert_type(as_asgi(flask_app), ASGIApplication)
assert_type(detect(flask_app), Interface)


# The decorator, bare, called and with options.
@wrap
def wsgi_function(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [b""]


@wrap()
def wsgi_generator(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    yield b""


@wrap(middleware=[], max_adapters=0)
async def asgi_function(scope: asgi.Scope, receive: asgi.ASGIReceiveCallable, send: asgi.ASGISendCallable) -> None:
    await receive()


@wrap(interface="asgi")
async def starlette_function(
    scope: starlette.types.Scope, receive: starlette.types.Receive, send: starlette.types.Send
) -> None:
    await receive()


@wrap
class AsgiTwo:
    def __init__(self, scope: asgi.Scope) -> None:
        self.scope = scope

    async def __call__(self, receive: asgi.ASGIReceiveCallable, send: asgi.ASGISendCallable) -> None:
        await receive()


@wrap
def create_app() -> Flask:
    return Flask(__name__)


@wrap(engine="a2wsgi")
def create_configured(debug: bool = False, *, name: str = "shop") -> FastAPI:
    return FastAPI(debug=debug, title=name)


inside: Callable[[WSGIEnvironment, StartResponse], list[bytes]] = wsgi_function.app
assert_type(wrap(flask_app), Gateway[Flask])
assert_type(create_app(), Gateway[Flask])
assert_type(create_configured(True, name="bakery"), Gateway[FastAPI])
assert_type(create_configured().app.title, str)


# Its own calls.
def calls(environ: WSGIEnvironment, start_response: StartResponse, scope: object) -> Awaitable[None]:
    assert_type(wsgi_function(environ, start_response), Iterable[bytes])
    return wsgi_function(scope, None, None)


class Greeter:
    def greet(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [b"hi"]


wrap(Greeter().greet)
