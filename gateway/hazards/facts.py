"""Facts of a deployment, as its files show them: each value with the place that sets it.

`gateway.check.files` reads files into these classes, and the rules of this package judge them. A rule that needs a
value that no file shows judges nothing, so None means "cannot be seen". A default of a program that a file does not
change is a fact too: its place names the file and says that the setting is missing.

Values are seconds, bytes or numbers, except where an attribute says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = [
    "Chain",
    "Fact",
    "Files",
    "Finding",
    "Front",
    "Place",
    "Pod",
    "Route",
    "Server",
    "Socket",
    "Stop",
    "joined",
    "same_address",
    "same_port",
    "value_of",
]

T = TypeVar("T")


@dataclass(frozen=True, order=True)
class Place:
    """A place in a file.

    Attributes:
        file: Path of the file, as the user wrote it.
        line: Line from 1; 0 if the file does not have the setting.
        text: The setting with its value: ``"proxy_read_timeout 30s"``.
    """

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


@dataclass(frozen=True)
class Fact(Generic[T]):
    """A value with its place.

    Attributes:
        value: The value.
        place: The place that sets it.
        written: False if the file does not have the setting, and the value is the program's default.
    """

    value: T
    place: Place
    written: bool = True


@dataclass(frozen=True)
class Finding:
    """A rule that files break.

    Attributes:
        rule: Id of the rule; the table fills it in.
        found: Sentence with the values.
        remedy: Sentence that says what to write.
        places: Places of the values that disagree.
    """

    found: str
    remedy: str
    places: tuple[Place, ...]
    rule: str = ""


def _facts() -> dict[str, Fact[float]]:
    return {}


def _texts() -> dict[str, Fact[str]]:
    return {}


@dataclass(kw_only=True)
class Server:
    """An application server, from its command, its configuration file, or both.

    Attributes:
        name: The server's family: ``"gunicorn"``.
        worker: The worker: ``"sync"``, ``"gthread"``, ``"gevent"``, ``"asgi"``, ``"uvicorn"``; of other servers
            ``"asgi"`` or ``"wsgi"``.
        place: The command, or the file.
        complete: All of its settings can be seen. Otherwise defaults are not facts.
        numbers: Numbers by name: ``keep_alive``, ``timeout``, ``graceful_timeout``, ``workers``, ``threads``,
            ``max_requests``, ``max_requests_jitter``, ``backlog``, ``limit_request_line``,
            ``limit_request_field_size``, ``worker_connections``, ``umask``, ``limit_concurrency``.
        texts: Texts by name: ``bind``, ``forwarded_allow_ips``, ``worker_tmp_dir``, ``control_socket``,
            ``access_log``, ``preload``, ``cpu_workers``, ``proxy_headers``, ``shell``, ``socket_perms``.
        hooks: The hooks of this package run in its workers.
        unit: File of the unit, the manifest or the Dockerfile that starts it; empty if none does.
        application: Import string of the application; empty if unknown.
    """

    name: str
    worker: str
    place: Place
    complete: bool = True
    numbers: dict[str, Fact[float]] = field(default_factory=_facts)
    texts: dict[str, Fact[str]] = field(default_factory=_texts)
    hooks: bool = False
    unit: str = ""
    application: str = ""

    def number(self, name: str) -> Fact[float] | None:
        """Return a number: the written one, or the server's default if all settings can be seen."""
        return self.numbers.get(name)

    def text(self, name: str) -> Fact[str] | None:
        return self.texts.get(name)

    @property
    def binds(self) -> list[str]:
        """Addresses on which it listens, as written."""
        fact = self.texts.get("bind")
        return [] if fact is None else fact.value.split(",")

    @property
    def blocks(self) -> bool:
        """Whether a slow client occupies a thread or a process."""
        return self.worker in ("sync", "gthread", "wsgi")


@dataclass(kw_only=True)
class Route:
    """Requests that a proxy passes on in one way: a location of NGINX, a backend of HAProxy, a `reverse_proxy`.

    Attributes:
        front: The proxy.
        path: Path or name, for messages.
        place: The line that passes requests on.
        hosts: Hosts of the route; empty if it has all.
        stream: The path carries streams: WebSockets or server-sent events.
        websocket: The path carries WebSockets.
        targets: Addresses that the proxy connects to: ``"unix:/run/app.sock"``, ``"127.0.0.1:8000"``.
        tls: The proxy ends TLS for the route.
        plain: The route is served without TLS too.
        unknown: Lines from a file that cannot be seen count for the route, so that a missing header proves nothing.
        headers: Request headers by lower-case name, as the proxy sets them; ``""`` removes one.
        numbers: Numbers by name: ``connect``, ``read``, ``body`` (bytes), ``idle`` (of kept connections to the
            server), ``max_conns``.
        texts: Texts by name: ``request_buffering``, ``response_buffering``, ``retries``, ``retried_posts``.
    """

    front: Front
    path: str
    place: Place
    hosts: tuple[Fact[str], ...] = ()
    stream: bool = False
    websocket: bool = False
    targets: tuple[str, ...] = ()
    tls: bool = False
    plain: bool = False
    unknown: bool = False
    headers: dict[str, Fact[str]] = field(default_factory=_texts)
    numbers: dict[str, Fact[float]] = field(default_factory=_facts)
    texts: dict[str, Fact[str]] = field(default_factory=_texts)


