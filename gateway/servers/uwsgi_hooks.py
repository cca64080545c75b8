"""uWSGI's hooks for an ASGI application: startup in each worker after the fork, shutdown when the worker ends.

``uwsgi --import gateway.servers.uwsgi_hooks``, after the module of the application. Enable threads with
``--enable-threads`` or ``--threads``, because the application's event loop runs in a thread.

The hooks start only the application that ``--module`` names, and the applications that it reaches.

Sources: uWSGI documentation "uwsgi API", ``--import``; measured with 2.0.30. ``uwsgi.opt`` holds the options.
``postfork`` functions run in each worker if the master imported the application. With ``--lazy-apps`` they never run,
because the worker imports this module after the fork. ``uwsgi.atexit`` runs in both cases.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Protocol, cast

from gateway.adapters.asgi_to_wsgi import close_all, start_all

__all__ = ["install"]


class _Uwsgi(Protocol):
    """The part of uWSGI's own module that this module uses."""

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
    """Find the callable that ``--module`` names; None if the server got another form (a file, a factory).

    With ``--lazy-apps`` the server would import the application's module after this one, so this function imports it.
    """
    named = uwsgi.opt.get("module") or uwsgi.opt.get("wsgi")
    if not isinstance(named, bytes):  # the option is given several times, or not at all
        return None
    module, _, name = named.decode().partition(":")
    default = uwsgi.opt.get("callable", b"application")
    return getattr(
        importlib.import_module(module), name or (default.decode() if isinstance(default, bytes) else ""), None
    )


if "uwsgi" in sys.modules:  # only inside the server, which adds the module
    install(cast("_Uwsgi", sys.modules["uwsgi"]))
