"""Probes while an application starts, after it failed to start, and when it is reached on several paths; real servers.

The rows are the table of ``docs/middleware/health.md``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.servers import Bind, Launch, get

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "middleware" / "health.md"
PATIENCE = 30.0
PATHS = ("/livez", "/readyz", "/startupz")

#: How a deployment starts the application: label -> the cells of the table, while it starts and after it failed.
BEFORE = ("no response", "the server ends")
LAZILY = ("200, 503, 503", "200, 503, 503")
NEVER = ("200, 200, 200", "200, 200, 200")


@dataclass(frozen=True)
class Row:
    """A deployment: its name in the table, the server, its hooks, and what the probes return."""

    name: str
    server: str
    cells: tuple[str, str]
    hooks: bool = False


ROWS = (
    Row("uvicorn", "uvicorn", BEFORE),
    Row("Hypercorn, asyncio", "hypercorn-asyncio", BEFORE),
    Row("Hypercorn, trio", "hypercorn-trio", BEFORE),
    Row("Daphne", "daphne", NEVER),
    Row("Granian, `--interface asgi`", "granian-asgi", BEFORE),
    Row("Granian, `--interface rsgi`", "granian-rsgi", BEFORE),
    Row("Granian, `--interface wsgi`", "granian-wsgi", LAZILY),
    Row("Gunicorn, `asgi` worker", "gunicorn-asgi", BEFORE),
    Row("Gunicorn, `asgi` worker, with the hooks", "gunicorn-asgi", BEFORE, hooks=True),
    Row("Gunicorn, `gthread` worker, with the hooks", "gunicorn-gthread", BEFORE, hooks=True),
    Row("Gunicorn, `gthread` worker, without hooks", "gunicorn-gthread", LAZILY),
    Row("Gunicorn, `sync` worker, with the hooks", "gunicorn-sync", BEFORE, hooks=True),
    Row("Gunicorn, `sync` worker, without hooks", "gunicorn-sync", LAZILY),
    Row("uWSGI, with the hooks", "pyuwsgi", ("no response", "200, 503, 503"), hooks=True),
    Row("uWSGI, without hooks", "pyuwsgi", LAZILY),
    Row("waitress", "waitress", LAZILY),
    Row("cheroot", "cheroot", LAZILY),
    Row("Werkzeug", "werkzeug", LAZILY),
    Row("wsgiref", "wsgiref", LAZILY),
)
FAST = ("uvicorn", "gunicorn-gthread")


def deployments(*names: str) -> list[object]:
    """Give the rows, or those of some servers; the sweep over the others is slow."""
    return [
        pytest.param(row, id=row.name, marks=() if row.server in FAST else pytest.mark.slow)
        for row in ROWS
        if not names or row.server in names
    ]


@dataclass
class Site:
    """A server with the application, which was started and may not answer."""

    process: subprocess.Popen[bytes]
    bind: Bind
    folder: Path
    seen: list[str] = field(default_factory=list[str])

    def probe(self, path: str, *, seconds: float = 10.0) -> tuple[int, str] | None:
        """Return status and body; None if nothing came in time."""
        received = b""
        with suppress(OSError), self.bind.connect(seconds) as connection:
            connection.settimeout(seconds)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            while chunk := connection.recv(4096):
                received += chunk
        if not received.startswith(b"HTTP/1."):
            return None
        head, _, body = received.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body.decode("latin-1")

    def cell(self, *, seconds: float) -> str:
        """Return what the table says of the probes' statuses."""
        statuses = [None if (answer := self.probe(path, seconds=seconds)) is None else answer[0] for path in PATHS]
        return "no response" if statuses == [None] * 3 else ", ".join(map(str, statuses))

    def events(self) -> list[str]:
        log = self.folder / "log"
        return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds, or the server ends."""
        deadline = time.monotonic() + PATIENCE
        while not condition() and self.process.poll() is None:
            assert time.monotonic() < deadline, "nothing came of it in time"
            time.sleep(0.02)

    def go(self) -> None:
        (self.folder / "go").touch()


@contextmanager
def running(row: Row, folder: Path, target: str = "once", *, workers: int | None = None) -> Iterator[Site]:
    """Start a server at a free port, and end it. It may be unable to answer, so nothing is waited for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        bind = Bind(host="127.0.0.1", port=listener.getsockname()[1])
    server = get(row.server)
    if reason := server.missing():
        pytest.skip(reason)
    command = server.command(
        Launch(
            target=f"tests.gateway.servers.phases_app:{target}",
            bind=bind,
            app_dir=str(ROOT),
            hooks=row.hooks,
            workers=workers,
            # `Launch(hooks=)` leaves this worker alone, which needs no hooks; a user's configuration may have them.
            arguments=("--config", "python:gateway.servers.gunicorn_hooks")
            if row.hooks and row.server == "gunicorn-asgi"
            else (),
            isolated=True,
        )
    )
    environment = {**os.environ, **command.environment, "PHASES_FOLDER": str(folder)}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command.argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        site = Site(process, bind, folder)
        try:
            yield site
        finally:
            site.go()  # a start that waits keeps some servers from ending
            if process.poll() is None:
                process.send_signal(server.stop_signal)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()


