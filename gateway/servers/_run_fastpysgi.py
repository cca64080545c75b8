"""Run FastPySGI: ``python -m gateway.servers._run_fastpysgi module:app --bind 127.0.0.1:8000``.

Its own command calls a ``Gateway`` as ASGI, and loses streamed responses then. So it gets the WSGI view here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from gateway.dual import Dual
from gateway.servers._runner import Options, run

__all__: list[str] = []


def _serve(options: Options) -> None:
    fastpysgi: Any = import_module("fastpysgi")  # it has no types
    application: object = options.application()
    wsgi = application.wsgi if isinstance(application, Dual) else application
    fastpysgi.run(wsgi, options.bind.host, options.bind.port)


if __name__ == "__main__":
    run("_run_fastpysgi", _serve)
