"""Which servers a test runs: all that are installed, or those of the detailed tables.

``ALL`` has every server that the extra ``test`` installs, and those of ``KNOWN`` that are installed here all the same.
``DETAILED`` has the servers that the tables of disconnects and stop signals hold. Every server of ``ALL`` serves two
applications and ends or cuts a request in flight (tests/gateway/cli/test_run_servers.py), is compared request by
request (tests/gateway/matrix), and passes the headers of a proxy on (test_forwarded.py).
"""

from __future__ import annotations

import signal
from pathlib import Path

from gateway import servers

#: Described, and run if they are installed: they need a compiler, or cannot do what the suite needs.
KNOWN = (
    "uwsgi",
    "mod-wsgi",  # test_mod_wsgi.py runs it as another user, because Apache refuses to serve as root
    "bjoern",
    "aiohttp-wsgi",
    "socketify-asgi",
    "socketify-wsgi",
    "fastpysgi",
    "eventlet",
)
ALL = tuple(name for name in servers.names() if name not in KNOWN or servers.get(name).installed())
DETAILED = (
    "uvicorn",
    "gunicorn-gthread",
    "granian-asgi",
    "granian-wsgi",
    "hypercorn-asyncio",
    "waitress",
    "cheroot",
    "gunicorn-asgi",
    "gunicorn-sync",
    "daphne",
    "pyuwsgi",
    "granian-rsgi",
    "hypercorn-trio",
    "werkzeug",
    "wsgiref",
    "gunicorn-gevent",
    "gevent",
)


def catches(pid: int, signum: signal.Signals) -> bool:
    """Whether a process has a handler for a signal; without one, the kernel drops the signal for process 1."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (mask,) = (int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
    return bool(mask >> (signum - 1) & 1)