@pytest.mark.parametrize("row", deployments())
def test_no_probe_is_ready_before_the_application_has_started(row: Row, tmp_path: Path) -> None:
    cell = row.cells[0]
    with running(row, tmp_path) as site:
        if cell == "no response":
            site.until(lambda: site.events())
        elif cell != LAZILY[0]:
            site.until(lambda: site.probe("/readyz", seconds=1.0))
        else:
            site.until(lambda: site.probe("/readyz", seconds=1.0) and site.events())
            assert site.probe("/readyz") == (503, "starting\n")
        assert site.cell(seconds=0.5 if cell == "no response" else 10.0) == cell
        site.go()
        site.until(lambda: site.probe("/readyz", seconds=1.0) == (200, "ok\n"))
        assert site.cell(seconds=10.0) == "200, 200, 200"
        assert site.events() == ([] if row.cells == NEVER else ["served-begins", "served-started"])


@pytest.mark.parametrize("row", deployments())
def test_a_failed_start_is_never_ready(row: Row, tmp_path: Path) -> None:
    (tmp_path / "fail-served").touch()
    (tmp_path / "go").touch()
    with running(row, tmp_path) as site:
        if row.cells[1] == BEFORE[1]:
            site.until(lambda: False)  # it ends
            return
        site.until(lambda: site.probe("/readyz") not in (None, (503, "starting\n")))
        assert site.cell(seconds=10.0) == row.cells[1]
        if row.cells != NEVER:
            assert site.probe("/startupz") == (503, "failed\n")
            assert site.events()[0] == "served-begins"


@pytest.mark.parametrize("target", ["nested", "twice"])
@pytest.mark.parametrize("row", deployments("uvicorn", "gunicorn-gthread", "gunicorn-asgi", "pyuwsgi"))
def test_an_application_starts_once_however_often_it_is_reached(row: Row, target: str, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    (tmp_path / "fail-other").touch()  # the module holds it, and this server does not serve it
    with running(row, tmp_path, target) as site:
        site.until(lambda: site.probe("/readyz", seconds=1.0) == (200, "ok\n"))
        for path in ("/a", "/b", "/c"):
            answer = site.probe(path)
            assert answer is not None
            assert answer[0] == 200
        assert site.events() == ["served-begins", "served-started"]
        site.process.send_signal(get(row.server).stop_signal)
        site.process.wait(20)
        assert site.events() == ["served-begins", "served-started", "served-ends"]


@pytest.mark.parametrize("row", deployments("gunicorn-gthread", "gunicorn-sync", "uvicorn"))
def test_each_of_two_workers_starts_the_application_once(row: Row, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    expected = 2 if row.cells == BEFORE else 1
    with running(row, tmp_path, workers=2) as site:
        site.until(lambda: site.probe("/readyz", seconds=1.0) == (200, "ok\n"))
        site.until(lambda: site.events().count("served-started") >= expected)
        lines = (tmp_path / "log").read_text().splitlines()
    started = [line for line in lines if line.startswith("served-started")]
    assert len(started) == len(set(started)), "a process started it twice"


def test_the_documentation_has_the_rows_of_this_module() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    begin = lines.index("| deployment | while the application starts | after its start failed |") + 2
    table = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[begin : begin + len(ROWS)]]
    assert table == [(row.name, *row.cells) for row in ROWS]
