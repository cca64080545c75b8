"""Choose the other origins whose pages may read our responses (CORS) and open our WebSockets.

Sources: the Fetch standard, section "CORS protocol"; RFC 6454 section 7 (Origin); RFC 6455 sections 4.2.2, 10.2
(Origin of a handshake); RFC 9110 section 12.5.5 (Vary).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from gateway._bounds import BOUNDS
from gateway.contract import BuildContext, Hooks, Middleware
from gateway.errors import ConfigurationError
from gateway.exchange import Response
from gateway.headers import Header
from gateway.middleware._host import parse_host
from gateway.middleware._options import check_options
from gateway.problems import problem

if TYPE_CHECKING:
    from gateway.exchange import Request

__all__ = ["Cors"]

_PREFLIGHT_VARY = ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LONGEST_ORIGIN = BOUNDS["origin"].characters
_LONGEST_ASKED, _MOST_ASKED = BOUNDS["preflight"].characters, BOUNDS["preflight"].elements or 0
_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


@dataclass(frozen=True, kw_only=True)
class Cors(Middleware):
    """Respond to preflights, mark responses for allowed origins, and refuse WebSockets from other origins.

    A disallowed origin gets the response without any ``Access-Control-`` header, and then the browser hides it from the
    page. If the application sets ``Access-Control-Allow-Origin`` itself, its response stays unchanged.

    Args:
        origins: Allowed origins, each exactly as a browser sends it: ``"https://app.example"``. ``"null"`` is
            allowed only if it is listed. ``"*"``, alone and without credentials, allows every origin.
        origin_regex: Regular expression that must match a whole allowed origin.
        methods: Methods that a preflight allows in addition to the simple methods.
        headers: Request headers that a preflight allows; ``"*"`` allows every requested header.
        credentials: Let pages send cookies and read the response.
        expose: Response headers that a page may read.
        max_age: Seconds that a browser may cache a preflight response; Chrome caches it for at most 7200.
        private_network: Let pages of the public network send requests to this server in a private network.
        refuse: Send 403 to a disallowed origin, instead of letting the browser decide.
    """

    websocket: ClassVar[bool] = True
    after: ClassVar[tuple[str, ...]] = (
        "ProxyHeaders: the server's own origin has the scheme and host that the client used",
        "RequestId: preflight requests get an id too",
        "AccessLog: preflight requests are logged too",
        "TrustedHost: the server's own origin has a host that was checked",
    )
    before: ClassVar[tuple[str, ...]] = (
        "RateLimit: pages of other origins can read the refusal, and preflight requests are not counted",
        "Errors: pages of other origins can read the error",
        "BodyLimit: pages of other origins can read the refusal",
    )

    origins: Sequence[str] = ()
    origin_regex: str | None = None
    methods: Sequence[str] = ("GET", "HEAD", "POST")
    headers: Sequence[str] = ()
    credentials: bool = False
    expose: Sequence[str] = ()
    max_age: int = 600
    private_network: bool = False
    refuse: bool = False

    def __post_init__(self) -> None:
        check_options(self)
        if not self.origins and self.origin_regex is None:
            raise ConfigurationError('Cors(origins=...) is empty; name the allowed origins: ("https://app.example",)')
        if "*" in self.origins and len(self.origins) > 1:
            raise ConfigurationError(
                f'Cors(origins=...): "*" allows every origin and must be the only one, got {tuple(self.origins)!r}'
            )
        if self.credentials and "*" in self.origins:
            raise ConfigurationError(
                'Cors(credentials=True) does not work with origins=("*",), because any page could act as the '
                "user; name the origins (Fetch, CORS protocol and credentials)"
            )
        for option in ("methods", "headers", "expose"):
            if self.credentials and "*" in getattr(self, option):
                raise ConfigurationError(
                    f'Cors(credentials=True) does not work with {option}=("*",), because with credentials '
                    'browsers read "*" as a name; list the names (Fetch, CORS protocol and credentials)'
                )
        for origin in self.origins:
            if origin not in ("*", "null") and not _is_origin(origin):
                raise ConfigurationError(
                    f'Cors(origins=...) takes "https://host" or "https://host:port" as a browser sends it, '
                    f"without path, final slash or default port, got {origin!r}"
                )
        for name in (*self.methods, *self.headers, *self.expose):
            if not _TOKEN.fullmatch(name):
                raise ConfigurationError(f"Cors takes names of methods and headers, got {name!r}")
        if self.origin_regex is not None:
            try:
                re.compile(self.origin_regex)
            except re.error as error:
                raise ConfigurationError(
                    f"Cors(origin_regex=...) is not a valid regular expression: {self.origin_regex!r}: {error}"
                ) from error
        if self.max_age < 0:
            raise ConfigurationError(f"Cors(max_age=...) must be at least 0 seconds, got {self.max_age!r}")

    def build(self, context: BuildContext) -> Hooks:
        return _Sharing(self)


def _is_origin(value: str) -> bool:
    parts = urlsplit(value)
    host = parse_host(parts.netloc)
    return (
        bool(parts.scheme)
        and host is not None
        and value == f"{parts.scheme}://{host}"
        and host.port != _DEFAULT_PORTS.get(parts.scheme, 0)
    )


class _Sharing(Hooks):
    websocket: ClassVar[bool] = True

    def __init__(self, options: Cors) -> None:
        self._origins = frozenset(options.origins)
        self._regex = re.compile(options.origin_regex) if options.origin_regex is not None else None
        self._public = "*" in self._origins
        self._refuse = options.refuse
        self._any_header = "*" in options.headers
        self._private_network = options.private_network
        self._marks = [Header("Access-Control-Allow-Credentials", "true")] if options.credentials else []
        self._exposed = [Header("Access-Control-Expose-Headers", ", ".join(options.expose))] if options.expose else []
        self._preflight = [Header("Access-Control-Max-Age", str(options.max_age))]
        if options.methods:
            methods = dict.fromkeys(method.upper() if method != "*" else method for method in options.methods)
            self._preflight.append(Header("Access-Control-Allow-Methods", ", ".join(methods)))
        if options.headers and not self._any_header:
            self._preflight.append(Header("Access-Control-Allow-Headers", ", ".join(options.headers)))
        self._everyone = Header("Access-Control-Allow-Origin", "*")
        self._allowed = {origin: Header("Access-Control-Allow-Origin", origin) for origin in options.origins}

    def _allows(self, origin: str) -> bool:
        return (
            self._public
            or origin in self._origins
            or (
                self._regex is not None and len(origin) <= _LONGEST_ORIGIN and self._regex.fullmatch(origin) is not None
            )
        )

    def on_request(self, request: Request) -> Response | None:
        if not self._refuse and request.method != "OPTIONS" and not request.is_websocket:
            return None  # the browser decides, by the headers that on_response adds
        headers = request.headers
        origin = headers.get("origin")
        if origin is None:
            return None
        if request.is_websocket:
            if self._allows(origin) or _same_origin(request, origin):
                return None
            return problem(request, 403, "This WebSocket may not be opened from that origin.")
        if request.method == "OPTIONS" and "access-control-request-method" in headers:
            return self._answer_preflight(request, origin)
        if self._refuse and not self._allows(origin) and not _same_origin(request, origin):
            return problem(request, 403, "That origin may not use this server.")
        return None

    def _answer_preflight(self, request: Request, origin: str) -> Response:
        allowed = self._allows(origin)
        if self._refuse and not allowed:
            response = problem(request, 403, "That origin may not use this server.")
        else:
            response = Response(204)
        fields = response.headers
        fields.add_vary(*_PREFLIGHT_VARY)
        if not allowed:
            return response
        if self._public:
            fields.set(self._everyone)
        else:
            fields.set("Access-Control-Allow-Origin", origin)
        for header in (*self._marks, *self._preflight):
            fields.append(header)
        asked = request.headers.get("access-control-request-headers")
        if self._any_header and asked and len(asked) <= _LONGEST_ASKED:
            names = [name.strip() for name in asked.split(",", _MOST_ASKED)]
            if len(names) <= _MOST_ASKED and all(_TOKEN.fullmatch(name) for name in names):
                fields.append("Access-Control-Allow-Headers", ", ".join(names))
        if self._private_network and request.headers.get("access-control-request-private-network") == "true":
            fields.append("Access-Control-Allow-Private-Network", "true")
        return response

    def on_response(self, request: Request, response: Response) -> None:
        fields = response.headers
        if request.is_websocket or "access-control-allow-origin" in fields:
            return
        if self._public:
            fields.append(self._everyone)
            for header in self._exposed:
                fields.append(header)
            return
        # Also without an Origin, because a cache must not give this response to a page of another origin.
        fields.add_vary("Origin")
        origin = request.headers.get("origin")
        if origin is None:
            return
        allowed = self._allowed.get(origin)
        if allowed is not None:
            fields.set(allowed)
        elif self._allows(origin):
            fields.append("Access-Control-Allow-Origin", origin)
        else:
            return
        if self._marks or self._exposed:
            for header in (*self._marks, *self._exposed):
                fields.append(header)


def _same_origin(request: Request, origin: str) -> bool:
    """Return whether the origin of a page is the host and scheme that it requests, so that CORS does not apply."""
    parts = urlsplit(origin if origin.isascii() and len(origin) <= _LONGEST_ORIGIN else "")
    page, here = parse_host(parts.netloc), parse_host(request.headers.get("host") or "")
    secure = request.scheme in ("https", "wss")
    if page is None or here is None or parts.scheme != ("https" if secure else "http"):
        return False
    default = 443 if secure else 80
    return page.name == here.name and (page.port or default) == (here.port or default)
