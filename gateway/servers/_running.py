"""Start a server as a child process, wait until it responds, and end it by its own process id.

Tests, the demo and comparisons use it. ``gateway run`` does not, because there the server replaces our process.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from gateway.errors import ConfigurationError, GatewayError
from gateway.servers._bind import Bind
from gateway.servers._server import Command, Launch, Server

__all__ = ["Running", "StartError", "start"]

_ATTEMPTS = 5
_IN_USE = ("address already in use", "address in use", "errno 98", "errno 48", "winerror 10048")


class StartError(GatewayError):
    """A server ended before its first response, or did not respond in time; the message holds its output."""


@dataclass
class Running:
    """A server process that has responded to a request. As a context manager, it stops the server on exit.

    Attributes:
        server: Description of the server.
        command: Command that started it.
        bind: Address that it listens on, with the real port.
        process: The process that `start` created. Workers are its children, in a process group of their own.
    """

    server: Server
    command: Command
    bind: Bind
    process: subprocess.Popen[bytes]
    _log: IO[bytes]

    @property
    def pid(self) -> int:
        """Process id of the server, or of its supervisor."""
        return self.process.pid

    def output(self) -> str:
        """Return all that the server has written to its standard output and error so far."""
        return _read(self._log)

    def stop(self, signum: signal.Signals | None = None, *, timeout: float = 10.0) -> int:
        """Send the stop signal and wait for the end; after ``timeout`` seconds kill the process group.

        Args:
            signum: Signal to send; None sends the server's own graceful signal.
            timeout: Seconds that requests in flight may take.

        Returns:
            The exit status, negative for a signal.
        """
        if self.process.poll() is None:
            self.process.send_signal(self._deliverable(self.server.stop_signal if signum is None else signum))
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                _kill(self.process)
        status = self.process.wait()
        if sys.platform != "win32":
            _kill(self.process)  # workers that the server has left behind; they have its process group
        self._log.close()
        return status

    @staticmethod
    def _deliverable(signum: signal.Signals) -> signal.Signals:
        # A child of a process that ignores SIGINT (a shell's background job) ignores it too.
        ignored = signum is signal.SIGINT and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        return signal.SIGTERM if ignored or sys.platform == "win32" else signum

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def start(server: Server, launch: Launch, *, ready: str = "/", timeout: float = 30.0) -> Running:
    """Start ``server`` and return when it has responded to ``GET ready`` with any HTTP status.

    With port 0, the server inherits a socket that is already bound, if it can. Otherwise this function looks up a free
    port, and tries again if another process takes the port first.

    Args:
        server: Server to start.
        launch: Application and address. Python imports from ``app_dir``, whatever the server's current folder is.
        ready: Path of the first request.
        timeout: Seconds until the first response.

    Raises:
        ConfigurationError: The server is not installed, or does not support an option of ``launch``.
        StartError: The server did not start.
    """
    if reason := server.missing():
        raise ConfigurationError(reason)
    launch = replace(launch, app_dir=str(Path(launch.app_dir or Path.cwd()).absolute()), isolated=True)
    ephemeral = launch.bind.path is None and launch.bind.fd is None and launch.bind.port == 0
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _start(server, launch, ephemeral=ephemeral, ready=ready, timeout=timeout)
        except StartError as error:
            taken = any(phrase in str(error).lower() for phrase in _IN_USE)
            if not ephemeral or not taken or attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def _start(server: Server, launch: Launch, *, ephemeral: bool, ready: str, timeout: float) -> Running:
    with ExitStack() as ours:
        inherited: tuple[int, ...] = ()
        if ephemeral:
            listener = ours.enter_context(launch.bind.listen())
            launch = replace(launch, bind=launch.bind.at(listener))
            if server.capabilities.inherited_socket and sys.platform != "win32":
                inherited = (listener.fileno(),)
                launch = replace(launch, bind=replace(launch.bind, fd=listener.fileno()))
            else:
                listener.close()
        command = server.command(launch)
        log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by stop(), or below
        try:
            process = subprocess.Popen(
                command.argv,
                env={**os.environ, **command.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=inherited,
                start_new_session=sys.platform != "win32",
            )
        except BaseException:
            log.close()
            raise
    # The `with` closes our copy of the listener: when the server dies, the system refuses connections at once.
    bind = replace(launch.bind, fd=None)
    try:
        _await_answer(process, bind, ready, timeout)
    except BaseException as error:
        _kill(process)
        process.wait()
        said = _read(log)
        log.close()
        if isinstance(error, StartError):
            raise StartError(f"{server.name} {error}: {command}\n{said}".rstrip()) from None
        raise
    return Running(server, command, bind, process, log)


def _await_answer(process: subprocess.Popen[bytes], bind: Bind, path: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StartError(f"ended with status {process.returncode} before it answered")
        try:
            with bind.connect(0.2) as connection:
                connection.sendall(request)
                if _answered(connection, process, deadline):
                    return
        except OSError:  # no server listens yet, or the server ended
            time.sleep(0.02)
    raise StartError(f"did not answer within {timeout:g} seconds")


def _answered(connection: socket.socket, process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Wait on one connection: the system accepts it before the server has started, if the socket is inherited."""
    received = b""
    while time.monotonic() < deadline and process.poll() is None:
        try:
            chunk = connection.recv(4096)
        except TimeoutError:
            continue
        received += chunk
        if received.startswith(b"HTTP/1."):
            while chunk:  # read to the end, so that the server does not log a broken connection
                chunk = connection.recv(65536)
            return True
        if not chunk:
            return False
    return False


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and the workers that it has started."""
    if sys.platform == "win32":
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)  # the group is its own: start_new_session
    except ProcessLookupError:
        return


def _read(log: IO[bytes]) -> str:
    if log.closed:
        return ""
    log.flush()
    size = os.fstat(log.fileno()).st_size
    return os.pread(log.fileno(), size, 0).decode("utf-8", "replace") if size else ""
