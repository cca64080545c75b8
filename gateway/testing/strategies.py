"""Hypothesis strategies for tests of servers, adapters, middleware and frameworks.

A conformant server may send every drawn value, however odd. So a failure is a fault of the code under test. Needs
hypothesis (extra ``testing``).

Sources: RFC 9110 sections 5.1, 5.5, 9.1; RFC 3986 section 3.3; ASGI HTTP 2.5 "HTTP Connection Scope"; PEP 3333 "environ
Variables".
"""

from __future__ import annotations

from io import BytesIO
from urllib.parse import quote

from gateway.errors import MissingExtraError
from gateway.protocols import Environ, Scope
from gateway.testing._request import Head, ServerSettings, build_environ, build_scope

try:
    from hypothesis import strategies as st
except ImportError:  # pragma: no cover  # the suite has it
    raise MissingExtraError("gateway.testing.strategies", "testing", package="hypothesis") from None

__all__ = [
    "bodies",
    "chunkings",
    "environs",
    "header_names",
    "header_values",
    "headers",
    "heads",
    "methods",
    "paths",
    "query_strings",
    "scopes",
    "statuses",
]

_TCHAR = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
# Headers that a server handles itself, or that depend on the body.
_NOT_DRAWN = {
    *("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "content-length"),
    *("host", "trailer", "expect", "proxy"),
}
_QUERY = "abcXYZ019-._~!$&'()*+,;=:@/?%20"


def methods() -> st.SearchStrategy[str]:
    """A method: mostly a known method, sometimes another upper-case token."""
    known = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    return st.one_of(known, st.sampled_from(["PROPFIND", "M-SEARCH", "QUERY", "PURGE"]))


def statuses() -> st.SearchStrategy[int]:
    """A final status that may have a body."""
    return st.integers(200, 599).filter(lambda status: status not in (204, 205, 304))


def header_names() -> st.SearchStrategy[bytes]:
    """A lower-case header name: a token, without the names that a server or the body decides."""
    common = st.sampled_from([b"accept", b"cookie", b"x-forwarded-for", b"range", b"if-none-match", b"x-custom"])
    odd = st.text(_TCHAR, min_size=1, max_size=20).filter(lambda name: name not in _NOT_DRAWN)
    return st.one_of(common, odd.map(lambda name: name.encode("ascii")))


def header_values() -> st.SearchStrategy[bytes]:
    """A header value: visible bytes and latin-1, with spaces and tabs inside, but not at the ends."""
    allowed = bytes([9, *range(32, 127), *range(128, 256)])
    return st.lists(st.sampled_from(allowed), max_size=40).map(lambda value: bytes(value).strip(b" \t"))


def headers(max_size: int = 8) -> st.SearchStrategy[list[tuple[bytes, bytes]]]:
    """Header lines in order; names may repeat."""
    pool = st.lists(header_names(), min_size=1, max_size=max_size)
    return pool.flatmap(
        lambda names: st.lists(st.tuples(st.sampled_from(names), header_values()), max_size=max_size),
    )


def paths() -> st.SearchStrategy[str]:
    """A decoded path that starts with a slash: dots, empty segments, encoded slashes, any script."""
    segment = st.one_of(
        st.sampled_from(["", ".", "..", "a", "a b", "%2F", "é", "日本", "+", ";v=1", "?", "#"]),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8),
    )
    return st.lists(segment, max_size=5).map(lambda segments: "/" + "/".join(segments))


def query_strings() -> st.SearchStrategy[bytes]:
    """A percent-encoded query, without the question mark."""
    return st.text(_QUERY, max_size=30).map(lambda query: query.replace("%", "%25").encode("ascii"))


def bodies(max_size: int = 2048) -> st.SearchStrategy[bytes]:
    """A body: often empty or small, sometimes up to ``max_size`` bytes, with line ends in difficult places."""
    return st.one_of(
        st.sampled_from([b"", b"\r\n", b"0\r\n\r\n", b"\x00", b"a=b&a=c", b"{}"]), st.binary(max_size=max_size)
    )


def chunkings(body: st.SearchStrategy[bytes] | None = None, max_chunks: int = 8) -> st.SearchStrategy[list[bytes]]:
    """A body in chunks, some empty: whole, byte by byte, or cut anywhere. Joined, the chunks are the body."""

    def cut_at(body: bytes) -> st.SearchStrategy[list[bytes]]:
        places = st.lists(st.integers(0, len(body)), max_size=max_chunks - 1).map(sorted)
        anywhere = places.map(
            lambda at: [body[start:end] for start, end in zip([0, *at], [*at, len(body)], strict=True)]
        )
        bytewise = [body[place : place + 1] for place in range(len(body))] if len(body) <= 64 else [body]
        return st.one_of(st.just([body]), st.just(bytewise or [b""]), anywhere)

    return (bodies() if body is None else body).flatmap(cut_at)


@st.composite
def heads(draw: st.DrawFn) -> Head:
    """The request line and headers of a request, for scopes and environs."""
    target = quote(draw(paths()), safe="/").encode("ascii")
    query = draw(query_strings())
    lines = [(b"host", b"example.test"), *draw(headers())]
    return Head.of(
        draw(methods()),
        draw(st.sampled_from(["http", "https"])),
        "example.test",
        draw(st.sampled_from([None, 80, 443, 8080])),
        target + b"?" + query if query else target,
        lines,
    )


def _settings() -> st.SearchStrategy[ServerSettings]:
    return st.builds(
        ServerSettings,
        root_path=st.sampled_from(["", "/app", "/a/b", "/é"]),
        client=st.sampled_from([("127.0.0.1", 50000), ("::1", 1), None]),
        http_version=st.sampled_from(["1.0", "1.1", "2"]),
        extensions=st.sampled_from([(), ("pathsend",), ("trailers", "early_hint")]),
    )


def scopes() -> st.SearchStrategy[Scope]:
    """A conformant HTTP scope."""
    return st.builds(build_scope, heads(), _settings(), st.sampled_from([None, {"pool": 1}]))


def environs(body: st.SearchStrategy[bytes] | None = None) -> st.SearchStrategy[Environ]:
    """A conformant environ, with a new ``wsgi.input`` that holds a body, and its length in CONTENT_LENGTH."""

    def build(head: Head, settings: ServerSettings, content: bytes) -> Environ:
        environ = build_environ(head, settings, body=BytesIO(content))
        environ["CONTENT_LENGTH"] = str(len(content))
        return environ

    return st.builds(build, heads(), _settings(), bodies() if body is None else body)
