"""Print the settings that Gunicorn would have: ``python -m gateway.servers._gunicorn_settings ARGUMENTS``, as JSON.

Gunicorn combines its command line, ``GUNICORN_CMD_ARGS`` and a configuration file, which is a Python program. So
Gunicorn itself reads them, in a process of its own: it changes the current folder, and the file may do anything.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

__all__: list[str] = []

_WANTED = ("keepalive", "graceful_timeout", "forwarded_allow_ips", "preload_app", "worker_class_str")
_HOOKS = "gateway.servers.gunicorn_hooks"


def _settings(arguments: list[str]) -> dict[str, str]:
    sys.argv = ["gunicorn", *arguments, "none:none"]  # Gunicorn requires an application, but does not import it
    wsgiapp: Any = import_module("gunicorn.app.wsgiapp")  # Gunicorn has no types
    read = wsgiapp.WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn").cfg
    settings = {name: str(getattr(read, name)) for name in _WANTED}
    # The configuration has run, and nothing else in this process imports the hooks.
    return {**settings, "hooks": "yes" if _HOOKS in sys.modules else ""}


if __name__ == "__main__":
    found = _settings(sys.argv[1:])  # a configuration may print, so the JSON goes on a line of its own
    sys.stdout.write(f"\n{json.dumps(found)}\n")
