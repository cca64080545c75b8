"""Run a server's own module so that SIGTERM drains it: ``python -m gateway.servers._drain_on_sigterm waitress …``.

waitress and cheroot drain on SIGINT and have no handler for SIGTERM. Without a handler SIGTERM cuts the requests in
flight. If the server is process 1 of a container, the kernel drops the signal altogether. Here SIGTERM raises
KeyboardInterrupt in the main thread, as SIGINT does. The server's own process has to set the handlers, because an
``exec`` resets them.

Sources: signal(7) "Execution of signal handlers"; pid_namespaces(7) "The namespace init process".
"""

from __future__ import annotations

import runpy
import signal
import sys
from importlib import import_module

__all__: list[str] = []


def _main() -> None:
    # SIGINT too, because a process that a shell started in the background ignores it.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, signal.default_int_handler)
    del sys.argv[0]
    module, _, function = sys.argv[0].partition(":")
    try:
        if function:  # of a package that `python -m` does not run
            getattr(import_module(module), function)()
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:  # cheroot raises it again after it has drained
        sys.exit(0)


if __name__ == "__main__":
    _main()
