"""Two applications with the same responses, WSGI and ASGI, which `battery` wraps in the code under test.

The path selects the response. Both are written by hand against the specifications. They import nothing from the
adapters, so that their findings about an adapter do not depend on that adapter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

from gateway.protocols import ASGIReceive, ASGISend, Environ, Scope

__all__ = ["PROBES", "asgi_probe", "wsgi_probe"]

Answer = tuple[int, list[tuple[str, str]], list[bytes]]
_REASONS = {200: "OK", 204: "No Content", 404: "Not Found"}
_TEXT = ("content-type", "text/plain; charset=utf-8")
# The middleware or adapter in between may add or drop these on the way in.
_NOT_ECHOED = frozenset(
    ["host", "content-length", "connection", "user-agent", "accept", "accept-encoding", "te", "transfer-encoding"]
)


def _answer(path: str, seen: Callable[[], dict[str, object]]) -> Answer:
    if path == "/echo":
        body = json.dumps(seen(), sort_keys=True).encode()
        return 200, [("content-type", "application/json"), ("content-length", str(len(body)))], [body]
    if path == "/chunks":
        return 200, [_TEXT], [b"one", b"two", b"three"]
    if path == "/empty":
        return 204, [], []
    if path == "/cookies":
        return 200, [_TEXT, ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("content-length", "2")], [b"ok"]
    if path == "/big":
        return 200, [_TEXT, ("content-length", str(64 * 4096))], [b"x" * 4096] * 64
    if path in ("/raises", "/raises-late"):
        return 200, [_TEXT], [b"begun"]
    return 404, [_TEXT, ("content-length", "0")], []


def wsgi_probe(environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
    """The WSGI probe."""
    path: str = environ["PATH_INFO"]
    if path == "/raises":
        raise LookupError("the probe raises")

    def seen() -> dict[str, object]:
        headers = {
            name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        body = _read(environ)
        return _seen(
            environ["REQUEST_METHOD"],
            (environ["SCRIPT_NAME"] + path).encode("latin-1").decode("utf-8"),
            environ["QUERY_STRING"],
            headers,
            body,
        )

    status, headers, chunks = _answer(path, seen)
    start_response(f"{status} {_REASONS[status]}", headers)
    if environ["REQUEST_METHOD"] == "HEAD":
        return []
    return _raises_late(chunks) if path == "/raises-late" else _Closing(chunks)


def _read(environ: Environ) -> bytes:
    """Read the body and no further, because a server may leave the result of a later read undefined."""
    length = environ.get("CONTENT_LENGTH")
    read: Callable[..., bytes] = environ["wsgi.input"].read
    if length:
        body = b""
        while len(body) < int(length) and (part := read(int(length) - len(body))):
            body += part
        return body
    # A body of unknown length comes only with a POST here; "a server should allow read() to be called without an
    # argument".
    return read() if environ.get("wsgi.input_terminated") or environ["REQUEST_METHOD"] == "POST" else b""


def _raises_late(chunks: list[bytes]) -> Iterator[bytes]:
    yield from chunks
    raise LookupError("the probe raises late")


class _Closing:
    """An iterable that the server has to close, as a framework's is."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        self._chunks = []


async def asgi_probe(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """The ASGI probe."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] != "http":
        raise NotImplementedError(f"this application does not support {scope['type']}")
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    local = path.removeprefix(root) if root and path.startswith(root + "/") else path
    if local == "/raises":
        raise LookupError("the probe raises")
    body = bytearray()
    if local == "/echo":
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)

    def seen() -> dict[str, object]:
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            if name in ("content-type", "content-length"):
                continue
            joint = "; " if name == "cookie" else ","
            headers[name] = f"{headers[name]}{joint}{value}" if name in headers else value
        return _seen(scope["method"], path, scope.get("query_string", b"").decode("latin-1"), headers, bytes(body))

    status, answered, chunks = _answer(local, seen)
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answered]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    if scope["method"] != "HEAD":
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    if local == "/raises-late":
        raise LookupError("the probe raises late")
    await send({"type": "http.response.body", "body": b""})


def _seen(method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> dict[str, object]:
    # Lines of one name may be joined with or without a space after the comma (RFC 9110 section 5.3).
    kept = {
        name: ",".join(part.strip() for part in value.split(","))
        for name, value in headers.items()
        if name not in _NOT_ECHOED
    }
    return {"method": method, "path": path, "query": query, "headers": kept, "body": body.decode("latin-1")}


#: The probe of each interface.
PROBES = {"wsgi": wsgi_probe, "asgi": asgi_probe}
