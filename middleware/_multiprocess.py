"""The files of several workers' metrics: emptied at the start, and what a dead worker counted is kept in one file.

``prometheus_client`` gives every worker files of its own, named by its process id, and adds them up at a scrape. A
worker's end leaves them there, or the totals would fall; so a server that replaces workers gathers files for ever. Here
the counters of a dead worker are added to one archive for each kind. A scrape holds a shared lock and the folding an
exclusive one, so that no scrape sees a worker twice or not at all: to Prometheus a total that falls is a restart.

Gauges are not folded: the live ones of a dead worker are removed, as the library does it, the others are the
application's to choose.

Sources: prometheus_client documentation "Multiprocess Mode (E.g. Gunicorn)".
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator
from pathlib import Path

__all__ = ["directory", "fold", "reading", "wipe"]

#: Kinds of files whose values add up over processes.
_KINDS = ("counter", "histogram", "summary")
_LOCK = ".gateway.lock"


def directory() -> Path | None:
    """Return the folder of the multi-process mode, None in one process."""
    named = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(named) if named else None


def wipe(folder: Path) -> None:
    """Make the folder, and remove what an earlier run of the server left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder, exclusive=True):
        for file in folder.glob("*.db"):
            file.unlink()


def fold(folder: Path, pid: int) -> None:
    """Add what a dead worker counted to the archive and remove its files."""
    from prometheus_client.multiprocess import (
        mark_process_dead,  # pyright: ignore[reportUnknownVariableType]  # the library has no types here
    )

    with _locked(folder, exclusive=True):
        mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]  # the library's own
        for kind in _KINDS:
            file = folder / f"{kind}_{pid}.db"
            if file.exists():
                _add(file, folder / f"{kind}_archive.db")


@contextlib.contextmanager
def reading(folder: Path) -> Generator[None, None, None]:
    """Keep the folding away while the files are read."""
    with _locked(folder, exclusive=False):
        yield


def _add(file: Path, archive: Path) -> None:
    from prometheus_client.mmap_dict import MmapedDict

    # The archive is replaced, never written in place: a crash here leaves the former one whole.
    written = archive.with_suffix(".new")
    written.unlink(missing_ok=True)
    if archive.exists():
        shutil.copyfile(archive, written)
    totals = MmapedDict(str(written))  # type: ignore[no-untyped-call]  # the library has no types here
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]
            before, _ = totals.read_value(key)  # type: ignore[no-untyped-call]
            totals.write_value(key, before + value, 0.0)  # type: ignore[no-untyped-call]
    finally:
        totals.close()  # type: ignore[no-untyped-call]
    written.replace(archive)
    file.unlink()


@contextlib.contextmanager
def _locked(folder: Path, *, exclusive: bool) -> Generator[None, None, None]:
    try:
        import fcntl
    except ImportError:  # pragma: no cover  # a system without fork has no workers that share a folder
        yield
        return
    with (folder / _LOCK).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield  # closing it unlocks
