"""The project in the ways that are compared; each is the application of a server's process."""

from __future__ import annotations

import os
from typing import Any

from a2wsgi import ASGIMiddleware, WSGIMiddleware
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

from gateway.django import get_application

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.gateway.django.rooms.settings"


def _made() -> Any:
    """Make the application that the environment variable names; the others would load Django's middleware too."""
    match os.environ.get("ROOMS_WAY", "object"):
        case "object":
            return get_application()
        case "asgi":
            return get_asgi_application()
        case "asgi with lent threads":
            return get_application(handler="asgi", reuse_threads=True, threads=40)
        case "asgi through a2wsgi":
            return ASGIMiddleware(get_asgi_application())  # type: ignore[arg-type]  # its types are its own
        case "a2wsgi":
            return WSGIMiddleware(get_wsgi_application())
        case "wsgi":
            return get_wsgi_application()
        case way:
            raise ValueError(way)


application = _made()
