"""Books, each with its text as a file."""

from __future__ import annotations

from django.db import models


class Book(models.Model):
    """A book."""

    title = models.CharField(max_length=100)
    pages = models.PositiveIntegerField(default=1)
    text = models.FileField(upload_to="books", blank=True)

    class Meta:
        app_label = "shelf"
        ordering = ("title",)

    def __str__(self) -> str:
        return self.title
