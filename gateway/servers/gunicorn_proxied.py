"""Gunicorn's hooks for a chain with ``ProxyHeaders``, so that only ``ProxyHeaders`` decides which headers to trust.

``gunicorn --config python:gateway.servers.gunicorn_proxied``, or in ``gunicorn.conf.py``::

    from gateway.servers.gunicorn_proxied import *

Gunicorn takes the scheme from ``X-Forwarded-Proto``, ``X-Forwarded-Protocol`` and ``X-Forwarded-Ssl`` of this machine
and of every client on a unix socket. It responds with 400 if they disagree. An empty table turns both off. Gunicorn
does not have a command line option for it.

Sources: Gunicorn settings ``secure_scheme_headers``, ``forwarded_allow_ips``.
"""

from __future__ import annotations

from gateway.servers.gunicorn_hooks import child_exit, on_starting, post_worker_init, worker_exit

__all__ = ["child_exit", "on_starting", "post_worker_init", "secure_scheme_headers", "worker_exit"]

secure_scheme_headers: dict[str, str] = {}
