"""Run a program of the report, on a port of its own, and end its servers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.evidence.field.packages import PORT

__all__ = ["LIMIT", "run_program"]

#: Seconds that a program may take on a busy machine.
LIMIT = 60


def run_program(text: str) -> str:
    """Run a program in a folder of its own, with a free port in place of the one that it names; return its last line.

    Raises:
        RuntimeError: The program failed or printed nothing, so that it says nothing.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder)
        (path / "program.py").write_text(text.replace(PORT, str(port)), encoding="utf-8")
        with (path / "noise").open("w+", encoding="utf-8", errors="replace") as noise:
            # The servers write into `noise`, so that the end of the program does not wait for theirs.
            argv = [sys.executable, "program.py"]
            with subprocess.Popen(
                argv, cwd=folder, stdout=subprocess.PIPE, stderr=noise, text=True, start_new_session=True
            ) as program:
                try:
                    output, _ = program.communicate(timeout=LIMIT)
                except subprocess.TimeoutExpired:
                    output = ""
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(program.pid, signal.SIGKILL)
            noise.seek(0)
            if program.returncode or not output.strip():
                raise RuntimeError(f"the program did not run to its end: {output}{noise.read()[-2000:]}")
    return output.strip().splitlines()[-1].replace(str(port), PORT)
