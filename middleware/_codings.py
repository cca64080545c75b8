"""The content codings that a body can be sent in: gzip, br, zstd, each as a stream.

An encoder takes bytes and gives bytes; ``flush`` lets out all that it has taken, so that an event stream is not held
back. Which libraries are present is found out once, when a middleware is built.

Sources: RFC 9110 section 8.4.1; RFC 1952 (gzip), RFC 7932 (brotli), RFC 8878 section 3.1.1 (zstd); RFC 9659 (the
window of zstd in HTTP).
"""

from __future__ import annotations

import importlib.util
import secrets
import sys
import zlib
from collections.abc import Callable
from typing import Protocol

from gateway.errors import ConfigurationError, MissingExtraError

__all__ = [
    "CODINGS",
    "DEFAULT_LEVELS",
    "ZSTD_HEADER",
    "ZSTD_WINDOW",
    "Encoder",
    "available",
    "encoder_factory",
    "zstd_window",
]

CODINGS = ("zstd", "br", "gzip")
DEFAULT_LEVELS = {"gzip": 5, "br": 4, "zstd": 3}
_LEVELS = {"gzip": range(1, 10), "br": range(12), "zstd": range(1, 23)}
#: Largest window of a zstd frame that an HTTP client must accept, in bytes; browsers refuse larger ones (RFC 9659).
ZSTD_WINDOW = 8 * 2**20
_ZSTD_WINDOW_LOG = 23
#: From this level on the library chooses larger windows.
_ZSTD_LARGE = 20
#: Bytes at the beginning of a file that hold the whole header of its first zstd frame.
ZSTD_HEADER = 18


class Encoder(Protocol):
    """A body on its way through one coding."""

    def push(self, data: bytes) -> bytes:
        """Take bytes, give what is ready; b"" where nothing is."""
        ...

    def flush(self) -> bytes:
        """Give all that was taken so far, in a form that the other end can decode."""
        ...

    def finish(self) -> bytes:
        """End the stream and give the rest."""
        ...


class _Gzip:
    """gzip with a header of its own: no time, no system, and perhaps a file name of random length.

    The name is padding: an attacker who measures lengths (BREACH) sees a different one each time.
    """

    __slots__ = ("_crc", "_deflate", "_head", "_size")

    def __init__(self, level: int, padding: int) -> None:
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc = self._size = 0
        name = b"a" * secrets.randbelow(padding + 1) + b"\0" if padding else b""
        self._head = b"\x1f\x8b\x08" + (b"\x08" if name else b"\0") + b"\0\0\0\0\0\xff" + name

    def _out(self, data: bytes) -> bytes:
        if self._head:
            data, self._head = self._head + data, b""
        return data

    def push(self, data: bytes) -> bytes:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        ready = self._deflate.compress(data)
        return self._out(ready) if ready else b""

    def flush(self) -> bytes:
        return self._out(self._deflate.flush(zlib.Z_SYNC_FLUSH))

    def finish(self) -> bytes:
        tail = self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        return self._out(self._deflate.flush() + tail)


class _Brotli:
    __slots__ = ("_compressor",)

    def __init__(self, level: int) -> None:
        import brotli

        self._compressor = brotli.Compressor(quality=level)

    def push(self, data: bytes) -> bytes:
        return bytes(self._compressor.process(data))

    def flush(self) -> bytes:
        return bytes(self._compressor.flush())

    def finish(self) -> bytes:
        return bytes(self._compressor.finish())


class _Zstd:
    __slots__ = ("_compressor",)

    def __init__(self, level: int) -> None:
        import zstandard

        if level < _ZSTD_LARGE:
            compressor = zstandard.ZstdCompressor(level=level)
        else:
            capped = zstandard.ZstdCompressionParameters.from_level(level, window_log=_ZSTD_WINDOW_LOG)
            compressor = zstandard.ZstdCompressor(compression_params=capped)
        self._compressor = compressor.compressobj()

    def push(self, data: bytes) -> bytes:
        return self._compressor.compress(data)

    def flush(self) -> bytes:
        import zstandard

        return self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._compressor.flush()


