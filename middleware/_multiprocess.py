"""The metrics files of several workers: remove old files at the start, and archive the counts of dead workers.

``prometheus_client`` gives every worker its own files, named by its process id, and adds them up at a scrape. The files
of a dead worker must stay, or the totals would fall. So a server that replaces workers collects files without end.
This module adds the counters of a dead worker to one archive for each kind. A scrape holds a shared lock, and folding
holds an exclusive lock, so that a scrape counts each worker once. Prometheus takes a falling total for a restart.

Gauges are not folded. The library removes the live gauges of a dead worker; the application chooses the other modes.

Sources: prometheus_client documentation "Multiprocess Mode (E.g. Gunicorn)".
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Generator
from pathlib import Path

from gateway.errors import ConfigurationError

__all__ = ["directory", "fold", "prepare", "reading", "wipe"]

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

#: Kinds of files whose values can be summed over processes.
_KINDS = ("counter", "histogram", "summary")
_LOCK = ".gateway.lock"
#: Seconds to wait for the lock.
PATIENCE = 5.0


def directory() -> Path | None:
    """Return the folder of the multi-process mode, or None for a single process."""
    # The library still reads the old name, in lower case, and renames it when it makes its first value.
    named = os.environ.get(_VARIABLE) or os.environ.get(_VARIABLE.lower())
    return Path(named) if named else None


def prepare() -> None:
    """Make the folder of the multi-process mode if it is missing, and check that this process can write there.

    Called early, because ``prometheus_client`` opens its files only at the first value of each series, in a request.

    Raises:
        ConfigurationError: The folder cannot be made or written. Or the variable is empty, which the library reads as
            the current folder. Or the variable was set after the library had chosen to count in memory.
    """
    from prometheus_client import values

    if _VARIABLE in os.environ and not os.environ[_VARIABLE]:
        raise ConfigurationError(
            f"{_VARIABLE} is set but empty, so prometheus_client would write its files into the current "
            "folder. Unset it, or set it to the path of a folder."
        )
    folder = directory()
    if folder is None:
        return
    if not getattr(values.ValueClass, "_multiprocess", True):
        raise ConfigurationError(
            f"{_VARIABLE}={folder} was set too late: prometheus_client already counts in memory, so every "
            "scrape would be empty. Set it in the server's environment, before prometheus_client is imported."
        )
    _make(folder)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _LOCK).open("ab").close()
    except OSError as error:
        raise ConfigurationError(
            f"{_VARIABLE}={folder} cannot be used ({type(error).__name__}: {error.strerror}). "
            "Name a folder that the server's workers can create and write."
        ) from error


def wipe(folder: Path, owner: tuple[int, int] | None = None) -> None:
    """Make the folder, and remove the files of an earlier run of the server.

    Args:
        folder: The folder.
        owner: User and group id of the workers, if they differ from those of this process.

    Raises:
        ConfigurationError: The folder cannot be made or written.
    """
    _make(folder)
    if owner is not None and os.geteuid() == 0:
        for path in (folder, folder / _LOCK):
            os.chown(path, *owner)
    with _locked(folder, exclusive=True):
        for file in folder.glob("*.db"):
            file.unlink()


def fold(folder: Path, pid: int) -> None:
    """Add the counts of a dead worker to the archive and remove its files.

    Raises:
        TimeoutError: A scrape holds the lock for too long. The files stay.
    """
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
    """Prevent folding while a scrape reads the files."""
    with _locked(folder, exclusive=False):
        yield


def _add(file: Path, archive: Path) -> None:
    from prometheus_client.mmap_dict import MmapedDict

    # Replace the archive, never write in place: after a crash here the old archive is still complete.
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
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    deadline = time.monotonic() + PATIENCE
    with (folder / _LOCK).open("ab") as lock:
        while True:
            try:
                fcntl.flock(lock, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # The server's master folds, and it must not wait forever for a worker that hangs in a scrape.
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{folder / _LOCK} has been locked for more than {PATIENCE:g} seconds") from None
                time.sleep(0.005)
        yield  # closing the file releases the lock