@dataclass(kw_only=True)
class Front:
    """A proxy with all of its files.

    Attributes:
        kind: ``"nginx"``, ``"haproxy"``, ``"caddy"`` or ``"route"`` (Kubernetes HTTPRoute and Ingress).
        place: Its main file.
        complete: Its main configuration can be seen, not only the part of a site.
        listens: Addresses on which it listens.
        routes: Its routes.
        behind: The line that shows another proxy in front of it.
        numbers: Numbers: ``header_timeout``, ``body_timeout``, ``keep_alive`` (of clients), ``shutdown``,
            ``header_bytes``, ``connections``, ``nofile``, ``backlog``.
        texts: Texts: ``user``, ``gzip``, ``gzip_types``, ``log_id``, ``redirect``, ``hsts``, ``unknown_hosts``,
            ``static``, ``trusted``, ``read_only``, ``metrics_blocked``, ``metrics_open``.
        faults: Findings that a reader of files knows by itself, by rule.
    """

    kind: str
    place: Place
    complete: bool = True
    listens: list[str] = field(default_factory=lambda: list[str]())
    routes: list[Route] = field(default_factory=lambda: list[Route]())
    behind: Place | None = None
    numbers: dict[str, Fact[float]] = field(default_factory=_facts)
    texts: dict[str, Fact[str]] = field(default_factory=_texts)
    faults: list[tuple[str, Finding]] = field(default_factory=lambda: list[tuple[str, Finding]]())


@dataclass(kw_only=True)
class Stop:
    """How a process manager stops a server.

    Attributes:
        kind: ``"systemd"``, ``"kubernetes"``, ``"compose"``, ``"docker"``, ``"heroku"`` or ``"cloud-run"``.
        unit: File of the unit.
        place: The place of the unit or the container.
        seconds: Time between the signal and the kill; with Kubernetes it includes ``pre_stop``.
        pre_stop: Sleep before the signal.
        signal: The signal: ``"SIGTERM"``.
        reload: The line that reloads by signal.
        numbers: ``nofile``.
        texts: ``runtime_directory``, ``runtime_preserve``, ``protect_system``, ``private_tmp``, ``write_paths``
            (folders, separated by blanks), ``read_only``, ``metrics_folder``, ``cleans``, ``kill_mode``,
            ``notify_type``, ``user``, ``group``.
    """

    kind: str
    unit: str
    place: Place
    seconds: Fact[float] | None = None
    pre_stop: Fact[float] | None = None
    signal: Fact[str] | None = None
    reload: Place | None = None
    numbers: dict[str, Fact[float]] = field(default_factory=_facts)
    texts: dict[str, Fact[str]] = field(default_factory=_texts)


@dataclass(kw_only=True)
class Socket:
    """A systemd socket unit: its path or port, user, group, mode (as a number) and backlog."""

    place: Place
    address: Fact[str]
    user: Fact[str] | None = None
    group: Fact[str] | None = None
    mode: Fact[float] | None = None
    backlog: Fact[float] | None = None
    removed: Place | None = None


@dataclass(kw_only=True)
class Pod:
    """Pods of a Kubernetes workload, and the objects beside it.

    Attributes:
        place: The workload.
        server: The container runs a server that could be recognised.
        numbers: ``replicas``, ``max_unavailable``, ``memory`` (bytes), ``cpu``, ``cpu_limit``, ``hpa_min``,
            ``live_seconds`` and ``ready_seconds`` (time to a failure), ``ready_timeout``, ``startup_seconds``,
            ``budget_unavailable``, ``budget_available``, ``balancer_idle``, ``balancer_response``,
            ``deregistration``.
        texts: ``strategy``, ``live_path``, ``ready_path``, ``hpa_cpu``.
    """

    place: Place
    unit: str
    numbers: dict[str, Fact[float]] = field(default_factory=_facts)
    texts: dict[str, Fact[str]] = field(default_factory=_texts)


