from __future__ import annotations

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path


def row(request: HttpRequest, number: int) -> HttpResponse:
    """One query, and a small response."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'row ' || %s, count(*) FROM generate_series(1, 100)", [number])
        text, count = cursor.fetchone()
    return HttpResponse(f"{text} of {count}", content_type="text/plain")


urlpatterns = [path("row/<int:number>/", row)]
