"""Measure the capabilities of a server: start it, send requests, and return what it really does.

``gateway measure NAME`` prints the result as the ``Capabilities`` of a description, so that nobody has to write them by
hand. A description has to name the options first: the arguments for a unix socket, workers and so on are tried, and
count as capabilities if they have an effect.

The client speaks HTTP over a socket, because the facts (order and bytes of headers, chunks, 100 Continue, ALPN) are
those that HTTP libraries hide. Nothing is read from the server's documentation.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Literal, NamedTuple

from gateway.check._measure_client import PATIENCE, ask, free_port, head, opens_websocket, read
from gateway.check._measure_http3 import can_ask
from gateway.check._measure_tls import over_tls
from gateway.check._measured import HEADERS
from gateway.errors import ConfigurationError
from gateway.servers import Bind, Capabilities, Launch, Running, Server, StartError, start

__all__ = ["CapabilityDifference", "as_source", "differences", "measure"]

#: Seconds that a server has to serve a changed file: more with each change, because a busy machine restarts it slowly.
_RELOAD_SECONDS = (2.0, 4.0, 8.0, 16.0)
_ROOT = Path(__file__).resolve().parents[2]
#: Prints the process id at each import, so that workers and reloads can be counted.
_SITE = """import os
os.write(1, b"imported %d\\n" % os.getpid())
from gateway.check._measured import asgi, wsgi
"""
#: A module of its own, because the servers of gevent refuse to import it.
_ADAPTED = """from gateway import Gateway
from measured_site import asgi
app = Gateway(asgi, websockets=True)
"""
_ADAPTED_TARGET = "measured_adapted:app"


class CapabilityDifference(NamedTuple):
    """A capability that a description declares otherwise than it was measured."""

    capability: str
    declared: object
    measured: object


def measure(server: Server) -> Capabilities:
    """Start ``server`` several times and measure every capability; this takes up to a minute.

    HTTP/3 needs aioquic; without it, the result has the declared value.

    Raises:
        ConfigurationError: The server is not installed.
        StartError: The server does not start with an application of its own interface.
    """
    if reason := server.missing():
        raise ConfigurationError(reason)
    if sys.platform == "win32":
        raise ConfigurationError("gateway measure sends signals, so it needs a POSIX system")
    # Short, because a unix socket's path may have 100 bytes only.
    with tempfile.TemporaryDirectory(prefix="m-") as name:
        folder = Path(name)
        (folder / "measured_site.py").write_text(_SITE)
        (folder / "measured_adapted.py").write_text(_ADAPTED)
        return _Measurement(server, folder).result()


def differences(server: Server, measured: Capabilities) -> list[CapabilityDifference]:
    """Compare the declared capabilities with the measured ones."""
    pairs = ((each.name, getattr(server.capabilities, each.name), getattr(measured, each.name)) for each in _FIELDS)
    return [CapabilityDifference(*pair) for pair in pairs if pair[1] != pair[2]]


def as_source(capabilities: Capabilities) -> str:
    """Write capabilities as the argument of a description, without those that have the default.

    >>> as_source(Capabilities(workers=True, raw_path=False))
    'capabilities=Capabilities(workers=True, raw_path=False),'
    """
    plain = Capabilities()
    values = ((each.name, getattr(capabilities, each.name)) for each in _FIELDS)
    said = [f'{name}="{value}"' if isinstance(value, str) else f"{name}={value}" for name, value in values
            if value != getattr(plain, name)]  # fmt: skip
    return f"capabilities=Capabilities({', '.join(said)}),"


_FIELDS = fields(Capabilities)


class _Measurement:
    """The measurement of one server."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._declared = server
        self._folder = folder
        # Every option is tried, whatever the description declares.
        everything = Capabilities(inherited_socket=True, workers=True, threads=True, reload=True)
        self._server = replace(server, capabilities=everything)
        self._on_a_port = replace(server, capabilities=replace(everything, inherited_socket=False))
        self._own = "wsgi" if server.interface == "wsgi" else "asgi"
        self._launch = Launch(
            # An RSGI server gets an object with that interface.
            target=_ADAPTED_TARGET if server.interface == "rsgi" else f"measured_site:{self._own}",
            bind=Bind(port=0),
            app_dir=str(folder),
            environment={"PYTHONPATH": str(_ROOT)},
            isolated=True,
        )

    def result(self) -> Capabilities:
        """Measure everything; what needs an option runs beside the rest, because it may take long to fail."""
        options: dict[str, Callable[[], bool]] = {
            "unix_socket": self._unix_socket,
            "inherited_socket": self._inherited_socket,
            "workers": self._workers,
            "threads": self._threads,
            "reload": self._reload,
        }
        with ThreadPoolExecutor(2) as pool:
            tried = {name: pool.submit(_works, test) for name, test in options.items()}
            secure = pool.submit(over_tls, self._server, self._launch, self._folder)
            adapted = pool.submit(self._with_adapters)
            plain = self._plain()
            serves_asgi, hands_over = adapted.result()
            offers, http2, http3 = secure.result()
        offers |= plain.offers
        return replace(
            plain.capabilities,
            unix_socket=tried["unix_socket"].result(),
            inherited_socket=tried["inherited_socket"].result(),
            workers=tried["workers"].result(),
            threads=tried["threads"].result(),
            reload=tried["reload"].result(),
            serves_asgi=serves_asgi,
            hands_over_socket=hands_over,
            http2=http2,
            http3=http3 if can_ask() else self._declared.capabilities.http3,
            pathsend="http.response.pathsend" in offers,
            trailers="http.response.trailers" in offers,
            early_hints="http.response.early_hint" in offers,
        )

    @contextmanager
    def _running(self, **options: object) -> Generator[Running]:
        """Start the server with the application of its interface, on a port, unless an option says otherwise."""
        server = self._server if "bind" in options else self._on_a_port
        launch = replace(self._launch, **options)  # type: ignore[arg-type]  # the callers give fields of a launch
        with start(server, launch, timeout=PATIENCE, ready="/ready") as running:
            yield running

    def _plain(self) -> _Plain:
        with self._running() as running:
            bind = running.bind
            order, latin = _headers(bind)
            offers = set[str](json.loads(ask(bind, "/offers").body))
            capabilities = Capabilities(
                chunked_upload=_chunked_upload(bind),
                expect_continue=_expects(bind),
                header_order=order,
                latin_headers=latin,
                raw_path=ask(bind, "/raw%2Fb%20c").body == b"/raw%2Fb%20c",
                keep_alive=_keeps_alive(bind),
                streaming=self._ends(bind),
                websocket=self._own == "asgi" and opens_websocket(bind),
                lifespan="lifespan" in offers,
            )
            with bind.connect(PATIENCE) as connection:
                drained = self._drains(running, connection, capabilities.streaming)
        return _Plain(replace(capabilities, drains=drained), offers)

    def _ends(self, bind: Bind) -> bool:
        """Whether the first chunk of a response arrives before the application sends the second."""
        go = self._folder / "go-stream"
        with bind.connect(2.0) as connection:
            connection.sendall(head("GET", f"/slow?{go}"))
            seen = b""
            with suppress(TimeoutError):
                while b"begun" not in seen and (more := connection.recv(65536)):
                    seen += more
            go.touch()
            return b"begun" in seen

    def _drains(self, running: Running, connection: socket.socket, streaming: bool) -> bool:
        go = self._folder / "go-drain"
        connection.sendall(head("GET", f"/slow?{go}"))
        if not streaming:  # nothing shows that the request has reached the application
            connection.settimeout(1.0)
        seen = b""
        with suppress(TimeoutError):
            while b"begun" not in seen and (more := connection.recv(65536)):
                seen += more
        connection.settimeout(PATIENCE)
        running.process.send_signal(self._declared.stop_signal)
        with suppress(subprocess.TimeoutExpired):
            running.process.wait(0.5)  # a server that cuts requests ends at once
        go.touch()
        with suppress(OSError):
            while more := connection.recv(65536):
                seen += more
        return b"ended" in seen

    def _named(self, **options: object) -> bool:
        """Whether the description has a way to say this: else its command is the same with and without."""
        with_options = replace(self._launch, **options)  # type: ignore[arg-type]  # fields of a launch
        return self._server.command(with_options).argv != self._server.command(self._launch).argv

    def _unix_socket(self) -> bool:
        bind = Bind(path=str(self._folder / "s"))
        if str(bind.path) not in str(self._server.command(replace(self._launch, bind=bind))):
            return False
        with self._running(bind=bind) as running:
            return ask(running.bind, "/").status == 200

    def _inherited_socket(self) -> bool:
        with self._running(bind=Bind(port=0)) as running:
            return ask(running.bind, "/").status == 200

    def _workers(self) -> bool:
        if not self._named(workers=2):
            return False
        with self._running(workers=2, bind=free_port()) as running:
            # uWSGI imports in its first process, and forks.
            return _until(lambda: len(_imports(running)) >= 2 or "spawned uWSGI worker 2" in running.output())

    def _threads(self) -> bool:
        return self._named(threads=3) and self._at_once(threads=1) == 1 < self._at_once(threads=3)

    def _at_once(self, threads: int) -> int:
        with self._running(threads=threads, bind=free_port()) as running, ThreadPoolExecutor(3) as clients:
            replies = [clients.submit(ask, running.bind, "/together") for _ in range(3)]
            return max(int(each.result().body) for each in replies)

    def _reload(self) -> bool:
        if not self._named(reload=True):
            return False
        folder = self._folder / "reload"
        folder.mkdir()
        site = folder / "measured_site.py"
        site.write_text(_SITE)
        (folder / "measured_adapted.py").write_text(_ADAPTED)
        with self._running(reload=True, app_dir=str(folder), bind=free_port()) as running:
            before = running.output().count("imported ")
            # Several changes, because a server may not watch the file from its first response on.
            for number, seconds in enumerate(_RELOAD_SECONDS):
                site.write_text(f"{_SITE}# {number}\n")
                # Not more often, because a server may put a restart off while the file still changes.
                if _until(lambda: running.output().count("imported ") > before, seconds):
                    return True
            return False

    def _with_adapters(self) -> tuple[bool, bool]:
        """Whether an ASGI application runs behind an adapter, and whether it then gets WebSockets."""
        if self._own == "asgi":
            return True, False
        try:
            with self._running(target=_ADAPTED_TARGET) as running:
                return ask(running.bind, "/").body == b"ok", opens_websocket(running.bind)
        except StartError:
            return False, False


