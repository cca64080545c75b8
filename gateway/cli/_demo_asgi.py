"""The object that serves the ASGI application of ``gateway demo``."""

from __future__ import annotations

from gateway.application import Gateway
from gateway.cli._demo_apps import asgi_application

__all__ = ["asgi"]

asgi = Gateway(asgi_application, "asgi")
