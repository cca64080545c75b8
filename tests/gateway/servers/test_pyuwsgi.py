"""pyuwsgi behind a proxy that keeps connections: no request is sent on a connection that the server has closed."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway import servers
from gateway.servers import Bind, Launch, start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pyuwsgi runs on POSIX systems only")

APPLICATION = """
def app(environ, start_response):
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]
"""
NGINX = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream application {{ server {upstream}; keepalive 8; }}
    server {{
        listen {listen};
        location / {{
            proxy_pass http://application;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
CLIENTS, REQUESTS = 4, 400


@pytest.fixture
def pyuwsgi(tmp_path: Path) -> Iterator[Bind]:
    server = servers.get("pyuwsgi")
    if reason := server.missing():
        pytest.skip(reason)
    (tmp_path / "sv_kept.py").write_text(APPLICATION)
    with start(server, Launch(target="sv_kept:app", bind=Bind(port=0), app_dir=str(tmp_path))) as running:
        yield running.bind


def test_pyuwsgi_announces_that_it_closes_the_connection(pyuwsgi: Bind) -> None:
    with closing(http.client.HTTPConnection(pyuwsgi.host, pyuwsgi.port, timeout=20)) as connection:
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.read() == b"hello"
        assert response.getheader("Connection") == "close"


def test_nginx_with_kept_connections_loses_no_request_before_pyuwsgi(pyuwsgi: Bind, tmp_path: Path) -> None:
    def post(_: int) -> Counter[int]:
        """Send requests that NGINX may not repeat by itself."""
        with closing(http.client.HTTPConnection(front.host, front.port, timeout=20)) as connection:
            seen: Counter[int] = Counter()
            for _ in range(REQUESTS):
                connection.request("POST", "/", b"body")
                response = connection.getresponse()
                response.read()
                seen[response.status] += 1
            return seen

    with nginx(tmp_path, pyuwsgi) as front, ThreadPoolExecutor(CLIENTS) as pool:
        seen = sum(pool.map(post, range(CLIENTS)), Counter[int]())
    assert seen == {200: CLIENTS * REQUESTS}, (tmp_path / "nginx.log").read_text()[-1000:]


@contextmanager
def nginx(folder: Path, upstream: Bind) -> Iterator[Bind]:
    program = shutil.which("nginx", path=PATH)
    if program is None:
        pytest.skip("the program nginx is not installed")
    with Bind(port=0).listen() as listener:
        bind = Bind(port=0).at(listener)
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(user=user, folder=folder, upstream=upstream.netloc, listen=bind.netloc))
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(configuration)], start_new_session=True)
    try:
        deadline = time.monotonic() + 20
        while True:
            assert process.poll() is None, (folder / "nginx.log").read_text()
            assert time.monotonic() < deadline, "nginx does not listen"
            try:
                bind.connect(1.0).close()
                break
            except OSError:
                time.sleep(0.02)
        yield bind
    finally:
        process.terminate()
        process.wait(20)
