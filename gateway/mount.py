"""Several applications behind one object: by host, and by the longest prefix of whole path segments.

A mounted application runs as if it were the only application below its prefix. WSGI: the prefix moves from
``PATH_INFO`` to ``SCRIPT_NAME``. ASGI: the prefix is appended to ``root_path``, and ``path`` stays the full path. Each
mounted application is a `Gateway`, so it may have either interface and a separate chain. A request passes only the
adapters of the application that serves it.

Every mounted application receives the lifespan events: startup in the order of the mapping, shutdown in the reverse
order. Each application has a separate ``state``. Under a WSGI server the adapter of a mounted ASGI application starts
it.

Not here: rewriting of URLs, redirects to a final slash, methods. `Mount` compares paths as the server decoded them, and
leaves dot segments to the server.

Sources: PEP 3333 "environ Variables"; ASGI HTTP 2.5 ``path``, ``root_path``; ASGI Lifespan 2.0; RFC 9110 section 7.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from gateway._bounds import BOUNDS
from gateway.application import Gateway
from gateway.contract import Middleware
from gateway.dual import Dual
from gateway.errors import ConfigurationError
from gateway.lifespan import serve_together
from gateway.problems import problem
from gateway.protocols import is_proxy
from gateway.translate.paths import scope_raw_path, split_mount

if TYPE_CHECKING:
    from gateway._starting import Reached
    from gateway.chain._explain import Explanation
    from gateway.exchange import Request, Response
    from gateway.protocols import (
        Application,
        ASGIApplication,
        ASGIReceive,
        ASGISend,
        Environ,
        Interface,
        RSGIApplication,
        Scope,
        StartResponse,
        WSGIApplication,
    )

__all__ = ["Mount"]

_State = dict[str, Any]

#: Key of the states of the mounted applications, in the state that the server passes with each request.
_STATES: Final = "gateway.mount"
#: Path segments that a key must not have, and characters that a segment must not contain.
_NO_SEGMENT: Final = frozenset({"", ".", ".."})
_NO_PATH: Final = frozenset("%?#\\\0")
_LONGEST_HOST: Final = BOUNDS["host"].characters
_HOST: Final = re.compile(r"|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """One mounted application: its host, its prefix, and the application as a `Gateway`."""

    host: str
    prefix: str
    gateway: Gateway[Any]

    @property
    def key(self) -> str:
        return f"{self.host}{self.prefix}" or "/"

    @property
    def rank(self) -> tuple[bool, bool, int, int]:
        """Sort key of the matching order: an exact host, a pattern, any host; then longer hosts and prefixes first."""
        return (not self.host, self.host.startswith("*"), -len(self.host), -len(self.prefix))

    def takes_host(self, host: str) -> bool:
        if self.host.startswith("*."):
            return host.endswith(self.host[1:]) and len(host) > len(self.host) - 1
        return not self.host or host == self.host


class Mount(Dual):
    """One object of several applications, each below a path prefix, at a host, or both.

    The most specific match wins: an exact host before ``*.domain`` before any host, then the longest prefix. If a host
    has no match for a path, less specific hosts are tried.

    Args:
        mounts: Keys and their applications. A key is ``"/api"``, ``"api.example.org"``, ``"*.example.org/api"``;
            ``"/"`` takes all other paths. A value is an application of either interface, a `Gateway` with its own
            chain, or another `Mount`.
        default: Application for requests that match no key; a 404 response by default.
        keep_path: Do not move the prefix to the mount point: each application sees the path and the mount point that
            this object sees. For the parts of one site that run in different interfaces.

    Raises:
        ConfigurationError: A key is not valid, two keys are the same, or a value is not an application.

    >>> def page(environ, start_response):
    ...     start_response("200 OK", [])
    ...     return [environ["SCRIPT_NAME"].encode()]
    >>> Mount({"/api": page, "admin.example.org": page})
    Mount('admin.example.org', '/api')
    """

    def __init__(
        self, mounts: Mapping[str, Application], *, default: Application | None = None, keep_path: bool = False
    ) -> None:
        entries: dict[tuple[str, str], _Entry] = {}
        for key, app in mounts.items():
            host, prefix = _place(key)
            if (host, prefix) in entries:
                raise ConfigurationError(
                    f"Mount({{...}}) has two keys for the same address, the second is {key!r}; remove one"
                )
            try:
                entries[host, prefix] = _Entry(host=host, prefix=prefix, gateway=_gateway(app))
            except ConfigurationError as error:
                raise ConfigurationError(f"Mount({{{key!r}: ...}}): {error}") from error
        self.default: Gateway[Any] = (
            Gateway(_nothing, middleware=[_NotFound()]) if default is None else _gateway(default)
        )
        self.keep_path = keep_path
        self._mounted = tuple(entries.values())
        mounted = [*(entry.gateway for entry in entries.values()), *([] if default is None else [self.default])]
        #: The mounted applications in the order of the mapping, the default last; startup events use this order.
        self.gateways: tuple[Gateway[Any], ...] = tuple({id(each._innermost): each for each in mounted}.values())
        # The states of the last startup, for a server that passes no state with a request.
        self._states: dict[int, _State] | None = None
        self._entries = tuple(sorted(entries.values(), key=lambda entry: entry.rank))
        self._install()

    @property
    def interface(self) -> Interface:
        """``"wsgi"`` if every mounted application is WSGI, else ``"asgi"``."""
        return "wsgi" if all(gateway.interface == "wsgi" for gateway in self.gateways) else "asgi"

    def _compose(self) -> tuple[WSGIApplication, ASGIApplication]:
        return self._serve_wsgi, self._serve

    def reached(self, interface: Literal["wsgi", "asgi"]) -> Iterable[Reached]:
        """Return each mounted application, in the order of the mapping, and the default."""
        each = [*(entry.gateway for entry in self._mounted), self.default]
        return [(gateway, interface) for gateway in each]

    def _compose_rsgi(self) -> RSGIApplication:
        # A Gateway around this object serves RSGI by the ASGI side, lifespan and all.
        return Gateway(cast("ASGIApplication", self))._as_rsgi()

    def _serve_wsgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        host = _host(environ.get("HTTP_HOST") or environ.get("SERVER_NAME") or "")
        path = environ.get("PATH_INFO", "")
        entry = self._find(host, path.encode("latin-1", "replace").decode("utf-8", "surrogateescape"))
        if entry is None:
            return self.default.wsgi(environ, start_response)
        if entry.prefix and not self.keep_path:
            environ = dict(environ)  # a copy, because outer middleware may read its paths again
            script_name: str = environ.get("SCRIPT_NAME", "")
            octets = entry.prefix.encode("utf-8").decode("latin-1")
            environ["SCRIPT_NAME"] = script_name.rstrip("/") + octets
            environ["PATH_INFO"] = path[len(octets) :]
        return entry.gateway.wsgi(environ, start_response)

    async def _serve(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "lifespan":
            await self._run_lifespan(scope, receive, send)
            return
        given: str = scope.get("root_path") or ""
        root_path, path = split_mount(scope["path"], given)
        entry = self._find(_host(_scope_host(scope)), path)
        gateway = self.default if entry is None else entry.gateway
        inner: Scope = scope
        if entry is not None and entry.prefix and not self.keep_path:
            inner = dict(scope)
            inner["root_path"] = root_path + entry.prefix
            if scope["path"] != root_path + path:
                # Either the server follows the older convention, in which `path` lacks `root_path`. Inner code could
                # not detect that after `root_path` has grown. Or the server's root_path ends with "/".
                inner["path"] = root_path + path
                if scope.get("raw_path"):
                    inner["raw_path"] = scope_raw_path(scope["path"], given, scope["raw_path"])
        shared: _State = scope.get("state") or {}
        states: dict[int, _State] | None = shared.get(_STATES, self._states)
        if states is not None and id(gateway._innermost) in states:
            inner = dict(inner)
            inner["state"] = dict(states[id(gateway._innermost)])
        await gateway.asgi(inner, receive, send)

    def _find(self, host: str, path: str) -> _Entry | None:
        # Sorted by rank, so the first match is the most specific. The added "/" compares whole segments.
        for entry in self._entries:
            if entry.takes_host(host) and (not entry.prefix or (path + "/").startswith(entry.prefix + "/")):
                return entry
        return None

    async def _run_lifespan(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Start every mounted application in order, and stop them in the reverse order."""
        given: _State = scope.get("state") or {}
        states = {id(gateway._innermost): dict(given) for gateway in self.gateways}  # several keys may mount the same

        def started() -> None:
            if "state" in scope:
                scope["state"][_STATES] = states
            else:
                self._states = states

        parts = [(gateway.asgi, states[id(gateway._innermost)]) for gateway in self.gateways]
        await serve_together(parts, started, receive, send)

    def explain(self) -> dict[str, Explanation]:
        """Describe the chain of each mounted application, the most specific key first.

        For a `Mount` inside this object, the result has each of its keys, with the outer prefix. ``/prefix/*`` is the
        chain in front of all of them. The default is at ``/``.
        """
        explained: dict[str, Explanation] = {}
        places = self._entries
        if self.default in self.gateways and all((entry.host, entry.prefix) != ("", "") for entry in places):
            places = (*places, _Entry(host="", prefix="", gateway=self.default))
        for entry in places:
            explanation = entry.gateway.explain()
            inside = entry.gateway._flattened()[0]
            if not isinstance(inside, Mount):
                explained[entry.key] = explanation
                continue
            if explanation.parts:
                explained[f"{entry.host}{entry.prefix}/*"] = explanation
            for place, below in inside.explain().items():
                host, _, path = place.partition("/")
                explained[f"{host or entry.host}{entry.prefix}/{path}".rstrip("/") or "/"] = below
        return explained

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(repr(entry.key) for entry in self._entries)})"


