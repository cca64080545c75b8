"""Nothing between an application and its client holds a stream back.

The application makes the second line of a stream after the client has read, and decoded, the first. A server's own
limits are facts in its description. The default run has one server of each interface; ``-m slow`` has the others, and
the adapters.
"""

from __future__ import annotations

import ssl
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import brotli
import httpx
import pytest
import zstandard
from _pytest.mark import ParameterSet

from gateway import servers
from gateway.servers import Bind, Launch, start
from tests.shows import shows
from tests.tiers import nginx
from tests.tiers.streams_app import KINDS

ROOT = Path(__file__).resolve().parent.parent.parent
#: Server and application: natively, and through an adapter.
FAST = (("gunicorn-gthread", "wsgi"), ("uvicorn", "asgi"), ("gunicorn-gthread", "asgi"), ("uvicorn", "wsgi"))
SLOW = (
    ("gunicorn-sync", "wsgi"),
    ("gunicorn-sync", "asgi"),
    ("gunicorn-asgi", "asgi"),
    ("gunicorn-asgi", "wsgi"),
)
PARAMS = [
    pytest.param(case, id="-".join(case), marks=[pytest.mark.slow] if case in SLOW else []) for case in (*FAST, *SLOW)
]


def in_each_coding(*chains: str) -> list[ParameterSet]:
    slow = {"br", "zstd"}
    return [
        pytest.param(chain, coding, marks=[pytest.mark.slow] if coding in slow else [])
        for chain in chains
        for coding in ("identity", "gzip", "br", "zstd")
    ]


DIRECT = [pytest.param("bare", "identity"), *in_each_coding("compressed", "balancer", "edge")]
#: Behind NGINX either NGINX compresses, or the chain.
PROXIED = [
    pytest.param("nginx", "identity"),
    pytest.param("nginx", "gzip"),
    *in_each_coding("compressed", "nginx-compressed"),
]


@dataclass(frozen=True)
class Served:
    """A server that is started, and NGINX in front of it."""

    direct: Bind
    front: nginx.Front

    def client(self, way: str) -> httpx.Client:
        """Return a client of the server itself, or of NGINX over TLS by one version of HTTP."""
        if way == "direct":
            return httpx.Client(transport=httpx.HTTPTransport(uds=self.direct.path), base_url="http://localhost")
        trust = ssl.create_default_context(cafile=str(self.front.certificate))
        second = way == "tls-http2"
        transport = httpx.HTTPTransport(uds=self.front.tls.path, verify=trust, http1=not second, http2=second)
        return httpx.Client(transport=transport, base_url="https://localhost")


@pytest.fixture(scope="module", params=PARAMS)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    name, application = request.param
    server = servers.get(name)
    if reason := server.missing() or nginx.missing():
        pytest.skip(reason)
    # The path of a unix socket is short: pytest's own folders may not be.
    with tempfile.TemporaryDirectory(prefix="streams-") as folder:
        launch = Launch(
            target=f"tests.tiers.streams_app:{application}",
            bind=Bind(path=f"{folder}/app.sock"),
            app_dir=str(ROOT),
            hooks=server.interface != application,
        )
        with start(server, launch) as running, nginx.nginx(Path(folder), running.bind) as front:
            yield Served(running.bind, front)


def decoder(coding: str | None) -> Callable[[bytes], bytes]:
    """Return a function that gives what can be decoded so far."""
    if coding == "gzip":
        return zlib.decompressobj(31).decompress
    if coding == "br":
        decompressor = brotli.Decompressor()
        return lambda data: bytes(decompressor.process(data))
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress
    assert coding is None
    return bytes


def check(served: Served, way: str, chain: str, kind: str, coding: str, release: Path) -> None:
    media_type, first, second = KINDS[kind]
    with (
        served.client(way) as client,
        client.stream(
            "GET", f"/{chain}/{kind}", params={"release": str(release)}, headers={"accept-encoding": coding}, timeout=60
        ) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"] == media_type
        assert response.http_version == ("HTTP/2" if way == "tls-http2" else "HTTP/1.1")
        assert response.headers.get("content-encoding", "identity") == coding
        assert "x-accel-buffering" not in response.headers or way == "direct"
        decode = decoder(response.headers.get("content-encoding"))
        parts = response.iter_raw()
        text = b""
        while len(text) < len(first):
            text += decode(next(parts))
        assert text == first, "the second line was made before the first was read"
        release.touch()
        for part in parts:
            text += decode(part)
        assert text == first + second


@shows(
    "Through NGINX with TLS the first line of a stream arrives before the second is made", once="it takes a live NGINX"
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("chain", "coding"), PROXIED)
def test_the_first_line_arrives_before_the_second_is_made(
    served: Served, chain: str, coding: str, kind: str, tmp_path: Path
) -> None:
    check(served, "tls-http1", chain, kind, coding, tmp_path / "release")


@pytest.mark.parametrize("kind", ["ndjson", "events"])
@pytest.mark.parametrize(("chain", "coding"), PROXIED)
def test_the_first_line_arrives_over_http_2_too(
    served: Served, chain: str, coding: str, kind: str, tmp_path: Path
) -> None:
    check(served, "tls-http2", chain, kind, coding, tmp_path / "release")


@pytest.mark.parametrize("kind", ["ndjson", "events"])
@pytest.mark.parametrize(("chain", "coding"), DIRECT)
def test_the_first_line_arrives_from_the_server_itself(
    served: Served, chain: str, coding: str, kind: str, tmp_path: Path
) -> None:
    check(served, "direct", chain, kind, coding, tmp_path / "release")
