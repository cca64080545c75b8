"""The books in the admin site, with an action that streams them."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse

from tests.evidence.applications.programs.shelf.models import Book


@admin.register(Book)
class BookAdmin(admin.ModelAdmin):
    """Books."""

    list_display = ("title", "pages", "text")
    search_fields = ("title",)
    actions = ("as_csv",)

    @admin.action(description="Export as CSV")
    def as_csv(self, request: HttpRequest, books: QuerySet[Book]) -> StreamingHttpResponse:
        """Send the chosen books, a line at a time."""
        lines = (f"{book.title},{book.pages}\r\n" for book in books.iterator())
        return StreamingHttpResponse(lines, content_type="text/csv")
