"""django CMS: pages with text, its toolbar and admin, files by django-filer."""

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
_TEMPLATES = Path(__file__).parents[1] / "programs" / "cms_templates"
_TEXT = b"Der Tag, an dem die Farbe kam.\n" * 2000


def _configure(folder: Path) -> None:
    configure(
        folder,
        apps=(
            "django.contrib.sites",
            "cms",
            "menus",
            "treebeard",
            "sekizai",
            "filer",
            "easy_thumbnails",
            "djangocms_text",
        ),
        middleware=(
            "django.middleware.locale.LocaleMiddleware",
            "cms.middleware.user.CurrentUserMiddleware",
            "cms.middleware.page.CurrentPageMiddleware",
            "cms.middleware.toolbar.ToolbarMiddleware",
            "cms.middleware.language.LanguageCookieMiddleware",
        ),
        ROOT_URLCONF=__name__,
        TEMPLATES=templates(
            _TEMPLATES,
            processors=(
                "django.template.context_processors.i18n",
                "sekizai.context_processors.sekizai",
                "cms.context_processors.cms_settings",
            ),
        ),
        SITE_ID=1,
        LANGUAGE_CODE="en",
        LANGUAGES=[("en", "English"), ("de", "Deutsch")],
        CMS_CONFIRM_VERSION4=True,
        CMS_TEMPLATES=[("page.html", "Page")],
        X_FRAME_OPTIONS="SAMEORIGIN",
    )
    from django.conf.urls.i18n import i18n_patterns
    from django.contrib import admin
    from django.http import HttpRequest, HttpResponse
    from django.urls import include, path, re_path
    from django.views.static import serve

    def broken(request: HttpRequest) -> HttpResponse:
        raise RuntimeError("raised on purpose")

    urlpatterns[:] = [
        path("broken/", broken),
        path("filer/", include("filer.urls")),
        re_path("^media/(?P<path>.*)$", serve, {"document_root": str(folder / "media")}),
        *i18n_patterns(path("admin/", admin.site.urls), path("", include("cms.urls"))),
    ]


def _prepare(folder: Path) -> None:
    _configure(folder)
    migrate()
    from cms.api import add_plugin, create_page, create_page_content
    from django.contrib.auth import get_user_model
    from django.core.files.base import ContentFile
    from django.db.transaction import atomic
    from filer.models import File

    user = get_user_model().objects.get()
    for title, slug in (("Home", "home"), ("Über uns", "about")):
        page = create_page(title, "page.html", "en", slug=slug, in_navigation=True, created_by=user)
        if slug == "home":
            with atomic():
                page.set_as_homepage()
        create_page_content("de", f"{title} (deutsch)", page, slug=slug, created_by=user)
        for content in page.pagecontent_set(manager="admin_manager").all():
            placeholder = content.rescan_placeholders()["content"]
            add_plugin(placeholder, "TextPlugin", content.language, body=f"<p>Text über <b>{title}</b>.</p>")
    kept = File.objects.create(original_filename="farbe.txt", file=ContentFile(_TEXT, "farbe.txt"), is_public=True)
    os.utime(kept.path, (0, 0))


def _build(folder: Path) -> object:
    _configure(folder)
    return application()


APPLICATION = Application(
    title="django CMS",
    packages=("django-cms", "django-filer", "djangocms-text", "django", "whitenoise"),
    modules=("cms", "filer", "djangocms_text", "whitenoise"),
    interface="wsgi",
    prepare=_prepare,
    build=_build,
    token=TOKEN_PATTERN,
    volatile=(
        *VOLATILE,
        Volatile(
            name="token",
            where="body",
            pattern=r"(?P<keep>(\"|&quot;)[\w-]*csrf[\w-]*(\"|&quot;): (\"|&quot;))\w{64}",
            reason="Django masks its CSRF token differently for each page.",
        ),
        Volatile(
            name="time",
            where="body",
            pattern=r"(?P<keep>/filer/canonical/)\d+",
            reason="django-filer's URLs contain the time of the upload.",
        ),
        Volatile(
            name="name",
            where="body",
            pattern=r"(?P<keep>/filer_public/)[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f-]{36}",
            reason="django-filer chooses the folders of its files at random.",
        ),
    ),
    steps=(
        Step(name="to the language", path="/", status=302),
        Step(name="home", path="/en/", status=200, shows=b"<b>Home</b>"),
        Step(name="page", path="/en/about/", status=200, shows="Text über".encode()),
        Step(name="page in another language", path="/de/about/", status=200, shows=b"(deutsch)"),
        Step(name="admin, not logged in", path="/en/admin/", status=302),
        Step(name="login page", path="/en/admin/login/?next=/en/admin/", status=200, shows=b'type="password"'),
        Step(
            name="wrong password",
            method="POST",
            path="/en/admin/login/",
            form={"csrfmiddlewaretoken": TOKEN, "username": USER, "password": "wrong", "next": "/en/admin/"},
            status=200,
        ),
        Step(
            name="login",
            method="POST",
            path="/en/admin/login/",
            form={"csrfmiddlewaretoken": TOKEN, "username": USER, "password": PASSWORD, "next": "/en/admin/"},
            status=302,
            duty="login",
        ),
        Step(name="page with the toolbar", path="/en/about/?toolbar_on", status=200, shows=b"cms-toolbar"),
        Step(name="pages", path="/en/admin/cms/pagecontent/", status=200, shows=b"List of pages"),
        Step(name="tree of pages", path="/en/admin/cms/pagecontent/get-tree/", status=200, shows="Über uns".encode()),
        Step(
            name="form of a page", path="/en/admin/cms/pagecontent/add/?language=en", status=200, shows=b'name="slug"'
        ),
        Step(
            name="add a page",
            method="POST",
            path="/en/admin/cms/pagecontent/add/?language=en",
            form={
                "csrfmiddlewaretoken": TOKEN,
                "language": "en",
                "title": "Ümläut",
                "slug": "umlaut",
                "template": "page.html",
            },
            status=302,
        ),
        Step(name="added page", path="/en/umlaut/", status=200, shows="<h1>Ümläut</h1>".encode()),
        Step(name="folder of files", path="/en/admin/filer/folder/", status=200, shows=b"filer"),
        Step(
            name="upload",
            method="POST",
            path="/en/admin/filer/clipboard/operations/upload/no_folder/",
            headers=(("X-CSRFToken", TOKEN), ("X-Requested-With", "XMLHttpRequest")),
            form={},
            files={"Filedata": Upload("neu ü.txt", "text/plain", _TEXT[::-1])},
            status=200,
            shows=b'"file_id": 2',
            duty="upload",
        ),
        Step(name="files without a folder", path="/en/admin/filer/folder/unfiled_images/", status=200, shows=b"neu"),
        Step(
            name="range of a static file",
            path="/static/filer/css/admin_filer.css",
            headers=(("Range", "bytes=100-299"),),
            status=206,
            duty="range",
        ),
        Step(name="form without its token", method="POST", path="/en/admin/cms/page/add/", form={}, status=403),
        Step(name="not found", path="/en/nowhere/caf%C3%A9/", status=404),
        Step(name="exception", path="/broken/", status=500, shows=b"Server Error (500)", duty="error"),
        Step(name="logout", method="POST", path="/en/admin/logout/", form={"csrfmiddlewaretoken": TOKEN}, status=200),
    ),
)
