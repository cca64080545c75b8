"""Wagtail: a site as ``wagtail start`` makes it, with its admin, documents and images."""

from __future__ import annotations

import os
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
_TEXT = b"Der Tag, an dem die Farbe kam.\n" * 2000
#: A picture of one pixel.
_GIF = bytes.fromhex("47494638396101000100800100000000ffffff21f90401000001002c00000000010001000002024c01003b")


def _configure(folder: Path) -> None:
    configure(
        folder,
        apps=(
            "tests.evidence.applications.programs.home",
            "wagtail.contrib.forms",
            "wagtail.contrib.redirects",
            "wagtail.embeds",
            "wagtail.sites",
            "wagtail.users",
            "wagtail.snippets",
            "wagtail.documents",
            "wagtail.images",
            "wagtail.search",
            "wagtail.admin",
            "wagtail",
            "modelcluster",
            "taggit",
            "django_filters",
        ),
        middleware=("wagtail.contrib.redirects.middleware.RedirectMiddleware",),
        ROOT_URLCONF=__name__,
        TEMPLATES=templates(),
        WAGTAIL_SITE_NAME="Bücher",
        WAGTAILADMIN_BASE_URL="http://application.example",
        WAGTAIL_ENABLE_UPDATE_CHECK=False,
        WAGTAILSEARCH_BACKENDS={"default": {"BACKEND": "wagtail.search.backends.database"}},
    )
    from django.http import HttpRequest, HttpResponse
    from django.urls import include, path, re_path
    from django.views.static import serve
    from wagtail import urls
    from wagtail.admin import urls as admin
    from wagtail.documents import urls as documents

    def broken(request: HttpRequest) -> HttpResponse:
        raise RuntimeError("raised on purpose")

    urlpatterns[:] = [
        path("admin/", include(admin)),
        path("documents/", include(documents)),
        path("broken/", broken),
        re_path("^media/(?P<path>.*)$", serve, {"document_root": str(folder / "media")}),
        path("", include(urls)),
    ]


def _prepare(folder: Path) -> None:
    _configure(folder)
    migrate()
    from django.core.files.base import ContentFile
    from wagtail.documents.models import Document
    from wagtail.models import Page, Site

    from tests.evidence.applications.programs.home.models import HomePage

    root = Page.objects.get(depth=1)
    home = root.add_child(instance=HomePage(title="Bücher", slug="buecher", body="<p>Willkommen.</p>"))
    Site.objects.update(root_page=home)
    Page.objects.get(slug="home").delete()
    home.add_child(instance=HomePage(title="Émile", slug="emile", body="<p>Oder <b>über</b> die Erziehung.</p>"))
    document = Document(title="Die Farbe")
    document.file.save("farbe.txt", ContentFile(_TEXT))
    os.utime(document.file.path, (0, 0))


def _build(folder: Path) -> object:
    _configure(folder)
    return application()