@dataclass(kw_only=True)
class Chain:
    """The middleware of an application, from ``gateway.toml`` or from the source of the application.

    Attributes:
        place: The file.
        complete: The whole chain can be seen; otherwise a missing middleware proves nothing.
        names: Middleware by snake-case name with their places, outermost first.
        numbers: ``max_bytes``, ``drain_seconds``, ``hops``, ``hsts``, ``store_timeout``, ``django_max``.
        texts: ``hosts`` and ``trust`` (separated by blanks), ``platform``, ``live_path``, ``ready_path``,
            ``metrics_path``, ``metrics_allow``, ``drain_file``, ``request_id``, ``proxy_mode``, ``redirect``.
    """

    place: Place
    complete: bool = True
    names: dict[str, Place] = field(default_factory=lambda: dict[str, Place]())
    numbers: dict[str, Fact[float]] = field(default_factory=_facts)
    texts: dict[str, Fact[str]] = field(default_factory=_texts)


@dataclass(kw_only=True)
class Files:
    """All facts of a deployment.

    Attributes:
        servers: Application servers.
        fronts: Proxies.
        stops: Process managers.
        sockets: systemd socket units.
        pods: Pods of Kubernetes.
        chain: The application's chain; None if it cannot be seen.
        numbers: The numbers of ``[tool.gateway.deploy]``, and ``somaxconn``.
        texts: ``metrics`` (evidence that the application has metrics), ``container``.
        faults: Findings that a reader of files knows by itself, by rule.
    """

    servers: list[Server] = field(default_factory=lambda: list[Server]())
    fronts: list[Front] = field(default_factory=lambda: list[Front]())
    stops: list[Stop] = field(default_factory=lambda: list[Stop]())
    sockets: list[Socket] = field(default_factory=lambda: list[Socket]())
    pods: list[Pod] = field(default_factory=lambda: list[Pod]())
    chain: Chain | None = None
    numbers: dict[str, Fact[float]] = field(default_factory=_facts)
    texts: dict[str, Fact[str]] = field(default_factory=_texts)
    faults: list[tuple[str, Finding]] = field(default_factory=lambda: list[tuple[str, Finding]]())

    @property
    def routes(self) -> Iterator[Route]:
        """Every route of every proxy."""
        for front in self.fronts:
            yield from front.routes

    def served(self, *, streams: bool | None = None) -> Iterator[tuple[Route, Server]]:
        """Return each route with the server that it leads to; routes to another proxy are left out.

        A route leads to the servers that listen on its address. If none does, it leads to every server, unless the
        address is another proxy's: files often write an address in two ways (a service's name, a container's port).
        """
        for front in self.fronts:
            if self.inner(front) is not None:
                continue
            for route in front.routes:
                if streams is None or route.stream is streams:
                    for server in self.servers_of(route):
                        yield route, server

    def servers_of(self, route: Route) -> list[Server]:
        exact = [s for s in self.servers if any(same_address(t, b) for t in route.targets for b in s.binds)]
        return exact or self.servers

    def inner(self, front: Front) -> Front | None:
        """Return the proxy behind a proxy; None if an application server is behind it."""
        others = [each for each in self.fronts if each is not front]
        for other in others:
            if any(same_port(t, address) for r in front.routes for t in r.targets for address in other.listens):
                return other
        reaches = any(same_port(t, b) for r in front.routes for t in r.targets for s in self.servers for b in s.binds)
        if front.kind == "haproxy" and not reaches and front.routes:
            nginx = [each for each in others if each.kind == "nginx"]
            ports = {t.rpartition(":")[2] for r in front.routes for t in r.targets}
            return nginx[0] if nginx and ports & {"80", "443", "8080", "8443"} else None
        return None

    def outer(self, front: Front) -> Front | None:
        """Return the proxy in front of a proxy."""
        return next((each for each in self.fronts if each is not front and self.inner(each) is front), None)

    def at_edge(self, front: Front) -> bool:
        """Whether no other proxy is known to be in front of a proxy."""
        return front.behind is None and self.outer(front) is None


def same_address(left: str, right: str) -> bool:
    """Whether a proxy's target and a server's address can be the same."""
    if left.startswith("unix:") or right.startswith("unix:"):
        ours, theirs = (each.removeprefix("unix:").lstrip("/") for each in (left, right))
        # A template unit writes %i for the name of the instance.
        return bool(re.fullmatch(re.sub(r"%[a-zA-Z]", "[^/]+", re.escape(theirs)), ours))
    return same_port(left, right)


def same_port(left: str, right: str) -> bool:
    if left.startswith("unix:") or right.startswith("unix:"):
        return left == right
    ours, theirs = left.rpartition(":")[2], right.rpartition(":")[2]
    return ours == theirs and ours.isdecimal()


def joined(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def value_of(facts: Mapping[str, Fact[float]], name: str) -> float | None:
    fact = facts.get(name)
    return None if fact is None else fact.value
