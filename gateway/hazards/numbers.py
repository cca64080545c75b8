"""One set of numbers, and every setting of a deployment that follows from it.

`Numbers` holds what an operator decides: the longest request, the drain time, the largest body, the hosts. Everything
else is computed, so that no two generated files can disagree. The rule of each value is named beside it; the rules are
in the table of this package. Times are seconds, sizes are bytes.

(Above 400 lines, because the numbers and the values that follow from them are read together.)
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, NamedTuple, cast

from gateway.errors import ConfigurationError

__all__ = ["PLATFORMS", "Numbers", "Platform"]


class Platform(NamedTuple):
    """A platform in front of the server, with its fixed or usual times.

    Attributes:
        title: Name in sentences.
        idle: Seconds for which it keeps an idle connection to the server.
        keep_alive: Seconds for which the server must keep one.
        response: Seconds that it waits for a response by default; None if the idle time counts.
        stop: Seconds between the stop signal and the kill by default; None if you set them.
        source: Where this is documented.
    """

    title: str
    idle: int
    keep_alive: int
    response: int | None
    stop: int | None
    source: str


#: Proxies and platforms by name. `platform` of `Numbers` is one of these keys.
PLATFORMS: Final[Mapping[str, Platform]] = {
    "nginx": Platform("NGINX", 60, 75, 60, None, "ngx_http_upstream_module, keepalive_timeout"),
    "haproxy": Platform("HAProxy", 30, 75, None, None, "HAProxy, pool-purge-delay"),
    "caddy": Platform("Caddy", 60, 75, None, None, "Caddy, reverse_proxy, transport http"),
    "none": Platform("no proxy", 5, 10, None, None, "RFC 9112 9.5"),
    "kubernetes": Platform("a Gateway of Kubernetes", 60, 75, 15, 30, "Envoy Gateway, HTTP timeouts"),
    "aws-alb": Platform("Application Load Balancer", 60, 75, None, None, "AWS, idle_timeout.timeout_seconds"),
    "gcp": Platform("Google Cloud load balancer", 600, 620, 30, None, "Google Cloud, backend service timeouts"),
    "azure-front-door": Platform("Azure Front Door", 90, 100, 30, None, "Azure Front Door, origin response timeout"),
    "cloud-run": Platform("Cloud Run", 600, 620, 300, 10, "Cloud Run, container runtime contract"),
    "heroku": Platform("Heroku's router", 90, 95, 30, 30, "Heroku, HTTP routing, dyno shutdown"),
}
#: Seconds that a proxy keeps idle connections to Gunicorn's asgi worker, which waits for them when it stops.
_ASGI_IDLE: Final = 3
_MARGIN: Final = 5
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,40}")
_HOST: Final = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_PATH: Final = re.compile(r"/[A-Za-z0-9._~/-]*")
_TARGET: Final = re.compile(
    r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*|gateway\.config:load\('[\w./-]+'\)|"
    r"gateway\.django:get_application\(\"[\w.]+\"\)"
)
_SAFE: Final = re.compile(r"[A-Za-z0-9._~/:@+=-]*")


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """The numbers of a deployment.

    Attributes:
        application: Import string of the application.
        name: Name of units, containers and folders.
        interface: ``"wsgi"`` or ``"asgi"``: the interface in which the server calls the application.
        longest_request: Seconds of the longest ordinary request; streams do not count.
        drain: Seconds during which a server that is about to stop still takes requests, while the proxies notice.
        max_bytes: Bytes of the largest request body.
        hosts: Public hosts.
        platform: The proxy or platform in front of the application server, a key of `PLATFORMS`.
        balancers: Networks of the load balancers in front of NGINX, Caddy or HAProxy; empty at the edge.
        tls: The proxy ends TLS; false if a balancer in front of it does.
        balancer_ids: The balancers make the request ids; false if they pass a client's own id on, as most do.
        live_path: Path of the liveness check.
        ready_path: Path of the readiness check.
        startup_path: Path of the startup check.
        metrics_path: Path of the metrics; empty without metrics.
        workers: Worker processes of a server.
        threads: Threads of a worker.
        static: Folder of static files that the proxy serves; empty if the application serves them.
        static_url: URL prefix of the static files.
        streams: Path prefixes of streams: server-sent events and WebSockets.
        port: Port of a server that does not listen on a unix socket.
        folder: Folder of the application on the machine.
        user: User and group of the server.
        proxy_user: User and group of the proxy, which may open the socket.
        compress: The proxy compresses; false if the application does.
        nodes: Addresses of the servers behind HAProxy, or behind NGINX on other machines.
        replicas: Pods of Kubernetes.
        image: Image of the container.
        python: Version of Python in the container.
        certificate: File of the certificate.
        key: File of the certificate's key.
        memory: MiB of memory that one worker may take.
    """

    application: str = "app:app"
    name: str = "app"
    interface: str = "wsgi"
    longest_request: int = 25
    drain: int = 10
    max_bytes: int = 10 * 2**20
    hosts: tuple[str, ...] = ("example.com",)
    platform: str = "nginx"
    balancers: tuple[str, ...] = ()
    tls: bool = True
    balancer_ids: bool = False
    live_path: str = "/livez"
    ready_path: str = "/readyz"
    startup_path: str = "/startupz"
    metrics_path: str = "/metrics"
    workers: int = 2
    threads: int = 8
    static: str = ""
    static_url: str = "/static/"
    streams: tuple[str, ...] = ("/events", "/ws")
    port: int = 8000
    folder: str = ""
    user: str = "www-data"
    proxy_user: str = "www-data"
    compress: bool = True
    nodes: tuple[str, ...] = ()
    replicas: int = 3
    image: str = ""
    python: str = "3.13"
    certificate: str = ""
    key: str = ""
    memory: int = 128

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ConfigurationError: A number or a text is not usable in the files.
        """
        least = {"longest_request": 1, "drain": 0, "max_bytes": 1, "workers": 1, "threads": 1, "replicas": 2}
        least |= {"port": 1, "memory": 16}
        if not self.tls and not self.balancers:
            raise ConfigurationError(
                "tls = false needs balancers: without TLS in the proxy, name the networks of the balancers that end it"
            )
        for name, low in least.items():
            value = getattr(self, name)
            if value < low:
                raise ConfigurationError(f"{name} must be {low} or more, got {value!r}")
        if 0 < self.drain < 5:
            raise ConfigurationError(
                f"drain must be 5 seconds or more, got {self.drain}: a failed check, its timeout and the proxy's "
                "reaction need that time. Write drain = 10, or drain = 0 for a deployment that does not drain"
            )
        patterns = {"application": _TARGET, "name": _NAME}
        patterns |= dict.fromkeys(("live_path", "ready_path", "startup_path", "static_url"), _PATH)
        for name, pattern in patterns.items():
            if not pattern.fullmatch(str(getattr(self, name))):
                example = {"application": "shop:app", "name": "shop"}.get(name, "/path")
                raise ConfigurationError(f"{name} is not usable: {getattr(self, name)!r}. Write for example {example}")
        if self.platform not in PLATFORMS:
            raise ConfigurationError(f"unknown platform {self.platform!r}; choose one of: {', '.join(PLATFORMS)}")
        if self.interface not in ("wsgi", "asgi"):
            raise ConfigurationError(f"interface must be 'wsgi' or 'asgi', got {self.interface!r}")
        if not self.hosts:
            raise ConfigurationError('hosts is empty: name your public hosts, for example hosts = ["example.com"]')
        for host in self.hosts:
            if not _HOST.fullmatch(host):
                raise ConfigurationError(f"hosts has {host!r}, which is not a host. Write for example example.com")
        for each in fields(self):
            held: object = getattr(self, each.name)
            for text in cast("tuple[object, ...]", held) if isinstance(held, tuple) else (held,):
                if each.name not in ("hosts", "application") and isinstance(text, str) and not _SAFE.fullmatch(text):
                    raise ConfigurationError(
                        f"{each.name} has {text!r}: letters, digits and ._~/:@+=- are possible in configuration files"
                    )

    # R1, R2, R7: the party that opens a connection closes it.
    @property
    def front(self) -> Platform:
        """The proxy or platform in front of the server."""
        return PLATFORMS[self.platform]

    @property
    def keep_alive(self) -> int:
        """R1: seconds for which the server keeps an idle connection."""
        return self.front.keep_alive

    @property
    def proxy_idle(self) -> int:
        """R1, R7: seconds for which the proxy keeps an idle connection to the server."""
        return _ASGI_IDLE if self.interface == "asgi" else self.front.idle

    @property
    def client_keep_alive(self) -> int:
        """R2: seconds for which the proxy keeps an idle connection of a client, or of a balancer."""
        return 75

    # R3 to R6, R12: stopping.
    @property
    def check_timeout(self) -> int:
        """R3: seconds that a health check waits."""
        return 2 if self.drain == 0 or self.drain >= 8 else 1

    @property
    def check_failures(self) -> int:
        """R3: failures after which a node gets no requests."""
        return 2

    @property
    def check_interval(self) -> int:
        """R3: seconds between two health checks."""
        if not self.drain:
            return 3
        return max(1, (self.drain - self.check_timeout - 2) // self.check_failures)

    @property
    def graceful_timeout(self) -> int:
        """R5: seconds that a server gives its running requests."""
        stop = self.front.stop
        wanted = self.drain + self.longest_request
        return min(wanted, stop - _MARGIN) if stop is not None and self.platform != "kubernetes" else wanted

    @property
    def stop_seconds(self) -> int:
        """R6: seconds between the stop signal and the kill."""
        return self.graceful_timeout + 3 * _MARGIN

    @property
    def grace_period(self) -> int:
        """R6: seconds for a pod to stop; the clock starts before the sleep."""
        return self.drain + self.graceful_timeout + 3 * _MARGIN

    @property
    def shutdown(self) -> int:
        """R12: seconds after which a reloaded proxy ends its old connections."""
        return self.timeout

    # R8, R10, R14, R16: timeouts grow outwards.
    @property
    def timeout(self) -> int:
        """R8: seconds after which Gunicorn replaces a worker that hangs."""
        return max(60, 2 * self.longest_request + 2 * _MARGIN)

    @property
    def proxy_read(self) -> int:
        """R8: seconds that the proxy waits for the server."""
        return self.timeout + _MARGIN

    @property
    def outer_read(self) -> int:
        """R8: seconds that the balancer waits for the proxy."""
        return self.proxy_read + _MARGIN

    @property
    def connect(self) -> int:
        """R10: seconds that the proxy waits for a connection."""
        return 2

    @property
    def stream_seconds(self) -> int:
        """R14: seconds without data after which the proxy ends a stream."""
        return 3600

    @property
    def header_timeout(self) -> int:
        """R16: seconds for the request headers of a client."""
        return 10

    @property
    def body_timeout(self) -> int:
        """R16: seconds between two pieces of a request body."""
        return 15

    # R11, R17 to R19, R33, R43: sizes.
    @property
    def backlog(self) -> int:
        """R11: connections that wait in the kernel."""
        return 512

    @property
    def header_bytes(self) -> int:
        """R18: bytes of a request line, or of a request header, that the proxy passes on."""
        return 8192

    @property
    def limit_header_bytes(self) -> int:
        """R18: bytes of a request line, or of a request header, that Gunicorn takes (its largest value)."""
        return 8190

    @property
    def concurrency(self) -> int:
        """R19: requests that a server runs at once."""
        return self.workers * self.threads if self.interface == "wsgi" else 64 * self.workers

    @property
    def queue(self) -> int:
        """R19: requests that the proxy sends to a server at once."""
        return 2 * self.concurrency

    @property
    def nofile(self) -> int:
        """R43: open files of a server or of a proxy's worker."""
        return 8192

    @property
    def connections(self) -> int:
        """R43: connections of a proxy's worker."""
        return 4000

    @property
    def request_memory(self) -> int:
        """R33: MiB of memory that a pod asks for."""
        return self.workers * self.memory

    @property
    def limit_memory(self) -> int:
        """R33: MiB of memory that a pod may take."""
        return 2 * self.workers * self.memory

    @property
    def cpu(self) -> int:
        """R33: thousandths of a processor that a pod asks for."""
        return 125 * self.workers

    @property
    def hpa_replicas(self) -> int:
        """R35: the most pods."""
        return 4 * self.replicas

    # R34: probes. Liveness is the weaker one.
    @property
    def live_interval(self) -> int:
        """R34: seconds between two liveness checks."""
        return 10

    @property
    def live_failures(self) -> int:
        """R34: liveness failures after which a pod restarts: longer than a request that hangs."""
        return max(6, -(-self.timeout // self.live_interval))

    # R28, R37, R38: folders.
    @property
    def runtime(self) -> str:
        """R28: folder of the socket."""
        return f"/run/{self.name}"

    @property
    def socket(self) -> str:
        """R28: path of the unix socket."""
        return f"{self.runtime}/{self.name}.sock"

    @property
    def home(self) -> str:
        """Folder of the application."""
        return self.folder or f"/srv/{self.name}"

    @property
    def metrics_folder(self) -> str:
        """R37: folder of the metrics of several workers; the process manager makes it anew."""
        return f"/run/{self.name}-worker/metrics"

    @property
    def proxy_drain(self) -> str:
        """R3: file that takes NGINX out of the balancer, before it is reloaded or stopped."""
        return f"/run/{self.name}-proxy.drain"

    @property
    def certificate_file(self) -> str:
        return self.certificate or f"/etc/ssl/{self.name}/certificate.pem"

    @property
    def key_file(self) -> str:
        return self.key or f"/etc/ssl/{self.name}/key.pem"

    @property
    def image_name(self) -> str:
        return self.image or f"registry.example.com/{self.name}:1.0.0"

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Numbers:
        """Make numbers from values of a configuration file or a command line.

        Args:
            values: Values by attribute. A text is converted: ``"25"``, ``"a.example,b.example"``, ``"true"``.

        Raises:
            ConfigurationError: A name is not a number of a deployment, or a value has the wrong type.
        """
        given: dict[str, object] = {}
        known = {each.name: each.default for each in fields(cls)}
        for name, value in values.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ConfigurationError(f"unknown number {name!r}{hint} Possible: {', '.join(known)}")
            given[name] = _converted(name, value, known[name])
        return cls(**given)  # type: ignore[arg-type]  # the types are checked against the defaults

    @property
    def servers(self) -> tuple[str, ...]:
        """Addresses of the servers behind HAProxy."""
        return self.nodes or (f"127.0.0.1:{self.port}", f"127.0.0.1:{self.port + 1}")


def _converted(name: str, value: object, default: object) -> object:
    """Return a value in the type of the default."""
    kind = type(default)
    if kind is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        if isinstance(parts, list | tuple) and all(isinstance(part, str) for part in cast("list[object]", parts)):
            return tuple(part.strip() for part in cast("list[str]", parts) if part.strip())
        raise ConfigurationError(f'{name} must be a list of strings, got {value!r}. Write for example ["a", "b"]')
    if kind is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if kind is int and isinstance(value, str) and value.isdecimal():
        return int(value)
    if type(value) is not kind:
        wanted = {"int": "a whole number", "bool": "true or false"}.get(kind.__name__, "a string")
        raise ConfigurationError(f"{name} must be {wanted}, got {value!r}")
    return value
