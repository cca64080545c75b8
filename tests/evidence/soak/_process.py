"""What is measured of the own process: memory, threads, descriptors. Linux only."""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import re
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

#: Waves of slow clients, and how many of them only make what stays: threads, caches, room in tables.
WAVES = 8
WARM_WAVES = 3


@dataclasses.dataclass(frozen=True)
class Level:
    """What the process holds at one moment."""

    mib: float
    threads: int
    tasks: int
    descriptors: int
    objects: int
    blocks: int  # of Python's own allocator

    def growth(self, before: Level) -> dict[str, float]:
        """Return what is held more than before."""
        return {
            name: round(getattr(self, name) - getattr(before, name), 2)
            for name in ("mib", "threads", "tasks", "descriptors", "objects", "blocks")
        }


def level(tasks: int) -> Level:
    """Return what is held now: without garbage, and without what the C allocator keeps although it is free.

    A thousand threads at once leave free memory in many places of many arenas; how much of it is resident says
    something of the allocator and of chance.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
    return Level(
        _status("VmRSS"),
        threading.active_count(),
        tasks,
        len(list(Path("/proc/self/fd").iterdir())),
        len(gc.get_objects()),
        sys.getallocatedblocks(),
    )


def growth(levels: Sequence[Level], warm: int) -> dict[str, object]:
    """Return what is held more at the end than after the warm-up, and the memory after each."""
    return {**levels[-1].growth(levels[warm - 1]), "waves_mib": [round(level.mib, 1) for level in levels]}


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
