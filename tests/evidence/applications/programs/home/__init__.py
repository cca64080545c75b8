"""The pages of the Wagtail site, as ``wagtail start`` makes them, with a text."""
