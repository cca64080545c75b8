"""Django behind generated files: the same as `deployed_flask`."""

from __future__ import annotations

import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from tests.tiers.deployed_chain import HEADERS, HOST, MAX_BYTES, events, note, proxied


def facts(request: HttpRequest) -> HttpResponse:
    found: dict[str, object] = {name: request.headers.get(name) for name in HEADERS}
    found |= {"client": request.META["REMOTE_ADDR"], "scheme": request.scheme, "host": request.get_host()}
    return JsonResponse({**found, "mount": request.META["SCRIPT_NAME"]})


def upload(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(len(request.body)))


def slow(request: HttpRequest) -> HttpResponse:
    serial = request.body.decode()
    note(f"begun {serial}")
    time.sleep(float(request.GET.get("seconds", "0")))
    note(f"done {serial}")
    return HttpResponse(serial)


def stream(request: HttpRequest, release: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(events(release), content_type="text/event-stream")


urlpatterns = [
    path("facts", facts),
    path("upload", upload),
    path("slow", slow),
    path("events/<str:release>", stream),
]
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=[HOST],
    SECRET_KEY="not secret",
    DATA_UPLOAD_MAX_MEMORY_SIZE=MAX_BYTES,
)
proxied_app = proxied(get_wsgi_application())
