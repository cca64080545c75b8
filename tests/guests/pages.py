"""The sites of the how-to pages about ASGI applications inside existing sites, written to files as a reader would.

A Python block whose first line is ``# name.py`` is that file.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from gateway import servers
from gateway.servers import Bind, Launch, Server, start

ROOT = Path(__file__).resolve().parents[2]
HOW_TO = ROOT / "docs" / "how-to"
SECONDS = 20.0
#: The object that serves each kind of site.
TARGETS = {"flask": "serve:app", "django": "mysite.wsgi:application"}
#: The servers that these pages name. Of each pair of guest and site, the default run has one.
SERVERS = ("gunicorn-gthread", "gunicorn-sync", "waitress", "uvicorn")
#: A module that keeps the site as the target, with the last line as the page about FastAPI shows it.
KEPT = """from api import api
from gateway import Mount
from shop import shop
shop.wsgi_app = Mount({"/": shop.wsgi_app, "/api": api})
"""
_BLOCK = re.compile(r"^```python\n(# ([\w/]+\.py)\n.*?)^```", re.MULTILINE | re.DOTALL)


def files(page: str) -> dict[str, str]:
    """Return the files that a page shows, by name."""
    text = (HOW_TO / f"{page}.md").read_text(encoding="utf-8")
    found = [(name, block) for block, name in _BLOCK.findall(text)]
    assert len(dict(found)) == len(found), f"{page} shows a file twice"
    return dict(found)


def write(page: str, folder: Path) -> Path:
    """Write the files of a page into a folder that has a new Django project, as the pages ask for."""
    subprocess.run([sys.executable, "-m", "django", "startproject", "mysite", str(folder)], check=True, timeout=60)
    for name, text in files(page).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def pairs(fast: dict[str, str]) -> list[ParameterSet]:
    """Return a parameter for each site and server, as a tuple; those that ``fast`` does not name are slow."""
    return [
        pytest.param((site, server), id=f"{site}-{server}", marks=[] if fast[site] == server else [pytest.mark.slow])
        for site in TARGETS
        for server in SERVERS
    ]


@dataclass
class Site:
    """A served site.

    Attributes:
        server: Name of the server.
        url: Its address, without a final slash.
        said: All that the server and the site have written, once they have ended.
    """

    server: str
    url: str
    said: str = ""


@contextmanager
def serving(folder: Path, target: str, server: str | Server, **options: Any) -> Iterator[Site]:
    """Serve an object of the folder as the pages do: with the hooks under Gunicorn, and with some threads."""
    found = servers.get(server) if isinstance(server, str) else server
    if reason := found.missing():
        pytest.skip(reason)
    if found.capabilities.threads:
        options.setdefault("threads", 8)
    # Python keeps what it prints to a file until there is much of it.
    launch = Launch(
        target=target,
        bind=Bind(port=0),
        app_dir=str(folder),
        hooks=True,
        environment={"PYTHONUNBUFFERED": "1"},
        **options,
    )
    with start(found, launch) as running:
        site = Site(found.name, f"http://{running.bind.netloc}")
        yield site
        running.process.send_signal(found.stop_signal)
        running.process.wait(SECONDS)
        site.said = running.output()
