"""Any command that serves the probe application can be examined, and so can a server that runs already."""

import sys
from pathlib import Path

import pytest

from gateway.check import probe
from gateway.check.servers import check_command, check_url, is_command
from gateway.errors import ConfigurationError
from gateway.rules import RULES
from gateway.servers import StartError
from tests.gateway.rules.socket_server import SocketServer

#: A server of a few lines on the standard library: it sends the headers with an empty block.
SERVER = """
import importlib, sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

module, _, name = sys.argv[2].partition(":")
app = getattr(importlib.import_module(module), name)
print("starting")
make_server("127.0.0.1", int(sys.argv[1]), app, server_class=Server).serve_forever()
"""


@pytest.mark.parametrize(
    ("server", "command"),
    [("uvicorn", False), ("http://127.0.0.1:80", True), ("server --port {port} {app}", True), ("./server", False)],
)
def test_a_command_is_told_from_the_name_of_a_server(server: str, command: bool) -> None:
    assert is_command(server) is command


@pytest.mark.slow
def test_a_command_is_started_examined_and_stopped(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER, "utf-8")
    checked = check_command(f"{sys.executable} {tmp_path / 'server.py'} {{port}} {{app}}", "wsgi")
    assert "P69" in {finding.rule for finding in checked.findings}
    assert {finding.side for finding in checked.findings} == {"server"}
    assert {"P43", "P60", "P64", "V01"} <= checked.exercised <= set(RULES)
    assert "starting" in checked.output or "GET" in checked.output


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("server --port 8000 {app}", r"must have \{port\}"),
        ("server --port {port}", r"must have \{app\}"),
        ("no-such-server {port} {app}", "cannot run 'no-such-server'"),
    ],
)
def test_a_wrong_command_is_an_error_that_says_what_to_write(command: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_command(command, "wsgi")


def test_a_server_that_ends_at_once_is_an_error_with_its_output() -> None:
    with pytest.raises(StartError, match=r"(?s)ended with status 3.*no such option"):
        check_command(
            f"{sys.executable} -c \"import sys; print('no such option'); sys.exit(3)\" {{port}} {{app}}", "wsgi"
        )


def test_a_server_that_runs_is_examined_by_its_url() -> None:
    probe.asgi.violations.clear()
    probe.asgi.warnings.clear()
    with SocketServer(probe.asgi, "P66") as server:
        checked = check_url("http://{}:{}".format(*server.address))
    assert [finding.rule for finding in checked.findings] == ["P66"]


async def another(scope: object, receive: object, send: object) -> None:
    if scope["type"] == "http":  # type: ignore[index]  # typed as object
        await send({"type": "http.response.start", "status": 404, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body"})  # type: ignore[operator]


@pytest.mark.parametrize("url", ["https://127.0.0.1:80", "http://"])
def test_a_url_is_plain_http(url: str) -> None:
    with pytest.raises(ConfigurationError, match="takes a URL like http://"):
        check_url(url)


def test_another_application_at_the_url_is_an_error() -> None:
    with SocketServer(another) as server, pytest.raises(ConfigurationError, match="does not serve the probe"):
        check_url("http://{}:{}".format(*server.address))
