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
    "gunicorn-sync": _WRITES,
    "gunicorn-gthread": _WRITES,
    "gunicorn-gevent": _WRITES,
    "cheroot": _WRITES,
    "werkzeug": _WRITES,
    "wsgiref": _WRITES,
    "gevent": _WRITES,
    "pyuwsgi": ("499 aborted", "499 aborted", "200 completed", "200 aborted", "200 completed"),
    "granian-wsgi": _WRITES,
    "waitress": ("-", "-", "200 completed", "200 aborted", "200 completed"),
}
#: Why a cell is something else than "499 aborted" before the headers, by server.
REASONS: Final[dict[str, str]] = {
    "daphne": "It reads the whole request body before it calls the application.",
    "waitress": "It reads the whole request body before it calls the application. It sends the response from a buffer "
    "in another thread, so a short response is complete before the server misses the client.",
    "granian-asgi": "It tells of a client that is gone only to a `receive()` that is pending at that moment.",
    "pyuwsgi": "It writes a short response into the buffer of the socket, which takes it without an error.",
}
#: The same for all WSGI servers.
WSGI_REASON: Final = (
    "A WSGI server has no message for a client that is gone. In the body its `wsgi.input` raises or ends too early. "
    "Later it finds out when it writes, and the application has given its status by then."
)
