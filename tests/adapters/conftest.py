"""Tests of rows that cannot hold in a mode are expected to fail in it, and must."""

from __future__ import annotations

import pytest

from gateway.adapters.asgi_to_wsgi._lend import lending_is_possible
from tests.adapters.rows import excuse

#: A loop can be lent on CPython 3.12 and newer; the modes of the other tests know that by themselves.
collect_ignore = [] if lending_is_possible() else ["test_lend.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    excuse(item for item in items if "tests/adapters/" in item.nodeid)
