"""Django's admin site: a model with a file, static files by WhiteNoise."""

from __future__ import annotations

from pathlib import Path

from tests.evidence.applications.django_site import (
    PASSWORD,
    TOKEN_PATTERN,
    USER,
    VOLATILE,
    application,
    configure,
    migrate,
    templates,
)
from tests.evidence.applications.script import TOKEN, Application, Step, Upload, Volatile

__all__ = ["APPLICATION", "urlpatterns"]

urlpatterns: list[object] = []
_TEXT = bytes(range(256)) * 300


def _configure(folder: Path) -> None:
    configure(
        folder, apps=("tests.evidence.applications.programs.shelf",), ROOT_URLCONF=__name__, TEMPLATES=templates()
    )
    from django.contrib import admin
    from django.http import HttpRequest, HttpResponse
    from django.urls import path, re_path
    from django.views.static import serve

    def broken(request: HttpRequest) -> HttpResponse:
        raise RuntimeError("raised on purpose")

    urlpatterns[:] = [
        path("admin/", admin.site.urls),
        path("broken/", broken),
        re_path("^media/(?P<path>.*)$", serve, {"document_root": str(folder / "media")}),
    ]


def _prepare(folder: Path) -> None:
    _configure(folder)
    migrate()
    from tests.evidence.applications.programs.shelf.models import Book

    for title, pages in (("Æsop's fables", 212), ("Walden", 352), ("Ulysses", 730)):
        Book.objects.create(title=title, pages=pages)


def _build(folder: Path) -> object:
    _configure(folder)
    return application()


APPLICATION = Application(
    title="Django admin",
    packages=("django", "whitenoise"),
    modules=("django", "whitenoise"),
    interface="wsgi",
    prepare=_prepare,
    build=_build,
    token=TOKEN_PATTERN,
    volatile=(
        *VOLATILE,
        Volatile(
            name="time",
            where="last-modified",
            pattern=".+",
            reason="The uploaded file was written in this run.",
            steps=("uploaded file", "range of an uploaded file, which Django ignores"),
        ),
    ),
    steps=(
        Step(name="index, not logged in", path="/admin/", status=302),
        Step(name="login page", path="/admin/login/?next=/admin/", status=200, shows=b'name="password"'),
        Step(
            name="wrong password",
            method="POST",
            path="/admin/login/?next=/admin/",
            form={"csrfmiddlewaretoken": TOKEN, "username": USER, "password": "wrong", "next": "/admin/"},
            status=200,
            shows=b"Please enter the correct username and password",
        ),
        Step(
            name="login",
            method="POST",
            path="/admin/login/?next=/admin/",
            form={"csrfmiddlewaretoken": TOKEN, "username": USER, "password": PASSWORD, "next": "/admin/"},
            status=302,
            duty="login",
        ),
        Step(name="index", path="/admin/", status=200, shows=b"Site administration"),
        Step(name="form", path="/admin/shelf/book/add/", status=200, shows=b'type="file"'),
        Step(
            name="upload",
            method="POST",
            path="/admin/shelf/book/add/",
            form={"csrfmiddlewaretoken": TOKEN, "title": "Émile", "pages": "480", "_save": "Save"},
            files={"text": Upload("emile.bin", "application/octet-stream", _TEXT)},
            status=302,
            duty="upload",
        ),
        Step(name="list, with the message", path="/admin/shelf/book/?o=-2", status=200, shows="Émile</a>”".encode()),
        Step(name="uploaded file", path="/media/books/emile.bin", status=200, shows=_TEXT),
        Step(
            name="range of an uploaded file, which Django ignores",
            path="/media/books/emile.bin",
            headers=(("Range", "bytes=100-299"),),
            status=200,
        ),
        Step(
            name="range of a static file",
            path="/static/admin/css/base.css",
            headers=(("Range", "bytes=100-299"),),
            status=206,
            duty="range",
        ),
        Step(name="head of a static file", method="HEAD", path="/static/admin/css/base.css", status=200),
        Step(
            name="export as a stream",
            method="POST",
            path="/admin/shelf/book/",
            form={"csrfmiddlewaretoken": TOKEN, "action": "as_csv", "_selected_action": "2", "index": "0"},
            status=200,
            shows=b"Walden,352\r\n",
        ),
        Step(
            name="form without its token",
            method="POST",
            path="/admin/shelf/book/add/",
            form={"title": "forged"},
            status=403,
            shows=b"CSRF verification failed",
        ),
        Step(name="not found", path="/admin/shelf/book/99/change/", status=302),
        Step(name="exception", path="/broken/", status=500, shows=b"Server Error (500)", duty="error"),
        Step(
            name="logout",
            method="POST",
            path="/admin/logout/",
            form={"csrfmiddlewaretoken": TOKEN},
            status=200,
            shows=b"Logged out",
        ),
    ),
)