class _Plain(NamedTuple):
    capabilities: Capabilities
    offers: set[str]


def _works(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except (StartError, OSError, ValueError):
        return False


def _imports(running: Running) -> set[str]:
    return {line for line in running.output().splitlines() if line.startswith("imported ")}


def _until(holds: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


def _chunked_upload(bind: Bind) -> Literal["decoded", "refused", "lost"]:
    body = b"5\r\nhello\r\n6\r\n again\r\n0\r\n\r\n"
    reply = ask(bind, "/length", "Transfer-Encoding: chunked", method="POST", body=body)
    if reply.status >= 400:
        return "refused"
    return "decoded" if reply.body == b"11" else "lost"


def _expects(bind: Bind) -> bool:
    with bind.connect(1.0) as connection:
        connection.sendall(head("POST", "/length", "Content-Length: 5", "Expect: 100-continue"))
        try:
            interim = connection.recv(65536)
        except TimeoutError:
            interim = b""
        connection.settimeout(PATIENCE)
        with suppress(OSError):
            connection.sendall(b"hello")
            connection.recv(65536)
        return interim.startswith(b"HTTP/1.1 100")


def _headers(bind: Bind) -> tuple[Literal["kept", "sorted", "grouped"], bool]:
    ours = {name for name, _ in HEADERS}
    found = [pair for pair in ask(bind, "/headers").headers if pair[0] in ours]
    names = [name for name, _ in found]
    order: Literal["kept", "sorted", "grouped"] = "grouped"
    if names == [name for name, _ in HEADERS]:
        order = "kept"
    elif names == sorted(names):
        order = "sorted"
    return order, ("x-latin", "caf\xe9") in found


def _keeps_alive(bind: Bind) -> bool:
    with bind.connect(PATIENCE) as connection:
        try:
            for _ in range(2):
                connection.sendall(head("GET", "/length", connection="keep-alive"))
                if read(connection).status != 200:
                    return False
        except (OSError, ValueError):
            return False
        except Exception as error:  # http.client raises its own for a connection without a response
            if type(error).__module__ != "http.client":
                raise
            return False
    return True
