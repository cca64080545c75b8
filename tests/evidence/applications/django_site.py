"""What the three Django sites share: settings below one folder, migrations, a superuser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.evidence.applications.script import Volatile

__all__ = ["PASSWORD", "TOKEN_PATTERN", "USER", "VOLATILE", "application", "configure", "migrate"]

USER = "ada"
PASSWORD = "correct horse battery staple"
TOKEN_PATTERN = 'name="csrfmiddlewaretoken" value="([^"]+)"'
VOLATILE = (
    Volatile(
        name="token",
        where="body",
        pattern='(?P<keep>name="csrfmiddlewaretoken" value=")[^"]+',
        reason="Django masks its CSRF token differently for each page.",
    ),
    Volatile(
        name="cookie",
        where="set-cookie",
        pattern="^(?P<keep>(csrftoken|sessionid)=)[^;]+",
        reason="Django creates session ids and tokens at random.",
    ),
    Volatile(
        name="signature",
        where="set-cookie",
        pattern="^(?P<keep>messages=[^:;]+:)[^;]+",
        reason="Django signs the cookie of its messages with the time.",
    ),
    Volatile(
        name="time",
        where="set-cookie",
        pattern="(?P<keep>expires=)[^;]+(?<!1970 00:00:00 GMT)",
        reason="A cookie expires some time after the response.",
    ),
    Volatile(
        name="time",
        where="expires",
        pattern=".+",
        reason="Pages that must not be cached expire at the time of the response.",
    ),
)


def configure(folder: Path, *, apps: tuple[str, ...], middleware: tuple[str, ...] = (), **more: Any) -> None:
    """Configure Django for a site whose files are all below ``folder``."""
    import django
    from django.conf import settings

    settings.configure(
        DEBUG=False,
        SECRET_KEY="of the comparison",
        ALLOWED_HOSTS=["*"],
        USE_TZ=True,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "db.sqlite3")}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            *apps,
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
        ],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "whitenoise.middleware.WhiteNoiseMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
            *middleware,
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # a script logs in, nobody else
        STATIC_URL="/static/",
        STATIC_ROOT=str(folder / "static"),
        MEDIA_URL="/media/",
        MEDIA_ROOT=str(folder / "media"),
        LOGGING_CONFIG=None,
        **more,
    )
    django.setup()


def templates(*folders: Path, processors: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The setting TEMPLATES."""
    return [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [str(folder) for folder in folders],
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                    *processors,
                ]
            },
        }
    ]


def migrate() -> None:
    """Run the migrations, collect the static files, create the user."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    call_command("collectstatic", verbosity=0, interactive=False)
    get_user_model().objects.create_superuser(USER, "ada@application.example", PASSWORD)


def application() -> object:
    """The WSGI application, as a project's ``wsgi.py`` makes it."""
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()
