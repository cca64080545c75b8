"""Somebody's middleware and ours in one chain under gunicorn and uvicorn: as many adapters as were planned."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Literal

import httpx
import pytest

from gateway.servers import Bind, Launch, get, start
from tests.gateway.third_parties import BIG, ORIGIN, PLANNED, STATIC, build

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

SERVED = """
from pathlib import Path
from tests.gateway.third_parties import build, start_sentry

start_sentry()
app = build({app!r}, {chain!r}, Path({folder!r}))
"""

SERVERS: list[tuple[str, Literal["wsgi", "asgi"]]] = [
    ("gunicorn-gthread", "wsgi"),
    ("gunicorn-asgi", "asgi"),
    ("uvicorn", "asgi"),
]


@pytest.mark.parametrize(("server", "interface"), SERVERS, ids=[name for name, _ in SERVERS])
@pytest.mark.parametrize("app", ["flask", "fastapi"])
@pytest.mark.parametrize("chain", ["cors-gzip", "everything"])
def test_a_mixed_chain_under_a_real_server_crosses_as_planned(
    chain: str, app: str, server: str, interface: Literal["wsgi", "asgi"], tmp_path: Path
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "site.css").write_text(STATIC)
    (tmp_path / "served_chain.py").write_text(SERVED.format(app=app, chain=chain, folder=str(files)))
    explained = build(app, chain, files).explain().as_dict()["servers"][interface]
    planned = len(explained["adapters"])
    assert planned == PLANNED[chain][app][("wsgi", "asgi").index(interface)]
    launch = Launch(
        target="served_chain:app",
        bind=Bind(path=str(tmp_path / "s.sock")),
        app_dir=str(tmp_path),
        environment={"PYTHONPATH": str(ROOT)},
    )
    with start(get(server), launch, ready="/hello") as running:
        transport = httpx.HTTPTransport(uds=running.bind.path)
        with httpx.Client(transport=transport, base_url="http://shop.example", timeout=30) as client:
            hello = client.get("/hello", headers={"x-forwarded-for": "203.0.113.9", "origin": ORIGIN})
            assert hello.status_code == 200, running.output()
            assert hello.headers["x-crossings"] == str(planned)
            marks = [mark for line in hello.headers.get_list("x-mark") for mark in line.split(", ")]
            interfaces = [part["interface"] for part in explained["order"] if part["name"] in ("Mark", "Squeeze")]
            assert [mark.split(":")[1] for mark in reversed(marks)] == interfaces
            for _ in range(5):
                assert client.get("/big").headers["x-crossings"] == str(planned)
            assert hello.headers["access-control-allow-origin"] == ORIGIN
            big = client.get("/big", headers={"accept-encoding": "gzip"})
            assert big.headers["content-encoding"] == "gzip"
            assert big.text == BIG
            if chain == "everything":
                assert hello.text == "hello from 203.0.113.9"
                given = uuid.uuid4().hex
                assert client.get("/hello", headers={"x-request-id": given}).headers["x-request-id"] == given
                assert client.get("/static/site.css").text == STATIC
                assert client.get("/boom").status_code == 500
                assert client.get("/hello").status_code == 200
