"""What the access log and the metrics say of a client that goes away, by server and by moment.

Each cell is the status and the outcome of the log line, and was seen on the real server; ``test_disconnects_live.py``
compares. "-" is a request for which the server never called the application, so that there is nothing to log.
``docs/reference/endings.md`` has the same table.
"""

from __future__ import annotations

from typing import Final

#: The moments at which a client leaves.
MOMENTS: Final = ("before the body", "in the body", "before the headers", "in the response", "at the end")
_SEEN: Final = ("499 aborted", "499 aborted", "499 aborted", "200 aborted", "200 completed")
_WRITES: Final = ("499 aborted", "499 aborted", "200 aborted", "200 aborted", "200 completed")
#: Servers that call an application of their own interface.
TABLE: Final[dict[str, tuple[str, str, str, str, str]]] = {
    "uvicorn": _SEEN,
    "hypercorn-asyncio": _SEEN,
    "hypercorn-trio": _SEEN,
    "gunicorn-asgi": _SEEN,
    "daphne": ("-", "-", *_SEEN[2:]),
    "granian-asgi": ("499 aborted", "499 aborted", "200 completed", "200 aborted", "200 completed"),
    "gunicorn-sync": _SEEN,
    "gunicorn-gthread": _SEEN,
    "gunicorn-gevent": _SEEN,
    "cheroot": _WRITES,
    "werkzeug": _SEEN,
    "wsgiref": _WRITES,
    "gevent": _WRITES,
    "pyuwsgi": _SEEN,
    "granian-wsgi": _WRITES,
    "waitress": ("-", "-", *_SEEN[2:]),
}
#: Why a cell is something else than "499 aborted" before the headers, by server.
REASONS: Final[dict[str, str]] = {
    "daphne, waitress": "They read the whole request body before they call the application.",
    "granian-asgi": "It tells of a client that is gone only to a `receive()` that is pending at that moment.",
    "cheroot, wsgiref, gevent, granian-wsgi": "A WSGI server has no message for a client that is gone, and these do "
    "not give their connection away. In the body `wsgi.input` raises or ends too early. Later they find out when they "
    "write, and the application has given its status by then.",
}