APPLICATION = Application(
    title="Wagtail",
    packages=("wagtail", "django", "whitenoise"),
    modules=("wagtail", "whitenoise"),
    interface="wsgi",
    prepare=_prepare,
    build=_build,
    token=TOKEN_PATTERN,
    volatile=(
        *VOLATILE,
        Volatile(
            name="token",
            where="body",
            pattern='(?P<keep>"CSRF_TOKEN": ")[^"]+',
            reason="Django masks its CSRF token differently for each page.",
        ),
        Volatile(
            name="time",
            where="body",
            pattern=r"\w{3}\.? \d+, \d{4}, \d+(:\d+)? [ap]\.m\.",
            reason="Wagtail shows the time when a page or a file was created.",
        ),
        Volatile(
            name="time",
            where="body",
            pattern=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+",
            reason="Wagtail shows the time when a page or a file was created.",
        ),
        Volatile(
            name="age",
            where="body",
            pattern=r"Just now|\d+\xc2\xa0\w+ ago",
            reason="Wagtail shows the age of a page or a file.",
        ),
        Volatile(
            name="time",
            where="last-modified",
            pattern=".+",
            reason="The uploaded file was written in this run.",
            steps=("uploaded document",),
        ),
        Volatile(
            name="key",
            where="body",
            pattern="(?P<keep>&quot;key&quot;: &quot;)[a-z0-9]+",
            reason="Draftail creates the keys of text blocks at random.",
        ),
    ),
    steps=(
        Step(name="home", path="/", status=200, shows="<h1>Bücher</h1>".encode()),
        Step(name="page", path="/emile/", status=200, shows=b"die Erziehung"),
        Step(name="admin, not logged in", path="/admin/", status=302),
        Step(name="login page", path="/admin/login/?next=/admin/", status=200, shows=b'type="password"'),
        Step(
            name="wrong password",
            method="POST",
            path="/admin/login/",
            form={"csrfmiddlewaretoken": TOKEN, "username": USER, "password": "wrong", "next": "/admin/"},
            status=200,
            shows=b"didn&#x27;t match",
        ),
        Step(
            name="login",
            method="POST",
            path="/admin/login/",
            form={"csrfmiddlewaretoken": TOKEN, "username": USER, "password": PASSWORD, "next": "/admin/"},
            status=302,
            duty="login",
        ),
        Step(name="admin", path="/admin/", status=200, shows=b"Dashboard"),
        Step(name="pages", path="/admin/pages/", status=200, shows="Bücher".encode()),
        Step(name="form of a document", path="/admin/documents/add/", status=200, shows=b'type="file"'),
        Step(
            name="upload of a document",
            method="POST",
            path="/admin/documents/add/",
            form={"csrfmiddlewaretoken": TOKEN, "title": "Neu"},
            files={"file": Upload("neu.txt", "text/plain", _TEXT[::-1])},
            status=302,
            duty="upload",
        ),
        Step(name="list of documents", path="/admin/documents/", status=200, shows=b"neu.txt"),
        Step(name="uploaded document", path="/documents/2/neu.txt", status=200, shows=_TEXT[::-1]),
        Step(
            name="range of a document, which Django ignores",
            path="/documents/1/farbe.txt",
            headers=(("Range", "bytes=100-299"),),
            status=200,
        ),
        Step(
            name="range of a static file",
            path="/static/wagtailadmin/css/core.css",
            headers=(("Range", "bytes=100-299"),),
            status=206,
            duty="range",
        ),
        Step(name="form of an image", path="/admin/images/add/", status=200, shows=b'type="file"'),
        Step(
            name="upload of an image",
            method="POST",
            path="/admin/images/add/",
            form={"csrfmiddlewaretoken": TOKEN, "title": "Punkt"},
            files={"file": Upload("punkt.gif", "image/gif", _GIF)},
            status=302,
        ),
        Step(name="form of a page", path="/admin/pages/add/home/homepage/3/", status=200, shows=b'name="title"'),
        Step(
            name="publish a page",
            method="POST",
            path="/admin/pages/add/home/homepage/3/",
            form={
                "csrfmiddlewaretoken": TOKEN,
                "title": "Ümläut",
                "slug": "umlaut",
                "body": "null",
                "comments-TOTAL_FORMS": "0",
                "comments-INITIAL_FORMS": "0",
                "comments-MIN_NUM_FORMS": "0",
                "comments-MAX_NUM_FORMS": "",
                "action-publish": "action-publish",
            },
            status=302,
        ),
        Step(name="published page", path="/umlaut/", status=200, shows="<h1>Ümläut</h1>".encode()),
        Step(name="form without its token", method="POST", path="/admin/images/add/", form={"title": "x"}, status=403),
        Step(name="not found", path="/nowhere/caf%C3%A9/", status=404),
        Step(name="exception", path="/broken/", status=500, shows=b"Server Error (500)", duty="error"),
        Step(name="logout", method="POST", path="/admin/logout/", form={"csrfmiddlewaretoken": TOKEN}, status=302),
    ),
)
