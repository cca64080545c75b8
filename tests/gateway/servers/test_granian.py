"""granian runs an RSGI application on its event loop only, so a WSGI application needs the adapter's threads there."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import servers
from gateway.servers import Bind, Launch, StartError, start

#: An RSGI application that blocks its thread, and says which threads have served requests so far.
SITE = """
import threading, time

seen = set()

class Application:
    def __rsgi_init__(self, loop):
        seen.add(threading.get_ident())

    async def __rsgi__(self, scope, protocol):
        seen.add(threading.get_ident())
        time.sleep(0.05)
        protocol.response_str(200, [], str(len(seen)))

app = Application()
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "sv_rsgi.py").write_text(SITE)
    return str(tmp_path)


def test_every_rsgi_request_runs_in_the_thread_of_the_event_loop(folder: str) -> None:
    launch = Launch(target="sv_rsgi:app", bind=Bind(port=0), app_dir=folder)
    with start(servers.get("granian-rsgi"), launch) as running:
        connections = [running.bind.connect(20.0) for _ in range(4)]
        try:
            for connection in connections:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answers = [b"".join(iter(lambda c=connection: c.recv(65536), b"")) for connection in connections]
        finally:
            for connection in connections:
                connection.close()
    assert [answer[-1:] for answer in answers] == [b"1"] * 4


def test_granian_refuses_several_blocking_threads_for_rsgi(folder: str) -> None:
    launch = Launch(target="sv_rsgi:app", bind=Bind(port=0), app_dir=folder, arguments=("--blocking-threads", "2"))
    with pytest.raises(StartError, match="Blocking threads > 1 is not supported on ASGI and RSGI"):
        start(servers.get("granian-rsgi"), launch)
