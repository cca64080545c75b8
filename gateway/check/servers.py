"""Start a server with the probe application, examine it, and stop it.

A server is one of `gateway.servers`, any command, or one that already runs. A command names the place of the port and
of the application: ``"myserver --port {port} {app}"``. The command runs without a shell.

A server that this module starts is examined three times. The first start runs the cases and stops the server while a
request runs. In the other two the application refuses the lifespan protocol, and fails to start.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal
from urllib.parse import urlsplit

from gateway.check.applications import Broken
from gateway.check.cases.visit import echo_of
from gateway.check.expected import DIES, LIFESPAN, PAUSE, REPORT
from gateway.check.probe import CaseFindings, Examined, probe, reported
from gateway.check.report import Finding
from gateway.check.wire import Address, HttpConnection, ProbeResponse, fetch, request
from gateway.errors import ConfigurationError
from gateway.rules.observer import ClientObserver
from gateway.rules.table import blame
from gateway.rules.tables import RULES
from gateway.servers import Bind, Launch, Server, StartError, start

__all__ = ["CheckedCase", "CheckedServer", "check_command", "check_server", "check_url", "is_command"]

#: Seconds that a command may take until it responds, and to stop.
_START = 30.0
_STOP = 10.0
#: Seconds after which a server that has neither ended nor responded counts as one that does not serve.
_NOT_SERVING = 10.0


@dataclass(frozen=True)
class CheckedCase:
    """One case and its findings.

    Attributes:
        id: Name of the case.
        findings: The rules that the server broke in it.
    """

    id: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class CheckedServer:
    """The findings about a server.

    Attributes:
        cases: The cases that ran.
        exercised: The rules that were exercised.
        offered: The extensions that it offers.
        output: The end of its output.
    """

    cases: tuple[CheckedCase, ...]
    exercised: frozenset[str]
    offered: frozenset[str] = frozenset()
    output: str = ""

    @property
    def findings(self) -> list[Finding]:
        """The rules that the server breaks, each once: in the case where the finding is most severe."""
        found: dict[str, Finding] = {}
        for finding in (finding for case in self.cases for finding in case.findings):
            kept = found.get(finding.rule)
            if kept is None or (kept.severity, finding.severity) == ("warning", "error"):
                found[finding.rule] = finding
        return sorted(found.values())


@dataclass
class _StartedServer:
    """A server that runs.

    Attributes:
        address: Its address.
        output: Returns all that it has written so far.
        process: Its process.
        stop_signal: Signal that stops it gracefully.
    """

    address: Address
    output: Callable[[], str]
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals = signal.SIGTERM


#: Starts the server with environment variables, and gives it that many seconds to respond.
_Start = Callable[[Mapping[str, str], float], AbstractContextManager[_StartedServer]]


def is_command(server: str) -> bool:
    """Tell whether ``--server`` has a command or a URL, and not the name of a server."""
    return " " in server or "{" in server or "://" in server


def check_server(server: Server) -> CheckedServer:
    """Examine a server of `gateway.servers`; one that calls RSGI together with our adapter."""

    @contextmanager
    def started(environment: Mapping[str, str], seconds: float) -> Generator[_StartedServer]:
        launch = Launch(
            target=f"gateway.check.{'rsgi' if server.interface == 'rsgi' else 'probe'}:{server.interface}",
            bind=Bind(port=0),
            workers=1,
            environment=dict(environment),
        )
        with start(server, launch, timeout=seconds) as running:
            signum = running._deliverable(server.stop_signal)
            yield _StartedServer(_address(running.bind), running.output, running.process, signum)

    return _checked(_examined(started, "wsgi" if server.interface == "wsgi" else "asgi"))


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

    def started(environment: Mapping[str, str], seconds: float) -> AbstractContextManager[_StartedServer]:
        return _running(command, interface, environment, seconds)

    return _checked(_examined(started, interface))


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
    return _checked((probe(address, interface), ""))


def _examined(started: _Start, interface: str) -> tuple[Examined, str]:
    """Run every case of a server that can be started; return the result and the server's output."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        with started({REPORT: str(file)}, _START) as server:
            examined = probe(server.address, interface, server.output)
            before = len(server.output())
            observer = ClientObserver()
            last = _stopped(server, observer, interface, file, lifespan="L01" in examined.exercised)
            output = server.output()
    known = {broken for case in examined.cases for broken in case.broken}
    late = [broken for broken in reported(last) if broken not in known]
    examined = _with(examined, "shutdown", observer, late, output[before:])
    if interface == "asgi":
        examined = _with_lifespans(examined, started)
    return examined, output


