"""Pages and WebSockets for tests in this process, whose settings change from test to test."""

from __future__ import annotations

from typing import Any

from channels.routing import ProtocolTypeRouter
from django.http import HttpRequest, HttpResponse
from django.urls import path


def kind(request: HttpRequest) -> HttpResponse:
    return HttpResponse(type(request).__name__)


def host(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{request.scheme} {request.get_host()}")


urlpatterns = [path("kind/", kind), path("events/kind/", kind), path("eventsx/", kind), path("host/", host)]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        raise RuntimeError("only WebSockets come here")
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": scope["path"]})
    await receive()


router_without_websockets = ProtocolTypeRouter({"http": echo})
