import os
from pathlib import Path

BASE_DIR = Path(__file__).parent
DEBUG = os.getenv("DEBUG") == "1"
ALLOWED_HOSTS = ["books.example.fr", "livres.example.fr"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024
SECURE_SSL_REDIRECT = False
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]
WSGI_APPLICATION = "books.wsgi.application"
