"""An address to listen on: a host and port, a unix socket, or a socket that was opened before the server starts.

Every server spells these three differently on its command line. `Bind` is the one form that this package uses.
"""

from __future__ import annotations

import errno
import socket
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.errors import ConfigurationError

__all__ = ["Bind"]


@dataclass(frozen=True)
class Bind:
    """An address to listen on: ``path``, or ``host`` and ``port``. ``fd`` is an open socket for it.

    Attributes:
        host: Host name or address, without brackets.
        port: TCP port; 0 means a free port that the system chooses.
        path: Path of a unix socket; host and port are then not used.
        fd: Descriptor of a listening socket that the server process inherits.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    path: str | None = None
    fd: int | None = None

    @classmethod
    def parse(cls, text: str) -> Bind:
        """Read ``host:port``, ``:port``, ``port``, ``[v6]:port``, ``unix:/path`` or ``fd://number``.

        Raises:
            ConfigurationError: The text has none of these forms.

        >>> Bind.parse("[::1]:80")
        Bind(host='::1', port=80, path=None, fd=None)
        """
        if text.startswith("unix:") and len(text) > len("unix:"):
            return cls(path=text.removeprefix("unix:"))
        if text.startswith("fd://") and text.removeprefix("fd://").isdecimal():
            return cls(fd=int(text.removeprefix("fd://")))
        host, colon, port = text.rpartition(":")
        if text and not colon and not text.isdecimal():
            host, port = text, "8000"
        bare = host.removeprefix("[").removesuffix("]")
        if not port.isdecimal() or int(port) > 65535 or (":" in host and bare == host) or "/" in host:
            raise ConfigurationError(
                f"an address must be host:port, [IPv6]:port, unix:/path or fd://number, got {text!r}; "
                "for example 127.0.0.1:8000"
            )
        return cls(host=bare or ("127.0.0.1" if not colon else "0.0.0.0"), port=int(port))

    @property
    def netloc(self) -> str:
        """``host:port`` as in a URL and in most command lines, with IPv6 addresses in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        if self.fd is not None:
            return f"fd://{self.fd}"
        return f"unix:{self.path}" if self.path is not None else self.netloc

    def connect(self, timeout: float) -> socket.socket:
        """Open a client connection to the server that listens here.

        Args:
            timeout: Seconds for the connection, and for each read and write afterwards.
        """
        if self.path is not None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(timeout)
                connection.connect(self.path)
            except BaseException:
                connection.close()
                raise
            return connection
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return socket.create_connection((host, self.port), timeout=timeout)

    def listen(self, backlog: int = 128) -> socket.socket:
        """Open the listening socket; with ``port=0`` on a free port.

        Raises:
            OSError: The system cannot open the socket.
        """
        if self.fd is not None:
            return socket.socket(fileno=self.fd)
        if self.path is not None:
            _remove_stale(self.path)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                listener.bind(self.path)
                listener.listen(backlog)
            except BaseException:
                listener.close()
                raise
            return listener
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.create_server((self.host, self.port), family=family, backlog=backlog)
        # On Linux each connection inherits this option. A server that inherits the socket may treat it as a unix
        # socket and not set the option, as uvicorn does with --fd. A response in two writes then waits 40 ms for the
        # client's delayed ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener

    def at(self, listener: socket.socket) -> Bind:
        """Return the same address with the port that ``listener`` really has."""
        return self if self.path is not None else replace(self, port=int(listener.getsockname()[1]))

    def unavailable(self) -> str | None:
        """Return why a server could not listen here now, and what to do; None if it could."""
        if self.fd is not None:
            try:
                with closing(socket.socket(fileno=socket.dup(self.fd))):
                    return None
            except OSError as error:
                return (
                    f"descriptor {self.fd} is not a socket ({error.strerror}); pass the descriptor of a listening "
                    "socket"
                )
        if self.path is not None:
            return _unix_unavailable(self.path)
        try:
            self.listen().close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"{self.netloc} is in use by another process; stop that process"
            # create_server() adds the address, which the message already has
            why = (error.strerror or str(error)).partition(" (while attempting to bind")[0]
            return f"cannot listen on {self.netloc} ({why}); check the host and the port"
        return None


def _unix_unavailable(path: str) -> str | None:
    if sys.platform == "win32":
        return "unix sockets need a POSIX system; write a host and a port"
    if len(path.encode()) > 100:  # sun_path holds 104 to 108 bytes
        return (
            f"the path of a unix socket may have at most 100 bytes, and this path has {len(path.encode())}; use a "
            "shorter path"
        )
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist; create it"
    if not Path(path).exists():
        return None
    if not Path(path).is_socket():
        return f"{path} exists and is not a socket; remove it or choose another path"
    try:
        Bind(path=path).connect(1.0).close()
    except OSError:
        return None  # a stale socket without a listener, which every server replaces
    return f"{path} is in use by another process; end that process"


def _remove_stale(path: str) -> None:
    if Path(path).is_socket() and _unix_unavailable(path) is None:
        Path(path).unlink()
