"""What is measured of the own process: memory, threads, descriptors. Linux only."""

from __future__ import annotations

import dataclasses
import gc
import re
import threading
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Level:
    """What the process holds at one moment."""

    mib: float
    threads: int
    tasks: int
    descriptors: int

    def growth(self, before: Level) -> dict[str, float]:
        """Return what is held more than before."""
        return {
            name: round(getattr(self, name) - getattr(before, name), 2)
            for name in ("mib", "threads", "tasks", "descriptors")
        }


def level(tasks: int) -> Level:
    """Return what is held now, garbage aside."""
    gc.collect()
    return Level(_status("VmRSS"), threading.active_count(), tasks, len(list(Path("/proc/self/fd").iterdir())))


def forget_peak() -> None:
    """Begin the peak of `peak_mib` anew."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """Return the most resident memory since `forget_peak`."""
    return _status("VmHWM")


def _status(name: str) -> float:
    match = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) / 1024
