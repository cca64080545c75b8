"""The page of how a request ends has the tables that the suite compares with what happens."""

from __future__ import annotations

from tests.gateway.drivers.endings_page import PAGE, written


def test_the_page_has_the_tables_of_the_suite() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page) == page, "run python -m tests.gateway.drivers.endings_page"
