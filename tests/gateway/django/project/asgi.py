from __future__ import annotations

import os

from channels.generic.websocket import WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.db import connection
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.gateway.django.project.settings")
pages = get_asgi_application()


class Count(WebsocketConsumer):  # type: ignore[misc]  # Channels has no types
    """It reads the database for each message."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM note")
            self.send(text_data=f"{text_data} {cursor.fetchone()[0]}")


application = ProtocolTypeRouter({"http": pages, "websocket": URLRouter([path("ws/count/", Count.as_asgi())])})
