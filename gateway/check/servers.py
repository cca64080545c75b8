"""Start a server with the probe application, examine it, and stop it.

A server is one of `gateway.servers`, any command, or one that already runs. A command names the place of the port and
of the application: ``"myserver --port {port} {app}"``. The command runs without a shell.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import IO, Literal
from urllib.parse import urlsplit

from gateway.check.applications import DIES, LIFESPAN, Broken
from gateway.check.probe import Examined, probe
from gateway.check.report import Finding
from gateway.check.wire import Address, fetch, request
from gateway.errors import ConfigurationError
from gateway.rules.observer import ClientObserver
from gateway.rules.table import blame
from gateway.rules.tables import RULES
from gateway.servers import Bind, Launch, Running, Server, StartError, start

__all__ = ["CheckedServer", "check_command", "check_server", "check_url", "is_command"]

#: Seconds that a command may take until it responds, and to stop.
_START = 30.0
_STOP = 10.0


@dataclass(frozen=True)
class CheckedServer:
    """The findings about a server.

    Attributes:
        findings: The rules that it breaks.
        exercised: The rules that were exercised.
        offered: The extensions that it offers.
        output: The end of its output.
    """

    findings: list[Finding]
    exercised: frozenset[str]
    offered: frozenset[str] = frozenset()
    output: str = ""


def is_command(server: str) -> bool:
    """Tell whether ``--server`` has a command or a URL, and not the name of a server."""
    return " " in server or "{" in server or "://" in server


def check_server(server: Server) -> CheckedServer:
    """Examine a server of `gateway.servers`.

    Raises:
        ConfigurationError: The server calls neither WSGI nor ASGI applications.
    """
    if server.interface not in ("wsgi", "asgi"):
        raise ConfigurationError(
            f"the probe is a WSGI and ASGI application, and {server.name} calls {server.interface}"
        )
    with _probed(server) as running:
        examined = probe(_address(running.bind), server.interface)
        output = running.output()
    if server.interface == "asgi":
        examined = _with_lifespan(examined, serves=_serves_without_lifespan(server))
    return _checked(examined, output)


def check_command(command: str, interface: Literal["wsgi", "asgi"]) -> CheckedServer:
    """Examine the server that a command starts.

    Args:
        command: The command, with ``{port}`` and ``{app}`` in it.
        interface: Interface of the application that the server calls.

    Raises:
        ConfigurationError: The command has no ``{port}`` or no ``{app}``, or cannot be run.
        StartError: The server did not respond.
    """
    for name in ("port", "app"):
        if f"{{{name}}}" not in command:
            raise ConfigurationError(
                f"the command of --server must have {{{name}}}, got {command!r}; write for example "
                f"--server 'uvicorn --port {{port}} {{app}}'"
            )
    with _running(command, interface, {}) as (address, log):
        examined = probe(address, interface)
        output = _read(log)
    if interface == "asgi":
        try:
            with _running(command, interface, {LIFESPAN: "raise"}):
                serves = True
        except StartError:
            serves = False
        examined = _with_lifespan(examined, serves=serves)
    return _checked(examined, output)


def check_url(url: str) -> CheckedServer:
    """Examine a server on this machine that runs and serves ``gateway.check.probe:asgi`` or ``:wsgi``.

    Raises:
        ConfigurationError: The URL is not a plain http URL, nobody listens, or the server serves another application.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ConfigurationError(f"--server takes a URL like http://127.0.0.1:8000, got {url!r}")
    address = (parts.hostname, parts.port or 80)
    try:
        response = fetch(address, request("GET", "/interface"), _START)
    except OSError as error:
        raise ConfigurationError(f"cannot connect to {url}: {error}") from None
    interface = response.body.decode("latin-1")
    if interface not in ("wsgi", "asgi"):
        raise ConfigurationError(
            f"{url} does not serve the probe application; start the server with gateway.check.probe:wsgi, or with "
            f"gateway.check.probe:asgi"
        )
    return _checked(probe(address, interface), "")


def _checked(examined: Examined, output: str) -> CheckedServer:
    # A rule may bind both sides; a finding of a probe is the server's.
    findings = [
        Finding.of(RULES[b.rule].violation(blame("server", b.found)), error=b.severity == "error")
        for b in examined.broken
    ]
    return CheckedServer(findings, examined.exercised, examined.offered, _end(output))


def _end(output: str, lines: int = 20) -> str:
    """Return the last lines of a server's output, without the tracebacks of the probe's own exceptions."""
    kept: list[str] = []
    for line in output.splitlines():
        if DIES in line:
            while kept and (kept[-1].startswith(" ") or "Traceback" in kept[-1]):
                kept.pop()
        else:
            kept.append(line)
    return "\n".join(kept[-lines:])


def _with_lifespan(examined: Examined, *, serves: bool) -> Examined:
    observer = ClientObserver()
    observer.lifespan_unsupported(serves=serves)
    broken = [Broken(violation.rule, violation.found, "error") for violation in observer.violations]
    return replace(examined, broken=[*examined.broken, *broken], exercised=examined.exercised | observer.exercised)


def _serves_without_lifespan(server: Server) -> bool:
    try:
        with _probed(server, {LIFESPAN: "raise"}):
            return True
    except StartError:
        return False


def _probed(server: Server, environment: dict[str, str] | None = None) -> Running:
    target = f"gateway.check.probe:{server.interface}"
    launch = Launch(target=target, bind=Bind(port=0), workers=1, environment=environment or {})
    return start(server, launch)


def _address(bind: Bind) -> Address:
    return bind.path if bind.path is not None else (bind.host, bind.port)


@contextmanager
def _running(
    command: str, interface: str, environment: Mapping[str, str]
) -> Generator[tuple[tuple[str, int], IO[bytes]]]:
    """Run a command until the block ends, and wait until it responds."""
    port = _free_port()
    words = [
        word.replace("{port}", str(port)).replace("{app}", f"gateway.check.probe:{interface}")
        for word in shlex.split(command)
    ]
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                words,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # to end its workers with it
            )
        except OSError as error:
            raise ConfigurationError(f"cannot run {words[0]!r}: {error.strerror}") from None
        try:
            _await_response(process, port, command, log)
            yield ("127.0.0.1", port), log
        finally:
            _end_of(process)


def _await_response(process: subprocess.Popen[bytes], port: int, command: str, log: IO[bytes]) -> None:
    until = time.monotonic() + _START
    while time.monotonic() < until:
        if process.poll() is not None:
            raise StartError(f"{command!r} ended with status {process.returncode}:\n{_end(_read(log))}")
        with suppress(OSError):
            if fetch(("127.0.0.1", port), request("GET", "/interface"), 5.0).status == 200:
                return
        time.sleep(0.05)  # a server gives no other sign that it listens
    raise StartError(f"{command!r} did not respond on port {port} in {_START:g} seconds:\n{_end(_read(log))}")


def _end_of(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP)
    with suppress(ProcessLookupError):  # the workers, too, if the server left them
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode("utf-8", "replace")


def _free_port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        port: int = probing.getsockname()[1]
        return port
