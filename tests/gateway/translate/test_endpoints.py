"""Server and version in both spellings."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translate.endpoints import http_version, server_address, server_name, server_protocol

SERVERS = [
    ("none", None, "http", ("localhost", "80")),
    ("none-https", None, "https", ("localhost", "443")),
    ("tcp", ("h", 8000), "http", ("h", "8000")),
    ("text-port", ("h", "8000"), "http", ("h", "8000")),
    ("list", ["h", 8000], "http", ("h", "8000")),
    ("unix", ("/s.sock", None), "http", ("localhost", "80")),
    ("indexed-unix-path", ("/", "t"), "http", ("localhost", "80")),
    ("no-port", ("h", None), "https", ("h", "443")),
    ("no-host", ("", 1), "http", ("localhost", "80")),
    ("one", ("h",), "http", ("h", "80")),
]


@pytest.mark.parametrize(("server", "scheme", "expected"), [c[1:] for c in SERVERS], ids=[c[0] for c in SERVERS])
def test_server_name_is_text_and_never_empty(server: Any, scheme: str, expected: tuple[str, str]) -> None:
    assert server_name(server, scheme) == expected


@pytest.mark.parametrize(
    ("name", "port", "expected"), [("h", "80", ("h", 80)), ("h", "", ("h", None)), ("", "80", None)]
)
def test_server_address_is_asgis(name: str, port: str, expected: object) -> None:
    assert server_address(name, port) == expected


@pytest.mark.parametrize("version", ["1.0", "1.1", "2", "3", "1.2"])
def test_http_version_undoes_server_protocol(version: str) -> None:
    assert http_version(server_protocol(version)) == version


@pytest.mark.parametrize("garbage", ["", "INCLUDED", "HTTP/", "HTTP/x", "RTSP/1.0", "HTTP/1.1.1"])
def test_a_protocol_that_is_none_of_http_counts_as_1_1(garbage: str) -> None:
    assert http_version(garbage) == "1.1"
