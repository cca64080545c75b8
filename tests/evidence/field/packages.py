"""The packages of the report: versions, parsers, commands of the servers, imports of the adapters."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata

__all__ = ["ASGI", "H2", "PACKAGES", "PORT", "UNIX", "WSGI", "WSGI_TO_ASGI", "Package"]

#: The port that a program names; a run puts a free one in its place.
PORT = "8000"


@dataclass(frozen=True)
class Package:
    """A package that the report examines.

    Attributes:
        distribution: Its name at the package index, or "" for a part of Python.
        title: Its name in the report.
        command: Words of the server's command after ``python``, or the import of an adapter.
        parser: The HTTP parser of a server, in words.
        reads: Distribution of that parser, if it has its own version.
        instead: Its successor by its own documentation, if it is deprecated.
    """

    distribution: str
    title: str
    command: tuple[str, ...] = ()
    parser: str = ""
    reads: str = ""
    instead: str = ""

    @property
    def version(self) -> str:
        """Its version; that of Python for a part of Python."""
        return metadata.version(self.distribution) if self.distribution else f"Python {platform.python_version()}"

    @property
    def reader(self) -> str:
        """Return the parser with its version."""
        return f"{self.parser} {metadata.version(self.reads)}" if self.reads else self.parser


def _code(module: str, code: str) -> tuple[str, ...]:
    return ("-c", f"from program import app; {module}; {code}")


_OWN = "its own parser"
_PYTHON = f"http.server of Python {platform.python_version()}"

WSGI = ("cheroot", "gevent", "granian", "gunicorn", "pyuwsgi", "waitress", "werkzeug", "wsgiref")
ASGI = ("daphne", "granian-asgi", "gunicorn-asgi", "hypercorn", "uvicorn", "uvicorn-h11")
#: The servers that speak HTTP/2 without TLS.
H2 = ("granian-h2", "gunicorn-h2", "hypercorn-h2")
#: The servers of a unix socket.
UNIX = ("daphne-unix", "granian-unix", "gunicorn-unix", "hypercorn-unix", "uvicorn-unix")
WSGI_TO_ASGI = ("a2wsgi", "asgiref", "hypercorn-wsgi", "starlette", "uvicorn-wsgi")

_GRANIAN = ("-m", "granian", "--port", PORT, "--interface")
_GUNICORN = ("-m", "gunicorn", "-b", f"127.0.0.1:{PORT}", "--no-control-socket")
_UVICORN = ("-m", "uvicorn", "--port", PORT, "program:app", "--http")

PACKAGES: dict[str, Package] = {
    "cheroot": Package("cheroot", "cheroot", ("-m", "cheroot", "--bind", f"127.0.0.1:{PORT}", "program:app"), _OWN),
    "gevent": Package(
        "gevent",
        "gevent",
        _code("from gevent.pywsgi import WSGIServer", f"WSGIServer(('127.0.0.1', {PORT}), app).serve_forever()"),
        _OWN,
    ),
    "granian": Package("granian", "granian (WSGI)", (*_GRANIAN, "wsgi", "program:app"), "hyper"),
    "gunicorn": Package("gunicorn", "gunicorn", (*_GUNICORN, "program:app"), "its own parser in Python"),
    "pyuwsgi": Package(
        "pyuwsgi",
        "pyuwsgi",
        (
            "-c",
            f"import pyuwsgi; pyuwsgi.run(['--http-socket', '127.0.0.1:{PORT}', '--module', 'program:app', "
            "'--master', '--need-app', '--die-on-term'])",
        ),
        _OWN,
    ),
    "waitress": Package(
        "waitress", "waitress", ("-m", "waitress", "--listen", f"127.0.0.1:{PORT}", "program:app"), _OWN
    ),
    "werkzeug": Package(
        "werkzeug",
        "Werkzeug (server)",
        _code(
            "from werkzeug.serving import make_server",
            f"make_server('127.0.0.1', {PORT}, app, threaded=True).serve_forever()",
        ),
        _PYTHON,
    ),
    "wsgiref": Package(
        "",
        "wsgiref",
        _code(
            "from wsgiref.simple_server import make_server", f"make_server('127.0.0.1', {PORT}, app).serve_forever()"
        ),
        _PYTHON,
    ),
    "daphne": Package(
        "daphne", "daphne", ("-m", "daphne", "-b", "127.0.0.1", "-p", PORT, "program:app"), "Twisted", "twisted"
    ),
    "granian-asgi": Package("granian", "granian (ASGI)", (*_GRANIAN, "asgi", "program:app"), "hyper"),
    "gunicorn-asgi": Package(
        "gunicorn", "gunicorn (ASGI worker)", (*_GUNICORN, "-k", "asgi", "program:app"), "its own parser in Python"
    ),
    "hypercorn": Package(
        "hypercorn", "hypercorn", ("-m", "hypercorn", "-b", f"127.0.0.1:{PORT}", "program:app"), "h11", "h11"
    ),
    "uvicorn": Package("uvicorn", "uvicorn (httptools)", (*_UVICORN, "httptools"), "httptools", "httptools"),
    "uvicorn-h11": Package("uvicorn", "uvicorn (h11)", (*_UVICORN, "h11"), "h11", "h11"),
    "granian-h2": Package("granian", "granian (ASGI, HTTP/2)", (*_GRANIAN, "asgi", "program:app"), "hyper"),
    "granian-wsgi-h2": Package("granian", "granian (WSGI, HTTP/2)", (*_GRANIAN, "wsgi", "program:app"), "hyper"),
    "gunicorn-h2": Package(
        "gunicorn",
        "gunicorn (ASGI worker, HTTP/2)",
        (*_GUNICORN, "-k", "asgi", "--http-protocols", "h2,h1", "--http2-cleartext", "both", "program:app"),
        "h2",
        "h2",
    ),
    "gunicorn-wsgi-h2": Package(
        "gunicorn",
        "gunicorn (gthread worker, HTTP/2)",
        (*_GUNICORN, "-k", "gthread", "--http-protocols", "h2,h1", "--http2-cleartext", "both", "program:app"),
        "h2",
        "h2",
    ),
    "hypercorn-h2": Package(
        "hypercorn", "hypercorn (HTTP/2)", ("-m", "hypercorn", "-b", f"127.0.0.1:{PORT}", "program:app"), "h2", "h2"
    ),
    "daphne-unix": Package("daphne", "daphne", ("-m", "daphne", "-u", "app.sock", "program:app"), "Twisted", "twisted"),
    "granian-unix": Package(
        "granian",
        "granian (ASGI)",
        ("-m", "granian", "--uds", "app.sock", "--interface", "asgi", "program:app"),
        "hyper",
    ),
    "gunicorn-unix": Package(
        "gunicorn",
        "gunicorn (ASGI worker)",
        ("-m", "gunicorn", "-b", "unix:app.sock", "--no-control-socket", "-k", "asgi", "program:app"),
        "its own parser in Python",
    ),
    "hypercorn-unix": Package(
        "hypercorn", "hypercorn", ("-m", "hypercorn", "-b", "unix:app.sock", "program:app"), "h11", "h11"
    ),
    "uvicorn-unix": Package(
        "uvicorn",
        "uvicorn (httptools)",
        ("-m", "uvicorn", "--uds", "app.sock", "program:app", "--http", "httptools"),
        "httptools",
        "httptools",
    ),
    "a2wsgi": Package("a2wsgi", "a2wsgi WSGIMiddleware", ("a2wsgi", "WSGIMiddleware")),
    "asgiref": Package("asgiref", "asgiref WsgiToAsgi", ("asgiref.wsgi", "WsgiToAsgi")),
    "hypercorn-wsgi": Package(
        "hypercorn", "hypercorn AsyncioWSGIMiddleware", ("hypercorn.middleware", "AsyncioWSGIMiddleware")
    ),
    "starlette": Package(
        "starlette", "Starlette WSGIMiddleware", ("starlette.middleware.wsgi", "WSGIMiddleware"), instead="a2wsgi"
    ),
    # If a2wsgi is installed, uvicorn's public name is that of a2wsgi.
    "uvicorn-wsgi": Package(
        "uvicorn",
        "uvicorn WSGIMiddleware without a2wsgi",
        ("uvicorn.middleware.wsgi", "_WSGIMiddleware"),
        instead="a2wsgi",
    ),
    "a2wsgi-asgi": Package("a2wsgi", "a2wsgi ASGIMiddleware", ("a2wsgi", "ASGIMiddleware")),
    "django": Package("django", "Django (ASGI)"),
    "falcon": Package("falcon", "Falcon (ASGI)"),
    "starlette-app": Package("starlette", "Starlette"),
    "werkzeug-middleware": Package("werkzeug", "Werkzeug (middleware)"),
    "opentelemetry": Package("opentelemetry-instrumentation-wsgi", "OpenTelemetryMiddleware (WSGI)"),
    "hypercorn-middleware": Package("hypercorn", "hypercorn ProxyFixMiddleware"),
    "asgiref-uvicorn": Package(
        "asgiref", "asgiref WsgiToAsgi under uvicorn", (*_UVICORN, "httptools"), "httptools", "httptools"
    ),
}
