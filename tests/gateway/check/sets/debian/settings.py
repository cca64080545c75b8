DEBUG = False
ALLOWED_HOSTS = ["shop.example.org", "www.shop.example.org"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 0
DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * 1024 * 1024
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
]
