"""Where a request body comes from, told once: known bytes, known chunks, or an iterator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TypeAlias

__all__ = ["Source"]

Source: TypeAlias = bytes | list[bytes] | Iterator[bytes] | AsyncIterator[bytes]
