"""Hello, form, upload and streaming in the frameworks of the field: what the validator must have nothing to say of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

CHUNKS = [b"one", b"two", b"three"]


def flask() -> Any:
    from flask import Flask, Response, request

    app = Flask("rules")

    @app.get("/")
    def hello() -> str:
        return "hello"

    @app.post("/form")
    def form() -> str:
        return request.form["name"]

    @app.post("/upload")
    def upload() -> str:
        return str(len(request.files["file"].read()))

    @app.get("/stream")
    def stream() -> Response:
        return Response(iter(CHUNKS), mimetype="text/plain")

    return app


def falcon_wsgi() -> Any:
    import falcon

    class Resource:
        def on_get(self, request: Any, response: Any) -> None:
            response.text = "hello"

        def on_get_stream(self, request: Any, response: Any) -> None:
            response.stream = iter(CHUNKS)

        def on_post_form(self, request: Any, response: Any) -> None:
            response.text = request.get_media()["name"]

        def on_post_upload(self, request: Any, response: Any) -> None:
            response.text = str(sum(len(part.stream.read()) for part in request.get_media()))

    app = falcon.App()
    _falcon_routes(app, Resource())
    return app


def _falcon_routes(app: Any, resource: Any) -> None:
    app.add_route("/", resource)
    for name in ("form", "upload", "stream"):
        app.add_route(f"/{name}", resource, suffix=name)


def falcon_asgi() -> Any:
    import falcon.asgi

    class Resource:
        async def on_get(self, request: Any, response: Any) -> None:
            response.text = "hello"

        async def on_get_stream(self, request: Any, response: Any) -> None:
            response.stream = _chunks()

        async def on_post_form(self, request: Any, response: Any) -> None:
            response.text = (await request.get_media())["name"]

        async def on_post_upload(self, request: Any, response: Any) -> None:
            total = 0
            async for part in await request.get_media():
                total += len(await part.stream.read())
            response.text = str(total)

    app = falcon.asgi.App()
    _falcon_routes(app, Resource())
    return app


async def _chunks() -> AsyncIterator[bytes]:
    for chunk in CHUNKS:
        yield chunk


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def hello(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    async def form(request: Request) -> PlainTextResponse:
        async with request.form() as fields:
            return PlainTextResponse(str(fields["name"]))

    async def upload(request: Request) -> PlainTextResponse:
        async with request.form() as fields:
            file: Any = fields["file"]
            return PlainTextResponse(str(len(await file.read())))

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(_chunks(), media_type="text/plain")

    return Starlette(
        routes=[
            Route("/", hello),
            Route("/form", form, methods=["POST"]),
            Route("/upload", upload, methods=["POST"]),
            Route("/stream", stream),
        ]
    )


def litestar() -> Any:
    from litestar import Litestar, Request, get, post
    from litestar.response import Stream

    @get("/", media_type="text/plain")
    async def hello() -> str:
        return "hello"

    @post("/form", media_type="text/plain", status_code=200)
    async def form(request: Request[Any, Any, Any]) -> str:
        return str((await request.form())["name"])

    @post("/upload", media_type="text/plain", status_code=200)
    async def upload(request: Request[Any, Any, Any]) -> str:
        file: Any = (await request.form())["file"]
        return str(len(await file.read()))

    @get("/stream", media_type="text/plain")
    async def stream() -> Stream:
        return Stream(_chunks())

    for handler in (hello, form, upload, stream):  # the annotations are strings here
        handler.fn.__globals__.update(Request=Request, Stream=Stream)
    return Litestar([hello, form, upload, stream], openapi_config=None)


URLS = "tests.gateway.rules.frameworks_urls"


def _django() -> Any:
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path

    def hello(request: Any) -> Any:
        return HttpResponse("hello", content_type="text/plain")

    def form(request: Any) -> Any:
        return HttpResponse(request.POST["name"], content_type="text/plain")

    def upload(request: Any) -> Any:
        return HttpResponse(str(len(request.FILES["file"].read())), content_type="text/plain")

    def stream(request: Any) -> Any:
        chunks: Any = _chunks() if hasattr(request, "scope") else iter(CHUNKS)
        return StreamingHttpResponse(chunks, content_type="text/plain")

    return [path("", hello), path("form", form), path("upload", upload), path("stream", stream)]


def _serve_django() -> None:
    import sys
    import types

    module = types.ModuleType(URLS)
    sys.modules[module.__name__] = module
    module.urlpatterns = _django()  # type: ignore[attr-defined]


def django_wsgi() -> Any:
    _serve_django()
    from django.core.handlers.wsgi import WSGIHandler

    return WSGIHandler()


def django_asgi() -> Any:
    _serve_django()
    from django.core.handlers.asgi import ASGIHandler

    return ASGIHandler()


WSGI = {"flask": flask, "django": django_wsgi, "falcon": falcon_wsgi}
ASGI = {"starlette": starlette, "django": django_asgi, "litestar": litestar, "falcon": falcon_asgi}


def requests() -> Iterator[tuple[str, str, dict[str, str], bytes, bytes]]:
    """Method, path, headers, body, and the body of the answer."""
    yield "GET", "/", {}, b"", b"hello"
    form = {"content-type": "application/x-www-form-urlencoded"}
    yield "POST", "/form", form, b"name=Ada+Lovelace", b"Ada Lovelace"
    boundary = b"XXX"
    file = (
        b"--%s\r\nContent-Disposition: form-data; name=file; filename=a.bin\r\nContent-Type: application/octet-stream"
        b"\r\n\r\n%s\r\n--%s--\r\n" % (boundary, b"x" * 100_000, boundary)
    )
    yield "POST", "/upload", {"content-type": "multipart/form-data; boundary=XXX"}, file, b"100000"
    yield "GET", "/stream", {}, b"", b"onetwothree"
