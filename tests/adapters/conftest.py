"""Tests of rows that cannot hold in a mode are expected to fail in it, and must."""

from __future__ import annotations

import pytest

from tests.adapters.rows import excuse


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    excuse(item for item in items if "tests/adapters/" in item.nodeid)
