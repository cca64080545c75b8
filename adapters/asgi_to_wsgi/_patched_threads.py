"""Refuse an ASGI application where gevent or eventlet has patched ``threading``.

docs/how-to/asgi-under-gunicorn.md has the measurements.

Source: gunicorn ``workers/ggevent.py``, which patches in the worker, after a preloaded application was imported.
"""

from __future__ import annotations

import sys
from typing import Any

from gateway.errors import ConfigurationError

#: Modules of gunicorn's workers that patch the standard library. Gunicorn imports only the configured worker, before it
#: preloads the application.
_PATCHING_WORKERS = ("gunicorn.workers.ggevent", "gunicorn.workers.geventlet")
#: WSGI servers that also work if threads are patched.
_GREENLET_SERVERS = ("gevent.pywsgi", "eventlet.wsgi")


def refuse_greenlet_server() -> None:
    """Refuse to build an adapter for an ASGI application in a process whose WSGI server patches threads.

    Raises:
        ConfigurationError: The server has patched threads, or will do so after the fork.
    """
    if any(name in sys.modules for name in _PATCHING_WORKERS):
        raise _refusal()
    if any(name in sys.modules for name in _GREENLET_SERVERS):
        refuse_patched_threads()


def refuse_patched_threads() -> None:
    """Refuse to run an ASGI application in a process where ``threading`` makes greenlets.

    Raises:
        ConfigurationError: gevent or eventlet has patched ``threading``.
    """
    monkey: Any = sys.modules.get("gevent.monkey")
    patcher: Any = sys.modules.get("eventlet.patcher")
    if (monkey is not None and monkey.is_module_patched("threading")) or (
        patcher is not None and patcher.is_monkey_patched("thread")
    ):
        raise _refusal()


def _refusal() -> ConfigurationError:
    return ConfigurationError(
        "ASGI applications and ASGI middleware need real threads, which gevent and eventlet replace with greenlets: "
        "run gunicorn with --worker-class gthread or --worker-class asgi instead"
    )
