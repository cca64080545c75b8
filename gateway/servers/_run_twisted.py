"""Run Twisted's web server: ``python -m gateway.servers._run_twisted module:app --bind 127.0.0.1:8000``.

On SIGTERM and SIGINT the server stops accepting connections, and requests in flight have ``--graceful-timeout``
seconds to end. Twisted
itself would cut them. A request on a unix socket gets the addresses of a TCP connection, because ``WSGIResource`` reads
a host and a port from them.
"""

from __future__ import annotations

import signal
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.python.threadpool import ThreadPool
from twisted.web import server as _server
from twisted.web import wsgi as _wsgi

from gateway.servers._runner import Options, run, terminated

__all__: list[str] = []

_THREADS = 20
_LOOK_SECONDS = 0.05
reactor: Any = _reactor  # a module that Twisted replaces by the reactor object when it is imported
# These have no types.
server: Any = _server
wsgi: Any = _wsgi


class _Request(server.Request):  # type: ignore[misc]  # its base has no types
    """Twisted's request, counted while it is in flight."""

    in_flight = 0

    def process(self) -> None:
        """Serve the request."""
        _Request.in_flight += 1
        self.notifyFinish().addBoth(_ended)
        _inherited(super()).process()

    def getHost(self) -> Any:
        """Return the server's address."""
        return _with_a_port(_inherited(super()).getHost(), "localhost", 80)

    def getClientAddress(self) -> Any:
        """Return the client's address; a client on a unix socket has none."""
        return _with_a_port(_inherited(super()).getClientAddress(), "", 0)


def _inherited(base: Any) -> Any:
    """Return the base without a type, because Twisted has none for it."""
    return base


def _with_a_port(address: object, host: str, port: int) -> object:
    return address if isinstance(address, (IPv4Address, IPv6Address)) else IPv4Address("TCP", host, port)


def _ended(_: object) -> None:
    _Request.in_flight -= 1


def _serve(options: Options) -> None:
    application = terminated(options.application())
    threads = ThreadPool(0, options.threads or _THREADS)
    site = server.Site(wsgi.WSGIResource(reactor, threads, application))
    site.requestFactory = _Request
    with options.bind.listen() as listener:
        listener.setblocking(False)
        port: Any = reactor.adoptStreamPort(listener.fileno(), listener.family, site)  # its own copy of the descriptor

    def look(deadline: float) -> None:
        if _Request.in_flight and reactor.seconds() < deadline:
            reactor.callLater(_LOOK_SECONDS, look, deadline)
        else:
            reactor.stop()

    def stop() -> None:
        port.stopListening()
        look(reactor.seconds() + options.drain_seconds)

    def stop_once(signum: int, frame: object) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        reactor.callFromThread(stop)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop_once)
    threads.start()
    reactor.addSystemEventTrigger("after", "shutdown", threads.stop)
    reactor.run(installSignalHandlers=False)


if __name__ == "__main__":
    run("_run_twisted", _serve)
