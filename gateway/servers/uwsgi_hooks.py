"""uWSGI's hooks for an ASGI application: startup in each worker after the fork, shutdown when the worker ends.

``uwsgi --import gateway.servers.uwsgi_hooks``, after the module of the application. Threads must be enabled, since the
application's loop runs in one: ``--enable-threads``, or ``--threads``.

The hooks start what ``--module`` names and what it reaches, and nothing else.

Sources: uWSGI documentation "uwsgi API", ``--import``; measured with 2.0.30: ``uwsgi.opt`` holds the options;
``postfork`` functions run in each worker when the application was imported by the master, and never with
``--lazy-apps``, where the import of this module comes after the fork; ``uwsgi.atexit`` runs in either.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Protocol, cast

from gateway.adapters.asgi_to_wsgi import close_all, start_all

__all__ = ["install"]


class _Uwsgi(Protocol):
    """The part of uWSGI's own module that is used here."""

    post_fork_hook: object
    atexit: object
    opt: Mapping[str, object]

    def worker_id(self) -> int: ...


def install(uwsgi: _Uwsgi) -> None:
    """Register startup and shutdown with the server that runs this process."""
    previous = getattr(uwsgi, "post_fork_hook", None)
    previous_end = getattr(uwsgi, "atexit", None)

    def start() -> None:
        if callable(previous):
            previous()
        start_all(_served(uwsgi))

    def end() -> None:
        close_all()
        if callable(previous_end):
            previous_end()

    if uwsgi.worker_id() == 0:  # the master, which forks later
        uwsgi.post_fork_hook = start
    else:
        start_all(_served(uwsgi))
    uwsgi.atexit = end


def _served(uwsgi: _Uwsgi) -> object:
    """Find the callable that ``--module`` names; None if the server was given another form (a file, a factory).

    With ``--lazy-apps`` the server imports the module after this one, so it is imported here.
    """
    named = uwsgi.opt.get("module") or uwsgi.opt.get("wsgi")
    if not isinstance(named, bytes):  # named more than once, or not at all
        return None
    module, _, name = named.decode().partition(":")
    default = uwsgi.opt.get("callable", b"application")
    return getattr(
        importlib.import_module(module), name or (default.decode() if isinstance(default, bytes) else ""), None
    )


if "uwsgi" in sys.modules:  # inside the server only, which puts it there
    install(cast("_Uwsgi", sys.modules["uwsgi"]))
