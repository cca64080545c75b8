"""The page of the servers says what their descriptions say."""

from __future__ import annotations

from gateway import servers
from tests.gateway.servers.server_table import PAGE, generated


def test_the_page_holds_the_current_tables() -> None:
    assert generated() in PAGE.read_text(encoding="utf-8"), "run: python -m tests.gateway.servers.server_table"


def test_every_server_and_every_quirk_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in servers.names():
        assert f"`{name}`" in page
        assert all(quirk in page for quirk in servers.get(name).quirks)
