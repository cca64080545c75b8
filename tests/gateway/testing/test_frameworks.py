"""Real frameworks run clean under the clients, with both sides validated, natively and crossed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from litestar import Litestar, Request, get, post
from litestar.response import Stream

from tests import django_site

PAYLOAD = {"text": "grüße"}


@cache
def flask_app() -> Any:
    import flask

    app = flask.Flask("clean")

    @app.get("/hello")
    def hello() -> str:
        return "hello"

    @app.post("/form")
    def form() -> str:
        return flask.request.form["text"]

    @app.post("/upload")
    def upload() -> str:
        return str(len(flask.request.files["file"].read()))

    @app.get("/stream")
    def stream() -> flask.Response:
        return flask.Response((f"{number};" for number in range(3)), mimetype="text/plain")

    return app


@cache
def starlette_app() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def hello(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    async def form(request: Request) -> PlainTextResponse:
        async with request.form() as data:
            return PlainTextResponse(str(data["text"]))

    async def upload(request: Request) -> PlainTextResponse:
        async with request.form() as data:
            file: Any = data["file"]
            return PlainTextResponse(str(len(await file.read())))

    async def stream(request: Request) -> StreamingResponse:
        async def numbers() -> Any:
            for number in range(3):
                yield f"{number};"

        return StreamingResponse(numbers(), media_type="text/plain")

    return Starlette(
        routes=[
            Route("/hello", hello),
            Route("/form", form, methods=["POST"]),
            Route("/upload", upload, methods=["POST"]),
            Route("/stream", stream),
        ]
    )


@pytest.fixture(autouse=True, scope="module")
def _django_serves_this_module() -> Iterator[None]:
    with django_site.serving(__name__):
        yield


def _django(interface: str) -> Any:
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
    from django.urls import path

    def hello(request: HttpRequest) -> HttpResponse:
        return HttpResponse("hello")

    def form(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.POST["text"])

    def upload(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(len(request.FILES["file"].read())))

    def stream_sync(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse((f"{number};" for number in range(3)), content_type="text/plain")

    async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
        async def numbers() -> Any:
            for number in range(3):
                yield f"{number};"

        return StreamingHttpResponse(numbers(), content_type="text/plain")

    global urlpatterns
    stream = stream_sync if interface == "wsgi" else stream_async
    urlpatterns[:] = [path("hello", hello), path("form", form), path("upload", upload), path("stream", stream)]
    return WSGIHandler() if interface == "wsgi" else ASGIHandler()


urlpatterns: list[Any] = []


def django_wsgi_app() -> Any:
    return _django("wsgi")


def django_asgi_app() -> Any:
    return _django("asgi")


@cache
def litestar_app() -> Any:
    @get("/hello", media_type="text/plain", sync_to_thread=False)
    def hello() -> str:
        return "hello"

    @post("/form", media_type="text/plain", status_code=200)
    async def form(request: Request[Any, Any, Any]) -> str:
        return str((await request.form())["text"])

    @post("/upload", media_type="text/plain", status_code=200)
    async def upload(request: Request[Any, Any, Any]) -> str:
        file = (await request.form())["file"]
        size = len(await file.read())
        await file.close()
        return str(size)

    @get("/stream", sync_to_thread=False)
    def stream() -> Stream:
        async def numbers() -> Any:
            for number in range(3):
                yield f"{number};"

        return Stream(numbers(), media_type="text/plain")

    return Litestar([hello, form, upload, stream], openapi_config=None)


class _FalconWsgi:
    def on_get(self, req: Any, resp: Any) -> None:
        if req.path == "/hello":
            resp.text = "hello"
        else:
            resp.content_type = "text/plain"
            resp.stream = (f"{number};".encode() for number in range(3))

    def on_post(self, req: Any, resp: Any) -> None:
        if req.path == "/form":
            resp.text = req.get_media()["text"]
        else:
            resp.text = str(next(len(part.stream.read()) for part in req.get_media() if part.name == "file"))


class _FalconAsgi:
    async def on_get(self, req: Any, resp: Any) -> None:
        async def numbers() -> Any:
            for number in range(3):
                yield f"{number};".encode()

        if req.path == "/hello":
            resp.text = "hello"
        else:
            resp.content_type = "text/plain"
            resp.stream = numbers()

    async def on_post(self, req: Any, resp: Any) -> None:
        if req.path == "/form":
            resp.text = (await req.get_media())["text"]
            return
        async for part in await req.get_media():
            if part.name == "file":
                resp.text = str(len(await part.stream.read()))


@cache
def falcon_wsgi_app() -> Any:
    import falcon

    app = falcon.App()
    for path in ("/hello", "/form", "/upload", "/stream"):
        app.add_route(path, _FalconWsgi())
    return app


@cache
def falcon_asgi_app() -> Any:
    import falcon.asgi

    app = falcon.asgi.App()
    for path in ("/hello", "/form", "/upload", "/stream"):
        app.add_route(path, _FalconAsgi())
    return app


FRAMEWORKS = {
    "flask": flask_app,
    "starlette": starlette_app,
    "django-wsgi": django_wsgi_app,
    "django-asgi": django_asgi_app,
    "litestar": litestar_app,
    "falcon-wsgi": falcon_wsgi_app,
    "falcon-asgi": falcon_asgi_app,
}


@pytest.fixture(params=list(FRAMEWORKS))
def client(request: pytest.FixtureRequest, web: Any) -> Any:
    return web(FRAMEWORKS[request.param]())


every_tier = pytest.mark.tiers("direct", "adapted", "roundtrip")


@every_tier
def test_hello(client: Any) -> None:
    response = client.get("/hello")
    assert (response.status_code, response.text) == (200, "hello")
    head = client.head("/hello")
    assert head.content == b""


@every_tier
def test_a_form(client: Any) -> None:
    assert client.post("/form", data=PAYLOAD).text == "grüße"


@every_tier
def test_an_upload(client: Any) -> None:
    assert client.post("/upload", files={"file": ("big.bin", b"x" * 100_000)}).text == "100000"


@every_tier
def test_a_streamed_response(client: Any) -> None:
    with client.stream("GET", "/stream") as response:
        assert list(response.iter_chunks()) == [b"0;", b"1;", b"2;"]


def test_a_warning_is_told_and_not_raised(web: Any) -> None:
    """Django sends the names of headers as they are written in the code; ASGI says "must be lowercased"."""
    response = web(django_asgi_app()).get("/hello")
    assert {violation.rule for violation in response.warnings} == {"E09"}
    assert response.violations == []
