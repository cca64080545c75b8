"""A normal request beside 200 clients that send one byte a second: each server alone, and behind NGINX."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import quantiles

from gateway import servers
from gateway.deploy.generate import render
from gateway.servers import Bind, Launch
from tests.tiers.deployed import ROOT, Deployed, certificate, free_port, nginx, until
from tests.tiers.deployed_chain import HOST, MAX_BYTES
from tests.tiers.slow_clients import SLOW_BODY, SLOW_HEADERS, normal_requests, slow_clients

__all__ = ["SEATS", "measure"]

#: Server, its workers and threads, and the application.
SEATS = {
    "Gunicorn sync, 2 workers": ("gunicorn-sync", 2, None, "flask"),
    "Gunicorn gthread, 2 × 4": ("gunicorn-gthread", 2, 4, "flask"),
    "waitress, 4 threads": ("waitress", None, 4, "flask"),
    "uvicorn, FastAPI": ("uvicorn", None, None, "fastapi"),
    "Gunicorn asgi, 2 workers, FastAPI": ("gunicorn-asgi", 2, None, "fastapi"),
}

#: Milliseconds by kind of slow clients; None if a normal request had no response in time.
Row = dict[str, float | None]


@contextmanager
def _served(seat: str, folder: Path, *, behind_nginx: bool) -> Iterator[Deployed]:
    name, workers, threads, framework = SEATS[seat]
    bind = Bind(path=str(folder / "shop.sock")) if behind_nginx else Bind(port=0)
    launch = Launch(
        target=f"tests.tiers.deployed_{framework}:proxied_app",
        bind=bind,
        workers=workers,
        threads=threads,
        app_dir=str(ROOT),
        environment={"DEPLOYED_FOLDER": str(folder)},
        believes_proxies=False,
    )
    server = servers.get(name)
    with servers.start(server, replace(launch, hooks=name == "gunicorn-gthread"), ready="/readyz") as running:
        if not behind_nginx:
            yield Deployed(folder, running.bind.port or 0, tls=False)
            return
        (folder / "shop.sock").chmod(0o666)
        certificate(folder)
        values = {"application": "shop:app", "name": "shop", "hosts": [HOST], "max_bytes": MAX_BYTES}
        values |= {"certificate": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}
        values |= {"interface": "asgi" if framework == "fastapi" else "wsgi"}
        port = free_port()
        front = nginx(folder, render("nginx", values)["nginx.conf"], port, tls=True)
        try:
            proxied = Deployed(folder, port)
            until(lambda: _responds(proxied))
            yield proxied
        finally:
            front.stop()


def _responds(running: Deployed) -> bool:
    try:
        return running.ask("GET", "/facts").status == 200
    except OSError:
        return False


def _p99(running: Deployed, requests: int) -> float | None:
    """Return the milliseconds, or None if a request had no response."""
    seconds = normal_requests(running, requests)
    return quantiles(seconds, n=100)[98] * 1000 if len(seconds) == requests else None


def measure(requests: int) -> dict[str, Row]:
    """Measure each server alone and behind NGINX."""
    found: dict[str, Row] = {}
    for seat in SEATS:
        for behind_nginx in (False, True):
            row: Row = {}
            for kind, begin in (("bodies", SLOW_BODY), ("headers", SLOW_HEADERS)):
                with tempfile.TemporaryDirectory(prefix="slow-") as folder:
                    with _served(seat, Path(folder), behind_nginx=behind_nginx) as running:
                        row.setdefault("idle", _p99(running, requests))
                        with slow_clients(running, begin):
                            row[kind] = _p99(running, requests)
            name = f"NGINX → {seat}" if behind_nginx else seat
            found[name] = row
            print(f"{name}: {row}", flush=True)
    return found