@dataclass(frozen=True, kw_only=True)
class _NotFound(Middleware):
    """Respond to every request with 404, in either interface."""

    websocket = True  # handshakes get the 404 too

    def on_request(self, request: Request) -> Response:
        return problem(request, 404, "Nothing is mounted at this address.")


def _nothing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise AssertionError("nothing gets here")  # pragma: no cover - _NotFound answers everything


def _gateway(app: Application) -> Gateway[Any]:
    if isinstance(app, Gateway) and not is_proxy(cast("object", app)):
        return app  # pyright: ignore[reportUnknownVariableType]
    return Gateway(app)  # pyright: ignore[reportUnknownArgumentType]


def _place(key: str) -> tuple[str, str]:
    """Split a key into host, in lower case, and prefix, without its final slash."""
    host, slash, rest = key.partition("/")
    host = host.lower().removesuffix(".")
    prefix = f"/{rest}".rstrip("/") if slash else ""
    segments = prefix.split("/")[1:]
    if not key or not _HOST.fullmatch(host) or any(part in _NO_SEGMENT or set(part) & _NO_PATH for part in segments):
        raise ConfigurationError(
            f"Mount({{...}}) takes the keys '/prefix', 'host', 'host/prefix' or '*.domain', without port, "
            f"query, '..' or percent-encoding; got {key!r}"
        )
    return host, prefix


def _host(value: str) -> str:
    """Return the host of a Host header: lower case, without port and final dot; "" for a value above its bound."""
    if len(value) > _LONGEST_HOST:
        return ""
    if not value.startswith("["):
        value = value.partition(":")[0]
    else:
        value = value.partition("]")[0] + "]"
    return value.lower().removesuffix(".")


def _scope_host(scope: Scope) -> str:
    for name, value in scope.get("headers") or ():
        if name == b"host":
            return bytes(value).decode("latin-1")
    server = scope.get("server")
    return str(server[0]) if server else ""
