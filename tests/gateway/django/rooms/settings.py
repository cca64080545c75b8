from __future__ import annotations

import os

DEBUG = False
SECRET_KEY = "for tests only"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "tests.gateway.django.rooms.urls"
ASGI_APPLICATION = "tests.gateway.django.rooms.asgi.application"
INSTALLED_APPS: list[str] = []
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "HOST": os.environ.get("ROOMS_HOST", ""),
        "USER": os.environ.get("ROOMS_USER", ""),
        "CONN_MAX_AGE": 600,
    }
}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 10_000}}}
USE_TZ = True
