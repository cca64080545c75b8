"""The page type."""

from __future__ import annotations

from typing import ClassVar

from wagtail.admin.panels import FieldPanel
from wagtail.fields import RichTextField
from wagtail.models import Page


class HomePage(Page):
    """A page with a text."""

    body = RichTextField(blank=True)

    content_panels: ClassVar = [*Page.content_panels, FieldPanel("body")]
    template = "home/home_page.html"

    class Meta:
        app_label = "home"
