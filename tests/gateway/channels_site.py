"""A Django project whose pages are WSGI and whose WebSockets are Channels', in one object, for real servers."""

from __future__ import annotations

from typing import Any

import django
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from gateway import Gateway
from gateway.middleware import RequestId

if not settings.configured:
    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="for tests only", USE_TZ=True)
    django.setup()


def page(request: Any) -> HttpResponse:
    response = HttpResponse("a page of Django", content_type="text/plain")
    response.set_cookie("seen", "1")
    return response


urlpatterns = [path("", page)]


class Chat(WebsocketConsumer):  # type: ignore[misc]  # Channels has no types
    """Synchronous: Channels runs it in a thread."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data=f"echo {text_data}")


class Ticks(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels has no types
    """It sends before it is asked."""

    async def connect(self) -> None:
        await self.accept()
        await self.send(text_data="tick")


websockets = ProtocolTypeRouter(
    {"websocket": URLRouter([path("chat/", Chat.as_asgi()), path("ticks/", Ticks.as_asgi())])}
)
app = Gateway(get_wsgi_application(), middleware=[RequestId()], websocket_app=websockets, websockets=True)
