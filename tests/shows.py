"""The decorator that joins a test to the sentence of ``sentences.toml`` that it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Test = TypeVar("Test", bound=Callable[..., object])


def shows(sentence: str, *, once: str | None = None) -> Callable[[Test], Test]:
    """Say which sentence the test shows; ``tests/test_shows.py`` reads it in the source, and the test stays as it is.

    Each sentence on a middleware is shown in both drivers and through both adapters; where it is not, ``once`` says
    why, on one of its tests.
    """
    return lambda test: test
