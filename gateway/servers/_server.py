"""`Server`, the description of a server: one immutable object of the same form for all servers.

A description builds a command line and holds facts that were measured under the real server. It imports nothing from
that server, so a question about a server that is not installed costs nothing.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from gateway.errors import ConfigurationError
from gateway.protocols import Interface
from gateway.servers._bind import Bind

__all__ = ["Capabilities", "Command", "Launch", "Server"]

_NOTHING: Mapping[str, str] = MappingProxyType({})

#: Fields of `Launch` that a server takes only if its ``options`` name them, and the phrase for a refusal.
_VALUED: Mapping[str, str] = {
    "keep_alive": "set how long idle connections stay open",
    "graceful_timeout": "set how long requests may take after the stop signal",
    "certfile": "speak TLS with --certfile",
    "keyfile": "speak TLS with --keyfile",
}


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """Capabilities of a server, as measured over a real connection.

    Attributes:
        unix_socket: It listens on a unix socket.
        inherited_socket: It serves on a listening socket that was opened before it started.
        workers: It starts several processes.
        threads: It takes a number of threads.
        reload: It restarts when a source file changes.
        websocket: WebSocket connections reach the application.
        hands_over_socket: A WSGI application can take over the connection of a request, so that ``websockets=True``
            serves WebSockets.
        serves_asgi: An ASGI application or middleware runs under it, through an adapter if necessary.
        lifespan: The server itself notifies the application of startup and shutdown.
        streaming: The server sends a chunk of a response as soon as the application hands it over.
        chunked_upload: A request body in chunks is ``decoded``, ``refused`` with an error status, or ``lost``: the
            application sees an empty body.
        header_order: The server sends response headers in the application's order (``kept``), sorted by name
            (``sorted``), or with equal names moved together (``grouped``).
        latin_headers: The server sends a header value beyond ASCII as the latin-1 bytes of its text; else as UTF-8.
        keep_alive: A connection carries several requests.
        raw_path: The application can read the request path as the client sent it.
        drains: After the stop signal, requests in flight can end.
        expect_continue: It sends 100 to a client that waits for it before it sends the body.
        http2: With ``certfile`` and ``keyfile``, it serves HTTP/2 to clients that ask for it by ALPN.
        http3: With ``certfile`` and ``keyfile``, it serves HTTP/3 too, at the UDP port of the same number. Hypercorn
            and anycorn need the package aioquic for it.
        pathsend: It sends a file by its path (ASGI ``http.response.pathsend``).
        trailers: It sends trailers over some version of HTTP that it serves (ASGI ``http.response.trailers``).
        early_hints: It sends 103 Early Hints over some version of HTTP that it serves (ASGI
            ``http.response.early_hint``, WSGI ``wsgi.early_hints``).
    """

    unix_socket: bool = True
    inherited_socket: bool = False
    workers: bool = False
    threads: bool = False
    reload: bool = False
    websocket: bool = False
    hands_over_socket: bool = False
    serves_asgi: bool = True
    lifespan: bool = False
    streaming: bool = True
    chunked_upload: Literal["decoded", "refused", "lost"] = "decoded"
    header_order: Literal["kept", "sorted", "grouped"] = "kept"
    latin_headers: bool = True
    keep_alive: bool = True
    raw_path: bool = True
    drains: bool = True
    expect_continue: bool = True
    http2: bool = False
    http3: bool = False
    pathsend: bool = False
    trailers: bool = False
    early_hints: bool = False


@dataclass(frozen=True, kw_only=True)
class Launch:
    """The application to serve, and how. A server refuses unsupported options before it starts.

    Attributes:
        target: Import string of the application, ``module:name``.
        bind: Address to listen on.
        workers: Number of processes; None leaves the server's default.
        threads: Number of threads in each process; None leaves the server's default.
        reload: Restart when a source file changes.
        app_dir: Folder to import from; None means the current folder.
        arguments: Further arguments, passed unchanged to the server's own command.
        hooks: Hooks of this package start and stop the application with each worker, if the server has hooks and
            does not do so by itself.
        believes_proxies: The server may read, replace or remove X-Forwarded-* by its own default. False if the
            application reads these headers: the server then leaves them unchanged.
        environment: Variables to set for the server process.
        keep_alive: Seconds that an idle connection stays open; None leaves the server's default.
        graceful_timeout: Seconds that requests in flight have to end after the stop signal; None leaves the server's
            default.
        certfile: File with the certificate and its chain, in PEM format; the server then speaks TLS.
        keyfile: File with the certificate's private key, in PEM format.
        access_log: False switches the server's own access log off, because the application writes one.
        isolated: Keep the server from writing outside its own process (control sockets in the home folder).
    """

    target: str
    bind: Bind = field(default_factory=Bind)
    workers: int | None = None
    threads: int | None = None
    reload: bool = False
    app_dir: str | None = None
    arguments: tuple[str, ...] = ()
    hooks: bool = False
    believes_proxies: bool = True
    environment: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    keep_alive: int | None = None
    graceful_timeout: int | None = None
    certfile: str | None = None
    keyfile: str | None = None
    access_log: bool = True
    isolated: bool = False


@dataclass(frozen=True)
class Command:
    """A server's own command: its arguments, and the variables to add to the caller's environment.

    ``str()`` gives the line for a shell.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    def __str__(self) -> str:
        assignments = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*assignments, shlex.join(self.argv)])


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server with one kind of worker, as this package knows it.

    Attributes:
        name: Unique name, for example ``gunicorn-gthread``.
        family: Name of the server without the kind of worker, for example ``gunicorn``.
        interface: Interface in which it calls an application.
        module: Module that exists if the server is installed; empty if ``program`` decides it.
        requirement: Requirement for pip; empty for the standard library.
        arguments: Function that builds the command's arguments after the interpreter: ``-m``, module, options, target.
            If the server has a ``program``, they follow the program.
        capabilities: Capabilities of the server.
        options: The server's own option for a field of `Launch`: ``keep_alive``, ``graceful_timeout``, ``certfile``,
            ``keyfile``. The value follows it. ``no_access_log`` names the option, with its value, that switches the
            access log off; a server that writes none does not need it.
        stop_signal: Signal that stops it, and drains requests in flight if the server drains.
        dotted: Its import strings may name an attribute of an attribute: ``module:a.b``.
        requires: Further modules that this kind of worker imports.
        posix: It runs on POSIX systems only.
        program: Console script that runs instead of the interpreter, for a server that Python cannot run by module. It
            is looked up beside the interpreter first, and then on ``PATH``.
        quirks: Facts that its users meet, one sentence each.
        unusable: Function that returns why an installed server cannot run for this user on this machine, or None.
    """

    name: str
    family: str
    interface: Interface
    requirement: str
    arguments: Callable[[Launch], Iterable[str]]
    capabilities: Capabilities
    module: str = ""
    options: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    stop_signal: signal.Signals = signal.SIGTERM
    dotted: bool = True
    requires: tuple[str, ...] = ()
    posix: bool = False
    program: str = ""
    quirks: tuple[str, ...] = ()
    unusable: Callable[[], str | None] | None = None

    def missing(self) -> str | None:
        """Return what is missing to start this server here, or None if it can start."""
        if self.posix and sys.platform == "win32":
            return f"{self.name} runs on POSIX systems only"
        if self.program and (_program(self.program) is None or not _distributed(self._distribution())):
            return f'{self.name} needs the program {self.program!r}; run: pip install "{self.requirement}"'
        for module in filter(None, (self.module, *self.requires)):
            if not _found(module):
                return f'{self.name} needs the package {module!r}; run: pip install "{self.requirement}"'
        return self.unusable() if self.unusable is not None else None

    def installed(self) -> bool:
        """Whether this server can start on this machine."""
        return self.missing() is None

    def version(self) -> str:
        """Return the installed version; for a server of the standard library, Python's version."""
        if not self.requirement:
            return ".".join(map(str, sys.version_info[:3]))
        return metadata.version(self._distribution())

    def _distribution(self) -> str:
        return re.split(r"[^\w.-]", self.requirement, maxsplit=1)[0]

    def refusals(self, launch: Launch) -> list[str]:
        """Name each option of ``launch`` that this server does not support, as one phrase each."""
        can = self.capabilities
        wants = [
            (launch.bind.path is not None and not can.unix_socket, "listen on a unix socket"),
            (launch.bind.fd is not None and not can.inherited_socket, "serve on an inherited socket"),
            ((launch.workers or 1) > 1 and not can.workers, "start several workers"),
            (launch.threads is not None and not can.threads, "set a number of threads"),
            (launch.reload and not can.reload, "reload"),
            *((getattr(launch, name) is not None and name not in self.options, what) for name, what in _VALUED.items()),
        ]
        return [phrase for refused, phrase in wants if refused]

    def command(self, launch: Launch) -> Command:
        """Build the server's own command.

        Raises:
            ConfigurationError: The launch has an option that this server does not support.
        """
        if refused := self.refusals(launch):
            raise ConfigurationError(
                f"{self.name} cannot {' or '.join(refused)}; remove that option, or choose another server with --server"
            )
        launch = replace(launch, arguments=(*self._optional(launch), *launch.arguments))  # the user's own come last
        environment = dict(launch.environment)
        if launch.app_dir is not None:
            inherited = environment.get("PYTHONPATH", os.environ.get("PYTHONPATH"))
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, (launch.app_dir, inherited)))
        runs = (_program(self.program) or self.program) if self.program else sys.executable
        return Command((runs, *self.arguments(launch)), environment)

    def _optional(self, launch: Launch) -> Iterator[str]:
        for name in _VALUED:
            if (value := getattr(launch, name)) is not None:
                yield from (*self.options[name].split(), str(value))
        if not launch.access_log:
            yield from self.options.get("no_access_log", "").split()


def _program(name: str) -> str | None:
    beside = Path(sys.executable).with_name(name)
    return str(beside) if os.access(beside, os.X_OK) else shutil.which(name)


def _distributed(name: str) -> bool:
    # Another distribution may install a program of the same name: pyuwsgi has "uwsgi", too.
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package of a dotted name
        return False
