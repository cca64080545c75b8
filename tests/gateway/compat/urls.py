"""The URLs of the Django example."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path


def page(request: HttpRequest, name: str) -> HttpResponse:
    environ = request.META
    return HttpResponse(f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}|{name}|{request.body.decode()}")


urlpatterns = [path("<path:name>", page)]
