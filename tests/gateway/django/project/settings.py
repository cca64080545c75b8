from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(os.environ.get("PROJECT_FOLDER", "."))
BASE_DIR = Path(__file__).parent
DEBUG = os.environ.get("PROJECT_DEBUG") == "1"
SECRET_KEY = "for tests only"
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "tests.gateway.django.project.urls"
ASGI_APPLICATION = "tests.gateway.django.project.asgi.application"
INSTALLED_APPS = ["django.contrib.staticfiles"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / "db.sqlite3",
        "ATOMIC_REQUESTS": True,
        "CONN_MAX_AGE": 600,
    }
}
STATIC_URL = "static/"
STATIC_ROOT = FOLDER / "static"
STATICFILES_DIRS = [BASE_DIR / "assets"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "gateway.django.storage.CompressedManifestStaticFilesStorage"},
}
USE_TZ = True
LOGGING_CONFIG = None  # the tests provoke errors
