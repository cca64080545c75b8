"""What only a real server shows: its access log, whom it takes for the client, and how it leaves."""

from __future__ import annotations

import json
import re
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway import servers
from gateway.servers import Bind, Launch, Running, start
from tests.evidence.anchors.model import Peer, Probe
from tests.middleware.live import ask, exchange, render

ROOT = Path(__file__).resolve().parent.parent.parent.parent
PATIENCE = 30.0
#: All that its format has of what a line must say: status, bytes, microseconds.
LOGGING = ("--access-logfile", "-", "--access-logformat", '"%(r)s" %(s)s %(b)s %(D)s')
_HOST = ("Host", "example.org")


def server(distribution: str, configured: str, side: str, *, named: bool = True) -> Peer:
    return Peer(distribution, configured, lambda app: app, side="wsgi" if side == "wsgi" else "asgi", named=named)


@contextmanager
def serving(name: str, who: str, side: str, *theirs: str, **environment: str) -> Iterator[Running]:
    """Start a server: with its own log and options for the peer, without for ours."""
    own = ("--config", "python:gateway.servers.gunicorn_hooks") if name.startswith("gunicorn") else ()
    launch = Launch(
        target=f"tests.evidence.anchors.sites:{'ours' if who == 'ours' else 'bare'}_{side}",
        bind=Bind(port=0),
        app_dir=str(ROOT),
        arguments=own if who == "ours" else theirs,
        environment={"PYTHONUNBUFFERED": "1", **environment},
    )
    with start(servers.get(name), launch) as running:
        yield running


def until(found: Callable[[], str | None], seconds: float = PATIENCE) -> str | None:
    """Wait until something was found; None where it never was."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        said = found()
        if said is not None:
            return said
        time.sleep(0.02)
    return None


def line_of(running: Running, who: str, path: str) -> str | None:
    """Return the access log's line of a path, once it is there; ours is JSON, and theirs beside it is not ours."""
    for line in running.output().splitlines():
        if path in line and (line.startswith("{") if who == "ours" else f"GET {path}" in line and "HTTP/1.1" in line):
            return line
    return None


def what_a_line_says(line: str | None) -> str:
    """Name what is in a line of an access log: bytes, a duration, and that the answer failed."""
    if line is None:
        return "no line"
    if line.startswith("{"):
        entry = json.loads(line)
        return f"{entry['bytes_sent']} bytes, a duration, {entry['outcome']}"
    ending = line.rpartition('HTTP/1.1"')[2] or line
    said = re.search(r"^ \d{3} (\d+)( \d+)?", ending)
    sent, duration = (f"{said[1]} bytes", said[2]) if said else ("no bytes", None)
    return f"{sent}, {'a duration' if duration else 'no duration'}, as any 200"


def uvicorn_line(who: str) -> str:
    with serving("uvicorn", who, "asgi", "--access-log") as running:
        exchange(running.bind, render("GET", "/fails", [_HOST]))
        return what_a_line_says(until(lambda: line_of(running, who, "/fails")))


def gunicorn_failure(who: str) -> str:
    with serving("gunicorn-gthread", who, "wsgi", *LOGGING) as running:
        exchange(running.bind, render("GET", "/fails", [_HOST]))
        ask(running.bind, "GET", "/after", [_HOST])
        until(lambda: line_of(running, who, "/after"))  # lines are in order: what is not there now never comes
        return what_a_line_says(line_of(running, who, "/fails"))


def gunicorn_client_leaves(who: str) -> str:
    with serving("gunicorn-gthread", who, "wsgi", *LOGGING) as running:
        connection = running.bind.connect(PATIENCE)
        connection.sendall(render("GET", "/long", [_HOST]))
        connection.recv(65536)
        # Reset, as a client that is killed does: the server learns it at its next write.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        line = until(lambda: line_of(running, who, "/long"), 5.0 if who != "ours" else PATIENCE)
        if line is None:
            return "no line"
        return f"a line, {json.loads(line)['outcome']}" if line.startswith("{") else "a line, as any 200"


def gunicorn_client(who: str) -> str:
    with serving("gunicorn-gthread", who, "wsgi", "--forwarded-allow-ips", "127.0.0.1") as running:
        reply = ask(running.bind, "GET", "/", [_HOST, ("X-Forwarded-For", "203.0.113.9")])
        return f"client {reply.body.decode()}"


def gunicorn_leaves(who: str) -> str:
    """Send SIGTERM, and ask over a new connection while a load balancer may still send clients."""
    with serving("gunicorn-gthread", who, "wsgi", ANCHORS_DRAIN="3") as running:
        ask(running.bind, "GET", "/", [_HOST])
        running.process.send_signal(signal.SIGTERM)

        def changed() -> str | None:
            try:
                reply = ask(running.bind, "GET", "/readyz", [_HOST])
                return "503" if reply.status == 503 else None
            except (OSError, IndexError):
                return "refused"

        if until(changed) != "503":
            return "connections are refused at once"
        return f"/readyz 503, the application {ask(running.bind, 'GET', '/', [_HOST]).status}"


CASES: list[Probe] = [
    Probe(
        id="line-at-the-start",
        part="AccessLog",
        asks="a response that fails after five bytes",
        rule="the line is written at the end, with the bytes sent, the duration, and the failure",
        source="NGINX `$body_bytes_sent`, `$request_time`",
        peers=[server("uvicorn", "`uvicorn --access-log`", "asgi")],
        measure=uvicorn_line,
        judge=lambda said: said == "5 bytes, a duration, failed",
    ),
    Probe(
        id="line-of-a-failure",
        part="AccessLog",
        asks="an application that raises after its first five bytes",
        rule="one line, and it shows the failure",
        source="gunicorn#1060, gunicorn PR#2907",
        peers=[server("gunicorn", "`--access-logformat '\"%(r)s\" %(s)s %(b)s %(D)s'`", "wsgi")],
        measure=gunicorn_failure,
        judge=lambda said: said == "5 bytes, a duration, failed",
    ),
    Probe(
        id="line-of-who-leaves",
        part="AccessLog",
        asks="a client resets the connection in the middle of a long response",
        rule="one line, and it shows the failure",
        source="gunicorn PR#2993; NGINX status 499",
        peers=[server("gunicorn", "`--access-logformat '\"%(r)s\" %(s)s %(b)s %(D)s'`", "wsgi")],
        measure=gunicorn_client_leaves,
        judge=lambda said: said == "a line, aborted",
    ),
    Probe(
        id="client-of-gunicorn",
        part="ProxyHeaders",
        asks="a trusted proxy on this machine sends `X-Forwarded-For: 203.0.113.9`",
        rule="the client is 203.0.113.9",
        source="X-Forwarded-For convention",
        peers=[server("gunicorn", "`gunicorn --forwarded-allow-ips 127.0.0.1`", "wsgi")],
        measure=gunicorn_client,
        judge=lambda said: said == "client 203.0.113.9",
    ),
    Probe(
        id="drain",
        part="Health",
        asks="SIGTERM, and then a request that the load balancer still sends",
        rule="readiness is 503 and the request is served, because the load balancer needs time to remove the server",
        source="Kubernetes, termination of pods",
        peers=[server("gunicorn", "`gunicorn`", "wsgi")],
        measure=gunicorn_leaves,
        judge=lambda said: said == "/readyz 503, the application 200",
    ),
]