def _stopped(
    server: _StartedServer, observer: ClientObserver, interface: str, file: Path, *, lifespan: bool
) -> dict[str, object]:
    """Stop the server while the application responds to a request, and wait for its end.

    Args:
        server: The server.
        observer: Judges the response.
        interface: Interface of the application.
        file: File that the application writes at the end of its lifespan.
        lifespan: Whether the server runs the lifespan.

    Returns:
        The application's last report; empty if it got no lifespan.shutdown.
    """
    with HttpConnection(server.address, _STOP) as connection:
        connection.send(request("GET", "/flush"))
        connection.begin(PAUSE / 2)  # a server that holds the first part back gives no sign that the request runs
        server.process.send_signal(server.stop_signal)
        response = connection.rest()
    with suppress(subprocess.TimeoutExpired):  # its context manager ends it then
        server.process.wait(_STOP)
    if response.body == b"first" and interface == "wsgi":
        observer.sees("P76", response.complete and response.framed)
    elif response.body == b"first":
        observer.response_cut(complete=response.complete and response.framed)
    last = echo_of(ProbeResponse(body=file.read_bytes())) if file.exists() else {}
    if lifespan:
        observer.sees("L13", bool(last))
    return last


def _with_lifespans(examined: Examined, started: _Start) -> Examined:
    """Add the cases of an application without lifespan, and of one that fails to start."""
    observer = ClientObserver()
    try:
        with started({LIFESPAN: "raise"}, _NOT_SERVING) as server:
            output = server.output()
            observer.lifespan_unsupported(serves=True)
    except StartError as error:
        output = str(error)
        observer.lifespan_unsupported(serves=False)
    examined = _with(examined, "lifespan-unsupported", observer, [], output)
    late: list[Broken] = []
    with suppress(StartError), started({LIFESPAN: "fail"}, _NOT_SERVING) as server:
        # It serves, so its validator has seen a request after startup.failed, if the server runs the lifespan at all.
        report = echo_of(fetch(server.address, request("GET", "/report"), _START))
        late = [broken for broken in reported(report) if broken.rule == "L07"]
        output = server.output()
    return _with(examined, "startup-failed", ClientObserver(), late, output)


def _with(examined: Examined, id: str, observer: ClientObserver, late: list[Broken], output: str) -> Examined:
    """Add a case."""
    broken = [Broken(v.rule, v.found, v.severity) for v in (*observer.violations, *observer.warnings)] + late
    case = CaseFindings(id, tuple(broken), output if broken else "")
    return replace(examined, cases=(*examined.cases, case), exercised=examined.exercised | observer.exercised)


def _checked(examination: tuple[Examined, str]) -> CheckedServer:
    examined, output = examination

    def findings(case: CaseFindings) -> tuple[Finding, ...]:
        # A rule may bind both sides; a finding of a probe is the server's.
        return tuple(
            replace(
                Finding.of(RULES[b.rule].violation(blame("server", b.found)), error=b.severity == "error"),
                case=case.id,
                output=_end(case.output),
            )
            for b in case.broken
        )

    cases = tuple(CheckedCase(case.id, findings(case)) for case in examined.cases)
    return CheckedServer(cases, examined.exercised, examined.offered, _end(output))


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


def _address(bind: Bind) -> Address:
    return bind.path if bind.path is not None else (bind.host, bind.port)


@contextmanager
def _running(command: str, interface: str, environment: Mapping[str, str], seconds: float) -> Generator[_StartedServer]:
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
            _await_response(process, port, command, log, seconds)
            yield _StartedServer(("127.0.0.1", port), lambda: _read(log), process)
        finally:
            _end_of(process)


def _await_response(process: subprocess.Popen[bytes], port: int, command: str, log: IO[bytes], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise StartError(f"{command!r} ended with status {process.returncode}:\n{_end(_read(log))}")
        with suppress(OSError):
            if fetch(("127.0.0.1", port), request("GET", "/interface"), 5.0).status == 200:
                return
        time.sleep(0.05)  # a server gives no other sign that it listens
    raise StartError(f"{command!r} did not respond on port {port} in {seconds:g} seconds:\n{_end(_read(log))}")


def _end_of(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP)
    with suppress(ProcessLookupError):  # the workers, too, if the server left them
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(log: IO[bytes]) -> str:
    size = os.fstat(log.fileno()).st_size
    # The server shares the position of the file, so this must not move it.
    return os.pread(log.fileno(), size, 0).decode("utf-8", "replace") if size else ""


def _free_port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        port: int = probing.getsockname()[1]
        return port
