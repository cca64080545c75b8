"""Serve an application that only a fixture makes: a copy of the test's process runs the server.

A server's command imports its application by name, and an object that a function made has no name. `fork` makes a copy
of this process, in which the object exists, and runs the server's Python command there. The command imports
``gateway.testing._served_app``, which already holds the object.

The copy has the state of the moment of the fork: a database in memory, patched attributes, settings. Later changes in
the test do not reach it, nor do its changes reach the test. Connections that are open at the fork are shared by both
processes, so an application must open its own. Threads are not copied; so that no event loop and no context of the
test is, the copy is made in a new thread.

Not every server can do this: one that starts its workers as new programs imports the application again. `SERVERS` has
those that were tried (tests/gateway/testing/test_forked.py).

Sources: POSIX fork(); Python "os.fork".
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import IO, cast

from gateway.servers import Launch, Running, Server
from gateway.servers._running import _await_answer, _kill, _read
from gateway.servers._server import Command
from gateway.testing.tiers import Unsupported

__all__ = ["SERVERS", "fork"]

#: Servers whose processes are copies of the process that was started.
SERVERS = (
    "uvicorn",
    "uvicorn-h11",
    "gunicorn-gthread",
    "gunicorn-sync",
    "gunicorn-asgi",
    "gunicorn-uvicorn",
    "h2corn",
    "daphne",
    "waitress",
    "cheroot",
    "twisted",
    "tornado",
    "werkzeug",
    "wsgiref",
)
_TICK = 0.01


class _Copy:
    """A copy of this process, with the methods of `subprocess.Popen` that `Running` uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while the process runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end.

        Raises:
            subprocess.TimeoutExpired: The process did not end within ``timeout`` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(["fork"], timeout or 0)
            time.sleep(_TICK)
        return status

    def send_signal(self, signum: int) -> None:
        """Send a signal, if the process runs."""
        if self.poll() is None:
            os.kill(self.pid, signum)


def fork(
    server: Server, launch: Launch, prepare: Callable[[], object], *, ready: str, timeout: float = 30.0
) -> Running:
    """Start a server in a copy of this process, and return when it responds.

    Args:
        server: Server to start.
        launch: How to start it, with port 0; its target is importable after ``prepare``.
        prepare: Function that the copy calls before it runs the server.
        ready: Path of the first request.
        timeout: Seconds until the first response.

    Raises:
        Unsupported: This server, or this system, cannot be used like this.
        StartError: The server did not start.
    """
    if server.name not in SERVERS or not hasattr(os, "fork"):
        raise Unsupported(
            f"{server.name} imports its application in a new program, so it cannot serve an object that a function or "
            f"a fixture made. Make it a global of its module, or use one of these servers: {', '.join(SERVERS)}"
        )
    if reason := server.missing():
        raise Unsupported(reason)
    with launch.bind.listen() as listener:
        launch = replace(launch, bind=launch.bind.at(listener), isolated=True)
        if server.capabilities.inherited_socket:
            launch = replace(launch, bind=replace(launch.bind, fd=listener.fileno()))
            listener.set_inheritable(True)  # a server may start its workers as programs
        else:
            listener.close()
        command = server.command(launch)
        log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by stop(), or below
        process = cast("subprocess.Popen[bytes]", _copied(command, log, prepare))  # the methods that Running uses
    bind = replace(launch.bind, fd=None)
    try:
        _await_answer(process, bind, ready, timeout)
    except BaseException as error:
        _kill(process)
        process.wait()
        error.add_note(f"{server.name} in a copy of this process: {command}\n{_read(log)}".rstrip())
        log.close()
        raise
    return Running(server, command, bind, process, log)


def _copied(command: Command, log: IO[bytes], prepare: Callable[[], object]) -> _Copy:
    copies: list[_Copy] = []

    def in_a_thread() -> None:
        with warnings.catch_warnings():
            # Python 3.12 warns of threads, whose locks may be held in the copy. Ours are not used there.
            warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _serve(command, log, prepare)
        copies.append(_Copy(pid))

    thread = threading.Thread(target=in_a_thread, name="gateway-fork")
    thread.start()
    thread.join()
    return copies[0]


def _serve(command: Command, log: IO[bytes], prepare: Callable[[], object]) -> None:
    """Run a command ``python -m MODULE ...`` in this process, and end it."""
    status = 1
    try:
        os.setsid()  # a group of its own, as Running expects
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123  # a device
            os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115  # a descriptor
        sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115  # a descriptor
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.environ.update(command.environment)
        _, flag, module, *arguments = map(str, command.argv)
        assert flag == "-m", command  # each server of SERVERS has such a command
        prepare()
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except KeyboardInterrupt:
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # the handlers at exit are the test's
