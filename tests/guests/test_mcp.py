"""docs/how-to/mcp-inside-a-site.md as a reader would follow it, with the client of the `mcp` package."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from flask import Flask
from mcp import Client
from mcp.server import MCPServer
from mcp.server.auth.settings import AuthSettings
from pydantic import AnyHttpUrl

from gateway import Mount, testing
from tests.guests.pages import HOW_TO, SECONDS, TARGETS, Site, pairs, serving, write

PAGE = "mcp-inside-a-site"
FAST = {"flask": "gunicorn-gthread", "django": "waitress"}
OPENED, CLOSED = "the stock is open", "the stock is closed"
#: The client asks for the newest protocol first, which has no sessions; "legacy" is the handshake with a session.
MODES = ("auto", "legacy")

ACCEPT = {"accept": "application/json, text/event-stream"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
#: The module of the page for sync workers, in the place of the one with sessions.
SYNC = """
from gateway import Mount, testing
from shop import shop
from tools_for_sync_workers import mcp_app

app = Mount({"/": shop, "/tools": mcp_app})
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(PAGE, tmp_path_factory.mktemp("mcp"))


@pytest.fixture(scope="module", params=pairs(FAST))
def site(request: pytest.FixtureRequest, folder: Path) -> Iterator[Site]:
    kind, server = request.param
    with serving(folder, TARGETS[kind], server) as site:
        yield site
    assert (site.said.count(OPENED), site.said.count(CLOSED)) == (1, 1)


def modes(site: Site) -> tuple[str, ...]:
    """Return the modes of the client that this server can serve: a client that listens blocks a sync worker."""
    return MODES[:1] if site.server == "gunicorn-sync" else MODES


@asynccontextmanager
async def connected(site: Site, mode: str) -> AsyncIterator[Client]:
    with anyio.fail_after(SECONDS):
        async with Client(f"{site.url}/tools/mcp", mode=mode) as client:
            yield client


async def packets(client: Client) -> Any:
    result = await client.call_tool("in_stock", {"product": "tea"})
    return result.structured_content


def test_a_tool_reads_what_the_lifespan_has_opened(site: Site) -> None:
    async def main() -> None:
        for mode in modes(site):
            async with connected(site, mode) as client:
                assert {tool.name for tool in (await client.list_tools()).tools} == {"in_stock", "count_all"}
                assert await packets(client) == {"result": 7}

    anyio.run(main)


