"""Django for tests: it has one set of settings a process, so all test modules share this one and lend it their URLs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


def configure() -> None:
    """Configure Django once in this process."""
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(DEBUG=False, SECRET_KEY="only a test", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__)
        django.setup()


@contextmanager
def serving(urls: str) -> Iterator[None]:
    """Let Django serve the ``urlpatterns`` of this module while the block lasts."""
    configure()
    from django.test import override_settings

    with override_settings(ROOT_URLCONF=urls):
        yield


urlpatterns: list[object] = []
