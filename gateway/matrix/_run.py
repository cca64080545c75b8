"""Run an application under servers, send the requests, and compare each response with the application's own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from typing import cast
from wsgiref.types import WSGIApplication

from gateway._load import Target, load
from gateway.errors import ConfigurationError
from gateway.matrix._compare import Difference, Quirk, applies, compare, explain, varying
from gateway.matrix._proxies import Proxy, ProxyError
from gateway.matrix._quirks import QUIRKS
from gateway.matrix._reference import Answer, call_asgi_started, call_wsgi
from gateway.matrix._requests import BUILTIN, MatrixRequest
from gateway.matrix._site import VARIABLE, probed
from gateway.matrix._wire import ask
from gateway.protocols import ASGIApplication, Interface
from gateway.servers import Bind, Launch, Server, StartError, start

__all__ = ["Configuration", "Matrix", "Reference", "Stale", "reference", "run", "stale"]

#: Seconds for one response.
_SECONDS = 6.0
_TARGET = "gateway.matrix._site:application"


@dataclass(frozen=True)
class Reference:
    """The application's own responses.

    Attributes:
        target: Import string of the application.
        interface: Interface in which it was called.
        requests: The requests.
        answers: Its response to each request.
        ignored: For each request, the points that differ between two calls of the application itself.
    """

    target: str
    interface: Interface
    requests: Sequence[MatrixRequest]
    answers: Sequence[Answer]
    ignored: Sequence[frozenset[str]]


@dataclass
class Configuration:
    """One server, perhaps with a proxy in front, and what it did to the requests.

    Attributes:
        server: Name of the server.
        version: Its version.
        interface: Interface in which it calls the application.
        proxy: Name of the proxy in front, or empty.
        proxy_version: Version of the proxy.
        requests: Number of requests that had a response or a difference.
        differences: The differences, each with the quirk that explains it.
        failure: Why the server or the proxy did not start; empty if it did.
        seconds: Time that it took.
    """

    server: str
    version: str
    interface: Interface
    proxy: str = ""
    proxy_version: str = ""
    requests: int = 0
    differences: list[Difference] = field(default_factory=list[Difference])
    failure: str = ""
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """Name of the configuration: the proxy, if there is one, and the server."""
        return f"{self.proxy} > {self.server}" if self.proxy else self.server

    @property
    def unknown(self) -> list[Difference]:
        """The differences that no quirk explains."""
        return [each for each in self.differences if each.quirk is None]

    @property
    def where(self) -> Mapping[str, str]:
        """Names of the server and the proxy, with their versions."""
        return {self.server: self.version, **({self.proxy: self.proxy_version} if self.proxy else {})}


@dataclass(frozen=True)
class Stale:
    """A known quirk that a server or a proxy did not show, although it was asked."""

    name: str
    request: str
    quirk: Quirk


@dataclass(frozen=True)
class Matrix:
    """The result: an application under every configuration.

    Attributes:
        reference: The application's own responses.
        configurations: The configurations.
        stale: Quirks that did not show.
        seconds: Time that all took.
    """

    reference: Reference
    configurations: Sequence[Configuration]
    stale: Sequence[Stale]
    seconds: float

    @property
    def unknown(self) -> int:
        """Number of differences that no quirk explains; a configuration that did not start counts as one."""
        return sum(len(each.unknown) + bool(each.failure) for each in self.configurations)


def reference(target: Target, requests: Sequence[MatrixRequest] = BUILTIN) -> Reference:
    """Import an application and call it directly for each request, twice.

    Raises:
        ConfigurationError: The import fails, or the application's startup.
    """
    app, interface = probed(load(target)[1])
    kept = [request for request in requests if request.only in ("", interface)]
    if interface == "wsgi":
        wsgi = cast("WSGIApplication", app)
        first, second = ([call_wsgi(wsgi, request) for request in kept] for _ in range(2))
    else:
        asgi = cast("ASGIApplication", app)
        try:
            both = call_asgi_started(asgi, [*kept, *kept])
        except RuntimeError as error:
            raise ConfigurationError(f"{target}: {error}") from error
        first, second = both[: len(kept)], both[len(kept) :]
    ignored = [varying(*pair) for pair in zip(first, second, kept, strict=True)]
    return Reference(str(target), interface, kept, first, ignored)


def run(
    own: Reference,
    servers: Sequence[Server],
    *,
    folder: Path,
    proxies: Sequence[Proxy] = (),
    jobs: int = 2,
    quirks: Sequence[Quirk] = QUIRKS,
) -> Iterator[Configuration]:
    """Run every server, several at once, and yield each configuration as soon as it is complete.

    Args:
        own: The application's own responses.
        servers: The servers, all installed.
        folder: Folder to import the application from.
        proxies: Proxies to put in front of each server, one after the other.
        jobs: Number of configurations that run at once.
        quirks: The known quirks.
    """
    versions = {proxy.name: proxy.version() for proxy in proxies}
    with ThreadPoolExecutor(jobs) as pool:
        able = [each for each in servers if own.interface == "wsgi" or each.capabilities.serves_asgi]
        running = [
            pool.submit(_examine, own, server, folder, proxy, versions[proxy.name] if proxy else "", quirks)
            for server in able
            for proxy in (None, *proxies)
        ]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _examine(
    own: Reference, server: Server, folder: Path, proxy: Proxy | None, proxy_version: str, quirks: Sequence[Quirk]
) -> Configuration:
    """Run one configuration, in a server process of its own: a server may not survive a request."""
    name = proxy.name if proxy else ""
    found = Configuration(server.name, server.version(), server.interface, name, proxy_version)
    launch = Launch(
        target=_TARGET,
        bind=Bind(port=0),
        app_dir=str(folder),
        hooks=True,
        environment={VARIABLE: own.target},
        isolated=True,
    )
    begun = time.monotonic()
    try:
        with start(server, launch) as running, proxy.running(running.bind) if proxy else nullcontext() as front:
            _send_all(own, found, front or running.bind, quirks)
    except (StartError, ConfigurationError, ProxyError) as error:
        found.failure = str(error)
    found.seconds = time.monotonic() - begun
    return found


def _send_all(own: Reference, into: Configuration, bind: Bind, quirks: Sequence[Quirk]) -> None:
    for request, expected, ignored in zip(own.requests, own.answers, own.ignored, strict=True):
        if into.proxy and not request.proxied:
            continue
        try:
            answer = ask(bind, request, timeout=_SECONDS)
        except (OSError, HTTPException) as error:
            said = "incomplete" if isinstance(error, IncompleteRead) else "none"
            differences = [Difference(request.name, "response", "complete", said)]
        else:
            differences = list(compare(expected, answer, request, ignored))
        into.requests += 1
        into.differences += [explain(each, quirks, into.where, own.interface) for each in differences]


def stale(own: Reference, configurations: Sequence[Configuration], quirks: Sequence[Quirk] = QUIRKS) -> list[Stale]:
    """Return the quirks of the servers and proxies that were run, which none of their configurations has shown."""
    asked = {request.name for request in own.requests}
    shown = {
        (name, each.request, id(each.quirk))
        for configuration in configurations
        for each in configuration.differences
        for name in configuration.where
        if each.quirk is not None
    }
    ran = [each for each in configurations if not each.failure]
    found: dict[tuple[str, str, int], Stale] = {}
    for quirk in (each for each in quirks if each.when != "sometimes"):
        for request in (name for name in quirk.requests if name in asked):
            for configuration in ran:
                for name, version in configuration.where.items():
                    # A proxy in front may hide a server's quirk, so a server is judged alone.
                    judged = bool(configuration.proxy) == (quirk.when == "proxied" or name == configuration.proxy)
                    key = (name, request, id(quirk))
                    if judged and key not in shown and applies(quirk, {name: version}, own.interface):
                        found[key] = Stale(name, request, quirk)
    return list(found.values())