@pytest.mark.slow
def test_the_client_of_the_page_prints_what_the_page_says(site: Site, folder: Path) -> None:
    line = f"import asyncio, client; asyncio.run(client.main({site.url + '/tools/mcp'!r}))"
    done = subprocess.run(
        [sys.executable, "-c", line], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "{'result': 7}\n", done.stderr
    assert f"It prints `{done.stdout.strip()}`." in (HOW_TO / f"{PAGE}.md").read_text(encoding="utf-8")


def test_progress_arrives_while_the_tool_runs(site: Site) -> None:
    async def count(mode: str) -> None:
        arrived: list[tuple[float, float]] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            arrived.append((progress, time.monotonic()))

        async with connected(site, mode) as client:
            await client.call_tool("count_all", {}, progress_callback=note)
            ended = time.monotonic()
        assert [progress for progress, _ in arrived] == [1, 2, 3, 4, 5]
        # The tool sleeps for half a second after its first report. Reports that wait for its end would come with it.
        assert ended - arrived[0][1] > 0.25

    for mode in modes(site):
        anyio.run(count, mode)


def test_the_pages_of_the_site_are_served_while_clients_listen(site: Site) -> None:
    async def main() -> None:
        async with connected(site, modes(site)[-1]), connected(site, modes(site)[-1]):
            async with httpx2.AsyncClient(base_url=site.url, trust_env=False) as browser:
                assert (await browser.get("/")).status_code == 200

    anyio.run(main)


def test_a_session_is_known_by_its_id_and_ends_with_it(site: Site) -> None:
    with httpx2.Client(base_url=site.url, trust_env=False, timeout=SECONDS) as client:
        opened = client.post("/tools/mcp", json=INITIALIZE, headers=ACCEPT)
        session = {"mcp-session-id": opened.headers["mcp-session-id"], **ACCEPT}
        assert client.post("/tools/mcp", json=INITIALIZED, headers=session).status_code == 202
        assert client.delete("/tools/mcp", headers=session).status_code == 200
        assert client.post("/tools/mcp", json=INITIALIZED, headers=session).status_code == 404


def test_a_host_that_the_page_does_not_allow_is_refused(site: Site) -> None:
    with httpx2.Client(base_url=site.url, trust_env=False, timeout=SECONDS) as client:
        refused = client.post("/tools/mcp", json=INITIALIZE, headers={**ACCEPT, "host": "evil.example"})
        allowed = client.post("/tools/mcp", json=INITIALIZE, headers={**ACCEPT, "host": "shop.example.org"})
    assert (refused.status_code, allowed.status_code) == (421, 200)


def test_a_listener_that_leaves_frees_its_thread(folder: Path) -> None:
    """One thread serves; it is free again although the stream of the listener has no event."""
    with serving(folder, TARGETS["flask"], "gunicorn-gthread", threads=1) as site:
        with httpx2.Client(base_url=site.url, trust_env=False, timeout=SECONDS) as client:
            opened = client.post("/tools/mcp", json=INITIALIZE, headers=ACCEPT)
            session = {"mcp-session-id": opened.headers["mcp-session-id"], **ACCEPT}
            with client.stream("GET", "/tools/mcp", headers=session) as listening:
                assert listening.headers["content-type"].startswith("text/event-stream")
            begin = time.monotonic()
            assert client.get("/").text == "visit 1"
        # The package sends a comment every 15 seconds, by which each server would notice it in the end.
        assert time.monotonic() - begin < 10


def test_a_host_of_its_own_has_the_address_where_oauth_begins() -> None:
    class Verifier:
        async def verify_token(self, token: str) -> None:
            return None

    address = "https://mcp.example.org/mcp"
    issuer = AnyHttpUrl("https://login.example.org")
    auth = AuthSettings(issuer_url=issuer, resource_server_url=AnyHttpUrl(address), validate_token_resource=True)
    mcp_app = MCPServer("Shop", token_verifier=Verifier(), auth=auth).streamable_http_app(host="mcp.example.org")
    site = Mount({"/": Flask("shop"), "mcp.example.org": mcp_app})
    for interface in ("wsgi", "asgi"):
        with testing.Client(site, interface=interface, lifespan=False, base_url="https://mcp.example.org") as client:
            refused = client.post("/mcp", json=INITIALIZE, headers=ACCEPT)
            assert refused.status_code == 401
            [found] = re.findall(r'resource_metadata="([^"]+)"', refused.headers["www-authenticate"])
            assert found == "https://mcp.example.org/.well-known/oauth-protected-resource/mcp"
            assert client.get(found).json()["resource"] == address
        with testing.Client(site, interface=interface, lifespan=False) as client:
            assert client.post("/mcp", json=INITIALIZE, headers=ACCEPT).status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize("server", ["gunicorn-gthread", "gunicorn-sync"])
def test_a_client_that_listens_leaves_time_for_the_end_of_the_lifespan(folder: Path, server: str) -> None:
    """Gunicorn would wait for the listener for seven seconds, and then kill the worker."""
    arguments = ("--graceful-timeout", "7")
    with ExitStack() as listening, serving(folder, TARGETS["flask"], server, arguments=arguments) as site:
        client = listening.enter_context(httpx2.Client(base_url=site.url, trust_env=False, timeout=SECONDS))
        opened = client.post("/tools/mcp", json=INITIALIZE, headers=ACCEPT)
        session = {"mcp-session-id": opened.headers["mcp-session-id"], **ACCEPT}
        listening.enter_context(client.stream("GET", "/tools/mcp", headers=session))
    assert (site.said.count(OPENED), site.said.count(CLOSED)) == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_without_sessions_each_worker_serves_each_client(folder: Path, mode: str) -> None:
    """Two sync workers with the module that the page shows for them."""
    (folder / "sync.py").write_text(SYNC, encoding="utf-8")
    with serving(folder, "sync:app", "gunicorn-sync", workers=2) as site:

        async def main() -> None:
            for _ in range(10):
                async with connected(site, mode) as client:
                    assert await packets(client) == {"result": 7}

        anyio.run(main)
    assert site.said.count(OPENED) == site.said.count(CLOSED) == 2


@pytest.mark.slow
def test_the_site_keeps_its_target_with_another_wsgi_app(folder: Path) -> None:
    (folder / "kept.py").write_text("import shop_with_tools\nfrom shop import shop\n", encoding="utf-8")
    with serving(folder, "kept:shop", "gunicorn-gthread") as site:

        async def main() -> None:
            async with connected(site, "legacy") as client:
                assert await packets(client) == {"result": 7}

        anyio.run(main)
    assert (site.said.count(OPENED), site.said.count(CLOSED)) == (1, 1)
