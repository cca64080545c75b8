"""An index of the files to serve: found on disk when a chain is built, described at their first request.

A scan lists the folders once. A request is then a look-up in a dictionary, and a response describes the open file. So
a replaced file is described as it is now, and a removed file gives no response. The index never contains a file
outside the folder, not even through a symbolic link.

All IO blocks: ``scan`` and ``keep_small`` while a chain is built, ``find`` and ``open`` within requests.

Sources: RFC 9110 section 8.8 (validators); RFC 9659 (the window of zstd).
"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import mimetypes
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from gateway.middleware._codings import ZSTD_HEADER, ZSTD_WINDOW, zstd_window
from gateway.middleware._static_paths import is_safe_name, safe_segments
from gateway.middleware._static_variant import SUFFIXES, Found, Stamp, StaticEntry, StaticOptions, Variant, describe

__all__ = ["HASHED", "SMALL", "Index", "Opened", "keep_small"]

_log = logging.getLogger("gateway.middleware.static_files")

#: Maximum size of a file that is kept in memory, in bytes. Sending such a file from memory is faster than opening it.
SMALL = 64 * 1024
#: Maximum size of another file that is hashed at its first request, in bytes. Reading it takes 4 ms at most.
HASHED = 4 * 2**20

#: Error numbers for a failure of the whole system, not of one file.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO)
_WITHOUT_WAITING: int = getattr(os, "O_NONBLOCK", 0)
#: How many times ``open`` tries a file that changes while it is opened.
_LOOKS = 3


_REDIRECT = StaticEntry({}, redirect=True)


class Opened(NamedTuple):
    """A representation, and the open file that it describes; the receiver closes it."""

    variant: Variant
    file: io.FileIO


class Index:
    """The files below one folder, by their path below the URL prefix. Threads may share an index.

    Args:
        folder: The folder. It need not exist if ``scan`` is not called.
        options: Options for the description of files.
    """

    def __init__(self, folder: Path, options: StaticOptions) -> None:
        self._root = os.path.realpath(folder)
        self._options = options
        self._found: dict[str, Found] = {}
        self._entries: dict[str, StaticEntry] = {}
        #: Hashes by path, so that ``find`` does not read a file again.
        self._digests: dict[str, tuple[Stamp, str]] = {}
        #: Logged paths, each with the version of the file.
        self._told: dict[str, Stamp | None] = {}

    # -- when a chain is built

    def scan(self) -> None:
        """Find every file. Call it once, before the first look-up."""
        options = self._options
        mimetypes.guess_type("")  # reads the system's table of types now, so that no request has to
        # Path below the root, path on disk, path on disk without links, and the same of the folders around it.
        pending: list[tuple[str, str, str, frozenset[str]]] = [("", self._root, self._root, frozenset())]
        while pending:
            prefix, folder, real, around = pending.pop()
            around |= {real}
            files: dict[str, os.stat_result] = {}
            try:
                with os.scandir(folder) as listing:
                    entries = [*listing]
            except OSError as error:
                _log.warning("StaticFiles: the files of %s are not served: %s", folder, error)
                continue
            for entry in entries:
                name = entry.name
                if not is_safe_name(name, first=not prefix, dotfiles=options.dotfiles):
                    continue
                try:
                    if not entry.is_symlink():
                        below = real + os.sep + name
                    elif not self._holds(below := os.path.realpath(entry.path)):
                        continue
                    if entry.is_dir():
                        # A link to one of the folders around it would loop forever.
                        if below not in around:
                            pending.append((f"{prefix}{name}/", entry.path, below, around))
                    elif entry.is_file():
                        files[entry.path] = entry.stat()
                except OSError:  # removed since the listing, or a broken link
                    continue
            self._take(prefix, files)

    def _take(self, prefix: str, files: Mapping[str, os.stat_result]) -> None:
        for path, status in files.items():
            self._found[prefix + path.rpartition(os.sep)[2]] = self._with_compressed(path, status, files.get)
        if self._options.index_file is not None:
            index = self._found.get(prefix + self._options.index_file)
            if index is not None:
                self._found[prefix] = index
                if prefix:
                    self._entries[prefix[:-1]] = _REDIRECT

    def files(self) -> Iterator[Found]:
        """Yield every file of the scan, precompressed files too."""
        for found in self._found.values():
            yield found
            yield from found.compressed.values()

    # -- within requests

    def get(self, relative: str) -> StaticEntry | None:
        """Look up a path among the files of the scan; does no IO."""
        entry = self._entries.get(relative)
        if entry is None:
            found = self._found.get(relative)
            if found is not None:
                entry = self._entries[relative] = self._describe(found)
        return entry

    def open(
        self, relative: str, entry: StaticEntry | None, choose: Callable[[StaticEntry], str]
    ) -> Opened | StaticEntry | None:
        """Open a file, then describe the open file.

        Args:
            relative: Path below the prefix.
            entry: Its entry; None to look on disk first.
            choose: Function that chooses the coding of an entry, ``""`` for none.

        Returns:
            The open file, which the caller closes, or the entry if it is a redirect. None if the file does not exist.

        Raises:
            OSError: The system cannot open files now.
        """
        entry = self._look(relative) if entry is None else entry
        # A file may be replaced between the look-up and the open. So compare both, and try again with a new entry.
        for look in range(_LOOKS):
            if entry is None or entry.redirect:
                return entry
            coding = choose(entry) if entry.codings else ""
            variant = entry.variants[coding]
            opened = self._open(variant.path)
            if opened is not None:
                file, stamp = opened
                try:
                    if self._is_described(entry, coding, stamp, near=look > 0):
                        return Opened(self._settled(relative, entry, coding, stamp, file), file)
                except BaseException:
                    file.close()
                    raise
                file.close()
            entry = self._look(relative)
        return None

    def _look(self, relative: str) -> StaticEntry | None:
        entry = self.find(relative)
        if entry is not None:
            self._entries[relative] = entry
        return entry

    def _open(self, path: str) -> tuple[io.FileIO, Stamp] | None:
        """Open a regular file; return None if it does not exist, or if this process cannot read it."""
        try:
            # ``open`` rather than ``os.open``, because the file then has a name, and some servers send it by name.
            file = open(path, "rb", buffering=0, opener=_open_without_waiting)  # noqa: SIM115
        except OSError as error:
            if error.errno in _EXHAUSTED:
                raise
            if isinstance(error, PermissionError):
                self._tell(path, None, "StaticFiles: %s is not served: %s", path, error)
            return None
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode):
            return file, Stamp.of(status)
        file.close()
        return None

    def _is_described(self, entry: StaticEntry, coding: str, stamp: Stamp, *, near: bool) -> bool:
        """Return whether an entry describes the open file; ``near`` if the entry was made a moment ago."""
        described = entry.variants[coding].stamp
        if stamp != described and not (near and stamp.is_near(described)):
            return False
        if not coding:
            return True
        plain = entry.variants[""]
        try:
            return near or Stamp.of(os.stat(plain.path)) == plain.stamp  # noqa: PTH116
        except OSError:
            return False

    def _settled(self, relative: str, entry: StaticEntry, coding: str, stamp: Stamp, file: io.FileIO) -> Variant:
        """Complete the description of an open file with its current size and the hash of its content."""
        variant = entry.variants[coding]
        if stamp == variant.stamp and (variant.digest is not None or stamp.size > HASHED):
            return variant
        digest = variant.digest if stamp == variant.stamp else None
        if digest is None and stamp.size <= HASHED:
            content = file.read(stamp.size)
            file.seek(0)
            if len(content) == stamp.size:  # otherwise the file is changing, and its hash would be of no use
                digest = _hash(content)
                self._digests[variant.path] = (stamp, digest)
        settled = self._variant(Found(variant.path, stamp, digest=digest), coding, varies=len(entry.variants) > 1)
        self._entries[relative] = StaticEntry({**entry.variants, coding: settled}, entry.codings)
        return settled

    def find(self, relative: str) -> StaticEntry | None:
        """Look up one path on disk; return None if there is no file to serve."""
        index_file = self._options.index_file
        segments = safe_segments(relative, dotfiles=self._options.dotfiles)
        if segments is None:
            return None
        if not segments[-1]:
            if index_file is None:
                return None
            segments[-1] = index_file
        path = self._spelled(segments)
        found = self._stat(path) if path is not None else None
        if path is None or found is None:
            return None
        if stat.S_ISDIR(found.st_mode):
            # Without the final "/" a browser would resolve the relative links of the index file wrongly.
            has_index = index_file is not None and self._stat(os.path.join(path, index_file)) is not None  # noqa: PTH118
            return _REDIRECT if has_index else None
        if not stat.S_ISREG(found.st_mode):
            return None
        return self._describe(self._with_compressed(path, found, self._stat))

    # -- for both

    def _with_compressed(
        self, path: str, status: os.stat_result, stat_of: Callable[[str], os.stat_result | None]
    ) -> Found:
        found = self._seen(path, status)
        if self._options.precompressed:
            for coding, suffix in SUFFIXES.items():
                other = stat_of(path + suffix)
                # A compressed file that is older than the plain file may hold another text, so it does not count.
                if (
                    other is not None
                    and stat.S_ISREG(other.st_mode)
                    and other.st_mtime_ns >= status.st_mtime_ns
                    and other.st_size < status.st_size
                    and (coding != "zstd" or self._can_be_decoded(path + suffix, other))
                ):
                    found.compressed[coding] = self._seen(path + suffix, other)
        return found

    def _seen(self, path: str, status: os.stat_result) -> Found:
        stamp = Stamp.of(status)
        before = self._digests.get(path)
        return Found(path, stamp, digest=before[1] if before is not None and before[0] == stamp else None)

    def _can_be_decoded(self, path: str, status: os.stat_result) -> bool:
        """Return whether browsers can decode a zstd file: its window must not be too large."""
        try:
            with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
                window = zstd_window(file.read(ZSTD_HEADER))
        except OSError:
            return False
        if window is None:
            self._tell(path, Stamp.of(status), "StaticFiles: %s is not served, because it is not a zstd frame", path)
        elif window > ZSTD_WINDOW:
            self._tell(
                path,
                Stamp.of(status),
                "StaticFiles: %s is not served, because it needs a window of %d bytes and browsers accept "
                "%d; compress it at level 19 or below, without --long",
                path,
                window,
                ZSTD_WINDOW,
            )
        return window is not None and window <= ZSTD_WINDOW

    def _tell(self, path: str, stamp: Stamp | None, message: str, *args: object) -> None:
        """Log a problem of a file, once for each version of the file."""
        if path not in self._told or self._told[path] != stamp:
            self._told[path] = stamp
            _log.warning(message, *args)

    def _holds(self, real: str) -> bool:
        """Return whether a path without symbolic links is the folder or lies below it."""
        return real == self._root or real.startswith(self._root.rstrip(os.sep) + os.sep)

    def _spelled(self, segments: list[str]) -> str | None:
        """Return the path of these names, or None if a folder does not list a name in exactly this spelling.

        Some systems also find a file by another case or by a short name.
        """
        path = self._root
        try:
            for name in segments:
                if name not in os.listdir(path):  # noqa: PTH208
                    return None
                path = os.path.join(path, name)  # noqa: PTH118
        except OSError:
            return None
        return path

    def _stat(self, path: str) -> os.stat_result | None:
        """Stat a path; return None if it is missing or if a symbolic link at any step leads out of the folder."""
        try:
            step = path
            while step != self._root:
                if not self._holds(os.path.realpath(step, strict=True)):
                    return None
                step = os.path.dirname(step)  # noqa: PTH120
            return os.stat(path)  # noqa: PTH116
        except OSError:
            return None

    def relative(self, path: str) -> str:
        """Return the path of a file below the folder, as a URL spells it."""
        return os.path.relpath(path, self._root).replace(os.sep, "/")

    def _variant(self, found: Found, coding: str, *, varies: bool) -> Variant:
        return describe(found, self.relative(found.path), coding, self._options, varies=varies)

    def _describe(self, found: Found) -> StaticEntry:
        varies = bool(found.compressed)
        variants = {"": self._variant(found, "", varies=varies)}
        for coding, compressed in found.compressed.items():
            variants[coding] = self._variant(compressed, coding, varies=True)
        return StaticEntry(variants, tuple(found.compressed))


def keep_small(indexes: Iterable[Index], most_bytes: int) -> None:
    """Read small files into memory, the smallest first, up to ``most_bytes`` for all indexes together.

    Call it before the first look-up.
    """
    by_path: dict[str, list[Found]] = {}
    for index in indexes:
        for found in index.files():
            if found.stamp.size <= SMALL:
                by_path.setdefault(found.path, []).append(found)
    for path, same in sorted(by_path.items(), key=lambda item: item[1][0].stamp.size):
        size = same[0].stamp.size
        if size > most_bytes:
            break
        try:
            content = _read(path)
        except OSError:
            continue
        if len(content) == size:  # otherwise another process is writing it, and Content-Length would be wrong
            digest = _hash(content)
            for found in same:
                found.content, found.digest = content, digest
            most_bytes -= size


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return file.read(SMALL + 1)


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _open_without_waiting(path: str, flags: int) -> int:
    """Open like ``open``, but do not wait for a writer if a pipe has replaced the file."""
    return os.open(path, flags | _WITHOUT_WAITING)
