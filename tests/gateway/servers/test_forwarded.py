"""Every server hands X-Forwarded-* over to a chain with `ProxyHeaders`, as ``gateway run`` starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway import servers
from gateway.servers import Bind, Launch, StartError, start
from gateway.servers._running import _await_answer
from tests.gateway.servers.forwarded_site import FORWARDED, SEEN
from tests.gateway.servers.suite import ALL, DETAILED
from tests.middleware.live import ask

ROOT = Path(__file__).resolve().parents[3]
SITES = {"wsgi": "tests.gateway.servers.forwarded_site", "asgi": "tests.gateway.servers.forwarded_site_asgi"}
#: The options that docs/middleware/proxy_headers.md names, for a server that its own command starts.
DOCUMENTED = {"uvicorn": ("--no-proxy-headers",), "waitress": ("--no-clear-untrusted-proxy-headers",)}


def _bind(kind: str, folder: Path) -> Bind:
    if kind == "unix":
        return Bind(path=str(folder / "app.sock"))
    free = Bind(port=0)
    with free.listen() as listener:
        return free.at(listener)


@contextmanager
def run_by_gateway(target: str, server: str, bind: Bind, log: Path) -> Iterator[None]:
    """Start a server by ``gateway run``, and end it by its process id, which is the server's."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "run", target, "--server", server, "--bind", str(bind)],
            cwd=ROOT,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        try:
            _await_answer(process, bind, "/", 30.0)
        except StartError as error:
            raise AssertionError(f"{error}\n{log.read_text()}") from None
        yield
    finally:
        if process.poll() is None:
            process.send_signal(servers.get(server).stop_signal)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _target(name: str) -> str:
    interface = "wsgi" if servers.get(name).interface == "wsgi" else "asgi"
    return f"{SITES[interface]}:for_{interface}"


def _check_all(bind: Bind) -> None:
    """Ask each chain of the site; the Host header is the chain's name."""
    for chain in ("balanced", "nginx"):
        reply = ask(bind, "GET", "/cart", (("Host", chain), *FORWARDED))
        assert (chain, reply.status, reply.body.decode()) == (chain, 200, SEEN)


#: Servers that read the headers of any client, and the facts of a client that lies, for a chain that believes nobody.
BELIEVES = {"pyvoy-asgi": "https 203.0.113.9", "pyvoy-wsgi": "https "}
LIES = (("Host", "edge"), *FORWARDED, ("X-Forwarded-Ssl", "off"))
#: In the default run; each test starts a server.
FAST = ("waitress-unix", "waitress-tcp", "pyuwsgi-unix", "gunicorn-sync-unix")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, id=f"{name}-{kind}", marks=[] if f"{name}-{kind}" in FAST else [pytest.mark.slow])
        for name in ALL
        for kind in ("unix", "tcp")
        if (name in DETAILED or kind == "tcp") and name not in (*BELIEVES, "caddysnake")  # which removes Host
    ],
)
def test_an_application_sees_what_its_proxy_says(name: str, kind: str, tmp_path: Path) -> None:
    bind = _bind(kind, tmp_path)
    with run_by_gateway(_target(name), name, bind, tmp_path / "log"):
        _check_all(bind)
        # A chain that believes nobody. Gunicorn answers 400 itself if two of the headers disagree, unless it leaves
        # them alone.
        reply = ask(bind, "GET", "/cart", LIES)
        scheme, client, host, *_ = reply.body.decode().split(" ")
        assert (reply.status, scheme, host) == (200, "http", "edge")
        assert client != "203.0.113.9"
    assert "ProxyHeaders" not in (tmp_path / "log").read_text(), "no warning"


@pytest.mark.slow
@pytest.mark.parametrize("name", BELIEVES)
def test_a_server_that_believes_every_client_is_documented(name: str, tmp_path: Path) -> None:
    if reason := servers.get(name).missing():
        pytest.skip(reason)
    bind = _bind("tcp", tmp_path)
    with run_by_gateway(_target(name), name, bind, tmp_path / "log"):
        assert ask(bind, "GET", "/cart", LIES).body.decode() == f"{BELIEVES[name]} edge  /cart"
    assert any("X-Forwarded" in quirk for quirk in servers.get(name).quirks)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "waitress" else [pytest.mark.slow]) for name in DETAILED]
)
def test_a_servers_own_command_needs_the_documented_options_only(name: str, tmp_path: Path) -> None:
    bind = Bind(path=str(tmp_path / "app.sock")) if name != "uvicorn" else Bind(port=0)  # where it has the habit
    launch = Launch(target=_target(name), bind=bind, app_dir=str(ROOT), arguments=DOCUMENTED.get(name, ()))
    with start(servers.get(name), launch) as running:
        _check_all(running.bind)
        assert "ProxyHeaders" not in running.output(), "no warning"


#: A server's own command, and what the log says once; the last needs no TLS, and drops the proxy's facts all the same.
NOTICED = [
    pytest.param("waitress", "wsgi", (), "waitress removes X-Forwarded-*", id="waitress"),
    pytest.param(
        "waitress",
        "asgi",
        (),
        "--no-clear-untrusted-proxy-headers",
        id="waitress-behind-an-adapter",
        marks=pytest.mark.slow,
    ),
    pytest.param(
        "waitress",
        "wsgi",
        ("--trusted-proxy=127.0.0.1", "--trusted-proxy-headers=x-forwarded-for"),
        "waitress has replaced the proxy's address",
        id="waitress-that-trusts-by-itself",
        marks=pytest.mark.slow,
    ),
    pytest.param("uvicorn", "asgi", (), "--no-proxy-headers", id="uvicorn"),
    pytest.param("uvicorn", "wsgi", (), "--no-proxy-headers", id="uvicorn-behind-an-adapter", marks=pytest.mark.slow),
    pytest.param(
        "daphne", "asgi", ("--proxy-headers",), "without --proxy-headers", id="daphne", marks=pytest.mark.slow
    ),
]


@pytest.mark.parametrize(("name", "interface", "arguments", "expected"), NOTICED)
def test_a_chain_says_once_that_the_server_came_before_it(
    name: str, interface: str, arguments: tuple[str, ...], expected: str
) -> None:
    launch = Launch(
        target=f"{SITES[interface]}:balanced_{interface}",
        bind=Bind(port=0),
        app_dir=str(ROOT),
        arguments=arguments,
        hooks=True,
    )
    with start(servers.get(name), launch, ready="/livez") as running:
        for _ in range(3):
            ask(running.bind, "GET", "/cart", (("Host", "balanced"), *FORWARDED))
        output = running.output()
    assert output.count("ProxyHeaders") == 1, output
    assert expected in output


def test_the_page_names_the_options_of_each_server() -> None:
    page = (ROOT / "docs" / "middleware" / "proxy_headers.md").read_text()
    for name, options in DOCUMENTED.items():
        assert all(f"`{option}`" in page for option in options), name
