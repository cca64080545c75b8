"""Run bjoern: ``python -m gateway.servers._run_bjoern module:app --bind 127.0.0.1:8000``.

bjoern drains on SIGINT and has no handler for SIGTERM, so here SIGTERM does what SIGINT does.
"""

from __future__ import annotations

import os
import signal
from importlib import import_module
from typing import Any

from gateway.servers._runner import Options, run

__all__: list[str] = []


def _serve(options: Options) -> None:
    bjoern: Any = import_module("bjoern")  # it has no types
    application = options.application()

    def stop(signum: int, frame: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGTERM, stop)
    bjoern.server_run(options.bind.listen(1024), application)


if __name__ == "__main__":
    run("_run_bjoern", _serve)
