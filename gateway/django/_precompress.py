"""Write compressed files next to a file, one for each coding whose library is installed.

A compressed file gets the time and the mode of its original, so a second run finds that nothing has changed. It takes
its place in one step, so a server never sends a half of it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gateway.middleware._codings import available, encode
from gateway.middleware._static_variant import SUFFIXES

__all__ = ["INCOMPRESSIBLE", "precompress"]

#: Endings of files whose content is compressed already.
_NAMES = (
    "3gp 7z aac apk avi avif br bz2 flac gif gz heic jpeg jpg m4a"
    " m4v mkv mov mp3 mp4 mpeg mpg oga ogg ogv opus png rar tbz tgz webm webp wmv woff woff2 xz zip zst"
)
INCOMPRESSIBLE = frozenset(f".{name}" for name in _NAMES.split())
#: The levels that make the smallest files. Larger levels of zstd need a window that browsers refuse (RFC 9659).
_LEVELS = {"gzip": 9, "br": 11, "zstd": 19}
#: A compressed file must be smaller by this factor; otherwise decoding costs more than the bytes.
_WORTH = 0.95


def precompress(path: str | Path) -> list[str]:
    """Compress a file, and remove compressed files of an earlier content.

    Args:
        path: The file.

    Returns:
        The suffixes of the files that were written, such as ``[".br", ".gz"]``, without files that were up to date.

    Raises:
        OSError: A file cannot be read or written.
    """
    source = Path(path)
    status = source.stat()
    written: list[str] = []
    content: bytes | None = None
    for coding in available():
        target = source.with_name(source.name + SUFFIXES[coding])
        try:
            if target.stat().st_mtime_ns == status.st_mtime_ns:
                continue
        except FileNotFoundError:
            pass
        content = source.read_bytes() if content is None else content
        compressed = encode(coding, content, _LEVELS[coding])
        if len(compressed) > len(content) * _WORTH:
            target.unlink(missing_ok=True)
            continue
        _write(target, compressed, source, status)
        written.append(SUFFIXES[coding])
    return written


def _write(target: Path, content: bytes, source: Path, status: os.stat_result) -> None:
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        shutil.copymode(source, partial)
        os.utime(partial, ns=(status.st_atime_ns, status.st_mtime_ns))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
