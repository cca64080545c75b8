"""The options of a request, and a method for every HTTP method: all clients share them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from typing import IO, Generic, TypeAlias, TypedDict, TypeVar, Unpack

from gateway.testing._http import http
from gateway.testing.faults import Fault

__all__ = [
    "AsyncVerbs",
    "Content",
    "HeaderItems",
    "Params",
    "RequestOptions",
    "Verbs",
    "add_cookies",
    "addressed",
    "encoded",
]

Primitive: TypeAlias = str | int | float | bool | None
Params: TypeAlias = Mapping[str, Primitive | Sequence[Primitive]] | list[tuple[str, Primitive]] | str
#: Header lines in order. Text is encoded as latin-1, because WSGI decodes it like that.
HeaderItems: TypeAlias = Mapping[str, str | bytes] | Sequence[tuple[str, str | bytes]]
#: A request body: bytes, or chunks that reach the application with the same boundaries.
Content: TypeAlias = str | bytes | Iterable[bytes] | AsyncIterable[bytes]
FileContent: TypeAlias = IO[bytes] | bytes | str
File: TypeAlias = FileContent | tuple[str | None, FileContent] | tuple[str | None, FileContent, str | None]


class RequestOptions(TypedDict, total=False):
    """The options that every request takes, in addition to method and URL."""

    params: Params
    headers: HeaderItems
    cookies: dict[str, str]
    content: Content
    data: Mapping[str, object]
    files: Mapping[str, File] | Sequence[tuple[str, File]]
    json: object
    auth: tuple[str, str]
    follow_redirects: bool
    timeout: float | None
    fault: Fault
    raise_app_exceptions: bool
    environ: Mapping[str, object]
    scope: Mapping[str, object]


def encoded(headers: HeaderItems | None) -> list[tuple[bytes, bytes]]:
    """Encode header lines as they go over the wire, because the HTTP library would accept only ASCII."""
    items = headers.items() if isinstance(headers, Mapping) else headers or ()
    return [
        (name.encode("ascii"), value if isinstance(value, bytes) else value.encode("latin-1")) for name, value in items
    ]


def addressed(method: str, url: str) -> tuple[str, dict[str, object]]:
    """Return the URL for the HTTP library and its extensions; ``OPTIONS *`` addresses the server (RFC 9112, 3.2.4)."""
    return ("/", {"target": b"*"}) if url == "*" and method.upper() == "OPTIONS" else (url, {})


def add_cookies(request: http.Request) -> None:
    """Add this request's cookies to the client's; the HTTP library is about to drop cookies per request."""
    cookies: dict[str, str] | None = request.extensions.get("gateway.cookies")
    if cookies:
        own = [f"{name}={value}" for name, value in cookies.items()]
        kept = request.headers.get("cookie")
        request.headers["cookie"] = "; ".join([kept, *own] if kept else own)


R = TypeVar("R")


class Verbs(Generic[R]):
    """A method for every HTTP method, for code in a thread."""

    @abstractmethod
    def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a request and read the whole response."""

    def get(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a GET request."""
        return self.request("GET", url, **options)

    def options(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send an OPTIONS request."""
        return self.request("OPTIONS", url, **options)

    def head(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a HEAD request."""
        return self.request("HEAD", url, **options)

    def post(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a POST request."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a PUT request."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a PATCH request."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a DELETE request."""
        return self.request("DELETE", url, **options)


class AsyncVerbs(Generic[R]):
    """A method for every HTTP method, for code in a task."""

    @abstractmethod
    async def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a request and read the whole response."""

    async def get(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a GET request."""
        return await self.request("GET", url, **options)

    async def options(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send an OPTIONS request."""
        return await self.request("OPTIONS", url, **options)

    async def head(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a HEAD request."""
        return await self.request("HEAD", url, **options)

    async def post(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a POST request."""
        return await self.request("POST", url, **options)

    async def put(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a PUT request."""
        return await self.request("PUT", url, **options)

    async def patch(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a PATCH request."""
        return await self.request("PATCH", url, **options)

    async def delete(self, url: str, **options: Unpack[RequestOptions]) -> R:
        """Send a DELETE request."""
        return await self.request("DELETE", url, **options)
