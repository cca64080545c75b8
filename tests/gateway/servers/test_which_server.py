"""The page that recommends servers recommends what the descriptions, and so the measurements, say."""

from __future__ import annotations

import re

import pytest

from gateway import servers
from tests.gateway.matrix.results import BEGIN, END, PAGE, README

#: Capabilities that the situation of a recommendation needs.
NEEDS = {
    "gunicorn-gthread": ("workers", "threads", "streaming", "keep_alive", "drains", "hands_over_socket"),
    "uvicorn": ("websocket", "lifespan", "drains", "streaming", "keep_alive"),
    "gunicorn-uvicorn": ("workers", "websocket", "lifespan", "drains"),
    "waitress": ("threads", "drains"),
    "hypercorn-asyncio": ("http2", "http3", "trailers", "early_hints", "drains"),
    "granian-asgi": ("pathsend", "http2", "workers", "drains"),
    "hypercorn-trio": ("websocket", "lifespan", "drains"),
    "gunicorn-gevent": ("streaming", "workers", "drains"),
    "wsgiref": ("serves_asgi", "drains"),
}
TEXT = PAGE.read_text(encoding="utf-8")


def avoided(words: str) -> set[str]:
    (line,) = [line for line in TEXT.splitlines() if line.startswith("- ") and words in line]
    return set(re.findall(r"`([a-z0-9-]+)`", line))


def lacking(capability: str) -> set[str]:
    return {name for name in servers.names() if not getattr(servers.get(name).capabilities, capability)}


def test_each_recommendation_has_the_capabilities_of_its_situation() -> None:
    table = TEXT.partition("## What to avoid")[0]
    assert re.findall(r"^\|.*?\| `([a-z0-9-]+)` \|", table, re.MULTILINE) == list(NEEDS)
    for name, needs in NEEDS.items():
        capabilities = servers.get(name).capabilities
        assert all(getattr(capabilities, need) for need in needs), name
    assert not servers.get("waitress").posix


@pytest.mark.parametrize(
    ("words", "capability"), [("cut running requests", "drains"), ("collect a response", "streaming")]
)
def test_the_servers_to_avoid_are_those_that_lack_a_capability(words: str, capability: str) -> None:
    assert avoided(words) == lacking(capability)


def test_the_servers_that_lose_uploads_and_startups_are_named() -> None:
    lost = {name for name in servers.names() if servers.get(name).capabilities.chunked_upload != "decoded"}
    assert avoided("upload without a length") == lost
    asgi = {name for name in servers.names() if servers.get(name).interface != "wsgi"}
    assert avoided("send no lifespan events") == asgi & lacking("lifespan")


def test_the_readme_has_the_same_table() -> None:
    assert table_of(README.read_text(encoding="utf-8")) == table_of(TEXT)


def table_of(text: str) -> str:
    _, _, rest = text.partition(BEGIN)
    table, end, _ = rest.partition(END)
    assert end
    return table
