"""Refuse request bodies above a limit: before the application runs, or when the application reads past the limit.

A declared length is checked at once. A body without a length is counted while the application reads it. An invalid
length gives 400, and so does a body that ends before its declared length. A WSGI server would end the stream there as
if the body were complete.

Sources: RFC 9110 sections 8.6 (Content-Length), 15.5.14 (413), 10.1.1 (Expect); RFC 9112 section 6.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from gateway._bounds import BOUNDS
from gateway.contract import BuildContext, Hooks, Middleware, Refuse, Transform
from gateway.errors import ConfigurationError
from gateway.middleware._options import check_options
from gateway.problems import problem

if TYPE_CHECKING:
    from gateway.exchange import Request, Response

__all__ = ["BodyLimit"]

_LONGEST = BOUNDS["content-length"].characters


@dataclass(frozen=True, kw_only=True)
class BodyLimit(Middleware):
    """Refuse a request body larger than ``max_bytes`` with 413.

    A client that waits for ``100 Continue`` is refused before it sends its body, because nothing has read the body.

    Args:
        max_bytes: Maximum size of a request body, in bytes.
        paths: Other limits below some paths of the mount point, by whole segments; the longest matching path
            counts: ``{"/upload": 100 * 2**20}``.
    """

    websocket: ClassVar[bool] = False
    after: ClassVar[tuple[str, ...]] = (
        "AccessLog: refused requests are logged too",
        "Cors: pages of other origins can read the refusal",
    )
    keeps_request_length: ClassVar[bool] = True

    max_bytes: int
    paths: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_options(self)
        if self.max_bytes <= 0:
            raise ConfigurationError(f"BodyLimit(max_bytes=...) must be above 0, got {self.max_bytes!r}")
        for path, limit in self.paths.items():
            if not path.startswith("/") or limit < 0:
                raise ConfigurationError(
                    f'BodyLimit(paths=...) maps paths to bytes: {{"/upload": 1000}}, got {path!r}: {limit!r}'
                )

    def build(self, context: BuildContext) -> Hooks:
        return _Limiting(self)


class _Limiting(Hooks):
    keeps_request_length: ClassVar[bool] = True

    def __init__(self, options: BodyLimit) -> None:
        self._max_bytes = options.max_bytes
        self._paths = sorted(  # longest path first, because the first match counts
            ((path.rstrip("/"), limit) for path, limit in options.paths.items()), key=lambda item: -len(item[0])
        )

    def _limit(self, request: Request) -> int:
        if self._paths:
            path = request.local_path
            for prefix, limit in self._paths:
                if path == prefix or path.startswith(prefix + "/"):
                    return limit
        return self._max_bytes

    def on_request(self, request: Request) -> Response | None:
        headers = request.headers
        if "content-length" not in headers:
            return None
        declared = headers.get_all("content-length")
        length = declared[0]
        if len(declared) > 1 or not (length.isascii() and length.isdigit()):
            return problem(request, 400, "Content-Length must be one number without a sign.")
        # The bound is checked first, because int() raises for thousands of digits, leading zeros included.
        if len(length) > _LONGEST or int(length) > self._limit(request):
            return _too_large(request, self._limit(request))
        return None

    def on_request_body(self, request: Request) -> Transform | None:
        headers = request.headers
        declared = headers.get("content-length")
        # A transfer coding overrides Content-Length (RFC 9112 section 6.3), so the declared length does not count.
        if declared is None or "transfer-encoding" in headers:
            return _CountingTransform(request, self._limit(request))
        return _Whole(request, int(declared))  # already checked, and the server delivers at most the declared length


class _CountingTransform:
    """Pass a body without a declared length unchanged, until it is too large."""

    __slots__ = ("_left", "_limit", "_request")

    def __init__(self, request: Request, limit: int) -> None:
        self._request = request
        self._limit = self._left = limit

    def push(self, chunk: bytes) -> bytes:
        self._left -= len(chunk)
        if self._left < 0:
            raise Refuse(413, response=_too_large(self._request, self._limit))
        return chunk

    def finish(self) -> bytes:
        return b""


class _Whole:
    """Pass a body with a declared length unchanged, and refuse it if it ends too early."""

    __slots__ = ("_left", "_request")

    def __init__(self, request: Request, length: int) -> None:
        self._request = request
        self._left = length

    def push(self, chunk: bytes) -> bytes:
        self._left -= len(chunk)
        return chunk

    def finish(self) -> bytes:
        if self._left > 0:
            detail = "The request body ended before its Content-Length."
            raise Refuse(400, response=problem(self._request, 400, detail))
        return b""


def _too_large(request: Request, limit: int) -> Response:
    return problem(request, 413, f"The request body must not be larger than {limit} bytes.")
