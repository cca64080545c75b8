"""The documented example of each adapter, as a program whose first line is its import."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

from tests.django_site import serving

FLASK = """
from flask import Flask, request

flask_app = Flask(__name__)

@flask_app.route("/", defaults={"name": ""}, methods=["GET", "POST"])
@flask_app.route("/<path:name>", methods=["GET", "POST"])
def page(name):
    environ = request.environ
    return f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}|{name}|{request.get_data(as_text=True)}"
"""

ASGI = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def page(request):
    body = await request.body()
    return PlainTextResponse(f"{request.scope['root_path']}|{request.url.path}|{body.decode()}")

asgi_app = Starlette(routes=[Route("/{name:path}", page, methods=["GET", "POST"])])
"""


@dataclass(frozen=True)
class Example:
    """One documented example.

    Attributes:
        old: The import of the peer.
        new: The import that replaces it.
        program: The rest of the program, which binds ``app``.
        interface: Interface of ``app``.
        path: Path to request.
        expected: Body of the response to a POST of ``hello``.
    """

    old: str
    new: str
    program: str
    interface: Literal["wsgi", "asgi"]
    path: str
    expected: str

    def run(self, line: str) -> Any:
        """Run the program under one of the two imports, and return its ``app``."""
        names: dict[str, Any] = {"__name__": "example"}
        with warnings.catch_warnings(), serving("tests.gateway.compat.urls"):
            if line == self.old:
                warnings.simplefilter("ignore", DeprecationWarning)  # Starlette's and uvicorn's
                warnings.simplefilter("ignore", UserWarning)  # Starlette's own kind of deprecation
            exec(f"{line}\n{self.program}", names)
        return names["app"]


A2WSGI = ("from a2wsgi import {0}", "from gateway.compat.a2wsgi import {0}")
STARLETTE = ("from starlette.middleware.wsgi import {0}", "from gateway.compat.starlette import {0}")
FASTAPI = ("from fastapi.middleware.wsgi import {0}", "from gateway.compat.starlette import {0}")
ASGIREF = ("from asgiref.wsgi import {0}", "from gateway.compat.asgiref import {0}")
UVICORN = ("from uvicorn.middleware.wsgi import {0}", "from gateway.compat.uvicorn import {0}")

IN_ASGI = "app = WSGIMiddleware(flask_app)"
IN_WSGI = "app = ASGIMiddleware(asgi_app)"
IN_FASTAPI = """
from fastapi import FastAPI

app = FastAPI()

@app.get("/v2")
def read_main():
    return {"message": "Hello World"}

app.mount("/v1", WSGIMiddleware(flask_app))
"""
IN_STARLETTE = """
from starlette.applications import Starlette
from starlette.routing import Mount

app = Starlette(routes=[Mount("/v1", WSGIMiddleware(flask_app))])
"""
IN_DJANGO = """
from django.core.wsgi import get_wsgi_application

app = WsgiToAsgi(get_wsgi_application())
"""


def example(
    imports: tuple[str, str], name: str, program: str, interface: Literal["wsgi", "asgi"], path: str, expected: str
) -> Example:
    return Example(imports[0].format(name), imports[1].format(name), program, interface, path, expected)


EXAMPLES = {
    "a2wsgi": example(A2WSGI, "WSGIMiddleware", FLASK + IN_ASGI, "asgi", "/é/b", "|/Ã©/b|é/b|hello"),
    "a2wsgi-workers": example(
        A2WSGI, "WSGIMiddleware", FLASK + "app = WSGIMiddleware(flask_app, workers=15)", "asgi", "/a", "|/a|a|hello"
    ),
    "a2wsgi-positional": example(
        A2WSGI, "WSGIMiddleware", FLASK + "app = WSGIMiddleware(flask_app, 15, 10)", "asgi", "/a", "|/a|a|hello"
    ),
    "a2wsgi-asgi": example(A2WSGI, "ASGIMiddleware", ASGI + IN_WSGI, "wsgi", "/a", "|/a|hello"),
    "a2wsgi-in-fastapi": example(A2WSGI, "WSGIMiddleware", FLASK + IN_FASTAPI, "asgi", "/v1/a/b", "/v1|/a/b|a/b|hello"),
    "starlette-in-starlette": example(
        STARLETTE, "WSGIMiddleware", FLASK + IN_STARLETTE, "asgi", "/v1/a/b", "/v1|/a/b|a/b|hello"
    ),
    "starlette-in-fastapi": example(FASTAPI, "WSGIMiddleware", FLASK + IN_FASTAPI, "asgi", "/v1/", "/v1|/||hello"),
    "asgiref": example(ASGIREF, "WsgiToAsgi", FLASK + "app = WsgiToAsgi(flask_app)", "asgi", "/a", "|/a|a|hello"),
    "asgiref-django": example(ASGIREF, "WsgiToAsgi", IN_DJANGO, "asgi", "/a", "|/a|a|hello"),
    "asgiref-instance": example(
        ASGIREF, "WsgiToAsgiInstance", FLASK + "app = WsgiToAsgiInstance(flask_app)", "asgi", "/a", "|/a|a|hello"
    ),
    "uvicorn": example(UVICORN, "WSGIMiddleware", FLASK + IN_ASGI, "asgi", "/a", "|/a|a|hello"),
    "uvicorn-in-starlette": example(UVICORN, "WSGIMiddleware", FLASK + IN_STARLETTE, "asgi", "/v1/a", "/v1|/a|a|hello"),
}
