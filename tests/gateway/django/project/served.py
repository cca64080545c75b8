"""The project as one object."""

from __future__ import annotations

from gateway.django import get_application

application = get_application("tests.gateway.django.project.settings", websockets=True, async_paths=("/live",))
