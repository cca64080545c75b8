"""The known quirks: what servers and proxies do to the built-in requests, as data.

An entry names servers with the versions in which it was seen, requests, a point of the response, its exact value and
the reason. So a server that behaves otherwise shows as an unknown difference, and a quirk that is gone shows as stale.
The reference page of the documentation is generated from this table.

(Above 400 lines, because it is one table.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gateway.matrix._compare import Quirk

__all__ = ["QUIRKS"]


def _known(why: str, *quirks: Quirk) -> Iterator[Quirk]:
    for quirk in quirks:
        yield replace(quirk, why=why)


QUIRKS: tuple[Quirk, ...] = (
    *_known(
        "It joins two Cookie headers without the '; ' that separates cookies, so an application reads them wrongly.",
        Quirk(
            servers={"waitress": ">=3", "pyuwsgi": ">=2", "mod-wsgi": ">=6"},
            requests=("two Cookie headers",),
            point="cookie",
            value="a=1, b=2",
        ),
        Quirk(
            servers={
                "gunicorn-gthread": ">=27",
                "gunicorn-sync": ">=27",
                "pyvoy-wsgi": ">=1",
                "twisted": ">=26",
                "tornado": ">=6",
                "werkzeug": ">=3",
                "wsgiref": ">=3.11",
                "gunicorn-gevent": ">=27",
            },
            requests=("two Cookie headers",),
            point="cookie",
            value="a=1,b=2",
        ),
        Quirk(servers={"granian-wsgi": ">=2"}, requests=("two Cookie headers",), point="cookie", value="a=1;b=2"),
    ),
    *_known(
        "It keeps only the last of several headers with the same name.",
        Quirk(servers={"cheroot": ">=11"}, requests=("repeated header",), point="x-dup", value="two"),
        Quirk(servers={"cheroot": ">=11"}, requests=("two Cookie headers",), point="cookie", value="b=2"),
    ),
    *_known(
        "It reads an underscore in a header name as a dash, so a client can forge a header that a proxy removes.",
        Quirk(
            servers={"granian-wsgi": ">=2", "cheroot": ">=11", "twisted": ">=26", "tornado": ">=6"},
            requests=("underscore in a header", "underscore beside a dash"),
            point="x-under",
            value="evil",
        ),
        Quirk(
            servers={"pyuwsgi": ">=2", "pyvoy-wsgi": ">=1", "wsgiref": ">=3.11"},
            requests=("underscore in a header",),
            point="x-under",
            value="evil",
        ),
        Quirk(
            servers={"pyuwsgi": ">=2", "pyvoy-wsgi": ">=1", "wsgiref": ">=3.11"},
            requests=("underscore beside a dash",),
            point="x-under",
            value="good,evil",
        ),
    ),
    *_known(
        "It drops the bytes of a request header that are not UTF-8 text.",
        Quirk(servers={"granian-wsgi": ">=2"}, requests=("latin-1 header",), point="x-latin", value=""),
        Quirk(servers={"granian-rsgi": ">=2"}, requests=("latin-1 header",), point="x-latin", value="missing"),
    ),
    *_known(
        "It removes the Host header from the request.",
        Quirk(
            servers={"caddysnake": ">=0.3"},
            requests=(
                "query",
                "encoded path",
                "encoded slash",
                "absolute target",
                "unknown method",
                "repeated header",
                "two Cookie headers",
                "underscore in a header",
                "underscore beside a dash",
                "latin-1 header",
                "empty header",
                "long header",
                "upload",
                "large upload",
                "upload without a type",
                "empty upload",
                "chunked upload",
                "Expect: 100-continue",
                "HTTP/1.0",
                "second request of a connection",
                "client that leaves in its upload",
            ),
            point="host",
            value="missing",
        ),
    ),
    *_known(
        "It passes the absolute form of a request target on as the path.",
        Quirk(servers={"twisted": ">=26"}, requests=("absolute target",), point="path", value="/ttp://localhost/a"),
        Quirk(
            servers={
                "hypercorn-asyncio": ">=0.18",
                "gunicorn-asgi": ">=27",
                "daphne": ">=4",
                "anycorn": ">=0.20",
                "uvicorn-h11": ">=0.54",
                "pyuwsgi": ">=2",
                "hypercorn-trio": ">=0.18",
                "tornado": ">=6",
                "wsgiref": ">=3.11",
                "gevent": ">=26",
            },
            requests=("absolute target",),
            point="path",
            value="http://localhost/a",
        ),
    ),
    *_known(
        "It refuses a target that is not a path with one slash at the start.",
        Quirk(servers={"cheroot": ">=11"}, requests=("two slashes", "absolute target"), point="status", value="400"),
    ),
    *_known(
        "It merges several slashes at the start of the path into one.",
        Quirk(
            servers={"waitress": ">=3", "werkzeug": ">=3", "wsgiref": ">=3.11"},
            requests=("two slashes",),
            point="path",
            value="/a//b",
        ),
    ),
    *_known(
        "It merges several slashes into one, anywhere in the path.",
        Quirk(servers={"mod-wsgi": ">=6"}, requests=("two slashes",), point="path", value="/a/b"),
    ),
    *_known(
        "It resolves dot segments before the application sees the path.",
        Quirk(servers={"pyuwsgi": ">=2", "mod-wsgi": ">=6"}, requests=("dot segments",), point="path", value="/b/c"),
    ),
    *_known(
        "It redirects a path with dot segments or several slashes to the clean path.",
        Quirk(servers={"caddysnake": ">=0.3"}, requests=("two slashes", "dot segments"), point="status", value="301"),
    ),
    *_known(
        "It does not decode %2F, or decodes %252F twice, so an application cannot tell which one the client sent.",
        Quirk(servers={"cheroot": ">=11"}, requests=("encoded slash",), point="path", value="/a%2Fb%2F"),
        Quirk(servers={"caddysnake": ">=0.3"}, requests=("encoded slash",), point="path", value="/a/b/"),
    ),
    *_known(
        "It refuses a path with an encoded slash, %2F.",
        Quirk(servers={"mod-wsgi": ">=6"}, requests=("encoded slash",), point="status", value="404"),
    ),
    *_known(
        "It replaces or refuses a path whose bytes are not UTF-8, or does not respond.",
        Quirk(servers={"h2corn": ">=2"}, requests=("path without UTF-8",), point="path", value="/%FF"),
        Quirk(
            servers={"granian-rsgi": ">=2", "werkzeug": ">=3"},
            requests=("path without UTF-8",),
            point="path",
            value="/�",
            application="wsgi",
        ),
        Quirk(servers={"pyvoy-asgi": ">=1"}, requests=("path without UTF-8",), point="response", value="none"),
        Quirk(servers={"anycorn": ">=0.20"}, requests=("path without UTF-8",), point="status", value="400"),
        Quirk(servers={"caddysnake": ">=0.3"}, requests=("path without UTF-8",), point="status", value="502"),
    ),
    *_known(
        "It gives a request without Content-Type the type text/plain.",
        Quirk(
            servers={"wsgiref": ">=3.11"},
            requests=(
                "query",
                "encoded path",
                "encoded slash",
                "two slashes",
                "dot segments",
                "absolute target",
                "unknown method",
                "repeated header",
                "two Cookie headers",
                "underscore in a header",
                "underscore beside a dash",
                "latin-1 header",
                "empty header",
                "long header",
                "upload without a type",
                "empty upload",
                "HTTP/1.0",
                "path without UTF-8",
            ),
            point="content-type",
            value="text/plain",
        ),
        Quirk(
            servers={"wsgiref": ">=3.11"},
            requests=("second request of a connection",),
            point="content-type",
            value="text/plain",
            when="sometimes",
        ),
    ),
    *_known(
        "The application sees an empty body if the client sends it in chunks.",
        Quirk(servers={"pyvoy-wsgi": ">=1"}, requests=("chunked upload",), point="body digest", value="da39a3ee"),
        Quirk(
            servers={"pyuwsgi": ">=2"},
            requests=("chunked upload",),
            point="body digest",
            value="da39a3ee",
            application="wsgi",
        ),
        Quirk(servers={"pyvoy-wsgi": ">=1"}, requests=("chunked upload",), point="body length", value="0"),
        Quirk(
            servers={"pyuwsgi": ">=2"}, requests=("chunked upload",), point="body length", value="0", application="wsgi"
        ),
    ),
    *_known(
        "It does not decode chunked request bodies, so our runner refuses them.",
        Quirk(servers={"wsgiref": ">=3.11"}, requests=("chunked upload",), point="status", value="501"),
    ),
    *_known(
        "wsgi.input.read(n) returns fewer than n bytes before the end of the body.",
        Quirk(
            servers={"pyvoy-wsgi": ">=1"},
            requests=("large upload", "client that leaves in its upload"),
            point="read(n) gives n bytes",
            value="no",
            when="sometimes",
        ),
    ),
    *_known(
        "It does not respond to Expect: 100-continue, so a client waits before it sends the body.",
        Quirk(
            servers={"pyuwsgi": ">=2", "wsgiref": ">=3.11"},
            requests=("Expect: 100-continue",),
            point="interim",
            value="0",
        ),
    ),
    *_known(
        "After an upload that the application does not read, it does not close the connection as the client asked, "
        "because it waits for more.",
        Quirk(servers={"werkzeug": ">=3"}, requests=("upload that nobody reads",), point="connection", value="open"),
        Quirk(servers={"werkzeug": ">=3"}, requests=("home POST",), point="connection", value="open", when="sometimes"),
        Quirk(
            servers={"hypercorn-asyncio": ">=0.18", "hypercorn-trio": ">=0.18", "anycorn": ">=0.20"},
            requests=("upload that nobody reads",),
            point="connection",
            value="open",
            when="sometimes",
        ),
    ),
    *_known(
        "It sends a response only when it is complete, and then with its length.",
        Quirk(
            servers={"tornado": ">=6"},
            requests=("stream", "HTTP/1.0 stream"),
            point="header content-length",
            value="1048576",
        ),
        Quirk(servers={"tornado": ">=6"}, requests=("stream at once",), point="at once", value="no"),
        Quirk(servers={"tornado": ">=6"}, requests=("stream at once",), point="header content-length", value="10"),
    ),
    *_known(
        "It adds Content-Length: 0 to a response without a body, even if that is not its length.",
        Quirk(
            servers={"tornado": ">=6"},
            requests=("204", "HEAD without a length"),
            point="header content-length",
            value="0",
        ),
        Quirk(
            servers={"wsgiref": ">=3.11"},
            requests=("204", "304", "HEAD without a length"),
            point="header content-length",
            value="0",
        ),
        Quirk(
            servers={"h2corn": ">=2"},
            requests=("304", "HEAD without a length"),
            point="header content-length",
            value="0",
        ),
        Quirk(
            servers={"gevent": ">=26"}, requests=("HEAD without a length",), point="header content-length", value="0"
        ),
    ),
    *_known(
        "It adds a Content-Type to a response without a body.",
        Quirk(
            servers={"tornado": ">=6"}, requests=("204",), point="header content-type", value="text/html; charset=UTF-8"
        ),
    ),
    *_known(
        "It sends the end of a chunked body after the headers of a HEAD response.",
        Quirk(servers={"waitress": ">=3"}, requests=("HEAD without a length",), point="body", value="0\r\n\r\n"),
    ),
    *_known(
        "It sends response headers in another order: sorted by name, or with equal names together.",
        Quirk(
            servers={"waitress": ">=3", "caddysnake": ">=0.3"},
            requests=("response headers",),
            point="header order",
            value="content-length, content-type, set-cookie, set-cookie, x-a, x-b, x-latin",
        ),
        Quirk(
            servers={
                "granian-asgi": ">=2",
                "granian-wsgi": ">=2",
                "daphne": ">=4",
                "granian-rsgi": ">=2",
                "twisted": ">=26",
                "tornado": ">=6",
            },
            requests=("response headers",),
            point="header order",
            value="content-type, x-b, set-cookie, set-cookie, x-a, x-latin, content-length",
        ),
        Quirk(
            servers={"mod-wsgi": ">=6"},
            requests=("response headers",),
            point="header order",
            value="content-length, x-b, x-a, x-latin, set-cookie, set-cookie, content-type",
        ),
    ),
    *_known(
        "It sends non-ASCII header values as UTF-8 instead of Latin-1.",
        Quirk(
            servers={"granian-wsgi": ">=2", "granian-rsgi": ">=2", "pyvoy-wsgi": ">=1"},
            requests=("response headers",),
            point="header x-latin",
            value="cafÃ©",
        ),
    ),
    *_known(
        "If the application raises within the body, the client cannot see that the response is incomplete.",
        Quirk(
            servers={"pyuwsgi": ">=2", "caddysnake": ">=0.3", "mod-wsgi": ">=6"},
            requests=("exception in the body",),
            point="complete",
            value="yes",
        ),
        Quirk(
            servers={"wsgiref": ">=3.11"},
            requests=("exception in the body",),
            point="complete",
            value="yes",
            when="sometimes",
        ),
    ),
    *_known(
        "If the application raises within the body, it keeps the connection open, so the client waits for the rest.",
        Quirk(servers={"daphne": ">=4"}, requests=("exception in the body",), point="connection", value="open"),
    ),
    *_known(
        "If the application raises within the body, it sends nothing.",
        Quirk(servers={"tornado": ">=6"}, requests=("exception in the body",), point="response", value="none"),
        Quirk(
            servers={"granian-wsgi": ">=2"},
            requests=("exception in the body",),
            point="response",
            value="none",
            application="asgi",
            when="sometimes",
        ),
    ),
    *_known(
        "If the application raises before its headers, it closes the connection without a response.",
        Quirk(servers={"pyuwsgi": ">=2", "tornado": ">=6"}, requests=("exception",), point="response", value="none"),
    ),
    *_known(
        "It closes every connection after one response.",
        Quirk(
            servers={"gunicorn-sync": ">=27", "pyuwsgi": ">=2", "wsgiref": ">=3.11"},
            requests=("second request of a connection",),
            point="response",
            value="none",
        ),
        Quirk(
            servers={"werkzeug": ">=3"},
            requests=("second request of a connection",),
            point="response",
            value="none",
            when="sometimes",
        ),
    ),
    *_known(
        "It refuses HTTP/1.0.",
        Quirk(servers={"h2corn": ">=2"}, requests=("HTTP/1.0", "HTTP/1.0 stream"), point="status", value="400"),
        Quirk(
            servers={"pyvoy-asgi": ">=1", "pyvoy-wsgi": ">=1"},
            requests=("HTTP/1.0", "HTTP/1.0 stream"),
            point="status",
            value="426",
        ),
    ),
    *_known(
        "It sends no lifespan events.",
        Quirk(servers={"daphne": ">=4", "caddysnake": ">=0.3"}, requests=("lifespan",), point="started", value="False"),
    ),
    *_known(
        "It is a WSGI server, so a WebSocket handshake reaches the application as an HTTP request.",
        Quirk(
            servers={
                "gunicorn-gthread": ">=27",
                "granian-wsgi": ">=2",
                "waitress": ">=3",
                "cheroot": ">=11",
                "gunicorn-sync": ">=27",
                "pyuwsgi": ">=2",
                "pyvoy-wsgi": ">=1",
                "twisted": ">=26",
                "tornado": ">=6",
                "werkzeug": ">=3",
                "wsgiref": ">=3.11",
                "mod-wsgi": ">=6",
            },
            requests=("WebSocket",),
            point="status",
            value="200",
        ),
    ),
    *_known(
        "It sends the body of a response to HEAD.",
        Quirk(
            servers={"pyvoy-asgi": ">=1"},
            requests=("home HEAD",),
            point="body",
            value='{"detail":"Method Not Allowed"}',
            when="sometimes",
        ),
    ),
    *_known(
        "It closes the connection if the application raises, and a proxy then responds with 502.",
        Quirk(servers={"pyuwsgi": ">=2"}, requests=("exception",), point="status", value="502", when="sometimes"),
        Quirk(
            servers={"tornado": ">=6"},
            requests=("exception", "exception in the body"),
            point="status",
            value="502",
            when="sometimes",
        ),
        Quirk(
            servers={"granian-wsgi": ">=2"},
            requests=("exception in the body",),
            point="status",
            value="502",
            when="sometimes",
        ),
    ),
    *_known(
        "It closes the connection of a chunked upload that it does not read, and a proxy may then respond with 502.",
        Quirk(servers={"pyuwsgi": ">=2"}, requests=("chunked upload",), point="status", value="502", when="sometimes"),
    ),
    *_known(
        "It compresses responses for a client that accepts it, as Caddy in front of it does.",
        Quirk(
            servers={"caddysnake": ">=0.3"},
            requests=("stream", "large response", "304", "HTTP/1.0 stream"),
            point="header vary",
            value="Accept-Encoding",
            when="sometimes",
        ),
        Quirk(
            servers={"caddysnake": ">=0.3"},
            requests=("large response",),
            point="header content-length",
            value="missing",
            when="sometimes",
        ),
    ),
    *_known(
        "It does not end a stream for an HTTP/1.0 client that asks to keep the connection, as HAProxy does.",
        Quirk(
            servers={"gevent": ">=26"},
            requests=("HTTP/1.0 stream",),
            point="response",
            value="incomplete",
            when="sometimes",
        ),
    ),
    *_known(
        "It sends Content-Type and Content-Length first.",
        Quirk(
            servers={"nginx": ">=1.22"},
            requests=("response headers",),
            point="header order",
            value="content-type, content-length, set-cookie, set-cookie, x-a, x-b, x-latin",
            when="proxied",
        ),
        Quirk(
            servers={"nginx": ">=1.22"},
            requests=("response headers",),
            point="header order",
            value="content-type, content-length, x-b, set-cookie, set-cookie, x-a, x-latin",
            when="proxied",
        ),
        Quirk(
            servers={"nginx": ">=1.22"},
            requests=("response headers",),
            point="header order",
            value="content-type, content-length, x-b, set-cookie, x-a, set-cookie, x-latin",
        ),
    ),
    *_known(
        "It sends response headers in another order: sorted by name.",
        Quirk(
            servers={"caddy": ">=2.6"},
            requests=("response headers",),
            point="header order",
            value="content-length, content-type, set-cookie, set-cookie, x-a, x-b, x-latin",
        ),
    ),
    *_known(
        "If the server cuts a response, the client cannot see that the response is incomplete.",
        Quirk(servers={"caddy": ">=2.6"}, requests=("exception in the body",), point="complete", value="yes"),
    ),
)
