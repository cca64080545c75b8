"""``get_application()``: settings and options decide what serves which request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.test import override_settings

from gateway import AdapterOptions
from gateway.adapters.asgi_to_wsgi import close_all
from gateway.chain import ChainWarning
from gateway.django import get_application, static_files
from gateway.errors import ConfigurationError
from gateway.middleware import RequestId, TrustedHost
from gateway.testing import Client
from gateway.testing.websocket import WebSocketDenied
from tests import django_site
from tests.gateway.django import views

SERVERS = ("wsgi", "asgi")
VIEWS = "tests.gateway.django.views"


@pytest.fixture(autouse=True)
def _site() -> Iterator[None]:
    with django_site.serving(VIEWS), override_settings(ALLOWED_HOSTS=["*"]):
        yield
    close_all()


@pytest.mark.parametrize("server", SERVERS)
def test_pages_come_from_the_wsgi_handler_and_listed_paths_from_the_asgi_handler(server: Any) -> None:
    with Client(get_application(), interface=server) as client:
        assert client.get("/kind/").text == "WSGIRequest"
    with Client(get_application(async_paths=("/events",), threads=3), interface=server) as client:
        assert client.get("/kind/").text == "WSGIRequest"
        assert client.get("/events/kind/").text == "ASGIRequest"
        assert client.get("/eventsx/").text == "WSGIRequest"
    with Client(get_application(handler="asgi"), interface=server) as client:
        assert client.get("/kind/").text == "ASGIRequest"


def test_below_a_mount_point_listed_paths_are_found_too() -> None:
    with Client(get_application(async_paths=("/events",)), interface="asgi", root_path="/shop") as client:
        assert client.get("/events/kind/").text == "ASGIRequest"


def test_asgi_application_serves_the_websockets() -> None:
    with override_settings(ASGI_APPLICATION=f"{VIEWS}.echo"):
        application = get_application(async_paths=("/events",))
    with Client(application, interface="asgi") as client:
        assert client.get("/kind/").text == "WSGIRequest"
        for path in ("/chat/", "/events/chat/"):
            with client.websocket(path) as websocket:
                assert websocket.receive_text() == path


@pytest.mark.parametrize("handler", ["wsgi", "asgi"])
@pytest.mark.parametrize("name", [None, "router_without_websockets", "handler"])
def test_without_an_application_for_them_websockets_are_refused(
    handler: Any, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "handler", ASGIHandler(), raising=False)
    with override_settings(ASGI_APPLICATION=name and f"{VIEWS}.{name}"):
        application = get_application(handler=handler)
    assert application.websocket_app is None
    with Client(application, interface="asgi") as client, pytest.raises(WebSocketDenied), client.websocket("/chat/"):
        pass


@pytest.mark.parametrize("path", ["tests.gateway.django.views.missing", "no_such_module.application"])
def test_an_asgi_application_that_cannot_be_imported_is_an_error(path: str) -> None:
    with override_settings(ASGI_APPLICATION=path), pytest.raises(ConfigurationError) as raised:
        get_application()
    assert str(raised.value).startswith(f"the application of ASGI_APPLICATION = {path!r} cannot be imported")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"handler": "rsgi"}, 'handler=...) must be "wsgi" or "asgi"'),
    ({"async_paths": "/events"}, "takes a tuple of paths"),
    ({"async_paths": ("events",)}, "takes a tuple of paths"),
    ({"async_paths": ("/events",), "handler": "asgi"}, "has no effect, because handler"),
    ({"reuse_threads": True}, "is for Django's ASGI handler"),
    ({"handler": "asgi", "threads": 4}, "has no effect"),
    ({"threads": 0}, "threads= must be"),
    ({"static": True}, "the setting STATIC_ROOT is not set"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_option_is_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        get_application(**options)
    assert message in str(raised.value)


def test_the_options_of_a_gateway_are_passed_on() -> None:
    application = get_application(
        middleware=[RequestId()], threads=7, adapter=AdapterOptions(queue=9), websockets=False
    )
    assert (application.threads, application.adapter) == (7, AdapterOptions(queue=9))
    with Client(application, interface="asgi") as client:
        assert "x-request-id" in client.get("/kind/").headers


# -- hosts


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "app.css").write_text("plain")
    (tmp_path / "app.55e7cbb9ba48.css").write_text("hashed")
    return tmp_path


def test_websockets_and_files_are_for_allowed_hosts_only(files: Path) -> None:
    with override_settings(
        ALLOWED_HOSTS=[".example.com"], ASGI_APPLICATION=f"{VIEWS}.echo", STATIC_URL="static/", STATIC_ROOT=files
    ):
        with Client(get_application(), interface="asgi") as client:
            for host, allowed in (("example.com", True), ("a.example.com", True), ("evil.example", False)):
                headers = {"host": host}
                assert client.get("/static/app.css", headers=headers).status_code == (200 if allowed else 400)
                assert client.get("/host/", headers=headers).status_code == (200 if allowed else 400)
                # A page whose view does not ask for the host is left to Django, which serves it.
                assert client.get("/kind/", headers=headers).status_code == 200
                if allowed:
                    with client.websocket("/chat/", headers=headers) as websocket:
                        assert websocket.receive_text() == "/chat/"
                else:
                    with pytest.raises(WebSocketDenied), client.websocket("/chat/", headers=headers):
                        pass


@pytest.mark.parametrize("chain", [[], [TrustedHost(allowed=("example.com",))]])
def test_a_host_that_only_django_can_read_is_not_checked_here(chain: list[Any], files: Path) -> None:
    with override_settings(
        ALLOWED_HOSTS=["example.com"], USE_X_FORWARDED_HOST=True, STATIC_URL="static/", STATIC_ROOT=files
    ):
        with Client(get_application(middleware=chain), interface="asgi") as client:
            response = client.get("/static/app.css", headers={"host": "inner:8000", "x-forwarded-host": "example.com"})
    assert response.status_code == (400 if chain else 200)


# -- static files


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("handler", ["wsgi", "asgi"])
def test_collected_files_are_served_and_hashed_names_are_kept_for_a_year(
    server: Any, handler: Any, files: Path
) -> None:
    with override_settings(STATIC_URL="https://cdn.example/assets/", STATIC_ROOT=files):
        with Client(get_application(handler=handler), interface=server) as client:
            assert client.get("/assets/app.css").headers["cache-control"] == "public, max-age=60"
            assert "immutable" in client.get("/assets/app.55e7cbb9ba48.css").headers["cache-control"]
            assert client.get("/assets/none.css").status_code == 404
            assert client.get("/kind/").status_code == 200
        with Client(get_application(static=False), interface=server) as client:
            assert client.get("/assets/app.css").status_code == 404


def test_a_hash_without_letters_is_known_from_the_manifest(files: Path) -> None:
    (files / "site.111111111111.css").write_text("all digits")
    (files / "staticfiles.json").write_text(
        '{"version": "1.1", "hash": "", "paths": {"site.css": "site.111111111111.css"}}'
    )
    storages = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}}
    with override_settings(STATIC_URL="static/", STATIC_ROOT=files, STORAGES=storages):
        immutable = static_files().immutable
    assert callable(immutable)
    assert immutable("site.111111111111.css")
    assert not immutable("site.222222222222.css")


def test_the_mount_point_of_the_settings_is_not_part_of_the_path(files: Path) -> None:
    with override_settings(FORCE_SCRIPT_NAME="/shop", STATIC_URL="/shop/static/", STATIC_ROOT=files):
        assert list(static_files().folders) == ["/static/"]


def test_a_missing_folder_is_a_warning_and_an_error_if_files_are_demanded(tmp_path: Path) -> None:
    with override_settings(STATIC_URL="static/", STATIC_ROOT=tmp_path / "none"):
        with pytest.warns(ChainWarning, match=r"run: python manage\.py collectstatic"):
            application = get_application()
        with pytest.raises(ConfigurationError, match=r"run: python manage\.py collectstatic"):
            get_application(static=True)
    with Client(application, interface="asgi") as client:
        assert client.get("/static/app.css").status_code == 404


def test_a_url_of_the_files_is_needed(files: Path) -> None:
    with override_settings(STATIC_URL=None, STATIC_ROOT=files), pytest.raises(ConfigurationError, match="STATIC_URL"):
        get_application()