class _StandardZstd:
    """zstd of the standard library, from Python 3.14 on."""

    __slots__ = ("_compressor", "_mode")

    def __init__(self, level: int) -> None:
        module = importlib.import_module("compression.zstd")
        which = module.CompressionParameter
        capped = {which.window_log: _ZSTD_WINDOW_LOG} if level >= _ZSTD_LARGE else {}
        self._compressor = module.ZstdCompressor(options={which.compression_level: level, **capped})
        self._mode = module.ZstdCompressor

    def push(self, data: bytes) -> bytes:
        return bytes(self._compressor.compress(data))

    def flush(self) -> bytes:
        return bytes(self._compressor.flush(self._mode.FLUSH_BLOCK))

    def finish(self) -> bytes:
        return bytes(self._compressor.flush(self._mode.FLUSH_FRAME))


def zstd_window(start: bytes) -> int | None:
    """Return the window size of a zstd frame: the memory that a client needs to decode it.

    Args:
        start: The first bytes of the frame, at least :data:`ZSTD_HEADER` of them if it has as many.

    Returns:
        Bytes; None if these are not the first bytes of a zstd frame that can be decoded without a dictionary.

    >>> zstd_window(bytes.fromhex("28b52ffd 00 68")), zstd_window(b"text")
    (8388608, None)
    """
    if start[:4] != b"\x28\xb5\x2f\xfd" or len(start) < 6:
        return None
    descriptor = start[4]
    if descriptor & 0b11:  # the id of a dictionary follows
        return None
    if not descriptor & 0b100000:
        base = 1 << (10 + (start[5] >> 3))
        return base + base // 8 * (start[5] & 7)
    # A single segment: the client keeps the whole content, and its size takes the place of the window's.
    size_bytes = (1, 2, 4, 8)[descriptor >> 6]
    size = start[5 : 5 + size_bytes]
    if len(size) < size_bytes:
        return None
    return int.from_bytes(size, "little") + (256 if size_bytes == 2 else 0)


def available() -> tuple[str, ...]:
    """Name the codings whose libraries are installed, best first."""
    zstd = sys.version_info >= (3, 14) or importlib.util.find_spec("zstandard") is not None
    brotli = importlib.util.find_spec("brotli") is not None
    return (*(("zstd",) if zstd else ()), *(("br",) if brotli else ()), "gzip")


def encoder_factory(coding: str, level: int | None = None, *, padding: int = 0) -> Callable[[], Encoder]:
    """Prepare encoders of one coding.

    Args:
        coding: "gzip", "br" or "zstd".
        level: The library's own scale; None for a level that pays in a server (gzip 5, br 4, zstd 3).
        padding: Random bytes at most that a gzip header carries against BREACH; other codings have no place for it.

    Raises:
        ConfigurationError: The coding or the level does not exist.
        MissingExtraError: The coding's library is not installed.
    """
    if coding not in CODINGS:
        raise ConfigurationError(f"content coding {coding!r} is unknown; possible are {', '.join(CODINGS)}")
    chosen = DEFAULT_LEVELS[coding] if level is None else level
    if chosen not in _LEVELS[coding]:
        scale = _LEVELS[coding]
        raise ConfigurationError(f"the level of {coding} must be {scale.start} to {scale.stop - 1}, got {level!r}")
    if coding not in available():
        raise MissingExtraError(
            f"the content coding {coding}", "compression", package={"br": "brotli", "zstd": "zstandard"}[coding]
        )
    if coding == "gzip":
        return lambda: _Gzip(chosen, padding)
    if coding == "br":
        return lambda: _Brotli(chosen)
    if sys.version_info >= (3, 14):
        return lambda: _StandardZstd(chosen)
    return lambda: _Zstd(chosen)
